"""What the badge of a submission is worth: its signature, its digest, and the reruns behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from leaderboard.schema.badges import FILE, Badge, digest, read_badge
from leaderboard.schema.records import Record, RecordError, read_bytes
from leaderboard.schema.signatures import signature_fault
from leaderboard.scoring.survey import survey
from lossbench.submissions.comparison import compare
from lossbench.submissions.folder import RECORDS, REPLAY, Submission

REVIEWERS = "reviewers"
"""The folder of the reviewers' public keys, beside the folder of submissions."""
REVIEWED = ("replayed", "verified")
"""The states that only a reviewer's signature gives."""

VOID = "the badge does not count"
"""Begins the reason why a badge is shown as self-reported."""
MOST, LONGEST = 100, 1000
"""How many reasons are given, and of how many characters."""

Run = tuple[str, str, int]
"""Protocol, track and seed."""


class Review(NamedTuple):
    """What a badge is worth."""

    badge: Badge
    """The badge to show. Where the one in the file does not count, it is `self-reported` and says why."""
    faults: tuple[str, ...] = ()
    """What is wrong with the badge in the file. A badge that is only not signed has no fault."""

    @property
    def summary(self) -> str:
        """The state, and why it is not that of the file."""
        return (
            f"{self.badge.state} ({self.badge.notes[0]})"
            if self.badge.state == "self-reported" and self.badge.notes
            else self.badge.state
        )


def reviewers_of(submission: Submission) -> Path:
    """The folder of reviewers' keys that belongs to a submission."""
    return submission.folder.resolve().parents[1] / REVIEWERS


def review(submission: Submission, reviewers: Path) -> Review:
    """Judge the badge of a submission without running anything.

    A badge counts as a reviewer's if it is signed by one, if nothing that it covers has changed, and if the reruns in `replay/`
    say about the records what the badge says. A `failed` badge counts without a signature.

    Args:
        submission: the submission.
        reviewers: the folder of reviewers' public keys.
    """
    try:
        badge = read_badge(submission.folder)
        if badge is None or badge.state == "self-reported":
            return Review(Badge())
        fields = json.loads(read_bytes(submission.folder / FILE))
        unsigned = None if badge.signature == "" else signature_fault(fields, reviewers)
        faults = [] if unsigned is None else [unsigned]
        faults += _stale(badge, submission)
        if badge.state in REVIEWED:
            faults += _contradictions(badge, submission)
    except (RecordError, OSError, ValueError) as error:
        return _void([str(error).removeprefix(f"{submission.folder}/")])
    if faults:
        return _void(faults)
    if badge.state in REVIEWED and not badge.signature:
        return Review(Badge(notes=(f"{VOID}: it says {badge.state}, by {badge.who or 'nobody'}, and is not signed",)))
    return Review(badge)


def _void(faults: list[str]) -> Review:
    lines = tuple(f"{VOID}: {fault}"[:LONGEST] for fault in faults[:MOST])
    return Review(Badge(notes=lines), lines)


def _stale(badge: Badge, submission: Submission) -> Iterator[str]:
    """A fault if the submission has changed since its verification."""
    now = {digest(submission.folder)}
    if not badge.signature:
        now.add(digest(submission.folder, reruns=False))
    if badge.digest not in now:
        yield "code, meta.toml, records or replay have changed since the verification; verify the submission again"


def _contradictions(badge: Badge, submission: Submission) -> Iterator[str]:
    """What the reruns in `replay/` say against a badge of a successful verification."""
    reruns, damages = _runs(submission, REPLAY)
    submitted, _ = _runs(submission, RECORDS)
    yield from damages
    claimed = {(protocol, track, seed) for protocol, track, seed in badge.replayed}
    if not claimed:
        yield "it names no rerun"
    if badge.faults:
        yield f"it is {badge.state} and names faults"
    for run in sorted(claimed | reruns.keys()):
        label = f"{run[0]}, {run[1]}, seed {run[2]}"
        if run not in claimed:
            yield f"{REPLAY} holds a rerun of {label}, which the badge does not name"
        elif run not in reruns:
            yield f"{REPLAY} holds no rerun of {label}, which the badge names"
        elif run not in submitted:
            yield f"{RECORDS} holds no record of {label}, which the badge names"
        else:
            yield from _disagreements(badge, reruns[run], [*submitted.values()], submission)


def _disagreements(badge: Badge, rerun: Record, submitted: list[Record], submission: Submission) -> Iterator[str]:
    """Why one rerun does not give the state of the badge."""
    comparison = compare(rerun, submitted, submission.random_runs(rerun), deterministic=submission.meta.deterministic)
    yield from comparison.faults
    if not comparison.faults and badge.state == "verified" and not comparison.exact:
        yield f"{REPLAY} differs from {RECORDS}: {comparison.notes[0]}"
    if badge.machine != rerun.machine:
        yield f"{REPLAY} was made on another machine than the badge names: {rerun.protocol}, seed {rerun.seed}"


def _runs(submission: Submission, name: str) -> tuple[dict[Run, Record], list[str]]:
    """The records of one folder of a submission by run, and what is wrong with its files."""
    folder = submission.folder / name
    found = survey(folder, {folder: submission.meta.name})
    runs = {(one.protocol, one.track, one.seed): one for one in found.records if one.split == "test"}
    return runs, found.damages
