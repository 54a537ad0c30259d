"""Badges: the outcome of verifying a submission, with the runs that were repeated, the machine and the person."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from leaderboard.schema.records import (
    Count,
    Machine,
    Name,
    Part,
    RecordError,
    Text,
    Track,
    read_bytes,
    read_part,
    write_whole,
)
from leaderboard.schema.signatures import Signer

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
    """The person who made the verification; in a signed badge, the name of the reviewer's key."""
    machine: Machine | None = None
    """The machine of the reruns."""
    commit: Text = ""
    """The commit of this repository that the reruns used."""
    digest: Text = ""
    """SHA-256 of the code, `meta.toml`, records and reruns. If they change, the badge is no longer valid."""
    replayed: Replayed = ()
    """Protocol, track and seed of every rerun. The badge covers these only."""
    faults: Lines = ()
    """The reasons of a failure."""
    notes: Lines = ()
    """The comparisons that were made."""
    signature: Annotated[Text, Field(exclude_if=lambda signature: not signature)] = ""
    """The reviewer's Ed25519 signature of all other fields, in base64; empty if nobody signed."""


def read_badge(folder: Path) -> Badge | None:
    """The badge in a submission's folder, as it is written there; None if there is none. `lossbench.submissions.reviews` says what it is worth.

    Raises:
        RecordError: the file is not a valid badge.
    """
    path = folder / FILE
    if not os.path.lexists(path):
        return None
    try:
        return read_part(Badge, path)
    except RecordError as error:
        msg = f"{path}: not a badge ({error}); verify the submission again, or delete the file"
        raise RecordError(msg) from None


def signed(badge: Badge, signer: Signer) -> Badge:
    """The badge with a reviewer's name and signature."""
    named = badge.model_copy(update={"who": signer.name})
    return named.model_copy(update={"signature": signer.signature(named.model_dump(mode="json"))})


def digest(folder: Path, *, reruns: bool = True) -> str:
    """The SHA-256 of a submission, in hexadecimal: its code, its `meta.toml`, its records and the records of the reruns.

    Args:
        folder: of the submission.
        reruns: whether to include `replay/`. Badges of version 0.1, which nobody signed, do not include it.
    """
    total = hashlib.sha256()
    folders = ("records", "replay") if reruns else ("records",)
    records = [path for name in folders for path in sorted((folder / name).rglob("*.json"))]
    for path in (folder / "strategy.py", folder / "meta.toml", *records):
        content = hashlib.sha256(read_bytes(path)).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def write_badge(badge: Badge, folder: Path) -> None:
    """Write a badge into the folder of its submission, atomically."""
    write_whole(folder / FILE, badge.model_dump_json(indent=1) + "\n")
