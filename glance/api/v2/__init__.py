"""The Images API v2 (spec v2-images.md)."""
