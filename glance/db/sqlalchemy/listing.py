"""Lists of images (spec v1-api.md §5.2, registry.md §3.1, database.md §5.3).

However many images there are, a page costs a constant number of statements, each of
which reads about as many rows as it returns:

1. the marker's row, if there is one;
2. one probe for all filters that may be selective: does it match at most ``FEW`` images?
3. the page.  With a selective filter: its few images, filtered and sorted.  Without one:
   a walk along the index of the order, cut at the limit; for ordinary users one walk each
   through their own, the public and the shared images, merged by the database;
4. the children of the page's images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from glance.common import exception
from glance.common.values import MAX_BIGINT
from glance.context import RequestContext
from glance.db.sqlalchemy import access, checks, children
from glance.db.sqlalchemy.comparing import equals
from glance.db.sqlalchemy.engine import database
from glance.db.sqlalchemy.images import Image, hide_locations
from glance.db.sqlalchemy.models import VALUE_PREFIX, image_members, image_properties, images
from glance.db.sqlalchemy.paging import Group, Order
from glance.images.model import MAX_INT

FEW = 1000
_COMMON_STATUSES = frozenset(("active", "deleted"))
_TEXT_FILTERS = ("status", "container_format", "disk_format")


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
    filters = filters or {}
    order = Order(sort_key, sort_dir)
    if limit is None:
        limit = MAX_INT
    elif isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise exception.Invalid("The limit must be a non-negative integer.")

    def work(conn: Connection) -> list[Image]:
        selection = _select(conn.dialect.name, context, filters)
        caller = None if context.is_admin and not admin_as_user else _Caller(context.owner, member_status)
        if caller is None and is_public is not None:
            public = images.c.visibility == "public"
            selection.conditions.append(public if is_public else images.c.visibility != "public")
        row = _marker(conn, context, marker, selection.with_deleted)
        if selection.impossible or not limit:
            return []
        rows = _Page(conn, selection, caller, order, row, limit).rows()
        children.attach(conn, rows, detail=detail, deleted_locations=selection.with_deleted, tags=return_tag)
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


# --- what is asked for ---------------------------------------------------------


@dataclass(slots=True)
class _Caller:
    """Whose visible images are listed; ``owner`` None: nobody's, the public ones alone."""

    owner: str | None
    member_status: str


@dataclass(slots=True)
class _Filter:
    """A condition that few images may meet.

    :ivar ids: the ids of all that meet it
    :ivar condition: the same for one row of ``images``
    """

    ids: sa.Select
    condition: sa.ColumnElement[bool]


@dataclass(slots=True)
class _Selection:
    """The filters as SQL.

    :ivar conditions: on columns of ``images``, for which no index is worth it
    :ivar selective: those that are worth a probe
    :ivar with_deleted: deleted images may be among the answer
    :ivar impossible: nothing can match
    """

    conditions: list[sa.ColumnElement[bool]] = field(default_factory=list)
    selective: list[_Filter] = field(default_factory=list)
    with_deleted: bool = False
    impossible: bool = False

    def add(self, condition: sa.ColumnElement[bool], *, selective: bool = False) -> None:
        if selective:
            self.selective.append(_Filter(sa.select(images.c.id).where(condition), condition))
        else:
            self.conditions.append(condition)


def _select(dialect: str, context: RequestContext, filters: Mapping[str, Any]) -> _Selection:
    selection = _Selection()
    unknown = filters.keys() - _FILTERS.keys() - {"deleted", "os_hidden", "properties"}
    if unknown:
        raise exception.Invalid(f"'{min(unknown)}' is not a filter.")
    deleted = filters.get("deleted") if context.is_admin else None
    if deleted is None and "changes-since" not in filters:
        deleted = False
    if deleted is not None:
        selection.add(images.c.deleted == (sa.true() if deleted else sa.false()))
    selection.with_deleted = deleted is not False
    if not selection.with_deleted:
        selection.add(images.c.status != "killed")
    # Hidden images are left out of lists, but not of the scrubber's.
    hidden = filters.get("os_hidden", None if deleted else False)
    if hidden is not None:
        selection.add(images.c.os_hidden == (sa.true() if hidden else sa.false()))
    for name, value in filters.items():
        if name in _FILTERS:
            _FILTERS[name](selection, dialect, name, value)
    for name, value in (filters.get("properties") or {}).items():
        _property(selection, dialect, name, value)
    return selection


