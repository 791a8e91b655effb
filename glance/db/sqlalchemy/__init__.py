"""Image metadata in SQLite, MariaDB/MySQL or PostgreSQL (spec database.md)."""
