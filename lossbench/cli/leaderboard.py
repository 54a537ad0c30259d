"""The commands that deal with records: page, tables, submissions. Heavy imports stand where they are needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

PROTOCOLS = Path("configs/tasks")
app = typer.Typer()
records_app = typer.Typer(no_args_is_help=True, help="What the leaderboard is computed from.")
app.add_typer(records_app, name="records")
console = Console()

DataOption = Annotated[Path, typer.Option("--data", help="Folder that holds the real data sets.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for records, weights and pictures.")]
SubmissionsOption = Annotated[Path, typer.Option("--submissions", help="Folder of submissions.")]
BesideOption = Annotated[
    Path | None, typer.Option("--submissions", help="Folder of submissions; `submissions` beside the records' folder.")
]
SweepsOption = Annotated[Path, typer.Option("--sweeps", help="Folder of sweeps, for the comparisons planned in them.")]


def beside(records: Path) -> Path:
    """The folder of submissions that belongs to a folder of records."""
    return records.parent / "submissions"


@app.command()
def page(
    records: Annotated[Path, typer.Argument(help="Folder of records.")] = Path("leaderboard/records"),
    out: Annotated[Path, typer.Option("--out", help="Folder of the page.")] = Path("runs/page"),
    sweeps: SweepsOption = Path("configs/sweeps"),
    submissions: BesideOption = None,
) -> None:
    """Build the leaderboard page from records alone; what is damaged is left out and named."""
    from leaderboard.site.page import build_page
    from lossbench.publishing.report import gathered

    board = gathered(records, sweeps, submissions or beside(records))
    for line in board.damages:
        console.print(f"left out: {line}", soft_wrap=True, highlight=False, markup=False)
    index = build_page(board, out).resolve().as_uri()
    console.print(f"{len(board.records)} records: {index}", soft_wrap=True, highlight=False)


@app.command()
def export(
    records: Annotated[Path, typer.Argument(help="Folder of records.")] = Path("leaderboard/records"),
    out: Annotated[Path, typer.Option("--out", help="Folder of the tables and charts.")] = Path("runs/export"),
    sweeps: SweepsOption = Path("configs/sweeps"),
    submissions: BesideOption = None,
) -> None:
    """Write the page's tables as CSV, and its charts as SVG and PNG."""
    from leaderboard.site.export import write
    from lossbench.publishing.report import gathered

    for path in write(gathered(records, sweeps, submissions or beside(records)), out):
        console.print(str(path), soft_wrap=True, highlight=False, markup=False)


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A strategy's file, or the folder of a submission.")],
) -> None:
    """Run the conformance checks on a strategy, in a sandbox, and say what is to be mended; exit code 1 where something is."""
    from rich.table import Table
    from rich.text import Text

    from lossbench.submissions.folder import STRATEGY, Submission, record_faults
    from lossbench.submissions.sandbox import describe_limits
    from lossbench.submissions.verification import check_in_sandbox

    submission = Submission.read(path) if path.is_dir() else None
    found = check_in_sandbox(
        path / STRATEGY if submission else path, submission.meta.parameters if submission else None
    )
    table = Table("check", "task", "verdict", title=Text(f"{found.name} ({describe_limits()})"))
    for each, kind, fault in found.verdicts:
        table.add_row(Text(each), Text(kind), Text(fault or "kept", style="red" if fault else "green"))
    console.print(table)
    wrong = [fault for _, _, fault in found.verdicts if fault]
    if submission:
        wrong += record_faults(submission, PROTOCOLS)
        if found.name != submission.meta.name:
            wrong.append(f"{STRATEGY} calls itself {found.name}, and {path} is a submission of {submission.meta.name}")
    for line in dict.fromkeys(wrong):
        console.print(f"to mend: {line}", soft_wrap=True, highlight=False, markup=False)
    if wrong:
        raise typer.Exit(1)
    console.print(f"{len(found.verdicts)} checks are kept.", highlight=False)


