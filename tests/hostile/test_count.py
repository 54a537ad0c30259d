"""How many kinds of bad input are described, and that each is described once."""

from __future__ import annotations

from collections import Counter

from hostile_cases.deadly_strategies import ENDLESS, ENDS, HARMLESS, RAISES
from hostile_cases.everything import CASES, fast
from hostile_cases.stores import DAMAGES, PLACES

WANTED = 600


def test_there_are_at_least_six_hundred_kinds() -> None:
    counts = {room: len(cases) for room, cases in CASES.items()} | {"stores": len(PLACES) * len(DAMAGES)}
    counts["deadly strategies"] = sum(map(len, (ENDS, RAISES, HARMLESS, ENDLESS)))
    assert sum(counts.values()) >= WANTED, counts
    assert min(counts.values()) >= 20, counts


def test_each_has_a_name_and_an_input_of_its_own() -> None:
    names = Counter(f"{room}: {case.name}" for room, cases in CASES.items() for case in cases)
    assert [name for name, count in names.items() if count > 1] == []


def test_every_room_has_fast_cases() -> None:
    counts = {room: sum(map(fast, cases)) for room, cases in CASES.items()}
    assert min(counts.values()) >= 3, counts
