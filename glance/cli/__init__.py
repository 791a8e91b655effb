"""The ``glance`` command of 2011 (spec cli-and-client.md §1–§5)."""
