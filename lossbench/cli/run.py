"""`lossbench run`: the runs of a sweep."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lossbench.cli.options import (
    ClusterAddress,
    Data,
    Device,
    KindFiles,
    Minutes,
    ModelFiles,
    Out,
    Protocols,
    Scratch,
    Seeds,
    ShardName,
    Split,
    Strategies,
    SweepName,
    Tracks,
    TrustConfig,
    Workers,
    limit_threads,
    load_outside,
)
from lossbench.cli.output import console, same_command, say
from lossbench.processes import launched
from lossbench.words import plural, suggestion

if TYPE_CHECKING:
    from lossbench.config import Protocol, Sweep
    from lossbench.paths import Paths
    from lossbench.running.executors.base import Executor
    from lossbench.running.jobs import Job

EXAMPLES = """Examples:

\b
lossbench run quickstart
lossbench run quickstart --strategy mine.py
lossbench run cifar10-mini --data DIR --strategy entropy --seed 0 --seed 1
lossbench run my-sweep.toml --out runs/mine --workers 2
"""
OPTIONS = {
    "protocols": "--protocol",
    "strategies": "--strategy",
    "seeds": "--seed",
    "tracks": "--track",
    "split": "--split",
}
"""Options by the field of a sweep that they replace."""


def run(
    sweep: SweepName,
    strategy: Strategies = None,
    seed: Seeds = None,
    track: Tracks = None,
    protocol: Protocols = None,
    split: Split = None,
    kind_file: KindFiles = None,
    model_file: ModelFiles = None,
    trust_config: TrustConfig = False,
    data: Data = Path("data"),
    out: Out = Path("runs"),
    device: Device = "cpu",
    workers: Workers = None,
    minutes: Minutes = None,
    shard: ShardName = None,
    cluster: ClusterAddress = None,
    scratch: Scratch = None,
) -> None:
    """Make the runs of a sweep, and show them. Runs that are recorded already are not made again."""
    if launched() is not None:
        _check_joint(workers, cluster)
    limit_threads()
    load_outside(kind_file, model_file, trusted=trust_config)
    from lossbench.config_files import read_sweep

    if scratch is not None and cluster is None:
        msg = "--scratch is for --cluster; without it, models and caches are kept in --out"
        raise typer.BadParameter(msg)
    whole, known = read_sweep(sweep)
    if workers != 1 and cluster is None and launched() is None:
        from lossbench.running.executors.workers import warm_up

        warm_up([listed.task.kind for listed in known], device)  # imports in another process, while this one does, too
    from lossbench.paths import Paths
    from lossbench.publishing.boards import comparisons_of
    from lossbench.publishing.report import report
    from lossbench.running.executors.base import NEVER
    from lossbench.running.jobs import NullSink, Shard, jobs

    part = Shard.parsed(shard) if shard is not None else None
    chosen = {"strategies": strategy, "seeds": seed, "tracks": track, "protocols": protocol, "split": split}
    wanted, protocols = narrowed(whole, known, chosen)
    every = jobs(wanted, protocols)
    runs = part.of(every) if part else every
    executor = _executor(len(runs), device, workers, cluster, scratch)
    of_them = f" of {len(every)} (shard {shard})" if part else ""
    paths = Paths(data, out, device)
    if (own := launched()) and own.number:
        executor.make(runs, paths, NullSink(), NEVER)
        return
    on_them = f"on {plural(len(protocols), 'protocol')}, {executor.description}, into {out}"
    say(f"{plural(len(runs), 'run')}{of_them} {on_them}")
    records = _made(runs, paths, executor, minutes)
    if len(records) < len(runs):
        made = f"{len(records)} of {plural(len(runs), 'run')}"
        say(f"Stopped after {minutes:g} minutes: {made} are complete. To go on: {same_command()}")
    elif part:
        say(
            f"Shard {shard} is complete. When all are: lossbench leaderboard build {out / 'records'} --out {out / 'page'}"
        )
    else:
        outside = [job.strategy() for job in runs if job.fingerprints]
        report(records, comparisons_of(Path(sweep).stem, whole, known), out, console(), outside)


def _check_joint(workers: int | None, cluster: str | None) -> None:
    """Refuse, under torchrun, options that spread runs over other processes."""
    if workers not in {None, 1}:
        msg = "--workers is for runs side by side; under torchrun all processes make each run together"
        raise typer.BadParameter(msg)
    if cluster is not None:
        msg = "--cluster and torchrun exclude each other; start one of them"
        raise typer.BadParameter(msg)


def _executor(runs: int, device: str, workers: int | None, cluster: str | None, scratch: Path | None) -> Executor:
    """What makes so many runs."""
    if cluster is not None:
        from lossbench.running.executors.cluster.executor import Cluster

        return Cluster(cluster, device, scratch, workers)
    if (own := launched()) is not None:
        from lossbench.running.executors.joint import Joint

        return Joint(own, device)
    from lossbench.running.executors.local import Local
    from lossbench.running.machine import check_device

    check_device(device)
    return Local(min(workers or (1 if device != "cpu" else os.cpu_count() or 1), max(runs, 1)))


def _made(runs: list[Job], paths: Paths, executor: Executor, minutes: float | None) -> list[Path]:
    """The records of the runs that are complete."""
    from lossbench.running.executors.base import NEVER, Deadline
    from lossbench.running.progress import SweepProgress
    from lossbench.running.sweep import run_sweep

    deadline = NEVER if minutes is None else Deadline.after(60 * minutes)
    with SweepProgress(runs, console()) as progress:
        return run_sweep(runs, paths, executor, progress, deadline)


def narrowed(sweep: Sweep, known: Sequence[Protocol], chosen: dict[str, Any]) -> tuple[Sweep, tuple[Protocol, ...]]:
    """The sweep with what the command line names in place of what its file says.

    A strategy from a file is run beside random picks, without which its score says nothing.

    Raises:
        ConfigError: a protocol that is not one of the sweep's, or a value that does not fit.
        StrategyError: no such strategy.
    """
    from lossbench.config import EVERY, ConfigError
    from lossbench.running.jobs import sweep_of
    from strategies import FULL_POOL, load_strategy
    from strategies.random import Random

    fields = sweep.model_dump() | {name: value for name, value in chosen.items() if value is not None}
    for name in fields["protocols"]:
        if name not in sweep.protocols:
            msg = f"no protocol {name!r} in this sweep; {suggestion(name, sweep.protocols)}"
            raise ConfigError(msg)
    if chosen["strategies"] or chosen["seeds"]:
        fields["full_pool_seeds"] = ()
    if any(name.endswith(".py") for name in chosen["strategies"] or ()):
        fields["strategies"] = tuple(dict.fromkeys([Random.name, *fields["strategies"]]))
    narrow = sweep_of(fields, OPTIONS)
    for name in narrow.strategies:
        if name not in {FULL_POOL, EVERY}:
            load_strategy(name, narrow.parameters.get(name))
    return narrow, tuple(protocol for protocol in known if protocol.name in narrow.protocols)
