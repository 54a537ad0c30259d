"""Processes that share batches: gradients, statistics, masks and rows are those of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_tasks import KINDS
from torch.nn import functional
from two_processes import in_two_processes

from lossbench.submissions.conformance import tiny_protocol
from lossnet import ListwiseObjective, RankingObjective
from tasks.kinds import build_task
from tasks.training.dropout import Dropout
from tasks.training.learner import Learner
from tasks.training.loop import augmented
from tasks.training.processes.parallel import (
    Part,
    ProcessesError,
    add_up,
    alone,
    from_first,
    process_number,
    require_agreement,
    rows_of,
)
from tasks.training.processes.whole_batch import whole_batch
from tasks.training.seeding import seeded
from tasks.training.step import Attachment, TrainingStep

CPU = torch.device("cpu")
IDS = np.arange(11)


def test_parts_are_consecutive_and_together_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Part.of(100) is None, "one process computes all"
    monkeypatch.setattr("tasks.training.processes.parallel.process_count", lambda: 3)
    parts = []
    for number in range(3):
        monkeypatch.setattr("tasks.training.processes.parallel.process_number", lambda number=number: number)
        parts.append(Part.of(11))
    assert [each.rows for each in parts] == [slice(0, 4), slice(4, 8), slice(8, 11)]
    assert {each.whole for each in parts} == {11}
    assert Part.of(6) is not None
    assert Part.of(5) is None, "a part of one image has no variance"


def test_rows_of_tuples_keep_their_names() -> None:
    from tasks.training.gradients import GradientEmbeddings

    both = GradientEmbeddings(torch.arange(4), torch.arange(8).view(4, 2))
    some = rows_of((both, np.arange(4)), slice(1, 3))
    assert some[0].left.tolist() == [1, 2]
    assert some[0].right.tolist() == [[2, 3], [4, 5]]
    assert some[1].tolist() == [1, 2]


def test_without_other_processes_nothing_is_sent() -> None:
    assert from_first(lambda: 5) == 5
    require_agreement(b"anything", "anything")


def _trained_once(kind: str, cache: Path, ids: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The loss, all gradients and all buffers of a first step, with two loss predictors and dropout."""
    task = build_task(tiny_protocol(kind).task, cache, cache, CPU)
    with seeded(np.random.default_rng(0)):
        model = task.build_model().placed(CPU)
        with torch.no_grad():
            taps = model.eval()(task.unlabeled.inputs(np.array([0]))).taps
        objectives = RankingObjective(), ListwiseObjective()
        attachments = [Attachment(each, each.build(taps), detached=False) for each in objectives]
    attachments[1] = Attachment(objectives[1], attachments[1].module, detached=True)
    step = TrainingStep(task, model, attachments, (), Dropout.of(0.3, np.random.default_rng(1), CPU))
    for module in step.learned:
        module.train()
    model.double()  # in float32 rounding alone is 5e-4 of the largest gradient
    part = Part.of(len(ids))
    inputs, targets = augmented(task, ids, np.random.default_rng(2), part)
    total = step.loss(inputs.double(), targets, 0.0, part)
    total.backward()
    total = add_up(total, step.learned, part)
    gradients = [each.grad.flatten() for module in step.learned for each in module.parameters()]
    buffers = [each.float().flatten() for module in step.learned for each in module.buffers()]
    return total.detach(), torch.cat(gradients), torch.cat(buffers)


def _differences(cache: Path) -> dict[str, list[float]]:
    """How far loss, gradients and buffers of two processes are from those of one, as a share of the largest."""
    found = {}
    for kind in KINDS:
        for count in (len(IDS), 3):
            together = _trained_once(kind, cache, IDS[:count])
            with alone():
                single = _trained_once(kind, cache, IDS[:count])
            pairs = zip(together, single, strict=True)
            found[f"{kind}, {count} images"] = [float((a - b).abs().max() / b.abs().max()) for a, b in pairs]
    return found


def _layer_difference() -> float:
    """How far batch normalization without weights and two kinds of dropout are from what one process gives."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(7, 3, 5, 5, generator=generator).contiguous(memory_format=torch.channels_last)
    part = Part.of(7)

    def layers(own: torch.Tensor) -> torch.Tensor:
        with seeded(np.random.default_rng(0)):
            normal = functional.batch_norm(own, None, None, training=True)
            return functional.dropout2d(functional.dropout(normal, 0.2), 0.5)

    with whole_batch(part):
        own = layers(images[part.rows])
    return float((own - layers(images)[part.rows]).abs().max())


def _scored(cache: Path) -> list[bool]:
    """Whether what a learner gives of five images in batches of two is what one process gives."""
    task = build_task(tiny_protocol("detection").task, cache, cache, CPU)
    with seeded(np.random.default_rng(0)):
        model = task.build_model().placed(CPU).eval()
    learner, ids = Learner(task.unlabeled, model, batch=2), np.array([3, 50, 7, 9, 4])

    def everything() -> list[torch.Tensor]:
        posteriors = list(learner.posteriors(ids))
        assert [len(each.log_probs) for each in posteriors] == [2, 2, 1]
        rows = torch.cat([each.log_probs for each in posteriors])
        return [rows, learner.embeddings(ids), *learner.gradient_embeddings(ids), *_drawn(learner, ids)]

    together = everything()
    with alone():
        return [torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(together, everything(), strict=True)]


def _drawn(learner: Learner, ids: np.ndarray) -> tuple[torch.Tensor, ...]:
    """What a strategy draws for each image while it reads the outputs."""
    generator = torch.Generator().manual_seed(0)
    return learner.map_all(ids, lambda outputs: (torch.rand(len(outputs.taps[0]), generator=generator),), share=False)


def _disagreement() -> str:
    """What is said where two processes disagree."""
    require_agreement(b"the same", "nothing")
    assert from_first(process_number) == 0
    try:
        require_agreement(bytes([process_number()]), "the picks of a round")
    except ProcessesError as error:
        return str(error)
    return ""


def _all(cache: Path) -> dict[str, Any]:
    return {
        "differences": _differences(cache),
        "layers": _layer_difference(),
        "scored": _scored(cache),
        "said": _disagreement(),
    }


@pytest.fixture(scope="module")
def both(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes found, each."""
    for kind in KINDS:
        build_task(tiny_protocol(kind).task, cache, cache, CPU)
    return in_two_processes(_all, tmp_path_factory.mktemp("both"), cache)


@pytest.mark.slow
def test_two_processes_have_the_loss_the_gradients_and_the_statistics_of_one(both: list[dict[str, Any]]) -> None:
    for each in both:
        assert len(each["differences"]) == 2 * len(KINDS)
        assert all(max(values) < 1e-5 for values in each["differences"].values()), each["differences"]


@pytest.mark.slow
def test_layers_of_libraries_see_the_whole_batch(both: list[dict[str, Any]]) -> None:
    assert max(each["layers"] for each in both) < 1e-5


@pytest.mark.slow
def test_all_processes_have_the_rows_of_all_images(both: list[dict[str, Any]]) -> None:
    assert all(flag for each in both for flag in each["scored"])


@pytest.mark.slow
def test_processes_that_disagree_say_on_what(both: list[dict[str, Any]]) -> None:
    assert all("do not agree on the picks of a round" in each["said"] for each in both)
