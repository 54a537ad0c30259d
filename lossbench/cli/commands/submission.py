"""`lossbench submission`: strategies from outside, from a file to a badge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lossbench.cli.clone import SUBMISSIONS, in_clone
from lossbench.cli.completion import protocol_names, submission_names
from lossbench.cli.group import group
from lossbench.cli.options import (
    LARGEST_SEED,
    Data,
    Out,
    Submissions,
    Workers,
    limit_threads,
)
from lossbench.cli.output import console, say
from lossbench.errors import LossbenchError
from lossbench.paths import shipped

if TYPE_CHECKING:
    from leaderboard.schema.signatures import Signer
    from lossbench.submissions.exchange import Verdicts
    from lossbench.submissions.folder import Submission

ELSEWHERE = "name a folder with --submissions DIR"
app = group("Check, create and verify submissions to the leaderboard.")


@app.command()
def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="File of a strategy, or folder of a submission.")],
    limit: Annotated[
        int, typer.Option(metavar="SECONDS", min=1, max=86400, help="Limit of each check on each kind of task.")
    ] = 120,
) -> None:
    """Run the conformance checks on a strategy in a sandbox. Exit code 1 where one fails."""
    from lossbench.submissions.checking import check_in_sandbox
    from lossbench.submissions.folder import Submission, protocols_in, record_faults
    from lossbench.submissions.reviews import review, reviewers_of

    if not path.exists() or not (path.is_dir() or path.is_file()):
        msg = f"{path} is neither the file of a strategy nor the folder of a submission"
        raise LossbenchError(msg)
    if path.is_file() and path.suffix != ".py":
        msg = f"{path} is no Python file: the name of a strategy's file ends in .py"
        raise LossbenchError(msg)
    submission = Submission.read(path) if path.is_dir() else None
    file, parameters = (submission.strategy_file, submission.meta.parameters) if submission else (path, None)
    found = check_in_sandbox(file, parameters, limit)
    _show_verdicts(found)
    wrong = _faults(found)
    if submission:
        wrong += [*record_faults(submission, protocols_in(shipped("configs/tasks"))), *_misnamed(submission, found)]
        reviewed = review(submission, reviewers_of(submission))
        wrong += reviewed.faults
        say(f"badge: {reviewed.summary}")
    say(*(f"to mend: {line}" for line in dict.fromkeys(wrong)))
    if wrong:
        raise typer.Exit(1)
    say(f"All {len(found.verdicts)} checks pass.")


def _show_verdicts(found: Verdicts) -> None:
    from rich.table import Table
    from rich.text import Text

    from lossbench.submissions.sandbox import describe_limits

    table = Table("check", "kind of task", "verdict", title=Text(f"{found.name} ({describe_limits()})"))
    known: set[tuple[str, str]] = set()
    for each, kind, fault in found.verdicts:
        verdict = Text("fails, as before" if (kind, fault) in known else "fails", style="red")
        table.add_row(Text(each), Text(kind), verdict if fault else Text("passes", style="green"))
        known.add((kind, fault))
    console().print(table)


def _faults(found: Verdicts) -> list[str]:
    """What is wrong, each once, and where it shows first."""
    shows: dict[str, list[str]] = {}
    for check, kind, fault in found.verdicts:
        if fault:
            shows.setdefault(fault, []).append(f"{check}, {kind}")
    return [
        f"{fault} ({', '.join([first, *([f'and {len(more)} more'] if more else [])])})"
        for fault, (first, *more) in shows.items()
    ]


def _misnamed(submission: Submission, found: Verdicts) -> list[str]:
    own = submission.meta.name
    return (
        []
        if found.name == own
        else [f"{submission.strategy_file} calls itself {found.name}, and {submission.folder} is a submission of {own}"]
    )


@app.command()
def create(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="File of a strategy, or folder of a submission.")],
    seed: Annotated[
        list[int] | None,
        typer.Option(
            "--seed", metavar="N", min=0, max=LARGEST_SEED, help="Seeds of its runs. Repeatable. [default: 0, 1]"
        ),
    ] = None,
    submissions: Submissions = None,
    out: Out = Path("runs"),
    workers: Workers = None,
) -> None:
    """Make the folder of a submission, and its runs.

    What is there stays: its code, its `meta.toml`, finished runs on the rendered scenes.
    """
    limit_threads()
    from lossbench.submissions.folder import META, RECORDS, STRATEGY, Submission, add_records, create_submission
    from strategies import load_strategy

    if path.is_dir():
        if submissions is not None:
            msg = f"{path} is a submission already, and stays where it is; leave --submissions out"
            raise typer.BadParameter(msg)
        file, folder = path / STRATEGY, path.resolve().parent
    else:
        file, folder = path, submissions or in_clone(SUBMISSIONS, ELSEWHERE)
    place = create_submission(file, load_strategy(str(file)).name, folder)
    submission = Submission.read(place)
    records = _runs(submission, seed, out, workers)
    add_records(records, place)
    say(
        f"{len(records)} records are in {place / RECORDS}.",
        f"Now fill in {place / META}, run `lossbench submission check {place}` and `lossbench submission verify {place}`,",
        "add records of real data if you have them, and open a pull request with the folder.",
    )


def _runs(submission: Submission, seeds: list[int] | None, out: Path, workers: int | None) -> list[Path]:
    """Records of the runs on the rendered scenes, made where they are not there."""
    from lossbench.config_files import read_sweep
    from lossbench.paths import Paths
    from lossbench.running.executors.local import Local
    from lossbench.running.jobs import jobs
    from lossbench.running.progress import SweepProgress
    from lossbench.running.sweep import run_sweep
    from lossbench.submissions.verification import REQUIRED_SEEDS
    from tasks.cores import own_cores

    sweep, protocols = read_sweep(shipped("configs") / "sweeps/scenes.toml")
    name = str(submission.strategy_file)
    chosen = {
        "strategies": (name,),
        "seeds": tuple(seeds or REQUIRED_SEEDS),
        "parameters": {name: dict(submission.meta.parameters)},
        "full_pool_seeds": (),
    }
    runs = jobs(sweep.model_copy(update=chosen), protocols)
    local = Local(min(workers or own_cores(), len(runs)))
    with SweepProgress(runs, console()) as progress:
        return run_sweep(runs, Paths(Path("data"), out), local, progress)


@app.command()
def verify(
    submission: Annotated[
        str,
        typer.Argument(
            metavar="SUBMISSION",
            help="Folder of a submission, or its name in --submissions.",
            autocompletion=submission_names,
        ),
    ],
    who: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who answers for the badge. [default: anonymous, or the owner of the key]"),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Sign with this OpenSSH private key; its public part is reviewers/NAME.pub."),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--protocol",
            metavar="NAME",
            help="Rerun one seed of this real protocol, too. Repeatable.",
            autocompletion=protocol_names,
        ),
    ] = None,
    submissions: Submissions = None,
    data: Data = Path("data"),
) -> None:
    """Rerun a submission in a sandbox, and write its badge.

    All its runs on the rendered scenes are repeated. Exit code 1 where they differ.
    """
    limit_threads()
    from lossbench.running.sweep import prepare
    from lossbench.submissions.folder import Submission
    from lossbench.submissions.sandbox import describe_limits
    from lossbench.submissions.verification import Verifier

    given = Path(submission)
    found = Submission.read(given if given.is_dir() else (submissions or in_clone(SUBMISSIONS, ELSEWHERE)) / submission)
    signer = _signer(found, who, sign) if sign else None
    prepare()  # the badge describes this machine as the records of its workers do
    name = signer.name if signer else who or "anonymous"
    badge = Verifier(name, shipped("configs/tasks"), data, tuple(protocol or ()), console(), signer).badge(found)
    say(*badge.notes, *badge.faults, f"{found.meta.name}: {badge.state} ({describe_limits()})")
    if badge.state == "failed":
        raise typer.Exit(1)


def _signer(submission: Submission, who: str | None, key: Path) -> Signer:
    """The reviewer who signs. The passphrase of a key is asked for on a terminal only."""
    import getpass
    import sys

    from leaderboard.schema.signatures import read_private_key, signer
    from lossbench.submissions.reviews import reviewers_of

    def passphrase() -> str | None:
        return getpass.getpass(f"Passphrase of {key}: ") if sys.stdin.isatty() else None

    return signer(read_private_key(key, passphrase), who, reviewers_of(submission))
