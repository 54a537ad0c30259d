"""Bad input to `lossbench run`: each kind ends in one line, before anything is made."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Result, the_line
from sample_configs import TASK

from lossbench.paths import write_fault

CHANGES = [
    ("rounds", "rounds = 3", "rounds = 1000000000", "budget.rounds: Input should be less than or equal to 10000"),
    ("budget", "rounds = 3", "rounds = 9", "a budget of 60 labels is larger than the pool of 60 images less 12"),
    ("pool", "pool = 60", "pool = 1000000000000", "scenes.pool: Input should be less than or equal to 1000000"),
    ("validation", "validation = 12", "validation = 60", "cannot hold out 60 for validation"),
    ("seed", "seed = 3", "seed = 18446744073709551616", "scenes.seed: Input should be less than or equal to 2147"),
    ("digits", "seed = 3", f"seed = {'9' * 5000}", "is not TOML: Exceeds the limit"),
    (
        "hexadecimal digits",
        "seed = 3",
        f"seed = 0x{'f' * 5000}",
        "is not TOML: a number in it has more than 1,000 digits",
    ),
    ("infinity", "1e-3", "inf", "learning_rate: Input should be a finite number (given: inf)"),
    ("no number", "1e-3", "nan", "learning_rate: Input should be a finite number (given: nan)"),
    ("a text", "epochs = 1", 'epochs = "1"', "epochs: Input should be a valid integer (given: '1')"),
    ("true", "epochs = 1", "epochs = true", "epochs: Input should be a valid integer (given: True)"),
    ("milestones", "1e-3", "1e-3, milestones = [-1, 7]", "milestones.0: Input should be greater than 0"),
    ("milestone twice", "1e-3", "1e-3, milestones = [0.5, 0.5]", "each number must be larger than the one before it"),
    (
        "tap twice",
        "[task]",
        "[loss_prediction]\ntaps = [1, 1]\n[task]",
        "loss_prediction.taps: Value error, 1 is given",
    ),
    (
        "negative tap",
        "[task]",
        "[loss_prediction]\ntaps = [-1]\n[task]",
        "taps.0: Input should be greater than or equal",
    ),
    ("fused", '"adamw"', '"rmsprop", fused = true', "RMSprop has no fused kernel; remove `fused`"),
    ("a NUL byte", 'name = "tiny"', 'name = "ti\\u0000ny"', "name: String should match pattern"),
    (
        "an escape sequence",
        "epochs = 1",
        'epochs = 1, "\\u001b[31m" = 1',
        "recipe.\\x1b[31m: no such setting",
    ),
    ("its own base", "version = 1", 'base = "tiny"', "the base 'tiny' is the file itself"),
    ("a base with a NUL byte", "version = 1", 'version = 1\nbase = "a\\u0000"', "base: String should match pattern"),
]
CONTENTS = {
    "nested lists": (b"x = " + b"[" * 20000, "is not TOML: lists or tables in it are nested too deeply"),
    "nested tables": (b"x = " + b"{a=" * 20000, "is not TOML: lists or tables in it are nested too deeply"),
    "UTF-16": (TASK.encode("utf-16"), "is not TOML: 'utf-8' codec can't decode"),
    "Latin-1": (TASK.replace("tiny", "t\xefny").encode("latin-1"), "is not TOML: 'utf-8' codec can't decode"),
    "NUL bytes": (b"\0" * 100, "is not TOML"),
    "a huge file": (b"# " + b"x" * (1 << 20), "not a regular file of at most 1 MiB"),
    "nothing": (b"", "protocols: Field required"),
}
SWEEPS = [
    ("tracks", "tracks = []", "tracks: Tuple should have at least 1 item"),
    ("a pattern", 'protocols = ["*"]', "protocols.0: String should match pattern"),
    ("a NUL byte", 'protocols = ["a\\u0000"]', "protocols.0: String should match pattern"),
    ("a strategy with a NUL byte", 'strategies = ["a\\u0000.py"]', "strategies.0: String should match pattern"),
    ("a strategy against itself", 'contrasts = [["random", "random"]]', "'random' is given twice"),
    ("an infinite seed", "seeds = [inf]", "seeds.0: Input should be a valid integer"),
]
WORDS = [
    ("a huge seed", ["--seed", "18446744073709551616"], "Input should be less than or equal to 2147483648"),
    ("a negative seed", ["--seed", "-1"], "Input should be greater than or equal to 0"),
    ("a device of letters", ["--device", "cpu:x"], "no device 'cpu:x' on this machine"),
    ("a device beyond all", ["--device", "cpu:7"], "no device 'cpu:7' on this machine"),
    ("a device without a number", ["--device", "cuda:"], "no device 'cuda:' on this machine"),
    ("a crowd of workers", ["--workers", "1000000"], "Input should be less than or equal to 1024"),
]


@pytest.fixture
def refused(lossbench_cli: Callable[..., Result], tmp_path: Path) -> Callable[..., str]:
    """Runs a file and gives the one line that refuses it; nothing may have been made."""

    def of(file: Path, *words: str) -> str:
        out = tmp_path / "out"
        line = the_line(lossbench_cli("run", file, "--out", out, "--workers", "1", *words))
        assert not out.exists()
        assert len(line) < 600
        return line

    return of


def file_of(folder: Path, content: str | bytes) -> Path:
    path = folder / "tiny.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(("old", "new", "words"), [each[1:] for each in CHANGES], ids=[each[0] for each in CHANGES])
def test_a_setting_out_of_bounds_is_refused(
    refused: Callable[..., str], tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in TASK
    assert words in refused(file_of(tmp_path, TASK.replace(old, new)))


@pytest.mark.parametrize(("content", "words"), CONTENTS.values(), ids=CONTENTS)
def test_a_file_that_is_no_toml_is_refused(
    refused: Callable[..., str], tmp_path: Path, content: bytes, words: str
) -> None:
    assert words in refused(file_of(tmp_path, content))


@pytest.mark.parametrize(("line", "words"), [each[1:] for each in SWEEPS], ids=[each[0] for each in SWEEPS])
def test_a_sweep_out_of_bounds_is_refused(refused: Callable[..., str], tmp_path: Path, line: str, words: str) -> None:
    given = {"protocols": '["tiny"]', "strategies": '["random"]', "seeds": "[0]"}
    name, _, value = line.partition(" = ")
    text = "".join(f"{key} = {each}\n" for key, each in (given | {name: value}).items())
    assert words in refused(file_of(tmp_path, text))


@pytest.mark.parametrize(("options", "words"), [each[1:] for each in WORDS], ids=[each[0] for each in WORDS])
def test_an_option_out_of_bounds_is_refused(
    refused: Callable[..., str], tmp_path: Path, options: list[str], words: str
) -> None:
    assert words in refused(file_of(tmp_path, TASK), *options)


def test_only_regular_files_are_read(refused: Callable[..., str], tmp_path: Path) -> None:
    pipe, zeros, loop = tmp_path / "pipe.toml", tmp_path / "zeros.toml", tmp_path / "loop.toml"
    os.mkfifo(pipe)
    zeros.symlink_to("/dev/zero")
    loop.symlink_to(loop)
    for each in (pipe, zeros, Path("/dev/zero")):
        assert "cannot be read: not a regular file" in refused(each)
    assert "cannot be read: Is a directory" in refused(tmp_path)
    assert "cannot be read: Too many levels of symbolic links" in refused(loop)
    linked = tmp_path / "linked.toml"
    linked.symlink_to(file_of(tmp_path, TASK.replace("epochs = 1", "epochs = 0")))
    assert "epochs: Input should be greater than or equal to 1" in refused(linked)


@pytest.mark.parametrize("below", ["", "deep/out"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_runs(
    lossbench_cli: Callable[..., Result], tmp_path: Path, below: str
) -> None:
    file = file_of(tmp_path, TASK)
    line = the_line(lossbench_cli("run", "no-such", "--out", file / below))
    assert f"'--out': {file} is a file where a folder is needed; give another folder, or move the file away" in line


def test_a_folder_without_permission_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: place != tmp_path)  # root may write everywhere
    assert (
        write_fault(tmp_path / "new/out")
        == f"{tmp_path} may not be written; give another folder, or change its permissions"
    )
    assert write_fault(tmp_path.parent) == ""


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "permission denied; choose another place, or change its permissions"),
        (errno.EROFS, "read-only file system; choose another place, or change its permissions"),
        (errno.ENOSPC, "no space left on device; make room, or choose another place"),
        (errno.ENOTDIR, "not a directory; choose another place, or move away what is there"),
        (errno.EIO, "input/output error; check the path"),
    ],
)
def test_what_the_system_refuses_names_the_file_and_a_remedy(
    lossbench_cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "here"))

    monkeypatch.setattr("lossbench.cli.commands.data.say", fail)
    assert the_line(lossbench_cli("data", "check")) == f"{tmp_path}/here: {words}"


@pytest.mark.parametrize("seed", ["-1", "18446744073709551616"])
def test_a_submission_with_such_a_seed_is_not_begun(
    lossbench_cli: Callable[..., Result], tmp_path: Path, seed: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text("")
    line = the_line(lossbench_cli("submission", "create", file, "--seed", seed, "--submissions", tmp_path / "made"))
    assert "Invalid value for '--seed': Input should be" in line
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("allocate", [lambda: torch.empty(1 << 55), lambda: np.empty(1 << 55)], ids=["torch", "numpy"])
def test_a_failed_allocation_is_one_line(
    lossbench_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, allocate: Callable[[], object]
) -> None:
    monkeypatch.setattr("lossbench.config_files.read_sweep", lambda _: allocate())
    assert the_line(lossbench_cli("run", "quickstart")).startswith("not enough memory: ")
