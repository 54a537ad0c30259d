"""The documents say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from strategies import STRATEGIES

ROOT = Path(__file__).parents[2]
STRATEGIES_PAGE = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")


def test_the_table_of_strategies_is_that_of_the_code() -> None:
    section, _, _ = STRATEGIES_PAGE.partition("## How they read detection and pose")
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \| (.+) \| (.+) \|$", section, re.MULTILINE)
    known = [(each.name, each.paper, each.kind, each().needs, each.cost) for each in STRATEGIES]
    assert rows[1:] == known, "run `lossbench strategies` and mend docs/strategies.md"


def test_every_strategy_has_its_reading_of_several_rows() -> None:
    _, _, readings = STRATEGIES_PAGE.partition("## How they read detection and pose")
    named = set(
        re.findall(
            r"[a-z][a-z-]+[a-z]",
            "".join(line.split("|")[1] for line in readings.partition("\n## ")[0].splitlines() if "|" in line),
        )
    )
    missing = {each.name for each in STRATEGIES} - named - {"random"}
    assert {each for each in missing if not each.startswith("alfa-mix-")} == set()
