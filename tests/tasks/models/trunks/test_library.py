"""Trunks of libraries: to look at their shapes changes nothing, and a failed download is one line."""

from __future__ import annotations

from urllib.error import URLError

import pytest
import torch

from tasks.errors import DataError
from tasks.models.settings import LibraryPoseSettings
from tasks.models.trunks.library import LibraryBackbone
from tasks.models.trunks.maps import LastTaps


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


def test_weights_that_cannot_be_downloaded_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: object, **options: object) -> None:
        msg = "<urlopen error no network>"
        raise URLError(msg)

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    settings = LibraryPoseSettings.model_validate(
        {"kind": "torchvision", "name": "resnet18", "weights": "hub", "pixels": 32, "deconvolutions": 1}
    )
    with pytest.raises(DataError, match=r"the weights of resnet18 could not be loaded: .*no network"):
        LibraryBackbone(settings)
