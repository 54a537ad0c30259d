"""Records of earlier schemas in today's form."""

from __future__ import annotations

from typing import Any, cast

LOSS_PREDICTION = {"loss_weight": "weight", "margin": "margin", "detach_after": "detach_after", "taps": "taps"}
"""Settings that stood in a task's recipe up to schema 1, and what they are called in the protocol's `loss_prediction`."""


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """The same record in the newest schema; one of a schema that is not known stays as it is.

    Schema 1 called a protocol's name `task` and its version `protocol`, and held the settings of loss prediction in the
    recipe of the task.
    """
    if record.get("schema_number") != 1 or "task" not in record or "protocol" not in record:
        return record
    named = {"schema_number": 2, "protocol": record["task"], "version": record["protocol"]}
    config = table_in(record, "config")
    if "task" in config:
        record = record | {"config": _upgraded_config(config)}
    return named | {name: value for name, value in record.items() if name not in {"schema_number", "task", "protocol"}}


def _upgraded_config(config: dict[str, Any]) -> dict[str, Any]:
    """A protocol as schema 1 wrote it, in the form of schema 2."""
    task = table_in(config, "task")
    recipe, pretraining = table_in(task, "recipe"), table_in(task, "pretraining")
    settings = {new: recipe[old] for old, new in LOSS_PREDICTION.items() if old in recipe}
    if recipe:
        task = task | {"recipe": _without(recipe)}
    if before := table_in(pretraining, "recipe"):
        task = task | {"pretraining": pretraining | {"recipe": _without(before)}}
    named = {"version" if name == "protocol" else name: value for name, value in config.items()}
    return named | {"task": task, "loss_prediction": settings}


def table_in(table: dict[str, Any], name: str) -> dict[str, Any]:
    """A table inside another; an empty one where there is none."""
    value = table.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _without(recipe: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in recipe.items() if name not in LOSS_PREDICTION}
