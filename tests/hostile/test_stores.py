"""A damaged cache or model is made again: the run ends in the record of an undisturbed one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result
from hostile_cases import stores
from hostile_cases.case import RUN
from sweeps import timeless
from watchdog import watched

RECORD = "out/records/tiny/random-shared-s0.json"
FAST = {"empty", "zeroed in the middle", "a pickle"}
CASES = [
    pytest.param(place, damage, id=f"{place} {damage}", marks=() if damage in FAST else pytest.mark.slow)
    for place in stores.PLACES
    for damage in stores.DAMAGES
]


@pytest.mark.parametrize(("place", "damage"), CASES)
def test_what_is_damaged_is_made_again(
    place: str,
    damage: str,
    warm: Path,
    lossbench_cli: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(warm, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert stores.damage(tmp_path / "out", stores.PLACES[place], stores.DAMAGES[damage])
    with watched():
        result = lossbench_cli(*(word.format(tmp_path) for word in RUN))
    assert result.code == 0, result.errors
    assert "Traceback" not in result.errors
    assert timeless(tmp_path / RECORD) == timeless(warm / "undisturbed.json")
    assert not (tmp_path / stores.MARKER).exists(), "the pickle was loaded"
