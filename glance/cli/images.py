"""The commands about images.  Each takes (options, arguments) and returns when it has succeeded."""

import json
from collections.abc import Callable, Iterator
from optparse import Values
from typing import Any

from glance.cli import fields, output
from glance.cli.errors import Failure, about_image, explained
from glance.cli.parser import connect
from glance.cli.terminal import confirm, has_redirected_data, redirected_data
from glance.common import exception
from glance.common.redact import one_line

DRY_RUN = "Dry run. We would have done the following:"


def add(options: Values, arguments: list[str]) -> None:
    """Add an image, with its data when standard input is redirected."""
    given = fields.parse(arguments)
    meta, features = fields.new_image(given)
    data = None
    if "location" in meta:
        if has_redirected_data():
            raise Failure(
                "You specified a location and redirected standard input as well,\n"
                "so it is not clear which of the two is the image.\n"
                "Leave out location=URI, or the redirect."
            )
    elif not features:
        data = redirected_data()
    if options.dry_run:
        print(DRY_RUN)
        print("Add new image with metadata:")
        print(output.metadata_listing(meta))
        _print_features(features)
        return
    client = connect(options)
    try:
        stored = client.add_image(meta, data, features)
    except exception.ClientConnectionError as error:
        if isinstance(error.__cause__, ConnectionRefusedError):
            raise Failure(
                f"Failed to connect to the Glance API server {client.origin.host}:{client.origin.port}. "
                "Is the server running?"
            ) from error
        raise _not_added(error) from error
    except exception.MissingCredentialError:
        raise
    except exception.GlanceException as error:
        raise _not_added(error) from error
    print(f"Added new image with ID: {stored['id']}")
    if options.verbose:
        print("Returned the following metadata for the new image:")
        print(output.metadata_listing(stored))


def _not_added(error: exception.GlanceException) -> Failure:
    return Failure(
        f"Failed to add image. Got error:\n{error}\n"
        "Note: Your image metadata may still be in the registry, but the image's status will likely be 'killed'."
    )


def update(options: Values, arguments: list[str]) -> None:
    """Change an image's metadata."""
    if not arguments:
        raise Failure("Please specify the ID of the image you wish to update \nas the first argument")
    image_id, *rest = arguments
    meta, features = fields.changes(fields.parse(rest))
    if options.dry_run:
        print(DRY_RUN)
        print("Update existing image with metadata:")
        print(output.metadata_listing(meta))
        _print_features(features)
        return
    client = connect(options)
    with explained("update image"), about_image(image_id, "update"):
        stored = client.update_image(image_id, meta, features=features)
    print(f"Updated image {image_id}")
    if options.verbose:
        print(f"Updated image metadata for image {image_id}:")
        print(output.image_block(client.origin, stored))


def _print_features(features: dict[str, str]) -> None:
    if features:
        print("with features enabled:")
        print(output.metadata_listing(features))


def delete(options: Values, arguments: list[str]) -> None:
    """Delete one image."""
    if not arguments:
        raise Failure("Please specify the ID of the image you wish to delete \nas the first argument")
    image_id = arguments[0]
    if options.dry_run:
        print(f"{DRY_RUN}\nDelete image {image_id}")
        return
    if not options.force and not confirm(f"Delete image {image_id}?", default=False):
        raise Failure(f"Not deleting image {image_id}")
    client = connect(options)
    with explained("delete image"), about_image(image_id, "delete"):
        client.delete_image(image_id)
    print(f"Deleted image {image_id}")


def index(options: Values, arguments: list[str]) -> None:
    """List brief information, page by page."""
    client = connect(options)
    if options.json:
        _print_json(options, "show index", client.get_images, arguments)
        return
    first = True
    for page in _pages(options, "show index", client.get_images, arguments):
        if first:
            print(output.index_header())
            first = False
        for image in page:
            print(output.index_row(image))


def details(options: Values, arguments: list[str]) -> None:
    """List all metadata, page by page."""
    client = connect(options)
    if options.json:
        _print_json(options, "show details", client.get_images_detailed, arguments)
        return
    first = True
    for page in _pages(options, "show details", client.get_images_detailed, arguments):
        if first:
            print(output.RULE)
            first = False
        for image in page:
            print(output.image_block(client.origin, image))
            print(output.RULE)


def _pages(
    options: Values, action: str, get: Callable[..., list[dict[str, Any]]], arguments: list[str], ask: bool = True
) -> Iterator[list[dict[str, Any]]]:
    """Yield page after page until one is empty or the user has seen enough."""
    filters = fields.filters(fields.parse(arguments))
    marker = options.marker
    while True:
        with explained(action):
            page = get(
                filters=filters,
                marker=marker,
                limit=options.limit,
                sort_key=options.sort_key,
                sort_dir=options.sort_dir,
            )
        if not page:
            return
        yield page
        if ask and len(page) == options.limit and not options.force and not confirm("Fetch next page?", default=True):
            return
        marker = page[-1]["id"]


def _print_json(options: Values, action: str, get: Callable[..., list[dict[str, Any]]], arguments: list[str]) -> None:
    found = [image for page in _pages(options, action, get, arguments, ask=False) for image in page]
    print(json.dumps(found, indent=2))


def show(options: Values, arguments: list[str]) -> None:
    """Show all metadata of one image."""
    if not arguments:
        raise Failure(
            "Please specify the ID of the image you wish to show \nas the first argument, for example:\n"
            "glance show 7a9ef0b4-5b1e-4b1a-9a3b-0d5f3e1c2b44"
        )
    client = connect(options)
    with explained("show image"), about_image(arguments[0], "show"):
        meta = client.get_image_meta(arguments[0])
    print(json.dumps(meta, indent=2) if options.json else output.image_block(client.origin, meta))


def clear(options: Values, arguments: list[str]) -> None:
    """Delete every image that a list shows."""
    if options.dry_run:
        print(f"{DRY_RUN}\nDelete all images")
        return
    if not options.force and not confirm("Delete all images?", default=False):
        raise Failure("Not deleting any images")
    client = connect(options)
    seen = set()
    while True:
        with explained("delete images"):
            page = client.get_images()
        if not page:
            return
        for image in page:
            image_id = image["id"]
            if options.verbose:
                print(f'Deleting image {image_id} "{one_line(str(image["name"]))}" ...', end=" ")
            try:
                if image_id in seen:
                    raise exception.ServerError("It was deleted and is still listed.")
                client.delete_image(image_id)
            except exception.GlanceException as error:
                lead = "\n" if options.verbose else ""
                raise Failure(f"{lead}Failed to delete image {image_id}\n{error}") from error
            seen.add(image_id)
            if options.verbose:
                print("done")
