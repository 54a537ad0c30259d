"""Records in which a field was changed, and folders of records that are not what they seem."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from hostile_cases.case import FOUND_FAULTS, Case, files
from hostile_cases.protocols import short
from hostile_cases.toml_text import ABSENT

REPOSITORY = Path(__file__).parents[3]
PROTOCOL = "scenes-classification"
NAMES = tuple(f"random-shared-s{seed}.json" for seed in range(3))
PLACE, NAME = f"records/{PROTOCOL}/{NAMES[0]}", NAMES[0]
"""Where the record lies that is changed."""
CHECK = ("leaderboard", "check", "{}/records")
Mutation = Callable[[dict[str, Any]], object]
OPTIONAL = (
    "metrics.balanced_accuracy",
    "metrics.loss",
    "metrics.ranking_accuracy",
    "reference",
    "fingerprints",
    "schema_number",
    "seconds.forward",
    "seconds.score",
    "seconds.pick",
    "group_counts",
)
"""Fields that have a default; without them a record is another one, and sound."""
FREE = ("commit", "processor", "device", "python", "torch")
"""Fields of free text."""
BY_TYPE: dict[type, tuple[object, ...]] = {
    bool: (None, 1, "true", []),
    int: (None, "1", True, -1, 1.5, 10**12, [1], {"a": 1}, float("nan")),
    float: (None, "0.5", True, -1e300, float("nan"), float("inf"), [0.5], {"a": 1}),
    str: (None, 1, [], "x" * 10_000, {"a": 1}),
    list: (None, 1, "text", {"a": 1}),
    dict: (None, 1, "text", []),
}


@lru_cache
def committed() -> tuple[dict[str, Any], ...]:
    """Three records of one comparison, from the repository."""
    folder = REPOSITORY / f"leaderboard/records/test/{PROTOCOL}"
    return tuple(json.loads((folder / name).read_text(encoding="utf-8")) for name in NAMES)


def whole() -> dict[str, str]:
    """Files of the three records, none changed."""
    return {f"records/{PROTOCOL}/{name}": json.dumps(table) for name, table in zip(NAMES, committed(), strict=True)}


def mutated(change: Mutation) -> Callable[[Path], object]:
    """Writes the records, the first of them changed."""

    def make(folder: Path) -> None:
        table = copy.deepcopy(committed()[0])
        change(table)
        files(whole() | {PLACE: json.dumps(table)})(folder)

    return make


def at(table: Any, path: str) -> tuple[Any, Any]:
    """The part of a record that holds a field, and the field's key."""
    *parents, last = path.split(".")
    for name in parents:
        table = table[int(name) if isinstance(table, list) else name]
    return table, int(last) if isinstance(table, list) else last


def set_to(path: str, value: object) -> Mutation:
    """Replaces a field, or removes it."""

    def change(table: dict[str, Any]) -> None:
        inner, key = at(table, path)
        if value is ABSENT:
            del inner[key]
        else:
            inner[key] = value

    return change


