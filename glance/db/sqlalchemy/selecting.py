"""The statements that find a page of images (spec database.md §5.3).

They are made once for each shape of a list and filled with values ever after: making
one takes longer than running it.
"""

import functools
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import BINARY

from glance.db.sqlalchemy.comparing import equals, live
from glance.db.sqlalchemy.models import VALUE_PREFIX, image_members, image_properties, image_tags, images
from glance.db.sqlalchemy.paging import Group
from glance.images.model import VISIBILITIES

FEW = 1000
"""Up to so many images that meet a filter are fetched and sorted; more are found by a walk."""
_SORTED = 5000
"""Up to so many images of an owner are sorted where no index has them in order."""
_SHAPES = 256

_ALL = {"created_at": "created_at_image_idx", "updated_at": "gx_images_updated", "name": "gx_images_name"}
_OWN = {"created_at": "gx_images_owner", "name": "gx_images_owner_name"}
_OF_VISIBILITY = {"created_at": "gx_images_visibility", "name": "gx_images_visibility_name"}
_OWN_OF_VISIBILITY = {"created_at": "gx_images_owner_visibility"}
"""By first sort key the index that has all images, an owner's, those of a visibility, or of both, in that order."""
HINTS = frozenset(name for by_key in (_ALL, _OWN, _OF_VISIBILITY, _OWN_OF_VISIBILITY) for name in by_key.values())
"""Indexes that a plan may name."""
ORDERS_OF_OWNERS = frozenset(_OWN)
"""First sort keys by which an index has every owner's images in order."""

_LIMIT: sa.BindParameter[int] = sa.bindparam("limit", type_=sa.Integer)


