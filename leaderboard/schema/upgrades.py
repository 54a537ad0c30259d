"""Converts records of earlier schemas to the current schema."""

from __future__ import annotations

from typing import Any, cast

LOSS_PREDICTION = {"loss_weight": "weight", "margin": "margin", "detach_after": "detach_after", "taps": "taps"}
"""Settings of loss prediction: the name in a task's recipe in schema 1, and the name in the table `loss_prediction` now."""


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """A record as JSON, converted to the current schema; unchanged if its schema is not 1.

    In schema 1, the name of a protocol was `task`, its version was `protocol`, and the recipe of the task held the settings of
    loss prediction.
    """
    if record.get("schema_number") != 1 or "task" not in record or "protocol" not in record:
        return record
    renamed = {"schema_number": 2, "protocol": record["task"], "version": record["protocol"]}
    config = table_in(record, "config")
    if "task" in config:
        record = record | {"config": _upgraded_config(config)}
    return renamed | {
        name: value for name, value in record.items() if name not in {"schema_number", "task", "protocol"}
    }


def _upgraded_config(config: dict[str, Any]) -> dict[str, Any]:
    """A protocol of schema 1, converted to schema 2."""
    task = table_in(config, "task")
    recipe, pretraining = table_in(task, "recipe"), table_in(task, "pretraining")
    settings = {new: recipe[old] for old, new in LOSS_PREDICTION.items() if old in recipe}
    if recipe:
        task = task | {"recipe": _without_loss_prediction(recipe)}
    if pretraining_recipe := table_in(pretraining, "recipe"):
        task = task | {"pretraining": pretraining | {"recipe": _without_loss_prediction(pretraining_recipe)}}
    renamed = {"version" if name == "protocol" else name: value for name, value in config.items()}
    return renamed | {"task": task, "loss_prediction": settings}


def table_in(table: dict[str, Any], name: str) -> dict[str, Any]:
    """The table under a name in another table; an empty one if there is none."""
    value = table.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _without_loss_prediction(recipe: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in recipe.items() if name not in LOSS_PREDICTION}
