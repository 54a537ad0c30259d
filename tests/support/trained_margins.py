"""Numbers that tests measure on the tiny tasks' trained models, and on a step of SSD300."""

from __future__ import annotations

import math
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from margin import Margin
from references import gradients_by_autograd, one_by_one
from tiny_learners import built, learner
from tiny_tasks import KINDS
from torch import Tensor

from lossbench.diagnosis.contact_sheets import predictions_sheet
from lossbench.measuring.replay import BANK_IMAGES, OutputBank
from lossbench.submissions.conformance import Trial
from strategies import Context, Strategy
from strategies.alfa_mix import AlfaMix
from strategies.deepfool import DeepFool
from tasks.base import Task
from tasks.detection.losses import BoxTargets
from tasks.detection.settings import RowSettings
from tasks.detection.task import UnlabeledDetection
from tasks.images.drawing import CELL_PIXELS, GAP_PIXELS
from tasks.images.pixels import Pixels
from tasks.models.settings import FullSsdSettings
from tasks.models.ssd import build_ssd
from tasks.training import gradients
from tasks.training.learner import Learner

SKETCHED = np.arange(15, 60, 2)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="margins-")


@cache
def _task(kind: str) -> Task[Any, Any]:
    return built(kind, Path(_folder().name))


@cache
def _trained(kind: str, seed: int) -> Learner:
    return learner(_task(kind), Path(_folder().name) / "models", seed=seed)


def _context(kind: str, strategy: Strategy, seed: int) -> Context:
    return Trial(_task(kind), strategy, (_trained(kind, seed),)).context()


@cache
def _gradients(seed: int) -> Tensor:
    return gradients_by_autograd(_trained("detection", seed), SKETCHED).double()


def bank_spread(of: Learner) -> float:
    """How far three images that a bank makes of one lie apart, as a share of their length."""
    embeddings = of.task.embed(OutputBank.of(of).outputs(np.array([0, BANK_IMAGES, 2 * BANK_IMAGES])))
    return float((embeddings - embeddings.mean(0)).norm() / embeddings.norm())


def cells_of(sheet: Tensor) -> Tensor:
    """The cells (rows, columns, 3, c, c) of a contact sheet."""
    step, inside = CELL_PIXELS + GAP_PIXELS, sheet[:, GAP_PIXELS:, GAP_PIXELS:]
    return inside.unfold(1, CELL_PIXELS, step).unfold(2, CELL_PIXELS, step).permute(1, 2, 0, 3, 4)


def wrong_predictions(task: Task[Any, Any], of: Learner) -> int:
    """How many of a sheet's predictions are drawn otherwise than the labels above them."""
    upper, lower = cells_of(predictions_sheet(task, of, task.test_ids[:20]))
    return sum(not torch.equal(*pair) for pair in zip(upper, lower, strict=True))


def changed_share(ctx: Context) -> float:
    """Mean weight of the rows that ALFA-Mix's moves change, over three caps."""
    strategy = AlfaMix(caps=(2.0, 20.0, 100.0))
    _, changes = strategy._closed_form(ctx, strategy._anchors(ctx))
    return float(np.mean([each.changed_weight.mean().item() for each in changes]))


def deepfool_error(ctx: Context) -> float:
    """Largest difference between DeepFool on batches and image by image, as a share of the perturbation."""
    found = DeepFool(shortlist=1, categories=99).select(ctx)
    model, errors = ctx.learner.model, []
    for image, score in zip(ctx.learner.task.images(found.ids), found.scores.tolist(), strict=True):
        alone = one_by_one(lambda at, like=image: model(at.view(1, *like.shape)).raw, image.flatten()[None], 50)
        errors.append(abs(alone + score) / alone)
    return max(errors)


def sketch_errors(sketched: Tensor, vectors: Tensor) -> Tensor:
    """Errors of the inner products of sketches, as shares of the lengths, over the deviation that is promised."""
    lengths, sketched = vectors.norm(dim=1), sketched.double()
    errors = (sketched @ sketched.T - vectors @ vectors.T) / torch.outer(lengths, lengths)
    return errors / math.sqrt(2 / gradients.SKETCH_NUMBERS)


def mean_sketch_error(vectors: Tensor) -> float:
    """Root mean square of such errors, over all pairs and 40 sketches: the deviation is one over sketches."""
    errors = []
    for seed in range(40):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gradients, "SKETCH_SEED", seed)
            sketched = gradients.count_sketch(vectors, gradients.SKETCH_NUMBERS)
        errors.append(sketch_errors(sketched, vectors).square().mean())
    return float(torch.stack(errors).mean().sqrt())


def largest_sketch_error(of: Learner, vectors: Tensor) -> float:
    """Of the one sketch that a learner takes."""
    return float(sketch_errors(of.gradient_embeddings(SKETCHED).right, vectors).abs().max())


def ssd300_step(seed: int) -> float:
    """By how much a small step lowers the loss of untrained SSD300, over what the gradient promises."""
    rate = 1e-6
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, images = build_ssd(FullSsdSettings(kind="mmdet", imagenet=False), 20), torch.randn(2, 3, 300, 300)
    boxes = torch.tensor([[[20.0, 30, 200, 250], [5, 5, 60, 80]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
    targets = BoxTargets(boxes, torch.tensor([[14, 3], [-1, -1]]))
    some = UnlabeledDetection(Pixels(torch.zeros(1, 3, 300, 300, dtype=torch.uint8), 300), model, RowSettings())
    loss = some.losses(model(images).raw, targets).mean()
    loss.backward()
    promised = rate * sum(float(each.grad.double().square().sum()) for each in model.parameters())
    torch.optim.SGD(model.parameters(), rate).step()
    with torch.no_grad():
        return float(loss - some.losses(model(images).raw, targets).mean()) / promised


SPREAD = {
    kind: Margin(
        f"output bank, {kind}: spread of one image",
        lambda seed, kind=kind: bank_spread(_trained(kind, seed)),
        below=0.5,
    )
    for kind in KINDS
}
CHANGED = {
    kind: Margin(
        f"alfa-mix, {kind}: weight of the rows that its moves change",
        lambda seed, kind=kind: changed_share(_context(kind, AlfaMix(), seed)),
        above=0.03,
    )
    for kind in KINDS
}
WRONG = {
    kind: Margin(
        f"trained on 12 images, {kind}: wrong predictions of 12",
        lambda seed, kind=kind: wrong_predictions(_task(kind), _trained(kind, seed)),
        above=3.5,
    )
    for kind in KINDS
}
DEEPFOOL = Margin(
    "DeepFool on batches: largest relative error",
    lambda seed: deepfool_error(_context("classification", DeepFool(), seed)),
    below=0.01,
)
SKETCH = Margin(
    "sketches of gradients: root mean square of errors over the bound",
    lambda seed: mean_sketch_error(_gradients(seed)),
    below=1.5,
)
OWN_SKETCH = Margin(
    "sketch of gradients: largest error over the bound",
    lambda seed: largest_sketch_error(_trained("detection", seed), _gradients(seed)),
    below=5.0,
)
SSD300 = Margin("SSD300: gain of a small step over what the gradient promises", ssd300_step, above=0.5, below=1.5)
MARGINS = (*SPREAD.values(), *CHANGED.values(), *WRONG.values(), DEEPFOOL, SKETCH, OWN_SKETCH, SSD300)
