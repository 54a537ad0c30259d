"""Sweeps in TOML, and the folders that list them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hostile_cases.case import RUN, Case, file, files
from hostile_cases.protocols import VALID, short
from hostile_cases.toml_text import ABSENT, Raw, changed, document

SWEEP: dict[str, Any] = {"protocols": ["tiny"], "strategies": ["random"], "seeds": [0]}
VALUES: dict[str, tuple[object, ...]] = {
    "protocols": (
        [],
        "tiny",
        1,
        True,
        [1],
        [["tiny"]],
        ["absent"],
        ["../tiny"],
        ["ti\0ny"],
        [""],
        ["t" * 5000],
        {"a": 1},
        ["*"],
    ),
    "strategies": (
        [],
        "random",
        1,
        [1],
        ["no-such"],
        ["no-such.py"],
        ["ran\0dom"],
        ["ran\0dom.py"],
        [""],
        {"a": 1},
        ["r" * 5000],
        ["tasks.py/"],
    ),
    "seeds": (
        [],
        0,
        "0",
        [-1],
        [0.5],
        ["0"],
        [True],
        [2**64],
        [2**31 + 1],
        [Raw("inf")],
        [Raw("nan")],
        [[0]],
        {"a": 0},
    ),
    "tracks": ([], "shared", 1, ["Shared"], ["all"], [""], [1], [["shared"]], {"a": 1}),
    "split": ("train", "", 1, ["test"], True, "TEST"),
    "disclosure": (0, ["seed 0"], "x" * 5000),
    "full_pool_seeds": (0, [-1], [0.5], [2**64], ["0"], [True]),
    "parameters": (
        1,
        [],
        {"random": 1},
        {"no-such": {}},
        {"random": {"no_such": 1}},
        {"random": {"name": "other"}},
    ),
    "contrasts": (
        1,
        ["random"],
        [["random"]],
        [["random", "entropy"]],
        [["random", "random", "random"]],
        [["random", 1]],
        [["random", "random"]],
    ),
    "surprise": (1,),
}
NAMED = {"protocols": ("protocol",), "strategies": ("strateg",), "seeds": ("seed",), "contrasts": ("contrast",)}
"""What the line names; a missing file is named itself."""
PARAMETERS: dict[str, dict[str, tuple[object, ...]]] = {
    "bald": {
        "passes": (1, 10**12, -(10**30), 2.5, "ten", True, Raw("nan"), [3]),
        "rate": (0, 1, -1, Raw("inf"), "half"),
    },
    "committee-vote-entropy": {"members": (1, 101, 10**9, "three", {"a": 1})},
    "learning-loss-clusters": {"power": (-1, 1e300, "high", Raw("nan"), Raw("inf"), [1])},
    "alfa-mix": {"caps": ([], 0.5, [0.5, 0.2], [Raw("nan")], [True], Raw("[" * 200 + "]" * 200)), "steps": (0, 10**18)},
    "vaal": {"epochs": (0, 10**12), "pixels": (17, 10**6), "learning_rate": (0, 1e300)},
}
"""By strategy and hyper-parameter."""


def sweep(name: str, table: dict[str, Any] | str | bytes, wanted: tuple[str, ...]) -> Case:
    """A sweep of a valid protocol."""
    text = document(table) if isinstance(table, dict) else table
    return Case(name, files({"tasks/tiny.toml": VALID, "sweeps/tiny.toml": text}), RUN, wanted)


def fields() -> Iterator[Case]:
    """Every field with values that its meaning forbids."""
    for path, values in VALUES.items():
        for value in values:
            wanted = NAMED.get(path, (path,))
            if value in (["absent"], ["../tiny"]):
                wanted = ()
            if path == "parameters" and isinstance(value, dict) and isinstance(value.get("random"), dict):
                wanted = ("hyper-parameter",)
            yield sweep(f"sweep {path} = {short(value)}", changed(SWEEP, path, value), wanted)
    for path in ("protocols", "strategies", "seeds"):
        yield sweep(f"sweep {path} missing", changed(SWEEP, path, ABSENT), (path,))


def parameters() -> Iterator[Case]:
    """Hyper-parameters with values that their meaning forbids."""
    for strategy, fields in PARAMETERS.items():
        for name, values in fields.items():
            for value in values:
                table = SWEEP | {"strategies": [strategy], "parameters": {strategy: {name: value}}}
                yield sweep(f"{strategy} {name} = {short(value)}", table, (strategy, name))


def syntax() -> Iterator[Case]:
    """Files that are no sweep."""
    valid = document(SWEEP)
    for name, text, wanted in (
        ("empty", "", ()),
        ("no TOML", "protocols = [", ("TOML",)),
        ("binary", bytes(range(256)), ("TOML",)),
        ("zeros", bytes(999), ("TOML",)),
        ("UTF-16", valid.encode("utf-16"), ("TOML",)),
        ("deep", f"protocols = {'[' * 99_999}{']' * 99_999}", ("TOML",)),
        ("long integer", valid.replace('seeds" = [0]', f'seeds" = [{"7" * 5000}]'), ("TOML",)),
        ("key twice", valid + valid, ("TOML",)),
        ("half a protocol", valid + VALID, ()),
    ):
        yield sweep(f"sweep, {name}", text, wanted)


def folders() -> Iterator[Case]:
    """Folders and names that hold no configuration."""
    for command in ("protocols", "sweeps"):
        words = ("list", command, "{}/configs")
        yield Case(f"list {command} of an empty folder", file("configs/readme.txt", "none"), words, ("configs",))
        yield Case(f"list {command} of no folder", file("other", ""), words, ("configs",))
        yield Case(f"list {command} of a file", file("configs", ""), words, ("configs",))
        yield Case(f"list {command} with no TOML among", file("configs/a.toml", "{"), words, ("a.toml", "TOML"))
        yield Case(f"list {command} with NUL bytes among", file("configs/a.toml", "\0"), words, ("a.toml", "TOML"))
    for name in ("no-such", "no-such.toml", "sweeps/no-such", "sweeps", ".", "", "..", "/", "a\0b", "a" * 5000):
        words = ("run", name, "--workers", "1", "--out", "{}/out")
        yield Case(f"run {short(name)}", file("sweeps/other.toml", document(SWEEP)), words, ())
    yield sweep("a protocol of another name", document(SWEEP | {"protocols": ["other"]}), ("other",))


CASES = (*fields(), *parameters(), *syntax(), *folders())
