"""Parts of a sweep for arrays of jobs: disjoint, together the whole, and about equally large."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from command_line import Result, the_line
from hypothesis import given
from hypothesis import strategies as st
from sample_configs import written

from lossbench.config_files import read_protocol
from lossbench.running.jobs import Job, Shard


@cache
def runs(*sizes: int) -> list[Job]:
    """Runs of several protocols: of each so many, under one seed every three."""
    protocol = read_protocol("quickstart-pose")
    named = [(protocol.model_copy(update={"name": f"p{number}"}), size) for number, size in enumerate(sizes)]
    return [
        Job(each, f"strategy-{number % 3}", number // 3, "shared", "test")
        for each, size in named
        for number in range(size)
    ]


@given(st.lists(st.integers(0, 9), max_size=4), st.integers(1, 12))
def test_all_shards_together_are_the_sweep(sizes: list[int], count: int) -> None:
    whole = runs(*sizes)
    shards = [Shard(number, count).of(whole) for number in range(1, count + 1)]
    assert sorted(map(hash, (job for shard in shards for job in shard))) == sorted(map(hash, whole))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    for protocol in {job.protocol.name for job in whole}:
        of_protocol = [sum(job.protocol.name == protocol for job in shard) for shard in shards]
        assert max(of_protocol) - min(of_protocol) <= 1


def test_the_runs_of_a_seed_stay_together() -> None:
    halves = [Shard(number, 2).of(runs(12, 6)) for number in (1, 2)]
    places = Counter(place for shard in halves for place in {(job.protocol.name, job.seed) for job in shard})
    assert set(places.values()) == {1}


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "1", "1/", "/3", "a/b", "-1/3", "1/3/5", "1.0/3", "1 / 3", ""])
def test_a_shard_that_is_none_is_one_line(text: str, lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    line = the_line(
        lossbench_cli("run", written(tmp_path), "--out", tmp_path / "out", "--workers", "1", "--shard", text)
    )
    assert line == f"--shard {text!r}: I/N is wanted, with I from 1 to N, such as 1/8 for the first of eight parts"
    assert not (tmp_path / "out").exists()


def test_shards_run_one_by_one_make_the_sweep(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    for number, made in enumerate((1, 2, 2), start=1):
        result = lossbench_cli("run", sweep, "--out", out, "--workers", "1", "--shard", f"{number}/3")
        assert result.code == 0
        first, *_, last = result.output.splitlines()
        assert first.startswith(f"{'1 run' if number < 3 else '0 runs'} of 2 (shard {number}/3) on 1 protocol")
        assert (
            last
            == f"Shard {number}/3 is complete. When all are: lossbench leaderboard build {out}/records --out {out}/page"
        )
        assert len(list(out.glob("records/**/*.json"))) == made
    assert lossbench_cli("leaderboard", "build", out / "records", "--out", out / "page").code == 0
    assert "2 runs of 2" not in result.output
