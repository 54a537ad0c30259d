"""Measured metrics in files: written whole or not at all, and read only where they are what was written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from lossbench.files import part_of
from tasks.notices import notice

METRICS_VERSION = 2
"""Raised by hand when the same weights would now give other metrics, or files of another form."""


class Measured(NamedTuple):
    """The metrics of one model, and the seconds that they took."""

    metrics: dict[str, float]
    seconds: float


def save_metrics(measured: Measured, path: Path) -> None:
    """Write metrics beside their place first, then rename."""
    content = {"version": METRICS_VERSION, **measured._asdict()}
    beside = part_of(path)
    try:
        beside.write_text(json.dumps(content | {"digest": _digest(content)}), encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_metrics(path: Path) -> Measured | None:
    """What `save_metrics` wrote; None if there is no file, or one of another version, or a damaged one, which is said."""
    if not path.exists():
        return None
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):  # of JSON and of UTF-8
        content = None
    if isinstance(content, dict):
        digest = content.pop("digest", None)
        if content.get("version") != METRICS_VERSION:
            return None
        if digest == _digest(content):
            return Measured(content["metrics"], content["seconds"])
    notice(f"{path} is damaged; its metrics are measured again")
    return None


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
