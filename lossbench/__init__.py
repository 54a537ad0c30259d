"""Active-learning strategies on classification, detection, pose and segmentation, around one loss-prediction module: the Python API.

    record = lossbench.run("scenes-classification", "margin", seed=0)
    records = lossbench.load_records("runs/records")
    lossbench.Leaderboard(records).standings("scenes-classification")
    task = lossbench.load_task("scenes-classification")

Names are imported when they are first used, so that `import lossbench` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossbench.api.board import Leaderboard
    from lossbench.api.records import Record, Records, load_records
    from lossbench.api.runs import load_task, run
    from strategies import Context, Selection, Strategy

    __version__: str

__all__ = [
    "Context",
    "Leaderboard",
    "Record",
    "Records",
    "Selection",
    "Strategy",
    "__version__",
    "load_records",
    "load_task",
    "run",
]

_MODULES = {
    "Context": "strategies",
    "Leaderboard": "lossbench.api.board",
    "Record": "lossbench.api.records",
    "Records": "lossbench.api.records",
    "Selection": "strategies",
    "Strategy": "strategies",
    "load_records": "lossbench.api.records",
    "load_task": "lossbench.api.runs",
    "run": "lossbench.api.runs",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - it takes longer than all else here

        return version("lossbench")
    if name not in _MODULES:
        msg = f"module 'lossbench' has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