def _text(selection: _Selection, dialect: str, name: str, value: Any) -> None:
    if not checks.storable(value):
        selection.impossible = True
        return
    selective = name == "name" or (name == "status" and value not in _COMMON_STATUSES)
    selection.add(equals(dialect, images.c[name], value), selective=selective)


def _exact_number(selection: _Selection, dialect: str, name: str, value: Any) -> None:
    try:
        selection.add(images.c[name] == checks.number(name, value, MAX_INT))
    except exception.Invalid:
        selection.impossible = True


def _size(selection: _Selection, dialect: str, name: str, value: Any) -> None:
    size = checks.number(name, value, MAX_BIGINT)
    selection.add(images.c.size >= size if name == "size_min" else images.c.size <= size)


def _protected(selection: _Selection, dialect: str, name: str, value: Any) -> None:
    selection.add(images.c.protected == (sa.true() if value else sa.false()))


def _changes_since(selection: _Selection, dialect: str, name: str, value: Any) -> None:
    since: datetime = checks.moment(name, value)
    selection.add(images.c.updated_at > since, selective=True)


_FILTERS: dict[str, Callable[[_Selection, str, str, Any], None]] = {
    "name": _text,
    **dict.fromkeys(_TEXT_FILTERS, _text),
    "min_ram": _exact_number,
    "min_disk": _exact_number,
    "size_min": _size,
    "size_max": _size,
    "protected": _protected,
    "changes-since": _changes_since,
}


def _property(selection: _Selection, dialect: str, name: str, value: Any) -> None:
    if not checks.storable(name) or not checks.storable(value):
        selection.impossible = True
        return
    column = image_properties.c
    conditions = [equals(dialect, column.name, name), equals(dialect, column.value, value)]
    if dialect == "postgresql":  # the index holds the beginning only
        conditions.append(sa.func.left(column.value, VALUE_PREFIX) == value[:VALUE_PREFIX])
    if not selection.with_deleted:
        conditions.append(column.deleted == sa.false())
    ids = sa.select(column.image_id.label("id")).where(*conditions)
    exists = sa.exists().where(column.image_id == images.c.id, *conditions)
    selection.selective.append(_Filter(ids, exists))


# --- finding the page ------------------------------------------------------------


