"""What every hyper-parameter has to be, whatever its strategy says: numbers are finite, not too large, and no text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

LARGEST_WHOLE, LARGEST_NUMBER = 2**53, 1e38
"""Whole numbers beyond the first are not exact in JSON readers and float64; float32 holds no more than the second."""
MOST_VALUES = 10_000
"""In one hyper-parameter that is a list or a table."""


def plain(value: object, annotation: Any) -> object:
    """The value of a hyper-parameter, unchanged.

    Args:
        value: as given.
        annotation: the declared type of the field.

    Raises:
        ValueError: a number in it is infinite, NaN or too large, it is `true` or a text where a number is declared, or it
            holds too many values.
    """
    declared = set(_types_in(annotation))
    for count, each in enumerate(_values_in(value)):
        if count == MOST_VALUES:
            msg = f"it holds more than {MOST_VALUES:,} values"
            raise ValueError(msg)
        if declared & {int, float} and type(each) in {bool, str} and type(each) not in declared:
            msg = "a number is wanted"
            raise ValueError(msg)
        if isinstance(each, int | float) and not abs(each) <= _limit(each):  # NaN, too
            msg = f"a finite number of at most {_limit(each):,.4g} is wanted"
            raise ValueError(msg)
    return value


def _limit(number: int | float) -> int | float:  # noqa: PYI041 - tests tell them apart
    return LARGEST_WHOLE if isinstance(number, int) else LARGEST_NUMBER


def _types_in(annotation: Any) -> Iterator[type]:
    """The types that an annotation speaks of, those of the values of a `Literal`, too."""
    if parts := get_args(annotation):
        for part in parts:
            yield from _types_in(part)
    else:
        yield annotation if isinstance(annotation, type) else type(annotation)


def _values_in(value: object) -> Iterator[object]:
    """The value, or all values in a list, a table, or lists of lists."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _values_in(each)
    else:
        yield value
