"""Answers that are kept in files are those of one pass, and only what is missing is computed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_learners import MakeLearner
from torch import Tensor

from strategies.kernels.information import entropy, margin
from tasks.training import kept
from tasks.training.kept import KeptRows
from tasks.training.learner import Learner

BATCH, PER_FILE = 3, 6
IDS = np.array([9, 2, 7, 3, 0, 5, 8, 1, 6, 4, 11, 10, 15, 12])
QUESTIONS: dict[str, Callable[[Learner, np.ndarray], Tensor]] = {
    "embeddings": lambda learner, ids: learner.embeddings(ids),
    "margins": lambda learner, ids: learner.pooled(ids, margin),
    "entropies": lambda learner, ids: learner.pooled(ids, entropy),
    "predicted losses": lambda learner, ids: learner.predicted_losses(learner.lossnet, ids),
}


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "ROWS_PER_FILE", PER_FILE - 1)


@pytest.fixture
def keeping(kind: str, trained: MakeLearner, tmp_path: Path) -> Learner:
    return replace(trained(kind), batch=BATCH, kept=KeptRows(tmp_path / "scores", "these images"))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The ids that go through the model."""
    found: list[int] = []
    forward = Learner._forward
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "_forward", lambda self, ids: (found.extend(ids.tolist()), forward(self, ids))[1])
        yield found


@pytest.mark.parametrize("question", QUESTIONS)
def test_kept_answers_are_those_of_one_pass(question: str, keeping: Learner, seen: list[int], tmp_path: Path) -> None:
    ask = QUESTIONS[question]
    wanted = ask(replace(keeping, kept=None), IDS)
    seen.clear()
    for _ in range(2):
        assert torch.equal(ask(keeping, IDS), wanted)
    assert sorted(seen) == sorted(IDS.tolist()), "the second time nothing is computed"
    assert len(list(tmp_path.glob("scores/*/*.npy"))) == 3


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("scores/*/*.npy"))


def test_what_was_cut_off_goes_on(
    trained: MakeLearner, seen: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = replace(trained("classification"), batch=BATCH, kept=KeptRows(tmp_path / "scores", "these"))
    written = kept.load_shards

    def stopped(folder: Path, sharding: kept.Sharding) -> tuple[kept.Rows, ...]:
        def until_the_last(start: int, stop: int) -> Iterator[kept.Rows]:
            if stop > 2 * PER_FILE:
                raise KeyboardInterrupt
            yield from sharding.compute(start, stop)

        return written(folder, replace(sharding, compute=until_the_last))

    monkeypatch.setattr(kept, "load_shards", stopped)
    with pytest.raises(KeyboardInterrupt):
        learner.embeddings(IDS)
    monkeypatch.setattr(kept, "load_shards", written)
    assert len(files(tmp_path)) == 2
    files(tmp_path)[0].write_bytes(files(tmp_path)[0].read_bytes()[:-4])
    seen.clear()
    assert torch.equal(learner.embeddings(IDS), replace(learner, kept=None).embeddings(IDS))
    assert seen[: -len(IDS)] == [*IDS[:PER_FILE], *IDS[2 * PER_FILE :]], "the damaged file and the missing one"


@pytest.mark.parametrize("change", ["weights", "images", "ids", "loss predictor", None])
def test_a_store_belongs_to_weights_images_and_ids(change: str | None, trained: MakeLearner, tmp_path: Path) -> None:
    learner = replace(trained("classification"), batch=BATCH, kept=KeptRows(tmp_path / "scores", "these"))
    learner.predicted_losses(learner.lossnet, IDS)
    ids = IDS
    if change == "ids":
        ids = IDS[::-1].copy()
    elif change == "images":
        learner = replace(learner, kept=KeptRows(tmp_path / "scores", "others"))
    elif change:
        learner = copy.deepcopy(learner)
        changed = learner.model if change == "weights" else learner.lossnet
        assert changed is not None
        with torch.no_grad():
            next(changed.parameters()).mul_(1.5)
    wanted = replace(learner, kept=None).predicted_losses(learner.lossnet, ids)
    assert torch.equal(learner.predicted_losses(learner.lossnet, ids), wanted)
    assert len(list(tmp_path.glob("scores/*"))) == (1 if change is None else 2)


def test_what_has_no_lasting_name_and_few_images_are_computed_anew(trained: MakeLearner, tmp_path: Path) -> None:
    learner = replace(trained("classification"), batch=BATCH, kept=KeptRows(tmp_path / "scores", "these"))
    learner.pooled(IDS, lambda rows: margin(rows))
    learner.embeddings(IDS[:PER_FILE])
    assert not (tmp_path / "scores").exists()
