"""The conformance checks of a strategy, run in a sandbox."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from leaderboard.schema.records import read_bytes
from lossbench.submissions.conformance import CHECK_SECONDS, check_names
from lossbench.submissions.exchange import TIMEOUT, Code, Verdicts, read_answer, write_question
from lossbench.submissions.folder import STRATEGY, require_one_file
from lossbench.submissions.replay import PROGRAM
from lossbench.submissions.sandbox import Limits, SandboxError, own_folder, run_module
from tasks.outside.files import Source

CHECK_LIMITS = Limits(seconds=1800)
"""Of all conformance checks together."""


def check_in_sandbox(
    strategy: Path, parameters: dict[str, Any] | None = None, seconds: int = CHECK_SECONDS
) -> Verdicts:
    """Run the conformance checks on a strategy in a sandbox.

    Args:
        strategy: the strategy's file.
        parameters: hyper-parameters that differ from its defaults.
        seconds: limit of each check.

    Raises:
        ConfigError: the strategy is not one file.
        SandboxError: the strategy could not be loaded, exceeded a limit, or no valid results were written.
    """
    require_one_file(strategy)
    limits = Limits(max(CHECK_LIMITS.seconds, 2 * seconds))
    with own_folder() as folder:
        write_question(Code(Source(Path(STRATEGY), strategy.read_bytes()), parameters or {}), folder)
        try:
            run_module(PROGRAM, ["check", str(folder), str(seconds)], folder, limits)
        except SandboxError:
            if not (stopped := _stopped_at(folder / TIMEOUT)):
                raise
            msg = f"a check took longer than {seconds} s{stopped}; --limit SECONDS allows more"
            raise SandboxError(msg) from None
        found = read_answer(Verdicts, folder)
    if missing := check_names() - {(check, kind) for check, kind, _ in found.verdicts}:
        msg = f"the strategy's process ended before {len(missing)} of {len(check_names())} checks, such as {' on '.join(min(missing))}"
        raise SandboxError(msg)
    return found


def _stopped_at(path: Path) -> str:
    """Where a check was when its time was over, as a phrase; empty if none took too long."""
    try:
        trace = read_bytes(path).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
    line = re.search(rf'File ".{{0,200}}{re.escape(STRATEGY)}", line (\d{{1,6}})', trace)
    return f", in line {line[1]} of {STRATEGY}" if line else ", outside of the strategy's file" if trace else ""
