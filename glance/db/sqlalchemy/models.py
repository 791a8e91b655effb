"""The tables (spec database.md §1, §9) and the extra indexes (§5.1).

``metadata`` holds the schema that upstream Glance knows, names included: a database
of this product can be handed back to it.  ``own_metadata`` holds this product's side
tables, which upstream ignores.
"""

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, DateTime, ForeignKey, Index, Integer, String, Text, UniqueConstraint

metadata = sa.MetaData()
own_metadata = sa.MetaData()

_MYSQL: Any = {"mysql_engine": "InnoDB", "mysql_charset": "utf8"}
_BIG = BigInteger().with_variant(Integer(), "sqlite")
# The labels stand in this order in every database that upstream made.
_VISIBILITY = sa.Enum("private", "public", "shared", "community", name="image_visibility")


def _times() -> list[Column]:
    return [Column("created_at", DateTime, nullable=False), Column("updated_at", DateTime)]


def _soft_delete() -> list[Column]:
    return [*_times(), Column("deleted_at", DateTime), Column("deleted", Boolean, nullable=False)]


def _image_id() -> Column:
    return Column("image_id", String(36), ForeignKey("images.id"), nullable=False)


def _namespace_id() -> Column:
    return Column("namespace_id", Integer, ForeignKey("metadef_namespaces.id"), nullable=False)


images = sa.Table(
    "images",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(255)),
    Column("size", _BIG),
    Column("status", String(30), nullable=False),
    *_soft_delete(),
    Column("disk_format", String(20)),
    Column("container_format", String(20)),
    Column("checksum", String(32)),
    Column("owner", String(255)),
    Column("min_disk", Integer, nullable=False),
    Column("min_ram", Integer, nullable=False),
    Column("protected", Boolean, nullable=False, server_default=sa.false()),
    Column("virtual_size", _BIG),
    Column("visibility", _VISIBILITY, nullable=False, server_default="shared"),
    Column("os_hidden", Boolean, nullable=False, server_default=sa.false()),
    Column("os_hash_algo", String(64)),
    Column("os_hash_value", String(128)),
    Index("checksum_image_idx", "checksum"),
    Index("visibility_image_idx", "visibility"),
    Index("ix_images_deleted", "deleted"),
    Index("owner_image_idx", "owner"),
    Index("created_at_image_idx", "created_at"),
    Index("updated_at_image_idx", "updated_at"),
    Index("os_hidden_image_idx", "os_hidden"),
    Index("os_hash_value_image_idx", "os_hash_value"),
    **_MYSQL,
)

image_properties = sa.Table(
    "image_properties",
    metadata,
    Column("id", Integer, primary_key=True),
    _image_id(),
    Column("name", String(255), nullable=False),
    Column("value", Text),
    *_soft_delete(),
    UniqueConstraint("image_id", "name", name="ix_image_properties_image_id_name"),
    Index("ix_image_properties_image_id", "image_id"),
    Index("ix_image_properties_deleted", "deleted"),
    **_MYSQL,
)

image_locations = sa.Table(
    "image_locations",
    metadata,
    Column("id", Integer, primary_key=True),
    _image_id(),
    Column("value", Text, nullable=False),
    *_soft_delete(),
    Column("meta_data", Text),
    Column("status", String(30), nullable=False, server_default="active"),
    Index("ix_image_locations_image_id", "image_id"),
    Index("ix_image_locations_deleted", "deleted"),
    **_MYSQL,
)

image_members = sa.Table(
    "image_members",
    metadata,
    Column("id", Integer, primary_key=True),
    _image_id(),
    Column("member", String(255), nullable=False),
    Column("can_share", Boolean, nullable=False),
    *_soft_delete(),
    Column("status", String(20), nullable=False, server_default="pending"),
    UniqueConstraint("image_id", "member", "deleted_at", name="image_members_image_id_member_deleted_at_key"),
    Index("ix_image_members_deleted", "deleted"),
    Index("ix_image_members_image_id", "image_id"),
    Index("ix_image_members_image_id_member", "image_id", "member"),
    **_MYSQL,
)

