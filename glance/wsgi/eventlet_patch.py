"""Making a process green: the one place where modules are monkey patched.

The programs of ``glance.cmd`` that run on eventlet call ``patch()`` before they import
anything else.  Nothing below ``glance.cmd`` patches, so the same application runs under
any threaded WSGI server as well.
"""

import sys
import warnings

HUBS = ("poll", "selects")


def patch() -> None:
    """Select a hub and patch os, socket (with ssl), select, thread and time.

    A hub of poll() has no descriptor that a fork would share (spec daemons-and-config.md §4).
    Without a usable hub the program ends with code 2 (§2).
    """
    with warnings.catch_warnings():
        # eventlet announces its own retirement at every import: nothing an operator can act on.
        warnings.simplefilter("ignore")
        import eventlet
    for hub in HUBS:
        try:
            eventlet.hubs.use_hub(hub)
            break
        except Exception as error:
            reason = error
    else:
        sys.stderr.write(f"ERROR: eventlet has no usable hub (tried {' and '.join(HUBS)}): {reason}\n")
        raise SystemExit(2)
    eventlet.monkey_patch(os=True, socket=True, select=True, thread=True, time=True)


def after_fork() -> None:
    """Forget, in a new child, the hub and the native threads that only the parent has."""
    from eventlet import hubs, tpool

    hub = type(hubs.get_hub())
    hubs.use_hub(hub)
    if tpool._setup_already:
        # The threads did not survive the fork, and the sockets to them are the parent's.
        tpool._setup_already = False
        tpool._threads.clear()
        tpool._rsock.close()
        tpool._wsock.close()
