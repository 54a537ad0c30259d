"""To look at a trunk's shapes leaves the trunk as it is."""

from __future__ import annotations

import pytest
import torch

from tasks.models.library.backbone import LastTaps, LibraryBackbone
from tasks.models.settings import LibraryPoseSettings


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pixels", [32, 64], ids=["maps of one cell", "maps of four cells"])
def test_neither_statistics_nor_mode_change(pixels: int, training: bool) -> None:
    pytest.importorskip("timm")
    settings = LibraryPoseSettings.model_validate(
        {"kind": "timm", "name": "test_resnet", "pixels": pixels, "deconvolutions": 3}
    )
    backbone = LibraryBackbone(settings).train(training)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    trunk = LastTaps(backbone, 2, pixels)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert {module.training for module in trunk.modules()} == {training}
    assert trunk.shapes == ((192, pixels // 16, pixels // 16), (96, pixels // 32, pixels // 32))
