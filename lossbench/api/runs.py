"""Runs and tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import torch
from pydantic import JsonValue
from threadpoolctl import threadpool_limits

from leaderboard.schema.records import Split, Track, read_record
from lossbench.api.instances import InstanceJob, instance_of
from lossbench.api.progress import showing
from lossbench.api.records import Record
from lossbench.config import EVERY, ConfigError, Protocol
from lossbench.config_files import read_protocol
from lossbench.paths import Paths, write_fault
from lossbench.running.jobs import Job, jobs, sweep_of
from lossbench.running.machine import check_device
from lossbench.running.sweep import forget_task, prepare, run_job
from strategies import Strategy
from tasks.base import Task
from tasks.kinds import build_task
from tasks.models.trust import configs_trusted, trust_configs

ARGUMENTS = {"protocols": "protocol", "strategies": "strategy", "seeds": "seed", "tracks": "track"}
"""Arguments of `run` by the field of a sweep that they become."""


def run(
    protocol: str | Path,
    strategy: str | Path | Strategy | type[Strategy],
    seed: int = 0,
    *,
    data: str | Path = "data",
    out: str | Path = "runs",
    track: Track = "shared",
    split: Split = "test",
    device: str = "cpu",
    parameters: Mapping[str, JsonValue] | None = None,
    progress: bool | None = None,
    trust_config: bool = False,
) -> Record:
    """Make one run, or the rest of it, and give its record: the same that `lossbench run` writes.

    The record is written into `out` after every round. Called again, a run goes on where it stopped; one that is complete
    is read. It runs in this process, on one thread.

    Args:
        protocol: a name, such as `scenes-classification`, or the path of a file.
        strategy: a name, the path of a Python file, or a `Strategy`, class or instance. The record of a class from
            elsewhere than a file names the SHA-256 of its compiled code; see `lossbench.api.instances`.
        seed: of all random numbers: first labels, weights, batches, candidates, and what the strategy draws.
        data: folder of the real data sets.
        out: folder for records, weights and rendered scenes.
        track: `shared`: every model trains with the loss module; `native`: with what its strategy trains.
        split: `test`, or `validation` to make choices.
        device: `cpu` or `cuda`.
        parameters: hyper-parameters of the strategy by name, where they are not its defaults.
        progress: whether to show a progress bar; where not given, in a notebook and on a terminal.
        trust_config: whether to load an mmdet or mmpose config from elsewhere than mmdet and mmpose; it is run as Python code.

    Raises:
        LossbenchError: an argument that does not fit, data that is missing, a strategy that breaks the contract, or a record
            that was begun under other numbers or with other code.
    """
    check_device(device)
    job = _job(read_protocol(protocol), strategy, seed, track, split, dict(parameters or {}))
    paths = Paths(Path(data), Path(out), device)
    if fault := write_fault(paths.out):
        msg = f"out: {fault}"
        raise ConfigError(msg)
    forget_task()  # files may have changed since the last run
    with _one_thread(), _trusting(trust_config), showing(job, progress) as events:
        return Record.of(read_record(run_job(0, job, paths, events)))


def load_task(
    protocol: str | Path,
    *,
    data: str | Path = "data",
    cache: str | Path = "runs/cache",
    device: str = "cpu",
    trust_config: bool = False,
) -> Task[Any, Any]:
    """The task of a protocol, with its images at hand.

    Args:
        protocol: a name, such as `cifar10-mini`, or the path of a file.
        data: folder of the real data sets; rendered scenes need none.
        cache: folder for rendered scenes; it may be deleted at any time.
        device: `cpu` or `cuda`.
        trust_config: as for `run`.

    Raises:
        LossbenchError: no such protocol, or data that is missing or damaged.
    """
    check_device(device)
    with _trusting(trust_config):
        return build_task(read_protocol(protocol).task, Path(data), Path(cache), torch.device(device))


def _job(
    protocol: Protocol,
    strategy: str | Path | Strategy | type[Strategy],
    seed: int,
    track: Track,
    split: Split,
    parameters: dict[str, JsonValue],
) -> Job:
    instance = None if isinstance(strategy, str | Path) else instance_of(strategy, parameters, protocol)
    name = instance.name if instance else str(strategy)
    if name == EVERY:
        msg = f"{EVERY!r} names many strategies; give one"
        raise ConfigError(msg)
    wanted = {"protocols": [protocol.name], "strategies": [name], "seeds": [seed], "tracks": [track], "split": split}
    given = {} if instance else {"parameters": {name: parameters}}
    (job,) = jobs(sweep_of(wanted | given, ARGUMENTS), (protocol,))
    if instance is None:
        return job
    return InstanceJob(job.protocol, job.reference, job.seed, job.track, job.split, instance=instance)


@contextmanager
def _trusting(wanted: bool) -> Iterator[None]:
    """Load configs from anywhere in this block, or from mmdet and mmpose alone."""
    before = configs_trusted()
    trust_configs(wanted)
    try:
        yield
    finally:
        trust_configs(before)


@contextmanager
def _one_thread() -> Iterator[None]:
    """What `prepare` sets, for this block alone; libraries with threads of their own are limited, too.

    A result depends on the number of threads, in the last digits.
    """
    threads, images, rounded = torch.get_num_threads(), cv2.getNumThreads(), torch.backends.cudnn.allow_tf32
    environment = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # for libraries that are loaded in the block
    try:
        with threadpool_limits(1):
            prepare()
            yield
    finally:
        if environment is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = environment
        torch.set_num_threads(threads)
        cv2.setNumThreads(images)
        torch.backends.cudnn.allow_tf32 = rounded
