"""All cases, by the module that describes them."""

from __future__ import annotations

from hostile_cases import (
    badges,
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
    file_kinds,
)
CASES = {module.__name__.rpartition(".")[2]: module.CASES for module in MODULES}
