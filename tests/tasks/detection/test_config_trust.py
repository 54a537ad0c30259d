"""mmdet configs run as Python code: only those that mmdet ships are loaded, unless the user trusts others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Result, the_line

import tasks.models.openmmlab  # noqa: F401 - before mmdet is imported
from tasks.errors import DataError
from tasks.models.settings import FullSsdSettings
from tasks.models.ssd import SHIPPED, config_file, input_colors
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
    trust_configs(False)
    yield
    trust_configs(False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config that leaves a mark when it is loaded."""
    base = SHIPPED / "pascal_voc/ssd300_voc0712.py"
    code = f"import pathlib\n_base_ = {str(base)!r}\npathlib.Path({str(tmp_path / 'mark')!r}).touch()\n"
    (tmp_path / "own.py").write_text(code)
    return tmp_path / "own.py"


def test_a_config_from_elsewhere_is_loaded_only_where_it_is_trusted(config: Path, tmp_path: Path) -> None:
    settings = FullSsdSettings(kind="mmdet", config=str(config), imagenet=False)
    with pytest.raises(DataError, match=r"own\.py: an mmdet config runs as Python code, .* give --trust-config"):
        input_colors(settings)
    assert not (tmp_path / "mark").exists()
    trust_configs(True)
    input_colors(settings)
    assert (tmp_path / "mark").exists()


def test_a_way_out_of_mmdets_folder_is_none(config: Path) -> None:
    outward = "/".join([".."] * len(SHIPPED.parts)) + str(config)
    assert (SHIPPED / outward).is_file()
    with pytest.raises(DataError, match=r"no mmdet config|give --trust-config"):
        config_file(FullSsdSettings(kind="mmdet", config=outward))


def test_a_file_of_the_same_name_does_not_stand_for_mmdets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FullSsdSettings(kind="mmdet")
    (tmp_path / settings.config).parent.mkdir()
    shutil.copy(SHIPPED / settings.config, tmp_path / settings.config)
    monkeypatch.chdir(tmp_path)
    assert config_file(settings) == SHIPPED / settings.config


def test_the_command_line_refuses_before_anything_is_rendered(
    config: Path, lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "own.toml").write_text(PROTOCOL.replace("CONFIG", str(config)))
    out = tmp_path / "out"
    for command in (("run",), ("measure", "training"), ("measure", "selection")):
        extra = ("--workers", "1") if command == ("run",) else ()
        said = the_line(lossbench_cli(*command, tmp_path / "own.toml", "--out", out, *extra))
        assert said.startswith(f"{config}: an mmdet config runs as Python code")
    assert not (tmp_path / "mark").exists()
    assert not list(out.glob("cache/*"))
    assert not configs_trusted()
