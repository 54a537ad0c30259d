"""Strategies from outside that fail while they run: one line with file, line and error, and never exit code 0."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result, the_line
from sample_configs import TASK, written

HEAD = "import sys\nimport torch\nfrom typing import ClassVar\nfrom strategies import Context, Selection, Strategy; from strategies.base import highest\n"
CLASS = (
    'class Mine(Strategy):\n    name: ClassVar[str] = "mine"\n    paper: ClassVar[str] = "none"\n'
    "    def select(self, ctx: Context) -> Selection:\n        "
)
WANTED = r"; `select` has to return Selection\(ids\), the ids of ctx\.budget candidates$"
SHORT = TASK.replace("rounds = 3", "rounds = 2")

FAULTS = {
    "1 / 0": r"mine\.py, line 9, in select: ZeroDivisionError: division by zero",
    "torch.zeros(2) @ torch.zeros(3)": r"mine\.py, line 9, in select: RuntimeError: .*",
    "ctx.labels": r"mine\.py, line 9, in select: AttributeError: .*'labels'; did you mean labeled\?",
    "sys.exit(0)": r"mine\.py, line 9, in select: it ends the program \(SystemExit: 0\)",
    "return list(ctx.candidates[: ctx.budget])": r"mine on tiny, round 0: the strategy returned a list" + WANTED,
    "return torch.arange(3)": r"mine on tiny, round 0: the strategy returned a Tensor" + WANTED,
    "return None": r"mine on tiny, round 0: the strategy returned a NoneType" + WANTED,
    "return Selection([[1], [1, 2]])": r"mine on tiny, round 0: the strategy returned ids that are no vector of integers .*"
    + WANTED,
    "return Selection(torch.ones(6, requires_grad=True))": r"returned ids that are no vector of integers .*" + WANTED,
    "return highest(ctx, torch.full((len(ctx.candidates),), torch.nan))": r"mine on tiny, round 0: NaN in 30 of 30 scores \(.*mine\.py, line 9, in select\)",
    "return Selection(ctx.labeled[: ctx.budget])": r"round 0: the strategy returned 6 ids that are labeled already; give ctx",
    "return Selection(None)": r"the strategy returned ids of shape \(\) and type object; a vector of integers is wanted",
}


@pytest.mark.parametrize("line", FAULTS)
def test_a_fault_in_select_is_one_line(line: str, lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HEAD + CLASS + line + "\n", encoding="utf-8")
    sweep, out = written(tmp_path, SHORT), tmp_path / "out"
    words = ("--strategy", tmp_path / "mine.py", "--seed", "0", "--out", out, "--workers", "1")
    said = the_line(lossbench_cli("run", sweep, *words))
    assert re.search(FAULTS[line], said), said
    assert [path.name for path in out.glob("records/*/*")] == ["random-shared-s0.json"], (
        "what was finished stays, no lock does"
    )


def test_an_exit_anywhere_in_a_run_is_a_fault(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    auxiliary = CLASS.replace("    def select", "    def auxiliary(self, shared):\n        sys.exit(0)\n    def select")
    (tmp_path / "mine.py").write_text(HEAD + auxiliary + "pass\n", encoding="utf-8")
    words = ("--strategy", tmp_path / "mine.py", "--seed", "0", "--out", tmp_path / "out", "--workers", "1")
    said = the_line(lossbench_cli("run", written(tmp_path, SHORT), *words))
    assert said == f"{tmp_path}/mine.py, line 9, in auxiliary: it ends the program (SystemExit: 0)"


def test_an_exit_in_our_own_code_is_a_fault_of_the_run(
    lossbench_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def leave(*_: object) -> None:
        raise SystemExit(0)

    monkeypatch.setattr("lossbench.running.sweep._rounds", leave)
    words = ("--seed", "0", "--out", tmp_path / "out", "--workers", "1")
    said = the_line(lossbench_cli("run", written(tmp_path, SHORT), *words))
    assert said == "tiny random shared seed 0: code of the run ends the program (SystemExit: 0)"


def test_a_record_that_is_missing_at_the_end_is_a_fault(
    lossbench_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lossbench.running.executors.local.run_job", lambda *_: None)
    words = ("--seed", "0", "--out", tmp_path / "out", "--workers", "1")
    said = the_line(lossbench_cli("run", written(tmp_path, SHORT), *words))
    assert said.endswith("random-shared-s0.json is missing or incomplete at the end of the sweep")


def test_a_fault_in_a_measured_selection_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HEAD + CLASS + "1 / 0\n", encoding="utf-8")
    written(tmp_path, SHORT)
    sizes = ("--pool", "20", "--budget", "5", "--repeats", "1")
    words = ("--strategy", tmp_path / "mine.py", *sizes, "--out", tmp_path / "out")
    said = the_line(lossbench_cli("measure", "selection", tmp_path / "tasks/tiny.toml", *words))
    assert re.search(FAULTS["1 / 0"], said), said


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ((20, 5, 30), "30 picks are more than the 20 candidates of the largest pool; lower --budget or raise --pool"),
        ((20, 30, 30), "30 picks are more than the 20 candidates of the largest pool; lower --budget or raise --pool"),
    ],
)
def test_a_budget_above_every_pool_is_one_line(
    sizes: tuple[int, int, int], wanted: str, lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    written(tmp_path, SHORT)
    pool, *budgets = map(str, sizes)
    words = ("--pool", pool, "--budget", budgets[0], "--budget", budgets[1], "--strategy", "random")
    said = the_line(
        lossbench_cli("measure", "selection", tmp_path / "tasks/tiny.toml", *words, "--out", tmp_path / "out")
    )
    assert said == wanted
    assert not (tmp_path / "out").exists(), "nothing is written"


def test_a_pool_below_every_budget_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    written(tmp_path, SHORT)
    words = ("--pool", "3", "--pool", "40", "--budget", "5", "--strategy", "random", "--out", tmp_path / "out")
    said = the_line(lossbench_cli("measure", "selection", tmp_path / "tasks/tiny.toml", *words))
    assert said == "3 candidates are fewer than the 5 picks of the smallest budget; raise --pool or lower --budget"
