"""From a command line to an exit code (spec cli-and-client.md §1)."""

import os
import sys
import time
from collections.abc import Callable
from optparse import Values

from glance.cli import cache, images, members
from glance.cli.errors import CONFIGURATION_ERRORS, Failure
from glance.cli.pages import PAGES
from glance.cli.parser import make_parser
from glance.common import exception

COMMANDS: dict[str, Callable[[Values, list[str]], None]] = {
    "add": images.add,
    "update": images.update,
    "delete": images.delete,
    "index": images.index,
    "details": images.details,
    "show": images.show,
    "clear": images.clear,
    "image-members": members.image_members,
    "member-images": members.member_images,
    "member-add": members.member_add,
    "member-delete": members.member_delete,
    "members-replace": members.members_replace,
    "cache-index": cache.cache_index,
    "cache-prefetching": cache.cache_prefetching,
    "cache-prefetch": cache.cache_prefetch,
    "cache-purge": cache.cache_purge,
    "cache-clear": cache.cache_clear,
}


def main(arguments: list[str]) -> int:
    """Run one command line (without the program's name); returns 0 or 1.

    :raises SystemExit: after --help and --version (0), for a bad option (2)
    """
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a name may be in any script
    parser = make_parser()
    if not arguments:
        parser.print_help()
        return 0
    options, words = parser.parse_args(arguments)
    if not words:
        parser.print_usage()
        return 0
    name, *rest = words
    if name == "help":
        return _help(rest)
    command = COMMANDS.get(name)
    if command is None:
        return _unknown(name)
    began = time.monotonic()
    try:
        return _run(command, options, rest)
    except CONFIGURATION_ERRORS as error:
        parser.print_usage()
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    finally:
        if options.verbose:
            print(f"Completed in {time.monotonic() - began:.4f} sec.")


def _run(command: Callable[[Values, list[str]], None], options: Values, arguments: list[str]) -> int:
    try:
        command(options, arguments)
        sys.stdout.flush()
    except Failure as failure:
        print(failure)
        return 1
    except CONFIGURATION_ERRORS:
        raise
    except KeyboardInterrupt:
        print("Interrupted")
        return 1
    except BrokenPipeError:
        # The reader of our output has gone, as in "glance index | head": nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if options.debug:
            raise
        kind = "" if isinstance(error, exception.GlanceException) else f"{type(error).__name__}: "
        print(f"Unexpected error: {kind}{error}\nRun the command with --debug to see where it comes from.")
        return 1
    return 0


def _help(words: list[str]) -> int:
    if len(words) != 1:
        print("Please specify a command")
        return 1
    page = PAGES.get(words[0])
    if page is None:
        return _unknown(words[0])
    print(page, end="")
    return 0


def _unknown(name: str) -> int:
    make_parser().print_usage()
    print(f"Unknown command: {name}", file=sys.stderr)
    return 1
