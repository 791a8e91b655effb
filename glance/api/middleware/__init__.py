"""Paste filters of the API server; each module is one filter with its factory at the end."""
