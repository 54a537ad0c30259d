"""Selection strategies. This tuple is the list of them; a strategy from outside is a file (`load_strategy`)."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import ValidationError

from strategies.alfa_mix import AlfaMix, AlfaMixKL, AlfaMixLearned, AlfaMixNorm, AlfaMixUniform
from strategies.badge import Badge
from strategies.bald import Bald
from strategies.base import Context, Selection, SelectionError, Strategy
from strategies.cdal import CDAL
from strategies.committee import CommitteeDisagreement, CommitteeVoteEntropy, VariationRatio
from strategies.core_set import CoreSet
from strategies.deepfool import DeepFool
from strategies.entropy import Entropy
from strategies.gradient_length import ExpectedGradientLength
from strategies.graph import CoreGCN, UncertainGCN
from strategies.learning_loss import LearningLoss, LearningLossMSE
from strategies.learning_loss_clusters import LearningLossClusters
from strategies.learning_loss_pp import LearningLossPlusPlus
from strategies.least_confidence import LeastConfidence
from strategies.margin import Margin
from strategies.pal import PAL
from strategies.probcover import ProbCover
from strategies.random import Random
from strategies.ta_vaal import TAVAAL
from strategies.true_loss import TrueLoss
from strategies.typiclust import TypiClust
from strategies.vaal import VAAL

STRATEGIES: tuple[type[Strategy], ...] = (
    Random,
    LeastConfidence,
    Margin,
    Entropy,
    Bald,
    CommitteeVoteEntropy,
    CommitteeDisagreement,
    VariationRatio,
    ExpectedGradientLength,
    DeepFool,
    CoreSet,
    TypiClust,
    ProbCover,
    CDAL,
    Badge,
    LearningLoss,
    LearningLossMSE,
    LearningLossPlusPlus,
    LearningLossClusters,
    AlfaMix,
    AlfaMixLearned,
    AlfaMixNorm,
    AlfaMixKL,
    AlfaMixUniform,
    PAL,
    VAAL,
    TAVAAL,
    CoreGCN,
    UncertainGCN,
    TrueLoss,
)

FULL_POOL = "full-pool"
"""No strategy may be called so: records of a training on the whole pool are."""

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


class StrategyError(ValueError):
    """A strategy that is not there, or a file that does not hold one."""


def load_strategy(reference: str, parameters: Mapping[str, Any] | None = None) -> Strategy:
    """A strategy with its default hyper-parameters, but for those that are given.

    Args:
        reference: a name in the list, or the path of a Python file that defines exactly one `Strategy`.
        parameters: hyper-parameters by name.

    Raises:
        StrategyError: no such name or file, a file that does not define exactly one, or no such hyper-parameter.
    """
    strategy = _class(reference)
    try:
        return strategy(**(parameters or {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"{strategy.name}: hyper-parameter {where}: {first['msg']} (given: {first['input']!r:.80})"
        raise StrategyError(msg) from None


def _class(reference: str) -> type[Strategy]:
    known = {each.name: each for each in STRATEGIES}
    if reference in known:
        return known[reference]
    if not reference.endswith(".py"):
        msg = f"no strategy {reference!r}; there are {', '.join(known)}, or give the path of a file my_strategy.py"
        raise StrategyError(msg)
    return _from_file(Path(reference))


def _from_file(path: Path) -> type[Strategy]:
    if not path.is_file():
        msg = f"no strategy file {path}"
        raise StrategyError(msg)
    content = hashlib.sha256(path.read_bytes()).hexdigest()[:16]  # other code, other module: fits are kept by its name
    spec = importlib.util.spec_from_file_location(f"outside_{path.stem}_{content}", path)
    if spec is None or spec.loader is None:
        msg = f"{path} cannot be imported"
        raise StrategyError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where pydantic looks up the names in annotations
    spec.loader.exec_module(module)
    found = [each for _, each in inspect.getmembers(module, inspect.isclass) if _is_own(each, module.__name__)]
    if len(found) != 1:
        msg = f"{path} defines {len(found)} strategies; one class that derives from strategies.Strategy is wanted"
        raise StrategyError(msg)
    if not isinstance(getattr(found[0], "name", None), str):
        msg = f"{path}: {found[0].__name__} has no name; add `name: ClassVar[str] = 'my-strategy'`"
        raise StrategyError(msg)
    _check_name(found[0], path)
    return found[0]


def _check_name(outside: type[Strategy], path: Path) -> None:
    """Records lie under the name: it has to be a file's, and nobody else's."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", outside.name):
        msg = f"{path}: {outside.__name__} is called {outside.name!r}; use at most 60 lower-case letters, digits and hyphens"
        raise StrategyError(msg)
    if outside.name in {FULL_POOL, *(each.name for each in STRATEGIES)}:
        msg = f"{path}: {outside.__name__} is called {outside.name!r}, as a strategy of Lossbench is; rename it"
        raise StrategyError(msg)


def _is_own(candidate: type, module: str) -> TypeGuard[type[Strategy]]:
    return issubclass(candidate, Strategy) and candidate.__module__ == module and not inspect.isabstract(candidate)
