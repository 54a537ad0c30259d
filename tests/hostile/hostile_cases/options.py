"""Options and arguments of every command."""

from __future__ import annotations

from collections.abc import Iterator

from hostile_cases.case import Case, files
from hostile_cases.protocols import SWEEP, VALID, short
from hostile_cases.records import whole

CONFIGS = {
    "tasks/tiny.toml": VALID,
    "sweeps/tiny.toml": SWEEP,
    "mine.py": "class Nothing: ...\n",
    "text.txt": "text",
    "records/text.json": "{}",
}
RUN = ("run", "sweeps/tiny.toml", "--workers", "1", "--out", "{}/out")
TRAINING = ("measure", "training", "tasks/tiny.toml", "--out", "{}/out", "--steps", "1")
SELECTION = ("measure", "selection", "tasks/tiny.toml", "--out", "{}/out", "--strategy", "random", "--pool", "20")
DIAGNOSE = ("diagnose", "records/text.json", "--out", "{}/out")
CREATE = ("submission", "create", "mine.py", "--submissions", "{}/submissions", "--out", "{}/out")
BUILD = ("leaderboard", "build", "{}/records", "--out", "{}/page")
COMMANDS = {
    (): "--version",
    ("run",): "sweep",
    ("diagnose",): "record",
    ("data",): "fetch",
    ("data", "check"): "data",
    ("data", "fetch"): "name",
    ("list",): "protocols",
    ("list", "protocols"): "folder",
    ("list", "strategies"): "",
    ("list", "sweeps"): "folder",
    ("measure",): "training",
    ("measure", "training"): "protocol",
    ("measure", "selection"): "protocol",
    ("leaderboard",): "build",
    ("leaderboard", "build"): "records",
    ("leaderboard", "export"): "records",
    ("leaderboard", "check"): "records",
    ("submission",): "check",
    ("submission", "check"): "path",
    ("submission", "create"): "path",
    ("submission", "verify"): "submission",
}
BAD_COUNTS = ("0", "-1", "1.5", "many", "", "1e3", "inf", "nan", "0x10", "१e", "9" * 5000)
BAD_SEEDS = ("-1", "0.5", "one", "", "18446744073709551616", "2147483649", "9" * 5000)
DEVICES = ("gpu", "cpu:x", "cpu:1", "cpu:-1", "cuda:99", "cuda:", "meta", "", "CPU", "cpu\0", "mps:0:0")
FILES = ("no-such.py", "text.txt", "tasks", "", "mi\0ne.py", "m" * 5000 + ".py")


def option(words: tuple[str, ...], name: str, value: str, wanted: tuple[str, ...] = ()) -> Case:
    """A command with one option."""
    command = " ".join(words[:2] if words[0] in {"measure", "submission", "leaderboard"} else words[:1])
    return Case(f"{command} {name} {short(value)}", files(CONFIGS), (*words, name, value), wanted)


def numbers() -> Iterator[Case]:
    """Options that are counts, seeds and seconds."""
    for value in BAD_COUNTS:
        yield option(RUN, "--workers", value, ("workers",))
        yield option(TRAINING, "--steps", value, ("steps",))
        yield option(TRAINING, "--threads", value, ("threads",))
        for name in ("pool", "budget", "repeats", "threads"):
            yield option(SELECTION, f"--{name}", value, (name,))
        yield option(CREATE, "--workers", value, ("workers",))
    for value in BAD_SEEDS:
        yield option(RUN, "--seed", value, ("seed",))
        yield option(CREATE, "--seed", value, ("seed",))
    for value in ("nan", "-1", "soon", "", "-inf"):
        yield option(SELECTION, "--patience", value, ("patience",))
    yield option(SELECTION, "--budget", "21", ("budget",))
    for value in ("1000000000000", "99999999999999999999"):
        yield option(SELECTION, "--pool", value, ("pool",))
        yield option(TRAINING, "--threads", value, ("threads",))
        yield option(RUN, "--workers", value, ("workers",))


