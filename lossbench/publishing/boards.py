"""Boards: records, submissions and planned comparisons, gathered for a page."""

from __future__ import annotations

import hashlib
import inspect
import itertools
from collections.abc import Sequence
from pathlib import Path

import tasks
from leaderboard.schema.events import read_events
from leaderboard.schema.published import read_published
from leaderboard.schema.records import RecordError
from leaderboard.scoring.board import UNKNOWN, About, Board
from leaderboard.scoring.contrasts import Plan
from lossbench.auditing.records import checked_survey
from lossbench.config import ConfigError, Protocol, Sweep
from lossbench.config_files import read_sweep
from lossbench.paths import shipped
from lossbench.publishing.parameters import parameters
from lossbench.publishing.sheets import examples, sheet
from lossbench.submissions.folder import RECORDS, Meta, submissions
from lossbench.submissions.reviews import review, reviewers_of
from strategies import STRATEGIES, Strategy


def gather_board(records: Path, sweeps: Path, submitted: Path) -> Board:
    """The board of a folder of records, with the submissions and the planned comparisons that belong to it.

    Args:
        records: folder of records.
        sweeps: folder of sweeps, whose `contrasts` are the planned comparisons.
        submitted: folder of submissions; it may be missing.

    Raises:
        RecordError: there is no sound record.
        ConfigError: there is no such folder of sweeps.
    """
    entries, damages = submissions(submitted)
    surveyed = checked_survey(records, {entry.folder / RECORDS: entry.meta.name for entry in entries})
    if not surveyed.records:
        msg = f"no sound records below {records}; make some with `lossbench run`"
        raise RecordError("; ".join([msg, *surveyed.damages[:1]]))
    strategies = {entry.meta.name: about_submission(entry.meta) for entry in entries} | about_strategies()
    badges = {entry.meta.name: review(entry, reviewers_of(entry)).badge for entry in entries}
    damages += surveyed.damages
    comparisons = planned_comparisons(sweeps)
    return Board(
        surveyed.records,
        strategies,
        comparisons,
        published=read_published(),
        badges=badges,
        damages=damages,
        sheet=sheet,
        examples=examples,
        descriptions=descriptions(),
        events=read_events(),
        code=drawing_code(),
    )


def about_strategies() -> dict[str, About]:
    """What the page says of Lossbench's own strategies, by name."""
    return {strategy.name: about_strategy(strategy()) for strategy in STRATEGIES}


def about_submission(meta: Meta) -> About:
    """What the page says of a submitted strategy, in its author's words."""
    paper = meta.title if meta.paper == "none" else meta.paper
    return About(paper, meta.kind, meta.needs, meta.cost, meta.summary)


def about_strategy(strategy: Strategy) -> About:
    """What the page says of a strategy, from its class."""
    summary, _, details = (inspect.getdoc(type(strategy)) or "").partition("\n")
    paper, path = getattr(strategy, "paper", UNKNOWN.paper), Path(inspect.getfile(type(strategy)))
    defaults = tuple((each.name, each.default, each.meaning) for each in parameters(type(strategy)))
    text, place = path.read_text(encoding="utf-8"), f"{path.parent.name}/{path.name}"
    return About(paper, strategy.kind, strategy.needs, strategy.cost, summary, details.strip(), text, place, defaults)


def descriptions() -> dict[str, str]:
    """The first comment of every shipped protocol's file, by the name of the protocol."""
    files = sorted(shipped("configs/tasks").rglob("*.toml"))
    return {path.stem: sentence for path in files if (sentence := _first_comment(path.read_text(encoding="utf-8")))}


def drawing_code() -> str:
    """A digest of the code that draws sheets and examples."""
    folders = (Path(tasks.__file__).parent, Path(__file__).parent)
    paths = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def _first_comment(toml: str) -> str:
    lines = itertools.takewhile(lambda line: line.startswith("#"), toml.splitlines())
    return " ".join(line.lstrip("# ").strip() for line in lines)


def planned_comparisons(folder: Path) -> list[Plan]:
    """The comparisons that the sweeps of a folder name before their runs.

    Raises:
        ConfigError: there is no such folder, or a sweep of it cannot be used.
    """
    if not folder.is_dir():
        msg = f"no folder of sweeps {folder}; name it with --sweeps"
        raise ConfigError(msg)
    return [plan for path in sorted(folder.glob("*.toml")) for plan in comparisons_of(path.stem, *read_sweep(path))]


def comparisons_of(name: str, sweep: Sweep, protocols: Sequence[Protocol]) -> list[Plan]:
    """The comparisons of one sweep: one plan, or none where it names none or is not measured on test images."""
    if not sweep.contrasts or sweep.split != "test":
        return []
    versions = tuple((protocol.name, protocol.version) for protocol in protocols)
    return [Plan(name, versions, sweep.tracks, sweep.seeds, sweep.contrasts, sweep.disclosure or "")]
