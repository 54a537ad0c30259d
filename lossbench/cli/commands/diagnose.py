"""`lossbench diagnose`: charts and contact sheets that explain the scores of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lossbench.cli.option_groups import with_option_groups
from lossbench.cli.options import (
    CodeFromOutside,
    Place,
    limit_threads,
)
from lossbench.cli.output import console, say


@with_option_groups
def diagnose(
    records: Annotated[
        list[Path], typer.Argument(metavar="RECORD", help="Files of records, such as runs/records/PROTOCOL/*.json.")
    ],
    strategy: Annotated[
        list[Path] | None,
        typer.Option("--strategy", metavar="FILE", help="File of a strategy from outside. Repeatable."),
    ] = None,
    difficulty: Annotated[
        bool,
        typer.Option(
            "--difficulty",
            help="Also print how well models fit their labels, how hard the picks are, and of how many groups.",
        ),
    ] = False,
    *,
    code: CodeFromOutside,
    place: Place,
) -> None:
    """Draw charts that explain the scores of runs.

    They show predicted and true losses, calibration, picks, overlaps between strategies, and seconds. Models are read from
    OUT/models, or trained again.
    """
    limit_threads()
    code.load()
    from leaderboard.schema.records import read_record
    from lossbench.diagnosis.charts import save_charts
    from lossbench.diagnosis.examination import diagnose as diagnoses
    from lossbench.diagnosis.examination import summary_table
    from lossbench.running.machine import check_device
    from lossbench.running.sweep import prepare

    check_device(place.device)
    prepare()
    folder, examined = place.out / "diagnosis", []
    runs, paths = [read_record(path) for path in records], place.paths
    for diagnosis in diagnoses(runs, paths, strategy or ()):
        name = f"{diagnosis.record.protocol}, {diagnosis.label}"
        say(*(f"{name}: {path}" for path in diagnosis.save_contact_sheets(folder)))
        examined.append(diagnosis)
    console().print(summary_table(examined))
    if difficulty:
        from lossbench.diagnosis.difficulty import difficulty_table

        console().print(difficulty_table(runs, paths, strategy or ()))
    say(*save_charts(examined, folder))
