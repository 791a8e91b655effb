"""Metadata kept by a registry: its clients and the catalog over them."""
