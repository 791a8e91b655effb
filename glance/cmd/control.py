"""glance-control: start, stop and watch the servers of this host."""

import sys

from glance.control import command_line, commands
from glance.control.errors import ControlError


def main() -> int:
    """Run the program; returns its exit code."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # --respawn reports into pipes and files
    try:
        return commands.run(command_line.parse(sys.argv[1:]))
    except ControlError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
