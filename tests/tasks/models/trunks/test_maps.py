"""A trunk is read before anything is trained where the protocol names weights for it, and only there."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from tasks.models.settings import LibraryPoseSettings
from tasks.models.trunks.library import LibraryBackbone
from tasks.models.trunks.maps import MapTrunk


def trunk(weights: str) -> MapTrunk:
    table = {"kind": "timm", "name": "test_resnet", "weights": weights, "pixels": 32, "deconvolutions": 3}
    settings = LibraryPoseSettings.model_validate(table)
    return MapTrunk(settings, partial(LibraryBackbone, settings))


def test_weights_decide_whether_it_is_read_untrained(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")
    assert trunk("none").untrained() is None
    named = trunk(str(tmp_path / "weights.pth"))
    read, built, images = named.untrained(), named.build().eval(), torch.randn(2, 3, 32, 32)
    assert read is not None
    with torch.no_grad():
        for one, other in zip(read(images)[1], built(images)[1], strict=True):
            torch.testing.assert_close(one, other)
    assert list(named.fingerprints) == ["weights"]
