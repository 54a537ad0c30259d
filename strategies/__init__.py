"""Selection strategies: the contract, one file per strategy, and loading by name or from a file."""

from strategies.base import Context, Selection, SelectionError, Strategy
from strategies.catalog import COLD_STARTERS, STRATEGIES
from strategies.loading import FULL_POOL, StrategyError, load_strategy

__all__ = [
    "COLD_STARTERS",
    "FULL_POOL",
    "STRATEGIES",
    "Context",
    "Selection",
    "SelectionError",
    "Strategy",
    "StrategyError",
    "load_strategy",
]
