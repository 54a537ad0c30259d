"""Verification: a stranger's strategy is rerun in a sandbox, and its records are compared with the reported ones.

What it catches: records under other numbers than the protocol's, and on the rendered scenes anything that a rerun does not
repeat. What it cannot: a plausible score raised on a task that was not rerun, and code written to deceive its own rerun.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field

from leaderboard.schema.badges import Badge, State, digest, write_badge
from leaderboard.schema.records import (
    Name,
    Part,
    Record,
    RecordError,
    Text,
    Track,
    read_bytes,
    read_record,
    record_path,
    write_record,
)
from leaderboard.scoring.entries import Entry, Hardware
from leaderboard.scoring.picks import picks
from leaderboard.scoring.statistics import interval
from lossbench.config import ConfigError, Protocol, config_files, protocol_file, read_protocol
from lossbench.running.machine import commit, describe
from lossbench.submissions.folder import REPLAY, Submission, faults
from lossbench.submissions.sandbox import Limits, SandboxError, python, without_network
from tasks.kinds import build_task

CHECK_LIMITS = Limits(seconds=1800)
RERUN_LIMITS = Limits(seconds=6 * 3600)
REQUIRED_SEEDS = (0, 1)
"""The quickstart's."""


@dataclass(frozen=True)
class Verifier:
    """Who verifies, and with what.

    Args:
        who: a name for the badge.
        protocols: the folder of task protocols.
        data: the folder of real data; only for `real_tasks`.
        real_tasks: rerun one seed of these, too.
    """

    who: str
    protocols: Path
    data: Path
    real_tasks: tuple[str, ...] = ()

    def badge(self, submission: Submission) -> Badge:
        """Verify, keep the reruns' records as evidence beside the submission, and write its badge.

        Raises:
            ConfigError: a task is named that there is not, or its data is not at hand: nobody's fault but the verifier's.
        """
        tasks, now = self._tasks(), commit()  # before anything is written
        reported = [record for record in submission.records().records if record.protocol in tasks]
        wrong = faults(submission, self.protocols) + list(_missing(reported, tasks))
        comparisons: list[Comparison] = []
        if not wrong:
            try:
                comparisons = [
                    compared(rerun, reported, deterministic=submission.meta.deterministic)
                    for rerun in self._reruns(submission, reported)
                ]
            except (SandboxError, RecordError) as error:
                wrong.append(f"the rerun failed: {error}")
        wrong += [fault for each in comparisons for fault in each.faults]
        exact = all(each.exact for each in comparisons)
        state: State = "failed" if wrong else "verified" if exact else "replayed"
        badge = Badge(
            state=state,
            when=datetime.now(UTC).date().isoformat(),
            who=self.who,
            machine=describe(torch.device("cpu")),
            commit=now,
            digest=digest(submission.folder),
            replayed=tuple((each.task, each.track, each.seed) for each in comparisons),
            faults=tuple(wrong[:100]),
            notes=tuple(note for each in comparisons for note in each.notes)[:100],
        )
        write_badge(badge, submission.folder)
        return badge

    def _tasks(self) -> dict[str, Protocol]:
        """What is rerun: the rendered scenes, and the real tasks that were asked for."""
        every = {path.stem: read_protocol(path) for path in config_files(self.protocols)}
        unknown = set(self.real_tasks) - set(every)
        if unknown:
            msg = f"no task {min(unknown)!r}; there are {', '.join(every)}"
            raise ConfigError(msg)
        if self.real_tasks and not self.data.is_dir():
            msg = f"no data in {self.data}; name its folder with --data"
            raise ConfigError(msg)
        return {name: each for name, each in every.items() if each.task.data.scenes or name in self.real_tasks}

    def _reruns(self, submission: Submission, reported: Sequence[Record]) -> Iterator[Record]:
        """Every reported run of the rendered scenes, and one seed of each real task; the lowest seed of each task twice.

        Raises:
            SandboxError: a run failed, or two equal runs made different records.
            RecordError: what a run wrote is no record.
        """
        kept = submission.folder / REPLAY
        shutil.rmtree(kept, ignore_errors=True)
        seen: set[tuple[str, str]] = set()
        with tempfile.TemporaryDirectory(prefix="lossbench-") as name:
            cache = Path(name)
            for record in sorted(reported, key=lambda one: (one.protocol, one.track, one.seed)):
                place = (record.protocol, record.track)
                if place in seen and record.protocol in self.real_tasks:
                    continue
                rerun = self._rerun(submission, record, cache)
                if place not in seen and submission.meta.deterministic:
                    _same(rerun, self._rerun(submission, record, cache))
                seen.add(place)
                write_record(rerun, record_path(kept, record.protocol, record.track, record.strategy, record.seed))
                yield rerun

    def _rerun(self, submission: Submission, reported: Record, cache: Path) -> Record:
        """One run in a box of its own, which gets copies of rendered scenes and pre-trained trunks: they take minutes."""
        file = protocol_file(self.protocols, reported.protocol)
        protocol = read_protocol(file)
        build_task(
            protocol.task, self.data, cache, torch.device("cpu")
        )  # ours alone: nothing of a stranger's runs here
        with tempfile.TemporaryDirectory(prefix="lossbench-") as name:
            box = Path(name)
            shutil.copyfile(submission.strategy, box / "strategy.py")
            shutil.copytree(cache, box / "out/cache")
            wanted = {
                "protocols": [str(file.resolve())],
                "strategy": "strategy.py",
                "parameters": submission.meta.parameters,
                "seed": reported.seed,
                "track": reported.track,
                "data": str(self.data.resolve()),
                "out": "out",
            }
            python(["-m", "lossbench.submissions.rerun", "run", json.dumps(wanted)], box, RERUN_LIMITS)
            own = submission.meta.name
            return read_record(record_path(box / "out/records", reported.protocol, reported.track, own, reported.seed))


