"""What ``glance help <command>`` prints: synopsis, purpose, and for some the fields."""

_LISTING = """\
Fields select images: name, disk_format, container_format, status, min_ram,
min_disk, size_min, size_max, changes-since.  Any other field is a custom
property.

Pages of --limit images are requested, beginning behind --marker, in the
order of --sort_key and --sort_dir; between full pages you are asked whether
to go on, unless --force is given.
"""

PAGES = {
    "add": """\
glance add [options] <field1=value1 field2=value2 ...> [< /path/to/image]

Adds a new image to Glance: its metadata as arguments, its data through a
redirect of standard input.  Without data the record is only registered.

Field names that can be specified:

name                Required. A name for the image.
id                  A UUID for the image; by default Glance makes one.
is_public           Whether everybody may use the image. Default: False
protected           Whether the image cannot be deleted. Default: False
disk_format         Format of the disk image. Default: raw
container_format    Format of the container. Default: ovf
min_disk            Disk space in GB that an instance needs. Default: 0
min_ram             Memory in MB that an instance needs. Default: 0
owner               Tenant that owns the image; administrators only.
checksum            MD5 that the data must have.
location            URI where the data already is; Glance does not copy it.
copy_from           URI that Glance copies the data from.

All other field names are custom properties, so be careful to spell field
names correctly.  See with --dry-run what would be sent.
""",
    "update": """\
glance update [options] <ID> <field1=value1 field2=value2 ...>

Updates an image's metadata in Glance. Specify metadata fields as arguments.

Field names that can be specified:

name                A name for the image.
is_public           Whether everybody may use the image.
protected           Whether the image cannot be deleted.
disk_format         Format of the disk image
container_format    Format of the container
min_disk            Disk space in GB that an instance needs.
min_ram             Memory in MB that an instance needs.
owner               Tenant that owns the image; administrators only.
location            URI where the data of a queued image is.
copy_from           URI that Glance copies the data of a queued image from.

All other field names are custom properties, so be careful to spell field
names correctly.  Properties that are not named are removed from the image.
""",
    "delete": """\
glance delete [options] <ID>

Deletes an image from Glance, after a question unless --force is given.
""",
    "index": f"""\
glance index [options] <field1=value1 field2=value2 ...>

Lists brief information about the public images and your own.

{_LISTING}""",
    "details": f"""\
glance details [options] <field1=value1 field2=value2 ...>

Lists detailed information about the public images and your own.

{_LISTING}""",
    "show": """\
glance show [options] <ID>

Shows detailed information about an image.
""",
    "clear": """\
glance clear [options]

Deletes ALL images that index shows, after a question unless --force is given.
""",
    "image-members": """\
glance image-members [options] <ID>

Lists the members that an image is shared with.
""",
    "member-images": """\
glance member-images [options] <MEMBER>

Lists the images that are shared with a member.
""",
    "member-add": """\
glance member-add [options] <ID> <MEMBER> [--can-share]

Grants a member access to an image.  With --can-share the member may share
it further; without, a member who could no longer can.
""",
    "member-delete": """\
glance member-delete [options] <ID> <MEMBER>

Revokes a member's access to an image.
""",
    "members-replace": """\
glance members-replace [options] <ID> <MEMBER> [--can-share]

Makes one member the only one that an image is shared with.
""",
    "cache-index": """\
glance cache-index [options]

Lists the images in the cache of the API server.
""",
    "cache-prefetching": """\
glance cache-prefetching [options]

Lists the images that wait to be fetched into the cache.
""",
    "cache-prefetch": """\
glance cache-prefetch [options] <ID> [<ID> ...]

Has images fetched into the cache.
""",
    "cache-purge": """\
glance cache-purge [options] <ID>

Removes an image from the cache.
""",
    "cache-clear": """\
glance cache-clear [options]

Empties the cache.
""",
}
