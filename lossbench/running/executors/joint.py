"""Each run made by several processes together, which torchrun has started."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from lossbench.config import ConfigError
from lossbench.paths import Paths
from lossbench.processes import Launched
from lossbench.running.executors.base import Deadline
from lossbench.running.jobs import Job, Sink
from lossbench.running.recording import Recording
from lossbench.running.sweep import prepare, rounds_of
from lossbench.words import plural
from tasks.notices import LOGGER

LONGEST_WAIT = timedelta(days=30)
"""For another process, which may prepare data for hours. Torchrun ends all as soon as one has ended."""


@dataclass(frozen=True)
class Joint:
    """Makes runs one after another, each by all processes. The first process writes all files.

    Args:
        launched: this process.
        device: name of the device that was asked for.

    Raises:
        ConfigError: the device has a number, or this machine has no such device.
    """

    launched: Launched
    device: str

    def __post_init__(self) -> None:
        from lossbench.running.machine import check_device  # noqa: PLC0415 - imports torch

        if self.device not in {"cpu", "cuda"}:
            msg = f"--device {self.device}: under torchrun each process takes a GPU of its own; give cuda or cpu"
            raise ConfigError(msg)
        check_device(self.own_device)

    @property
    def own_device(self) -> str:
        """Name of this process's device."""
        return "cpu" if self.device == "cpu" else f"cuda:{self.launched.local_number}"

    @property
    def description(self) -> str:
        """By how many processes."""
        return f"each by {plural(self.launched.count, 'process', 'processes')}"

    def make(self, planned: Sequence[Job], paths: Paths, events: Sink, deadline: Deadline) -> None:
        """Make all runs; see `Executor`."""
        prepare()
        if self.launched.number:
            LOGGER.setLevel(logging.ERROR)  # the first process says the same
        with connected(self.own_device):
            for number, job in enumerate(planned):
                _make(number, job, replace(paths, device=self.own_device), events, deadline)


def _make(number: int, job: Job, paths: Paths, events: Sink, deadline: Deadline) -> None:
    """Make a run, or the rest of it. What is written, and when to stop, is decided by the first process."""
    from tasks.training.processes.parallel import from_first, is_first  # noqa: PLC0415 - imports torch

    recording = Recording(number, job, paths.out, events)
    with ExitStack() as stack:
        if not from_first(lambda: stack.enter_context(recording.held(deadline))):
            return
        if is_first():
            recording.read()
        recording.record = from_first(lambda: recording.record)
        if recording.complete or not from_first(lambda: deadline.passed):
            ended = partial(from_first, lambda: deadline.passed)
            for record in rounds_of(job, paths, recording.record, recording.report, ended):
                if is_first():
                    recording.keep(record)
    if is_first():
        recording.end()


@contextmanager
def connected(device: str, **meeting: Any) -> Iterator[None]:
    """In this block the processes can reach each other. After a fault the connections end with the process.

    The connections' threads end with the block if nothing else holds the group of processes. A thread that is left, and
    lets go of a tensor while the interpreter ends, aborts its process. Three modules of torch hold the group that exists
    when they are imported, as a default value; torch's compiler and MMEngine's runner import them.

    Args:
        device: of this process.
        **meeting: how the processes find each other, where torchrun has not told them: arguments of `init_process_group`.
    """
    import torch  # noqa: PLC0415
    import torch.distributed.fsdp.sharded_grad_scaler  # noqa: PLC0415 - the three, before there is a group
    import torch.distributed.nn.functional  # noqa: PLC0415
    import torch.distributed.optim.zero_redundancy_optimizer  # noqa: PLC0415
    from torch import distributed  # noqa: PLC0415

    on_gpu = device != "cpu"
    if on_gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=LONGEST_WAIT, **meeting)
    yield
    distributed.barrier()  # nobody ends while others still write
    distributed.destroy_process_group()
