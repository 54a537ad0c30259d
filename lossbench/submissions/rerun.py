"""What runs inside the sandbox: `python -m lossbench.submissions.rerun run|check JSON`. It prints nothing that is believed: its records are read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lossbench.config import read_protocol
from lossbench.paths import Paths
from lossbench.running.sweep import Event, Job, run_sweep
from strategies.loading import resolved


class Unheard:
    """A sink that drops its events."""

    def put(self, event: Event, /) -> None:
        """Drop it."""


def run(wanted: dict[str, Any]) -> None:
    """Make the wanted runs, one after another, in this process."""
    strategy = resolved(wanted["strategy"])
    planned = [
        Job(
            read_protocol(Path(protocol)),
            strategy,
            wanted["seed"],
            wanted["track"],
            "test",
            json.dumps(wanted["parameters"]),
        )
        for protocol in wanted["protocols"]
    ]
    run_sweep(planned, Paths(Path(wanted["data"]), Path(wanted["out"])), 1, Unheard())


def check(wanted: dict[str, Any]) -> None:
    """Run the conformance checks, and write the verdicts."""
    from lossbench.running.sweep import prepare  # noqa: PLC0415
    from lossbench.submissions.conformance import verdicts  # noqa: PLC0415 - heavy
    from strategies import Strategy, load_strategy  # noqa: PLC0415

    prepare()
    strategy = load_strategy(wanted["strategy"], wanted["parameters"])
    own_sizes = type(strategy).smoke.__func__ is Strategy.smoke.__func__
    checked = strategy if own_sizes else type(strategy).smoke()
    found = [(*each[:2], each.fault[:2000]) for each in verdicts(checked, Path(wanted["out"]))]
    if strategy.cheats:
        found.append(("it may be submitted", "all", "it reads true losses of candidates: a reference, no entry"))
    lines = {"name": strategy.name, "verdicts": found}
    (Path(wanted["out"]) / "verdicts.json").write_text(json.dumps(lines), encoding="utf-8")


if __name__ == "__main__":
    {"run": run, "check": check}[sys.argv[1]](json.loads(sys.argv[2]))
