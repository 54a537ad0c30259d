"""`lossbench submission`: from a strategy's file to a badge."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result, the_line
from sample_configs import SWEEP, TASK

from lossbench.submissions.exchange import Verdicts
from lossbench.submissions.folder import Submission, protocols_in, record_faults

CODE = """
from typing import ClassVar
from strategies import Context, Selection, Strategy


class Mine(Strategy):
    name: ClassVar[str] = "mine"
    paper: ClassVar[str] = "none"

    def select(self, ctx: Context) -> Selection:
        return Selection(ctx.candidates[: ctx.budget])
"""


@pytest.fixture
def strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a strategy; rendered scenes are one tiny protocol."""
    configs = tmp_path / "configs"
    for name, content in (("tasks/tiny", TASK), ("sweeps/scenes", SWEEP), ("sweeps/quickstart", SWEEP)):
        path = configs / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    monkeypatch.setattr("lossbench.cli.commands.submission.shipped", lambda name: tmp_path / name)
    file = tmp_path / "mine.py"
    file.write_text(CODE, encoding="utf-8")
    return file


def created(strategy: Path, lossbench_cli: Callable[..., Result], *words: str) -> tuple[Result, Path]:
    folder = strategy.parent / "submissions"
    out = ("--out", strategy.parent / "runs", "--workers", "1")
    return lossbench_cli("submission", "create", strategy, "--submissions", folder, *out, *words), folder / "mine"


@pytest.mark.slow
def test_a_submission_is_made_from_a_file(strategy: Path, lossbench_cli: Callable[..., Result]) -> None:
    result, place = created(strategy, lossbench_cli)
    assert result.code == 0, result.errors
    assert f"2 records are in {place}/records." in result.output
    assert f"`lossbench submission check {place}`" in result.output
    submission = Submission.read(place)
    assert record_faults(submission, protocols_in(strategy.parent / "configs/tasks")) == []
    assert {record.seed for record in submission.records().records} == {0, 1}


@pytest.mark.slow
def test_a_submission_that_was_begun_keeps_what_its_author_wrote(
    strategy: Path, lossbench_cli: Callable[..., Result]
) -> None:
    _, place = created(strategy, lossbench_cli, "--seed", "0")
    meta = (place / "meta.toml").read_text(encoding="utf-8").replace("your name", "A. Author")
    (place / "meta.toml").write_text(meta, encoding="utf-8")
    words = ("--seed", "5", "--out", strategy.parent / "runs", "--workers", "1")
    assert lossbench_cli("submission", "create", place, *words).code == 0
    assert (place / "meta.toml").read_text(encoding="utf-8") == meta
    assert {record.seed for record in Submission.read(place).records().records} == {0, 5}


def test_what_is_to_be_mended_is_listed(
    strategy: Path, lossbench_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = (("it picks", "pose", ""), ("it is fast", "pose", "it took an hour"))
    monkeypatch.setattr(
        "lossbench.submissions.checking.check_in_sandbox", lambda *_: Verdicts(name="mine", verdicts=verdicts)
    )
    result = lossbench_cli("submission", "check", strategy)
    assert result.code == 1
    assert result.output.splitlines()[-1] == "to mend: it took an hour (it is fast, pose)"
    monkeypatch.setattr(
        "lossbench.submissions.checking.check_in_sandbox", lambda *_: Verdicts(name="mine", verdicts=verdicts[:1])
    )
    result = lossbench_cli("submission", "check", strategy)
    assert (result.code, result.output.splitlines()[-1]) == (0, "All 1 checks pass.")


@pytest.mark.slow  # three reruns in sandboxes
def test_a_submission_is_verified_by_name_and_by_folder(strategy: Path, lossbench_cli: Callable[..., Result]) -> None:
    _, place = created(strategy, lossbench_cli)
    result = lossbench_cli("submission", "verify", "mine", "--submissions", place.parent, "--who", "me")
    assert result.code == 0, result.output + result.errors
    assert re.match(r"3 reruns, [12] at once, since \d\d:\d\d UTC\n", result.output)
    assert sum("; 3 of 3 runs" in line for line in result.output.splitlines()) == 1
    assert "tiny mine shared seed 0, second time: 3 rounds done" in result.output
    assert result.output.splitlines()[-1].startswith("mine: verified (")
    badge = (place / "verification.json").read_text(encoding="utf-8")
    assert '"who": "me"' in badge
    strategy_file = place / "strategy.py"
    strategy_file.write_text(CODE + "\n", encoding="utf-8")
    assert lossbench_cli("submission", "verify", place).code == 1


def test_a_folder_that_is_no_submission_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    line = the_line(lossbench_cli("submission", "check", tmp_path))
    assert line.startswith(f"{tmp_path} has no strategy.py")


def test_a_submission_stays_where_it_is(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    line = the_line(lossbench_cli("submission", "create", tmp_path, "--submissions", tmp_path / "others"))
    assert "is a submission already, and stays where it is; leave --submissions out" in line
