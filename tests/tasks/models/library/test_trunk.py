"""A trunk is read before anything is trained where the protocol names weights for it, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tasks.models.library.trunk import MapTrunk
from tasks.models.settings import LibraryPoseSettings


def trunk(weights: str) -> MapTrunk:
    table = {"kind": "timm", "name": "test_resnet", "weights": weights, "pixels": 32, "deconvolutions": 3}
    return MapTrunk(LibraryPoseSettings.model_validate(table))


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
