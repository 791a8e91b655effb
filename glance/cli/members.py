"""The commands about sharing images.  Each takes (options, arguments) and returns when it has succeeded."""

from optparse import Values
from typing import Any

from glance.cli import output
from glance.cli.errors import Failure, explained
from glance.cli.images import DRY_RUN
from glance.cli.parser import connect
from glance.common import exception


def image_members(options: Values, arguments: list[str]) -> None:
    """List the members that an image is shared with."""
    if not arguments:
        raise Failure("Please specify the image ID")
    client = connect(options)
    with explained("show image members"):
        _print_listing("member_id", client.get_image_members(arguments[0]))


def member_images(options: Values, arguments: list[str]) -> None:
    """List the images that are shared with a member."""
    if not arguments:
        raise Failure("Please specify the member name")
    client = connect(options)
    with explained("show member images"):
        try:
            _print_listing("image_id", client.get_member_images(arguments[0]))
        except exception.NotFound:
            print(f"No images shared with member {arguments[0]}")


def _print_listing(key: str, memberships: list[dict[str, Any]]) -> None:
    if memberships:
        print(output.member_listing(key, memberships))


def member_add(options: Values, arguments: list[str]) -> None:
    """Share an image with a member."""
    image_id, member = _image_and_member(arguments)
    if options.dry_run:
        _print_dry_run(options, f'Add "{member}" to membership of image {image_id}')
        return
    client = connect(options)
    with explained("add image member"):
        client.add_member(image_id, member, options.can_share)


def member_delete(options: Values, arguments: list[str]) -> None:
    """Stop sharing an image with a member."""
    image_id, member = _image_and_member(arguments)
    if options.dry_run:
        print(f'{DRY_RUN}\nRemove "{member}" from the member list of image "{image_id}"')
        return
    client = connect(options)
    with explained("delete image member"):
        client.delete_member(image_id, member)


def members_replace(options: Values, arguments: list[str]) -> None:
    """Make one member the only one."""
    image_id, member = _image_and_member(arguments)
    if options.dry_run:
        _print_dry_run(options, f'Replace members of image {image_id} with "{member}"')
        return
    client = connect(options)
    with explained("update image members"):
        client.replace_members(image_id, {"member_id": member, "can_share": options.can_share})


def _image_and_member(arguments: list[str]) -> tuple[str, str]:
    if len(arguments) < 2:
        raise Failure("Please specify the image ID and the member name")
    return arguments[0], arguments[1]


def _print_dry_run(options: Values, line: str) -> None:
    print(f"{DRY_RUN}\n{line}")
    if options.can_share:
        print("New member would have been able to further share image.")
