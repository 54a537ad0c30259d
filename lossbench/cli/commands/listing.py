"""`lossbench list`: what there is to run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lossbench.cli.group import group
from lossbench.cli.option_groups import with_option_groups
from lossbench.cli.options import (
    CodeFromOutside,
    Data,
    KindFiles,
    Out,
    ProtocolName,
    limit_threads,
    load_kinds,
)
from lossbench.cli.output import console, say
from lossbench.errors import LossbenchError
from lossbench.paths import shipped

app = group("List protocols, strategies, sweeps, and parts of models.")
Folder = Annotated[
    Path | None, typer.Argument(metavar="FOLDER", help="Folder of their files. [default: those of Lossbench]")
]


@app.command()
def protocols(folder: Folder = None, kind_file: KindFiles = None) -> None:
    """List the protocols: kind of task, labels, rounds."""
    load_kinds(kind_file)
    from rich.table import Column, Table

    from lossbench.config_files import read_protocol

    names = ("protocol", "version", "kind", "labels", "rounds", "candidates")
    table = Table(*(Column(name, no_wrap=True) for name in names), box=None)
    for path in _files(folder, "tasks", "protocols"):
        protocol = read_protocol(path)
        labeled = protocol.budget.labeled
        table.add_row(
            protocol.name,
            str(protocol.version),
            protocol.task.kind,
            f"{labeled[0]:,} to {labeled[-1]:,}",
            str(len(labeled)),
            f"{protocol.budget.subset:,}" if protocol.budget.subset else "all",
        )
    console().print(table)


@app.command()
def strategies() -> None:
    """List the selection strategies: paper, kind, needs, cost."""
    from rich.table import Column, Table

    from strategies import STRATEGIES

    table = Table(Column("strategy", no_wrap=True), "paper", "kind", "needs", "cost", box=None)
    for strategy in STRATEGIES:
        table.add_row(strategy.name, strategy.paper, strategy.kind, strategy().needs, strategy.cost)
    console().print(table)
    say("", "N candidates, L labeled, K picks, D embedding, C categories, T passes, G groups")


@app.command()
@with_option_groups
def taps(
    protocol: ProtocolName,
    code: CodeFromOutside,
    data: Data = Path("data"),
    out: Out = Path("runs"),
) -> None:
    """List a model's parts that can be taps.

    Shape of the output, parameters, and floating-point operations for one image.
    """
    limit_threads()
    code.load()
    import torch
    from rich.table import Column, Table

    from lossbench.config_files import read_protocol
    from lossbench.diagnosis.taps import candidates, with_trained_trunk
    from tasks.kinds import build_task

    task = build_task(with_trained_trunk(read_protocol(protocol).task), data, out / "cache", torch.device("cpu"))
    numbers = (Column(name, justify="right") for name in ("output", "parameters", "operations"))
    table = Table(Column("part", no_wrap=True), *numbers, box=None)
    for part in candidates(task):
        table.add_row(part.name, " x ".join(map(str, part.shape)), f"{part.parameters:,}", f"{part.operations:,}")
    console().print(table)


@app.command()
def sweeps(folder: Folder = None, kind_file: KindFiles = None) -> None:
    """List the sweeps: protocols, strategies and seeds."""
    load_kinds(kind_file)
    from rich.table import Column, Table

    from lossbench.config_files import read_sweep

    table = Table(Column("sweep", no_wrap=True), "protocols", "strategies", "seeds", "tracks", "split", box=None)
    for path in _files(folder, "sweeps", "sweeps"):
        sweep, _ = read_sweep(path)
        lists = (sweep.protocols, sweep.strategies)
        table.add_row(
            path.stem,
            *(", ".join(words) for words in lists),
            _ranges(sweep.seeds),
            ", ".join(sweep.tracks),
            sweep.split,
        )
    console().print(table)


def _files(folder: Path | None, room: str, what: str) -> list[Path]:
    from lossbench.config_files import config_files

    place = folder or shipped(f"configs/{room}")
    if files := config_files(place):
        return files
    msg = f"no {what} in {place}; give the folder that holds them"
    raise LossbenchError(msg)


def _ranges(seeds: Sequence[int]) -> str:
    """Numbers for people: those that follow one another as a range."""
    first, last = min(seeds), max(seeds)
    whole = len(seeds) > 1 and sorted(seeds) == list(range(first, last + 1))
    return f"{first} to {last}" if whole else ", ".join(map(str, seeds))