image_tags = sa.Table(
    "image_tags",
    metadata,
    Column("id", Integer, primary_key=True),
    _image_id(),
    Column("value", String(255), nullable=False),
    *_soft_delete(),
    Index("ix_image_tags_image_id", "image_id"),
    Index("ix_image_tags_image_id_tag_value", "image_id", "value"),
    **_MYSQL,
)

tasks = sa.Table(
    "tasks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("type", String(30), nullable=False),
    Column("status", String(30), nullable=False),
    Column("owner", String(255), nullable=False),
    Column("expires_at", DateTime),
    *_soft_delete(),
    Column("image_id", String(36)),
    Column("request_id", String(64)),
    Column("user_id", String(64)),
    Index("ix_tasks_type", "type"),
    Index("ix_tasks_status", "status"),
    Index("ix_tasks_owner", "owner"),
    Index("ix_tasks_deleted", "deleted"),
    Index("ix_tasks_updated_at", "updated_at"),
    Index("ix_tasks_image_id", "image_id"),
    **_MYSQL,
)

task_info = sa.Table(
    "task_info",
    metadata,
    Column("task_id", String(36), ForeignKey("tasks.id"), primary_key=True),
    Column("input", Text),
    Column("result", Text),
    Column("message", Text),
    **_MYSQL,
)

metadef_namespaces = sa.Table(
    "metadef_namespaces",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("namespace", String(80), nullable=False),
    Column("display_name", String(80)),
    Column("description", Text),
    Column("visibility", String(32)),
    Column("protected", Boolean),
    Column("owner", String(255), nullable=False),
    *_times(),
    UniqueConstraint("namespace", name="uq_metadef_namespaces_namespace"),
    Index("ix_metadef_namespaces_owner", "owner"),
    **_MYSQL,
)

metadef_objects = sa.Table(
    "metadef_objects",
    metadata,
    Column("id", Integer, primary_key=True),
    _namespace_id(),
    Column("name", String(80), nullable=False),
    Column("description", Text),
    Column("required", Text),
    Column("json_schema", Text, nullable=False),
    *_times(),
    UniqueConstraint("namespace_id", "name", name="uq_metadef_objects_namespace_id_name"),
    Index("ix_metadef_objects_name", "name"),
    **_MYSQL,
)

metadef_properties = sa.Table(
    "metadef_properties",
    metadata,
    Column("id", Integer, primary_key=True),
    _namespace_id(),
    Column("name", String(80), nullable=False),
    Column("json_schema", Text, nullable=False),
    *_times(),
    UniqueConstraint("namespace_id", "name", name="uq_metadef_properties_namespace_id_name"),
    Index("ix_metadef_properties_name", "name"),
    **_MYSQL,
)

metadef_tags = sa.Table(
    "metadef_tags",
    metadata,
    Column("id", Integer, primary_key=True),
    _namespace_id(),
    Column("name", String(80), nullable=False),
    *_times(),
    UniqueConstraint("namespace_id", "name", name="uq_metadef_tags_namespace_id_name"),
    Index("ix_metadef_tags_name", "name"),
    **_MYSQL,
)

metadef_resource_types = sa.Table(
    "metadef_resource_types",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False),
    Column("protected", Boolean, nullable=False),
    *_times(),
    UniqueConstraint("name", name="uq_metadef_resource_types_name"),
    **_MYSQL,
)

metadef_namespace_resource_types = sa.Table(
    "metadef_namespace_resource_types",
    metadata,
    Column("resource_type_id", Integer, ForeignKey("metadef_resource_types.id"), primary_key=True),
    Column("namespace_id", Integer, ForeignKey("metadef_namespaces.id"), primary_key=True),
    Column("properties_target", String(80)),
    Column("prefix", String(80)),
    *_times(),
    Index("ix_metadef_ns_res_types_namespace_id", "namespace_id"),
    **_MYSQL,
)

node_reference = sa.Table(
    "node_reference",
    metadata,
    Column("node_reference_id", _BIG, primary_key=True, autoincrement=True),
    Column("node_reference_url", String(255), nullable=False),
    UniqueConstraint("node_reference_url", name="uq_node_reference_node_reference_url"),
    **_MYSQL,
)

