"""Badges: what of a submission was rerun, by whom, where, and with what outcome."""

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

    `replayed`: reruns on the rendered scenes were equal to each other, and agree with the submitted records as far as another
    class of machines, or chance, allows. `verified`: they were equal to the submitted records bit for bit. `failed`: see `faults`.
    """

    state: State = "self-reported"
    when: Text = ""
    """Date, UTC."""
    who: Text = ""
    machine: Machine | None = None
    commit: Text = ""
    digest: Text = ""
    """SHA-256 of what was verified: code, `meta.toml` and records. Where they have changed since, the badge is void."""
    replayed: Replayed = ()
    """Task, track and seed of every rerun: the badge vouches for nothing else."""
    faults: Lines = ()
    """Why it failed."""
    notes: Lines = ()
    """What was compared."""


def read_badge(folder: Path) -> Badge:
    """That of a submission's folder; `self-reported` where nobody has verified it.

    Raises:
        RecordError: the file is no badge.
    """
    path = folder / FILE
    if not path.exists():
        return Badge()
    try:
        badge = Badge.model_validate_json(read_bytes(path))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]["msg"]
    except ValueError as error:
        fault = str(error)
    else:
        if badge.digest == digest(folder):
            return badge
        return Badge(notes=("code, meta.toml or records have changed since it was verified",))
    msg = f"{path}: not a badge ({fault}); verify the submission again"
    raise RecordError(msg)


def digest(folder: Path) -> str:
    """SHA-256 over the code, the author's words and the records of a submission."""
    whole = hashlib.sha256()
    for path in (folder / "strategy.py", folder / "meta.toml", *sorted((folder / "records").rglob("*.json"))):
        whole.update(f"{path.relative_to(folder)}\0{hashlib.sha256(read_bytes(path)).hexdigest()}\n".encode())
    return whole.hexdigest()


def write_badge(badge: Badge, folder: Path) -> None:
    """Write it whole or not at all."""
    write_whole(folder / FILE, badge.model_dump_json(indent=1) + "\n")