class _Page:
    """Finds the rows of one page."""

    def __init__(
        self,
        conn: Connection,
        selection: _Selection,
        caller: _Caller | None,
        order: Order,
        marker: Image | None,
        limit: int,
    ) -> None:
        self._conn = conn
        self._mysql = conn.dialect.name == "mysql"
        self._selection = selection
        self._caller = caller
        self._order = order
        self._marker = marker
        self._limit = limit

    def rows(self) -> list[Image]:
        membership = self._membership()
        filters = self._selection.selective
        counts = self._probe([*filters, *([membership] if membership else [])])
        shared = counts.pop() if membership else 0
        fewest = min(range(len(filters)), key=counts.__getitem__, default=None)
        if fewest is not None and counts[fewest] == 0:
            return []
        few = filters[fewest] if fewest is not None and counts[fewest] <= FEW else None
        conditions = [*self._selection.conditions, *(other.condition for other in filters if other is not few)]
        found: list[Image] = []
        for group in self._order.groups(self._marker):
            limit = self._limit - len(found)
            if few is not None:
                statement = self._among(few.ids, [*conditions, *self._visible(membership)], group, limit)
            elif self._caller is None:
                statement = self._walk(conditions, group, limit, self._index_of_all())
            else:
                statement = self._merge(self._walks(membership, shared, conditions, group, limit), group, limit)
            found += [dict(row._mapping) for row in self._conn.execute(statement)]
            if len(found) >= self._limit:
                break
        return found

    def _membership(self) -> _Filter | None:
        if self._caller is None or self._caller.owner is None:
            return None
        column = image_members.c
        conditions = [
            equals(self._conn.dialect.name, column.member, self._caller.owner),
            column.deleted == sa.false(),
        ]
        if self._caller.member_status != "all":
            conditions.append(column.status == self._caller.member_status)
        exists = sa.exists().where(column.image_id == images.c.id, *conditions)
        return _Filter(sa.select(column.image_id.label("id")).where(*conditions), exists)

    def _probe(self, filters: list[_Filter]) -> list[int]:
        """For each filter the number of images that meet it, counted no further than ``FEW`` + 1."""
        if not filters:
            return []
        counts = [
            sa.select(sa.func.count()).select_from(found.ids.limit(FEW + 1).subquery()).scalar_subquery()
            for found in filters
        ]
        return list(self._conn.execute(sa.select(*counts)).one())

    # --- conditions of visibility

    def _own(self) -> sa.ColumnElement[bool]:
        owner = self._caller.owner if self._caller else None
        return equals(self._conn.dialect.name, images.c.owner, owner)

    def _visible(self, membership: _Filter | None) -> list[sa.ColumnElement[bool]]:
        """What the caller may list, as one condition: for few rows only, no index serves it."""
        if self._caller is None:
            return []
        public = images.c.visibility == "public"
        if membership is None:
            return [public]
        return [sa.or_(public, self._own(), sa.and_(images.c.visibility == "shared", membership.condition))]

    # --- statements

    def _walks(
        self,
        membership: _Filter | None,
        shared: int,
        conditions: list[sa.ColumnElement[bool]],
        group: Group,
        limit: int,
    ) -> list[sa.Select]:
        """The first ``limit`` rows of each kind that the caller may list; an image may be of several kinds."""
        public = images.c.visibility == "public"
        walks = [self._walk([public, *conditions], group, limit, "gx_images_visibility")]
        if membership is not None:
            walks.append(self._walk([self._own(), *conditions], group, limit, "gx_images_owner"))
            with_me = [images.c.visibility == "shared", *conditions]
            if shared > FEW:
                walks.append(self._walk([*with_me, membership.condition], group, limit, "gx_images_visibility"))
            elif shared:
                walks.append(self._among(membership.ids, with_me, group, limit))
        return walks

    def _walk(self, conditions: list[sa.ColumnElement[bool]], group: Group, limit: int, index: str | None) -> sa.Select:
        """Rows along an index of the order, until there are enough."""
        statement = sa.select(images).where(*conditions, *group.conditions)
        # Left alone, MariaDB finds the other columns of the index and reads all rows up to the marker.
        if self._mysql and index and self._order.first == "created_at" and database().has_index(self._conn, index):
            statement = statement.with_hint(images, f"FORCE INDEX ({index})", "mysql")
        return statement.order_by(*group.order_by(images)).limit(limit)

    def _among(self, ids: sa.Select, conditions: list[sa.ColumnElement[bool]], group: Group, limit: int) -> sa.Select:
        """Of at most ``FEW`` images those that meet the conditions, sorted; their limit makes databases begin there."""
        few = ids.distinct().limit(FEW).subquery("few")
        statement = sa.select(images).select_from(few.join(images, images.c.id == few.c.id))
        if self._mysql:
            statement = statement.prefix_with("STRAIGHT_JOIN")
        return statement.where(*conditions, *group.conditions).order_by(*group.order_by(images)).limit(limit)

    @staticmethod
    def _merge(walks: list[sa.Select], group: Group, limit: int) -> sa.Select:
        if len(walks) == 1:
            return walks[0]
        merged = sa.union(*(sa.select(walk.subquery()) for walk in walks)).subquery("merged")
        return sa.select(merged).order_by(*group.order_by(merged)).limit(limit)

    def _index_of_all(self) -> str | None:
        return "created_at_image_idx"
