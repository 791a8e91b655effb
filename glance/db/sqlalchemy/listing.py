"""Lists of images (spec v1-api.md §5.2, registry.md §3.1, database.md §5.3).

However many images there are, a page costs a constant number of statements, each of
which reads about as many rows as it returns:

1. the marker's row, if there is one;
2. one probe for all filters that may be selective: do few images meet it?
3. the page.  With a selective filter: its few images, filtered and sorted.  Without one:
   a walk along the index of the order, cut at the limit; for ordinary users one walk each
   through their own, the public and the shared images, merged by the database;
4. the children of the page's images.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from glance.common import exception
from glance.common.values import MAX_BIGINT
from glance.context import RequestContext
from glance.db.sqlalchemy import access, checks, children, selecting
from glance.db.sqlalchemy.engine import database
from glance.db.sqlalchemy.images import Image, hide_locations
from glance.db.sqlalchemy.paging import Order
from glance.images.model import MAX_INT

_COMMON_SECONDS = 60.0
_COMMON_FILTERS = 1000
_MAX_PROPERTIES = 30
"""Each is one more table in the statement; MariaDB joins 61 at most."""
_COMMON_STATUSES = frozenset(("active", "deleted"))
_TEXTS = frozenset(("name", "status", "container_format", "disk_format"))
_NUMBERS = {"min_ram": MAX_INT, "min_disk": MAX_INT, "size_min": MAX_BIGINT, "size_max": MAX_BIGINT}


def image_get_all(
    context: RequestContext,
    filters: Mapping[str, Any] | None = None,
    marker: str | None = None,
    limit: int | None = None,
    sort_key: Sequence[str] | None = None,
    sort_dir: Sequence[str] | None = None,
    member_status: str = "accepted",
    is_public: bool | None = None,
    admin_as_user: bool = False,
    return_tag: bool = False,
    detail: str = children.ROWS,
) -> list[Image]:
    """Return one page of the images that the caller may list.

    :param filters: exact ``name``, ``status``, ``container_format``, ``disk_format``, ``min_ram``, ``min_disk``,
        ``protected``; inclusive ``size_min``, ``size_max``; ``changes-since`` (a datetime, naive UTC; strictly later;
        deleted and killed images too); ``properties`` (names and values, all must match); ``deleted``
        (administrators); ``os_hidden``
    :param marker: the page begins after this image
    :param limit: number of images; None: all
    :param sort_key, sort_dir: lists; created_at and id are added; default created_at, desc
    :param member_status: a membership counts only in this state; ``all``: in any
    :param is_public: administrators: True and False select by visibility, None is everything.  Others: ignored
    :param admin_as_user: give an administrator what any user of the same tenant gets; ``is_public`` is then ignored
    :param return_tag: add ``tags``
    :param detail: how much of the properties and locations, ``children.ROWS``, ``LIVE`` or ``NONE``
    :raises Invalid: bad filter, limit or sort, or a marker that is unknown, deleted or invisible
    """
    wanted = _Wanted(filters or {}, may_see_deleted=bool(context.is_admin))
    order = Order(sort_key, sort_dir)
    if limit is None:
        limit = MAX_INT
    elif isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise exception.Invalid("The limit must be a non-negative integer.")
    limit = min(limit, MAX_INT)
    limited = admin_as_user or not context.is_admin
    wanted.values.update(owner=context.owner, member_status=member_status)

    def work(conn: Connection) -> list[Image]:
        shape = selecting.Shape(
            conn.dialect.name,
            tuple(wanted.filters),
            tuple(wanted.selective),
            wanted.deleted,
            wanted.hidden,
            None if limited else is_public,
            limited,
            limited and context.owner is not None,
            member_status != "all",
        )
        row = _marker(conn, context, marker, shape.with_deleted)
        if wanted.impossible or not limit:
            return []
        rows = _rows(conn, shape, order, row, wanted.values, limit)
        children.attach(conn, rows, detail=detail, deleted_locations=shape.with_deleted, tags=return_tag)
        return [hide_locations(context, image) for image in rows]

    return database().read(work)


def _marker(conn: Connection, context: RequestContext, marker: str | None, with_deleted: bool) -> Image | None:
    if marker is None:
        return None
    try:
        row = access.find(conn, context, marker, show_deleted=with_deleted)
    except exception.ImageNotFound:
        row = None
    if row is None or (row["deleted"] and not with_deleted):
        raise exception.Invalid(f"Invalid marker. Image {marker} could not be found.")
    return row


def _rows(
    conn: Connection,
    shape: selecting.Shape,
    order: Order,
    marker: Image | None,
    values: Mapping[str, Any],
    limit: int,
) -> list[Image]:
    plan = _plan(conn, shape, order.first, values)
    if plan is None:
        return []
    found: list[Image] = []
    for group in order.groups(marker):
        statement = selecting.page(shape, plan, group)
        result = conn.execute(statement, {**values, **order.bound(marker), "limit": limit - len(found)})
        names = tuple(result.keys())
        found += [dict(zip(names, row, strict=True)) for row in result]
        if len(found) >= limit:
            break
    return found


def _plan(conn: Connection, shape: selecting.Shape, first_key: str, values: Mapping[str, Any]) -> selecting.Plan | None:
    """How to find the page; None: nothing can match."""
    common = database().common_filters
    keys = {name: _filter_key(name, values) for name in shape.selective}
    # What was common may have become rare: a walk then takes longer, and finds the same.
    known = frozenset(name for name, key in keys.items() if common.get(key, 0.0) > time.monotonic())
    probe = selecting.probe(shape, known, first_key)
    counts = dict.fromkeys(known, selecting.FEW + 1)
    if probe is not None:
        counts.update(conn.execute(probe, values).one()._mapping)
    shared = counts.get("shared", 0)
    few = min(shape.selective, key=counts.__getitem__, default=None)
    if few is not None and counts[few] == 0:
        return None
    if len(common) > _COMMON_FILTERS:
        common.clear()
    common.update({keys[name]: time.monotonic() + _COMMON_SECONDS for name in keys if counts[name] > selecting.FEW})
    return selecting.Plan(
        few=few if few is not None and counts[few] <= selecting.FEW else None,
        shared=None if shared > selecting.FEW else shared > 0,
        many_own=bool(counts.get("own")),
        hints=database().image_indexes(conn) & selecting.HINTS if shape.dialect == "mysql" else frozenset(),
    )


def _filter_key(name: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    if name.startswith("property"):
        return "property", values[f"{name}_name"], values[f"{name}_value"]
    return name, values[name.replace("-", "_")]


class _Wanted:
    """The filters, checked.

    :ivar filters, selective: names for ``selecting.Shape``
    :ivar values: of the statements' parameters
    :ivar impossible: no image can match
    """

    def __init__(self, filters: Mapping[str, Any], *, may_see_deleted: bool) -> None:
        """:raises Invalid: an unknown name or a bad value"""
        self.filters: list[str] = []
        self.selective: list[str] = []
        self.values: dict[str, Any] = {}
        self.impossible = False
        self.deleted: bool | None = filters.get("deleted") if may_see_deleted else None
        if self.deleted is None and "changes-since" not in filters:
            self.deleted = False
        # Hidden images are left out of lists, but not of the scrubber's.
        self.hidden: bool | None = filters.get("os_hidden", None if self.deleted else False)
        for name in sorted(filters.keys() - {"deleted", "os_hidden", "properties"}):
            self._add(name, filters[name])
        properties = filters.get("properties") or {}
        if len(properties) > _MAX_PROPERTIES:
            raise exception.Invalid(f"At most {_MAX_PROPERTIES} properties can be filtered on at once.")
        for number, (name, value) in enumerate(properties.items()):
            self._require_storable(name)
            self._require_storable(value)
            self.selective.append(f"property{number}")
            self.values.update({f"property{number}_name": name, f"property{number}_value": value})

    def _add(self, name: str, value: Any) -> None:
        selective = name in {"name", "changes-since"}
        if name in _TEXTS:
            self._require_storable(value)
            selective |= name == "status" and value not in _COMMON_STATUSES
        elif name in _NUMBERS:
            try:
                value = checks.number(name, value, _NUMBERS[name])
            except exception.Invalid:
                if name.startswith("size"):
                    raise
                self.impossible = True
        elif name == "protected":
            value = bool(value)
        elif name == "changes-since":
            value = checks.moment(name, value)
        else:
            raise exception.Invalid(f"'{name}' is not a filter.")
        (self.selective if selective else self.filters).append(name)
        self.values[name.replace("-", "_")] = value

    def _require_storable(self, value: Any) -> None:
        self.impossible |= not checks.storable(value)
