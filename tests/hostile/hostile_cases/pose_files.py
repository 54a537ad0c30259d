"""A data set in MPII's form: annotations in JSON, and images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hostile_cases.case import RUN, Case
from hostile_cases.protocols import POSE, SWEEP, short
from hostile_cases.toml_text import changed, document
from hostile_cases.voc_files import JPEG

PROTOCOL = document(
    changed(changed(POSE, "task.data", {"validation": 0}), "budget", {"initial": 4, "step": 2, "rounds": 2})
)
ROOT = "data/pose"
PERSON: dict[str, Any] = {
    "image": "a.jpg",
    "center": [20.0, 15.0],
    "scale": 0.14,
    "joints": [[8.0 + number, 6.0 + number] for number in range(16)],
    "joints_vis": [1] * 16,
    "head_size": 4.0,
}
VALUES: dict[str, tuple[object, ...]] = {
    "image": (1, None, "", "no-such.jpg", "../../tasks/tiny.toml", "a\0b.jpg", [], "b.jpg", "/etc/hostname"),
    "center": (
        [],
        [1.0],
        [1, 2, 3],
        "20, 15",
        ["a", "b"],
        None,
        [float("nan"), 1],
        [float("inf"), 1],
        {"x": 1},
        [1e300, 1],
        [-500, -500],
    ),
    "scale": (0, -1, "big", None, [], float("nan"), float("inf"), 1e300, 1e-300, True),
    "joints": (
        [],
        [[1, 2]],
        [[1, 2, 3]] * 16,
        [["a", "b"]] * 16,
        None,
        "16",
        [[float("nan"), 1]] * 16,
        [[float("inf"), 1]] * 16,
        [[900, 900]] * 16,
        [[1, 2]] * 17,
        {"head": [1, 2]},
    ),
    "joints_vis": ([], [1] * 15, [0] * 16, "1" * 16, None, ["yes"] * 16, [float("nan")] * 16, [-1] * 16),
    "head_size": (0, -1, "big", None, [], float("nan"), float("inf"), 1e300, 1e9, True),
    "headbox": ([], [1, 2, 3], [1, 1, 1, 1], "box", [float("nan")] * 4, [5, 5, 1, 1]),
}


def people(count: int, image: str = "{}.jpg") -> list[dict[str, Any]]:
    """Valid persons, each in an image of its own."""
    return [PERSON | {"image": image.format(number)} for number in range(count)]


def dataset(folder: Path, replaced: dict[str, str | bytes | None]) -> None:
    """A valid data set, but for these files; None leaves one out."""
    contents: dict[str, str | bytes | None] = {
        "tasks/tiny.toml": PROTOCOL,
        "sweeps/tiny.toml": SWEEP,
        f"{ROOT}/annotations/mpii_train.json": json.dumps(people(8)),
        f"{ROOT}/annotations/mpii_val.json": json.dumps(people(2, "t{}.jpg")),
    }
    contents |= {f"{ROOT}/images/{number}.jpg": JPEG for number in range(8)}
    contents |= {f"{ROOT}/images/t{number}.jpg": JPEG for number in range(2)}
    for path, content in (contents | replaced).items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            place.write_bytes(content if isinstance(content, bytes) else content.encode())


def replacing(path: str, content: str | bytes | None) -> Callable[[Path], object]:
    """Makes a data set in which one file is another."""
    return lambda folder: dataset(folder, {f"{ROOT}/{path}": content})


def fields() -> Iterator[Case]:
    """Every field of a test person, whose head size counts, with values that its meaning forbids."""
    path = "annotations/mpii_val.json"
    for field, values in VALUES.items():
        for value in values:
            person = PERSON | {"image": "t1.jpg", field: value}
            if field == "headbox":
                del person["head_size"]
            text = json.dumps([PERSON | {"image": "t0.jpg"}, person])
            wanted = ("mpii_val.json", "person 1") if (field, value) != ("image", "a\0b.jpg") else ("mpii_val.json",)
            yield Case(f"pose {field} = {short(value)}", replacing(path, text), RUN, wanted if field != "image" else ())
    for field in PERSON:
        person = {name: value for name, value in (PERSON | {"image": "t1.jpg"}).items() if name != field}
        text = json.dumps([PERSON | {"image": "t0.jpg"}, person])
        yield Case(f"pose without {field}", replacing(path, text), RUN, ("mpii_val.json", "person 1"))


def documents() -> Iterator[Case]:
    """Annotation files as a whole."""
    path, valid = "annotations/mpii_train.json", json.dumps(people(8))
    for name, text, wanted in (
        ("empty", "", ("mpii_train.json",)),
        ("cut", valid[: len(valid) // 2], ("mpii_train.json",)),
        ("an object", "{}", ("mpii_train.json",)),
        ("no person", "[]", ("mpii_train.json",)),
        ("a number", "1", ("mpii_train.json",)),
        ("null", "null", ("mpii_train.json",)),
        ("persons that are null", "[null]", ("mpii_train.json", "person 0")),
        ("persons that are numbers", "[1, 2]", ("mpii_train.json", "person 0")),
        ("persons that are lists", "[[]]", ("mpii_train.json", "person 0")),
        ("deep", "[" * 200_000 + "]" * 200_000, ("mpii_train.json",)),
        ("deep objects", '{"a":' * 100_000 + "1" + "}" * 100_000, ("mpii_train.json",)),
        ("a long integer", valid.replace("0.14", "9" * 5000, 1), ("mpii_train.json",)),
        ("Latin-1", valid.replace("0.jpg", "é.jpg", 1).encode("latin-1"), ("mpii_train.json",)),
        ("binary", bytes(range(256)), ("mpii_train.json",)),
        ("zeros", bytes(4096), ("mpii_train.json",)),
        ("a MATLAB file", b"MATLAB 5.0 MAT-file" + bytes(200), ("mpii_train.json",)),
        ("TOML", "a = 1", ("mpii_train.json",)),
        ("missing", None, ("mpii_train.json",)),
        ("two documents", valid + valid, ("mpii_train.json",)),
        ("a person twice", json.dumps([*people(8), people(8)[3]]), ("3.jpg",)),
        ("a test image", json.dumps([*people(8), PERSON | {"image": "t0.jpg"}]), ("t0.jpg",)),
        ("too few persons", json.dumps(people(3)), ()),
    ):
        yield Case(f"pose annotations: {name}", replacing(path, text), RUN, wanted)
    for name, content in (
        ("empty", b""),
        ("cut", JPEG[: len(JPEG) // 2]),
        ("text", b"no image"),
        ("missing", None),
        ("zeros", bytes(999)),
    ):
        yield Case(f"pose image {name}", replacing("images/3.jpg", content), RUN, ("3.jpg",))


CASES = (*fields(), *documents())