def paths_of(table: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a record; of lists the first entry, of rounds the second."""
    if isinstance(table, list):
        number = 1 if prefix == "rounds." else 0
        table = {str(number): table[number]} if table else {}
    for name, value in table.items():
        path = f"{prefix}{name}"
        yield path, value
        if isinstance(value, dict | list):
            yield from paths_of(value, f"{path}.")


def found(name: str, make: Callable[[Path], object], *wanted: str, code: int = FOUND_FAULTS) -> Case:
    """A fault that the check of records finds and names."""
    return Case(f"record {name}", make, CHECK, wanted or (NAME,), code, printed=True)


def fields() -> Iterator[Case]:
    """Every field with values of another type or range, and without it."""
    for path, value in paths_of(committed()[0]):
        if value is None or (path.startswith("config.") and path.count(".") > 2):
            continue
        for other in BY_TYPE[type(value)]:
            if other == value and type(other) is type(value):
                continue
            yield found(f"{path} = {short(other)}", mutated(set_to(path, other)))
        if not path.endswith(OPTIONAL) and not path.rpartition(".")[2].isdigit():
            yield found(f"{path} missing", mutated(set_to(path, ABSENT)))
        if isinstance(value, dict) and path not in {"fingerprints", "strategy_config"} and "metrics" not in path:
            yield found(f"{path}.surprise", mutated(set_to(f"{path}.surprise", 1)))
    yield found("surprise", mutated(set_to("surprise", 1)))


def numbers() -> Iterator[Case]:
    """Numbers that no run gives."""
    accuracy = "rounds.1.metrics.accuracy"
    for value in (1.7, -5, 1.01, -0.01, 1e300, 100):
        yield found(f"{accuracy} = {value}", mutated(set_to(accuracy, value)))
    for name, value in (("balanced_accuracy", 1.5), ("ranking_accuracy", 2), ("loss", -1), ("ranking_accuracy", -0.1)):
        yield found(f"{name} = {value}", mutated(set_to(f"rounds.1.metrics.{name}", value)))
    for phase in ("fit", "evaluate", "forward", "score", "pick"):
        yield found(f"seconds.{phase} = -1", mutated(set_to(f"rounds.1.seconds.{phase}", -1)))
        yield found(f"seconds.{phase} = 1e10", mutated(set_to(f"rounds.1.seconds.{phase}", 1e10)))
    for label, value in (("0", 0), ("like the round before", 100), ("like the round after", 300), ("one more", 201)):
        yield found(f"labeled {label}", mutated(set_to("rounds.1.labeled", value)))
    yield found("planned_rounds = 4", mutated(set_to("planned_rounds", 4)))
    yield found("planned_rounds = 2", mutated(set_to("planned_rounds", 2)))
    yield found("planned_rounds = 0", mutated(set_to("planned_rounds", 0)))
    yield found("metric of another name", mutated(set_to("metric.name", "mAP")))
    yield found("metric the other way", mutated(set_to("metric.larger_is_better", False)))
    yield found("metric of another unit", mutated(set_to("metric.unit", "%")))


def picks() -> Iterator[Case]:
    """Picks that a run cannot make: of the wrong number, twice, or of images that are no candidates."""
    first = "rounds.0.picked"

    def one(value: int) -> Mutation:
        return set_to(f"{first}.0", value)

    def cut(table: dict[str, Any]) -> None:
        table["rounds"][0]["picked"].pop()

    def more(table: dict[str, Any]) -> None:
        taken = {each for round_ in table["rounds"] for each in round_["picked"]}
        table["rounds"][0]["picked"].append(min(set(range(2000)) - taken))

    def twice(table: dict[str, Any]) -> None:
        table["rounds"][0]["picked"][1] = table["rounds"][0]["picked"][0]

    def again(table: dict[str, Any]) -> None:
        table["rounds"][1]["picked"][0] = table["rounds"][0]["picked"][0]

    def at_the_end(table: dict[str, Any]) -> None:
        taken = {each for round_ in table["rounds"] for each in round_["picked"]}
        table["rounds"][2]["picked"] = sorted(set(range(2000)) - taken)[:100]

    for name, change in (
        ("beyond the pool", one(2000)),
        ("far beyond the pool", one(2_000_000)),
        ("a test image", one(2001)),
        ("negative", one(-1)),
        ("one too few", cut),
        ("one too many", more),
        ("twice in a round", twice),
        ("twice in a run", again),
        ("after the last round", at_the_end),
        ("none", set_to(first, [])),
        ("of the validation slice", _of("validation")),
        ("of the first labels", _of("initial")),
    ):
        yield found(f"picks {name}", mutated(change))


def _of(what: str) -> Mutation:
    """Picks one image that is held out for validation, or labeled from the start."""

    def change(table: dict[str, Any]) -> None:
        import numpy as np

        from lossbench.running.streams import stream

        order = stream(0, "validation").permutation(2000)
        held_out, eligible = order[:250], np.sort(order[250:])
        first = stream(0, "initial").choice(eligible, 100, replace=False)
        table["rounds"][0]["picked"][0] = int(held_out[0] if what == "validation" else np.sort(first)[0])

    return change


def groups() -> Iterator[Case]:
    """Group counts that do not add up."""
    counts = "rounds.0.group_counts"

    def one_less(table: dict[str, Any]) -> None:
        table["rounds"][0]["group_counts"][0] -= 1

    def dropped(table: dict[str, Any]) -> None:
        table["rounds"][0]["group_counts"].pop()

    for name, change in (
        ("one less", one_less),
        ("of fewer groups", dropped),
        ("all in one", set_to(counts, [101, 0, 0, 0, 0, 0, 0, 0])),
        ("negative", set_to(f"{counts}.0", -1)),
        ("in the last round", set_to("rounds.2.group_counts", [100, 0, 0, 0, 0, 0, 0, 0])),
        ("missing", set_to(counts, [])),
        ("too many groups", set_to(counts, [28, 23, 11, 13, 9, 6, 7, 3, 0])),
    ):
        yield found(f"group counts {name}", mutated(change))
    yield found("group names of another kind", mutated(set_to("group_names", [f"pose {n}" for n in range(8)])))
    yield found("group name twice", mutated(set_to("group_names.1", "disk")))
    yield found("no group names", mutated(set_to("group_names", [])))


def claims() -> Iterator[Case]:
    """What a record says about itself, and is not."""
    for path, value in (
        ("protocol", "no-such-protocol"),
        ("protocol", "scenes-pose"),
        ("protocol", "../x"),
        ("protocol", ""),
        ("version", 0),
        ("version", 99),
        ("version", 10**9),
        ("track", "native"),
        ("track", "both"),
        ("strategy", "entropy"),
        ("strategy", "no-such"),
        ("strategy", "Random"),
        ("strategy", "../random"),
        ("strategy", ""),
        ("strategy", "full-pool"),
        ("seed", 1),
        ("seed", -1),
        ("seed", 2**40),
        ("split", "validation"),
        ("split", "train"),
        ("schema_number", 1),
        ("schema_number", 3),
        ("config.budget.step", 50),
        ("config.task.recipe.epochs", 41),
        ("config.task.data.scenes.seed", 8),
        ("config.name", "other"),
        ("strategy_config", {"temperature": 1}),
        ("fingerprints.data", "0" * 32),
        ("fingerprints", {}),
        ("machine.threads", 0),
    ):
        yield found(f"{path} = {short(value)}, a claim", mutated(set_to(path, value)))


def rounds() -> Iterator[Case]:
    """Rounds that are missing, repeated or in another order."""

    def reverse(table: dict[str, Any]) -> None:
        table["rounds"].reverse()

    def repeat(table: dict[str, Any]) -> None:
        table["rounds"][2] = table["rounds"][1]

    def first_only(table: dict[str, Any]) -> None:
        table["rounds"], table["planned_rounds"] = table["rounds"][:1], 1

    def add(table: dict[str, Any]) -> None:
        table["rounds"].append(table["rounds"][2] | {"labeled": 400})
        table["planned_rounds"] = 4

    for name, change in (
        ("reversed", reverse),
        ("repeated", repeat),
        ("skipped", set_to("rounds.1", ABSENT)),
        ("cut, and planned so", first_only),
        ("added, and planned so", add),
        ("none", set_to("rounds", [])),
        ("without the first", set_to("rounds.0", ABSENT)),
        ("of null", set_to("rounds.1", None)),
        ("of text", set_to("rounds.1", "round")),
    ):
        yield found(f"rounds {name}", mutated(change))


CASES = (*fields(), *numbers(), *picks(), *groups(), *claims(), *rounds())
