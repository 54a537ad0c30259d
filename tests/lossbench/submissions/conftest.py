"""Honest submissions of a tiny task."""

from __future__ import annotations

import json
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
    from submitted_strategies import records_in, wanted

    from lossbench.submissions.rerun import run

    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        run(wanted(protocols, folder, seed))
    return records_in(folder)


@pytest.fixture(scope="session")
def reported_from_the_sandbox(protocols: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same, each made by a process like the one that reruns it: on other instructions bits may differ."""
    from submitted_strategies import records_in, wanted

    from lossbench.submissions.sandbox import run_python

    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        what = json.dumps(wanted(protocols, folder, seed))
        run_python(["-m", "lossbench.submissions.rerun", "run", what], folder)
    return records_in(folder)


@pytest.fixture
def submission(request: pytest.FixtureRequest, tmp_path: Path) -> Submission:
    """An honest submission; a test may spoil it. Slow tests rerun it."""
    from submitted_strategies import code

    from lossbench.submissions.folder import STRATEGY, Submission, add_records, create_submission

    slow = request.node.get_closest_marker("slow")
    files = request.getfixturevalue("reported_from_the_sandbox" if slow else "reported")
    file = tmp_path / STRATEGY
    file.write_text(code(), encoding="utf-8")
    folder = create_submission(file, "last", tmp_path / "submissions")
    add_records(files, folder)
    return Submission.read(folder)
