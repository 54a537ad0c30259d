"""Options and arguments that several commands share, and what has to be done before they are read."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from lossbench.cli.completion import protocol_names, strategy_choices, sweep_names
from lossbench.paths import Paths, write_fault


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


class CodeFromOutside(NamedTuple):
    """Options: code from outside that a command runs."""

    kind_file: KindFiles = None
    model_file: ModelFiles = None
    trust_config: TrustConfig = False

    def load(self) -> None:
        """Make its kinds of task and its models known, and configs trusted or not. To be called before protocols are read."""
        load_kinds(self.kind_file)
        if self.model_file:
            from tasks.models.outside import load_model_file

            for file in self.model_file:
                load_model_file(file)
        from tasks.models.trust import trust_configs

        trust_configs(self.trust_config)


class Place(NamedTuple):
    """Options: the folders and the device of a command."""

    data: Data = Path("data")
    out: Out = Path("runs")
    device: Device = "cpu"

    @property
    def paths(self) -> Paths:
        """The same as the rest of Lossbench takes it."""
        return Paths(self.data, self.out, self.device)
