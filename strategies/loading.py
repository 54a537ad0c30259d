"""Strategies by name, and from files."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lossbench.errors import LossbenchError
from strategies.base import Strategy
from strategies.catalog import STRATEGIES
from tasks.files import Source, classes_in, read_source

FULL_POOL = "full-pool"
"""Records of a training on the whole pool have this in place of a strategy's name, which no strategy may take."""


class StrategyError(LossbenchError):
    """A strategy that is not there, or a file that does not hold one."""


def load_strategy(reference: str | Source, parameters: Mapping[str, Any] | None = None) -> Strategy:
    """A strategy with its default hyper-parameters, but for those that are given.

    Args:
        reference: a name in the list, the path of a Python file that defines exactly one `Strategy`, or the content of one.
        parameters: hyper-parameters by name.

    Raises:
        StrategyError: no such name or file, a file that does not define exactly one, or no such hyper-parameter.
    """
    strategy = strategy_class(reference)
    try:
        return strategy(**(parameters or {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"{strategy.name}: hyper-parameter {where}: {first['msg']} (given: {first['input']!r:.80})"
        raise StrategyError(msg) from None


def resolved(reference: str) -> str | Source:
    """A strategy's name as it is; of a path, what the file holds now.

    Raises:
        StrategyError: no such file.
    """
    if not reference.endswith(".py"):
        return reference
    path = Path(reference)
    if not path.is_file():
        msg = f"no strategy file {path}"
        raise StrategyError(msg)
    return read_source(path)


def strategy_class(reference: str | Source) -> type[Strategy]:
    """The class of a strategy; see `load_strategy`."""
    source = resolved(reference) if isinstance(reference, str) else reference
    if isinstance(source, Source):
        return _from_source(source)
    known = {strategy.name: strategy for strategy in STRATEGIES}
    if source not in known:
        close = difflib.get_close_matches(source, known, 3)
        names = f"did you mean {' or '.join(close)}" if close else f"there are {', '.join(known)}"
        msg = (
            f"no strategy {source!r}; {names}? A strategy of your own is given by the path of its file, such as mine.py"
        )
        raise StrategyError(msg)
    return known[source]


def _from_source(source: Source) -> type[Strategy]:
    found = classes_in(source, Strategy)
    if len(found) != 1:
        msg = (
            f"{source.path} defines {len(found)} strategies; one class that derives from strategies.Strategy is wanted"
        )
        raise StrategyError(msg)
    if not isinstance(getattr(found[0], "name", None), str):
        msg = f"{source.path}: {found[0].__name__} has no name; add `name: ClassVar[str] = 'my-strategy'`"
        raise StrategyError(msg)
    _check_name(found[0], source.path)
    return found[0]


def _check_name(outside: type[Strategy], path: Path) -> None:
    """Records lie under the name: it must be fit for a file, and not be taken."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", outside.name):
        msg = f"{path}: {outside.__name__} is called {outside.name!r}; use at most 60 lower-case letters, digits and hyphens"
        raise StrategyError(msg)
    if outside.name in {FULL_POOL, *(strategy.name for strategy in STRATEGIES)}:
        msg = f"{path}: {outside.__name__} is called {outside.name!r}, as a strategy of Lossbench is; rename it"
        raise StrategyError(msg)
