"""Badges: what of a submission was checked, by whom, where. A badge is written by whoever reran it, never by its author."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from leaderboard.records import Machine, Part, RecordError, Text, write_whole

State = Literal["self-reported", "replayed", "verified", "failed"]
Lines = Annotated[tuple[str, ...], Field(max_length=100)]
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
        return Badge.model_validate_json(path.read_bytes())
    except ValidationError as error:
        msg = f"{path}: not a badge ({error.errors(include_url=False)[0]['msg']}); verify the submission again"
        raise RecordError(msg) from None


def write_badge(badge: Badge, folder: Path) -> None:
    """Write it whole or not at all."""
    write_whole(folder / FILE, badge.model_dump_json(indent=1) + "\n")
