"""The data functions that a registry answers to over RPC (spec registry.md §4.3).

``glance.db.sqlalchemy.api`` has them all, with the same arguments after the context;
``glance.db.registry.api`` sends them.  Names and arguments of the upper part are those
that API servers of other versions send; the lower part is this product's own.
"""

COMMANDS: dict[str, tuple[str, ...]] = {
    "image_create": ("values", "max_count", "return_tag"),
    "image_update": (
        "image_id", "values", "purge_props", "from_state", "transfer", "max_usage", "if_match", "return_tag",
    ),
    "image_destroy": ("image_id", "status", "from_state", "if_match"),
    "image_restore": ("image_id", "status"),
    "image_get": ("image_id", "force_show_deleted", "detail", "return_tag"),
    "image_get_all": (
        "filters", "marker", "limit", "sort_key", "sort_dir", "member_status", "is_public", "admin_as_user",
        "return_tag", "detail",
    ),
    "is_image_visible": ("image", "status"),
    "is_image_mutable": ("image",),
    "image_location_add": ("image_id", "location"),
    "image_location_update": ("image_id", "location"),
    "image_location_delete": ("image_id", "location_id", "status", "delete_time"),
    "image_property_create": ("values",),
    "image_property_delete": ("prop_ref", "image_ref"),
    "image_set_property_atomic": ("image_id", "name", "value"),
    "image_delete_property_atomic": ("image_id", "name", "value"),
    "image_member_create": ("values", "max_count"),
    "image_member_update": ("memb_id", "values"),
    "image_member_delete": ("memb_id",),
    "image_member_find": ("image_id", "member", "status", "include_deleted"),
    "image_member_count": ("image_id",),
    "image_tag_create": ("image_id", "value"),
    "image_tag_delete": ("image_id", "value"),
    "image_tag_get_all": ("image_id",),
    "image_tag_set_all": ("image_id", "tags"),
    "user_get_storage_usage": ("owner_id", "image_id"),
    "user_get_image_count": ("owner_id",),
    # Our own: each saves an operation a second round trip.
    "image_finish_delete": ("image_id",),
    "image_member_save": ("image_id", "member", "can_share"),
    "image_member_replace": ("image_id", "members"),
    "is_image_sharable": ("image",),
    "transfers_beat": ("node", "image_ids"),
    "transfers_get_all": (),
}  # fmt: skip
"""Name → names of the arguments after the context, in their order."""

ONCE = frozenset(
    (
        "image_create", "image_property_create", "image_set_property_atomic", "image_delete_property_atomic",
        "image_member_create", "image_member_delete", "image_tag_delete",
    )
)  # fmt: skip
"""Commands that do something else when they are sent a second time."""
