"""Disk and container formats (spec v1-api.md §4.3, registry.md §3.2)."""

from oslo_config import cfg

from glance.common import exception

_AMAZON = ("aki", "ari", "ami")


def check(conf: cfg.ConfigOpts, disk_format: str | None, container_format: str | None) -> None:
    """:raises Invalid: a format that is given is not in the configured list"""
    if disk_format is not None and disk_format not in conf.image_format.disk_formats:
        raise exception.Invalid(f"Invalid disk format '{disk_format}' for image.")
    if container_format is not None and container_format not in conf.image_format.container_formats:
        raise exception.Invalid(f"Invalid container format '{container_format}' for image.")


def pair(disk_format: str | None, container_format: str | None) -> tuple[str | None, str | None]:
    """Complete an Amazon format: what is missing is copied from the other.

    :raises Invalid: one of the two is an Amazon format and they differ
    """
    if disk_format in _AMAZON or container_format in _AMAZON:
        disk_format = disk_format or container_format
        container_format = container_format or disk_format
        if disk_format != container_format:
            raise exception.Invalid(
                "Invalid mix of disk and container formats. When setting a disk or container format to one of "
                f"'aki', 'ari', or 'ami', the container and disk formats must match, not '{disk_format}' and "
                f"'{container_format}'."
            )
    return disk_format, container_format


def require_both(disk_format: str | None, container_format: str | None) -> None:
    """:raises Invalid: data needs both formats and one is missing"""
    if not disk_format:
        raise exception.Invalid("Disk format is not specified.")
    if not container_format:
        raise exception.Invalid("Container format is not specified.")
