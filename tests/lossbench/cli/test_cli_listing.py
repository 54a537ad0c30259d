"""`lossbench list` and `lossbench data`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result, the_line
from sample_configs import written

from lossbench.config_files import config_files
from strategies import STRATEGIES

CONFIGS = Path(__file__).parents[3] / "configs"
ODD = "odd [bold] [/name] ü"  # a folder in a folder: rich reads such brackets as markup


def test_protocols_are_listed_with_what_they_cost(
    lossbench_cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = lossbench_cli("list", "protocols")
    assert result.code == 0
    rows = result.output.splitlines()[1:]
    assert [row.split()[0] for row in rows] == [path.stem for path in config_files(CONFIGS / "tasks")]
    written(tmp_path)
    (_, row) = lossbench_cli("list", "protocols", tmp_path / "tasks").output.splitlines()
    assert row.split() == ["tiny", "1", "classification", "12", "to", "24", "3", "30"]


def test_strategies_are_listed_with_paper_kind_needs_and_cost(lossbench_cli: Callable[..., Result]) -> None:
    result = lossbench_cli("list", "strategies")
    assert result.code == 0
    for each in STRATEGIES:
        (row,) = [line for line in result.output.splitlines() if line.startswith(f" {each.name} ")]
        cells = [cell.strip() for cell in row.split("  ") if cell.strip()]
        assert cells == [cell for cell in (each.name, each.paper, each.kind, each().needs, each.cost) if cell]
        assert ("lossnet" in cells[3]) == each.needs_lossnet


def test_sweeps_are_listed_with_protocols_strategies_and_seeds(
    lossbench_cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = lossbench_cli("list", "sweeps")
    assert result.code == 0
    rows = [line.split() for line in result.output.splitlines()[1:]]
    assert [row[0] for row in rows] == [path.stem for path in config_files(CONFIGS / "sweeps")]
    (row,) = (" ".join(row) for row in rows if row[0] == "native")
    assert row == (
        "native cifar10-mini, voc2007-mini, lspet-mini random, entropy, core-set, learning-loss 0 to 2 native test"
    )
    written(tmp_path, sweep='protocols = ["tiny"]\nstrategies = ["random"]\nseeds = [3, 5]\n')
    (_, row) = lossbench_cli("list", "sweeps", tmp_path / "sweeps").output.splitlines()
    assert row.split() == ["tiny", "tiny", "random", "3,", "5", "shared", "test"]


def test_a_folder_without_protocols_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    line = the_line(lossbench_cli("list", "protocols", tmp_path))
    assert line == f"no protocols in {tmp_path}; give the folder that holds them"


def test_data_says_what_is_missing_where(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        result = lossbench_cli("data", "check", "--data", folder)
        assert (result.code, result.errors) == (0, "")
        assert str(folder) in result.output.splitlines()[0]
        for name in ("cifar-10-batches-py", "VOCdevkit", "pose", "camvid", "cityscapes"):
            (row,) = [line for line in result.output.splitlines() if f" {name}: " in line]
            assert "not there; get it: " in row


def test_data_in_a_folder_of_any_name(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir(parents=True)
    assert str(folder) in lossbench_cli("data", "check", "--data", folder).output.splitlines()[0]


def test_damaged_data_is_named(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number in range(1, 6):
        (folder / f"data_batch_{number}").write_bytes(b"not a batch")
    result = lossbench_cli("data", "check", "--data", tmp_path)
    assert the_line(result) == "damaged: CIFAR-10; what to do stands beside each"
    assert "data_batch_1 is damaged: MD5 " in result.output
    assert "not there; get it" in result.output, "the others are looked at, too"


def test_data_that_cannot_be_fetched_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    line = the_line(lossbench_cli("data", "fetch", "cifar", "--data", tmp_path))
    assert line.startswith("cannot fetch 'cifar'; did you mean cifar10? (MPII requires a registration)")
