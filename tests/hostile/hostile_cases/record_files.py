"""Files of records: their form, their place, and what meets them besides the check."""

from __future__ import annotations

import json
from collections.abc import Iterator

from hostile_cases.case import Case, files
from hostile_cases.protocols import SWEEP, VALID
from hostile_cases.records import NAME, PLACE, PROTOCOL, committed, found, whole

RESUME = ("run", "sweeps/tiny.toml", "--workers", "1", "--out", "{}/out")
TINY = "out/records/tiny/random-shared-s0.json"


def contents() -> dict[str, str | bytes]:
    """Contents that are no record, by name."""
    valid = json.dumps(committed()[0])
    return {
        "empty": "",
        "blank": " \n",
        "cut": valid[: len(valid) // 2],
        "cut at its end": valid[:-1],
        "doubled": valid + valid,
        "null": "null",
        "a list": f"[{valid}]",
        "a number": "1",
        "a text": '"record"',
        "an empty object": "{}",
        "TOML": "a = 1",
        "HTML": "<html></html>",
        "binary": bytes(range(256)),
        "zeros": bytes(4096),
        "UTF-16": valid.encode("utf-16"),
        "UTF-32": valid.encode("utf-32"),
        "with a byte order mark": valid.encode("utf-8-sig"),
        "with half a character": valid.encode() + b"\xe2\x82",
        "with a lone surrogate": valid.replace('"shared"', '"\\ud800"', 1),
        "with a NUL byte": valid.replace("shared", "sha\0red", 1),
        "with an escaped NUL": valid.replace("shared", "sha\\u0000red", 1),
        "with a comment": f"// record\n{valid}",
        "with a last comma": valid[:-1] + ",}",
        "with single quotes": valid.replace('"', "'"),
        "with a key twice": valid[:-1] + ', "seed": 0}',
        "with a key twice inside": valid.replace('"threads": 1', '"threads": 1, "threads": 1', 1),
        "with NaN": valid.replace("0.674", "NaN", 1),
        "with Infinity": valid.replace("0.674", "Infinity", 1),
        "with 1e999": valid.replace("0.674", "1e999", 1),
        "with an integer of 5,000 digits": valid.replace('"seed": 0', f'"seed": {"9" * 5000}', 1),
        "with deep lists": valid[:-1] + f', "a": {"[" * 100_000}{"]" * 100_000}}}',
        "with deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
        "with a deep config": valid.replace('"budget":', f'"deep": {"[" * 5_000}{"]" * 5_000}, "budget":', 1),
        "gzip": b"\x1f\x8b\x08\x00" + bytes(64),
        "a pickle": b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n(S'true'\ntR.",
        "of 65 MiB": valid + " " * (65 << 20),
    }


def forms() -> Iterator[Case]:
    """Files that are no record, for the check, for a run that would go on from them, and for a diagnosis."""
    inputs = {"tasks/tiny.toml": VALID, "sweeps/tiny.toml": SWEEP}
    for name, content in contents().items():
        yield found(f"that is {name}", files(whole() | {PLACE: content}))
        if name in {"empty", "cut", "zeros", "with NaN", "with deep objects", "null", "binary", "an empty object"}:
            words = ("random-shared-s0.json", "record")
            yield Case(f"run, a record that is {name}", files(inputs | {TINY: content}), RESUME, words)
            diagnose = ("diagnose", PLACE, "--out", "{}/out")
            yield Case(f"diagnose, a record that is {name}", files({PLACE: content}), diagnose, words)


def places() -> Iterator[Case]:
    """Records whose place is not that of their run."""
    first, second = (json.dumps(table) for table in committed()[:2])
    rest = {path: text for path, text in whole().items() if path != PLACE}
    for name, path, text, wanted in (
        ("under another seed's name", f"records/{PROTOCOL}/random-shared-s7.json", first, "s7.json"),
        ("under another strategy's name", f"records/{PROTOCOL}/entropy-shared-s0.json", first, "entropy"),
        ("under another track's name", f"records/{PROTOCOL}/random-native-s0.json", first, "native"),
        ("under the name of the other split", f"records/{PROTOCOL}/random-shared-s0-validation.json", first, "valid"),
        ("under a free name", f"records/{PROTOCOL}/a.json", first, "a.json"),
        ("in another protocol's folder", f"records/scenes-pose/{NAME}", first, "scenes-pose"),
        ("in the folder of all", f"records/{NAME}", first, NAME),
    ):
        yield found(name, files(rest | {path: text}), wanted)
    for folder in ("a", "zzz", "copies/test"):
        path = f"records/{folder}/{PROTOCOL}/{NAME}"
        better = first.replace("0.674", "0.999", 1)
        yield found(f"copied into {folder}, with a better score", files(whole() | {path: better}), folder)
        yield found(f"copied into {folder}", files(whole() | {path: first}), folder)
    yield found("with the content of another seed", files(whole() | {PLACE: second}), NAME)
    yield found("that is a folder", files(rest | {f"{PLACE}/inner.txt": ""}), NAME)


def resumed() -> Iterator[Case]:
    """Records that a run would go on from, and that are of another run."""
    inputs = {"tasks/tiny.toml": VALID, "sweeps/tiny.toml": SWEEP}
    other = json.dumps(committed()[0])
    yield Case("run, a record of another protocol", files(inputs | {TINY: other}), RESUME, ("random-shared-s0.json",))
    words = (*RESUME, "--seed", "1")
    place = TINY.replace("s0", "s1")
    yield Case("run, a record of another protocol and seed", files(inputs | {place: other}), words, ("s1.json",))


def builds() -> Iterator[Case]:
    """Folders from which no page and no table can be made."""
    for command in ("build", "export"):
        words = ("leaderboard", command, "{}/records", "--out", "{}/page")
        for name, contents in (("empty", {"records/readme.txt": ""}), ("damaged", {PLACE: "{}"})):
            yield Case(f"leaderboard {command} from a folder that is {name}", files(contents), words, ("record",))


CASES = (*forms(), *places(), *resumed(), *builds())
