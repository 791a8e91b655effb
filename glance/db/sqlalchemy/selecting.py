"""The statements that find a page of images (spec database.md §5.3).

They are made once for each shape of a list and filled with values ever after: making
one takes longer than running it.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from glance.db.sqlalchemy.comparing import equals
from glance.db.sqlalchemy.models import VALUE_PREFIX, image_members, image_properties, images
from glance.db.sqlalchemy.paging import Group

FEW = 1000
"""Up to so many images that meet a filter are fetched and sorted; more are found by a walk."""
_SORTED = 5000
"""Up to so many images of an owner are sorted where no index has them in order."""
_SHAPES = 256

_ALL = {"created_at": "created_at_image_idx", "updated_at": "gx_images_updated", "name": "gx_images_name"}
_OWN = {"created_at": "gx_images_owner", "name": "gx_images_owner_name"}
_OF_VISIBILITY = {"created_at": "gx_images_visibility", "name": "gx_images_visibility_name"}
"""By first sort key the index that has all images, an owner's, or those of a visibility in that order."""
HINTS = frozenset((*_ALL.values(), *_OWN.values(), *_OF_VISIBILITY.values()))
"""Indexes that a plan may name."""

_LIMIT: sa.BindParameter[int] = sa.bindparam("limit", type_=sa.Integer)
_PUBLIC = images.c.visibility == "public"


class Shape(NamedTuple):
    """What a list asks for, apart from the values.

    :ivar filters: names of filters on columns of ``images``, bound by their names with ``_`` for ``-``
    :ivar selective: names of filters that few images may meet; ``property0`` … are bound as
        ``property0_name`` and ``property0_value``
    :ivar deleted: the rows' flag, None: either
    :ivar hidden: likewise os_hidden
    :ivar public: for administrators: public images alone (True), all others (False)
    :ivar limited: only images that the caller may list, that is the public ones and, if ``owned``, those of
        ``owner`` and those shared with it
    :ivar by_member_status: a membership counts only in ``member_status``
    """

    dialect: str
    filters: tuple[str, ...]
    selective: tuple[str, ...]
    deleted: bool | None
    hidden: bool | None
    public: bool | None
    limited: bool
    owned: bool
    by_member_status: bool

    @property
    def with_deleted(self) -> bool:
        """Deleted images may be among the answer."""
        return self.deleted is not False


class Plan(NamedTuple):
    """How a page is found.

    :ivar few: the selective filter to begin with, None: walk
    :ivar shared: how many images are shared with the caller: none (False), few (True), or many (None)
    :ivar many_own: the caller owns so many that they are not sorted, but met on a walk through all images
    :ivar hints: those of ``HINTS`` that exist and that MariaDB may be told to use
    """

    few: str | None
    shared: bool | None
    many_own: bool
    hints: frozenset[str]


@functools.lru_cache(_SHAPES)
def probe(shape: Shape, common: frozenset[str], first_key: str) -> sa.Select | None:
    """One row that says by name how many images meet each selective filter, counted to ``FEW`` + 1.

    ``shared`` says likewise how many are shared with the owner, and ``own`` whether it owns many, if no index
    has its images in the order of ``first_key``.  None: there is nothing to ask.

    :param common: filters that need no counting, because many images met them a while ago
    """
    columns: list[sa.ColumnElement[Any]] = [
        _count(_ids(shape, name), FEW).label(name) for name in shape.selective if name not in common
    ]
    if shape.owned:
        columns.append(_count(_memberships(shape), FEW).label("shared"))
        if first_key in _ALL and first_key not in _OWN:
            own = sa.select(images.c.id).where(_own(shape), images.c.deleted == sa.false())
            columns.append((_count(own, _SORTED) > _SORTED).label("own"))
    return sa.select(*columns) if columns else None


@functools.lru_cache(_SHAPES)
def page(shape: Shape, plan: Plan, group: Group) -> sa.Select:
    """The first ``:limit`` rows of ``images`` that are asked for, of this group, in order."""
    conditions = _conditions(shape)
    conditions += [_condition(shape, name) for name in shape.selective if name != plan.few]
    if plan.few is not None:
        return _among(shape, _ids(shape, plan.few), [*conditions, *_visible(shape)], group)
    if not shape.limited:
        return _walk(conditions, group, plan, _ALL)
    walks = [_walk([_PUBLIC, *conditions], group, plan, _OF_VISIBILITY)]
    if shape.owned:
        walks.append(_walk([_own(shape), *conditions], group, plan, _ALL if plan.many_own else _OWN))
        with_me = [images.c.visibility == "shared", *conditions]
        if plan.shared is None:
            walks.append(_walk([*with_me, _shared(shape)], group, plan, _OF_VISIBILITY))
        elif plan.shared:
            walks.append(_among(shape, _memberships(shape), with_me, group))
    return _merge(walks, group)


# --- statements ------------------------------------------------------------------


def _count(ids: sa.Select, limit: int) -> sa.ScalarSelect[int]:
    """How many rows, counted no further than just above the limit."""
    return sa.select(sa.func.count()).select_from(ids.limit(limit + 1).subquery()).scalar_subquery()


