"""A user's own model in every kind of task: its output, its frozen trunk, and what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_detectors
import torch
from tiny_models import MODELS, POSE_MODELS, SEGMENTATION_MODELS, own_source, protocol_with

from lossbench.diagnosis.taps import candidates
from tasks.base import Task
from tasks.errors import DataError
from tasks.kinds import build_task
from tasks.models import outside
from tasks.models.outside import load_model_file

KINDS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "classification": MODELS,
    "segmentation": SEGMENTATION_MODELS,
    "pose": POSE_MODELS,
    "detection": tiny_detectors.MODELS,
}
SOME = np.array([3, 40, 7])


@pytest.fixture(autouse=True)
def _none_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_loaded", {})


def built(kind: str, source: str, folder: Path, **changes: object) -> Task[Any, Any]:
    """The tiny task of a kind with the model of a file."""
    folder.mkdir(exist_ok=True)
    path = folder / "mine.py"
    path.write_text(source, encoding="utf-8")
    outside._loaded.clear()
    load_model_file(path)
    model = {**KINDS[kind]["own"], **changes}
    return build_task(protocol_with(model, kind).task, folder, folder, torch.device("cpu"))


def seeded(kind: str, seed: int) -> str:
    """The file, with weights of its own instead of random ones."""
    source = own_source(kind).replace("        first =", f"        torch.manual_seed({seed})\n        first =")
    return source.replace("from torch import nn", "import torch\nfrom torch import nn")


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_trunk_gives_what_the_trained_one_would(kind: str, tmp_path: Path) -> None:
    whole = built(kind, seeded(kind, 1), tmp_path)
    frozen = built(kind, seeded(kind, 1), tmp_path, freeze=True, trunk_precision="fp32")
    model, after_trunk = whole.build_model().eval(), frozen.build_model().eval()
    for part in {"neck", "head"} & dict(after_trunk.named_children()).keys():
        after_trunk.get_submodule(part).load_state_dict(getattr(model, part).state_dict())
    with torch.no_grad():
        one, other = model(whole.unlabeled.inputs(SOME)), after_trunk(frozen.unlabeled.inputs(SOME))
    for ours, theirs in zip(_tensors(one.raw), _tensors(other.raw), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=2e-3, atol=2e-3)
    for ours, theirs in zip(one.taps, other.taps, strict=True):
        torch.testing.assert_close(theirs, ours.mean((2, 3), keepdim=True), rtol=2e-3, atol=2e-3)
    assert len(list(after_trunk.parameters())) < len(list(model.parameters()))


def _tensors(raw: Any) -> list[torch.Tensor]:
    return [raw] if isinstance(raw, torch.Tensor) else list(raw)


@pytest.mark.parametrize("kind", KINDS)
def test_other_weights_are_another_trunk(kind: str, tmp_path: Path) -> None:
    weights = [built(kind, seeded(kind, seed), tmp_path, freeze=True).fingerprints["weights"] for seed in (1, 2, 1)]
    assert weights[0] != weights[1]
    assert weights[0] == weights[2]
    assert "weights" not in built(kind, seeded(kind, 1), tmp_path).fingerprints, "trained: they change"


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_frozen_trunk_embeds_before_training(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="random weights"):
        built(kind, own_source(kind), tmp_path).pretrained_model()
    task = built(kind, own_source(kind), tmp_path, freeze=True)
    with torch.no_grad():
        outputs = task.pretrained_model().eval()(task.unlabeled.inputs(SOME))
    assert task.unlabeled.embed(outputs).shape == (len(SOME), 16)


@pytest.mark.parametrize("kind", KINDS)
def test_its_parts_are_listed_by_the_names_of_the_file(kind: str, tmp_path: Path) -> None:
    names = [part.name for part in candidates(built(kind, own_source(kind), tmp_path))]
    assert {"0", "0.0", "1"} <= set(names)


CONVOLUTION = "nn.Conv2d(16, outputs, 1)"


@pytest.mark.parametrize(
    ("kind", "old", "new", "reason"),
    [
        (
            "pose",
            "nn.Unflatten(1, (1, outputs))",
            "nn.Identity()",
            r"\(2, 16, 8, 8\) for 2 images; \(2, stacks, 16, h, h\) is",
        ),
        ("pose", "(1, outputs)", "(2, outputs // 2)", r"\(2, 2, 8, 8, 8\) for 2 images"),
        ("segmentation", "16, outputs, 1", "16, 2, 1", r"\(2, 2, 8, 8\) for 2 images; \(2, 9, h, h\) is wanted"),
        ("segmentation", CONVOLUTION, f"nn.Sequential({CONVOLUTION}, nn.AvgPool2d((2, 1)))", r"\(2, 9, 4, 8\) for 2"),
        ("segmentation", ', head="2"', "", 'names no head; give TappedModel the name of its last step: head="..."'),
        ("classification", ', head="3"', "", "names no head; give TappedModel"),
        (
            "detection",
            'taps=["0", "1"]',
            'taps=["1"]',
            "2 levels of a trunk with 1 taps; lower levels or name more taps",
        ),
        ("detection", 'taps=["0", "1"]', "taps=[]", "has no taps, or they do not run"),
        ("detection", "16, 3, stride=2", "17, 3, stride=(2, 1)", r"a tap gives \(17, 8, 16\) for an image"),
        ("detection", "nn.Conv2d(8, 16", "nn.Conv2d(9, 16", "does not run on 32 pixels"),
    ],
)
def test_a_model_that_does_not_fit_its_kind_is_one_line(
    kind: str, old: str, new: str, reason: str, tmp_path: Path
) -> None:
    source = own_source(kind)
    assert old in source
    with pytest.raises(DataError, match=reason) as caught:
        built(kind, source.replace(old, new), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_head_that_ssd_replaces_may_stay(tmp_path: Path) -> None:
    """The file of a classifier also serves detection."""
    task = built("detection", own_source("classification").replace('"two-stages"', '"two-stages-detection"'), tmp_path)
    taps = task.build_model()(task.unlabeled.inputs(SOME)).taps
    assert [tap.shape[1:] for tap in taps] == [(8, 16, 16), (16, 8, 8)]


def test_several_stacks_are_several_heatmaps_for_each_joint(tmp_path: Path) -> None:
    source = own_source("pose").replace("nn.Conv2d(16, outputs, 1)", "nn.Conv2d(16, 2 * outputs, 1)")
    task = built("pose", source.replace("(1, outputs)", "(2, outputs)"), tmp_path)
    outputs = task.build_model()(task.unlabeled.inputs(SOME))
    assert outputs.raw.shape == (len(SOME), 2, 16, 8, 8)
    assert task.unlabeled.losses(outputs.raw, task.targets(SOME)).shape == (len(SOME),)
