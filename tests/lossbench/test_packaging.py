"""What is installed: the versions of CI, and a wheel that works from any folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = ("lossnet", "tasks", "strategies", "leaderboard", "lossbench")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINNED = SETTINGS["tool"]["uv"]["constraint-dependencies"]
REPLACED = {canonicalize_name(Requirement(each).name) for each in SETTINGS["tool"]["uv"]["override-dependencies"]}


def required(requirement: Requirement, known: set[str]) -> set[str]:
    """The names of a package and of all that it asks for in this environment."""
    name = canonicalize_name(requirement.name)
    if name in known | REPLACED or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
        return known
    known |= {name}
    for each in distribution(name).requires or ():
        known = required(Requirement(each), known)
    return known


def test_every_package_is_pinned_to_one_version_and_sorted() -> None:
    names: set[str] = set()
    for each in (*SETTINGS["project"]["dependencies"], *SETTINGS["dependency-groups"]["dev"]):
        names = required(Requirement(each), names)
    pins = [each.split("==")[0] for each in PINNED]
    assert names <= set(pins)
    assert pins == sorted(set(pins))
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", each) for each in PINNED)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_holds_code_and_configurations_and_no_records(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    rooms = {name.split("/")[0] for name in names}
    assert {room for room in rooms if not room.endswith(".dist-info")} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    beside = {path.relative_to(ROOT).as_posix() for path in (ROOT / "leaderboard/site/templates").iterdir()}
    assert beside | {"leaderboard/published.toml"} <= names
    configs = {f"lossbench/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "configs").rglob("*.toml")}
    assert configs <= names
    assert not [name for name in names if re.search(r"records/|submissions/.*/|tests/|\.json$", name)]
    assert wheel.stat().st_size < 1 << 20


@pytest.mark.slow
def test_the_wheel_works_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    lines = (
        "import lossbench, tempfile",
        "from pathlib import Path",
        "from lossbench.config_files import read_sweep",
        "from lossbench.paths import shipped",
        "from lossbench.publishing.boards import planned_comparisons",
        "assert Path(lossbench.__file__).is_relative_to(Path('installed').resolve()), lossbench.__file__",
        "assert len(read_sweep('quickstart')[1]) == 3",
        "assert planned_comparisons(shipped('configs/sweeps'))",
        "from leaderboard.schema.records import Record",
        "record = Record.model_validate_json(Path('record.json').read_text())",
        "print(lossbench.__version__, lossbench.Leaderboard([record]).build('page').name)",
    )
    committed = next((ROOT / "leaderboard/records/test/scenes-pose").glob("random-*.json"))
    (tmp_path / "record.json").write_bytes(committed.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": "installed"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split() == [SETTINGS["project"]["version"], "index.html"]
