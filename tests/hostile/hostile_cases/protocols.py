"""Protocols in TOML: every field with values that its meaning forbids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hostile_cases.case import RUN, Case, files
from hostile_cases.toml_text import ABSENT, Raw, changed, document

SWEEP = 'protocols = ["tiny"]\nstrategies = ["random"]\nseeds = [0]\n'
RECIPE = {"epochs": 1, "batch": 16, "optimizer": "adamw", "learning_rate": 1e-3}
SCENES = {"scenes": {"seed": 3, "pool": 60, "test": 24}, "validation": 12}
CLASSIFICATION: dict[str, Any] = {
    "name": "tiny",
    "version": 1,
    "budget": {"initial": 12, "step": 6, "rounds": 3, "subset": 30},
    "task": {"kind": "classification", "data": SCENES, "model": {"width": 8}, "recipe": RECIPE},
}
SSD = {"kind": "resnet18", "width": 8, "pixels": 64}
DETECTION = changed(CLASSIFICATION, "task", {"kind": "detection", "data": SCENES, "model": SSD, "recipe": RECIPE})
HOURGLASS = {"stacks": 1, "width": 16, "depth": 2, "pixels": 32}
POSE = changed(
    CLASSIFICATION, "task", {"kind": "pose", "data": SCENES | {"margin": 1.25}, "model": HOURGLASS, "recipe": RECIPE}
)

INFINITE: dict[str, object] = {"inf": Raw("inf"), "-inf": Raw("-inf"), "nan": Raw("nan")}
NO_NUMBER: dict[str, object] = {"text": "3", "bool": True, "list": [1], "table": {"a": 1}}
NUMBERS: dict[str, dict[str, tuple[object, ...]]] = {
    "classification": {
        "version": (0, -1, 1.5, 10**18),
        "budget.initial": (1, -12, 12.5, 49, 10**9),
        "budget.step": (0, -6, 2.5, 31, 10**9),
        "budget.rounds": (0, -1, 1.5, 10**9, 10**18),
        "budget.subset": (0, -1, 5, 7.5),
        "task.data.validation": (-1, 60, 2.5, 10**12),
        "task.data.scenes.seed": (-1, 0.5, 2**64, 10**30),
        "task.data.scenes.pool": (0, 4, 60.5, 10**12),
        "task.data.scenes.test": (0, -1, 0.5, 10**12),
        "task.model.width": (0, -8, 8.5, 10**9),
        "task.model.pixels": (15, -32, 32.5, 10**9),
        "task.recipe.epochs": (0, -1, 1.5, 10**12),
        "task.recipe.batch": (1, 0, -16, 16.5, 10**12),
        "task.recipe.learning_rate": (0, -1e-3, 1e300),
        "task.recipe.momentum": (-0.1, 1, 1e300),
        "task.recipe.weight_decay": (-1e-4, 1e300),
        "loss_prediction.weight": (-1, 1e300),
        "loss_prediction.margin": (0, -1, 1e300),
        "loss_prediction.detach_after": (-0.1, 1.1),
        "stress.label_noise": (-0.1, 1, 1.5),
        "stress.imbalance": (0.5, -1, 1e300),
        "stress.missing_groups": (-1, 0.5, 10, 10**9),
    },
    "detection": {
        "task.zoom": (0.5, -1, 1e300),
        "task.rows.most": (0, -1, 0.5),
        "task.rows.threshold": (-0.1, 1.1),
        "task.data.stored_pixels": (31, -1, 64.5, 10**9),
        "task.model.width": (0, -1, 10**9),
        "task.model.pixels": (63, -1, 10**9),
        "task.model.extra_channels": (0, -1, 10**9),
    },
    "pose": {
        "task.sigma": (0, -1, 1e300),
        "task.rotation_degrees": (-1, 1e300),
        "task.zoom": (-0.1, 1, 1e300),
        "task.data.frame": (0, -1, 1e300),
        "task.data.margin": (0.9, -1, 1e300),
        "task.data.center_shift": (1e300,),
        "task.model.stacks": (0, -1, 0.5, 10**9),
        "task.model.width": (0, 9, -8, 8 * 10**9),
        "task.model.depth": (0, -1, 4, 10**9),
        "task.model.pixels": (30, 33, -32, 4 * 10**9),
    },
}
LISTS: dict[str, dict[str, tuple[object, ...]]] = {
    "classification": {
        "task.recipe.milestones": ([-1, 7], [1.5], [Raw("nan")], [Raw("inf")], ["half"], [0.5, 0.5], 0.5),
        "loss_prediction.taps": ([], [0, 0], [-1], [99], ["first"], [0.5], 1, [Raw("inf")]),
    },
    "detection": {
        "task.data.classes": ([], ["car", "car"], [""], [1], "car"),
        "task.data.pool": ([], ["trainval"], ["2007/trainval", "2007/trainval"], [1], "2007/trainval", ["2007/"]),
        "task.data.test": ([], ["test"], ["2007/test", "2007/test"], [1], ["../../test"]),
        "task.model.sizes": ([], [0.1], [0.1, 0.2, 0.3, 0.4, Raw("inf")], [0.5, 0.4, 0.3, 0.2, 0.1], [0, 0, 0, 0, 0]),
    },
    "pose": {
        "task.counted_joints": ([], [99], [-1], [0, 0], [0.5], ["head"], 1, [Raw("nan")]),
    },
}
CHOICES: dict[str, tuple[str, ...]] = {
    "classification": (
        "task.kind",
        "task.recipe.optimizer",
        "task.recipe.schedule",
        "task.recipe.precision",
        "task.model.stem",
    ),
    "detection": ("task.model.kind",),
    "pose": ("task.posterior",),
}
FLAGS: dict[str, tuple[str, ...]] = {
    "classification": ("task.recipe.warm_start", "task.recipe.fused"),
    "detection": ("task.data.need_object",),
    "pose": ("task.flip_test",),
}
TEXTS: dict[str, dict[str, tuple[object, ...]]] = {
    "classification": {
        "name": ("", "Tiny", "a b", "../tiny", "ti\0ny", "t" * 61, 1, True, ["tiny"], "tíny"),
        "base": ("", "Tiny", "no-such-base", "../../tiny", "ti\0ny", 1, ["tiny"]),
    },
    "pose": {
        "task.data.images": (1, ["pose"], "im\0ages"),
        "task.data.pool": (1, [], "po\0ol.json"),
        "task.data.test": (1, {"a": 1}),
    },
}
TABLES = (
    "budget",
    "task",
    "task.data",
    "task.data.scenes",
    "task.model",
    "task.recipe",
    "loss_prediction",
    "stress",
)
NEEDED = (
    "name",
    "version",
    "budget",
    "budget.initial",
    "budget.step",
    "budget.rounds",
    "task",
    "task.kind",
    "task.data",
    "task.data.validation",
    "task.model",
    "task.recipe",
    "task.recipe.epochs",
    "task.recipe.batch",
    "task.recipe.optimizer",
    "task.recipe.learning_rate",
)
BASES = {"classification": CLASSIFICATION, "detection": DETECTION, "pose": POSE}
VALID = document(CLASSIFICATION)
SCENES_LEFT = tuple(f"out/cache/scenes-*/{'*/' * depth}*" for depth in range(5))
LATE = {"loss_prediction.taps = [99]", "stress.missing_groups = 10", "task.counted_joints = [99]"}
"""Faults that only the model and the labels show: the scenes are rendered by then, and stay."""


def short(value: object) -> str:
    """A value for the name of a case."""
    text = repr(value).replace("\\x00", "NUL")
    return text if len(text) <= 40 else f"{text[:18]}...{len(text)}"


def protocol(name: str, text: str | bytes, wanted: tuple[str, ...]) -> Case:
    """A protocol that is named by a sweep."""
    return Case(name, files({"tasks/tiny.toml": text, "sweeps/tiny.toml": SWEEP}), RUN, ("tiny", *wanted))


def field(kind: str, path: str, value: object, what: str) -> Case:
    """A protocol with one field changed; the line names the field's last part."""
    case = protocol(f"{kind} {path} = {what}", document(changed(BASES[kind], path, value)), (path.rpartition(".")[2],))
    return replace(case, wanted=case.wanted[1:], may_leave=SCENES_LEFT) if f"{path} = {what}" in LATE else case


