"""``glance.wsgi.registry:application``: the registry under any WSGI server."""

from glance.wsgi.standalone import load

application = load("glance-registry")
