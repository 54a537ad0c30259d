"""Rounds that can be compared with those of another run."""

from __future__ import annotations

from typing import Any

from leaderboard.schema.records import Round


def timeless(rounds: list[Round]) -> list[dict[str, Any]]:
    """Rounds without what the clock and the operating system say."""
    return [each.model_dump(exclude={"seconds", "peak_memory_mebibytes"}) for each in rounds]
