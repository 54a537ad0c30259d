"""Badges: the outcome of verifying a submission, with the runs that were repeated, the machine and the person."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from leaderboard.schema.records import Count, Machine, Name, Part, RecordError, Text, Track, read_bytes, write_whole

State = Literal["self-reported", "replayed", "verified", "failed"]
Lines = Annotated[tuple[str, ...], Field(max_length=100)]
Replayed = Annotated[tuple[tuple[Name, Track, Count], ...], Field(max_length=1000)]
FILE = "verification.json"


class Badge(Part):
    """The outcome of a verification.

    The states: `self-reported`, no rerun was made; `replayed`, the reruns on the rendered scenes are equal to each other and
    agree with the submitted records within the differences expected between machines and seeds; `verified`, the reruns are
    equal to the submitted records bit for bit; `failed`, for the reasons in `faults`.
    """

    state: State = "self-reported"
    when: Text = ""
    """Date of the verification, UTC."""
    who: Text = ""
    """The person who made the verification."""
    machine: Machine | None = None
    """The machine of the reruns."""
    commit: Text = ""
    """The commit of this repository that the reruns used."""
    digest: Text = ""
    """SHA-256 of the code, `meta.toml` and records that were verified. If they change, the badge is no longer valid."""
    replayed: Replayed = ()
    """Protocol, track and seed of every rerun. The badge covers these only."""
    faults: Lines = ()
    """The reasons of a failure."""
    notes: Lines = ()
    """The comparisons that were made."""


def read_badge(folder: Path) -> Badge:
    """Read the badge of a submission's folder.

    Returns:
        The badge. A `self-reported` one if the folder has none, or if the submission has changed since its verification.

    Raises:
        RecordError: the file is not a valid badge.
    """
    path = folder / FILE
    if not path.exists():
        return Badge()
    try:
        badge = Badge.model_validate_json(read_bytes(path))
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
    except ValueError as error:
        reason = str(error)
    else:
        if badge.digest == digest(folder):
            return badge
        return Badge(notes=("code, meta.toml or records have changed since the verification",))
    msg = f"{path}: not a badge ({reason}); verify the submission again"
    raise RecordError(msg)


def digest(folder: Path) -> str:
    """The SHA-256 of a submission: its code, its `meta.toml` and its records, in hexadecimal."""
    total = hashlib.sha256()
    for path in (folder / "strategy.py", folder / "meta.toml", *sorted((folder / "records").rglob("*.json"))):
        total.update(f"{path.relative_to(folder)}\0{hashlib.sha256(read_bytes(path)).hexdigest()}\n".encode())
    return total.hexdigest()


def write_badge(badge: Badge, folder: Path) -> None:
    """Write a badge into the folder of its submission, atomically."""
    write_whole(folder / FILE, badge.model_dump_json(indent=1) + "\n")
