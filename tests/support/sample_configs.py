"""A tiny protocol and its sweep, as files."""

from __future__ import annotations

from pathlib import Path

TASK = """
name = "tiny"
version = 1
budget = { initial = 12, step = 6, rounds = 3, subset = 30 }

[task]
kind = "classification"
data = { scenes = { seed = 3, pool = 60, test = 24 }, validation = 12 }
model = { width = 8 }
recipe = { epochs = 1, batch = 16, optimizer = "adamw", learning_rate = 1e-3 }
"""
SWEEP = 'protocols = ["tiny"]\nstrategies = ["random"]\nseeds = [0, 1]\n'


def written(folder: Path, task: str = TASK, sweep: str = SWEEP) -> Path:
    """The path of a sweep, with its one task beside it as in `configs`."""
    for name, content in (("tasks", task), ("sweeps", sweep)):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "tiny.toml").write_text(content, encoding="utf-8")
    return folder / "sweeps" / "tiny.toml"
