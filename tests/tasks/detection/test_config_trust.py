"""mmdet configs run as Python code: only those that mmdet ships are loaded, unless the user trusts others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import tasks.models.openmmlab  # noqa: F401 - before mmdet is imported
from tasks.errors import DataError
from tasks.models.openmmlab.detector_config import SHIPPED, config_file, input_colors
from tasks.models.settings import FullSsdSettings
from tasks.models.trust import trust_configs


@pytest.fixture(autouse=True)
def _untrusted() -> Iterator[None]:
    trust_configs(False)
    yield
    trust_configs(False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config that leaves a mark when it is loaded."""
    base = SHIPPED / "pascal_voc/ssd300_voc0712.py"
    code = f"_base_ = {str(base)!r}\nopen({str(tmp_path / 'mark')!r}, 'w').close()\n"
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
