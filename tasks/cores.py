"""How many cores this process may use, and how many threads for work without Python's lock: decoding, networks' forward passes."""

from __future__ import annotations

import os
from multiprocessing import parent_process

_alone: list[bool] = []


def share_cores() -> None:
    """Use one core in this process from now on, as others like it have the rest."""
    _alone.append(True)


def own_cores() -> int:
    """The number of cores that this process may use, which a scheduler or `taskset` may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_for(parts: int) -> int:
    """As many as this process may use cores, but not more than parts of work; one in a worker of a sweep, which has others beside it."""
    if _alone or parent_process() is not None:
        return 1
    return max(1, min(own_cores(), parts))
