"""A submission is one file: a strategy that imports what lies beside it, or is not there, is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossbench.config import ConfigError
from lossbench.submissions.checking import check_in_sandbox
from lossbench.submissions.folder import create_submission


@pytest.fixture
def strategy(tmp_path: Path) -> Path:
    (tmp_path / "helpers.py").write_text("def nothing() -> None: ...\n", encoding="utf-8")
    path = tmp_path / "mine.py"
    path.write_text("from helpers import nothing\n", encoding="utf-8")
    return path


def test_the_code_of_another_submission_is_not_overwritten(tmp_path: Path) -> None:
    file, folder = tmp_path / "mine.py", tmp_path / "submissions"
    file.write_text("import torch\n", encoding="utf-8")
    place = create_submission(file, "mine", folder)
    assert create_submission(file, "mine", folder) == create_submission(place / "strategy.py", "mine", folder) == place
    file.write_text("import numpy\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine/strategy\.py is other code than .*mine\.py; give yours another name"):
        create_submission(file, "mine", folder)
    assert (place / "strategy.py").read_text(encoding="utf-8") == "import torch\n"


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
