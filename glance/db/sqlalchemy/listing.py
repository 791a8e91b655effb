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
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from glance.common import exception
from glance.common.values import MAX_BIGINT
from glance.context import RequestContext
from glance.db.sqlalchemy import access, checks, children, selecting
from glance.db.sqlalchemy.engine import database
from glance.db.sqlalchemy.images import Image, hide_locations
from glance.db.sqlalchemy.paging import Order
from glance.images.model import MAX_INT, VISIBILITIES

_COMMON_SECONDS = 60.0
_COMMON_FILTERS = 1000
_MAX_TABLES = 30
"""Each property and tag is one more table in the statement; MariaDB joins 61 at most."""
_MAX_SECONDS_LEFT_OUT = 30
_MAX_VALUES = 1000
_COMMON_STATUSES = frozenset(("active", "deleted"))
_TEXTS = frozenset(
    ("id", "name", "status", "container_format", "disk_format", "owner", "checksum", "os_hash_algo", "os_hash_value")
)
_SELECTIVE = frozenset(("id", "name", "checksum", "os_hash_value", "changes-since"))
_NUMBERS = {"size": MAX_BIGINT, "virtual_size": MAX_BIGINT, "min_ram": MAX_INT, "min_disk": MAX_INT}
_BOUNDS = {f"{name}_{bound}": _NUMBERS[name] for name in ("size", "min_ram", "min_disk") for bound in ("min", "max")}
_TIMES = frozenset(("created_at", "updated_at"))
_FIRST, _LAST = datetime(1000, 1, 1), datetime(9999, 12, 31, 23, 59, 59)
"""What every engine can compare with."""
_SECOND = timedelta(seconds=1)
_OPERATORS = ("gt", "gte", "lt", "lte", "eq", "neq")

_SCOPES = {
    None: ("public", "own", "with me"),
    "public": ("public",),
    "community": ("community",),
    "private": ("own private",),
    "shared": ("own shared", "with me"),
    "all": ("public", "community", "own", "with me"),
}
"""What users get by ``visibility`` (spec v2-images.md §5), in the words of ``selecting.Shape``."""
_ANYONES = frozenset(("public", "community"))

USUAL: Any = object()
"""``is_public`` was not given."""


def image_get_all(
    context: RequestContext,
    filters: Mapping[str, Any] | None = None,
    marker: str | None = None,
    limit: int | None = None,
    sort_key: Sequence[str] | None = None,
    sort_dir: Sequence[str] | None = None,
    member_status: str = "accepted",
    is_public: bool | None = USUAL,
    admin_as_user: bool = False,
    return_tag: bool = False,
    detail: str = children.ROWS,
) -> list[Image]:
    """Return one page of the images that the caller may list.

    :param filters: all of them must hold.

        * ``id``, ``name``, ``status``, ``container_format``, ``disk_format``, ``owner``, ``checksum``,
          ``os_hash_algo``, ``os_hash_value``: exact text, or a list of which any matches
        * ``size``, ``virtual_size``, ``min_ram``, ``min_disk``: equal; ``size_min``, ``size_max``, ``min_ram_min``
          … ``min_disk_max``: inclusive
        * ``protected``, ``os_hidden`` (default False)
        * ``properties`` (names and values) and ``tags`` (a list): all must match
        * ``created_at``, ``updated_at``: lists of ``[operator, datetime]``, naive UTC, compared with the whole
          seconds that answers show; operators gt, gte, lt, lte, eq, neq
        * ``changes-since``: a datetime, naive UTC; strictly later; deleted and killed images too
        * ``deleted``: administrators only
        * ``visibility``: public, private, shared, community (everybody's) or all.  Users get of private and
          shared images their own and those shared with them.  Without it they get public ones, their own and
          those shared with them; administrators all but the community images of others
    :param marker: the page begins after this image
    :param limit: number of images; None: all
    :param sort_key, sort_dir: lists; created_at and id are added; default created_at, desc
    :param member_status: a membership counts only in this state; ``all``: in any
    :param is_public: v1: administrators: True and False select by visibility, None is everything.  Others, and
        with ``visibility``: ignored
    :param admin_as_user: give an administrator what any user of the same tenant gets; ``is_public`` is then ignored
    :param return_tag: add ``tags``
    :param detail: how much of the properties and locations, ``children.ROWS``, ``LIVE`` or ``NONE``
    :raises Invalid: bad filter, limit or sort, or a marker that is unknown, deleted or invisible
    """
    order = Order(sort_key, sort_dir)
    wanted = _Wanted(filters or {}, order.first, may_see_deleted=bool(context.is_admin))
    if limit is None:
        limit = MAX_INT
    elif isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise exception.Invalid("The limit must be a non-negative integer.")
    limit = min(limit, MAX_INT)
    scopes = wanted.scopes(context, is_public, limited=admin_as_user or not context.is_admin)
    wanted.values.update(me=context.owner, member_status=member_status)

    def work(conn: Connection) -> list[Image]:
        shape = selecting.Shape(
            conn.dialect.name,
            tuple(wanted.filters),
            tuple(wanted.selective),
            frozenset(wanted.several),
            wanted.deleted,
            wanted.hidden,
            scopes,
            member_status != "all",
        )
        row = _marker(conn, context, marker, shape.with_deleted)
        if wanted.impossible or not scopes or not limit:
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
    if name.startswith("tag"):
        return "tag", values[name]
    if name in _TIMES:
        return name, values[f"{name}_from"], values[f"{name}_before"]
    value = values[name.replace("-", "_")]
    return name, hash(tuple(value)) if isinstance(value, list) else value


