"""Images API v1: images as HTTP headers (spec v1-api.md)."""
