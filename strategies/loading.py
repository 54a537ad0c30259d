"""Loading strategies by name or from a Python file."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.errors import PydanticUserError

from lossbench.errors import LossbenchError
from lossbench.files import shown
from lossbench.words import suggestion
from strategies.base import MOST_MODELS, Strategy
from strategies.catalog import STRATEGIES
from tasks.outside.errors import blaming_outside
from tasks.outside.files import Source, classes_in, read_source

FULL_POOL = "full-pool"
"""Stands for the strategy in records of a training on the whole pool; no strategy may have this name."""


class StrategyError(LossbenchError):
    """There is no such strategy or hyper-parameter, or a file does not define exactly one strategy."""


def load_strategy(reference: str | Source | type[Strategy], parameters: Mapping[str, Any] | None = None) -> Strategy:
    """A strategy with default hyper-parameters, except for those in `parameters`.

    Args:
        reference: the name of a Lossbench strategy, the path of a Python file that defines exactly one `Strategy`, or
            the content of such a file, or a class.
        parameters: hyper-parameters by name.

    Raises:
        StrategyError: no such name, file or hyper-parameter, an invalid value, or not exactly one strategy in the file.
        OutsideError: the code of the file cannot be compiled or raises an error.
    """
    strategy = reference if isinstance(reference, type) else strategy_class(reference)
    try:
        with blaming_outside():
            made = strategy(**(parameters or {}))
            declared = made.committee_size, made.dropout
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        parameter = ".".join(str(part) for part in first["loc"])
        msg = f"{strategy.name}: hyper-parameter {parameter}: {first['msg']} (given: {shown(first['input'])})"
        raise StrategyError(msg) from None
    except PydanticUserError as error:
        msg = f"{_origin(strategy)}: {' '.join(str(error.message).split())}"
        raise StrategyError(msg) from None
    size, dropout = declared
    if type(size) is not int or not 1 <= size <= MOST_MODELS:
        msg = f"{strategy.name}: committee_size is {size!r:.80}; a whole number from 1 to {MOST_MODELS} is wanted"
        raise StrategyError(msg)
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        msg = f"{strategy.name}: dropout is {dropout!r:.80}; a number of at least 0 and below 1 is wanted"
        raise StrategyError(msg)
    return made


def _origin(strategy: type[Strategy]) -> str:
    """The file of a strategy."""
    return str(getattr(sys.modules.get(strategy.__module__), "__file__", strategy.__module__))


def resolved(reference: str) -> str | Source:
    """The content of the file, and of modules beside it, if the reference is the path of a Python file; else a name, as given.

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
    """The class of a strategy; arguments and errors as in `load_strategy`."""
    source = resolved(reference) if isinstance(reference, str) else reference
    if isinstance(source, Source):
        return _from_source(source)
    known = {strategy.name: strategy for strategy in STRATEGIES}
    if source not in known:
        msg = f"no strategy {source!r} (one of your own needs its file, such as mine.py); {suggestion(source, known)}"
        raise StrategyError(msg)
    return known[source]


def _from_source(source: Source) -> type[Strategy]:
    classes = classes_in(source, Strategy)
    if len(classes) != 1:
        msg = f"{source.path} defines {len(classes)} strategies; it must define one subclass of strategies.Strategy"
        raise StrategyError(msg)
    check_name(classes[0], source.path)
    return classes[0]


def check_name(strategy: type[Strategy], where: Path | str) -> None:
    """Check the name of a strategy from outside.

    Args:
        strategy: the class.
        where: the file or module that defines it, for the message.

    Raises:
        StrategyError: it has no name, one that cannot be part of a record's file name, or that of another strategy.
    """
    if not isinstance(getattr(strategy, "name", None), str):
        msg = f"{where}: {strategy.__name__} has no name; add `name: ClassVar[str] = 'my-strategy'`"
        raise StrategyError(msg)
    named = f"{where}: {strategy.__name__} is called {strategy.name!r}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", strategy.name):
        msg = f"{named}; use at most 60 lower-case letters, digits and hyphens"
        raise StrategyError(msg)
    if strategy.name in {FULL_POOL, *(known.name for known in STRATEGIES)}:
        msg = f"{named}, which Lossbench already uses; rename it"
        raise StrategyError(msg)
