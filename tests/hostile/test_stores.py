"""A damaged cache or model is made again: the run ends in the record of an undisturbed one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hostile_cases import stores
from sweeps import run, timeless
from watchdog import watched

FAST = {"empty", "zeroed in the middle", "a pickle"}
CASES = [
    pytest.param(
        place,
        damage,
        id=f"{place} {damage}",
        marks=() if damage in FAST else (pytest.mark.slow, pytest.mark.exhaustive),
    )
    for place in stores.PLACES
    for damage in stores.DAMAGES
]


@pytest.mark.parametrize(("place", "damage"), CASES)
def test_what_is_damaged_is_made_again(
    place: str,
    damage: str,
    warm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(warm, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert stores.damage(tmp_path / "out", stores.PLACES[place], stores.DAMAGES[damage])
    with watched():
        (record,) = run(tmp_path / "sweeps/tiny.toml", tmp_path / "out")
    assert timeless(record) == timeless(warm / "undisturbed.json")
    assert not (tmp_path / stores.MARKER).exists(), "the pickle was loaded"
