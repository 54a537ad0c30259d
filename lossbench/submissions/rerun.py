"""The program that runs inside the sandbox: `python -m lossbench.submissions.rerun run|check JSON`.

Its output is not trusted: the caller reads the files that it writes and validates them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lossbench.config import read_protocol
from lossbench.paths import Paths
from lossbench.running.sweep import Job, NullSink, run_sweep
from strategies.loading import resolved

MAX_FAULT_CHARACTERS = 2000


def run(request: dict[str, Any]) -> None:
    """Run a strategy on protocols, one after another in this process, and write the records.

    Args:
        request: `protocols` (paths), `strategy` (path), `parameters`, `seed`, `track`, `data` and `out` (folders).
    """
    strategy = resolved(request["strategy"])
    parameters = json.dumps(request["parameters"])
    jobs = [
        Job(read_protocol(Path(protocol)), strategy, request["seed"], request["track"], "test", parameters)
        for protocol in request["protocols"]
    ]
    run_sweep(jobs, Paths(Path(request["data"]), Path(request["out"])), 1, NullSink())


def check(request: dict[str, Any]) -> None:
    """Run the conformance checks on a strategy and write `verdicts.json` into `out`.

    Args:
        request: `strategy` (path), `parameters` and `out` (folder).
    """
    from lossbench.running.sweep import prepare  # noqa: PLC0415
    from lossbench.submissions.conformance import run_checks  # noqa: PLC0415 - imports torch
    from strategies import Strategy, load_strategy  # noqa: PLC0415

    prepare()
    out = Path(request["out"])
    strategy = load_strategy(request["strategy"], request["parameters"])
    has_smoke_sizes = type(strategy).smoke.__func__ is not Strategy.smoke.__func__
    checked = type(strategy).smoke() if has_smoke_sizes else strategy
    verdicts = [
        (verdict.check, verdict.kind, verdict.fault[:MAX_FAULT_CHARACTERS]) for verdict in run_checks(checked, out)
    ]
    if strategy.cheats:
        verdicts.append(("may be submitted", "all", "the strategy reads the true losses of candidates (`cheats`)"))
    content = {"name": strategy.name, "verdicts": verdicts}
    (out / "verdicts.json").write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    {"run": run, "check": check}[sys.argv[1]](json.loads(sys.argv[2]))
