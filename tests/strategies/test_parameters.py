"""Hyper-parameters of all strategies: finite, within bounds, and no text; those of a strategy from a file as far as one can know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strategies import STRATEGIES, Strategy, StrategyError, load_strategy
from strategies.parameters import LARGEST_WHOLE, MOST_VALUES

HUGE: tuple[Any, ...] = (10**12, 10**40, 10**5000, 1e300, float("inf"))
WRONG: tuple[Any, ...] = (*HUGE, *(-number for number in HUGE), -1, float("nan"), True, "1", "", None, {}, [[1]])
FIELDS = [(strategy, field) for strategy in STRATEGIES for field in strategy.model_fields]


@pytest.mark.parametrize(("strategy", "field"), FIELDS, ids=lambda each: getattr(each, "name", each))
def test_no_field_takes_nonsense(strategy: type[Strategy], field: str) -> None:
    for wrong in WRONG:
        with pytest.raises(StrategyError) as caught:
            load_strategy(strategy.name, {field: wrong})
        line = str(caught.value)
        assert line.startswith(f"{strategy.name}: hyper-parameter {field}")
        assert "\n" not in line
        assert len(line) < 300


def test_there_are_strategies_with_fields() -> None:
    assert len(FIELDS) > 80


@pytest.mark.parametrize(
    "caps", [[], [0.0, 0.5], [0.5, 0.5], [0.5, 0.2], [0.5, 101], [0.5, True], ["0.5"], [float("nan")], [[0.5]], 0.5]
)
def test_caps_rise_within_bounds(caps: Any) -> None:
    with pytest.raises(StrategyError, match="alfa-mix: hyper-parameter caps"):
        load_strategy("alfa-mix", {"caps": caps})
    assert load_strategy("alfa-mix", {"caps": [0.5, 1]}).model_dump()["caps"] == (0.5, 1)


def test_an_integer_is_a_number() -> None:
    assert load_strategy("probcover", {"purity": 1}).model_dump()["purity"] == 1


CODE = """
from typing import Any, ClassVar, Literal
from pydantic import Field, JsonValue
from strategies import Context, Selection, Strategy

class Mine(Strategy):
    name: ClassVar[str] = "mine"
    paper: ClassVar[str] = "none"
    size: int = 3
    share: float = 0.5
    maybe: float | None = None
    sizes: tuple[int, ...] = (1,)
    word: str = "a"
    switch: bool = False
    choice: Literal["a", 1] = "a"
    free: JsonValue = None

    def select(self, ctx: Context) -> Selection:
        return Selection(ctx.candidates[: ctx.budget])
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CODE, encoding="utf-8")
    return path


@pytest.mark.parametrize("field", ["size", "share", "maybe"])
def test_a_number_without_bounds_has_some(field: str, file: Path) -> None:
    for wrong in (10**5000, -(10**40), 1e300, float("nan"), float("-inf"), True, "1"):
        with pytest.raises(StrategyError, match=f"mine: hyper-parameter {field}.* is wanted"):
            load_strategy(str(file), {field: wrong})
    assert getattr(load_strategy(str(file), {field: 7}), field) == 7


@pytest.mark.parametrize("field", ["sizes", "free"])
def test_so_has_a_list_of_them(field: str, file: Path) -> None:
    for wrong in ([1, 10**40], [1, float("inf")], [1] * (MOST_VALUES + 1)):
        with pytest.raises(StrategyError, match=f"mine: hyper-parameter {field}"):
            load_strategy(str(file), {field: wrong})
    load_strategy(str(file), {field: [1] * MOST_VALUES})


def test_what_is_no_number_stays_as_it_is(file: Path) -> None:
    given = {"word": "1", "switch": True, "choice": 1, "free": {"a": [True, "b", LARGEST_WHOLE]}, "maybe": None}
    assert load_strategy(str(file), given).model_dump(include=set(given)) == given


@pytest.mark.parametrize(("field", "default"), [("size: int", "10**40"), ("share: float", "float('nan')")])
def test_a_default_has_the_same_bounds(field: str, default: str, file: Path) -> None:
    file.write_text(CODE.replace(f"{field} = ", f"{field} = {default} if True else "), encoding="utf-8")
    with pytest.raises(StrategyError, match=f"mine: hyper-parameter {field.partition(':')[0]}: .* is wanted"):
        load_strategy(str(file))
