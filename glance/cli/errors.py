"""How a command fails: a few lines on stdout and exit code 1 (spec cli-and-client.md §3)."""

from collections.abc import Iterator
from contextlib import contextmanager

from glance.common import exception

CONFIGURATION_ERRORS = (
    exception.ClientConfigurationError,
    exception.MissingCredentialError,
    exception.BadAuthStrategy,
)


class Failure(Exception):
    """The command did not succeed; the text is for the user."""


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn an error of the client into a ``Failure`` that says what could not be done.

    :param action: fits behind "Failed to"
    """
    try:
        yield
    except CONFIGURATION_ERRORS:
        raise
    except (exception.Forbidden, exception.NotAuthenticated):
        raise Failure(
            "Not authorized to make this request. Check your credentials (OS_AUTH_USER, OS_AUTH_KEY, ...)."
        ) from None
    except exception.GlanceException as error:
        raise Failure(f"Failed to {action}. Got error:\n{error}") from error


@contextmanager
def about_image(image_id: str, verb: str) -> Iterator[None]:
    """Turn what can go wrong with one image into a ``Failure``; used inside ``explained``.

    :param verb: what was to be done with it
    """
    try:
        yield
    except exception.NotFound:
        raise Failure(f"No image with ID {image_id} was found") from None
    except exception.Forbidden:
        raise Failure(f"You do not have permission to {verb} image {image_id}") from None
