"""Options and arguments that several commands share, what completes them, and what has to be done before they are read."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from lossbench.errors import LossbenchError
from lossbench.paths import shipped, write_fault

SUBMISSIONS = "leaderboard/submissions"
"""Of a clone."""


def strategy_names(incomplete: str) -> list[str]:
    """Strategies of Lossbench, and Python files."""
    return _starting(incomplete, _strategies(), ".py")


def strategy_choices(incomplete: str) -> list[str]:
    """What `run` takes: strategies of Lossbench, Python files, and what stands for all strategies and for the full pool."""
    return _starting(incomplete, [*_strategies(), "all", "full-pool"], ".py")


def _strategies() -> list[str]:
    """Names, read from the strategies' files without importing them."""
    package = find_spec("strategies")
    places = (package.submodule_search_locations if package else None) or ()
    texts = (path.read_text(encoding="utf-8") for place in places for path in sorted(Path(place).glob("*.py")))
    return [name for text in texts for name in re.findall(r'name: ClassVar\[str\] = "([^"]+)"', text)]


def protocol_names(incomplete: str) -> list[str]:
    """Protocols of Lossbench, and TOML files."""
    return _starting(incomplete, _configurations("tasks"), ".toml")


def sweep_names(incomplete: str) -> list[str]:
    """Sweeps and protocols of Lossbench, and TOML files."""
    return _starting(incomplete, [*_configurations("sweeps"), *_configurations("tasks")], ".toml")


