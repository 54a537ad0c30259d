"""Every field of every settings table, of all kinds of task: finite, within bounds, and clear about repetition."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError
from settings_tables import DATA, RECIPE, TASKS

from leaderboard.schema.records import read_record
from lossbench.config import Protocol, Sweep
from tasks.kinds import KINDS
from tasks.settings import LARGEST_SEED, Settings

ROOT = Path(__file__).parents[2]
TABLES: dict[str, tuple[type[Settings], dict[str, Any]]] = {
    name: (
        Protocol,
        {
            "name": "tiny",
            "version": 1,
            "base": "other",
            "budget": {"initial": 4, "step": 2, "rounds": 2, "subset": 30, "first": "random"},
            "stress": {"label_noise": 0.1, "imbalance": 2.0, "missing_groups": 1},
            "loss_prediction": {"weight": 1.0, "margin": 1.0, "detach_after": 0.5, "taps": [0, 1]},
            "needs": {"cpus": 2, "gpus": 0.5, "memory_gibibytes": 4.0},
            "task": {"kind": name, "data": DATA, "recipe": RECIPE} | task,
        },
    )
    for name, task in TASKS.items()
}
TABLES["sweep"] = (
    Sweep,
    {"protocols": ["a", "b"], "strategies": ["c", "d"], "seeds": [0, 1], "tracks": ["shared", "native"]}
    | {"split": "test", "parameters": {"c": {"passes": 2}}, "full_pool_seeds": [2, 3]}
    | {"contrasts": [["c", "d"], ["d", "c"]], "disclosure": "seed 0 was seen."},
)
MAY_BE_LEFT_OUT = {"background", "base", "category", "disclosure", "folder", "suffix", "table", "torchvision", "yolo"}
FREE = {("parameters", "c", "passes")}
"""Numbers that a strategy judges."""
WRONG_NUMBERS = (
    float("nan"),
    float("inf"),
    float("-inf"),
    1e300,
    -1e300,
    10**40,
    -(10**40),
    10**5000,
    True,
    "1",
    None,
    [],
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value in a table with its way there."""
    yield path, value
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def changed(table: dict[str, Any], path: tuple[Any, ...], value: object) -> dict[str, Any]:
    table = copy.deepcopy(table)
    inner: Any = table
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return table


def values_of(wanted: type | tuple[type, ...]) -> list[Any]:
    """Every value of a type in the tables, as a parameter of a test."""
    return [
        pytest.param(name, path, id=f"{name}: {'.'.join(map(str, path))}")
        for name, (_, table) in TABLES.items()
        for path, value in places(table)
        if isinstance(value, wanted) and not (wanted == (int, float) and isinstance(value, bool)) and path not in FREE
    ]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The settings classes that a type speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def test_the_tables_set_every_field_of_every_class() -> None:
    unvisited: set[type[BaseModel]] = {Protocol, Sweep} | {kind.settings for kind in KINDS}
    fields: set[tuple[str, str]] = set()
    while unvisited:
        model = unvisited.pop()
        fields |= {(model.__name__, name) for name in model.model_fields}
        known = {name for name, _ in fields}
        inner = {each for field in model.model_fields.values() for each in models_in(field.annotation)}
        unvisited |= {each for each in inner if each.__name__ not in known}
    given: set[tuple[str, str]] = set()
    for model, table in TABLES.values():
        models: list[BaseModel] = [model.model_validate(table)]
        while models:
            each = models.pop()
            given |= {(type(each).__name__, name) for name in each.model_fields_set}
            for _, value in each:
                models += [
                    one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, BaseModel)
                ]
    only_choices = {
        (name, field) for name, field in fields if field in {"optimizer", "schedule", "precision", "posterior"}
    }
    abstract = {(name, field) for name, field in fields if name in {"TaskSettings", "DataSource"}}
    assert fields - given - only_choices - abstract == set()


@pytest.mark.parametrize(("name", "path"), values_of((int, float)))
def test_every_number_is_finite_within_bounds_and_no_text(name: str, path: tuple[Any, ...]) -> None:
    model, table = TABLES[name]
    for wrong in WRONG_NUMBERS:
        if wrong is None and path[-1] in {"subset", "stored_pixels", "memory_gibibytes"}:
            continue
        with pytest.raises(ValidationError):
            model.model_validate(changed(table, path, wrong))


@pytest.mark.parametrize(("name", "path"), values_of(bool))
def test_every_switch_is_true_or_false(name: str, path: tuple[Any, ...]) -> None:
    model, table = TABLES[name]
    for wrong in (1, 0.0, "yes", None, []):
        with pytest.raises(ValidationError):
            model.model_validate(changed(table, path, wrong))


@pytest.mark.parametrize(("name", "path"), values_of(str))
def test_no_text_is_empty_endless_or_holds_control_characters(name: str, path: tuple[Any, ...]) -> None:
    model, table = TABLES[name]
    for wrong in ("", "a\0b", "a\nb", "\x1b[31m", "a" * 5000, 1, None):
        if wrong is None and path[-1] in MAY_BE_LEFT_OUT:
            continue
        with pytest.raises((ValidationError, ValueError)):
            model.model_validate(changed(table, path, wrong))


@pytest.mark.parametrize(("name", "path"), values_of(list))
def test_every_list_refuses_a_repetition_or_takes_it_once(name: str, path: tuple[Any, ...]) -> None:
    model, table = TABLES[name]
    values = next(value for place, value in places(table) if place == path)
    fixed = path[-1] == "sizes" or (path[0] == "contrasts" and len(path) > 1)  # of as many entries
    wrong = changed(table, path, [values[0], *values[:-1]] if fixed else [*values, values[0]])
    if name == "sweep" and not fixed:
        assert model.model_validate(wrong) == model.model_validate(table)
    else:
        with pytest.raises(ValidationError, match=r"given twice|larger than the one before"):
            model.model_validate(wrong)


@pytest.mark.parametrize(("name", "path"), values_of(list))
def test_a_list_that_must_name_something_is_not_empty(name: str, path: tuple[Any, ...]) -> None:
    model, table = TABLES[name]
    if path[-1] in {"milestones", "full_pool_seeds", "contrasts", "void"}:
        model.model_validate(changed(table, path, []))
    else:
        with pytest.raises(ValidationError):
            model.model_validate(changed(table, path, []))


def test_committed_records_hold_protocols_that_fit() -> None:
    files = sorted((ROOT / "leaderboard").rglob("records/**/*-s*.json"))
    found = [read_record(next(group)) for _, group in groupby(files, lambda file: file.parent)]
    read = {each.protocol: each.config for each in found}
    assert len(read) > 10
    for config in read.values():
        assert Protocol.model_validate(config).model_dump(mode="json") == config


def test_the_largest_seed_is_one_that_records_hold() -> None:
    from lossbench.cli import options

    assert options.LARGEST_SEED == LARGEST_SEED
    Sweep(protocols=("a",), strategies=("b",), seeds=(LARGEST_SEED,))
    with pytest.raises(ValidationError, match="less than or equal to 2147483648"):
        Sweep(protocols=("a",), strategies=("b",), seeds=(LARGEST_SEED + 1,))
