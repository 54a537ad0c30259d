"""Deconvolutions on the maps of a trunk: what is read where, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny_models import POSE_MODELS, built_with, protocol_with
from torch import Tensor, nn

from tasks.errors import DataError
from tasks.models.settings import LibraryPoseSettings
from tasks.models.trunks.deconvolutions import DeconvolutionModel

SHAPES = ((3, 8, 8), (5, 4, 4))


class Maps(nn.Module):
    """Gives one tap, and maps of two resolutions."""

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        return (images,), (images[:, :3], images[:, :5, ::2, ::2])


def model(**changed: Any) -> DeconvolutionModel:
    table = {"kind": "timm", "name": "any", "width": 8, "deconvolutions": 2} | changed
    torch.manual_seed(0)
    return DeconvolutionModel(Maps(), SHAPES, LibraryPoseSettings.model_validate(table), 16).eval()


def test_every_deconvolution_doubles_the_side() -> None:
    images = torch.randn(2, 6, 8, 8)
    for count, side in ((1, 8), (2, 16), (3, 32)):
        built = model(deconvolutions=count)
        taps, (maps,), raw, _ = built(images)
        assert taps[0] is images
        assert maps.shape == (2, 8, side, side)
        assert raw.shape == (2, 1, 16, side, side)
        assert built.side == side


@pytest.mark.parametrize("channel", [2, 4])
def test_both_maps_are_read(channel: int) -> None:
    """Channel 2 is in both maps, at odd places in the large one alone; channel 4 is in the small one alone."""
    images = torch.randn(1, 6, 8, 8)
    changed = images.clone()
    changed[:, channel, 1 if channel == 2 else 0, ::2] += 1
    built = model()
    assert not torch.equal(built(images).features[0], built(changed).features[0])


def test_a_map_that_no_deconvolution_reaches_is_named() -> None:
    with pytest.raises(DataError, match=r"have maps of 4$"):
        model(deconvolutions=0)


FROZEN = POSE_MODELS["frozen"]
FAULTS = [
    (FROZEN | {"hidden": 4}, {}, "a pose model has `width`"),
    (FROZEN | {"mirrored": False}, {"flip_test": True}, "`flip_test` of a frozen trunk needs `mirrored`"),
    (FROZEN | {"freeze": False}, {}, "`mirrored` is for frozen trunks"),
]


@pytest.mark.parametrize(("table", "changes", "reason"), FAULTS, ids=[reason for _, _, reason in FAULTS])
def test_settings_that_contradict_each_other(table: dict[str, Any], changes: dict[str, Any], reason: str) -> None:
    given = protocol_with(FROZEN, "pose").model_dump(mode="json")
    given["task"] |= {"model": table, **changes}
    with pytest.raises(ValidationError, match=reason):
        type(protocol_with(FROZEN, "pose")).model_validate(given)


MISFITS = [
    ({"name": "test_resnett"}, "timm has no model 'test_resnett'; close names: test_resnet"),
    ({"weights": "none.pth"}, "no file of weights none.pth"),
    ({"taps": ["layer9"]}, "no submodule 'layer9' for a tap; close names: layer"),
    ({"levels": 5}, "5 levels of a trunk with 4 taps"),
    ({"levels": 4, "deconvolutions": 1}, "a map of 8 cells is read"),
]


@pytest.mark.parametrize(("changes", "reason"), MISFITS, ids=[reason for _, reason in MISFITS])
def test_a_trunk_that_does_not_fit_is_one_line(changes: dict[str, Any], reason: str, cache: Path) -> None:
    pytest.importorskip("timm")
    with pytest.raises(DataError, match=reason) as caught:
        built_with(FROZEN | changes, cache, "pose")
    assert "\n" not in str(caught.value)


def test_embeddings_before_training_are_those_of_a_trunk_with_weights(cache: Path, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    with pytest.raises(DataError, match="starts from random weights"):
        built_with(FROZEN, cache, "pose").pretrained_model()
    torch.save(timm.create_model("test_resnet", num_classes=7).state_dict(), tmp_path / "weights.pth")
    task = built_with(FROZEN | {"weights": str(tmp_path / "weights.pth")}, cache, "pose")
    outputs = task.pretrained_model().eval()(task.unlabeled.inputs(np.arange(3)))
    torch.testing.assert_close(task.unlabeled.embed(outputs), outputs.taps[-1].flatten(1), atol=1e-3, rtol=1e-3)
    assert len(task.fingerprints["weights"]) == 64