cached_images = sa.Table(
    "cached_images",
    metadata,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("image_id", String(36), nullable=False),
    Column("last_accessed", DateTime, nullable=False),
    Column("last_modified", DateTime, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("hits", Integer, nullable=False),
    Column("checksum", String(32)),
    Column("node_reference_id", _BIG, ForeignKey("node_reference.node_reference_id"), nullable=False),
    UniqueConstraint("image_id", "node_reference_id", name="ix_cached_images_image_id_node_reference_id"),
    **_MYSQL,
)

alembic_version = sa.Table(
    "alembic_version",
    sa.MetaData(),  # written by the migrations alone, last of all
    Column("version_num", String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

# --- this product's own ------------------------------------------------------

glance_schema = sa.Table(
    "glance_schema",
    own_metadata,
    Column("name", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    **_MYSQL,
)

glance_legacy_ids = sa.Table(
    "glance_legacy_ids",
    own_metadata,
    Column("old_id", Integer, primary_key=True, autoincrement=False),
    Column("image_id", String(36), nullable=False, unique=True),
    **_MYSQL,
)

glance_transfers = sa.Table(
    "glance_transfers",
    own_metadata,
    Column("image_id", String(36), primary_key=True),
    Column("node", String(255), nullable=False),
    Column("started", DateTime, nullable=False),
    Column("beat", DateTime, nullable=False),
    **_MYSQL,
)

# One row per owner that creates images or fills its quota: whoever counts what the
# owner has writes the row first, so that two of them take turns (also on Galera,
# where only rows that are written collide).
glance_owners = sa.Table(
    "glance_owners",
    own_metadata,
    Column("owner", String(255), primary_key=True),
    Column("turns", BigInteger, nullable=False),
    **_MYSQL,
)

# --- extra indexes -----------------------------------------------------------

VALUE_PREFIX = 64
"""Characters of a property value that MySQL and PostgreSQL index."""


class ExtraIndex(NamedTuple):
    """``columns`` hold on every engine but those in ``instead``; no columns there: no such index."""

    table: str
    columns: tuple[str, ...]
    instead: dict[str, tuple[str, ...]] = {}


EXTRA_INDEXES = {
    # InnoDB's own index on created_at already ends in the primary key, and one that begins with
    # deleted would lead its optimizer astray.  It cannot sort the rest of a page as the others do.
    "gx_images_created": ExtraIndex("images", ("deleted", "created_at", "id"), {"mysql": ()}),
    "gx_images_updated": ExtraIndex(
        "images", ("deleted", "updated_at", "id"), {"mysql": ("updated_at", "created_at", "id")}
    ),
    "gx_images_name": ExtraIndex(
        "images", ("deleted", "name", "created_at", "id"), {"mysql": ("name", "created_at", "id")}
    ),
    "gx_images_owner": ExtraIndex("images", ("owner", "deleted", "created_at", "id")),
    "gx_images_visibility": ExtraIndex("images", ("visibility", "deleted", "created_at", "id")),
    "gx_images_owner_name": ExtraIndex("images", ("owner", "deleted", "name", "created_at", "id")),
    "gx_images_owner_visibility": ExtraIndex("images", ("owner", "visibility", "deleted", "created_at", "id")),
    "gx_images_visibility_name": ExtraIndex("images", ("visibility", "deleted", "name", "created_at", "id")),
    "gx_images_status": ExtraIndex("images", ("status", "id")),
    "gx_images_usage": ExtraIndex("images", ("owner", "status", "size", "id")),
    # PostgreSQL refuses rows whose entry in an index is long, InnoDB indexes no whole TEXT.
    "gx_image_properties_value": ExtraIndex(
        "image_properties",
        ("name", "value", "image_id"),
        {"postgresql": ("name", f"left(value, {VALUE_PREFIX})", "image_id")},
    ),
    "gx_image_tags_value": ExtraIndex("image_tags", ("value", "image_id")),
    "gx_image_members_member": ExtraIndex("image_members", ("member", "status", "image_id")),
    "gx_image_locations_status": ExtraIndex("image_locations", ("status", "image_id")),
}