def _same(one: Record, other: Record) -> None:
    different = differences(one, other)
    if different:
        msg = f"{one.protocol}: two equal runs differ in {', '.join(different)}; is it deterministic?"
        raise SandboxError(msg)


def _missing(reported: Sequence[Record], tasks: dict[str, Protocol]) -> Iterator[str]:
    """Runs that every submission owes: nobody chooses the seeds that look best."""
    have = {(record.protocol, record.seed) for record in reported if record.track == "shared"}
    for name, protocol in tasks.items():
        for seed in REQUIRED_SEEDS if protocol.task.data.scenes else ():
            if (name, seed) not in have:
                yield f"no record of {name}, shared, seed {seed}; run `lossbench submit`"
        if name not in {record.protocol for record in reported}:
            yield f"no record of {name}"


@dataclass(frozen=True)
class Comparison:
    """Of a rerun with what was reported."""

    task: str
    track: Track
    seed: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    exact: bool
    """Whether it repeated the reported record bit for bit."""


def compared(rerun: Record, reported: Sequence[Record], *, deterministic: bool = True) -> Comparison:
    """A rerun against the reported runs of its task and track.

    On an equal machine a deterministic strategy must repeat its record. Elsewhere the rerun's area must lie within the interval
    of the reported seeds; with two seeds that is wide, with one there is none, and the badge says no more than `replayed`.
    """
    runs = [one for one in reported if (one.protocol, one.track) == (rerun.protocol, rerun.track)]
    same_seed = next(one for one in runs if one.seed == rerun.seed)
    different = differences(same_seed, rerun)
    where = f"{rerun.protocol}, {rerun.track}, seed {rerun.seed}"

    def found(fault: str = "", note: str = "", *, exact: bool = False) -> Comparison:
        faults, notes = (tuple(filter(None, [each])) for each in (fault, note))
        return Comparison(rerun.protocol, rerun.track, rerun.seed, faults, notes, exact)

    if not different:
        return found(note=f"{where}: the rerun is equal bit for bit", exact=True)
    if same_seed.machine == rerun.machine and deterministic:
        return found(f"{where}: the rerun on an equal machine differs in {', '.join(different)}")
    areas = Entry(rerun.strategy, reference=False, records=tuple(runs)).areas
    own = Entry(rerun.strategy, reference=False, records=(rerun,)).areas[rerun.seed]
    mean, lower, upper = interval([*areas.values()])
    shared = len(picks(rerun) & picks(same_seed)) / max(len(picks(rerun)), 1)
    note = (
        f"{where}: area {own:.4f} on {Hardware.of(rerun.machine)}, reported {mean:.4f} on "
        f"{Hardware.of(same_seed.machine)} ({lower:.4f} to {upper:.4f}, {len(areas)} seeds); "
        f"{100 * shared:.0f} % of the picks are the same"
    )
    if len(areas) > 1 and not lower <= own <= upper:
        return found(f"{note}: outside of what the reported seeds allow")
    return found(note=note)


def differences(one: Record, other: Record) -> list[str]:
    """The fields in which two records of a run differ, but for what the clock, the machine and git say."""
    left, right = (_timeless(each) for each in (one, other))
    found = [name for name in left if name != "rounds" and left[name] != right.get(name)]
    rounds = zip(left["rounds"], right["rounds"], strict=False)
    found += [f"{name} of round {number}" for number, pair in enumerate(rounds) for name in _unequal(*pair)]
    return [*found, "the number of rounds"] if len(left["rounds"]) != len(right["rounds"]) else found


def _timeless(record: Record) -> dict[str, Any]:
    clocked = {"seconds", "peak_memory_mebibytes"}
    return record.model_dump(exclude={"commit": True, "machine": True, "rounds": {"__all__": clocked}})


def _unequal(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in one if one[name] != other[name]]


class Verdicts(Part):
    """What the sandbox wrote of the conformance checks. It comes from the process that ran a stranger's code."""

    name: Name
    verdicts: tuple[tuple[Text, Text, Annotated[str, Field(max_length=2000)]], ...] = Field(max_length=1000)
    """Check, kind of task, and what is wrong, empty where nothing is."""


def check(strategy: Path, parameters: dict[str, Any] | None = None) -> Verdicts:
    """The verdict of every conformance check on a strategy, which runs in a sandbox.

    Raises:
        SandboxError: it could not even be loaded, took longer than it may, or wrote no verdicts.
    """
    with tempfile.TemporaryDirectory(prefix="lossbench-") as name:
        box = Path(name)
        shutil.copyfile(strategy, box / "strategy.py")
        wanted = {"strategy": "strategy.py", "parameters": parameters or {}, "out": str(box)}
        python(["-m", "lossbench.submissions.rerun", "check", json.dumps(wanted)], box, CHECK_LIMITS)
        try:
            return Verdicts.model_validate_json(read_bytes(box / "verdicts.json"))
        except (OSError, ValueError) as error:
            msg = f"it left no verdicts: {' '.join(str(error).split())[:200]}"
            raise SandboxError(msg) from None


def boxed() -> str:
    """What the sandbox on this platform takes away, in words."""
    return (
        "time, memory and network are limited" if without_network() else "time and memory are limited, not the network"
    )
