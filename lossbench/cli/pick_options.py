"""The options of `lossbench pick`, in groups."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from lossbench.cli.completion import kind_names, strategy_names
from lossbench.cli.options import MOST_PROCESSES, Device


class Images(NamedTuple):
    """Options: the images, and what is known of them."""

    unlabeled: Annotated[
        str | None,
        typer.Option(
            "--unlabeled",
            metavar="DIR",
            help="Folder of all images, labeled ones, too; or tar or Parquet shards (DIR, a-{000..099}.tar), or an address (s3://...).",
        ),
    ] = None
    labeled: Annotated[
        list[str] | None,
        typer.Option(
            "--labeled",
            metavar="FILE",
            help="Export of Label Studio or CVAT, or COCO, YOLO, VOC, CSV or class folders. Repeatable; of an image in two of them the last counts.",
        ),
    ] = None
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="NAME",
            help="Kind of task, such as detection. [default: what the labels are]",
            autocompletion=kind_names,
        ),
    ] = None
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes", metavar="A,B,...", help="Names of the classes or joints. [default: those of the labels]"
        ),
    ] = None


class Selection(NamedTuple):
    """Options: what is picked from them."""

    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="A name or a file such as mine.py; without labels one that needs none, such as typiclust. With --oracle repeatable.",
            autocompletion=strategy_names,
        ),
    ] = None
    budget: Annotated[
        int | None, typer.Option("--budget", metavar="N", min=1, help="How many images to pick.", show_default=False)
    ] = None
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", min=0, help="[default: 0]")] = None
    settings: Annotated[
        Path | None,
        typer.Option("--settings", metavar="FILE", help="TOML of settings, such as round.toml of an earlier round."),
    ] = None


class Simulation(NamedTuple):
    """Options: labels that answer rounds which are simulated."""

    oracle: Annotated[
        list[str] | None,
        typer.Option(
            "--oracle",
            metavar="FILE",
            help="Pick no images: simulate rounds that are answered from these labels, and show the learning curves. Repeatable.",
        ),
    ] = None
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds", metavar="N", min=1, max=1000, help="With --oracle: how many models are trained. [default: 5]"
        ),
    ] = None


class Where(NamedTuple):
    """Options: where a round is computed."""

    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            metavar="DIR",
            help="Decoded images, features and models; may be deleted. [default: runs/cache; with --oracle in --out]",
        ),
    ] = None
    device: Device = "cpu"
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            max=MOST_PROCESSES,
            help="Processes that compute features and scores; with --oracle, that make runs. [default: this one; one per core]",
        ),
    ] = None
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="ADDRESS",
            help="Let the nodes of a Ray cluster compute features and scores: auto, or HOST:PORT. --cache is a folder they share.",
            autocompletion=lambda: ["auto"],
        ),
    ] = None
