"""Verification: a stranger's strategy is rerun in a sandbox, and its records are compared with the reported ones.

What it catches: records under other numbers than the protocol's, impossible picks, and on the rendered scenes anything that
a rerun does not repeat. What it cannot: a plausible score raised on a task that was not rerun.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from leaderboard.badges import Badge, State, write_badge
from leaderboard.entries import Entry, Hardware
from leaderboard.picks import picks
from leaderboard.records import Name, Part, Record, RecordError, Text, read_record, record_path, write_record
from leaderboard.statistics import interval
from lossbench.config import Protocol, read_protocol
from lossbench.sandbox import Limits, SandboxError, python, without_network
from lossbench.submissions import REPLAY, Submission, faults

CHECK_LIMITS = Limits(seconds=1800)
RERUN_LIMITS = Limits(seconds=6 * 3600)


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
        """Verify, keep the reruns' records as evidence beside the submission, and write its badge."""
        wrong = faults(submission, self.protocols)
        found = submission.records().records
        tasks = [each.name for each in self._scenes()]
        reported = [record for record in found if record.task in {*tasks, *self.real_tasks}]
        wrong += [
            f"no record of {task}; run `lossbench submit`" for task in tasks if task not in {r.task for r in reported}
        ]
        notes: list[str] = []
        reruns: list[Record] = []
        if not wrong:
            try:
                reruns = self._reruns(submission, reported)
            except (SandboxError, RecordError) as error:
                wrong.append(f"the rerun failed: {error}")
        exact = True
        for rerun in reruns:
            comparison = compared(
                rerun, [one for one in reported if one.task == rerun.task and one.track == rerun.track]
            )
            wrong += comparison.faults
            notes += comparison.notes
            exact &= comparison.exact
        state: State = "failed" if wrong else "verified" if exact and submission.meta.deterministic else "replayed"
        badge = Badge(
            state=state,
            when=datetime.now(UTC).date().isoformat(),
            who=self.who,
            machine=reruns[0].machine if reruns else None,
            commit=reruns[0].commit if reruns else "",
            faults=tuple(wrong[:100]),
            notes=tuple(notes[:100]),
        )
        write_badge(badge, submission.folder)
        return badge

    def _scenes(self) -> list[Protocol]:
        every = [read_protocol(path) for path in sorted(self.protocols.glob("*.toml"))]
        return [each for each in every if each.task.data.scenes]

    def _reruns(self, submission: Submission, reported: Sequence[Record]) -> list[Record]:
        """The lowest reported seed of every task and track, run twice; the first run's records.

        Raises:
            SandboxError: a run failed, or two equal runs made different records.
            RecordError: what a run wrote is no record.
        """
        kept = submission.folder / REPLAY
        shutil.rmtree(kept, ignore_errors=True)
        first: list[Record] = []
        for track in sorted({record.track for record in reported}):
            own = [record for record in reported if record.track == track]
            for task in sorted({record.task for record in own}):
                seed = min(record.seed for record in own if record.task == task)
                one, other = (self._rerun(submission, task, track, seed) for _ in range(2))
                if submission.meta.deterministic and (different := differences(one, other)):
                    msg = f"{task}: two equal runs differ in {', '.join(different)}; is it deterministic?"
                    raise SandboxError(msg)
                write_record(one, record_path(kept, task, track, one.strategy, seed))
                first.append(one)
        return first

    def _rerun(self, submission: Submission, task: str, track: str, seed: int) -> Record:
        with tempfile.TemporaryDirectory(prefix="lossbench-") as name:
            box = Path(name)
            shutil.copyfile(submission.strategy, box / "strategy.py")
            wanted = {
                "protocols": [str((self.protocols / f"{task}.toml").resolve())],
                "strategy": "strategy.py",
                "parameters": submission.meta.parameters,
                "seed": seed,
                "track": track,
                "data": str(self.data.resolve()),
                "out": "out",
            }
            python(["-m", "lossbench.rerun", "run", json.dumps(wanted)], box, RERUN_LIMITS)
            return read_record(record_path(box / "out/records", task, track, submission.meta.name, seed))


@dataclass(frozen=True)
class Comparison:
    """Of a rerun with what was reported."""

    faults: tuple[str, ...]
    notes: tuple[str, ...]
    exact: bool
    """Whether it repeated the reported record bit for bit."""


def compared(rerun: Record, reported: Sequence[Record]) -> Comparison:
    """A rerun against the reported runs of its task and track.

    On the same class of machines they must be equal. Elsewhere the rerun's area must lie within the interval of the reported
    seeds, widened by nothing: with two seeds that is wide, and the badge says no more than `replayed`.
    """
    same_seed = next(one for one in reported if one.seed == rerun.seed)
    different = differences(same_seed, rerun)
    where = f"{rerun.task}, {rerun.track}, seed {rerun.seed}"
    if not different:
        return Comparison((), (f"{where}: the rerun is equal bit for bit",), exact=True)
    if same_seed.machine == rerun.machine:
        fault = f"{where}: the rerun on an equal machine differs in {', '.join(different)}"
        return Comparison((fault,), (), exact=False)
    areas = Entry(rerun.strategy, reference=False, records=tuple(reported)).areas
    own = Entry(rerun.strategy, reference=False, records=(rerun,)).areas[rerun.seed]
    mean, lower, upper = interval([*areas.values()])
    shared = len(picks(rerun) & picks(same_seed)) / max(len(picks(rerun)), 1)
    note = (
        f"{where}: on {Hardware.of(rerun.machine)} instead of {Hardware.of(same_seed.machine)} the area is {own:.4f}, "
        f"reported {mean:.4f} ({lower:.4f} to {upper:.4f}, {len(areas)} seeds); {100 * shared:.0f} % of the picks are the same"
    )
    outside = () if lower <= own <= upper else (f"{note}: outside of what the reported seeds allow",)
    return Comparison(outside, (note,), exact=False)


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
        python(["-m", "lossbench.rerun", "check", json.dumps(wanted)], box, CHECK_LIMITS)
        try:
            return Verdicts.model_validate_json((box / "verdicts.json").read_bytes())
        except (OSError, ValidationError) as error:
            msg = f"it left no verdicts: {' '.join(str(error).split())[:200]}"
            raise SandboxError(msg) from None


def boxed() -> str:
    """What the sandbox on this platform takes away, in words."""
    return (
        "time, memory and network are limited" if without_network() else "time and memory are limited, not the network"
    )
