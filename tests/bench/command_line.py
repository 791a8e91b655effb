"""Options of ``python -m tests.bench``."""

import argparse
import re
from pathlib import Path

SCENARIOS = ("upload", "download", "list", "show", "create", "v2", "fairness", "memory")
DATABASES = ("mariadb", "sqlite")

_ABOUT = """\
Measures how fast and how dear glance-api and glance-registry of this tree are, beside what they are compared with.
It starts everything itself on 127.0.0.1 and stops it again; nothing else is touched.
"""

_TEACHING = """\
scenarios (default: all)
  upload      one client sends --size of noise into a file store: API v1, 2 workers, with hashing_algorithm sha512 and
              sha256 (v1 adds md5).  Beside it hashing alone, each function in a thread; above it writing (with
              fsync, through the page cache) and receiving alone.
  download    1 and 8 clients fetch one image of --size.  Beside it nginx (2 workers, sendfile) with the same file.
  list, show, create
              4 clients repeat GET /v1/images/detail?limit=25, HEAD /v1/images/ID, POST /v1/images (no data); images
              have 3 properties.  Beside it the same request straight to the registry; the rest is the price of the hop.
  v2          4 clients repeat GET /v2/images?limit=25, GET and PATCH /v2/images/ID, POST /v2/images, with data_api
              over the registry's RPC; beside it the same straight to the database.
  fairness    20 HEAD and 20 GET (1 KiB) per second beside 1 full-speed and 4 trickling uploads, one API worker.
              Beside it the same without uploads; above it how late an idle process wakes up meanwhile.
  memory      PSS of both parents and their 2 + 2 workers, just started.

reading the table
  MB/s        millions of bytes per second, all clients together, by the client's clock
  CPU         user + system time of the servers and all their children, from /proc; the database is not counted
  beside it   what the same machine does in the same run without Glance, or without the part in question
  upstream    with --peer measured in this run: release 33 from PyPI, uWSGI, MariaDB, API v2; else (*) as stated once
              for another machine with 2 processors
  aim, met    what the figure should be.  Nothing fails when it is not: times depend on the machine and on what else
              runs.  CPU figures stand noise better than speeds; transfers show the median of --rounds.

The clients cost little: bytes of requests are made beforehand, uploads send one block of noise again and again, and
downloads are discarded in the kernel (recv with MSG_TRUNC).  Each client is a process of its own on a kept-alive
connection (upstream closes it after each answer).

examples
  python -m tests.bench                                  everything but upstream, four to six minutes
  python -m tests.bench --peer --json figures.json       with upstream, installed once into ~/.cache/glance-bench
  python -m tests.bench list show --database sqlite      two requests, one database
  python -m tests.bench upload --size 4GiB --rounds 1    one long upload
"""

_UNITS = {"": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with 2 and one clear line if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=_ABOUT,
        epilog=_TEACHING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="what to measure, see below")
    parser.add_argument("--size", type=size, default=2**30, metavar="SIZE", help="bytes of a transfer (default 1GiB)")
    parser.add_argument("--rounds", type=_positive, default=3, metavar="N", help="transfers of each kind (default 3)")
    parser.add_argument(
        "--seconds", type=_positive, metavar="N",
        help="time for each kind of small request (default 5) and for fairness (default 20)",
    )  # fmt: skip
    parser.add_argument(
        "--database", action="append", choices=DATABASES,
        help="metadata in this database; may be given twice (default both; transfers use the first)",
    )  # fmt: skip
    parser.add_argument("--no-nginx", dest="nginx", action="store_false", help="download without nginx beside it")
    parser.add_argument("--peer", action="store_true", help="measure upstream's newest release too (needs MariaDB)")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="where image files go (default: temporary files)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file too")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"unknown scenario {unknown[0]!r}: choose from {', '.join(SCENARIOS)}")
    if options.directory and not options.directory.is_dir():
        parser.error(f"--directory {options.directory}: no such directory")
    options.scenarios = options.scenarios or list(SCENARIOS)
    options.database = options.database or list(DATABASES)
    if options.peer and "mariadb" not in options.database:
        parser.error("--peer runs on MariaDB: add --database mariadb")
    return options


def size(text: str) -> int:
    """Bytes of ``4096``, ``64KiB``, ``4MiB`` or ``1GiB``."""
    match = re.fullmatch(r"(\d+)(KiB|MiB|GiB|)", text, re.IGNORECASE)
    if not match or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write it like 64KiB, 4MiB or 1GiB")
    return int(match[1]) * _UNITS[match[2].upper()]


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)
