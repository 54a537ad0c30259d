"""The pages that the documentation's site makes from the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossbench.config_files import config_files
from lossbench.publishing.parameters import parameters
from lossbench.publishing.reference import PROTOCOLS, STRATEGIES_FOLDER, reference_pages, strategy_page
from strategies import STRATEGIES, Strategy
from strategies.bald import Bald
from strategies.margin import Margin

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference_pages()


def test_every_strategy_has_a_page_and_a_row(pages: dict[str, str]) -> None:
    index = pages[f"{STRATEGIES_FOLDER}index.md"]
    for each in STRATEGIES:
        assert f"](%s.md) | {each.kind} |" % each.name in index
        assert f"::: {each.__module__}.{each.__qualname__}\n" in pages[f"{STRATEGIES_FOLDER}{each.name}.md"]


def test_every_protocol_stands_on_a_page_as_it_is(pages: dict[str, str]) -> None:
    files = config_files(ROOT / "configs/tasks")
    assert len(files) > 20
    for path in files:
        shown = pages[f"{PROTOCOLS}{path.parent.name}.md"]
        assert f"## {path.stem}\n\n```toml\n{path.read_text(encoding='utf-8').strip()}\n```" in shown
        assert f"| [{path.stem}]({path.parent.name}.md#{path.stem}) |" in pages[f"{PROTOCOLS}index.md"]


def test_a_page_says_what_a_strategy_reads_and_takes() -> None:
    page = strategy_page(Bald)
    assert "- Reads: dropout passes\n- Operations after the forward pass: T passes of the head, T N C\n" in page
    assert "| `passes` | `10` | " in page
    assert '--8<-- "strategies/bald.py"' in page
    assert "## Hyper-parameters\n\nNone." in strategy_page(Margin)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_every_hyper_parameter_has_a_meaning(strategy: type[Strategy]) -> None:
    """Also those of a class that the strategy derives from."""
    for each in parameters(strategy):
        assert each.meaning, each.name
        assert f"| `{each.name}` | `{each.default}` | {each.meaning} |" in strategy_page(strategy)


def test_the_made_index_of_labels_is_that_of_the_budget(pages: dict[str, str]) -> None:
    assert (
        "| [cifar10-frozen-middle](frozen.md#cifar10-frozen-middle) | 1 | classification | 100 to 2,000 in 20 rounds |"
        in pages[f"{PROTOCOLS}index.md"]
    )
