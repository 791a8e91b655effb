"""The cache commands of 2011, kept under their names: glance-cache-manage does more."""

from optparse import Values

from glance.cli.errors import Failure, explained
from glance.cli.images import DRY_RUN
from glance.cli.parser import connect
from glance.cli.terminal import confirm


def cache_index(options: Values, arguments: list[str]) -> None:
    """List the images in the cache."""
    client = connect(options)
    with explained("show cached images"):
        images = client.get_cached_images()
    if images:
        print(f"{'ID':<36} {'Hits':<8} {'Size':<14}")
        print(f"{'-' * 36} {'-' * 8} {'-' * 14}")
    for image in images:
        print(f"{image['image_id']:<36} {image['hits']:>8} {image['size']:>14}")


def cache_prefetching(options: Values, arguments: list[str]) -> None:
    """List the images that wait to be fetched."""
    client = connect(options)
    with explained("show images to be cached"):
        images = client.get_queued_images()
    for image_id in images:
        print(image_id)


def cache_prefetch(options: Values, arguments: list[str]) -> None:
    """Queue images to be fetched."""
    if not arguments:
        raise Failure("Please specify the image ID")
    if options.dry_run:
        print(f"{DRY_RUN}\nFetch into the cache: {' '.join(arguments)}")
        return
    client = connect(options)
    with explained("prefetch image"):
        for image_id in arguments:
            client.queue_image_for_caching(image_id)


def cache_purge(options: Values, arguments: list[str]) -> None:
    """Remove one image from the cache."""
    if not arguments:
        raise Failure("Please specify the image ID")
    if options.dry_run:
        print(f"{DRY_RUN}\nRemove from the cache: {arguments[0]}")
        return
    if not options.force and not confirm(f"Remove image {arguments[0]} from the cache?", default=False):
        raise Failure(f"Not removing image {arguments[0]}")
    client = connect(options)
    with explained("purge image"):
        client.delete_cached_image(arguments[0])


def cache_clear(options: Values, arguments: list[str]) -> None:
    """Empty the cache."""
    if options.dry_run:
        print(f"{DRY_RUN}\nRemove all images from the cache")
        return
    if not options.force and not confirm("Remove all images from the cache?", default=False):
        raise Failure("Not removing any images")
    client = connect(options)
    with explained("clear the cache"):
        count = client.delete_all_cached_images()
    if options.verbose:
        print(f"Removed {count} images from the cache")
