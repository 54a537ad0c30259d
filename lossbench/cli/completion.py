"""What a shell completes: names of strategies, protocols, sweeps and submissions, read without importing torch."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import typer

from lossbench.cli.clone import SUBMISSIONS, places_in_clone
from lossbench.paths import shipped


def strategy_names(incomplete: str) -> list[str]:
    """Strategies of Lossbench, and Python files."""
    return _starting(incomplete, _strategies(), ".py")


def strategy_choices(incomplete: str) -> list[str]:
    """What `run` takes: strategies of Lossbench, Python files, and what stands for all strategies and for the full pool."""
    return _starting(incomplete, [*_strategies(), "all", "full-pool"], ".py")


def _strategies() -> list[str]:
    """Names, read from the strategies' files without importing them."""
    texts = (path.read_text(encoding="utf-8") for path in _files_of("strategies", "*.py"))
    return [name for text in texts for name in re.findall(r'name: ClassVar\[str\] = "([^"]+)"', text)]


def kind_names(incomplete: str) -> list[str]:
    """The kinds of task of Lossbench: the folders of `tasks` that hold a `kind.py`."""
    return _starting(incomplete, sorted(path.parent.name for path in _files_of("tasks", "*/kind.py")), suffix="/")


def protocol_names(incomplete: str) -> list[str]:
    """Protocols of Lossbench, and TOML files."""
    return _starting(incomplete, _configurations("tasks"), ".toml")


def sweep_names(incomplete: str) -> list[str]:
    """Sweeps and protocols of Lossbench, and TOML files."""
    return _starting(incomplete, [*_configurations("sweeps"), *_configurations("tasks")], ".toml")


def submission_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Submissions in the folder of `--submissions` or of the clone, and folders."""
    given = ctx.params.get("submissions") or next(places_in_clone(SUBMISSIONS), Path(SUBMISSIONS))
    names = sorted(path.parent.name for path in Path(given).glob("*/meta.toml"))
    return _starting(incomplete, names, suffix="/")  # no file's suffix


def _files_of(package: str, pattern: str) -> list[Path]:
    """Files of a package, which is not imported."""
    found = find_spec(package)
    places = (found.submodule_search_locations if found else None) or ()
    return [path for place in places for path in sorted(Path(place).glob(pattern))]


def _configurations(room: str) -> list[str]:
    return sorted(path.stem for path in shipped(f"configs/{room}").rglob("*.toml"))


def _starting(incomplete: str, names: Sequence[str], suffix: str) -> list[str]:
    """The names that start like this; where there is none, folders and files of this suffix."""
    if close := [name for name in names if name.startswith(incomplete)]:
        return close
    folder, start = os.path.split(incomplete)
    place = Path(folder)
    paths = [path for path in sorted(place.iterdir() if place.is_dir() else ()) if path.name.startswith(start)]
    return [f"{path}/" if path.is_dir() else str(path) for path in paths if path.is_dir() or path.suffix == suffix]
