"""The data functions: what ``data_api = glance.db.sqlalchemy.api`` and the registry call (spec registry.md §4.3).

Every function takes a ``glance.context.RequestContext`` first.  ``configure(conf)`` comes
before all of them; a process that was forked calls ``dispose_after_fork()``.
"""

from glance.db.sqlalchemy.access import is_image_mutable, is_image_sharable, is_image_visible
from glance.db.sqlalchemy.engine import configure, dispose_after_fork
from glance.db.sqlalchemy.images import (
    image_create,
    image_destroy,
    image_finish_delete,
    image_get,
    image_id_of_legacy,
    image_ids_in_use,
    image_restore,
    image_update,
)
from glance.db.sqlalchemy.listing import image_get_all
from glance.db.sqlalchemy.members import (
    image_member_count,
    image_member_create,
    image_member_delete,
    image_member_find,
    image_member_replace,
    image_member_save,
    image_member_update,
)
from glance.db.sqlalchemy.parts import (
    image_delete_property_atomic,
    image_location_add,
    image_location_delete,
    image_location_update,
    image_property_create,
    image_property_delete,
    image_set_property_atomic,
    image_tag_create,
    image_tag_delete,
    image_tag_get_all,
    image_tag_set_all,
)
from glance.db.sqlalchemy.quota import user_get_image_count, user_get_storage_usage
from glance.db.sqlalchemy.transfers import transfers_beat, transfers_get_all, transfers_stale

__all__ = [
    "configure",
    "dispose_after_fork",
    "image_create",
    "image_delete_property_atomic",
    "image_destroy",
    "image_finish_delete",
    "image_get",
    "image_get_all",
    "image_id_of_legacy",
    "image_ids_in_use",
    "image_location_add",
    "image_location_delete",
    "image_location_update",
    "image_member_count",
    "image_member_create",
    "image_member_delete",
    "image_member_find",
    "image_member_replace",
    "image_member_save",
    "image_member_update",
    "image_property_create",
    "image_property_delete",
    "image_restore",
    "image_set_property_atomic",
    "image_tag_create",
    "image_tag_delete",
    "image_tag_get_all",
    "image_tag_set_all",
    "image_update",
    "is_image_mutable",
    "is_image_sharable",
    "is_image_visible",
    "transfers_beat",
    "transfers_get_all",
    "transfers_stale",
    "user_get_image_count",
    "user_get_storage_usage",
]
