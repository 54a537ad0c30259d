"""Settings of a labeling round, which stand in its folder, and how the command line's few words become them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tomli_w
from pydantic import BeforeValidator, Field, JsonValue, SerializeAsAny

from lossbench.config import ConfigError, LossPrediction, Protocol, validated
from lossbench.files import LARGEST_TOML, UnfitFileError, merged, parsed_toml, read_regular, shown
from lossbench.paths import shipped
from tasks.datasets.labeled.folder import is_example, shown_classes
from tasks.datasets.pools.finding import folder_of
from tasks.datasets.tools.annotated import AnnotatedImage
from tasks.datasets.tools.reading import read_annotations
from tasks.errors import DataError
from tasks.kind import TaskKind
from tasks.kinds import kind_named, known_kinds, task_settings
from tasks.models.weights import packaged_file
from tasks.notices import notice
from tasks.settings import MOST_IMAGES, FileName, LabeledFolder, Seed, Settings, TaskSettings, Whole

SETTINGS_FILE = "round.toml"
"""In the folder of a round."""
SIMULATION = "own-images"
"""Name of the protocol of simulated rounds."""
MOST_DIFFERENT_BITS = 16
OUTLINED = ("points", "regions")
"""Labels around which tools write boxes, too."""


class RoundSettings(Settings):
    """All that decides a round: with the same images and labels it is repeated bit for bit."""

    strategy: FileName
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    """Hyper-parameters of the strategy that differ from its defaults."""
    budget: Whole = Field(ge=1, le=MOST_IMAGES)
    """How many images to pick."""
    seed: Seed = 0
    duplicate_bits: Whole = Field(3, ge=-1, le=MOST_DIFFERENT_BITS)
    """Two images are near-duplicates if at most so many of the 64 bits of their hashes differ; -1 leaves none out."""
    subset: Whole | None = Field(None, ge=1, le=MOST_IMAGES, exclude_if=lambda subset: subset is None)
    """Number of candidates, drawn at random; by default all unlabeled images."""
    task: Annotated[SerializeAsAny[TaskSettings], BeforeValidator(task_settings)]
    """Images, labels, model and recipe, as in a protocol. Paths start in the working directory."""
    loss_prediction: LossPrediction = LossPrediction.model_validate({})


class Request(NamedTuple):
    """What a user asks for; what is None is decided by the labels, or by `configs/labeling/`."""

    unlabeled: str | None = None
    labeled: Sequence[str] = ()
    kind: str | None = None
    classes: Sequence[str] = ()
    table: Mapping[str, Any] = {}
    """Fields of `RoundSettings`, as a settings file or the other options give them."""


class ByLabels(Settings):
    """What changes in a recipe with more labels than a number."""

    above: Whole = Field(ge=1)
    recipe: dict[str, JsonValue]


class Defaults(Settings):
    """The usual settings of a kind: a file of `configs/labeling/`."""

    task: dict[str, Any]
    by_labels: tuple[ByLabels, ...] = ()
    small: dict[str, Any] = Field(default_factory=dict)
    """Fields of the task where the package with the model's weights is not installed."""
    loss_prediction: dict[str, Any] = Field(default_factory=dict)


def plan_round(request: Request) -> RoundSettings:
    """The settings of a round.

    Raises:
        ConfigError: something is missing, or does not fit.
        DataError: an export cannot be read.
    """
    _require(request, "strategy", "--strategy NAME")
    table = _completed(request, unlabeled=True)
    return validated(RoundSettings, table, "pick")


def plan_simulation(request: Request, rounds: int, strategies: Sequence[str] = ()) -> tuple[Protocol, RoundSettings]:
    """The protocol of rounds that are answered from labels that are known already: each labels as many images as the budget.

    Args:
        request: `labeled` are the known labels; images without a label are not read.
        rounds: how many models are trained.
        strategies: to be compared; a single one replaces that of the request, as in a round.

    Returns:
        The protocol, and the settings of one round, whose hyper-parameters are those of its strategy.

    Raises:
        ConfigError, DataError: as for `plan_round`.
    """
    table = _completed(request, unlabeled=False)
    if table.get("parameters") and "strategy" not in table and len(strategies) != 1:
        msg = "pick: `parameters` are of one strategy; name it with `strategy` in the settings"
        raise ConfigError(msg)
    table = {"strategy": "random"} | table
    if len(strategies) == 1:
        table["strategy"] = strategies[0]
    settings = validated(RoundSettings, table, "pick")
    if settings.parameters and strategies and settings.strategy not in strategies:
        msg = (
            f"pick: `parameters` are of {settings.strategy}, which is not simulated; add --strategy {settings.strategy}"
        )
        raise ConfigError(msg)
    if settings.duplicate_bits != RoundSettings.model_fields["duplicate_bits"].default:
        notice("duplicate_bits is of rounds; a simulation leaves no near-duplicates out")
    budget = {"initial": settings.budget, "step": settings.budget, "rounds": rounds, "subset": settings.subset}
    same = {name: table[name] for name in ("task", "loss_prediction")}
    protocol = validated(Protocol, {"name": SIMULATION, "version": 1, "budget": budget, **same}, "pick")
    return protocol, settings


