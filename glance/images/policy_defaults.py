"""The rules that hold where no policy file says otherwise (spec policy-quota-protection.md §3).

Every rule has two defaults: the classic one, of the releases up to Mitaka, and today's,
which looks at the roles reader, member and service.  Unless ``[oslo_policy]
enforce_new_defaults`` is set, whoever passes either of them passes.
"""

from typing import NamedTuple

from oslo_config import cfg
from oslo_policy import opts, policy

ADMIN = "rule:context_is_admin"
_OWN = "project_id:%(project_id)s"
_MEMBER = "project_id:%(member_id)s"
_OPEN = "'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s"
_VISIBLE = f"({_OWN} or {_MEMBER} or {_OPEN})"

_WRITE = f"{ADMIN} or (role:member and {_OWN})"
_READ = f"{ADMIN} or (role:reader and {_OWN})"
_SHOW = f"{ADMIN} or (role:reader and {_VISIBLE})"
_DOWNLOAD = f"{ADMIN} or (role:member and {_VISIBLE})"
_MEMBERS = f"{ADMIN} or (role:reader and ({_OWN} or {_MEMBER}))"
_OWNER = f"(role:member and {_OWN} and project_id:%(owner)s)"
_METADEF_READ = f"{ADMIN} or (role:reader and ({_OWN} or 'public':%(visibility)s))"
_METADEF_ADMIN = "rule:metadef_admin"


class Default(NamedTuple):
    """One rule.  ``classic`` is None when no classic release knew it."""

    name: str
    classic: str | None
    modern: str
    description: str

    def text(self, modern_only: bool) -> str:
        """The check in force; ``modern_only`` is ``[oslo_policy] enforce_new_defaults``."""
        if modern_only or self.classic is None or self.classic == self.modern:
            return self.modern
        if not self.classic or not self.modern:
            return ""  # one of the two lets everybody pass
        return f"({self.modern}) or ({self.classic})"


_METADEF_READS = {
    "get_metadef_namespace": "Show a metadata definition namespace",
    "get_metadef_object": "Show an object of a namespace",
    "get_metadef_objects": "List the objects of a namespace",
    "get_metadef_property": "Show a property of a namespace",
    "get_metadef_properties": "List the properties of a namespace",
    "get_metadef_tag": "Show a tag of a namespace",
    "get_metadef_tags": "List the tags of a namespace",
    "get_metadef_resource_type": "List the resource types of a namespace",
    "list_metadef_resource_types": "List all resource types",
}

METADEF_WRITES = {
    "add_metadef_namespace": "Create a namespace",
    "modify_metadef_namespace": "Change a namespace",
    "delete_metadef_namespace": "Delete a namespace",
    "add_metadef_object": "Create an object in a namespace",
    "modify_metadef_object": "Change an object of a namespace",
    "delete_metadef_object": "Delete an object of a namespace",
    "add_metadef_property": "Create a property in a namespace",
    "modify_metadef_property": "Change a property of a namespace",
    "remove_metadef_property": "Delete a property of a namespace",
    "add_metadef_tag": "Create a tag in a namespace",
    "add_metadef_tags": "Create several tags in a namespace",
    "modify_metadef_tag": "Change a tag of a namespace",
    "delete_metadef_tag": "Delete a tag of a namespace",
    "delete_metadef_tags": "Delete all tags of a namespace",
    "add_metadef_resource_type_association": "Associate a resource type with a namespace",
    "remove_metadef_resource_type_association": "Remove a resource type from a namespace",
}

