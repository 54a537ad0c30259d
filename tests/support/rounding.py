"""What another process computed may differ in rounding: comparisons that forgive that, and nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

NUMBER = re.compile(r"[-+\N{MINUS SIGN}]?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")


def alike(one: Any, other: Any, share: float = 1e-4) -> bool:
    """Whether two nested values are equal, floats up to a share of them."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=share, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(alike(one[key], other[key], share) for key in one)
    if isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str):
        return len(one) == len(other) and all(alike(*pair, share) for pair in zip(one, other, strict=True))
    return one == other


def _number(text: str) -> float:
    return float(text.replace(",", "").replace("\N{MINUS SIGN}", "-"))


def _unit(text: str) -> float:
    """What the last digit counts for; 0 of a whole number, which has no rounding."""
    _, point, decimals = text.partition(".")
    return 10.0 ** -len(decimals) if point and "e" not in text else 0.0


def same_text(one: str, other: str) -> bool:
    """Whether two texts are equal, numbers up to one unit of their last digit."""
    words = [NUMBER.split(each) for each in (one, other)]
    numbers = list(zip(*(NUMBER.findall(each) for each in (one, other)), strict=False))
    close = all(abs(_number(a) - _number(b)) <= 1.01 * max(_unit(a), _unit(b)) for a, b in numbers)
    return words[0] == words[1] and close