def submission_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Submissions in the folder of `--submissions` or of the clone, and folders."""
    given = ctx.params.get("submissions") or next(_in_clone(SUBMISSIONS), Path(SUBMISSIONS))
    names = sorted(path.parent.name for path in Path(given).glob("*/meta.toml"))
    return _starting(incomplete, names, suffix="/")  # no file's suffix


def _configurations(room: str) -> list[str]:
    return sorted(path.stem for path in shipped(f"configs/{room}").rglob("*.toml"))


def _starting(incomplete: str, names: Sequence[str], suffix: str) -> list[str]:
    """The names that start like this; where there is none, folders and files of this suffix."""
    if close := [name for name in names if name.startswith(incomplete)]:
        return close
    folder, start = os.path.split(incomplete)
    place = Path(folder)
    paths = [path for path in sorted(place.iterdir() if place.is_dir() else ()) if path.name.startswith(start)]
    return [f"{path}/" if path.is_dir() else str(path) for path in paths if path.is_dir() or path.suffix == suffix]


def writable(folder: Path) -> Path:
    """The folder of an option, into which the command writes at its end.

    Raises:
        BadParameter: nothing can be written there.
    """
    if fault := write_fault(folder):
        raise typer.BadParameter(fault)
    return folder


def finite(number: float | None) -> float | None:
    """The number of an option.

    Raises:
        BadParameter: it is infinite or not a number.
    """
    if number is not None and not math.isfinite(number):
        msg = f"{number} is not a finite number"
        raise typer.BadParameter(msg)
    return number


SweepName = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP",
        help="Name or file of a sweep or of a protocol.",
        autocompletion=sweep_names,
        show_default=False,
    ),
]
ProtocolName = Annotated[
    str,
    typer.Argument(
        metavar="PROTOCOL", help="Name or file of a protocol.", autocompletion=protocol_names, show_default=False
    ),
]
Strategies = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        metavar="NAME",
        help="Instead of the sweep's: a name, full-pool, or a file such as mine.py. Repeatable.",
        autocompletion=strategy_choices,
    ),
]
Protocols = Annotated[
    list[str] | None,
    typer.Option(
        "--protocol", metavar="NAME", help="Only this protocol of the sweep. Repeatable.", autocompletion=protocol_names
    ),
]
LARGEST_SEED = 2**31
"""The largest seed that a record holds (`tasks.settings.LARGEST_SEED`, whose module is slow to import)."""
MOST_PROCESSES = 1024
Seeds = Annotated[
    list[int] | None,
    typer.Option(
        "--seed", metavar="N", min=0, max=LARGEST_SEED, help="Instead of the sweep's. Repeatable.", show_default=False
    ),
]
Tracks = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="NAME",
        help="Instead of the sweep's: shared or native. Repeatable.",
        autocompletion=lambda: ["shared", "native"],
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="NAME",
        help="Instead of the sweep's: evaluate on test, or on validation to choose settings.",
        autocompletion=lambda: ["test", "validation"],
    ),
]
Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder of the real data sets.")]
Out = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", help="Folder for records, models, caches and pages.", callback=writable),
]
Device = Annotated[
    str, typer.Option("--device", metavar="NAME", help="cpu or cuda.", autocompletion=lambda: ["cpu", "cuda"])
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        max=MOST_PROCESSES,
        help="Processes, of one thread each. [default: one per core; one on cuda]",
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        "--minutes",
        metavar="N",
        min=0,
        callback=finite,
        help="Begin no further round after N minutes of runs. The same command goes on later.",
    ),
]
ShardName = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts of the runs, from 1 to N."),
]
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Make the runs on a Ray cluster: auto, or HOST:PORT.",
        autocompletion=lambda: ["auto"],
    ),
]
Scratch = Annotated[
    Path | None,
    typer.Option(
        "--scratch",
        metavar="DIR",
        help="With --cluster: folder on the nodes, own or shared, for models and caches. [default: one for temporary files]",
    ),
]
Threads = Annotated[int, typer.Option("--threads", metavar="N", min=1, max=MOST_PROCESSES, help="CPU threads.")]
KindFiles = Annotated[
    list[Path] | None,
    typer.Option("--kind-file", metavar="FILE", help="Python file that defines a kind of task. Repeatable."),
]
ModelFiles = Annotated[
    list[Path] | None,
    typer.Option("--model-file", metavar="FILE", help="Python file that defines a model. Repeatable."),
]
TrustConfig = Annotated[
    bool,
    typer.Option(
        "--trust-config", help="Load configs from elsewhere than mmdet and mmpose, too; they are run as Python code."
    ),
]
Records = Annotated[
    Path | None,
    typer.Argument(metavar="RECORDS", help="Folder of records. [default: leaderboard/records of the clone]"),
]
Submissions = Annotated[
    Path | None,
    typer.Option(
        "--submissions", metavar="DIR", help="Folder of submissions. [default: leaderboard/submissions of the clone]"
    ),
]


def limit_threads(threads: int = 1) -> None:
    """Let torch use so many threads. To be called before torch is imported."""
    os.environ.update({"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"})


def load_kinds(files: Sequence[Path] | None) -> None:
    """Make the kinds of task in these files known. To be called before protocols are read."""
    if files:
        from tasks.kinds import load_kind_file

        for file in files:
            load_kind_file(file)


def load_models(files: Sequence[Path] | None) -> None:
    """Make the models in these files known."""
    if files:
        from tasks.models.outside import load_model_file

        for file in files:
            load_model_file(file)


def trust(wanted: bool) -> None:
    """Load configs from anywhere, or from the packages that ship them alone."""
    from tasks.models.trust import trust_configs

    trust_configs(wanted)


def load_outside(kinds: Sequence[Path] | None, models: Sequence[Path] | None, *, trusted: bool) -> None:
    """Load all code from outside that a command names: kinds of task, models, and whether configs are trusted."""
    load_kinds(kinds)
    load_models(models)
    trust(trusted)


def in_clone(name: str, remedy: str) -> Path:
    """A file or folder of the clone that the working directory lies in.

    Args:
        name: its path in the clone, such as `leaderboard/records`.
        remedy: what to do outside of a clone.

    Raises:
        LossbenchError: the working directory lies in no clone.
    """
    for place in _in_clone(name):
        return place
    msg = f"no {name} here, as this folder is no clone of Lossbench; {remedy}"
    raise LossbenchError(msg)


def _in_clone(name: str) -> Iterator[Path]:
    """The places of this name in the working directory and above it."""
    for folder in (Path(), *Path.cwd().parents):
        if (folder / name).exists():
            yield folder / name
