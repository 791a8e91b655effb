"""glance-manage: the database, and what the stores hold (spec daemons-and-config.md §7)."""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence

from glance.common import config, exception
from glance.common.config import log
from glance.db.sqlalchemy import api, purge
from glance.db.sqlalchemy.engine import Database
from glance.db.sqlalchemy.migrations import sync

_PROGRAM = "glance-manage"
_CATEGORIES = ("db", "store")
_DAY = 86400


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.  :raises SystemExit: a bad command line (2), --help, an error (1)"""
    argv = sys.argv[1:] if argv is None else argv
    if not argv:
        print(f"{_PROGRAM} category action [<args>]\nAvailable categories:")
        for category in _CATEGORIES:
            print(f"\t{category}")
        return 2
    parser = _parser()
    if _is_for_cli(argv):
        from glance.cmd.glance import main as run_cli

        return run_cli()
    arguments = parser.parse_args(argv)
    with config.exit_on_error():
        if arguments.command is _store_check:
            config.register(config.CONF, "glance-scrubber")  # whose options are those of the stores
        conf = config.load(_PROGRAM, arguments)
        log.setup(conf)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        return arguments.command(arguments) or 0


def _is_for_cli(argv: Sequence[str]) -> bool:
    """Whether this is a command of the `glance` program, run under this name as in 2011."""
    if any(word in _COMMANDS or word in _CATEGORIES for word in argv):
        return False
    from glance.cli.main import COMMANDS

    return any(word in COMMANDS for word in argv)


# --- commands --------------------------------------------------------------------


def _database() -> Database:
    return Database(config.CONF, patient=True)


def _version(arguments: argparse.Namespace) -> None:
    found = sync.version(_database())
    print("\n".join(found) or "The database is not under version control: run `glance-manage db sync`.")


def _check(arguments: argparse.Namespace) -> int:
    code, sentence = sync.check(_database())
    print(sentence)
    return code


def _sync(arguments: argparse.Namespace) -> None:
    sync.sync(
        _database(),
        print,
        version=arguments.to_version or arguments.to_version_option,
        current_version=arguments.from_version or arguments.from_version_option,
        extra_indexes=not arguments.no_extra_indexes,
    )


def _upgrade(arguments: argparse.Namespace) -> None:
    sync.sync(_database(), print, version=arguments.to_version, extra_indexes=not arguments.no_extra_indexes)


def _expand(arguments: argparse.Namespace) -> None:
    sync.sync(_database(), print, extra_indexes=not arguments.no_extra_indexes)


def _migrate(arguments: argparse.Namespace) -> None:
    sync.migrate(_database(), print)


def _contract(arguments: argparse.Namespace) -> None:
    sync.contract(_database(), print)


def _version_control(arguments: argparse.Namespace) -> None:
    sync.version_control(_database(), print, version=arguments.to_version)


def _downgrade(arguments: argparse.Namespace) -> int:
    print(
        f"ERROR: The schema is never taken back to {arguments.to_version}: restore the backup made before the upgrade "
        "(of an SQLite file: <name>.before-<date>). Upstream works with this schema as it is.",
        file=sys.stderr,
    )
    return 1


def _purge(arguments: argparse.Namespace) -> None:
    age, rows = _limits(arguments)
    _report(purge.purge(_database(), age, rows))


def _purge_images_table(arguments: argparse.Namespace) -> None:
    age, rows = _limits(arguments)
    _report(purge.purge_images(_database(), age, rows))


def _store_check(arguments: argparse.Namespace) -> int:
    from glance.context import admin_context
    from glance.images import store_check

    api.configure(config.CONF)
    return store_check.run(
        config.CONF,
        arguments.store_id,
        arguments.older,
        arguments.delete,
        lambda image_ids: api.image_ids_in_use(admin_context(), image_ids),
    )


def _limits(arguments: argparse.Namespace) -> tuple[int, int]:
    age = _integer("age_in_days", arguments.age_in_days)
    rows = _integer("max_rows", arguments.max_rows)
    if age < 0:
        raise exception.Invalid("Must supply a positive, non-zero value for age.")
    if age >= int(time.time() / _DAY):
        raise exception.Invalid("Maximal age is count of days since epoch.")
    if rows < 1 and rows != purge.ALL:
        raise exception.Invalid("Minimal rows limit is 1.")
    return age, rows


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise exception.Invalid(f"Invalid int value for {name}: {text}") from None


def _report(counts: dict[str, int]) -> None:
    waiting = counts.pop("pending_delete")
    for table, rows in counts.items():
        print(f"{table}: {rows} rows deleted")
    if waiting:
        print(f"{waiting} rows in pending_delete were left for glance-scrubber")


# --- the command line --------------------------------------------------------------

_COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int | None], str]] = {
    "db_version": (_version, "print the version of the database"),
    "db_check": (_check, "say whether the database must be upgraded (exit code 0: no)"),
    "db_sync": (_sync, "bring the database to the newest schema, or create it"),
    "db_upgrade": (_upgrade, "the same as db sync"),
    "db_downgrade": (_downgrade, "not possible: explains why"),
    "db_expand": (_expand, "first step of an upgrade: additions to the schema"),
    "db_migrate": (_migrate, "second step: conversion of data"),
    "db_contract": (_contract, "third step: removal of what old releases needed"),
    "db_version_control": (_version_control, "only record the version"),
    "db_purge": (_purge, "remove rows that were deleted long ago, images excepted"),
    "db_purge_images_table": (_purge_images_table, "remove images that were deleted long ago; frees their ids"),
    # as 2011 called them
    "upgrade": (_upgrade, argparse.SUPPRESS),
    "downgrade": (_downgrade, argparse.SUPPRESS),
    "version_control": (_version_control, argparse.SUPPRESS),
}


def _parser() -> argparse.ArgumentParser:
    parser = config.command_line(_PROGRAM, "Manage the database of glance, and check its stores.")
    words = parser.add_subparsers(metavar="COMMAND", required=True)
    db = words.add_parser("db", help="the database").add_subparsers(metavar="ACTION", required=True)
    for name, (command, description) in _COMMANDS.items():
        if name.startswith("db_"):
            _describe(db.add_parser(name.removeprefix("db_"), help=description, description=description), command)
        _describe(words.add_parser(name, description=description), command)
    store = words.add_parser("store", help="the stores").add_subparsers(metavar="ACTION", required=True)
    check = store.add_parser("check", help="list objects that no image owns (exit code 1: there are some)")
    check.add_argument("--store", dest="store_id", metavar="ID", help="look only into this store")
    check.add_argument(
        "--older", type=float, default=3600, metavar="SECONDS", help="leave alone what changed more recently (3600)"
    )
    check.add_argument("--delete", action="store_true", help="remove what is found")
    check.set_defaults(command=_store_check)
    return parser


def _describe(parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], int | None]) -> None:
    parser.set_defaults(command=command)
    if command is _downgrade:
        parser.add_argument("to_version", metavar="VERSION")
    if command in {_sync, _upgrade, _version_control}:
        parser.add_argument("to_version", nargs="?", metavar="VERSION", help="the newest is meant, and no other known")
    if command is _sync:
        parser.add_argument(
            "from_version", nargs="?", metavar="CURRENT_VERSION", help="where an unversioned database stands"
        )
        parser.add_argument("--version", dest="to_version_option", metavar="VERSION", help=argparse.SUPPRESS)
        parser.add_argument(
            "--current_version", "--current-version", dest="from_version_option", metavar="CURRENT_VERSION",
            help=argparse.SUPPRESS,
        )  # fmt: skip
    if command in {_sync, _upgrade, _expand}:
        parser.add_argument(
            "--no-extra-indexes", action="store_true", help="leave out the indexes that only make lists fast"
        )
    if command in {_purge, _purge_images_table}:
        age = "30" if command is _purge else "180"
        parser.add_argument(
            "--age_in_days", "--age-in-days", default=age, metavar="DAYS", help=f"deleted so long ago ({age})"
        )
        parser.add_argument(
            "--max_rows", "--max-rows", default="100", metavar="ROWS", help="of each table; -1: all (100)"
        )


if __name__ == "__main__":
    sys.exit(main())
