"""Running blocking work so that the other requests of a worker do not wait for it.

Under eventlet every request is a green thread of one native thread: a disk read, a
hash or a librados call on it stalls them all.  ``offload(fn, *args)`` runs ``fn`` in
a native thread and lets other green threads run meanwhile.  Under any other WSGI
server, where each request has its own native thread, it is a plain call.
"""

import importlib
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

_THREADS = 32


def is_green() -> bool:
    """True when this process runs on eventlet (its threading module is patched)."""
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and patcher.is_monkey_patched("thread")


def native(module: str) -> Any:
    """A module of the standard library as it is without eventlet, for code in native threads.

    There a patched function, even ``os.open``, would make a hub of its own for the thread.
    """
    if not is_green():
        return importlib.import_module(module)
    from eventlet import patcher

    return patcher.original(module)


def offload(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return ``fn(*args, **kwargs)``, computed off the hub; its exception is raised here.

    ``fn`` must use no green primitive (no patched lock, queue or socket that may
    wait): it runs in a native thread that has no hub of its own.
    """
    if not is_green():
        return fn(*args, **kwargs)
    from eventlet import tpool

    if not tpool._setup_already:
        tpool.set_num_threads(_THREADS)
    return tpool.execute(fn, *args, **kwargs)


def begin(fn: Callable[..., Any], *args: Any) -> "Future[Any]":
    """Start ``fn(*args)`` in a thread of its own, a green one under eventlet; ``fn`` may wait but not compute.

    Not with an executor, whose threads the end of a process would wait for.
    """
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(fn(*args))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def within(seconds: float, fn: Callable[..., Any], *args: Any) -> Any:
    """Return ``fn(*args)``, for libraries that wait without a limit of their own; see ``begin``.

    :raises TimeoutError: it took longer; it goes on, and nobody hears of it
    """
    future = begin(fn, *args)
    if not wait([future], timeout=seconds).done:
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    return future.result()


def pause() -> None:
    """Let other green threads run; does nothing outside eventlet."""
    if is_green():
        import eventlet

        eventlet.sleep(0)
