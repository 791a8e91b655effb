"""Classic OpenStack Glance: the image service (glance-api and glance-registry)."""

__version__ = "1.0.0"
