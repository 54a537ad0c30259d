"""How many threads a process may use for work that needs no lock of Python: decoding, and networks without gradients."""

from __future__ import annotations

import os
from multiprocessing import parent_process

_alone: list[bool] = []


def share_cores() -> None:
    """Use one core in this process from now on, as others like it have the rest."""
    _alone.append(True)


def threads_for(parts: int) -> int:
    """As many as this process may use cores, but not more than parts of work; one in a worker of a sweep, which has others beside it."""
    if _alone or parent_process() is not None:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, parts))
