"""The command line: what it prints, and that bad input ends in one line and exit code 2."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import torch
from fake_records import make_record
from rich.console import Console
from sample_configs import SWEEP, TASK, written

import lossbench.cli.main
from leaderboard.schema.records import read_record, write_record
from lossbench.config import config_files, read_protocol
from strategies import STRATEGIES

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
ODD = "odd [bold] [/name] ü"  # a folder in a folder: rich reads such brackets as markup
REAL = [path for path in config_files(CONFIGS / "tasks") if read_protocol(path).task.data.scenes is None]


class Result(NamedTuple):
    code: int
    output: str
    errors: str


@pytest.fixture
def lossbench_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """The command in this process, as wide as it likes."""

    def call(*words: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["lossbench", *map(str, words)])
        monkeypatch.setattr(lossbench.cli.main, "console", Console(width=300))
        code = 0
        try:
            lossbench.cli.main.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Result(code, *capsys.readouterr())

    return call


def the_line(result: Result) -> str:
    """What a fault that the user can mend says."""
    assert result.code == 2
    (line,) = result.errors.splitlines()
    start, rest = line[:11], line[11:]
    assert start == "lossbench: "
    return rest


LIGHT = """
import sys
sys.argv = ["lossbench", *sys.argv[1:]]
from lossbench.cli.main import main
try:
    main()
finally:
    heavy = {"torch", "torchvision", "pandas", "numpy", "scipy", "altair", "mmdet", "mmpose", "cv2", "pydantic"}
    print("heavy:", sorted(heavy & sys.modules.keys()))
