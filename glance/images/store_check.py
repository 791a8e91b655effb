"""Finding data that no image owns: ``glance-manage store check`` (spec security.md §4)."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from glance.common import exception
from glance.store.base import Driver, StoredObject
from glance.store.stores import Stores

DEFAULT_AGE = 3600
_BATCH = 500

Live = Callable[[list[str]], set[str]]
"""Given image ids, says which of them have a live image or a transfer that is going on."""


class Leftover(NamedTuple):
    """An object without a live image.

    :ivar store: name of the store
    :ivar why: for people
    """

    store: str
    driver: Driver
    found: StoredObject
    why: str

    def __str__(self) -> str:
        size = "?" if self.found.size is None else self.found.size
        return f"{self.store} {self.found.name} {size} {self.why}"


def run(conf: Any, store: str | None, older: float, delete: bool, live: Live) -> int:
    """Print one line per leftover, ``<store> <object> <bytes> <why>``; with ``delete`` remove them as well.

    :param store: look only into this store; None: into all
    :param older: seconds; what changed more recently is left alone
    :returns: exit code: 0 nothing was found, 1 something was
    :raises Invalid: no such store, or ``older`` is negative
    :raises StoreConfigurationError: the default store cannot be used
    """
    if older < 0:
        raise exception.Invalid(f"--older takes a number of seconds, not {older}.")
    code = 0
    for leftover in leftovers(Stores(conf).drivers(store), live, before=time.time() - older):
        code = 1
        outcome = ""
        if delete:
            try:
                leftover.driver.remove(leftover.found)
                outcome = ", removed"
            except exception.GlanceException as error:
                outcome = f", not removed: {error}"
        print(f"{leftover}{outcome}")
    return code


def leftovers(drivers: dict[str, Driver], live: Live, *, before: float) -> Iterator[Leftover]:
    """Yield objects that are named like an image id, last changed before that POSIX time, and owned by nobody.

    An object whose age the store does not tell is left alone.
    """
    for name, driver in drivers.items():
        candidates = (
            found
            for found in driver.objects()
            if found.image_id is not None and found.modified is not None and found.modified < before
        )
        for batch in _batches(candidates):
            owned = live(sorted({str(found.image_id) for found in batch}))
            for found in batch:
                if found.image_id not in owned:
                    yield Leftover(name, driver, found, "interrupted upload" if found.partial else "no live image")


def _batches(objects: Iterable[StoredObject]) -> Iterator[list[StoredObject]]:
    iterator = iter(objects)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
