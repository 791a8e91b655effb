"""Behaviour of the Images API: versions, limits, quotas, properties (spec daemons-and-config.md §3.2)."""

from oslo_config import cfg

from glance.common.config import types
from glance.common.config.types import Section

_DISK_FORMATS = ["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"]
_CONTAINER_FORMATS = ["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"]
_UNLIMITED = " A negative number means no limit."

OPTIONS = [
    Section(
        "A",
        "DEFAULT",
        [
            cfg.BoolOpt("enable_v1_api", default=True, help="Serve the Images API v1."),
            cfg.BoolOpt("enable_v2_api", default=True, help="Serve the Images API v2."),
            cfg.BoolOpt(
                "allow_additional_image_properties",
                default=True,
                help="Users may give images properties that the v2 schema does not name.",
            ),
            cfg.BoolOpt(
                "show_image_direct_url",
                default=False,
                help="v2 shows where the data of an image is stored (direct_url). The address may contain the "
                "credentials of the store: switch it on only where every reader of images may know them.",
            ),
            cfg.BoolOpt(
                "show_multiple_locations",
                default=False,
                help="v2 shows all locations of an image and lets users change them. The warning of "
                "show_image_direct_url holds here too; restrict the *_image_location policy rules.",
            ),
            cfg.StrOpt(
                "location_strategy",
                default="location_order",
                choices=[
                    ("location_order", "as stored with the image"),
                    ("store_type", "as [store_type_location_strategy] store_type_preference says"),
                ],
                help="Which location of an image with several is tried first.",
            ),
            cfg.IntOpt(
                "image_size_cap",
                default=2**40,
                max=2**63,
                help="Largest image that can be uploaded, in bytes. The default is 1 TiB." + _UNLIMITED,
            ),
            cfg.Opt(
                "user_storage_quota",
                type=types.Checked(types.size_text),
                default="0",
                help="Storage that all images of one owner together may take. Digits and, without a blank, "
                "optionally one of B, KB, MB, GB, TB (powers of 1024, in capitals), as in 500GB. 0 means no limit.",
            ),
            cfg.IntOpt(
                "user_image_count_quota",
                default=0,
                min=0,
                help="Number of image records that one owner may have, with or without data. 0 means no limit.",
            ),
            cfg.BoolOpt(
                "use_keystone_limits",
                default=False,
                help="Take quotas from the limits registered in Keystone. user_storage_quota then has no effect.",
            ),
            cfg.StrOpt(
                "property_protection_file",
                help="File that says who may create, read, update and delete which image properties. Unset: no "
                "protection. If it cannot be read, the service does not start.",
            ),
            cfg.StrOpt(
                "property_protection_rule_format",
                default="roles",
                choices=["roles", "policies"],
                ignore_case=True,
                help="What property_protection_file names: lists of roles, or rules of the policy file.",
            ),
            cfg.Opt(
                "hashing_algorithm",
                type=types.Checked(types.hash_name),
                default="sha512",
                help="Hash function for os_hash_value of uploaded data; any that Python's hashlib has. On processors "
                "that compute SHA-256 in hardware, sha256 costs a fraction of the processor time of sha512.",
            ),
        ],
    ),
    Section(
        "AR",
        "DEFAULT",
        [
            cfg.IntOpt(
                "api_limit_max",
                default=1000,
                min=1,
                help="Largest number of items in one answer; longer lists are read page by page.",
            ),
            cfg.IntOpt(
                "limit_param_default",
                default=25,
                min=1,
                help="Number of items in an answer to a request that does not say a limit.",
            ),
            cfg.IntOpt(
                "image_member_quota",
                default=128,
                help="Number of members with which one image may be shared." + _UNLIMITED,
            ),
            cfg.IntOpt(
                "image_property_quota",
                default=128,
                help="Number of additional properties of one image." + _UNLIMITED,
            ),
            cfg.IntOpt("image_tag_quota", default=128, help="Number of tags of one image." + _UNLIMITED),
            cfg.IntOpt("image_location_quota", default=10, help="Number of locations of one image." + _UNLIMITED),
        ],
    ),
    Section(
        "R",
        "DEFAULT",
        [
            cfg.BoolOpt("enable_v1_registry", default=True, help="Serve the registry's REST API (v1)."),
            cfg.BoolOpt("enable_v2_registry", default=True, help="Serve the registry's RPC API (v2)."),
        ],
    ),
    Section(
        "ARS",
        "DEFAULT",
        [
            cfg.Opt(
                "data_api",
                type=types.Checked(types.data_api),
                default="glance.db.sqlalchemy.api",
                help="Module through which v2 and the scrubber reach the metadata: glance.db.sqlalchemy.api asks "
                "the database of [database] connection; glance.db.registry.api (glance-api only) asks the "
                "registry, so that the API's hosts hold no database password.",
            ),
        ],
    ),
    Section(
        "ASCM",
        "DEFAULT",
        [
            cfg.Opt(
                "metadata_encryption_key",
                type=types.Checked(types.encryption_key),
                secret=True,
                help="AES key of 16, 24 or 32 bytes that encrypts the addresses of image data in the database. They "
                "may contain credentials of the store. The same key belongs into the files of glance-api, "
                "glance-scrubber and the cache tools; glance-manage needs it to adopt a database of an old "
                "release. Unset: addresses are kept as plain text.",
            ),
        ],
    ),
    Section(
        "AR",
        "image_format",
        [
            cfg.ListOpt(
                "disk_formats",
                default=_DISK_FORMATS,
                deprecated_group="DEFAULT",
                help="Values that disk_format of an image may have.",
            ),
            cfg.ListOpt(
                "container_formats",
                default=_CONTAINER_FORMATS,
                deprecated_group="DEFAULT",
                help="Values that container_format of an image may have.",
            ),
        ],
    ),
    Section(
        "A",
        "image_format",
        [
            cfg.BoolOpt(
                "refuse_unsafe_images",
                default=True,
                help="Refuse uploaded data with which an image could read files of the host that opens it: QCOW2 with "
                "a backing file, a data file or unknown features, VMDK whose data lies elsewhere, QED. Data in the "
                "container format bare is inspected.",
            ),
            cfg.BoolOpt(
                "require_image_format_match",
                default=False,
                help="Refuse uploaded data that is not in the disk_format of its image. Data of raw images may be "
                "anything. Not set: a difference is only logged, and virtual_size stays unknown.",
            ),
            cfg.ListOpt(
                "vmdk_allowed_types",
                default=["streamOptimized", "monolithicSparse"],
                help="Kinds of VMDK (createType) that are safe. Of no use beyond the two that are the default: others "
                "keep their data in other files and are refused as unsafe anyway.",
            ),
        ],
    ),
    Section(
        "A",
        "store_type_location_strategy",
        [
            cfg.ListOpt(
                "store_type_preference",
                default=[],
                help="Types of stores in the order in which their locations are tried, for example rbd, file. Those "
                "not named come last.",
            ),
        ],
    ),
    Section(
        "M",
        "DEFAULT",
        [
            cfg.StrOpt(
                "metadata_source_path",
                default="/etc/glance/metadefs/",
                help="Directory of the JSON files that 'glance-manage db load_metadefs' reads.",
            ),
        ],
    ),
    Section(
        "A",
        "task",
        [
            cfg.IntOpt(
                "task_time_to_live",
                default=48,
                min=0,
                deprecated_group="DEFAULT",
                help="Hours for which a finished task can be looked at.",
            ),
            cfg.StrOpt("task_executor", default="taskflow", help="What runs tasks. Only taskflow exists."),
            cfg.StrOpt(
                "work_dir",
                help="Directory in which tasks keep images that they are converting. It needs room for as many "
                "images as tasks run at the same time.",
            ),
        ],
    ),
    Section(
        "A",
        "taskflow_executor",
        [
            cfg.StrOpt(
                "engine_mode",
                default="parallel",
                choices=["parallel", "serial"],
                help="Whether independent steps of a task run side by side or one after the other.",
            ),
            cfg.IntOpt(
                "max_workers",
                default=10,
                min=1,
                deprecated_opts=[cfg.DeprecatedOpt("eventlet_executor_pool_size", group="task")],
                help="Number of steps of a task that run side by side.",
            ),
            cfg.StrOpt(
                "conversion_format",
                choices=["qcow2", "raw", "vmdk"],
                help="Disk format to which imported images are converted. Unset: they stay as they are. Ceph works "
                "best with raw.",
            ),
        ],
    ),
]
