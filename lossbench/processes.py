"""Processes that torchrun has started to make runs together, as its environment variables describe them. Imports no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

SECONDS_TO_ANSWER = 5
"""How long the store of torchrun may take to answer where something has failed already."""


@dataclass(frozen=True)
class Launched:
    """This process among those that make runs together."""

    number: int
    """From 0. The process of number 0 writes all files and says all lines."""
    count: int
    on_this_machine: int
    local_number: int
    """Among those of this machine: the number of its GPU."""


def launched() -> Launched | None:
    """What torchrun says of this process; None where it was started alone."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_RANK")
    if not {*names, "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        return None
    found = Launched(*(int(os.environ[name]) for name in names))
    return found if found.count > 1 else None


def command_words() -> list[str]:
    """How this program was started, up to the words that it reads itself."""
    found = launched()
    if found is None:
        return ["lossbench"]
    nodes = found.count // found.on_this_machine
    more = ["--nnodes", str(nodes)] if nodes > 1 else ["--standalone"]
    return ["torchrun", *more, "--nproc-per-node", str(found.on_this_machine), "-m", "lossbench"]


def said_first() -> bool:
    """Whether no other process of this launch has said yet why it ends; at the second call nobody has to."""
    if launched() is None:
        return True
    from torch.distributed import (  # noqa: PLC0415 - takes seconds
        DistError,
        TCPStore,  # pyright: ignore[reportPrivateImportUsage] - documented there
    )

    try:
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(*place, is_master=False, timeout=timedelta(seconds=SECONDS_TO_ANSWER))
        return store.add("lossbench/said", 1) == 1
    except DistError:  # the process that holds the store has ended
        return True