@app.command()
def submit(
    path: Annotated[Path, typer.Argument(help="A strategy's file, or the folder of a submission that was begun.")],
    folder: SubmissionsOption = Path("leaderboard/submissions"),
    seed: Annotated[list[int] | None, typer.Option(help="Seeds of the runs on the rendered scenes.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per core.")] = None,
    out: OutOption = Path("runs"),
) -> None:
    """Make what a submission still lacks: its folder, its `meta.toml`, its runs on the rendered scenes."""
    os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})  # before torch is imported
    from lossbench.config import read_sweep
    from lossbench.paths import Paths
    from lossbench.running.progress import SweepProgress
    from lossbench.running.sweep import jobs, run_sweep
    from lossbench.submissions.folder import META, RECORDS, STRATEGY, Submission, add_records, create_submission
    from strategies import load_strategy

    file = path / STRATEGY if path.is_dir() else path
    place = create_submission(file, load_strategy(str(file)).name, path.resolve().parent if path.is_dir() else folder)
    submission = Submission.read(place)
    sweep, protocols = read_sweep(Path("configs/sweeps/quickstart.toml"))
    name = str(submission.strategy_file)
    parameters = {name: dict(submission.meta.parameters)}
    chosen = {
        "strategies": (name,),
        "seeds": tuple(seed or sweep.seeds),
        "parameters": parameters,
        "full_pool_seeds": (),
    }
    planned = jobs(sweep.model_copy(update=chosen), protocols)
    with SweepProgress(planned, console) as progress:
        paths = run_sweep(
            planned, Paths(Path("data"), out), min(workers or os.cpu_count() or 1, len(planned)), progress
        )
    add_records(paths, place)
    for line in (
        f"{len(paths)} records lie in {place / RECORDS}.",
        f"Now fill in {place / META}, run `lossbench check {place}` and `lossbench verify {submission.meta.name}`,",
        "add records of real tasks if you have them, and open a pull request with the folder.",
    ):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


@app.command()
def verify(
    name: Annotated[str, typer.Argument(help="Of a submission.")],
    folder: SubmissionsOption = Path("leaderboard/submissions"),
    who: Annotated[str, typer.Option(help="Who answers for the badge.")] = "anonymous",
    task: Annotated[list[str] | None, typer.Option(help="Rerun one seed of these real tasks, too.")] = None,
    data: DataOption = Path("data"),
) -> None:
    """Rerun a submission on the rendered scenes, in a sandbox, compare, and write its badge; exit code 1 where it fails."""
    os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})  # before torch is imported
    from lossbench.running.sweep import prepare
    from lossbench.submissions.folder import Submission
    from lossbench.submissions.sandbox import describe_limits
    from lossbench.submissions.verification import Verifier

    submission = Submission.read(folder / name)
    prepare()  # a trunk that is pre-trained here must be that of a worker, bit for bit
    badge = Verifier(who, PROTOCOLS, data, tuple(task or ())).badge(submission)
    for line in (*badge.notes, *badge.faults):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print(f"{name}: {badge.state} ({describe_limits()})", highlight=False, markup=False)
    if badge.state == "failed":
        raise typer.Exit(1)


@records_app.command("check")
def check_records(
    records: Annotated[Path, typer.Argument(help="Folder of records.")] = Path("leaderboard/records"),
    submissions: BesideOption = None,
) -> None:
    """Find damaged, misnamed, repeated and foreign records, and broken submissions; exit code 1 where there is one."""
    from leaderboard.schema.records import RecordError
    from leaderboard.scoring.survey import survey
    from lossbench.submissions.folder import RECORDS, record_faults
    from lossbench.submissions.folder import submissions as submitted

    if not records.is_dir():
        msg = f"no folder of records {records}"
        raise RecordError(msg)
    entries, wrong = submitted(submissions or beside(records))
    found = survey(records, {entry.folder / RECORDS: entry.meta.name for entry in entries})
    wrong += found.damages
    wrong += [f"{entry.folder}: {fault}" for entry in entries for fault in record_faults(entry, PROTOCOLS)]
    for line in dict.fromkeys(wrong):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    sound = f"{len(found.records)} records are sound"
    console.print(f"{sound}, {len(wrong)} faults were found" if wrong else f"{sound}.", highlight=False)
    if wrong:
        raise typer.Exit(1)
