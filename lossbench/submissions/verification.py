"""Verification: repeats the runs of a submission and compares the records with the submitted ones.

Every rerun is made by a process that never loads the strategy's file and asks the strategy's process for picks alone; see
`replay`. Verification detects records that do not follow their protocol and, on the rendered scenes, results that a rerun
does not reproduce. It cannot detect a plausible but false score on a task that was not rerun, nor picks for which the
strategy knew labels by heart.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console

from leaderboard.schema.badges import Badge, State, digest, signed, write_badge
from leaderboard.schema.records import Record, RecordError, read_record, record_path, write_record
from leaderboard.schema.signatures import Signer
from lossbench.config import ConfigError, Protocol
from lossbench.paths import Paths
from lossbench.running.executors.local import Local
from lossbench.running.machine import commit, describe
from lossbench.running.progress import SweepProgress
from lossbench.running.sweep import run_sweep
from lossbench.submissions.comparison import Comparison, compare, differences
from lossbench.submissions.confinement import landlock_version
from lossbench.submissions.exchange import Code
from lossbench.submissions.folder import REPLAY, STRATEGY, Submission, protocols_in, record_faults
from lossbench.submissions.replay import Rerun, can_be_replayed, declared
from lossbench.submissions.sandbox import (
    SandboxError,
    files_can_be_hidden,
    network_can_be_cut,
    own_folder,
)
from tasks.cores import own_cores
from tasks.outside.files import Source
from tasks.training.loop import TrainingError

MOST_AT_ONCE = 2
"""Reruns that are made at the same time, where there are as many cores: each holds the images of a task in memory."""
REQUIRED_SEEDS = (0, 1)
"""Seeds that every submission must run on the rendered scenes, so that authors cannot choose the best ones."""
MAX_MESSAGES = 100
"""How many faults and notes a badge holds at most."""
OWN_MODULE = "in this track its own module changes the model, which cannot be trained without the strategy's code"
OPEN_FILES = "this platform has no Landlock: the strategy's process could read files that hold labels, and change files of this user"
CUT_OFF_FILES = (
    "this platform's Landlock is older than version 3: the strategy's process could empty files of this user"
)
LIVING_PROCESSES = (
    "this platform has no user namespaces: the strategy's process had network, and could leave processes behind"
)


@dataclass(frozen=True)
class Verifier:
    """Verifies submissions.

    Args:
        name: name of the person or service that verifies, for the badge.
        protocols: the folder of task protocols.
        data: the folder of real data sets; only needed for `real_tasks`.
        real_tasks: tasks on real data of which one seed is rerun, in addition to the rendered scenes.
        console: where progress is shown; nowhere if None.
        signer: the reviewer who signs the badge; None for a badge without a signature.
    """

    name: str
    protocols: Path
    data: Path
    real_tasks: tuple[str, ...] = ()
    console: Console | None = None
    signer: Signer | None = None

    def badge(self, submission: Submission) -> Badge:
        """Verify a submission, and write its badge and the records of the reruns into its folder.

        Raises:
            ConfigError: the verifier's name cannot stand on a badge, or there is no task of `real_tasks` or no data for it.
                This is not a fault of the submission.
        """
        _check_name(self.name)
        known, code = protocols_in(self.protocols), commit()  # first: writing files changes what `commit` returns
        before = digest(submission.folder, reruns=False)
        protocols = self._repeated(known)
        submitted = [record for record in submission.records().records if record.protocol in protocols]
        faults = record_faults(submission, known) + list(_missing_records(submitted, protocols))
        notes = [*platform_notes()]
        comparisons: list[Comparison] = []
        if not faults:
            try:
                reruns, left_out = self._planned(submission, submitted, protocols)
                notes += left_out
                comparisons = self._compared(submission, submitted, reruns)
            except (SandboxError, RecordError, TrainingError) as error:
                faults.append(f"the rerun failed: {error}")
        if digest(submission.folder, reruns=False) != before:
            faults.append("its code, `meta.toml` or records changed while it was verified")
        badge = self._outcome(submission, comparisons, faults, notes, code)
        badge = signed(badge, self.signer) if self.signer else badge
        write_badge(badge, submission.folder)
        return badge

    def _outcome(
        self, submission: Submission, comparisons: Sequence[Comparison], faults: list[str], notes: list[str], code: str
    ) -> Badge:
        faults = faults + [fault for comparison in comparisons for fault in comparison.faults]
        notes = notes + [note for comparison in comparisons for note in comparison.notes]
        exact = all(comparison.exact for comparison in comparisons)
        passed: State = "self-reported" if not comparisons else "verified" if exact else "replayed"
        return Badge(
            state="failed" if faults else passed,
            when=datetime.now(UTC).date().isoformat(),
            who=self.name,
            machine=describe(torch.device("cpu")),
            commit=code,
            digest=digest(submission.folder),
            replayed=tuple((comparison.task, comparison.track, comparison.seed) for comparison in comparisons),
            faults=tuple(faults[:MAX_MESSAGES]),
            notes=tuple(notes[:MAX_MESSAGES]),
        )

    def _repeated(self, protocols: dict[str, Protocol]) -> dict[str, Protocol]:
        """The protocols to rerun, by name: those of rendered scenes, without their variations, and those of `real_tasks`."""
        unknown = set(self.real_tasks) - set(protocols)
        if unknown:
            msg = f"no task {min(unknown)!r}; there are {', '.join(protocols)}"
            raise ConfigError(msg)
        if self.real_tasks and not self.data.is_dir():
            msg = f"no data in {self.data}; give the folder of the data sets with --data"
            raise ConfigError(msg)
        return {
            name: protocol
            for name, protocol in protocols.items()
            if (protocol.task.data.scenes and not protocol.base) or name in self.real_tasks
        }

    def _planned(
        self, submission: Submission, submitted: Sequence[Record], protocols: dict[str, Protocol]
    ) -> tuple[list[Rerun], list[str]]:
        """The reruns to make, and a note for each submitted run that cannot be repeated.

        Every submitted run on rendered scenes, and the lowest seed on each real task. The first run of each protocol and
        track is made twice to test whether the strategy is deterministic.

        Raises:
            SandboxError: the strategy cannot be loaded, or has another name than the submission.
        """
        code = Code(Source(Path(STRATEGY), submission.strategy_file.read_bytes()), submission.meta.parameters)
        declaration = declared(code)
        if declaration.name != submission.meta.name:
            msg = f"{STRATEGY} calls itself {declaration.name}, and the submission {submission.meta.name}"
            raise SandboxError(msg)
        reruns: list[Rerun] = []
        notes: list[str] = []
        seen: set[tuple[str, str]] = set()
        for record in sorted(submitted, key=lambda one: (one.protocol, one.track, one.seed)):
            group = (record.protocol, record.track)
            if not can_be_replayed(record.track, declaration):
                notes.append(f"{record.protocol}, {record.track}, seed {record.seed}: not rerun; {OWN_MODULE}")
            elif group not in seen or record.protocol not in self.real_tasks:
                rerun = Rerun(
                    protocol=protocols[record.protocol],
                    reference=code.source,
                    seed=record.seed,
                    track=record.track,
                    split="test",
                    code=code,
                    declaration=declaration,
                )
                reruns.append(rerun)
                if group not in seen and submission.meta.deterministic:
                    reruns.append(replace(rerun, again=True))
            seen.add(group)
        return reruns, notes

    def _compared(self, submission: Submission, submitted: Sequence[Record], reruns: list[Rerun]) -> list[Comparison]:
        """Make the reruns, keep their records in the submission's folder, and compare them with the submitted ones.

        Raises:
            SandboxError: a run failed, or two equal runs gave different records.
        """
        with own_folder() as folder:
            paths = Paths(self.data, folder)
            self._make(reruns, paths)
            first = [read_record(rerun.path(paths.out)) for rerun in reruns if not rerun.again]
            for rerun in reruns:
                if rerun.again:
                    earlier, later = replace(rerun, again=False), rerun
                    _require_equal(*(read_record(each.path(paths.out)) for each in (earlier, later)))
        _keep(first, submission.folder)
        deterministic = submission.meta.deterministic
        return [compare(each, submitted, submission.random_runs(each), deterministic=deterministic) for each in first]

    def _make(self, reruns: list[Rerun], paths: Paths) -> None:
        """Make the reruns, and show how far they are."""
        console = self.console or Console(quiet=True)
        workers = min(own_cores(), MOST_AT_ONCE, max(len(reruns), 1))
        began = datetime.now(UTC).strftime("%H:%M")
        console.print(f"{len(reruns)} reruns, {workers} at once, since {began} UTC", highlight=False)
        with SweepProgress([*reruns], console) as progress:
            run_sweep(reruns, paths, Local(workers), progress)


def platform_notes() -> Iterator[str]:
    """What a strategy's process could do on this platform that it cannot on others."""
    if not files_can_be_hidden():
        yield OPEN_FILES
    elif landlock_version() < 3:  # noqa: PLR2004 - the version that knows truncation
        yield CUT_OFF_FILES
    if not network_can_be_cut():
        yield LIVING_PROCESSES


