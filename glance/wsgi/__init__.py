"""The HTTP floor: server, paste loading, routing, errors.  Knows nothing of images."""
