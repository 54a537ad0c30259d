"""The page of a thousand records, or of the committed ones if they are more: `uv run pytest -m slow -n 0 tests/benchmarks/bench_page.py -s`.

The committed records and copies of them under further seeds, whose picks are drawn from the candidates of these seeds, so that the
audit has as much to do as with runs. CPU seconds of fresh processes on one thread: the first build, one after nothing has changed,
and one after a run was added.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest

from leaderboard.schema.records import Record, read_record, record_path, write_record
from leaderboard.scoring.entries import FULL_POOL
from lossbench.config import Protocol
from lossbench.running.pool import Pool, needs_groups
from tasks.kinds import kind_named

pytestmark = pytest.mark.slow
BOARD = Path(__file__).parents[2] / "leaderboard"
RECORDS, MOST_SECONDS = 1000, 25
FIRST_SEED = 1000
"""Of the copies; no committed run has it."""


def rerun(record: Record, seed: int) -> Record | None:
    """A record under another seed, with picks of that seed; None where labels or files decide what may be picked."""
    protocol = Protocol.model_validate(record.config)
    size = kind_named(protocol.task.kind).pool_size(protocol.task)
    if size is None or record.strategy == FULL_POOL or record.first or needs_groups(protocol.stress):
        return None
    pool, rng = Pool.without_labels(size, protocol), np.random.default_rng(seed)
    labeled, rounds = pool.initial(seed, protocol.budget.initial), []
    for number, one in enumerate(record.rounds):
        candidates = pool.candidates(seed, number, labeled, protocol.budget.subset)
        picked = rng.choice(candidates, len(one.picked), replace=False)
        rounds.append(one.model_copy(update={"picked": tuple(picked.tolist())}))
        labeled = np.concatenate([labeled, picked])
    return record.model_copy(update={"seed": seed, "rounds": tuple(rounds)})


def copies(folder: Path) -> Iterator[tuple[Path, Record]]:
    """Copies of the records of a folder, without end, and the folders that they belong in."""
    paths = sorted(folder.rglob("*-s0.json"))
    for seed in count(FIRST_SEED):
        for path in paths:
            if made := rerun(read_record(path), seed):
                yield path.parents[1], made


def write(found: Iterator[tuple[Path, Record]], number: int) -> None:
    for parent, record in islice(found, number):
        fields = (record.protocol, record.track, record.strategy, record.seed, record.split)
        write_record(record, record_path(parent, *fields))


def build(board: Path, page: Path) -> tuple[int, float]:
    """Build a page in a process of its own: the number of records on it, and the CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ("leaderboard", "build", board / "records", "--out", page)
    run = subprocess.run(
        [Path(sys.executable).with_name("lossbench"), *command],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "left out" not in run.stdout
    found = re.search(r"(\d+) records", run.stdout)
    assert found
    return int(found[1]), after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_the_page_of_a_thousand_records(tmp_path: Path) -> None:
    board, page = tmp_path / "board", tmp_path / "page"
    shutil.copytree(BOARD / "records", board / "records")
    shutil.copytree(BOARD / "submissions", board / "submissions")
    committed, seconds = build(board, tmp_path / "committed")
    print(f"\n{committed} committed records: {seconds:.1f} s of CPU")
    further = copies(board / "records")
    expected = max(RECORDS, committed)
    write(further, expected - committed)
    shown, first = build(board, page)
    _, unchanged = build(board, page)
    write(further, 1)
    added, later = build(board, page)
    print(f"{shown} records: {first:.1f} s of CPU, {unchanged:.1f} s unchanged, {later:.1f} s with another run")
    assert (shown, added) == (expected, expected + 1)
    assert first < MOST_SECONDS
