"""The runbook of docs/gpu.md: every command is one, and they run on a CPU with the sizes cut."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from command_line import Result
from sample_configs import TASK

from lossbench.cli.main import app
from lossbench.config_files import config_files, read_sweep

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/gpu.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
COMMANDS = [shlex.split(line)[1:] for line in LINES if line.startswith("lossbench ")]
MEASURED = [words for words in COMMANDS if words[0] == "measure"]
RUNS = [words for words in COMMANDS if words[0] == "run"]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_of_the_runbook_is_one(words: list[str]) -> None:
    command, rest = typer.main.get_command(app), list(words)
    while commands := getattr(command, "commands", None):
        command = commands[rest.pop(0)]
    command.make_context(words[0], rest)
    protocols = {path.stem for path in config_files(ROOT / "configs/tasks")}
    sweeps = {path.stem for path in (ROOT / "configs/sweeps").glob("*.toml")}
    if words[0] in {"measure", "data"}:
        assert words[2] in protocols
    if words[0] == "run":
        assert words[1] in sweeps


def test_every_file_that_a_command_names_exists() -> None:
    named = {word for line in LINES for word in shlex.split(line) if word.endswith(".py")}
    assert named == {"examples/pack_cifar10.py", "tests/tasks/training/test_cuda.py"}
    assert all((ROOT / name).is_file() for name in named)


def cut(words: list[str], folder: Path) -> list[str]:
    """A command on a CPU, with tiny protocols of the same names; a sweep has the same strategies and tracks, and one seed."""
    here = {"DIR": str(folder), "cuda": "cpu"}
    words = [here.get(word, word) for word in words]
    if words[0] == "measure":
        sweep, names, words[2] = None, (words[2],), str(folder / "tasks" / f"{words[2]}.toml")
        words += ["--out", str(folder / "out"), "--steps", "1"]
    else:
        sweep, _ = read_sweep(ROOT / "configs/sweeps" / f"{words[1]}.toml")
        names, words[1] = sweep.protocols, str(folder / "sweeps" / f"{words[1]}.toml")
        out = words[words.index("--out") + 1] if "--out" in words else "out"
        words += ["--out", str(folder / out), "--seed", "0"]
    for part in ("tasks", "sweeps"):
        (folder / part).mkdir(exist_ok=True)
    for name in names:
        tiny = TASK.replace('"tiny"', f'"{name}"').replace("rounds = 3", "rounds = 2")
        (folder / "tasks" / f"{name}.toml").write_text(tiny, encoding="utf-8")
    if sweep:
        lists = {"protocols": sweep.protocols, "strategies": sweep.strategies, "tracks": sweep.tracks, "seeds": (0,)}
        text = "".join(f"{name} = {list(values)!r}\n".replace("'", '"') for name, values in lists.items())
        Path(words[1]).write_text(text, encoding="utf-8")
    return words


@pytest.mark.parametrize("words", MEASURED[:1], ids=" ".join)
def test_speeds_are_measured_on_a_cpu_too(
    words: list[str], lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    result = lossbench_cli(*cut(words, tmp_path))
    assert result.code == 0, result.errors
    assert "data on the device" in " ".join(result.output.split())


@pytest.mark.slow
@pytest.mark.parametrize("words", RUNS, ids=" ".join)
def test_the_runs_of_the_runbook_end_on_a_cpu(
    words: list[str], lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    result = lossbench_cli(*cut(words, tmp_path))
    assert result.code == 0, result.errors
    assert list(tmp_path.glob("*/records/**/*.json"))
