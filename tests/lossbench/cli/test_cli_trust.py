"""The option --trust-config: without it no command runs a config from elsewhere than mmdet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Result, the_line

from tasks.models.trust import configs_trusted, trust_configs

PROTOCOL = """
name = "own"
version = 1
budget = { initial = 12, step = 6, rounds = 2 }

[task]
kind = "detection"
data = { scenes = { seed = 3, pool = 60, test = 24 }, validation = 12 }
model = { kind = "mmdet", config = "CONFIG", imagenet = false }
recipe = { epochs = 1, batch = 16, optimizer = "adamw", learning_rate = 1e-3 }
"""


@pytest.fixture(autouse=True)
def _untrusted() -> Iterator[None]:
    yield
    trust_configs(False)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A protocol whose config leaves a mark when it is loaded, and then fails."""
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\n1 / 0\n")
    (tmp_path / "own.toml").write_text(PROTOCOL.replace("CONFIG", str(tmp_path / "own.py")))
    return tmp_path / "own.toml"


COMMANDS = (("run", "--workers", "1"), ("measure", "training"), ("measure", "selection", "--strategy", "random"))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_config_from_elsewhere_is_refused_before_anything_is_rendered(
    words: tuple[str, ...], own: Path, lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    said = the_line(lossbench_cli(*words, own, "--out", tmp_path / "out"))
    assert said.startswith(f"{tmp_path}/own.py: an mmdet config runs as Python code")
    assert "--trust-config" in said
    assert not (tmp_path / "mark").exists()
    assert not list(tmp_path.glob("out/cache/*"))


def test_with_the_option_it_is_run(own: Path, lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    words = ("run", own, "--trust-config", "--workers", "1", "--out", tmp_path / "out")
    assert "own.py, line 2: ZeroDivisionError" in the_line(lossbench_cli(*words))
    assert configs_trusted()
    assert (tmp_path / "mark").exists()
