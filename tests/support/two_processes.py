"""Two processes that reach each other, as torchrun would start them, for tests of what they compute together."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

COUNT = 2
SECONDS = 240


def in_two_processes(work: Callable[..., Any], folder: Path, *given: Any) -> list[Any]:
    """What a function of a module returns in each process.

    Args:
        work: to be called with `given`.
        folder: of this call alone; the processes meet there.
        *given: arguments.
    """
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    each = [context.Process(target=_work, args=(rank, folder, results, work, given)) for rank in range(COUNT)]
    for process in each:
        process.start()
    for process in each:
        process.join(SECONDS)
    assert [process.exitcode for process in each] == [0] * COUNT
    return [value for _, value in sorted((results.get() for _ in each), key=lambda pair: pair[0])]


def _work(rank: int, folder: Path, results: Any, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    from lossbench.running.executors.joint import connected
    from lossbench.running.sweep import prepare

    prepare()
    with connected("cpu", init_method=f"file://{folder / 'store'}", rank=rank, world_size=COUNT):
        results.put((rank, work(*given)))
