"""Run with ``python -m tests.bench``; ``--help`` explains everything."""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import command_line
from tests.bench.measure import Bench
from tests.bench.report import Report, table, write_json
from tests.bench.services import Unavailable


def main() -> int:
    """Measure and print; return the exit code: 0 done, 1 something failed, 2 something is not installed."""
    options = command_line.parse()
    report = Report(lambda line: print(line, file=sys.stderr, flush=True))
    machine = _machine()
    code = 0
    with tempfile.TemporaryDirectory(prefix="glance-bench-", dir=options.directory) as directory:
        try:
            Bench(options, Path(directory), report).run()
        except Unavailable as error:
            print(f"error: {error}", file=sys.stderr)
            code = 2
        except subprocess.CalledProcessError as error:
            print(f"error: {error}\n{error.stderr}", file=sys.stderr)
            code = 1
        except RuntimeError as error:
            print(f"error: {error}", file=sys.stderr)
            code = 1
    machine["load_after"] = os.getloadavg()[0]
    machine["size"], machine["rounds"] = options.size, options.rounds
    rows = report.rows()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(table(rows))
    if any(row.upstream is not None and not row.upstream_measured for row in rows):
        print("* as stated for another machine with 2 processors; --peer measures it here")
    if options.json:
        write_json(options.json, machine, rows)
    return code


def _machine() -> dict[str, Any]:
    return {
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