def names() -> Iterator[Case]:
    """Options that are names and files."""
    for value in ("no-such", "", "Random", "random ", "ran\0dom", "full-pool ", "r" * 5000):
        yield option(RUN, "--strategy", value, ("strateg",))
        yield option(SELECTION, "--strategy", value, ("strateg",))
    for value in FILES:
        yield option(RUN, "--kind-file", value)
        yield option(TRAINING, "--kind-file", value)
        yield option(BUILD, "--kind-file", value)
    for value in ("no-such.py", "mine.py", "tasks.py"):
        yield option(RUN, "--strategy", value, (value,))
        yield option(DIAGNOSE, "--strategy", value)
    for value in ("no-such", "", "Tiny", "ti\0ny", "tasks/tiny.toml"):
        yield option(RUN, "--protocol", value, ("protocol",))
    for value in ("", "Shared", "both", "shared,native"):
        yield option(RUN, "--track", value, ("track",))
    for value in ("", "train", "TEST"):
        yield option(RUN, "--split", value)
    for value in DEVICES:
        yield option(RUN, "--device", value, ("device",))
        yield option(TRAINING, "--device", value, ("device",))
    for name in ("cifar", "", "voc2008", "../cifar10", "mpii", "CIFAR10", "ci\0far10"):
        yield Case(
            f"data fetch {short(name)}", files(CONFIGS), ("data", "fetch", name, "--data", "{}/data"), ("fetch",)
        )


def places() -> Iterator[Case]:
    """Folders that are files, and files that are not there."""
    for words in (RUN, TRAINING):
        inner = tuple(word if word != "{}/out" else "{}/text.txt" for word in words)
        yield Case(f"{words[0]} into a file", files(CONFIGS), inner, ("text.txt",))
        deep = tuple(word if word != "{}/out" else "{}/text.txt/out" for word in words)
        yield Case(f"{words[0]} below a file", files(CONFIGS), deep, ("text.txt",))
        nul = tuple(word if word != "{}/out" else "{}/o\0ut" for word in words)
        yield Case(f"{words[0]} into a name with NUL", files(CONFIGS), nul, ())
        long = tuple(word if word != "{}/out" else "{}/" + "o" * 300 for word in words)
        yield Case(f"{words[0]} into a long name", files(CONFIGS), long, ())
    for command in ("build", "export", "check"):
        for place in ("no-such", "text.txt", "rec\0ords"):
            words = ("leaderboard", command, f"{{}}/{place}")
            yield Case(f"leaderboard {command} of {short(place)}", files(CONFIGS), words, ())
    yield Case(
        "leaderboard build into a file", files(whole() | {"text.txt": ""}), (*BUILD[:-1], "{}/text.txt"), ("text.txt",)
    )
    yield Case("leaderboard build with no sweeps", files(whole()), (*BUILD, "--sweeps", "{}/no-such"), ("no-such",))
    yield Case(
        "leaderboard check, no submissions",
        files(CONFIGS),
        ("leaderboard", "check", "{}/tasks", "--submissions", "{}/no-such"),
        ("no-such",),
    )
    for place in ("no-such.json", "tasks", "rec\0ord.json", "text.txt", "mine.py"):
        yield Case(f"diagnose {short(place)}", files(CONFIGS), ("diagnose", place, "--out", "{}/out"), ("record",))
    for command in ("check", "create", "verify"):
        for place in ("no-such", "no-such.py", "tasks", "text.txt", "mi\0ne.py", ""):
            words = ("submission", command, place, *(("--submissions", "{}/submissions") if command != "check" else ()))
            yield Case(f"submission {command} {short(place)}", files(CONFIGS), words, ())


def commands() -> Iterator[Case]:
    """Commands and options that there are not, and arguments that are too many or too few."""
    for words in COMMANDS:
        command = " ".join(words) or "lossbench"
        yield Case(f"{command} --no-such", files(CONFIGS), (*words, "--no-such"), ("no-such",))
    for words in ((), ("data",), ("list",), ("measure",), ("leaderboard",), ("submission",)):
        yield Case(f"{' '.join(words)} no-such", files(CONFIGS), (*words, "no-such"), ("no-such",))
    for words in (
        ("run",),
        ("diagnose",),
        ("data", "fetch"),
        ("measure", "training"),
        ("measure", "selection"),
        ("submission", "check"),
        ("submission", "create"),
        ("submission", "verify"),
    ):
        yield Case(f"{' '.join(words)} without argument", files(CONFIGS), words, ("argument",))
    for words in (
        ("run", "a", "b"),
        ("measure", "training", "a", "b"),
        ("list", "strategies", "b"),
        ("list", "protocols", "a", "b"),
        ("data", "check", "b"),
        ("leaderboard", "check", "a", "b"),
        ("submission", "verify", "a", "b"),
    ):
        yield Case(f"{' '.join(words)}, one argument too many", files(CONFIGS), words, ("b",))
    for name in ("workers", "seed", "track", "protocol", "split", "data", "out", "device", "strategy", "kind-file"):
        words = ("run", "sweeps/tiny.toml", f"--{name}")
        yield Case(f"run --{name} without value", files(CONFIGS), words, (name,))


CASES = (*numbers(), *names(), *places(), *commands())
