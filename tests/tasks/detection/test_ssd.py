"""SSD: the small one, mmdet's, and what stands in for compiled mmcv."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ssd_examples import CLASSES, outputs, reader, targets
from torch import Tensor
from torchvision.models import VGG16_Weights
from trained_margins import SSD300

from lossbench.submissions.conformance import tiny_protocol
from tasks.detection.settings import DetectionData, RowSettings
from tasks.detection.task import UnlabeledDetection
from tasks.errors import DataError
from tasks.images.pixels import Colors, Pixels
from tasks.kinds import build_task
from tasks.models import openmmlab
from tasks.models.openmmlab.detector_config import input_colors
from tasks.models.settings import FullSsdSettings, SmallSsdSettings
from tasks.models.ssd import Ssd, build_ssd
from tasks.settings import SceneSettings


def test_the_small_ssd(ssd: Ssd, anchors: Tensor) -> None:
    with torch.no_grad():
        found = ssd(torch.zeros(2, 3, 64, 64))
        again = ssd.head(*found.features)
    assert [tuple(tap.shape[1:]) for tap in found.taps] == [(8, 8, 8), (16, 4, 4), (32, 2, 2), (64, 1, 1)]
    assert torch.equal(again.scores, found.raw.scores)
    assert torch.equal(again.offsets, found.raw.offsets)
    assert found.raw.scores.shape == (2, len(anchors), CLASSES + 1)
    assert torch.equal(reader(ssd).embed(found), found.features[2].mean((2, 3)))


def test_rows_are_in_the_order_of_anchors(ssd: Ssd, anchors: Tensor) -> None:
    """A prediction at one place of one map must stand at that place's anchors."""
    scores, _, _ = outputs(ssd, 1)
    marked = [torch.zeros_like(each) for each in scores]
    marked[1][:, :, 2, 3] = 1  # row 2, column 3 of the map of stride 16
    joined = torch.cat([each.permute(0, 2, 3, 1).reshape(1, -1, CLASSES + 1) for each in marked], 1)
    rows = joined[0].any(1)
    centers = (anchors[rows][:, :2] + anchors[rows][:, 2:]) / 2
    assert centers.unique(dim=0).tolist() == [[3.5 * 16, 2.5 * 16]]
    head, sources = ssd.head, tuple(torch.zeros(1, *tap.shape[1:]) for tap in ssd(torch.zeros(1, 3, 64, 64)).taps)
    before = head(*sources).scores
    sources[1][:, :, 2, 3] = 100.0
    changed = (head(*sources).scores != before)[0].any(1)
    assert changed[rows].all()


def test_building_leaves_the_mode_alone(ssd: Ssd) -> None:
    ssd.train()
    ssd.anchors(64)
    assert ssd.training
    ssd.eval()


@pytest.mark.slow
def test_ssd300_as_mmdet_ships_it() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, images = build_ssd(FullSsdSettings(kind="mmdet", imagenet=False), 20), torch.randn(2, 3, 300, 300)
    anchors = model.anchors(300)
    assert anchors.shape == (8732, 4)
    found = model(images)
    assert [tap.shape[1] for tap in found.taps] == [512, 1024, 512, 256, 256, 256]
    assert [tap.shape[2] for tap in found.taps] == [38, 19, 10, 5, 3, 1]
    again = model.head(*found.features)
    assert torch.equal(again.scores, found.raw.scores)
    assert torch.equal(again.offsets, found.raw.offsets)
    some = UnlabeledDetection(Pixels(torch.zeros(1, 3, 300, 300, dtype=torch.uint8), 300), model, RowSettings())
    assert some.embed(found).shape == (2, 1024)
    wanted = targets([(20, 30, 200, 250, 14), (5, 5, 60, 80, 3)], [])
    losses = some.losses(found.raw, wanted)
    assert losses.isfinite().all()


@pytest.mark.slow
def test_a_small_step_lowers_the_loss_of_ssd300_as_its_gradient_promises() -> None:
    SSD300.check()


def test_vgg_16_sees_colors_as_its_weights_were_trained() -> None:
    seen, wanted = input_colors(FullSsdSettings(kind="mmdet")), VGG16_Weights.IMAGENET1K_FEATURES.transforms()
    assert seen.std == pytest.approx([255 * share for share in wanted.std])
    assert seen.mean == pytest.approx([255 * share for share in wanted.mean], abs=1)  # mmdet rounds otherwise
    assert seen.fill == seen.mean
    assert input_colors(SmallSsdSettings(kind="resnet18")) == Colors()


@pytest.mark.slow
def test_a_full_ssd_reads_images_in_its_own_colors(cache: Path) -> None:
    data = DetectionData(
        validation=0, scenes=SceneSettings(seed=3, pool=12, test=3), pool=("2007/trainval",), stored_pixels=32
    )
    given = tiny_protocol("detection").task.model_copy(
        update={"data": data, "model": FullSsdSettings(kind="mmdet", imagenet=False), "pretraining": None}
    )
    task = build_task(given, cache, cache, torch.device("cpu"))
    one = np.arange(1)
    frame = task.unlabeled.frames(one).float().mean((2, 3))
    seen = task.unlabeled.images(one).mean((2, 3))
    assert (seen - (frame - torch.tensor([123.675, 116.28, 103.53]))).abs().max() < 2, "the mean taken off, and no more"


def test_a_config_that_is_not_there_or_no_ssd_is_refused() -> None:
    with pytest.raises(DataError, match=r"no mmdet config 'nowhere\.py'"):
        build_ssd(FullSsdSettings(kind="mmdet", config="nowhere.py"), 20)
    with pytest.raises(DataError, match="only SSDHead fits"):
        build_ssd(FullSsdSettings(kind="mmdet", config="retinanet/retinanet_r50_fpn_1x_coco.py"), 20)


def test_the_stand_in_gives_nms_and_refuses_the_rest() -> None:
    from mmcv import ops

    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 4], [20, 20, 30, 30]])
    scores = torch.tensor([0.5, 0.9, 0.8, 0.1])
    kept, indices = ops.nms(boxes, scores, 0.55)
    assert indices.tolist() == [1, 2, 3]  # overlap of the first with the second 0.8, of the third 0.5
    assert kept[:, 4].tolist() == pytest.approx([0.9, 0.8, 0.1])
    extension = sys.modules["mmcv._ext"]
    if not isinstance(extension, openmmlab._Extension):
        pytest.skip("compiled mmcv is here, and nothing stands in for it")
    with pytest.raises(NotImplementedError, match="'roi_align_forward' needs compiled mmcv"):
        ops.roi_align(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5), (2, 2))
    with pytest.raises(NotImplementedError, match="offset 0"):
        extension.nms(boxes, scores, 0.5, 1)
    with pytest.raises(AttributeError):
        extension.__version__  # noqa: B018


def test_xtcocotools_is_pycocotools() -> None:
    import pycocotools.coco
    import xtcocotools.coco

    assert xtcocotools.coco.COCO is pycocotools.coco.COCO