DEFAULTS: tuple[Default, ...] = (
    Default("context_is_admin", "role:admin", "role:admin", "Who is an administrator"),
    Default("default", "", "", "Used for rules that are defined nowhere"),
    Default("service_api", None, "role:service or role:admin", "Other services, such as Nova and Cinder"),
    # images
    Default("add_image", "", f"{ADMIN} or {_OWNER}", "Create an image"),
    Default("delete_image", "", _WRITE, "Delete an image"),
    Default("get_image", "", _SHOW, "Show an image, and everything below it"),
    Default("get_images", "", _READ, "List images"),
    Default("modify_image", "", _WRITE, "Change, tag, stage or import an image"),
    Default("publicize_image", "role:admin", ADMIN, "Make an image public"),
    Default("communitize_image", "", _WRITE, "Make an image a community image"),
    Default("restore_image", None, f"{ADMIN} or owner:%(owner)s", "Bring back an image that waits for the scrubber"),
    Default("copy_from", "", "", "Create an image from an address (v1)"),
    Default("download_image", "", _DOWNLOAD, "Download the data of an image"),
    Default("download_from_store", None, _DOWNLOAD, "Choose the store to download from"),
    Default("upload_image", "", _WRITE, "Upload the data of an image"),
    Default("deactivate", "", _WRITE, "Stop downloads of an image"),
    Default("reactivate", "", _WRITE, "Allow downloads of an image again"),
    Default("copy_image", None, ADMIN, "Copy the data of an image to more stores"),
    # locations
    Default("delete_image_location", "", ADMIN, "Remove a location of an image"),
    Default("get_image_location", "", _READ, "See the locations of an image"),
    Default("set_image_location", "", _WRITE, "Set the locations of an image"),
    Default("add_image_location", None, f"rule:service_api or {_OWNER}", "Add a location to a queued image"),
    Default("fetch_image_location", None, "rule:service_api", "See the locations of an image, for other services"),
    # members
    Default("add_member", "", _WRITE, "Share an image"),
    Default("delete_member", "", _WRITE, "Stop sharing an image with a member"),
    Default("get_member", "", _MEMBERS, "Show a member of an image"),
    Default("get_members", "", _MEMBERS, "List the members of an image"),
    Default("modify_member", "", f"{ADMIN} or (role:member and {_MEMBER})", "Accept or reject a shared image"),
    # image cache
    Default("manage_image_cache", "role:admin", ADMIN, "Manage the image cache (v1)"),
    Default("cache_image", "rule:manage_image_cache", ADMIN, "Queue an image for caching"),
    Default("cache_list", "rule:manage_image_cache", ADMIN, "List cached and queued images"),
    Default("cache_delete", "rule:manage_image_cache", ADMIN, "Remove images from cache or queue"),
    Default("cache_clean", None, ADMIN, "Remove broken and stalled files from the cache"),
    Default("cache_prune", None, ADMIN, "Shrink the cache to its size limit"),
    Default("list_cached_nodes", None, ADMIN, "List the hosts that have an image cached"),
    # tasks and discovery
    Default("get_task", "role:admin", "", "Show a task; tasks_api_access is asked too"),
    Default("get_tasks", "role:admin", "", "List tasks; tasks_api_access is asked too"),
    Default("add_task", "role:admin", "", "Create a task; tasks_api_access is asked too"),
    Default("modify_task", "role:admin", "", "Change a task; tasks_api_access is asked too"),
    Default("tasks_api_access", "role:admin", ADMIN, "Use the tasks API"),
    Default("stores_info_detail", None, f"{ADMIN} or rule:service_api", "See the details of the stores"),
    # metadata definitions
    Default("metadef_default", None, "", "Alias for rules of metadata definitions"),
    Default("metadef_admin", None, ADMIN, "Who may change metadata definitions"),
    Default("get_metadef_namespaces", "", _READ, "List namespaces"),
    *(Default(name, "", _METADEF_READ, text) for name, text in _METADEF_READS.items()),
    # Everybody's in the classic releases, which let any user fill the database.
    *(Default(name, _METADEF_ADMIN, _METADEF_ADMIN, text) for name, text in METADEF_WRITES.items()),
)


def list_rules() -> list[policy.RuleDefault]:
    """The defaults in force without ``enforce_new_defaults``, for the oslo.policy tools."""
    return [
        policy.RuleDefault(default.name, default.text(modern_only=False), description=_described(default))
        for default in DEFAULTS
    ]


def enforcer() -> policy.Enforcer:
    """The defaults and the files that ``cfg.CONF`` names, for the oslo.policy tools; the service has ``Policy``."""
    opts.set_defaults(cfg.CONF, policy_file="policy.json", enforce_new_defaults=False)
    found = policy.Enforcer(cfg.CONF)
    found.register_defaults(list_rules())
    return found


def _described(default: Default) -> str:
    if default.text(modern_only=True) == default.text(modern_only=False):
        return default.description
    return f"{default.description}. With enforce_new_defaults: {default.modern or 'everyone'}"
