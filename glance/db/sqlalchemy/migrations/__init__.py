"""Bringing a database to the schema that this release works with (spec database.md §0, §3)."""
