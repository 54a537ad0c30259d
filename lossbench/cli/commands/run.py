"""`lossbench run`: the runs of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from lossbench.cli.option_groups import with_option_groups
from lossbench.cli.options import (
    ClusterAddress,
    CodeFromOutside,
    Minutes,
    Place,
    Protocols,
    Scratch,
    Seeds,
    ShardName,
    Split,
    Strategies,
    SweepName,
    Tracks,
    Workers,
    limit_threads,
)
from lossbench.cli.output import console, same_command, say
from lossbench.processes import launched
from lossbench.words import plural, suggestion

if TYPE_CHECKING:
    from lossbench.config import Protocol, Sweep
    from lossbench.paths import Paths
    from lossbench.running.executors.base import Executor
    from lossbench.running.jobs import Job
    from strategies import Strategy

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


class Replacements(NamedTuple):
    """Options: values in the place of the sweep's own, which stay where one is None."""

    strategy: Strategies = None
    seed: Seeds = None
    track: Tracks = None
    protocol: Protocols = None
    split: Split = None

    @property
    def fields(self) -> dict[str, Any]:
        """What was given, by the field of a sweep."""
        values = self._asdict()
        return {field: values[option.removeprefix("--")] for field, option in OPTIONS.items()}


class Spread(NamedTuple):
    """Options: which of the runs are made, for how long, and by what."""

    workers: Workers = None
    minutes: Minutes = None
    shard: ShardName = None
    cluster: ClusterAddress = None
    scratch: Scratch = None


@with_option_groups
def run(
    sweep: SweepName,
    replacements: Replacements,
    code: CodeFromOutside,
    place: Place,
    spread: Spread,
) -> None:
    """Make the runs of a sweep, and show them. Runs that are recorded already are not made again."""
    _check(spread)
    limit_threads()
    code.load()
    from leaderboard.schema.records import read_record
    from lossbench.config_files import read_sweep

    whole, known = read_sweep(sweep)
    if spread.workers != 1 and spread.cluster is None and launched() is None:
        from lossbench.running.executors.workers import warm_up

        kinds = [listed.task.kind for listed in known]
        warm_up(kinds, place.device)  # imports in another process, while this one does, too
    from lossbench.running.executors.base import NEVER
    from lossbench.running.jobs import NullSink, Shard, jobs

    part = Shard.parsed(spread.shard) if spread.shard is not None else None
    wanted, protocols = narrowed(whole, known, replacements.fields)
    every = jobs(wanted, protocols)
    runs = part.of(every) if part else every
    executor = _executor(len(runs), place.device, spread)
    of_them = f" of {len(every)} (shard {spread.shard})" if part else ""
    if (own := launched()) and own.number:
        executor.make(runs, place.paths, NullSink(), NEVER)
        return
    on_them = f"on {plural(len(protocols), 'protocol')}, {executor.description}, into {place.out}"
    say(f"{plural(len(runs), 'run')}{of_them} {on_them}")
    records = _made(runs, place.paths, executor, spread.minutes)
    if len(records) < len(runs):
        kept = sum(len(read_record(path).rounds) for job in runs if (path := job.path(place.out)).exists())
        done = f"{len(records)} of {plural(len(runs), 'run')} and {kept:,} of {plural(sum(job.rounds for job in runs), 'round')} are done"
        say(f"Stopped after {spread.minutes:g} minutes: {done}. To go on: {same_command()}")
    elif part:
        build = f"lossbench leaderboard build {place.out / 'records'} --out {place.out / 'page'}"
        say(f"Shard {spread.shard} is complete. When all are: {build}")
    else:
        outside = [job.strategy() for job in runs if job.fingerprints]
        _show(records, (Path(sweep).stem, whole, known), place.out, outside)


def _show(
    records: list[Path], compared: tuple[str, Sweep, Sequence[Protocol]], out: Path, outside: Sequence[Strategy]
) -> None:
    """Show the records; on a machine without the packages that draw the page, say where they can be shown."""
    try:
        from lossbench.publishing.boards import comparisons_of
        from lossbench.publishing.report import report
    except ModuleNotFoundError as missing:
        build = f"lossbench leaderboard build {out / 'records'} --out {out / 'page'}"
        say(f"All runs are complete. {missing.name} is not installed here; to show them elsewhere: {build}")
        return
    report(records, comparisons_of(*compared), out, console(), outside)


def _check(spread: Spread) -> None:
    """Refuse options that exclude each other, and under torchrun those that spread runs over other processes."""
    if spread.scratch is not None and spread.cluster is None:
        msg = "--scratch is for --cluster; without it, models and caches are kept in --out"
        raise typer.BadParameter(msg)
    if launched() is None:
        return
    if spread.workers not in {None, 1}:
        msg = "--workers is for runs side by side; under torchrun all processes make each run together"
        raise typer.BadParameter(msg)
    if spread.cluster is not None:
        msg = "--cluster and torchrun exclude each other; start one of them"
        raise typer.BadParameter(msg)


def _executor(runs: int, device: str, spread: Spread) -> Executor:
    """What makes so many runs."""
    if spread.cluster is not None:
        from lossbench.running.executors.cluster.executor import Cluster

        return Cluster(spread.cluster, device, spread.scratch, spread.workers)
    if (own := launched()) is not None:
        from lossbench.running.executors.joint import Joint

        return Joint(own, device)
    from lossbench.running.executors.local import Local
    from lossbench.running.machine import check_device
    from tasks.cores import own_cores

    check_device(device)
    return Local(min(spread.workers or (1 if device != "cpu" else own_cores()), max(runs, 1)))


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