class _Wanted:
    """The filters, checked.

    :ivar filters, selective, several: names for ``selecting.Shape``
    :ivar values: of the statements' parameters
    :ivar impossible: no image can match
    """

    def __init__(self, filters: Mapping[str, Any], first_key: str, *, may_see_deleted: bool) -> None:
        """:raises Invalid: an unknown name or a bad value"""
        self.filters: list[str] = []
        self.selective: list[str] = []
        self.several: list[str] = []
        self.values: dict[str, Any] = {}
        self.impossible = False
        self._first_key = first_key
        self._visibility = filters.get("visibility")
        if self._visibility is not None:
            checks.choice("visibility", self._visibility, (*VISIBILITIES, "all"))
        self.deleted: bool | None = filters.get("deleted") if may_see_deleted else None
        if self.deleted is None and "changes-since" not in filters:
            self.deleted = False
        # Hidden images are left out of lists, but not of the scrubber's.
        self.hidden: bool | None = filters.get("os_hidden", None if self.deleted else False)
        for name in sorted(filters.keys() - {"deleted", "os_hidden", "properties", "tags", "visibility"}):
            self._add(name, filters[name])
        if self.hidden:  # few are
            self.hidden = None
            self._put("os_hidden", True, selective=True)
        self._add_properties(filters.get("properties") or {})
        self._add_tags(filters.get("tags") or [])
        if sum(name.startswith(("property", "tag")) for name in self.selective) > _MAX_TABLES:
            raise exception.Invalid(f"At most {_MAX_TABLES} properties and tags can be filtered on at once.")

    def scopes(self, context: RequestContext, is_public: bool | None, *, limited: bool) -> tuple[str, ...]:
        """Whose images to look among, for ``selecting.Shape``; none: nothing can match.

        :param limited: only those that any user of the tenant could list
        """
        owned = context.owner is not None
        if limited:
            return self._scopes_of_user(context.owner)
        if self._visibility is not None:
            return (self._visibility,)
        if is_public is USUAL:
            return ("usual",) if owned else ("not community",)
        if is_public is None:
            return ("all",)
        return ("public",) if is_public else ("not public",)

    def _scopes_of_user(self, me: str | None) -> tuple[str, ...]:
        scopes = _SCOPES[self._visibility]
        if me is None:
            return tuple(scope for scope in scopes if scope in _ANYONES)
        if "owner" in self.values and "owner" not in self.several:
            if self.values["owner"] != me:
                return tuple(scope for scope in scopes if not scope.startswith("own"))
            return ("own",) if "own" in scopes else (f"own {self._visibility}",)
        return scopes

    def _add(self, name: str, value: Any) -> None:
        if name in _TEXTS:
            self._add_text(name, value)
        elif name in _NUMBERS or name in _BOUNDS:
            self._add_number(name, value)
        elif name == "protected":
            self._put(name, bool(value))
        elif name in _TIMES:
            self._add_times(name, value)
        elif name == "changes-since":
            self._put(name, checks.moment(name, value))
        else:
            raise exception.Invalid(f"'{name}' is not a filter.")

    def _put(self, name: str, value: Any, *, selective: bool | None = None) -> None:
        (self.selective if (name in _SELECTIVE if selective is None else selective) else self.filters).append(name)
        self.values[name.replace("-", "_")] = value

    def _add_text(self, name: str, value: Any) -> None:
        """One that cannot be stored is equal to nothing."""
        given = value if isinstance(value, list) else [value]
        values = list(dict.fromkeys(text for text in given if checks.storable(text)))
        if len(values) > _MAX_VALUES:
            raise exception.Invalid(f"At most {_MAX_VALUES} values of '{name}' can be asked for at once.")
        self.impossible |= not values
        several = len(values) != 1
        if several:
            self.several.append(name)
        selective = name in _SELECTIVE
        if name == "status":
            selective = not _COMMON_STATUSES.intersection(values)
        elif name == "owner":  # otherwise an index leads through the images of one
            selective = several or self._first_key not in selecting.ORDERS_OF_OWNERS
        self._put(name, values if several else values[0], selective=selective)

    def _add_number(self, name: str, value: Any) -> None:
        """A bound beyond what the column holds is met by all numbers or by none; NULL meets no bound."""
        bound = name.rpartition("_")[2] if name in _BOUNDS else None
        maximum = _BOUNDS[name] if bound else _NUMBERS[name]
        if isinstance(value, int) and not isinstance(value, bool):
            self.impossible |= (value < 0 and bound != "min") or (value > maximum and bound != "max")
            value = max(0, min(value, maximum))
        try:
            value = checks.number(name, value, maximum)
        except exception.Invalid:
            if bound:
                raise
            self.impossible = True
        self._put(name, value)

    def _add_times(self, name: str, comparisons: Any) -> None:
        start, end = _FIRST, _LAST
        left_out = set()
        for operator, moment in _comparisons(name, comparisons):
            second = moment.replace(microsecond=0)
            following = second + _SECOND if second < _LAST else _LAST
            whole = second if second == moment else following
            if operator == "neq":
                left_out |= {second} if second == moment else set()
                continue
            # What is shown is the beginning of a second: it is after a moment when all of that second is.
            # Nothing is shown as a fraction: between its two bounds there is no time.
            if operator in {"gt", "gte", "eq"}:
                start = max(start, following if operator == "gt" else whole)
            if operator in {"lt", "lte", "eq"}:
                end = min(end, whole if operator == "lt" else following)
        self.impossible |= start >= end
        if (start, end) != (_FIRST, _LAST):
            self._put(name, None, selective=name != self._first_key)
        self.values.update({f"{name}_from": start, f"{name}_before": end})
        left_out = {second for second in left_out if start <= second < end}
        if len(left_out) > _MAX_SECONDS_LEFT_OUT:
            raise exception.Invalid(f"At most {_MAX_SECONDS_LEFT_OUT} values of '{name}' can be left out at once.")
        for number, second in enumerate(sorted(left_out)):
            self.filters.append(f"{name}_not{number}")
            self.values.update({f"{name}_not{number}": second, f"{name}_not{number}_end": second + _SECOND})

    def _add_properties(self, properties: Mapping[str, Any]) -> None:
        for number, (name, value) in enumerate(properties.items()):
            self._require_storable(name)
            self._require_storable(value)
            self.selective.append(f"property{number}")
            self.values.update({f"property{number}_name": name, f"property{number}_value": value})

    def _add_tags(self, tags: Any) -> None:
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise exception.Invalid("'tags' must be a list of strings.")
        for number, tag in enumerate(dict.fromkeys(tags)):
            self._require_storable(tag)
            self._put(f"tag{number}", tag, selective=True)

    def _require_storable(self, value: Any) -> None:
        self.impossible |= not checks.storable(value)


def _comparisons(name: str, given: Any) -> list[tuple[str, datetime]]:
    """Pairs of an operator and a time, both checked."""
    try:
        return [
            (checks.choice("operator", operator, _OPERATORS), checks.moment(name, moment)) for operator, moment in given
        ]
    except (TypeError, ValueError):
        raise exception.Invalid(f"'{name}' must be a list of pairs of an operator and a time.") from None
