"""Native threads of one back end, for calls that may hang.

``offload`` shares its threads between everything that a worker does.  Where a back end
may keep a call waiting for minutes, its calls belong here instead: when all threads of
the pool wait, then nobody else does.
"""

import os
from collections.abc import Callable
from typing import Any

from glance.common import exception
from glance.common.offload import is_green, native
from glance.store.lanes import Job, Mailbox


class ThreadPool:
    """At most ``size`` native threads, started when they are needed; also after a fork."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = native("threading").Lock()
        self._jobs = native("queue").SimpleQueue()
        self._threads = 0
        self._load = 0  # calls that wait or run

    def run(self, fn: Callable[..., Any], *args: Any, patience: float | None = None) -> Any:
        """Return ``fn(*args)``, computed off the hub; its exception is raised here.

        Without eventlet this is a plain call.  ``fn`` must use no green primitive.

        :param patience: seconds after which the call is left alone, None: never
        :raises StoreUnavailable: that was so, or the system gives no descriptor or no thread
        """
        if not is_green():
            return fn(*args)
        try:
            mailbox = Mailbox()
        except OSError as error:
            raise exception.StoreUnavailable() from error
        try:
            self._submit(Job(fn, args, None), mailbox)
            job = mailbox.get(patience)
        finally:
            mailbox.close()
        if job.error is not None:
            raise job.error
        return job.result

    def _submit(self, job: Job, mailbox: Mailbox) -> None:
        if self._process != os.getpid():
            self._reset()
        with self._lock:
            self._load += 1
            if self._threads < min(self._load, self._size):
                try:
                    native("threading").Thread(target=self._work, name="glance-store", daemon=True).start()
                    self._threads += 1
                except RuntimeError as error:
                    if not self._threads:
                        self._load -= 1
                        raise exception.StoreUnavailable() from error
        self._jobs.put((job, mailbox))

    def _work(self) -> None:
        jobs = self._jobs
        while True:
            job, mailbox = jobs.get()
            job.run()
            with self._lock:
                self._load -= 1
            mailbox.put(job)
            del job, mailbox  # they may hold an open image
