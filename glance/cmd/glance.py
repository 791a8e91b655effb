"""glance: the command of 2011 to query and manage images."""

import sys

from glance.cli.main import main as run


def main() -> int:
    """Run the program; returns its exit code."""
    return run(sys.argv[1:])
