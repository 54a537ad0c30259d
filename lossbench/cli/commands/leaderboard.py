"""`lossbench leaderboard`: what is made from records."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from lossbench.cli.clone import in_clone
from lossbench.cli.group import group
from lossbench.cli.option_groups import with_option_groups
from lossbench.cli.options import KindFiles, Out, Records, load_kinds, writable
from lossbench.cli.output import say
from lossbench.errors import LossbenchError
from lossbench.garbage import without_garbage_collection
from lossbench.paths import Paths, shipped

if TYPE_CHECKING:
    from leaderboard.scoring.board import Board

FOLDER, ELSEWHERE = "leaderboard/records", "give the folder of records, such as runs/records"
app = group("Build, export and check the leaderboard from records.")
Sweeps = Annotated[
    Path | None,
    typer.Option(
        "--sweeps",
        metavar="DIR",
        help="Folder of the sweeps that planned comparisons. [default: configs/sweeps of Lossbench]",
    ),
]
Beside = Annotated[
    Path | None,
    typer.Option(
        "--submissions", metavar="DIR", help="Folder of submissions. [default: submissions beside the records]"
    ),
]


class Sources(NamedTuple):
    """Options: what a board is made of."""

    records: Records = None
    sweeps: Sweeps = None
    submissions: Beside = None
    kind_file: KindFiles = None


def _web_address(given: str) -> str:
    if given and not given.startswith(("https://", "http://")):
        msg = f"{given!r} does not start with https:// or http://"
        raise typer.BadParameter(msg)
    return given


@app.command()
@with_option_groups
def build(
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the page.", callback=writable)] = Path(
        "runs/page"
    ),
    snapshot: Annotated[
        datetime | None,
        typer.Option(
            "--snapshot",
            metavar="DATE",
            formats=["%Y-%m-%d"],
            help="Keep a copy of the page, as it is, under this date (year-month-day) in its folder `snapshots`.",
        ),
    ] = None,
    docs: Annotated[
        str,
        typer.Option(
            "--docs",
            metavar="ADDRESS",
            help="Web address of the documentation, to which every page then links.",
            callback=_web_address,
        ),
    ] = "",
) -> None:
    """Build the page from records. Damaged ones are left out and named; what has not changed is taken from the page before."""
    from leaderboard.site.page import build_page

    with without_garbage_collection():
        board = _board(sources)
        say(*(f"left out: {line}" for line in board.damages))
        page = build_page(board, out, f"{snapshot:%Y-%m-%d}" if snapshot else "", docs)
    say(f"{len(board.records)} records: {page.resolve().as_uri()}")


@app.command()
@with_option_groups
def export(
    sources: Sources,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of the tables and charts.", callback=writable)
    ] = Path("runs/export"),
) -> None:
    """Write the page's tables as CSV, and its charts as SVG and PNG."""
    from leaderboard.site.export import write

    say(*write(_board(sources), out))


@app.command()
def check(
    records: Records = None,
    submissions: Beside = None,
    kind_file: KindFiles = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Compare with the data in this folder, too, and with rendered scenes."
        ),
    ] = None,
    out: Out = Path("runs"),
) -> None:
    """Check records, submissions and their badges for faults.

    Damaged, misnamed, repeated, foreign and impossible records, broken submissions, and badges that say more than their reruns.
    Exit code 1 where there is one.
    """
    from leaderboard.schema.signatures import reviewer_faults
    from lossbench.auditing.records import checked_survey
    from lossbench.submissions.folder import RECORDS, protocols_in, record_faults
    from lossbench.submissions.folder import submissions as submitted
    from lossbench.submissions.reviews import REVIEWERS, review, reviewers_of

    folder = _records(records)
    place = _submissions(submissions, folder)
    load_kinds(kind_file)
    entries, wrong = submitted(place)
    found = checked_survey(folder, {entry.folder / RECORDS: entry.meta.name for entry in entries})
    wrong += [*found.damages, *reviewer_faults(place.resolve().parent / REVIEWERS)]
    reviews = {entry.meta.name: review(entry, reviewers_of(entry)) for entry in entries}
    protocols = protocols_in(shipped("configs/tasks"))
    wrong += [
        f"{entry.folder}: {fault}"
        for entry in entries
        for fault in (*record_faults(entry, protocols), *reviews[entry.meta.name].faults)
    ]
    say(*(f"{name}: {each.summary}" for name, each in reviews.items()))
    if data is not None:
        from lossbench.auditing.data import audit_data

        compared = audit_data(found.records, protocols, Paths(data, out))
        say(*compared.unchecked)
        wrong += compared.faults
    say(*dict.fromkeys(wrong))
    unfinished = sum(not record.complete for record in found.records)
    sound = f"{len(found.records)} records are sound" + (f" ({unfinished} not complete)" if unfinished else "")
    say(f"{sound}, {len(wrong)} faults were found" if wrong else f"{sound}.")
    if wrong:
        raise typer.Exit(1)


@app.command()
def docs() -> None:
    """Rewrite the tables and pictures in `docs/`.

    They are made from the committed records and from the strategies' files.
    """
    from lossbench.publishing.docs import rewrite_docs

    root = in_clone("docs/reproduction.md", "change into a clone").parents[1]
    say(*rewrite_docs(root))


def _records(given: Path | None) -> Path:
    folder = given or in_clone(FOLDER, ELSEWHERE)
    if not folder.is_dir():
        msg = f"no folder of records {folder}"
        raise LossbenchError(msg)
    return folder


def _submissions(given: Path | None, records: Path) -> Path:
    """The folder of submissions: the given one, or that beside the records, which may be missing."""
    if given is not None and not given.is_dir():
        msg = f"no folder of submissions {given}"
        raise LossbenchError(msg)
    return given or records.resolve().parent / "submissions"


def _board(sources: Sources) -> Board:
    from lossbench.publishing.boards import gather_board

    folder = _records(sources.records)
    load_kinds(sources.kind_file)
    return gather_board(folder, sources.sweeps or shipped("configs/sweeps"), _submissions(sources.submissions, folder))
