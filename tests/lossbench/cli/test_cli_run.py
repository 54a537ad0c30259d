"""`lossbench run`: what it makes, what it prints, and that bad input ends in one line and exit code 2."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import Result, the_line
from sample_configs import SWEEP, TASK, written

from leaderboard.schema.records import read_record
from lossbench.config_files import config_files, read_protocol

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "configs"
ODD = "odd [bold] [/name] ü"  # a folder in a folder: rich reads such brackets as markup
REAL = [path for path in config_files(CONFIGS / "tasks") if read_protocol(path).task.data.scenes is None]
MINE = """
from typing import ClassVar
from strategies import Context, Selection, Strategy


class Mine(Strategy):
    '''Picks the first candidates.'''

    name: ClassVar[str] = "mine"

    def select(self, ctx: Context) -> Selection:
        return Selection(ctx.candidates[: ctx.budget])
"""


def made(out: Path) -> list[str]:
    """Names of the records."""
    return sorted(path.stem for path in out.glob("records/**/*.json"))


def test_a_sweep_ends_with_tables_a_picture_and_a_page(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir(parents=True)
    sweep, out = written(folder), folder / "out"
    result = lossbench_cli("run", sweep, "--out", out, "--workers", "1", "--strategy", "learning-loss")
    assert result.code == 0
    lines = result.output.splitlines()
    assert lines[:3] == [
        f"2 runs on 1 protocol, 1 at a time, into {out}",
        "tiny learning-loss shared seed 0: 3 rounds done; 1 of 2 runs",
        "tiny learning-loss shared seed 1: 3 rounds done; 2 of 2 runs",
    ]
    assert "running" not in result.output
    assert f"Curves: {out / 'curves.png'}" in lines
    assert f"Page:   {(out / 'page/index.html').as_uri()}" in lines
    assert lines[-1] == "The page shows 2 runs: 1 strategy on 1 protocol, 2 seeds."
    assert "2 seeds are too few for a sound ranking." in result.output
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "page/index.html").is_file()
    found = sorted(path.relative_to(out).as_posix() for path in out.glob("records/**/*"))
    assert found == ["records/tiny", *(f"records/tiny/learning-loss-shared-s{seed}.json" for seed in (0, 1))]
    assert not list(out.glob("**/*.part"))


@pytest.mark.slow
def test_the_command_line_narrows_a_sweep(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    words = (
        "--seed",
        "101",
        "--strategy",
        "entropy",
        "--track",
        "native",
        "--protocol",
        "tiny",
        "--split",
        "validation",
    )
    assert lossbench_cli("run", sweep, "--out", out, "--workers", "1", *words).code == 0
    (path,) = out.glob("records/**/*.json")
    record = read_record(path)
    assert (record.seed, record.strategy, record.track, record.split) == (101, "entropy", "native", "validation")


@pytest.mark.slow
def test_a_training_on_the_whole_pool_can_be_asked_for(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    words = ("--strategy", "full-pool", "--seed", "1", "--out", tmp_path / "out", "--workers", "1")
    result = lossbench_cli("run", written(tmp_path), *words)
    assert result.code == 0
    assert re.search(r"^tiny, shared, seed 1: accuracy 0\.\d+ with all 48 labels$", result.output, re.MULTILINE)
    (path,) = (tmp_path / "out").glob("records/**/*.json")
    record = read_record(path)
    assert (record.strategy, record.seed, [one.labeled for one in record.rounds]) == ("full-pool", 1, [48])


def test_names_are_found_from_any_folder(
    lossbench_cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cifar10-mini").mkdir()  # a folder of that name, of records perhaps
    monkeypatch.chdir(tmp_path)
    line = the_line(lossbench_cli("run", "cifar10-mini", "--workers", "1"))
    assert "give the folder that holds it with --data DIR" in line


@pytest.mark.slow
def test_random_runs_beside_a_strategy_from_a_file(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    sweep, out, file = written(tmp_path), tmp_path / "out", tmp_path / "mine.py"
    file.write_text(MINE, encoding="utf-8")
    words = ("run", sweep, "--out", out, "--workers", "1", "--strategy")
    assert lossbench_cli(*words, "random", "--seed", "0").code == 0
    before = (out / "records/tiny/random-shared-s0.json").read_bytes()
    result = lossbench_cli(*words, file)
    assert result.code == 0
    assert made(out) == [f"{name}-shared-s{seed}" for name in ("mine", "random") for seed in (0, 1)]
    assert (out / "records/tiny/random-shared-s0.json").read_bytes() == before, "what is there is not made again"
    rows = [line.split()[0] for line in result.output.splitlines() if re.match(r" *(mine|random) +0\.", line)]
    assert sorted(rows) == ["mine", "random"]
    assert "The page shows 4 runs: 2 strategies on 1 protocol, 2 seeds." in result.output
    page = (out / "page/strategies/mine.html").read_text(encoding="utf-8")
    assert "Picks the first candidates." in page


@pytest.mark.slow
def test_a_page_shows_earlier_runs_of_its_protocols_too(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    words = ("run", sweep, "--out", out, "--workers", "1")
    assert lossbench_cli(*words, "--strategy", "entropy").code == 0
    result = lossbench_cli(*words, "--strategy", "margin", "--seed", "0")
    assert "The page shows 3 runs: 2 strategies on 1 protocol, 2 seeds." in result.output
    assert "no longer" not in result.output


@pytest.mark.slow
def test_a_page_that_shows_less_than_before_says_so(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    assert lossbench_cli("run", sweep, "--out", out, "--workers", "1").code == 0
    other = tmp_path / "tasks/other.toml"
    other.write_text(TASK.replace('"tiny"', '"other"'), encoding="utf-8")
    result = lossbench_cli("run", other, "--out", out, "--workers", "1")
    assert result.code == 0
    hint = f"lossbench leaderboard build {out}/records --out {out}/page"
    assert f"It no longer shows 2 runs of before. To show all: {hint}" in result.output.splitlines()


@pytest.mark.slow
def test_runs_on_the_validation_slice_leave_the_page_as_it_is(
    lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    words = ("run", sweep, "--out", out, "--workers", "1", "--split", "validation", "--seed", "0")
    result = lossbench_cli(*words)
    assert result.code == 0
    assert "No page, as it shows complete runs on test images alone." in result.output
    assert not (out / "page").exists()


QUICKSTART = CONFIGS / "sweeps" / "quickstart.toml"
FAULTS: list[tuple[list[str | Path], str]] = [
    (
        [QUICKSTART, "--strategy", "nothing"],
        r"no strategy 'nothing' \(one of your own needs its file, such as mine\.py\); there are random, ",
    ),
    ([QUICKSTART, "--strategy", "entropi"], r"no strategy 'entropi' \(.*\); did you mean entropy"),
    ([QUICKSTART, "--strategy", "nothing.py"], "no strategy file nothing.py"),
    (
        [QUICKSTART, "--protocol", "nothing"],
        "no protocol 'nothing' in this sweep; there are quickstart-pose, quickstart-detection, quickstart-cl",
    ),
    (
        [QUICKSTART, "--protocol", "quickstart-poses"],
        "no protocol 'quickstart-poses' in this sweep; did you mean quickstart-pose or",
    ),
    (
        ["quickstrat"],
        "no configuration 'quickstrat' \\(a file needs its path, such as mine.toml\\); did you mean quickstart",
    ),
    ([QUICKSTART, "--track", "wild"], r"^--track: Input should be 'shared' or 'native' .*'wild'"),
    ([QUICKSTART, "--seed", "-1"], r"Invalid value for '--seed': Input should be greater than or equal to 0"),
    ([QUICKSTART, "--seed", "one"], r"'--seed': Input should be a valid integer, .* \(see `lossbench run --help`\)$"),
    ([QUICKSTART, "--split", "train"], r"^--split: Input should be 'test' or 'validation' .*'train'"),
    ([QUICKSTART, "--kind-file", "none.py"], "none.py: no such file; --kind-file takes a Python file"),
    ([CONFIGS / "sweeps/paper.toml", "--split", "validation"], "cifar10 has no validation slice"),
    ([QUICKSTART, "--device", "abacus"], "no device 'abacus'"),
    (
        [CONFIGS / "sweeps" / "quick.toml"],
        r"no configuration .*/quick\.toml; beside it there are .*paper, .*quickstart",
    ),
    ([CONFIGS / "tasks"], "Is a directory"),
    ([ROOT / "LICENSE"], "LICENSE is not TOML"),
]


@pytest.mark.parametrize(("words", "reason"), FAULTS, ids=[" ".join(map(str, each[0][-2:])) for each in FAULTS])
def test_a_fault_of_input_is_one_line(
    words: list[str | Path], reason: str, lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    line = the_line(lossbench_cli("run", *words, "--out", tmp_path / "out", "--workers", "1"))
    assert re.search(reason, line), line
    assert not (tmp_path / "out").exists(), "nothing is written before everything is checked"


def test_cuda_where_there_is_none_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is CUDA here")
    line = the_line(lossbench_cli("run", written(tmp_path), "--device", "cuda", "--out", tmp_path / "out"))
    assert line == "no device 'cuda' on this machine; choose cpu"


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_missing_data_is_one_line_that_says_where(
    path: Path, lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    line = the_line(lossbench_cli("run", path, "--data", tmp_path / "nowhere", "--out", out, "--workers", "1"))
    assert str(tmp_path / "nowhere") in line
    assert "--data DIR" in line
    assert not list(out.glob("records/**/*.json"))
    assert not list(out.glob("**/*.part"))


def test_a_strategy_that_returns_too_few_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "short.py"
    file.write_text(
        "from typing import ClassVar\nfrom strategies import Context, Selection, Strategy\n"
        'class Short(Strategy):\n    name: ClassVar[str] = "short"\n    paper: ClassVar[str] = "none"\n'
        "    def select(self, ctx: Context) -> Selection:\n        return Selection(ctx.candidates[:1])\n"
    )
    words = ("--strategy", file, "--out", tmp_path / "out", "--workers", "1")
    line = the_line(lossbench_cli("run", written(tmp_path), *words))
    assert line == "short on tiny, round 0: the strategy returned 1 ids; the budget is 6"
    assert made(tmp_path / "out") == ["random-shared-s0"], "random runs first"


def test_an_out_folder_that_is_a_file_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("here I am")
    line = the_line(lossbench_cli("run", written(tmp_path), "--out", tmp_path / "out", "--workers", "1"))
    assert str(tmp_path / "out") in line
    assert (tmp_path / "out").read_text() == "here I am"


def test_a_tap_that_is_none_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    task = TASK + "[loss_prediction]\ntaps = [0, 7]\n"
    sweep, wanted = written(tmp_path, task), "LossNet is set to read taps (0, 7), but the model has taps 0 to 3"
    assert the_line(lossbench_cli("run", sweep, "--out", tmp_path / "out", "--workers", "1")) == wanted
    assert (
        the_line(lossbench_cli("measure", "training", tmp_path / "tasks/tiny.toml", "--out", tmp_path / "out"))
        == wanted
    )


@pytest.mark.slow
def test_the_page_of_a_sweep_shows_what_it_planned(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    sweep = SWEEP.replace('["random"]', '["random", "entropy"]') + 'contrasts = [["entropy", "random"]]\n'
    sweep, out = written(tmp_path, sweep=sweep), tmp_path / "out"
    assert lossbench_cli("run", sweep, "--out", out, "--workers", "1").code == 0
    assert "Planned comparisons" in (out / "page/index.html").read_text(encoding="utf-8")


def test_a_run_that_diverges_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    task = TASK.replace('"adamw", learning_rate = 1e-3', '"sgd", learning_rate = 1e30')
    task = task.replace("epochs = 1", "epochs = 4")
    line = the_line(lossbench_cli("run", written(tmp_path, task), "--out", tmp_path / "out", "--workers", "1"))
    assert line == "tiny, random, seed 0, round 0: the training loss is not finite at step 1 of 4"


def test_a_fault_of_the_program_keeps_its_traceback(
    lossbench_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("lossbench.running.sweep.run_sweep", fault)
    with pytest.raises(ZeroDivisionError):
        lossbench_cli("run", written(tmp_path), "--out", tmp_path / "out")


@pytest.mark.slow
def test_a_record_says_what_the_run_was_made_with(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    lossbench_cli("run", sweep, "--seed", "4", "--out", out, "--workers", "1")
    (path,) = out.glob("records/**/*.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["config"] == read_protocol(tmp_path / "tasks/tiny.toml").model_dump(mode="json")
    assert content["machine"]["device"] == "cpu"
    assert content["machine"]["threads"] == 1
    assert len(content["fingerprints"]["data"]) > 30
    assert len(content["commit"].removesuffix("+changes")) in (len("unknown"), 40)
    assert len(content["group_names"]) == 8


def test_runs_need_no_packages_that_draw_the_page(
    lossbench_cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine with a GPU, to which few wheels are carried."""
    for name in [name for name in sys.modules if name.startswith(("lossbench.publishing", "leaderboard.charts"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "altair", None)
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    result = lossbench_cli("run", written(tmp_path), "--out", tmp_path / "out", "--workers", "1", "--seed", "0")
    assert result.code == 0, result
    assert re.search(r"All runs are complete. \w+ is not installed here; to show them elsewhere: ", result.output)
    assert made(tmp_path / "out")
