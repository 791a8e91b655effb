"""What processes cost: CPU time and memory, read from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(roots: Iterable[int]) -> list[int]:
    """The given processes and all their descendants."""
    found: list[int] = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            waiting += [int(child) for child in task.read_text().split()]
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU seconds, user and system, that these processes and their descendants have used, ended ones included."""
    ticks = 0
    for pid in tree(roots):
        # The name stands in parentheses and may hold blanks; utime is field 14 of the line, here the 12th after it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS


def pss_bytes(roots: Iterable[int]) -> int:
    """Proportional set size of these processes and their descendants: shared pages count once in all."""
    total = 0
    for pid in tree(roots):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total
