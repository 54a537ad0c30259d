"""A submission is one file: a strategy that imports what lies beside it, or is not there, is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossbench.config import ConfigError
from lossbench.submissions.folder import create_submission
from lossbench.submissions.verification import check_in_sandbox


@pytest.fixture
def strategy(tmp_path: Path) -> Path:
    (tmp_path / "helpers.py").write_text("def nothing() -> None: ...\n", encoding="utf-8")
    path = tmp_path / "mine.py"
    path.write_text("from helpers import nothing\n", encoding="utf-8")
    return path


def test_a_module_beside_it_is_refused(strategy: Path, tmp_path: Path) -> None:
    reason = r"mine\.py imports helpers, a module beside it; a submission is one file"
    with pytest.raises(ConfigError, match=reason):
        create_submission(strategy, "mine", tmp_path / "submissions")
    with pytest.raises(ConfigError, match=reason):
        check_in_sandbox(strategy)
    assert not (tmp_path / "submissions").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no strategy file .*nothing\.py"):
        check_in_sandbox(tmp_path / "nothing.py")