def values(tables: dict[str, dict[str, tuple[object, ...]]]) -> Iterator[Case]:
    """Each field with each of its values."""
    for kind, paths in tables.items():
        for path, others in paths.items():
            for value in others:
                yield field(kind, path, value, short(value))


def no_numbers() -> Iterator[Case]:
    """Each field that is a number with what is none."""
    for kind, paths in NUMBERS.items():
        for path in paths:
            for what, value in (INFINITE | NO_NUMBER).items():
                yield field(kind, path, value, what)


def fields() -> Iterator[Case]:
    """Every field with values that its meaning forbids."""
    yield from no_numbers()
    choices = {kind: dict.fromkeys(paths, ("no-such-choice", "", 1, ["sgd"])) for kind, paths in CHOICES.items()}
    flags = {kind: dict.fromkeys(paths, ("maybe", 2, [True], "yes", 0.0)) for kind, paths in FLAGS.items()}
    for tables in (NUMBERS, LISTS, TEXTS, choices, flags):
        yield from values(tables)


def structure() -> Iterator[Case]:
    """Fields that are missing, unknown or tables where none is wanted."""
    for path in NEEDED:
        yield field("classification", path, ABSENT, "missing")
    for path in ("", *(f"{table}." for table in TABLES)):
        yield field("classification", f"{path}surprise", 1, "unknown")
    for path in TABLES:
        for value in (1, "text", [{"a": 1}]):
            yield field("classification", path, value, short(value))