def _check_name(name: str) -> None:
    """Raise a ConfigError if a verifier's name cannot stand on a badge."""
    if not re.fullmatch(r"\S(.{0,198}\S)?", name) or not name.isprintable():
        msg = f"--who {name[:40]!r}: give a name of 1 to 200 printable characters, without spaces around it"
        raise ConfigError(msg)


def _keep(records: Sequence[Record], folder: Path) -> None:
    """Put the records of reruns in the place of earlier ones, when all of them are written."""
    whole, old = folder / f"{REPLAY}.part", folder / f"{REPLAY}.old"
    for path in (whole, old):
        shutil.rmtree(path, ignore_errors=True)
    whole.mkdir()
    for record in records:
        write_record(record, record_path(whole, record.protocol, record.track, record.strategy, record.seed))
    if (folder / REPLAY).exists():
        (folder / REPLAY).rename(old)
    whole.rename(folder / REPLAY)
    shutil.rmtree(old, ignore_errors=True)


def _require_equal(one: Record, other: Record) -> None:
    different = differences(one, other)
    if different:
        msg = (
            f"{one.protocol}: two runs under seed {one.seed} differ in {', '.join(different)}; "
            "make the strategy deterministic, or set `deterministic = false` in meta.toml"
        )
        raise SandboxError(msg)


def _missing_records(submitted: Sequence[Record], protocols: dict[str, Protocol]) -> Iterator[str]:
    """One message for each required run that was not submitted."""
    runs = {(record.protocol, record.seed) for record in submitted if record.track == "shared"}
    for name, protocol in protocols.items():
        for seed in REQUIRED_SEEDS if protocol.task.data.scenes else ():
            if (name, seed) not in runs:
                yield f"no record of {name}, shared, seed {seed}; run `lossbench submission create`"
        if name not in {record.protocol for record in submitted}:
            yield f"no record of {name}"
