"""Selection strategies: the contract, one file each, and how they are found."""

from strategies.base import Context, Selection, SelectionError, Strategy
from strategies.catalog import STRATEGIES
from strategies.loading import FULL_POOL, StrategyError, load_strategy

__all__ = [
    "FULL_POOL",
    "STRATEGIES",
    "Context",
    "Selection",
    "SelectionError",
    "Strategy",
    "StrategyError",
    "load_strategy",
]
