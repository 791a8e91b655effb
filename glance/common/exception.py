"""Every error that the service and ``glance.client`` raise on purpose.

The rules (``glance.images``), the stores and the catalogs raise these; the wire
formats translate them to statuses in one place (``glance.wsgi.errors``).  Class
names that other programs know (``NotFound``, ``Duplicate``, ``BadRequest``, …,
spec cli-and-client.md §6) are public.  The module imports nothing, so that a
program that only wants the client pays for nothing else.

Messages are for people: one line, the offending value, the remedy.  They never
contain a store URL, a credential or a path of the server.
"""


class GlanceException(Exception):
    """Base of all errors; ``message`` is a ``str.format`` template for keyword arguments."""

    message = "An unknown exception occurred"
    details = ""
    """For errors raised by glance.client: what the body of the server's answer says."""

    def __init__(self, message=None, **kwargs):
        self.kwargs = kwargs
        self.msg = (message or self.message).format(**kwargs) if kwargs else (message or self.message)
        super().__init__(self.msg)


# --- the request was wrong ---------------------------------------------------


class Invalid(GlanceException):
    """The request or a value in it is malformed (HTTP 400)."""

    message = "Data supplied was not valid."


BadRequest = Invalid


class InvalidFilterRangeValue(Invalid):
    message = "Unable to filter using the specified range."


class InvalidSortKey(Invalid):
    message = "Sort key supplied was not valid."


class InvalidParameterValue(Invalid):
    message = "Invalid value '{value}' for parameter '{param}': {extra_msg}"


class InvalidObject(Invalid):
    message = "Provided object does not match schema: {reason}"


class BadStoreUri(Invalid):
    """A location cannot be parsed, is refused by the guard, or does not answer as it must."""

    message = "The Store URI was malformed or is not reachable."


class UnknownScheme(Invalid):
    message = "Unknown scheme '{scheme}' found in URI."


class UnsafeContent(Invalid):
    """The uploaded data was inspected and refused."""

    message = "The image data was refused: {reason}"


class FormatMismatch(UnsafeContent):
    """The uploaded data is not in the image's disk format, and the operator requires that it is."""


# --- who asks ----------------------------------------------------------------


class NotAuthenticated(GlanceException):
    message = "You are not authenticated."


class Forbidden(GlanceException):
    message = "You are not authorized to complete this action."


class NotAuthorized(Forbidden):
    """Kept for programs of 2011 that catch it; raised by the client for HTTP 403."""


class ImageHidden(Forbidden):
    """A policy refuses something about an image that the caller may not even see (v1: 403, v2: 404)."""


class ReadonlyContext(Forbidden):
    message = "Read-only access"


class ForbiddenPublicImage(Forbidden):
    message = "You are not authorized to complete this action."


class ProtectedImageDelete(Forbidden):
    message = "Image {image_id} is protected and cannot be deleted."


class ReservedProperty(Forbidden):
    message = "Attribute '{property}' is reserved."


# --- what is not there, or in the way ----------------------------------------


class NotFound(GlanceException):
    message = "An object with the specified identifier was not found."


class ImageNotFound(NotFound):
    message = "No image found with ID {image_id}"


class NotYours(ImageNotFound):
    """The caller sees the image but must not change it (v1: 404 unless it is public, v2: 403)."""


class MemberNotFound(NotFound):
    message = "Member {member} not found"


class ImageDataNotFound(NotFound):
    """The store has no object for a location."""

    message = "No image data found"


class Duplicate(GlanceException):
    message = "An object with the same identifier already exists."


class Conflict(GlanceException):
    """A compare-and-swap on the image's status lost (HTTP 409)."""

    message = "Image operation conflicts"


class PreconditionFailed(GlanceException):
    """The image is no longer what the caller's If-Match says (HTTP 412)."""

    message = "The image has changed: its ETag is not the one given in If-Match."


class InUse(Conflict):
    """The store cannot delete an object because something uses it (HTTP 409)."""

    message = "The image cannot be deleted because it is in use through the backend store outside of Glance."


class ImageGone(GlanceException):
    """The image was deleted while its data was being moved (v1: 412, v2: 410)."""

    message = "Image {image_id} was deleted while its data was being uploaded."


# --- limits ------------------------------------------------------------------


class LimitExceeded(GlanceException):
    """A quota or cap is exceeded (HTTP 413).  ``retry_after``: seconds or None."""

    message = "The request returned a 413 Request Entity Too Large."

    def __init__(self, message=None, retry_after=None, **kwargs):
        self.retry_after = retry_after
        super().__init__(message, **kwargs)


