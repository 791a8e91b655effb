"""What lets a cache between the service and its clients keep image data (spec daemons-and-config.md §12)."""

from email.utils import format_datetime

import webob
import webob.exc

from glance.images.model import Image

_KEPT = frozenset({"ETag", "Last-Modified", "Cache-Control"})


def describe(response: webob.Response, image: Image) -> None:
    """Say when the data of ``image`` changed, and who may keep it.

    A public image is kept for all, but never given without asking whether it still is one.
    """
    modified = image.updated_at or image.created_at
    if modified:
        response.headers["Last-Modified"] = format_datetime(modified).replace("-0000", "GMT")
    response.headers["Cache-Control"] = "public, no-cache" if image.is_public else "private"


def is_known(request: webob.Request, image: Image) -> bool:
    """Whether the client says that it has the data."""
    return bool(image.checksum) and image.checksum in request.if_none_match


def not_modified(full: webob.Response) -> webob.Response:
    """304 in place of ``full``, whose body is closed."""
    close = getattr(full.app_iter, "close", None)
    if close:
        close()
    answer = webob.exc.HTTPNotModified()
    answer.headerlist = [(name, value) for name, value in full.headerlist if name in _KEPT]
    return answer
