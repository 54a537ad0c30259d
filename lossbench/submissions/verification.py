"""Verification: runs a submitted strategy in a sandbox and compares the records with the submitted ones.

It detects records that do not follow their protocol and, on the rendered scenes, results that a rerun does not reproduce.
It cannot detect a plausible but false score on a task that was not rerun, or code that behaves differently in a rerun.
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

from leaderboard.schema.badges import Badge, State, digest, signed, write_badge
from leaderboard.schema.records import (
    Name,
    Part,
    Record,
    RecordError,
    Text,
    read_bytes,
    read_record,
    record_path,
    write_record,
)
from leaderboard.schema.signatures import Signer
from lossbench.config import ConfigError, Protocol, config_files, protocol_file, read_protocol
from lossbench.running.machine import commit, describe
from lossbench.submissions.comparison import Comparison, compare, differences
from lossbench.submissions.folder import REPLAY, Submission, record_faults
from lossbench.submissions.rerun import MAX_FAULT_CHARACTERS
from lossbench.submissions.sandbox import Limits, SandboxError, run_python
from tasks.kinds import build_task

CHECK_LIMITS = Limits(seconds=1800)
RERUN_LIMITS = Limits(seconds=6 * 3600)
REQUIRED_SEEDS = (0, 1)
"""Seeds that every submission must run on the rendered scenes, so that authors cannot choose the best ones."""
MAX_MESSAGES = 100
"""How many faults and notes a badge holds at most."""


@dataclass(frozen=True)
class Verifier:
    """Verifies submissions.

    Args:
        name: name of the person or service that verifies, for the badge.
        protocols: the folder of task protocols.
        data: the folder of real data sets; only needed for `real_tasks`.
        real_tasks: tasks on real data of which one seed is rerun, in addition to the rendered scenes.
        signer: the reviewer who signs the badge; None for a badge without a signature.
    """

    name: str
    protocols: Path
    data: Path
    real_tasks: tuple[str, ...] = ()
    signer: Signer | None = None

    def badge(self, submission: Submission) -> Badge:
        """Verify a submission, and write its badge and the records of the reruns into its folder.

        Raises:
            ConfigError: there is no task of `real_tasks`, or no data for it. This is not a fault of the submission.
        """
        protocols, code = self._protocols(), commit()  # first: writing files changes what `commit` returns
        submitted = [record for record in submission.records().records if record.protocol in protocols]
        faults = record_faults(submission, self.protocols) + list(_missing_records(submitted, protocols))
        comparisons: list[Comparison] = []
        if not faults:
            try:
                comparisons = [
                    compare(rerun, submitted, deterministic=submission.meta.deterministic)
                    for rerun in self._reruns(submission, submitted)
                ]
            except (SandboxError, RecordError) as error:
                faults.append(f"the rerun failed: {error}")
        faults += [fault for comparison in comparisons for fault in comparison.faults]
        exact = all(comparison.exact for comparison in comparisons)
        state: State = "failed" if faults else "verified" if exact else "replayed"
        notes = [note for comparison in comparisons for note in comparison.notes]
        badge = Badge(
            state=state,
            when=datetime.now(UTC).date().isoformat(),
            who=self.name,
            machine=describe(torch.device("cpu")),
            commit=code,
            digest=digest(submission.folder),
            replayed=tuple((comparison.task, comparison.track, comparison.seed) for comparison in comparisons),
            faults=tuple(faults[:MAX_MESSAGES]),
            notes=tuple(notes[:MAX_MESSAGES]),
        )
        badge = signed(badge, self.signer) if self.signer else badge
        write_badge(badge, submission.folder)
        return badge

    def _protocols(self) -> dict[str, Protocol]:
        """The protocols to rerun, by name: those of rendered scenes, without their variations, and those of `real_tasks`."""
        protocols = {path.stem: read_protocol(path) for path in config_files(self.protocols)}
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

    def _reruns(self, submission: Submission, submitted: Sequence[Record]) -> Iterator[Record]:
        """Repeat every submitted run on rendered scenes, and the lowest seed on each real task.

        The first run of each protocol and track is made twice to test whether the strategy is deterministic.

        Raises:
            SandboxError: a run failed, or two equal runs gave different records.
            RecordError: the file that a run wrote is not a valid record.
        """
        folder = submission.folder / REPLAY
        shutil.rmtree(folder, ignore_errors=True)
        done: set[tuple[str, str]] = set()
        with tempfile.TemporaryDirectory(prefix="lossbench-") as cache:
            for record in sorted(submitted, key=lambda one: (one.protocol, one.track, one.seed)):
                group = (record.protocol, record.track)
                if group in done and record.protocol in self.real_tasks:
                    continue
                rerun = self._rerun(submission, record, Path(cache))
                if group not in done and submission.meta.deterministic:
                    _require_equal(rerun, self._rerun(submission, record, Path(cache)))
                done.add(group)
                write_record(rerun, record_path(folder, record.protocol, record.track, record.strategy, record.seed))
                yield rerun

    def _rerun(self, submission: Submission, record: Record, cache: Path) -> Record:
        """Repeat one run in a sandbox.

        Rendered scenes and pre-trained trunks take minutes to make. They are made once, outside the sandbox and without
        the strategy's code, and copied into each sandbox.

        Args:
            submission: the strategy and its hyper-parameters.
            record: the run to repeat.
            cache: the folder of rendered scenes and pre-trained trunks.
        """
        path = protocol_file(self.protocols, record.protocol)
        build_task(read_protocol(path).task, self.data, cache, torch.device("cpu"))  # fills the cache
        with tempfile.TemporaryDirectory(prefix="lossbench-") as name:
            folder = Path(name)
            shutil.copyfile(submission.strategy_file, folder / "strategy.py")
            shutil.copytree(cache, folder / "out/cache")
            request = {
                "protocols": [str(path.resolve())],
                "strategy": "strategy.py",
                "parameters": submission.meta.parameters,
                "seed": record.seed,
                "track": record.track,
                "data": str(self.data.resolve()),
                "out": "out",
            }
            run_python(["-m", "lossbench.submissions.rerun", "run", json.dumps(request)], folder, RERUN_LIMITS)
            strategy = submission.meta.name
            return read_record(
                record_path(folder / "out/records", record.protocol, record.track, strategy, record.seed)
            )


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


class Verdicts(Part):
    """The results of the conformance checks that a sandbox wrote; validated, as foreign code ran in that process."""

    name: Name
    """Name of the strategy."""
    verdicts: tuple[tuple[Text, Text, Annotated[str, Field(max_length=MAX_FAULT_CHARACTERS)]], ...] = Field(
        max_length=1000
    )
    """Check, kind of task, and fault; the fault is empty if the check passed."""


def check_in_sandbox(strategy: Path, parameters: dict[str, Any] | None = None) -> Verdicts:
    """Run the conformance checks on a strategy in a sandbox.

    Args:
        strategy: the strategy's file.
        parameters: hyper-parameters that differ from its defaults.

    Raises:
        SandboxError: the strategy could not be loaded, exceeded a limit, or no valid results were written.
    """
    with tempfile.TemporaryDirectory(prefix="lossbench-") as name:
        folder = Path(name)
        shutil.copyfile(strategy, folder / "strategy.py")
        request = {"strategy": "strategy.py", "parameters": parameters or {}, "out": str(folder)}
        run_python(["-m", "lossbench.submissions.rerun", "check", json.dumps(request)], folder, CHECK_LIMITS)
        try:
            return Verdicts.model_validate_json(read_bytes(folder / "verdicts.json"))
        except (OSError, ValueError) as error:
            msg = f"the checks wrote no valid results: {' '.join(str(error).split())[:200]}"
            raise SandboxError(msg) from None
