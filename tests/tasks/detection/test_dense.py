"""Dense heads of mmdet: losses of single images, rows over classes and background, boxes, colors, weights and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.structures import InstanceData
from ssd_examples import SCENES, targets
from tiny_detectors import config_in
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from tasks.detection.reading import DenseReading
from tasks.errors import DataError
from tasks.models.factories.detectors import DetectorFactory
from tasks.models.openmmlab.dense import DenseDetector, build_dense
from tasks.models.openmmlab.detector_config import input_colors
from tasks.models.settings import FullSsdSettings
from tasks.models.trust import trust_configs
from tasks.outside.errors import OutsideError

CLASSES, PIXELS = 3, 64
META = dict.fromkeys(("img_shape", "pad_shape", "batch_input_shape", "ori_shape"), (PIXELS, PIXELS))


@pytest.fixture(scope="module", autouse=True)
def _trusted() -> Iterator[None]:
    trust_configs(True)
    yield
    trust_configs(False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("configs")


def settings(folder: Path, name: str, **changes: Any) -> FullSsdSettings:
    return FullSsdSettings(kind="mmdet", config=config_in(folder, name), pixels=PIXELS, **changes)


def detector(folder: Path, name: str, **changes: Any) -> DenseDetector:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_dense(settings(folder, name, **changes), CLASSES).eval()


@pytest.fixture(scope="module", params=["retinanet", "fcos"])
def model(request: pytest.FixtureRequest, folder: Path) -> DenseDetector:
    return detector(folder, request.param)


@pytest.fixture(scope="module")
def some(model: DenseDetector) -> DenseReading:
    return DenseReading(model, PIXELS, torch.device("cpu"))


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(len(SCENES), 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(1))


def test_the_loss_of_one_image_is_mmdets(model: DenseDetector, some: DenseReading, images: Tensor) -> None:
    wanted = targets(*SCENES)
    head: Any = model.head.dense
    with torch.no_grad():
        ours = some.losses(model(images).raw, wanted)
        head.training = True  # in which mmdet computes losses; its layers stay in evaluation mode
        for image, (boxes, labels) in enumerate(zip(*wanted, strict=True)):
            maps, _ = model.trunk(images[image : image + 1])
            objects = InstanceData(bboxes=boxes[labels >= 0], labels=labels[labels >= 0])
            parts = head.loss_by_feat(*head(maps), [objects], [META | {"scale_factor": (1.0, 1.0)}])
            flat = [value for part in parts.values() for value in (part if isinstance(part, list) else [part])]
            torch.testing.assert_close(ours[image], torch.stack([value.sum() for value in flat]).sum())
        head.training = False


def test_losses_can_be_computed_in_float64(some: DenseReading, model: DenseDetector, images: Tensor) -> None:
    """ALFA-Mix does, for a gradient that does not vanish where the model is sure."""
    with torch.no_grad():
        raw = model(images).raw
    exact = type(raw)(*(part.double() for part in raw))
    wanted = targets(*SCENES)
    torch.testing.assert_close(some.losses(exact, wanted).float(), some.losses(raw, wanted), rtol=1e-3, atol=1e-4)


def test_an_image_without_objects_has_a_finite_loss(some: DenseReading, model: DenseDetector, images: Tensor) -> None:
    with torch.no_grad():
        losses = some.losses(model(images[:2]).raw, targets([], SCENES[0]))
    assert losses.isfinite().all()


def test_the_background_is_what_no_class_claims(some: DenseReading, model: DenseDetector, images: Tensor) -> None:
    with torch.no_grad():
        raw = model(images).raw
    present = raw.scores.double().sigmoid()
    if raw.quality.shape[2]:
        present = present * raw.quality.double().sigmoid()
    whole = torch.cat([present, (1 - present).prod(2, keepdim=True)], 2)
    found = some.log_probs(raw).double().exp()
    torch.testing.assert_close(found, whole / whole.sum(2, keepdim=True), atol=1e-6, rtol=1e-4)
    sure = raw._replace(scores=torch.full_like(raw.scores, 200.0), quality=torch.full_like(raw.quality, 200.0))
    assert some.log_probs(sure).isfinite().all()


def test_boxes_are_those_of_its_detections(some: DenseReading, model: DenseDetector, images: Tensor) -> None:
    """Every detection lies where one of the rows says, and a row's score is that of its detection."""
    with torch.no_grad():
        raw = model(images).raw
        boxes, found = some.boxes(raw), some.detections(raw, 0.0)
    assert boxes.shape == (*raw.scores.shape[:2], 4)
    scores = raw.scores.sigmoid() * (raw.quality.sigmoid() if raw.quality.shape[2] else 1)
    for row_boxes, row_scores, image in zip(boxes, scores, found, strict=True):
        assert len(image.boxes)
        overlap, row = box_iou(image.boxes, row_boxes).max(1)
        torch.testing.assert_close(overlap, torch.ones_like(overlap), atol=1e-3, rtol=0)
        best = image.scores.argmax()
        torch.testing.assert_close(image.scores[best], row_scores[row[best], image.labels[best]], atol=1e-5, rtol=1e-4)


