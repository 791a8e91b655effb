"""Programming against Glance: ``from glance.client import Client`` (spec cli-and-client.md §6).

Needs nothing of the server and nothing beyond the standard library.
"""

from glance.client.v1 import Client, V1Client, get_client

__all__ = ["Client", "V1Client", "get_client"]
