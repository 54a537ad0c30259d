"""`lossbench data`: the real data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lossbench.cli.group import group
from lossbench.cli.options import Data
from lossbench.cli.output import say
from lossbench.errors import LossbenchError
from tasks.datasets.names import FETCHABLE

app = group("Check and download the real data sets.")


@app.command()
def check(data: Data = Path("data")) -> None:
    """Say which real data sets are there and complete."""
    from tasks.datasets.catalog import states

    say(f"Below {data.resolve()} (--data DIR):")
    found = list(states(data))
    for each in found:
        say(f"  {each.dataset.name:8} {each.dataset.folder}: {each.text}")
    if damaged := [each.dataset.name for each in found if each.damaged]:
        msg = f"damaged: {', '.join(damaged)}; what to do stands beside each"
        raise LossbenchError(msg)


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