def syntax() -> Iterator[Case]:
    """Files that are no TOML, or TOML that is hard to read."""
    deep = "[" * 100_000 + "]" * 100_000
    for name, text, wanted in (
        ("empty", "", ()),
        ("no TOML", "{]", ("TOML",)),
        ("JSON", '{"name": "tiny"}', ("TOML",)),
        ("cut", VALID[:-12], ("TOML",)),
        ("binary", bytes(range(256)) * 8, ("TOML",)),
        ("zeros", bytes(4096), ("TOML",)),
        ("UTF-16", VALID.encode("utf-16"), ("TOML",)),
        ("UTF-32", VALID.encode("utf-32"), ("TOML",)),
        ("Latin-1", f"# caf\xe9\n{VALID}".encode("latin-1"), ("TOML",)),
        ("byte order mark", VALID.encode("utf-8-sig"), ("TOML",)),
        ("surrogate", VALID.encode() + b"# \xed\xa0\x80\n", ("TOML",)),
        ("a NUL byte", VALID.encode() + b"\0", ("TOML",)),
        ("a key twice", VALID + "version = 2\n", ("TOML",)),
        ("a table twice", VALID + "[stress]\n[stress]\n", ("TOML",)),
        ("deep arrays", f"a = {deep}\n{VALID}", ("TOML",)),
        ("deep tables", f"a = {'{ a = ' * 50_000}1{' }' * 50_000}\n{VALID}", ("TOML",)),
        ("a deep key", f"{'a.' * 100_000}a = 1\n{VALID}", ()),
        ("an integer of 5,000 digits", VALID.replace('version" = 1', f'version" = {"9" * 5000}'), ("TOML",)),
        ("a date", VALID.replace('version" = 1', 'version" = 2026-01-01'), ("version",)),
        ("a year 0", VALID.replace('version" = 1', 'version" = 0000-01-01'), ("TOML",)),
        ("a month 13", VALID.replace('version" = 1', 'version" = 2026-13-01'), ("TOML",)),
        ("no end of text", VALID + 'a = "', ("TOML",)),
        ("no end of list", VALID + "a = [", ("TOML",)),
        ("a tab in a key", VALID + "a\tb = 1", ("TOML",)),
        ("a bad escape", VALID + 'a = "\\q"', ("TOML",)),
        ("Windows 1252", VALID.encode() + b"# \x93quoted\x94\n", ("TOML",)),
        ("17 MiB", VALID + "# " + "x" * (17 << 20), ()),
    ):
        yield protocol(f"protocol, {name}", text, wanted)


def bases() -> Iterator[Case]:
    """Protocols with a base."""
    child = {"name": "tiny", "base": "parent"}
    parent = changed(CLASSIFICATION, "name", "parent")
    for name, own, other, wanted in (
        ("of itself", child | {"base": "tiny"}, parent, ()),
        ("with a version", child | {"version": 1}, parent, ("version",)),
        ("with a base", child, parent | {"base": "tiny"}, ("base",)),
        ("that is no TOML", child, "{", ("parent", "TOML")),
        ("that is empty", child, "", ()),
        ("with a bad number", child, changed(parent, "budget.step", 0), ("step",)),
        ("whose table it replaces", child | {"budget": 3}, parent, ("budget",)),
        ("whose number it replaces by a table", child | {"budget": {"step": {"a": 1}}}, parent, ("step",)),
    ):
        contents = {
            "tasks/tiny.toml": document(own),
            "tasks/parent.toml": other if isinstance(other, str) else document(other),
            "sweeps/tiny.toml": SWEEP,
        }
        yield Case(f"base {name}", files(contents), RUN, wanted)


CASES = (*fields(), *structure(), *syntax(), *bases())