class ImageSizeLimitExceeded(LimitExceeded):
    message = "The provided image is too large: the limit is {limit} bytes."


class StorageQuotaFull(LimitExceeded):
    message = "The size of the data {image_size} will exceed the limit. {remaining} bytes remaining."


class ImageCountQuotaExceeded(LimitExceeded):
    message = "The limit of {maximum} images has been reached."


class ImageMemberLimitExceeded(LimitExceeded):
    message = (
        "The limit has been exceeded on the number of allowed image members for this image. "
        "Attempted: {attempted}, Maximum: {maximum}"
    )


class ImagePropertyLimitExceeded(LimitExceeded):
    message = (
        "The limit has been exceeded on the number of allowed image properties. "
        "Attempted: {attempted}, Maximum: {maximum}"
    )


class ImageTagLimitExceeded(LimitExceeded):
    message = (
        "The limit has been exceeded on the number of allowed image tags. Attempted: {attempted}, Maximum: {maximum}"
    )


class ImageLocationLimitExceeded(LimitExceeded):
    message = (
        "The limit has been exceeded on the number of allowed image locations. "
        "Attempted: {attempted}, Maximum: {maximum}"
    )


# --- stores ------------------------------------------------------------------


class StorageFull(LimitExceeded):
    message = "There is not enough disk space on the image storage media."


class StorageWriteDenied(GlanceException):
    """Permission denied by the store's medium (HTTP 503)."""

    message = "Permission to write image storage media denied."


class StoreAddDisabled(GlanceException):
    """The store is read-only or not configured for writing (HTTP 410)."""

    message = "Configuration for store failed. Adding images to this store is disabled."


class StoreUnavailable(GlanceException):
    """The store's back end does not answer (HTTP 503)."""

    message = "The image store is not reachable at the moment."


class StoreGetNotSupported(Invalid):
    message = "Getting images from this store is not supported."


class StoreRandomGetNotSupported(Invalid):
    message = "Getting part of an image from this store is not supported."


class StoreDeleteNotSupported(GlanceException):
    message = "Deleting images from this store is not supported."


# --- the service itself ------------------------------------------------------


class ServiceUnavailable(GlanceException):
    """A dependency is down (HTTP 503).  ``retry_after``: seconds or None."""

    message = "The service is not available at the moment."

    def __init__(self, message=None, retry_after=None, **kwargs):
        self.retry_after = retry_after
        super().__init__(message, **kwargs)


class ConfigurationError(GlanceException):
    """A setting is wrong; the program prints ``ERROR: <text>`` and exits 1."""

    message = "The configuration is not usable."


class StoreConfigurationError(ConfigurationError):
    """The default store is not usable; glance-api exits 3."""


class InvalidNotifierStrategy(ConfigurationError):
    """``notifier_strategy`` or the notification driver names nothing that exists."""


class RPCError(GlanceException):
    message = "{cls} exception was raised in the last rpc call: {val}"


# --- glance.client only ------------------------------------------------------


class ClientConnectionError(GlanceException):
    message = "There was an error connecting to a server"


class ClientConfigurationError(GlanceException):
    message = "There was an error configuring the client."


class MissingCredentialError(GlanceException):
    message = "Missing required credential: {required}"


class BadAuthStrategy(GlanceException):
    message = 'Incorrect auth strategy, expected "{expected}" but received "{received}"'


class NoServiceEndpoint(GlanceException):
    message = "Response from Keystone does not contain a Glance endpoint."


class RegionAmbiguity(GlanceException):
    message = (
        "Multiple 'image' service matches for region {region}. This generally means that a region is "
        "required and you have not supplied one."
    )


class AuthorizationFailure(GlanceException):
    message = "Authorization failed."


class AuthBadRequest(GlanceException):
    message = "Connect error/bad request to Auth service at URL {url}."


class AuthUrlNotFound(GlanceException):
    message = "Auth service at URL {url} not found."


class MultipleChoices(GlanceException):
    message = (
        "The request returned a 302 Multiple Choices. This generally means that you have not included "
        "a version indicator in a request URI."
    )


class RedirectException(Exception):
    """A redirect that the caller must follow; ``url`` is where to."""

    def __init__(self, url):
        self.url = url
        super().__init__(url)


class MaxRedirectsExceeded(GlanceException):
    message = "Maximum redirects ({redirects}) was exceeded."


class InvalidRedirect(GlanceException):
    message = "Received invalid HTTP redirect."


class ServerError(GlanceException):
    message = "The request returned 500 Internal Server Error."


class UnexpectedStatus(GlanceException):
    message = "The request returned an unexpected status: {status}."
