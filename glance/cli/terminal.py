"""Standard input: questions to a person, or image data."""

import os
import stat
import sys
from typing import IO


def confirm(question: str, default: bool) -> bool:
    """Ask on the terminal; without one, or at its end, the default is the answer."""
    if sys.stdin is None or not sys.stdin.isatty():
        return default
    try:
        answer = input(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
    except EOFError:
        print()
        return default
    return answer in ("y", "yes") if answer else default


def redirected_data() -> IO[bytes] | None:
    """Standard input as image data; None when it is a terminal or closed."""
    if sys.stdin is None or sys.stdin.isatty():
        return None
    return sys.stdin.buffer


def has_redirected_data() -> bool:
    """Whether somebody really redirected data: /dev/null, as daemons and cron have it, is none."""
    source = redirected_data()
    return source is not None and not stat.S_ISCHR(os.fstat(source.fileno()).st_mode)
