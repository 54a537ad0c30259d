"""Models of mmpose by their configs: how they are divided, their weights, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from tiny_models import HRNET
from torch import Tensor

from tasks.base import Outputs, UnlabeledTask
from tasks.errors import DataError
from tasks.models import trust
from tasks.models.openmmlab.topdown_config import TopDownFactory, model_config
from tasks.models.settings import MmposeSettings
from tasks.training.gradients import gradient_embeddings

TEXT = HRNET.read_text(encoding="utf-8")
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_trusted", True)


def factory(config: Path = HRNET, joints: int = 16, **changed: Any) -> TopDownFactory:
    return TopDownFactory(
        MmposeSettings.model_validate({"kind": "mmpose", "config": str(config), "pixels": 32} | changed), joints
    )


def other_config(folder: Path, *changes: tuple[str, str]) -> Path:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "other.py"
    path.write_text(text, encoding="utf-8")
    return path


def estimator(config: Path = HRNET, joints: int = 16) -> Any:
    """mmpose's own model of a config."""
    table = model_config(MmposeSettings(kind="mmpose", config=str(config), pixels=32), joints)
    table.backbone.init_cfg = None
    init_default_scope("mmpose")
    torch.manual_seed(1)
    return MODELS.build(table).eval()


def saved(module: Any, folder: Path) -> Path:
    path = folder / "weights.pth"
    torch.save({"state_dict": module.state_dict(), "meta": {"epoch": 1}}, path)
    return path


def test_a_checkpoint_gives_mmposes_own_heatmaps(tmp_path: Path) -> None:
    source = estimator()
    weights = saved(source, tmp_path)
    made = factory(weights=str(weights))
    with torch.no_grad():
        taps, features, raw, _ = made.build().eval()(IMAGES)
        torch.testing.assert_close(raw[:, 0], source(IMAGES, None, mode="tensor"))
        assert [tuple(tap.shape) for tap in taps] == [(2, 4, 8, 8)]
        torch.testing.assert_close(taps[0], source.extract_feat(IMAGES)[-1])
    assert [tuple(each.shape) for each in features] == [(2, 4, 8, 8)]
    assert made.side == 8
    assert sorted(made.fingerprints) == ["config", "weights"]
    assert factory().fingerprints["config"] == made.fingerprints["config"]


def test_the_last_layer_of_other_joints_is_left_out(tmp_path: Path) -> None:
    source = estimator(joints=17)
    model = factory(weights=str(saved(source, tmp_path))).build()
    state, wanted = model.state_dict(), source.state_dict()
    assert torch.equal(state["backbone.conv1.weight"], wanted["backbone.conv1.weight"])
    assert len(state["head.layers.0.weight"]) == 16


def test_the_configs_own_weights_are_those_of_its_backbone(tmp_path: Path) -> None:
    source = estimator()
    config = other_config(tmp_path, ("https://localhost:1/hrnet.pth", f"file://{tmp_path}/backbone.pth"))
    torch.save(source.backbone.state_dict(), tmp_path / "backbone.pth")
    model = factory(config, weights="hub").build()
    assert all(
        torch.equal(value, source.backbone.state_dict()[name]) for name, value in model.backbone.state_dict().items()
    )


def test_swapped_colors_reach_the_backbone_as_its_config_wants(tmp_path: Path) -> None:
    source = estimator()
    weights = str(saved(source, tmp_path))
    swapped = factory(other_config(tmp_path, ('"bgr_to_rgb": True', '"bgr_to_rgb": False')), weights=weights)
    assert factory().colors.mean == (120, 110, 100)
    assert swapped.colors.mean == (100, 110, 120)
    with torch.no_grad():
        torch.testing.assert_close(
            swapped.build().eval()(IMAGES.flip(1)).raw, factory(weights=weights).build().eval()(IMAGES).raw
        )


def test_a_neck_comes_between_backbone_and_head(tmp_path: Path) -> None:
    """This one puts the maps of all resolutions together, as HRNetV2 does."""
    text = TEXT.replace('"num_channels": (4, 8, 16, 32)', '"num_channels": (4, 8, 16, 32), "multiscale_output": True')
    text = text.replace('"in_channels": 4', '"in_channels": 60').replace('"head": {', NECK)
    path = tmp_path / "neck.py"
    path.write_text(text, encoding="utf-8")
    source = estimator(path)
    taps, _, raw, _ = factory(path, weights=str(saved(source, tmp_path))).build().eval()(IMAGES)
    torch.testing.assert_close(raw[:, 0], source(IMAGES, None, mode="tensor"))
    assert [tuple(tap.shape[1:]) for tap in taps] == [(60, 8, 8)]


def test_named_modules_are_taps() -> None:
    taps, _, _, _ = factory(taps=["backbone.layer1", "backbone.conv2"]).build().eval()(IMAGES)
    assert [tuple(tap.shape[1:]) for tap in taps] == [(16, 8, 8), (64, 8, 8)]


