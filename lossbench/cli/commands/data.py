"""`lossbench data`: the real data sets."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from lossbench.cli.completion import protocol_names
from lossbench.cli.group import group
from lossbench.cli.option_groups import with_option_groups
from lossbench.cli.options import (
    CodeFromOutside,
    Data,
    limit_threads,
)
from lossbench.cli.output import console, say
from lossbench.errors import LossbenchError
from tasks.datasets.names import FETCHABLE

app = group("Check and download the real data sets.")


@app.command()
@with_option_groups
def check(
    protocol: Annotated[
        str | None,
        typer.Argument(
            metavar="PROTOCOL",
            help="Name or file of a protocol, whose images are read and counted.",
            autocompletion=protocol_names,
            show_default=False,
        ),
    ] = None,
    *,
    code: CodeFromOutside,
    data: Data = Path("data"),
) -> None:
    """Check the known data sets, or count a protocol's labels.

    Says also whether the protocol's budget fits them.
    """
    if protocol is not None:
        code.load()
        _count(protocol, data)
        return
    from tasks.datasets.catalog import states

    say(f"Below {data.resolve()} (--data DIR):")
    found = list(states(data))
    for each in found:
        say(f"  {each.dataset.name:10} {each.dataset.folder}: {each.text}")
    if damaged := [each.dataset.name for each in found if each.damaged]:
        msg = f"damaged: {', '.join(damaged)}; what to do stands beside each"
        raise LossbenchError(msg)


def _count(name: str, data: Path) -> None:
    """Print how many images the splits of a protocol have, and of how many of them each label is."""
    limit_threads()
    import numpy as np
    import torch
    from rich.table import Column, Table

    from lossbench.config_files import read_protocol
    from lossbench.running.pool import Pool
    from tasks.kinds import build_task

    protocol = read_protocol(name)
    settings = protocol.task.untrained()
    model: Any = getattr(settings, "model", None)
    if getattr(model, "freeze", False):  # what its trunk gives is not needed here
        settings = settings.model_copy(update={"model": model.model_copy(update={"freeze": False})})
    with TemporaryDirectory() as cache:
        task = build_task(settings, data, Path(cache), torch.device("cpu"))
    sizes = {"pool": task.pool_size, "test": task.test_size}
    starts = {"pool": 0, "test": task.pool_size}
    say(
        f"{protocol.name}: {sizes['pool']:,} pool images, of which {protocol.task.data.validation:,} are for validation, "
        f"and {sizes['test']:,} test images"
    )
    counts = {split: task.label_counts(np.arange(size) + starts[split]) for split, size in sizes.items()}
    table = Table(Column("images with", no_wrap=True), *(Column(split, justify="right") for split in sizes), box=None)
    for label in counts["pool"]:
        table.add_row(label, *(f"{counts[split][label]:,}" for split in sizes))
    console().print(table)
    Pool.of(task, protocol)  # says whether the budget fits them


@app.command()
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            help="cifar10, voc2007, voc2012, or a classification set of torchvision, such as SVHN.",
            autocompletion=lambda: list(FETCHABLE),
        ),
    ],
    data: Data = Path("data"),
) -> None:
    """Download data sets through torchvision."""
    from tasks.datasets.catalog import fetch as fetch_dataset

    for name in names:
        fetch_dataset(name, data)
        say(f"{name} is in {data.resolve()}")