def _completed(request: Request, *, unlabeled: bool) -> dict[str, Any]:
    """The request with the usual settings of its kind where it says nothing."""
    table = dict(request.table)
    _require(request, "budget", "--budget N")
    task = _table(table, "task")
    data = _table(task, "task.data")
    if data.get("validation"):
        notice(
            "task.data.validation is of protocols; in a round task.data.labeled.held_out says what share of the labels is held out"
        )
    source = _table(data, "task.data.labeled")
    given = {"images": request.unlabeled, "labels": list(request.labeled), "classes": list(request.classes)}
    source |= {name: value for name, value in given.items() if value} | {"unlabeled": unlabeled}
    if "images" not in source:
        msg = "no images; give their folder, or shards, with --unlabeled DIR"
        raise ConfigError(msg)
    folder = validated(LabeledFolder, source, "pick: task.data.labeled")
    labels = _labels(folder.labels, folder_of(folder.images, Path()))
    kind = _kind(request.kind or task.get("kind"), labels)
    task = merged(task, {"kind": kind.name, "data": {"labeled": source, "validation": 0}})
    examples = sum(is_example(label, kind.shape) for label in labels) if kind.shape else 0
    defaults = _defaults(kind)
    table["task"] = merged(_usual(defaults, task, examples), task)
    table["loss_prediction"] = merged(defaults.loss_prediction, _table(table, "loss_prediction"))
    return table


def _table(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The table that the last part of a name stands for in a table; empty if there is none."""
    found = table.get(name.rpartition(".")[2], {})
    if not isinstance(found, dict):
        msg = f"pick: {name} is to be a table of settings (given: {shown(found)})"
        raise ConfigError(msg)
    return dict(found)


def _require(request: Request, name: str, option: str) -> None:
    if name not in request.table:
        msg = f"no {name}; give one with {option}"
        raise ConfigError(msg)


def read_settings(path: Path) -> dict[str, Any]:
    """The content of a settings file, such as the `round.toml` of an earlier round.

    Raises:
        ConfigError: it is missing or no TOML.
    """
    try:
        return parsed_toml(read_regular(path, LARGEST_TOML))
    except FileNotFoundError:
        msg = f"there is no file of settings {path}"
        raise ConfigError(msg) from None
    except (OSError, UnfitFileError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"{path} cannot be read as TOML: {reason}"
        raise ConfigError(msg) from None


def settings_text(settings: RoundSettings) -> str:
    """The content of `round.toml`."""
    head = "# A labeling round of Lossbench. To make it again: lossbench pick --settings FILE --out DIR, in the same folder.\n"
    table = settings.model_dump(mode="json", exclude_none=True)
    table["task"]["data"] = settings.task.data.model_dump(
        mode="json", exclude_defaults=True
    )  # not of forms that are not used
    return head + tomli_w.dumps(table)


def protocol_text(protocol: Protocol) -> str:
    """The content of a protocol's file."""
    return tomli_w.dumps(protocol.model_dump(mode="json", exclude_none=True))


def _labels(exports: Sequence[str], images: Path | None) -> list[AnnotatedImage]:
    """The labels of each image; those of the last export that has it."""
    found: dict[str, AnnotatedImage] = {}
    for export in exports:
        annotations = read_annotations(Path(export), images)
        for file in annotations.skipped:
            found.pop(file, None)
        found |= {image.file: image for image in annotations.images}
    return list(found.values())


def _kind(name: str | None, labels: Sequence[AnnotatedImage]) -> TaskKind[Any]:
    """The kind of this name, or the one that is trained on these labels."""
    able = [kind for kind in known_kinds() if kind.shape is not None]
    if name is not None:
        kind = kind_named(name)
        if kind not in able:
            msg = f"the kind {name!r} has no labels that annotation tools give; there are {_names(able)}"
            raise ConfigError(msg)
        return kind
    fits = [kind for kind in able if kind.shape is not None and shown_classes(labels, kind.shape)]
    if any(kind.shape in OUTLINED for kind in fits):
        fits = [kind for kind in fits if kind.shape != "boxes"]
    if len(fits) == 1:
        return fits[0]
    reason = f"the labels fit {_names(fits)}" if fits else "no label says which"
    msg = f"no kind of task, and {reason}; give one with --kind: {_names(fits or able)}"
    raise ConfigError(msg)


def _names(kinds: Sequence[TaskKind[Any]]) -> str:
    return ", ".join(kind.name for kind in kinds)


def _defaults(kind: TaskKind[Any]) -> Defaults:
    path = shipped("configs/labeling") / f"{kind.name}.toml"
    if not path.is_file():  # a kind from elsewhere
        return Defaults(task={})
    return validated(Defaults, parsed_toml(read_regular(path, LARGEST_TOML)), path)


def _usual(defaults: Defaults, given: Mapping[str, Any], labels: int) -> dict[str, Any]:
    """The usual model and recipe for a number of labels; the small model where the usual one's weights are not installed."""
    task = dict(defaults.task)
    for step in defaults.by_labels:
        if labels > step.above:
            task = merged(task, {"recipe": step.recipe})
    if "model" in given:
        return {name: value for name, value in task.items() if name != "model"}
    model = task.get("model", {})
    if model.get("weights") == "package":
        try:
            packaged_file(model["kind"], model["name"])
        except DataError as error:
            notice(f"{error.fault}; a small network is trained from random weights instead")
            return task | defaults.small
    return task