NECK = '"neck": {"type": "FeatureMapProcessor", "concat": True}, "head": {'
HOURGLASS = """
model = dict(
    type="TopdownPoseEstimator", data_preprocessor=dict(type="PoseDataPreprocessor", mean=[0.0] * 3, std=[1.0] * 3, bgr_to_rgb=True),
    backbone=dict(type="HourglassNet", downsample_times=2, num_stacks=2, stage_channels=(256, 8, 8), stage_blocks=(1, 1, 1), feat_channel=8),
    head=dict(type="CPMHead", in_channels=8, out_channels=17, num_stages=2, deconv_out_channels=None),
)
"""
MSPN = """
codec = [dict(input_size=(192, 256))]
model = dict(
    type="TopdownPoseEstimator", data_preprocessor=dict(type="PoseDataPreprocessor", mean=[0.0] * 3, std=[1.0] * 3, bgr_to_rgb=True),
    backbone=dict(type="MSPN", unit_channels=8, num_stages=1, num_units=2, num_blocks=[1, 1], norm_cfg=dict(type="BN")),
    head=dict(type="MSPNHead", out_shape=(64, 48), unit_channels=8, out_channels=17, num_stages=1, num_units=2,
              level_indices=[0, 1]),
)
"""


@pytest.mark.parametrize("text", [HOURGLASS, MSPN], ids=["hourglass", "MSPN"])
def test_heads_of_several_stacks_are_divided_at_their_last_layers(text: str, tmp_path: Path) -> None:
    path = tmp_path / "stacks.py"
    path.write_text(text, encoding="utf-8")
    source = estimator(path)
    model = factory(path, weights=str(saved(source, tmp_path))).build().eval()
    with torch.no_grad():
        _, features, raw, _ = model(IMAGES)
        wanted: list[Tensor] = source(IMAGES, None, mode="tensor")
    assert raw.shape == (2, 2, 16, 8, 8)
    torch.testing.assert_close(raw, torch.stack(list(wanted), 1))
    assert len(features) == 2
    model.train()(IMAGES).raw.square().mean().backward()
    assert all(each.grad is not None for each in model.head.parameters())
    task = Mock(spec=UnlabeledTask, losses=lambda raw, targets: raw.square().sum((1, 2, 3, 4)))
    assert gradient_embeddings(task, model.head, Outputs((), features, raw)).right.square().sum(1).min() > 0


BODY = "body_2d_keypoint/"
REFUSED = [
    ("nothing.py", {}, "no mmpose config 'nothing.py': no such file"),
    (BODY + "topdown_heatmap/mpii/td-hm_hrnet-w32_8xb64-210e_mpi-256x256.py", {}, "close names: .*mpii-256x256.py"),
    (BODY + "dekr/coco/dekr_hrnet-w32_8xb10-140e_coco-512x512.py", {}, "it is a BottomupPoseEstimator"),
    (BODY + "simcc/mpii/simcc_res50_wo-deconv-8xb64-210e_mpii-256x256.py", {}, "a SimCCHead gives no heatmaps"),
    (BODY + "topdown_regression/mpii/td-reg_res50_8xb64-210e_mpii-256x256.py", {}, "a RegressionHead gives no heatmaps"),
    (BODY + "topdown_heatmap/coco/td-hm_ViTPose-small_8xb64-210e_coco-256x192.py", {}, "the Python package mmpretrain, which is not"),
    (str(HRNET), {"weights": "none.pth"}, "no file of weights none.pth"),
    (str(HRNET), {"weights": "hub"}, "https://localhost:1/hrnet.pth are not cached and could not be downloaded"),
    (str(HRNET), {"taps": ["backbone.layer9"]}, "no submodule 'backbone.layer9' for a tap; close names: backbone.layer1"),
    (str(HRNET), {"taps": ["head"]}, "no submodule|does not run before the last layer"),
    (str(HRNET), {"pixels": 33}, "cannot be built for 33 pixels|not square"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "changes", "reason"), REFUSED, ids=[reason for _, _, reason in REFUSED])
def test_what_does_not_fit_is_one_line(config: str, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        factory(Path(config), **changes)
    assert "\n" not in str(caught.value)


def test_an_operator_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = other_config(tmp_path, ('"type": "HRNet",', '"type": "HRNet", "conv_cfg": {"type": "DCNv2"},'))
    with pytest.raises(DataError, match=r"mmcv's operator '.*' needs compiled mmcv") as caught:
        factory(config)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = estimator().state_dict()
    state["backbone.conv1.weight"] = torch.zeros(3, 3)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(DataError, match=r"backbone\.conv1\.weight has another shape: \(3, 3\) in the file"):
        factory(weights=str(tmp_path / "weights.pth"))
    del state["backbone.conv1.weight"]
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(DataError, match=r"lacks backbone\.conv1\.weight"):
        factory(weights=str(tmp_path / "weights.pth"))


def test_a_config_from_elsewhere_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_trusted", False)
    config = other_config(tmp_path, ("# A", f"open({str(tmp_path / 'ran')!r}, 'w')\n# A"))
    with pytest.raises(DataError, match="runs as Python code, and mmpose does not ship this one; give --trust-config"):
        factory(config)
    assert not (tmp_path / "ran").exists()
