"""``glance.wsgi.api:application``: the API under any WSGI server (gunicorn, uWSGI, mod_wsgi).

Nothing is monkey-patched; requests run in that server's threads.  The configuration is
found as ``glance-api`` finds it; ``GLANCE_CONFIG_FILES`` (names separated by ``:``)
overrides the search.
"""

from glance.wsgi.standalone import load

application = load("glance-api")
