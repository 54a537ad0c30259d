"""Honest submissions of a tiny task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # this file is read by the process that only hands out tests, too
    from lossbench.submissions.folder import Submission


@pytest.fixture(scope="session")
def protocols(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny task of rendered scenes."""
    from sample_configs import TASK

    folder = tmp_path_factory.mktemp("configs") / "tasks"
    folder.mkdir()
    (folder / "tiny.toml").write_text(TASK, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def reported(protocols: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two honest runs."""
    from submitted_strategies import honest_runs

    return honest_runs(protocols, tmp_path_factory.mktemp("runs"), 1)


@pytest.fixture(scope="session")
def reported_by_workers(protocols: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same, made by processes like those that rerun them: in another process bits may differ."""
    from submitted_strategies import honest_runs

    return honest_runs(protocols, tmp_path_factory.mktemp("runs"), 2)


@pytest.fixture
def submission(request: pytest.FixtureRequest, tmp_path: Path) -> Submission:
    """An honest submission; a test may spoil it. Slow tests rerun it."""
    from submitted_strategies import code

    from lossbench.submissions.folder import STRATEGY, Submission, add_records, create_submission

    slow = request.node.get_closest_marker("slow")
    files = request.getfixturevalue("reported_by_workers" if slow else "reported")
    file = tmp_path / STRATEGY
    file.write_text(code(), encoding="utf-8")
    folder = create_submission(file, "last", tmp_path / "submissions")
    add_records(files, folder)
    return Submission.read(folder)
