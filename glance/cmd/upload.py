"""glance-upload: store one image file (spec daemons-and-config.md §1)."""

import argparse
import sys

from glance.client import get_client
from glance.common import exception


def main() -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="glance-upload", description="Upload an image file to Glance.")
    parser.add_argument("file", help="file with the data")
    parser.add_argument("name", help="name of the image")
    parser.add_argument("--host", default="127.0.0.1", help="address of the API server (%(default)s)")
    parser.add_argument("--port", type=int, default=9292, help="its port (%(default)s)")
    parser.add_argument("--type", default="raw", help="kernel, machine, raw or ramdisk (%(default)s)")
    parser.add_argument("--disk-format", default="raw", help="format of the disk image (%(default)s)")
    parser.add_argument("--container-format", default="ovf", help="format of the container (%(default)s)")
    parser.add_argument("--kernel", help="id of the kernel image that belongs to it")
    parser.add_argument("--ramdisk", help="id of the ramdisk image that belongs to it")
    options = parser.parse_args()
    meta = {
        "name": options.name,
        "is_public": True,
        "type": options.type,
        "disk_format": options.disk_format,
        "container_format": options.container_format,
        "properties": {"kernel_id": options.kernel, "ramdisk_id": options.ramdisk},
    }
    try:
        with open(options.file, "rb") as data:
            stored = get_client(options.host, options.port).add_image(meta, data)
    except (OSError, exception.GlanceException) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    print(f"Stored image. Got identifier: {stored['id']}")
    return 0