def test_boxes_in_units_of_the_stride_grow_in_evaluation(folder: Path) -> None:
    assert detector(folder, "fcos").head._scales == [8, 16, 32, 64, 128]
    assert detector(folder, "retinanet").head._scales == [1] * 5


def test_a_model_that_reads_blue_first_gets_it(folder: Path, images: Tensor) -> None:
    model = detector(folder, "fcos")
    colors = input_colors(settings(folder, "fcos"))
    assert colors.mean == (123.675, 116.28, 103.53)
    with torch.no_grad():
        expected = model.neck(model.backbone(images.flip(1)))
        torch.testing.assert_close(model.trunk(images)[0][0], expected[0])


def test_a_backbone_that_starts_from_noise_is_trained_whole(folder: Path) -> None:
    assert all(parameter.requires_grad for parameter in detector(folder, "fcos").parameters())


def test_weights_of_other_classes_come_without_the_class_layers(folder: Path, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        other = build_dense(settings(folder, "retinanet"), CLASSES + 4)
    names = {"backbone": other.backbone, "neck": other.neck, "bbox_head": other.head.dense}
    state = {f"{part}.{name}": value for part, each in names.items() for name, value in each.state_dict().items()}
    torch.save({"meta": {"epoch": 3}, "state_dict": state}, tmp_path / "weights.pth")
    given = settings(folder, "retinanet", weights=str(tmp_path / "weights.pth"))
    loaded = detector(folder, "retinanet", weights=str(tmp_path / "weights.pth"))
    for name, value in loaded.state_dict().items():
        if "retina_cls" not in name:
            assert torch.equal(value, other.state_dict()[name]), name
    assert not torch.equal(loaded.state_dict()["head.dense.retina_cls.weight"], torch.zeros(1))
    assert len(DetectorFactory(given, CLASSES).fingerprints["weights"]) == 64
    del state["neck.fpn_convs.0.conv.weight"]
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(DataError, match=r"weights\.pth lacks neck\.fpn_convs\.0\.conv\.weight"):
        build_dense(given, CLASSES)


FAULTS = [
    ("faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", "FasterRCNN is a two-stage detector"),
    ("rpn/rpn_r50_fpn_1x_coco.py", "RPN is a two-stage detector"),
    ("yolact/yolact_r50_1xb8-55e_coco.py", "YOLACT segments instances"),
    ("mask2former/mask2former_r50_8xb2-lsj-50e_coco.py", "has no bbox_head"),
    (
        "convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py",
        "ModuleNotFoundError: No module named .mmpretrain.",
    ),
    ("nowhere.py", r"no mmdet config 'nowhere\.py'"),
]


@pytest.mark.parametrize(("config", "reason"), FAULTS, ids=[reason for _, reason in FAULTS])
def test_what_does_not_fit_is_refused_in_one_line(config: str, reason: str) -> None:
    with pytest.raises((DataError, OutsideError), match=reason) as caught:
        DetectorFactory(FullSsdSettings(kind="mmdet", config=config), CLASSES).build()
    assert "\n" not in str(caught.value)


def test_an_operator_that_needs_compiled_mmcv_is_named(folder: Path) -> None:
    config = Path(config_in(folder, "retinanet"))
    neck = "neck=dict(type='FPN_CARAFE', start_level=0, end_level=-1, num_outs=5, _delete_=True,"
    config.with_name("carafe.py").write_text(config.read_text().replace("neck=dict(", neck))
    given = FullSsdSettings(kind="mmdet", config=str(config.with_name("carafe.py")), pixels=PIXELS)
    with pytest.raises(DataError, match=r"RetinaNet: mmcv's operator '\w+' needs compiled mmcv.* install it"):
        build_dense(given, CLASSES)


def test_weights_that_mmdet_publishes_are_those_of_its_metafile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refused(url: str, *_: object, **__: object) -> None:
        asked.append(url)
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    given = FullSsdSettings(kind="mmdet", config="retinanet/retinanet_r50_fpn_1x_coco.py", weights="hub")
    with pytest.raises(DataError, match=r"could not be downloaded \(no route\)"):
        DetectorFactory(given, CLASSES)
    assert asked[0].endswith(".pth")
    assert "retinanet_r50_fpn_1x_coco" in asked[0]


def test_only_ssds_start_from_imagenet_unless_asked() -> None:
    assert FullSsdSettings(kind="mmdet").imagenet
    assert FullSsdSettings(kind="mmdet", config="ssd/ssd512_coco.py").imagenet
    assert not FullSsdSettings(kind="mmdet", config="retinanet/retinanet_r50_fpn_1x_coco.py").imagenet
    assert "weights" not in FullSsdSettings(kind="mmdet").model_dump(), "the tables of earlier records"


def test_softmax_heads_have_their_own_background(some: DenseReading, model: DenseDetector, images: Tensor) -> None:
    head: Any = some._head
    with torch.no_grad():
        raw = model(images).raw
    head.use_sigmoid_cls = False
    try:
        torch.testing.assert_close(some.log_probs(raw), functional.log_softmax(raw.scores, 2))
    finally:
        head.use_sigmoid_cls = True
