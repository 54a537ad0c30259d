"""Events: the dated changelog of the leaderboard, read from a TOML file in the repository."""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from leaderboard.schema.records import Part, RecordError, Text
from lossbench.files import first_fault

FILE = Path(__file__).parents[1] / "changelog.toml"


class Event(Part):
    """A change of what the leaderboard shows."""

    date: dt.date
    kind: Literal["entry", "protocol", "removal", "method"]
    """A new strategy or its runs, a protocol's new version, a removal, a change of how numbers are computed."""
    text: Text
    """What was changed and why."""


class Changelog(Part):
    """The content of the file."""

    events: tuple[Event, ...]


def read_events(path: Path = FILE) -> tuple[Event, ...]:
    """Read the changelog, the latest event first; by default that of this repository.

    Raises:
        RecordError: the file is no TOML, or an event is not complete.
    """
    try:
        found = Changelog.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        msg = f"{path}: {first_fault(error)}"
        raise RecordError(msg) from None
    except ValueError as error:
        msg = f"{path} is not TOML: {error}"
        raise RecordError(msg) from None
    return tuple(sorted(found.events, key=lambda event: event.date, reverse=True))
