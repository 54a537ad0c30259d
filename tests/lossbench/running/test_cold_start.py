"""First labels that a strategy picks from a pretrained trunk, before anything is labeled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from pydantic import ValidationError

from leaderboard.schema.records import Record, read_record, write_record
from lossbench.auditing.records import impossible
from lossbench.config import Budget, ConfigError, Protocol, Sweep
from lossbench.paths import Paths
from lossbench.running.jobs import Job, NullSink, jobs
from lossbench.running.pool import Pool
from lossbench.running.sweep import run_job
from strategies import STRATEGIES
from tasks.errors import DataError
from tests.support.tiny_models import MODELS, protocol_with

COLD = [strategy.name for strategy in STRATEGIES if strategy.cold_start]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some weights of the tiny network."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.manual_seed(3)
    torch.save(timm.create_model("test_resnet").state_dict(), path)
    return path


def started_by(first: str, weights: Path | str, **changes: object) -> Protocol:
    """The tiny protocol on a frozen trunk, whose first labels this strategy picks."""
    protocol = protocol_with({**MODELS["frozen"], "weights": str(weights), **changes})
    return protocol.model_copy(update={"budget": Budget(initial=6, step=4, rounds=2, subset=20, first=first)})


def made(protocol: Protocol, folder: Path, seed: int = 0, strategy: str = "random") -> Record:
    """A run's record."""
    return read_record(run_job(0, Job(protocol, strategy, seed, "shared", "test"), Paths(folder, folder), NullSink()))


@pytest.mark.parametrize("first", COLD)
def test_a_strategy_picks_the_first_labels(first: str, weights: Path, tmp_path: Path) -> None:
    protocol = started_by(first, weights)
    record = made(protocol, tmp_path)
    drawn = Pool.without_labels(protocol.task.data.scenes.pool, protocol).initial(0, 6)  # pyright: ignore[reportOptionalMemberAccess]
    assert len(record.first) == 6
    assert sorted(record.first) != drawn.tolist()
    assert not set(record.first) & set(record.rounds[0].picked)
    assert [one.labeled for one in record.rounds] == [6, 10]
    assert not list(impossible(record))
    assert made(protocol, tmp_path / "other", strategy="margin").first == record.first, "shared by all strategies"
    assert made(protocol, tmp_path, seed=1).first != record.first


@pytest.mark.slow
def test_core_set_starts_with_images_far_apart(weights: Path, tmp_path: Path) -> None:
    """The first image is drawn; each further one is the farthest from those before it, so that no two are alike."""
    from tasks.kinds import build_task

    protocol = started_by("core-set", weights)
    task = build_task(protocol.task, tmp_path, tmp_path / "cache", torch.device("cpu"))
    model = task.pretrained_model().eval()
    with torch.no_grad():
        points = task.unlabeled.embed(model(task.unlabeled.inputs(np.arange(task.pool_size))))
    assert points.shape[1] > 16, "the trunk's vector, not a hidden layer that is not trained"

    def closest(ids: list[int]) -> float:
        return float(torch.pdist(points[ids]).min())

    pool = Pool.without_labels(task.pool_size, protocol)
    drawn = [closest(pool.initial(seed, 6).tolist()) for seed in range(20)]
    assert closest(list(made(protocol, tmp_path).first)) > max(drawn)


def test_a_run_goes_on_from_the_first_labels_in_its_record(weights: Path, tmp_path: Path) -> None:
    protocol = started_by("typiclust", weights)
    job = Job(protocol, "random", 0, "shared", "test")
    record = made(protocol, tmp_path)
    others = tuple(range(6)) if set(range(6)) != set(record.first) else tuple(range(1, 7))
    write_record(record.model_copy(update={"first": others, "rounds": ()}), job.path(tmp_path))
    assert made(protocol, tmp_path).first == others, "as another machine may have picked others"


def test_records_with_impossible_first_labels_are_told(weights: Path, tmp_path: Path) -> None:
    protocol = started_by("typiclust", weights)
    record = made(protocol, tmp_path)
    pool = Pool.without_labels(protocol.task.data.scenes.pool, protocol)  # pyright: ignore[reportOptionalMemberAccess]

    def faults(*first: int) -> list[str]:
        return list(impossible(record.model_copy(update={"first": first})))

    assert "holds 0 chosen first labels" in faults()[0]
    assert "held out for validation" in faults(*record.first[1:], int(pool.validation[0]))[0]
    assert "the pool has images 0 to" in faults(*record.first[1:], 10_000)[0]
    assert "which is among the first labels" in faults(*record.first[1:], record.rounds[0].picked[0])[0]


@pytest.mark.parametrize(
    ("first", "line"),
    [
        ("margin", "margin cannot pick before anything is labeled; core-set, .*typiclust.* and random can"),
        ("nothing", "nothing"),
        ("full-pool", "full-pool"),
        ("mine.py", "mine.py cannot"),
    ],
)
def test_strategies_that_need_labels_are_refused_before_anything_is_built(first: str, line: str, weights: Path) -> None:
    protocol = started_by(first, weights)
    with pytest.raises(ConfigError, match=f"budget.first: .*{line}"):
        jobs(Sweep(protocols=(protocol.name,), strategies=("random",), seeds=(0,)), (protocol,))


@pytest.mark.parametrize("model", [MODELS["frozen"], {"kind": "resnet18", "width": 8}], ids=["timm", "resnet18"])
def test_a_model_of_random_weights_cannot_start(model: dict[str, object], weights: Path, tmp_path: Path) -> None:
    protocol = started_by("typiclust", weights)
    protocol = replace_model(protocol, model)
    with pytest.raises(DataError, match="starts from random weights"):
        made(protocol, tmp_path)


def replace_model(protocol: Protocol, model: dict[str, object]) -> Protocol:
    """The protocol with another model."""
    return protocol_with(model).model_copy(update={"budget": protocol.budget})


def test_missing_groups_need_first_labels_that_are_drawn(weights: Path) -> None:
    table = started_by("typiclust", weights).model_dump(mode="json") | {"stress": {"missing_groups": 1}}
    with pytest.raises(ValidationError, match="not from those of typiclust"):
        Protocol.model_validate(table)
