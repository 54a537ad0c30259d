"""All cases, by the module that describes them."""

from __future__ import annotations

from zlib import crc32

from hostile_cases import (
    badges,
    cifar_files,
    configs,
    file_kinds,
    options,
    pose_files,
    protocols,
    record_files,
    records,
    strategy_files,
    sweeps,
    voc_files,
)
from hostile_cases.case import Case

MODULES = (
    protocols,
    sweeps,
    options,
    strategy_files,
    voc_files,
    pose_files,
    records,
    record_files,
    badges,
    cifar_files,
    configs,
    file_kinds,
)
CASES = {module.__name__.rpartition(".")[2]: module.CASES for module in MODULES}
SLOW_TIMES = 12
"""How many cases there are for each that the fast tests run; the others are run with the slow tests."""


def fast(case: Case) -> bool:
    """Whether a case is one of the fast tests: a part of each room, the same everywhere."""
    return crc32(case.name.encode()) % SLOW_TIMES == 0