class Shape(NamedTuple):
    """What a list asks for, apart from the values.

    :ivar filters: names of filters on columns of ``images``, bound by their names with ``_`` for ``-``.  Besides
        the columns there are bounds (``size_min``, ``size_max``, ``created_at_from``, ``created_at_before``) and
        ``created_at_not0``, which is not before ``created_at_not0_end``
    :ivar selective: names of filters that few images may meet; ``property0`` … are bound as
        ``property0_name`` and ``property0_value``, ``created_at`` as its two bounds
    :ivar several: filters that are bound to a list: any of its values
    :ivar deleted: the rows' flag, None: either
    :ivar hidden: likewise os_hidden
    :ivar scopes: the images come from all of these:
        ``all``; ``public`` and so on, ``not public``, ``not community``: of a visibility, or of none but it;
        ``usual``: all but the community images of others; ``own``, ``own public`` and so on; ``with me``: shared
        with the caller.  The caller is bound as ``me``
    :ivar by_member_status: a membership counts only in ``member_status``
    """

    dialect: str
    filters: tuple[str, ...]
    selective: tuple[str, ...]
    several: frozenset[str]
    deleted: bool | None
    hidden: bool | None
    scopes: tuple[str, ...]
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

    ``shared`` says likewise how many are shared with the caller, and ``own`` whether it owns many, if no index
    has its images in the order of ``first_key``.  None: there is nothing to ask.

    :param common: filters that need no counting, because many images met them a while ago
    """
    columns: list[sa.ColumnElement[Any]] = [
        _count(_ids(shape, name), FEW).label(name) for name in shape.selective if name not in common
    ]
    if "with me" in shape.scopes:
        columns.append(_count(_memberships(shape), FEW).label("shared"))
    if first_key in _ALL and first_key not in _OWN and any(scope.startswith("own") for scope in shape.scopes):
        own = sa.select(images.c.id).where(_own(shape), images.c.deleted == sa.false())
        columns.append((_count(own, _SORTED) > _SORTED).label("own"))
    return sa.select(*columns) if columns else None


@functools.lru_cache(_SHAPES)
def page(shape: Shape, plan: Plan, group: Group) -> sa.Select:
    """The first ``:limit`` rows of ``images`` that are asked for, of this group, in order."""
    conditions = _conditions(shape)
    conditions += [_condition(shape, name) for name in shape.selective if name != plan.few]
    if plan.few is not None:
        return _among(shape, _ids(shape, plan.few), [*conditions, *_in_scope(shape)], group)
    walks = []
    for scope in shape.scopes:
        if scope != "with me" or plan.shared is None:
            index = _index(shape, plan, scope, group.first)
            walks.append(_walk([*_scope(shape, scope), *conditions], group, index))
        elif plan.shared:
            shared = images.c.visibility == "shared"
            walks.append(_among(shape, _memberships(shape), [shared, *conditions], group))
    return _merge(walks, group)


# --- statements ------------------------------------------------------------------


def _count(ids: sa.Select, limit: int) -> sa.ScalarSelect[int]:
    """How many rows, counted no further than just above the limit."""
    return sa.select(sa.func.count()).select_from(ids.limit(limit + 1).subquery()).scalar_subquery()


def _index(shape: Shape, plan: Plan, scope: str, first_key: str) -> str | None:
    """The index that has the images of a scope in order, if MariaDB may be told to use it.

    Left alone, it finds the other columns of the index and reads all rows up to the marker.
    """
    of_owner = scope.startswith("own") or ("owner" in shape.filters and "owner" not in shape.several)
    of_visibility = scope == "with me" or scope.removeprefix("own ") in VISIBILITIES
    indexes = [_OF_VISIBILITY if of_visibility else _ALL]
    if of_owner:
        indexes = [_OWN_OF_VISIBILITY, _OWN] if of_visibility else [_OWN]
        indexes += [_ALL] if plan.many_own else []
    names = [by_key[first_key] for by_key in indexes if by_key.get(first_key) in plan.hints]
    return names[0] if names else None


def _walk(conditions: list[sa.ColumnElement[bool]], group: Group, index: str | None) -> sa.Select:
    """Rows along an index of the order, until there are enough."""
    statement = sa.select(images).where(*conditions, *group.conditions())
    if index is not None:
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


# --- whose images ------------------------------------------------------------------


def _scope(shape: Shape, scope: str) -> list[sa.ColumnElement[bool]]:
    """What makes an image one of a scope."""
    visibility = images.c.visibility
    if scope == "all":
        return []
    if scope == "usual":
        return [sa.or_(visibility != "community", _own(shape))]
    if scope == "with me":
        return [visibility == "shared", _shared(shape)]
    which, _, name = scope.rpartition(" ")
    if which == "not":
        return [visibility != name]
    if name == "own":
        return [_own(shape)]
    return [_own(shape), visibility == name] if which == "own" else [visibility == name]


def _in_scope(shape: Shape) -> list[sa.ColumnElement[bool]]:
    """What the caller may list, as one condition: for few rows only, no index serves it."""
    if "all" in shape.scopes:
        return []
    return [sa.or_(*(sa.and_(*_scope(shape, scope)) for scope in shape.scopes))]


def _own(shape: Shape) -> sa.ColumnElement[bool]:
    return equals(shape.dialect, images.c.owner, sa.bindparam("me", type_=sa.String()))


def _shared(shape: Shape) -> sa.ColumnElement[bool]:
    return sa.exists().where(image_members.c.image_id == images.c.id, *_membership(shape))


def _memberships(shape: Shape) -> sa.Select:
    return sa.select(image_members.c.image_id.label("id")).where(*_membership(shape))


def _membership(shape: Shape) -> list[sa.ColumnElement[bool]]:
    column = image_members.c
    found = [
        equals(shape.dialect, column.member, sa.bindparam("me", type_=sa.String())),
        live(shape.dialect, column),
    ]
    if shape.by_member_status:
        found.append(column.status == sa.bindparam("member_status"))
    return found


# --- filters -----------------------------------------------------------------------


def _conditions(shape: Shape) -> list[sa.ColumnElement[bool]]:
    """For which no index is worth it."""
    found = [_condition(shape, name) for name in shape.filters]
    if shape.deleted is not None:
        found.append(images.c.deleted == _literal(shape.deleted))
    if not shape.with_deleted:
        found.append(images.c.status != "killed")
    if shape.hidden is not None:
        found.append(images.c.os_hidden == _literal(shape.hidden))
    return found


def _condition(shape: Shape, name: str) -> sa.ColumnElement[bool]:
    """A filter, for one row of ``images``."""
    if name.startswith("property"):
        return sa.exists().where(image_properties.c.image_id == images.c.id, *_property(shape, name))
    if name.startswith("tag"):
        return sa.exists().where(image_tags.c.image_id == images.c.id, *_tag(shape, name))
    if name == "changes-since":
        return images.c.updated_at > sa.bindparam("changes_since")
    if name not in images.c:
        return _bound(name)
    column = images.c[name]
    if isinstance(column.type, sa.DateTime):
        return sa.and_(_bound(f"{name}_from"), _bound(f"{name}_before"))
    if name in shape.several:
        return _any_of(shape, column)
    value = sa.bindparam(name, type_=column.type)
    return equals(shape.dialect, column, value) if isinstance(column.type, sa.String) else column == value


def _bound(name: str) -> sa.ColumnElement[bool]:
    of, _, bound = name.rpartition("_")
    column = images.c[of]
    value = sa.bindparam(name, type_=column.type)
    if bound in {"min", "from"}:
        return column >= value
    if bound == "max":
        return column <= value
    if bound == "before":
        return column < value
    return sa.or_(column < value, column >= sa.bindparam(f"{name}_end", type_=column.type))


def _any_of(shape: Shape, column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """One statement for lists of any length."""
    values: sa.BindParameter[Any] = sa.bindparam(column.name, type_=sa.String(), expanding=True)
    if shape.dialect != "mysql":
        return column.in_(values)
    return sa.and_(column.in_(values), sa.cast(column, BINARY).in_(values))


def _ids(shape: Shape, name: str) -> sa.Select:
    """The ids of all images that meet a selective filter."""
    if name.startswith("property"):
        return sa.select(image_properties.c.image_id.label("id")).where(*_property(shape, name))
    if name.startswith("tag"):
        return sa.select(image_tags.c.image_id.label("id")).where(*_tag(shape, name))
    statement = sa.select(images.c.id).where(_condition(shape, name))
    if shape.dialect != "mysql" and name in _ALL and shape.deleted is not None:  # with which their indexes begin
        statement = statement.where(images.c.deleted == _literal(shape.deleted))
    return statement


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
        found.append(live(shape.dialect, column))
    return found


def _tag(shape: Shape, name: str) -> list[sa.ColumnElement[bool]]:
    column = image_tags.c
    value = sa.bindparam(name, type_=sa.String())
    return [equals(shape.dialect, column.value, value), live(shape.dialect, column)]


def _literal(flag: bool) -> sa.ColumnElement[Any]:
    return sa.true() if flag else sa.false()