def _walk(conditions: list[sa.ColumnElement[bool]], group: Group, plan: Plan, indexes: Mapping[str, str]) -> sa.Select:
    """Rows along an index of the order, until there are enough."""
    statement = sa.select(images).where(*conditions, *group.conditions())
    # Left alone, MariaDB finds the other columns of the index and reads all rows up to the marker.
    index = indexes.get(group.first)
    if index in plan.hints:
        statement = statement.with_hint(images, f"FORCE INDEX ({index})", "mysql")
    return statement.order_by(*group.order_by(images)).limit(_LIMIT)


def _among(shape: Shape, ids: sa.Select, conditions: list[sa.ColumnElement[bool]], group: Group) -> sa.Select:
    """Of at most ``FEW`` images those that meet the conditions, sorted; their limit makes databases begin there."""
    few = ids.distinct().limit(FEW).subquery("few")
    statement = sa.select(images).select_from(few.join(images, images.c.id == few.c.id))
    if shape.dialect == "mysql":
        statement = statement.prefix_with("STRAIGHT_JOIN")
    return statement.where(*conditions, *group.conditions()).order_by(*group.order_by(images)).limit(_LIMIT)


def _merge(walks: list[sa.Select], group: Group) -> sa.Select:
    """The first rows of all walks together, an image once; only ids and sort keys are merged."""
    if len(walks) == 1:
        return walks[0]
    columns = group.columns()
    merged = sa.union(*(sa.select(walk.with_only_columns(*columns).subquery()) for walk in walks)).subquery("merged")
    chosen = sa.select(merged.c.id).order_by(*group.order_by(merged)).limit(_LIMIT).subquery("chosen")
    statement = sa.select(images).select_from(chosen.join(images, images.c.id == chosen.c.id))
    return statement.order_by(*group.order_by(images))


# --- conditions --------------------------------------------------------------------


def _conditions(shape: Shape) -> list[sa.ColumnElement[bool]]:
    """For which no index is worth it."""
    found = [_condition(shape, name) for name in shape.filters]
    if shape.deleted is not None:
        found.append(images.c.deleted == _literal(shape.deleted))
    if not shape.with_deleted:
        found.append(images.c.status != "killed")
    if shape.hidden is not None:
        found.append(images.c.os_hidden == _literal(shape.hidden))
    if shape.public is not None:
        found.append(_PUBLIC if shape.public else images.c.visibility != "public")
    return found


def _condition(shape: Shape, name: str) -> sa.ColumnElement[bool]:
    """A filter, for one row of ``images``."""
    if name.startswith("property"):
        column = image_properties.c
        return sa.exists().where(column.image_id == images.c.id, *_property(shape, name))
    if name == "size_min":
        return images.c.size >= sa.bindparam(name)
    if name == "size_max":
        return images.c.size <= sa.bindparam(name)
    if name == "changes-since":
        return images.c.updated_at > sa.bindparam("changes_since")
    if isinstance(images.c[name].type, sa.String):
        return equals(shape.dialect, images.c[name], sa.bindparam(name, type_=sa.String()))
    return images.c[name] == sa.bindparam(name)


def _ids(shape: Shape, name: str) -> sa.Select:
    """The ids of all images that meet a selective filter."""
    if name.startswith("property"):
        return sa.select(image_properties.c.image_id.label("id")).where(*_property(shape, name))
    return sa.select(images.c.id).where(_condition(shape, name))


def _property(shape: Shape, name: str) -> list[sa.ColumnElement[bool]]:
    column = image_properties.c
    value = sa.bindparam(f"{name}_value", type_=sa.String())
    found = [
        equals(shape.dialect, column.name, sa.bindparam(f"{name}_name", type_=sa.String())),
        equals(shape.dialect, column.value, value),
    ]
    if shape.dialect == "postgresql":  # whose index holds the beginning only
        found.append(sa.func.left(column.value, VALUE_PREFIX) == sa.func.left(value, VALUE_PREFIX))
    if not shape.with_deleted:
        found.append(column.deleted == sa.false())
    return found


def _visible(shape: Shape) -> list[sa.ColumnElement[bool]]:
    """What the caller may list, as one condition: for few rows only, no index serves it."""
    if not shape.limited:
        return []
    if not shape.owned:
        return [_PUBLIC]
    return [sa.or_(_PUBLIC, _own(shape), sa.and_(images.c.visibility == "shared", _shared(shape)))]


def _own(shape: Shape) -> sa.ColumnElement[bool]:
    return equals(shape.dialect, images.c.owner, sa.bindparam("owner", type_=sa.String()))


def _shared(shape: Shape) -> sa.ColumnElement[bool]:
    return sa.exists().where(image_members.c.image_id == images.c.id, *_membership(shape))


def _memberships(shape: Shape) -> sa.Select:
    return sa.select(image_members.c.image_id.label("id")).where(*_membership(shape))


def _membership(shape: Shape) -> list[sa.ColumnElement[bool]]:
    column = image_members.c
    found = [
        equals(shape.dialect, column.member, sa.bindparam("owner", type_=sa.String())),
        column.deleted == sa.false(),
    ]
    if shape.by_member_status:
        found.append(column.status == sa.bindparam("member_status"))
    return found


def _literal(flag: bool) -> sa.ColumnElement[Any]:
    return sa.true() if flag else sa.false()
