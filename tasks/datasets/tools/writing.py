"""Files for annotation tools: written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from lossbench.files import part_of
from tasks.errors import require

PREDICTIONS = "predictions of lossbench"
"""What files for tools say that they hold, where their form has a place for it."""


def require_labels(condition: object, where: str) -> None:
    """Raise a DataError unless this holds: a file of predictions is none of labels."""
    fault = f"{where} are predictions, which nobody has corrected"
    require(condition, fault, "import them into an annotation tool, correct them there, and give its export")


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place, and move it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = part_of(path)
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
