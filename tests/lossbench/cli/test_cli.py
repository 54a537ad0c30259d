"""The command line as a whole: its help, typos, completion, and how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from command_line import Result, the_line
from sample_configs import TASK, written

from leaderboard.schema.records import read_record
from lossbench.cli.main import how_to_go_on
from lossbench.config_files import config_files
from strategies import STRATEGIES

ROOT = Path(__file__).parents[3]
COMMANDS = [
    "run",
    "pick",
    "list taps",
    "list protocols",
    "list strategies",
    "list sweeps",
    "data check",
    "data fetch",
    "measure training",
    "measure selection",
    "diagnose",
    "submission check",
    "submission create",
    "submission verify",
    "leaderboard build",
    "leaderboard export",
    "leaderboard check",
    "leaderboard docs",
]
LIGHT = """
import sys
sys.argv = ["lossbench", *sys.argv[1:]]
from lossbench.cli.main import main
try:
    main()
finally:
    heavy = {"torch", "torchvision", "pandas", "numpy", "scipy", "altair", "mmdet", "mmpose", "cv2", "pydantic", "rich"}
    print("heavy:", sorted(heavy & sys.modules.keys()))
"""
COMMAND = [sys.executable, "-c", "from lossbench.cli.main import main; main()"]
SECONDS = 180  # how long a subprocess may take on a busy machine


@pytest.mark.parametrize("words", ["", "--help", "--version"])
def test_help_imports_nothing_heavy(words: str) -> None:
    command = [sys.executable, "-c", LIGHT, *words.split()]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "heavy: []"
    assert result.stderr == ""


def test_help_lists_every_command_once(lossbench_cli: Callable[..., Result]) -> None:
    groups = {each.split()[0] for each in COMMANDS}
    listed = lossbench_cli().output.partition("Commands:\n")[2]
    assert {line.split()[0] for line in listed.splitlines() if line.strip()} == groups
    for group in groups - {"run", "pick", "diagnose"}:
        listed = lossbench_cli(group).output.partition("Commands:\n")[2]
        names = [f"{group} {line.split()[0]}" for line in listed.splitlines() if line.strip()]
        assert sorted(names) == sorted(each for each in COMMANDS if each.startswith(f"{group} "))


def test_no_help_text_is_cut_off(lossbench_cli: Callable[..., Result]) -> None:
    for group in ("list", "data", "measure", "submission", "leaderboard"):
        assert "..." not in lossbench_cli(group).output.partition("Commands:")[2]
    assert "..." not in lossbench_cli().output.partition("Commands:")[2]


def test_examples_of_the_help_have_a_line_each(lossbench_cli: Callable[..., Result]) -> None:
    lines = [line.strip() for line in lossbench_cli("run", "--help").output.splitlines()]
    assert "lossbench run quickstart" in lines
    assert "lossbench run quickstart --strategy mine.py" in lines


def test_the_version_is_that_of_the_package(lossbench_cli: Callable[..., Result]) -> None:
    result = lossbench_cli("--version")
    assert (result.code, result.output.split()[0]) == (0, "lossbench")
    assert f'version = "{result.output.split()[1]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("rnu", "no command 'rnu'; did you mean run? (see `lossbench --help`)"),
        ("list startegies", "no command 'startegies'; did you mean strategies? (see `lossbench list --help`)"),
        ("data x", "no command 'x'; there are check, fetch (see `lossbench data --help`)"),
        (
            "run quickstart --sed 1",
            "No such option: --sed (Possible options: --seed, --shard) (see `lossbench run --help`)",
        ),
        ("run", "Missing argument 'SWEEP' (see `lossbench run --help`)"),
    ],
)
def test_a_typo_is_one_line_with_close_names(words: str, line: str, lossbench_cli: Callable[..., Result]) -> None:
    assert the_line(lossbench_cli(*words.split())) == line


COMPLETIONS = {
    "lossbench lea": ["leaderboard"],
    "lossbench run quickst": ["quickstart", "quickstart-classification", "quickstart-detection", "quickstart-pose"],
    "lossbench run mine": ["mine.toml"],
    "lossbench run quickstart --strategy committee": ["committee-vote-entropy", "committee-disagreement"],
    "lossbench run quickstart --strategy mine": ["mine.py"],
    "lossbench run quickstart --strategy full": ["full-pool"],
    "lossbench run quickstart --protocol lspet-mini-b": ["lspet-mini-bf16"],
    "lossbench run quickstart --split v": ["validation"],
    "lossbench run quickstart --device c": ["cpu", "cuda"],
    "lossbench data fetch voc": ["voc2007", "voc2012"],
    "lossbench measure training voc0": ["voc0712"],
    "lossbench submission verify ran": ["ranks"],
    "lossbench submission verify --submissions leaderboard m": [],
    "lossbench submission verify ranks --protocol lspet-mini-b": ["lspet-mini-bf16"],
}
COMPLETE = f"""
import os
for words in {list(COMPLETIONS)!r}:
    print("words:", words)
    os.environ |= {{"_LOSSBENCH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}}
    try:
        exec({LIGHT!r})
    except SystemExit:
        pass
"""


def test_the_shell_completes_names_and_files(tmp_path: Path) -> None:
    submission = tmp_path / "leaderboard/submissions/ranks"
    submission.mkdir(parents=True)
    for place in (tmp_path / "mine.py", tmp_path / "mine.toml", tmp_path / "mine.txt", submission / "meta.toml"):
        place.touch()
    result = subprocess.run([sys.executable, "-c", COMPLETE], capture_output=True, text=True, check=True, cwd=tmp_path)
    offered = {}
    for answer in result.stdout.split("words: ")[1:]:
        words, *names, heavy = answer.splitlines()
        assert heavy in {"heavy: []", "heavy: ['pydantic']"}  # which typer itself imports to read options
        offered[words] = [name for name in names if name]
    assert offered == COMPLETIONS


def test_the_shell_is_offered_every_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from lossbench.cli.completion import protocol_names, strategy_names, sweep_names

    monkeypatch.chdir(tmp_path)
    assert sorted(strategy_names("")) == sorted(each.name for each in STRATEGIES)
    protocols, sweeps = ([path.stem for path in config_files(ROOT / "configs" / each)] for each in ("tasks", "sweeps"))
    assert protocol_names("") == protocols
    assert sweep_names("") == [*sweeps, *protocols]


def stopped(words: list[str], out: Path, number: int, started: list[subprocess.Popen[str]]) -> Result:
    """A command that gets a signal, as from a terminal, once two records are there."""
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    started.append(process)
    end = time.monotonic() + SECONDS
    while len(list(out.glob("records/*/*.json"))) < 2:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number)
    output, errors = process.communicate(timeout=SECONDS)
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive, [each.cmdline() for each in alive]
    return Result(process.returncode, output, errors)


def long_sweep(folder: Path) -> Path:
    task = TASK.replace("step = 6, rounds = 3", "step = 4, rounds = 3").replace("epochs = 1", "epochs = 6")
    return written(folder, task, f'protocols = ["tiny"]\nstrategies = ["random"]\nseeds = {list(range(40))}\n')


@pytest.mark.parametrize(
    ("words", "resumable"),
    [
        ("run quickstart", True),
        ("submission create mine.py", True),
        ("pick --unlabeled photos --oracle labels.json --out here", True),
        ("pick --unlabeled photos --oracle=labels.json --out here", True),
        ("pick --unlabeled photos --out here", False),
        ("submission check mine.py", False),
    ],
)
def test_only_commands_that_keep_rounds_say_how_to_go_on(
    words: str, resumable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["lossbench", *words.split()])
    line = f"stopped; finished rounds are kept. To go on: lossbench {words}" if resumable else "stopped"
    assert how_to_go_on() == line


@pytest.mark.parametrize(
    ("number", "code", "workers"),
    [
        (signal.SIGINT, 130, 1),
        pytest.param(signal.SIGTERM, 143, 1, marks=pytest.mark.slow),  # a start of Python with torch
        pytest.param(signal.SIGINT, 130, 2, marks=pytest.mark.slow),  # three of them
        pytest.param(signal.SIGTERM, 143, 2, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_sweep_with_one_line_that_says_how_to_go_on(
    number: int, code: int, workers: int, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    out = tmp_path / "an out"
    words = ["run", str(long_sweep(tmp_path)), "--out", str(out), "--workers", str(workers)]
    result = stopped(words, out, number, started)
    assert result.code == code
    (line,) = result.errors.splitlines()
    again = f"lossbench run {tmp_path}/sweeps/tiny.toml --out '{out}' --workers {workers}"
    assert line == f"lossbench: stopped; finished rounds are kept. To go on: {again}"
    records = [read_record(path) for path in out.glob("records/*/*.json")]
    assert records
    assert all(record.rounds for record in records)


def test_the_command_is_installed() -> None:
    command = shutil.which("lossbench", path=str(Path(sys.executable).parent))
    assert command
    assert subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout.startswith("lossb")
