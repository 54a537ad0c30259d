"""Runs that end without a record, and workers that die: what is said of them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lossbench.errors import LossbenchError

KERNEL_COUNTERS = Path("/proc/vmstat")
"""Counters of the kernel (Linux, proc(5))."""


class RunError(LossbenchError):
    """A run ended without its record."""


class WorkerError(LossbenchError):
    """The worker of a run has died twice. The message is one line that names the run."""

    exit_code = 1


def memory_kills() -> int:
    """How many processes the kernel has ended for lack of memory since the machine's start; 0 where it does not say."""
    if KERNEL_COUNTERS.exists():
        for line in KERNEL_COUNTERS.read_text(encoding="ascii").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def ending(code: int | None, kills: int) -> str:
    """How a process ended: "was ended by SIGKILL, as the machine ran out of memory".

    Args:
        code: its exit code as `multiprocessing` gives it: the number of a signal is negative.
        kills: how many processes the kernel has ended meanwhile for lack of memory.
    """
    if code is None or code >= 0:
        return f"ended with exit code {code}" if code is not None else "ended"
    name = signal.Signals(-code).name if -code in {each.value for each in signal.Signals} else f"signal {-code}"
    if name != "SIGKILL":
        return f"was ended by {name}"
    return f"was ended by SIGKILL, {'as the machine ran out of memory' if kills else 'most often for lack of memory'}"


def advice(how: str) -> str:
    """What to do about processes that ended as `ending` says."""
    return "use fewer --workers" if "memory" in how else "the strategy's code, or a library, ends it"


@contextmanager
def no_exit(title: str) -> Iterator[None]:
    """Code that ends the program inside of a run, perhaps with exit code 0, is a fault of the run.

    Args:
        title: of the run.
    """
    try:
        yield
    except SystemExit as error:
        msg = f"{title}: code of the run ends the program (SystemExit: {error.code})"
        raise RunError(msg) from error
