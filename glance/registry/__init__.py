"""The registry daemon: image metadata in a database, behind HTTP (spec registry.md)."""