"""


def test_help_lists_the_commands_and_imports_nothing_heavy() -> None:
    result = subprocess.run([sys.executable, "-c", LIGHT, "--help"], capture_output=True, text=True, check=True)
    for command in ("run", "tasks", "strategies", "data", "page"):
        assert f" {command} " in result.stdout
    assert result.stdout.splitlines()[-1] == "heavy: []"
    assert result.stderr == ""


def test_tasks_are_listed_with_what_they_cost(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    result = lossbench_cli("tasks", CONFIGS / "tasks")
    assert result.code == 0
    rows = result.output.splitlines()[1:]
    assert [row.split()[0] for row in rows] == [path.stem for path in config_files(CONFIGS / "tasks")]
    written(tmp_path)
    (_, row) = lossbench_cli("tasks", tmp_path / "tasks").output.splitlines()
    assert row.split() == ["tiny", "1", "classification", "12", "to", "24", "3", "30"]


def test_strategies_are_listed_with_paper_kind_needs_and_cost(lossbench_cli: Callable[..., Result]) -> None:
    result = lossbench_cli("strategies")
    assert result.code == 0
    for each in STRATEGIES:
        (row,) = [line for line in result.output.splitlines() if line.startswith(f"│ {each.name} ")]
        cells = [cell.strip() for cell in row.strip("│").split("│")]
        assert cells == [each.name, each.paper, each.kind, each().needs, each.cost]
        assert ("lossnet" in cells[3]) == each.needs_lossnet


def test_data_says_what_is_missing_where(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        result = lossbench_cli("data", "--data", folder)
        assert (result.code, result.errors) == (0, "")
        assert str(folder) in result.output.splitlines()[0]
        for name in ("cifar-10-batches-py", "VOCdevkit", "pose"):
            (row,) = [line for line in result.output.splitlines() if f" {name}: " in line]
            assert "not there; get it: " in row


def test_data_in_a_folder_of_any_name(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir(parents=True)
    assert str(folder) in lossbench_cli("data", "--data", folder).output.splitlines()[0]


def test_damaged_data_is_named(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number in range(1, 6):
        (folder / f"data_batch_{number}").write_bytes(b"not a batch")
    result = lossbench_cli("data", "--data", tmp_path)
    assert the_line(result) == "damaged: CIFAR-10; fetch it again"
    assert "data_batch_1 is damaged: MD5 " in result.output
    assert "not there; get it" in result.output, "the others are looked at, too"


def test_page_is_built_from_records_alone(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    write_record(make_record(), tmp_path / "records/shapes-mini/random-shared-s0.json")
    result = lossbench_cli("page", tmp_path / "records", "--out", tmp_path / "page")
    assert result.code == 0
    assert result.output.strip() == f"1 records: {(tmp_path / 'page/index.html').as_uri()}"
    assert "shapes-mini" in (tmp_path / "page/index.html").read_text(encoding="utf-8")


def test_page_without_records_says_how_to_make_some(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    line = the_line(lossbench_cli("page", tmp_path, "--out", tmp_path / "page"))
    assert line == f"no sound records below {tmp_path}; make some with `lossbench run`"
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes/half.json").write_text('{"schema_number": 1')
    line = the_line(lossbench_cli("page", tmp_path, "--out", tmp_path / "page"))
    assert f"; {tmp_path}/shapes/half.json: not a valid record" in line
    assert not (tmp_path / "page").exists()


def test_a_damaged_record_is_named_and_left_out(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    write_record(make_record(), tmp_path / "records/shapes-mini/random-shared-s0.json")
    broken = tmp_path / "records/shapes-mini/random-shared-s1.json"
    broken.write_text("{")
    result = lossbench_cli("page", tmp_path / "records", "--out", tmp_path / "page")
    assert result.code == 0
    assert result.output.startswith(f"left out: {broken}: not a valid record")
    checking = ("records", "check", tmp_path / "records", "--submissions", tmp_path / "submissions")
    result = lossbench_cli(*checking)
    assert result.code == 1
    assert f"{broken}: not a valid record" in result.output
    assert "1 records are sound, 1 faults were found" in result.output
    broken.unlink()
    assert lossbench_cli(*checking).code == 0
    (tmp_path / "submissions/half").mkdir(parents=True)
    result = lossbench_cli(*checking)
    assert result.code == 1
    assert "half has no strategy.py" in result.output


def test_export_writes_tables_and_charts(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    for name in ("random", "entropy"):
        for seed in (0, 1):
            record = make_record((10.0, 20.0 + seed), strategy=name, seed=seed)
            write_record(record, tmp_path / f"records/shapes-mini/{name}-shared-s{seed}.json")
    result = lossbench_cli("export", tmp_path / "records", "--out", tmp_path / "export")
    assert result.code == 0
    written = [Path(line) for line in result.output.splitlines()]
    assert sorted(written) == sorted((tmp_path / "export").iterdir())
    assert sum(path.suffix == ".csv" for path in written) == 7
    standings = pd.read_csv(tmp_path / "export/standings.csv").set_index("strategy")
    assert standings.loc["entropy", "area"] == 15.25
    assert standings.loc["entropy", "fit_seconds"] == 10.5
    curves = pd.read_csv(tmp_path / "export/curves.csv")
    assert curves.query("strategy == 'random'")["score"].tolist() == [10.0, 20.5]
    assert (tmp_path / "export/shapes-mini-p1-shared-curves.svg").read_text().startswith("<svg")
    assert (tmp_path / "export/shapes-mini-p1-shared-penalties.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweep_ends_with_tables_a_picture_and_a_page(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir(parents=True)
    sweep, out = written(folder), folder / "out"
    result = lossbench_cli("run", sweep, "--out", out, "--workers", "1", "--strategy", "learning-loss")
    assert result.code == 0
    lines = result.output.splitlines()
    assert lines[0] == f"2 runs on 1 tasks, 1 at a time, into {out}"
    assert "tiny learning-loss shared seed 1: done, 3 of 3 rounds; in all 6 of 6 rounds" in result.output
    assert f"Curves: {out / 'curves.png'}" in lines
    assert f"Page:   {(out / 'page/index.html').as_uri()}" in lines
    assert lines[-1] == "2 seeds show that it runs, not who wins."
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "page/index.html").is_file()
    found = sorted(path.relative_to(out).as_posix() for path in out.glob("records/**/*"))
    assert found == ["records/tiny", *(f"records/tiny/learning-loss-shared-s{seed}.json" for seed in (0, 1))]
    assert not list(out.glob("**/*.part"))


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


def test_a_training_on_the_whole_pool_can_be_asked_for(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    words = ("--strategy", "full-pool", "--seed", "1", "--out", tmp_path / "out", "--workers", "1")
    result = lossbench_cli("run", written(tmp_path), *words)
    assert result.code == 0
    assert re.search(r"^tiny, shared, seed 1: accuracy 0\.\d+ with all 48 labels$", result.output, re.MULTILINE)
    (path,) = (tmp_path / "out").glob("records/**/*.json")
    record = read_record(path)
    assert (record.strategy, record.seed, [one.labeled for one in record.rounds]) == ("full-pool", 1, [48])


def test_checking_no_folder_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    assert the_line(lossbench_cli("records", "check", tmp_path / "none")) == f"no folder of records {tmp_path / 'none'}"


QUICKSTART = CONFIGS / "sweeps" / "quickstart.toml"
FAULTS: list[tuple[list[str | Path], str]] = [
    (
        [QUICKSTART, "--strategy", "nothing"],
        "no strategy 'nothing'; known: random, .* give the path of its file",
    ),
    ([QUICKSTART, "--strategy", "nothing.py"], "no strategy file nothing.py"),
    (
        [QUICKSTART, "--protocol", "nothing"],
        "no protocol 'nothing' in this sweep; there are scenes-classification, scenes-det",
    ),
    ([QUICKSTART, "--track", "wild"], r"the command line: tracks\.0: Input should be 'shared' or 'native' .*'wild'"),
    ([QUICKSTART, "--seed", "-1"], r"the command line: seeds\.0: Input should be greater than or equal to 0"),
    ([QUICKSTART, "--split", "train"], r"the command line: split: Input should be 'test' or 'validation' .*'train'"),
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
    assert line == "no device 'cuda' on this machine; use --device cpu"


def test_a_seed_that_is_no_number_is_a_usage_error(lossbench_cli: Callable[..., Result]) -> None:
    result = lossbench_cli("run", QUICKSTART, "--seed", "one")
    assert result.code == 2
    words = " ".join(result.errors.replace("│", " ").split())  # out of the frame that typer draws
    assert "--seed" in words
    assert "integer" in words


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
    assert not list((tmp_path / "out").glob("records/**/*.json"))


def test_an_out_folder_that_is_a_file_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("here I am")
    line = the_line(lossbench_cli("run", written(tmp_path), "--out", tmp_path / "out", "--workers", "1"))
    assert str(tmp_path / "out") in line
    assert (tmp_path / "out").read_text() == "here I am"


def test_a_tap_that_is_none_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    task = TASK + "[loss_prediction]\ntaps = [0, 7]\n"
    sweep, wanted = written(tmp_path, task), "LossNet is set to read taps (0, 7), but the model has taps 0 to 3"
    assert the_line(lossbench_cli("run", sweep, "--out", tmp_path / "out", "--workers", "1")) == wanted
    assert the_line(lossbench_cli("speed", tmp_path / "tasks/tiny.toml", "--out", tmp_path / "out")) == wanted


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
