"""The command line in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result

from lossbench.cli.main import main


@pytest.fixture
def lossbench_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Calls a command and gives what it printed."""

    def call(*words: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["lossbench", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return Result(int(end.value.code or 0), *capsys.readouterr())

    return call
