"""Strategies that are given as a class or an instance, wherever they were defined: in a notebook, for instance.

A file is hashed as a whole before it runs. A class is hashed by its compiled code: its methods and constants, and the functions,
classes and constants of the same module that they name. A record made with other code is then refused, as with files; other
versions of Python count as other code. What the class takes from other modules is not covered.
"""

from __future__ import annotations

import dis
import hashlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from lossbench.config import Protocol
from lossbench.running.jobs import Job
from lossbench.running.kept.models import ranking_objective
from strategies import STRATEGIES, Strategy, StrategyError, load_strategy
from strategies.loading import check_name

OURS = ("lossnet", "strategies", "tasks")
PLAIN = (tuple, frozenset, str, bytes, int, float, complex, bool, type(None))


@dataclass(frozen=True)
class InstanceJob(Job):
    """A run of a strategy that exists in this process alone."""

    instance: Strategy | None = None

    @property
    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of the strategy's code, where it is not one of Lossbench's."""
        return {} if type(self.strategy()) in STRATEGIES else {"strategy": code_digest(type(self.strategy()))}

    def strategy(self) -> Strategy:
        """The instance itself."""
        return self.instance or super().strategy()

    @property
    def name(self) -> str:
        """As its record calls it."""
        return self.strategy().name


def instance_of(strategy: Strategy | type[Strategy], parameters: Mapping[str, Any], protocol: Protocol) -> Strategy:
    """A strategy that can run from where it was defined.

    Raises:
        StrategyError: it is no concrete strategy, has an unfit name, is given hyper-parameters twice, or trains a module whose
            weights would be kept under a name that does not say which code made them.
    """
    own = strategy if isinstance(strategy, type) else type(strategy)
    if not issubclass(own, Strategy) or inspect.isabstract(own):
        msg = f"{own.__qualname__} is no strategy; give a class that derives from lossbench.Strategy and has `select`"
        raise StrategyError(msg)
    if own not in STRATEGIES:
        check_name(own, own.__module__)
    if not isinstance(strategy, type) and parameters:
        msg = f"{own.__qualname__}: an instance has its hyper-parameters already; give `parameters` with a class"
        raise StrategyError(msg)
    made = load_strategy(strategy, parameters) if isinstance(strategy, type) else strategy
    trained = made.auxiliary(ranking_objective(protocol.loss_prediction))
    if trained is not None and not _is_kept(type(trained).__module__):
        msg = f"{made.name} trains a module of its own; put it into a file and give the path, so that weights are kept by its code"
        raise StrategyError(msg)
    return made


def _is_kept(module: str) -> bool:
    """Whether the name of a module says which code is in it: one of Lossbench, or of a file that it loaded."""
    return module.partition(".")[0] in OURS or module.startswith("outside_")


def code_digest(strategy: type[Strategy]) -> str:
    """SHA-256 of the compiled code of a class; the text above says what it covers."""
    texts: dict[int, str] = {}
    waiting: list[type | FunctionType] = [strategy]
    while waiting:
        thing = waiting.pop()
        if id(thing) in texts:
            continue
        parts = dict(_of_class(thing) if isinstance(thing, type) else _of_function(thing))
        texts[id(thing)] = repr((thing.__qualname__, sorted((name, _text(value)) for name, value in parts.items())))
        own = [value for value in parts.values() if isinstance(value, type | FunctionType)]
        waiting += [value for value in own if value.__module__ == strategy.__module__]
    return hashlib.sha256("\n".join(sorted(texts.values())).encode()).hexdigest()


def _of_class(strategy: type) -> Iterator[tuple[str, object]]:
    """Bases, methods and constants of a class; pydantic adds the rest."""
    for base in strategy.__bases__:
        yield f"base {base.__qualname__}", base
    for name, value in vars(strategy).items():
        function = value.fget if isinstance(value, property) else getattr(value, "func", value)
        function = getattr(function, "__func__", function)
        function = inspect.unwrap(function) if callable(function) else function
        if isinstance(function, FunctionType) and function.__module__ == strategy.__module__:
            yield name, function
        elif isinstance(value, PLAIN) and not name.startswith("__"):
            yield name, value


def _of_function(function: FunctionType) -> Iterator[tuple[str, object]]:
    """The code of a function, its defaults, and the global and enclosing names that it uses."""
    yield "code", function.__code__
    yield "defaults", function.__defaults__
    yield "keyword defaults", tuple(sorted((function.__kwdefaults__ or {}).items()))
    for name in _globals_of(function.__code__):
        yield f"global {name}", function.__globals__.get(name)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield f"enclosing {name}", cell.cell_contents


def _globals_of(code: CodeType) -> Iterator[str]:
    yield from (step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_of(constant)


def _text(value: object) -> str:
    """What is the same for the same code in every process of one version of Python."""
    if isinstance(value, CodeType):
        return repr(
            (value.co_code, value.co_names, value.co_varnames, [_text(constant) for constant in value.co_consts])
        )
    if isinstance(value, tuple | frozenset):
        texts = [_text(item) for item in value]
        return repr(texts if isinstance(value, tuple) else sorted(texts))
    if isinstance(value, type | FunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value) if isinstance(value, PLAIN) else type(value).__qualname__
