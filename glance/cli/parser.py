"""The command line: options may stand anywhere, before and behind the fields."""

import optparse

from glance import __version__
from glance.client import V1Client, get_client
from glance.common import exception

USAGE = """%prog <command> [options] [args]

Commands:

    help <command>  Output help for one of the commands below

    add             Adds a new image to Glance

    update          Updates an image's metadata in Glance

    delete          Deletes an image from Glance

    index           Return brief information about images in Glance

    details         Return detailed information about images in Glance

    show            Show detailed information about an image in Glance

    clear           Removes all images and metadata from Glance

Member Commands:

    image-members   List members an image is shared with

    member-images   List images shared with a member

    member-add      Grants a member access to an image

    member-delete   Revokes a member's access to an image

    members-replace Replaces all members of an image by one
"""


def make_parser() -> optparse.OptionParser:
    """Return the parser of all options; none of them belongs to one command only."""
    parser = optparse.OptionParser(prog="glance", usage=USAGE, version=f"%prog {__version__}")
    add = parser.add_option
    add("-v", "--verbose", action="store_true", default=False, help="Print more verbose output")
    add("-d", "--debug", action="store_true", default=False, help="Show the traceback of an unexpected error")
    add(
        "-H",
        "--host",
        metavar="ADDRESS",
        default="0.0.0.0",  # noqa: S104  # reaches the local host
        help="Address of Glance API host. Default: %default",
    )
    add(
        "-p",
        "--port",
        metavar="PORT",
        type="int",
        default=9292,
        help="Port the Glance API host listens on. Default: %default",
    )
    add(
        "-U",
        "--url",
        metavar="URL",
        default=None,
        help="URL of the Glance service, e.g. https://example.com:9292/v1; used instead of --host, --port and --ssl",
    )
    add("--ssl", dest="use_ssl", action="store_true", default=False, help="Talk to the API over TLS")
    add("-k", "--insecure", action="store_true", default=False, help="Believe any server certificate")
    add(
        "-t",
        "--timeout",
        metavar="SECONDS",
        type="float",
        default=None,
        help="Give up when the server does not react for so long. Default: wait for ever",
    )
    add(
        "--limit",
        metavar="LIMIT",
        type="int",
        default=10,
        help="Page size to use while requesting image metadata. Default: %default",
    )
    add("--marker", metavar="MARKER", default=None, help="Image ID after which to begin pagination")
    add("--sort_key", metavar="KEY", default=None, help="Sort results by this image attribute.")
    add(
        "--sort_dir",
        metavar="[desc|asc]",
        type="choice",
        choices=("asc", "desc"),
        default=None,
        help="Sort results in this direction.",
    )
    add(
        "-f",
        "--force",
        action="store_true",
        default=False,
        help="Prevent select actions from requesting user confirmation",
    )
    add(
        "--dry-run",
        action="store_true",
        default=False,
        help="Don't actually execute the command, just print output showing what WOULD happen.",
    )
    add("--can-share", action="store_true", default=False, help="Allow member to further share image.")
    add("--json", action="store_true", default=False, help="Print what index, details and show find as JSON")
    add(
        "--silent-upload",
        action="store_true",
        default=False,
        help="Show no progress bar during an upload",
    )
    _add_identity_options(parser)
    return parser


def _add_identity_options(parser: optparse.OptionParser) -> None:
    group = optparse.OptionGroup(parser, "Authentication", "Each may also come from the environment.")
    group.add_option(
        "-A",
        "--os_auth_token",
        "--auth_token",
        dest="auth_token",
        metavar="TOKEN",
        default=None,
        help="Token that identifies you; no login happens then (OS_TOKEN)",
    )
    for short, name, variable, meaning in (
        ("-I", "username", "OS_AUTH_USER or OS_USERNAME", "User name"),
        ("-K", "password", "OS_AUTH_KEY or OS_PASSWORD", "Password"),
        ("-T", "tenant_name", "OS_AUTH_TENANT, OS_TENANT_NAME or OS_PROJECT_NAME", "Tenant"),
        ("-R", "region_name", "OS_REGION_NAME", "Region of the image service"),
        ("-N", "auth_url", "OS_AUTH_URL", "Address of Keystone, e.g. http://example.com:5000/v3"),
        ("-S", "auth_strategy", "OS_AUTH_STRATEGY", "noauth (default) or keystone"),
    ):
        group.add_option(
            short, f"--os_{name}", dest=name, metavar=name.upper(), default=None, help=f"{meaning} ({variable})"
        )
    parser.add_option_group(group)


def connect(options: optparse.Values) -> V1Client:
    """Return the client that the options ask for.

    :raises ClientConfigurationError, MissingCredentialError: an option or variable is wrong or missing
    """
    try:
        return _connect(options)
    except exception.ClientConnectionError as error:  # nothing was sent yet: a TLS file is of no use
        raise exception.ClientConfigurationError(str(error)) from error


def _connect(options: optparse.Values) -> V1Client:
    client = get_client(
        options.host,
        options.port,
        options.use_ssl,
        username=options.username,
        password=options.password,
        tenant=options.tenant_name,
        auth_url=options.auth_url,
        auth_strategy=options.auth_strategy,
        auth_token=options.auth_token,
        region=options.region_name,
        is_silent_upload=options.silent_upload,
        insecure=options.insecure,
        timeout=options.timeout,
    )
    if options.url:
        client.configure_from_url(options.url)
    return client
