"""Pose: mmpose's heatmaps and loss, PCKh by hand, mirrored joints, and annotation files that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from tasks.base import DataError, Features, TapModel
from tasks.datasets.mpii import load_list
from tasks.datasets.names import MPII_JOINTS, MPII_MIRRORED
from tasks.images.decoding import decode_squares
from tasks.kinds import build_task
from tasks.models.hourglass import StackedHourglass
from tasks.models.settings import HourglassSettings
from tasks.pose.heatmaps import gaussians, peaks
from tasks.pose.losses import PoseTargets
from tasks.pose.settings import PoseSettings
from tasks.pose.task import PoseTask

CPU = torch.device("cpu")
MODEL = {"stacks": 2, "width": 8, "pixels": 256, "depth": 1}
RECIPE = {"epochs": 1, "batch": 4, "optimizer": "adamw", "learning_rate": 1e-3}
HEAD_TOP, PELVIS = MPII_JOINTS.index("head top"), MPII_JOINTS.index("pelvis")
RIGHT_ANKLE, LEFT_ANKLE = MPII_JOINTS.index("right ankle"), MPII_JOINTS.index("left ankle")


@pytest.fixture(scope="module")
def scenes(cache: Path) -> Callable[..., PoseTask]:
    """Rendered figures under any settings."""

    def of(**changed: Any) -> PoseTask:
        data = {"scenes": {"seed": 3, "pool": 60, "test": 24}, "validation": 0}
        given = {"kind": "pose", "data": data, "model": MODEL, "recipe": RECIPE} | changed
        return build_task(PoseSettings.model_validate(given), cache, cache, CPU)

    return of


@pytest.fixture(scope="module")
def task(scenes: Callable[..., PoseTask]) -> PoseTask:
    return scenes()


def person(**changed: Any) -> dict[str, Any]:
    joints = [[20.0 + 3 * number, 30.0 + 2 * number] for number in range(len(MPII_JOINTS))]
    return {
        "image": "one.jpg", "center": [50.0, 45.0], "scale": 0.4, "joints": joints, "joints_vis": [1] * len(MPII_JOINTS),
        "head_size": 10.0,
    } | changed  # fmt: skip


def written(root: Path, pool: object, test: object = None) -> PoseSettings:
    """Annotation files, and two black images that they may name."""
    for folder in ("pose/images", "pose/annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ("one.jpg", "two.jpg"):
        Image.new("RGB", (100, 90)).save(root / "pose/images" / name)
    for name, entries in (("train", pool), ("val", test if test is not None else [person(image="two.jpg")])):
        text = entries if isinstance(entries, str) else json.dumps(entries)
        (root / f"pose/annotations/mpii_{name}.json").write_text(text)
    given = {"kind": "pose", "data": {"validation": 0}, "model": MODEL | {"pixels": 64}, "recipe": RECIPE}
    return PoseSettings.model_validate(given)


def built(root: Path, settings: PoseSettings) -> PoseTask:
    return build_task(settings, root, root, CPU)


def places_of(task: PoseTask, ids: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack([each.joints for each in task.annotations[ids]]))


def as_raw(heatmaps: Tensor) -> Tensor:
    """Raw output of two stacks; only the last one may count in predictions."""
    return torch.stack([torch.rand(heatmaps.shape, generator=torch.Generator().manual_seed(0)), heatmaps], 1)


PLACES = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("sigma", [1.0, 1.7])
def test_heatmaps_are_mmposes_unbiased_ones(sigma: float) -> None:
    from mmpose.codecs import MSRAHeatmap

    codec = MSRAHeatmap((64, 64), (16, 16), sigma, unbiased=True)
    # mmpose's coordinates are those of pixels' centers, and a cell's index times four is where its peak lies.
    keypoints = (PLACES.double().numpy() * 16 - 0.5) * 4
    for image, found in zip(keypoints, gaussians(PLACES, 16, sigma), strict=True):
        encoded = codec.encode(image[None])
        assert np.asarray(encoded["heatmaps"]) == pytest.approx(found.numpy(), abs=1e-4)
        assert encoded["keypoint_weights"].all()


@settings(deadline=None)
@given(x=st.floats(0.2, 0.8), y=st.floats(0.2, 0.8), side=st.integers(16, 40))
def test_the_peak_of_a_heatmap_is_its_place(x: float, y: float, side: int) -> None:
    found = peaks(gaussians(torch.tensor([[[x, y]]]), side, 1.0).numpy())[0, 0]
    assert np.abs(found - [x, y]).max() * side <= 0.25 + 1e-3


def test_a_center_of_a_cell_has_peak_one() -> None:
    heatmap = gaussians(torch.tensor([[[2.5 / 8, 5.5 / 8]]]), 8, 1.0)[0, 0]
    assert heatmap[5, 2].item() == pytest.approx(1)
    assert heatmap[5, 3].item() == pytest.approx(np.exp(-0.5))
    assert heatmap[7, 2].item() == pytest.approx(np.exp(-2))


def test_losses_average_to_mmposes_loss(task: PoseTask) -> None:
    from mmpose.models.losses import KeypointMSELoss

    targets = task.targets(np.arange(12))
    assert 0 < targets.visible.float().mean() < 1
    raw = torch.rand(12, 2, *targets.heatmaps.shape[1:], generator=torch.Generator().manual_seed(0))
    loss = KeypointMSELoss(use_target_weight=True)
    expected = sum(loss(raw[:, stack], targets.heatmaps, targets.visible.float()) for stack in range(2))
    losses = task.unlabeled.losses(raw, targets)
    assert losses.mean().item() == pytest.approx(expected.item(), rel=1e-5)
    third = PoseTargets(targets.heatmaps[2:3], targets.visible[2:3])
    assert task.unlabeled.losses(raw[2:3], third).item() == pytest.approx(losses[2].item())


def test_losses_by_hand(task: PoseTask) -> None:
    targets = PoseTargets(torch.zeros(2, 16, 4, 4), torch.tensor([[True] * 16, [True] * 4 + [False] * 12]))
    raw = torch.full((2, 2, 16, 4, 4), 3.0)
    raw[:, 1] = 1.0
    assert task.unlabeled.losses(raw, targets).tolist() == pytest.approx([9 + 1, (9 + 1) * 4 / 16])


def test_ground_truth_has_no_loss_and_full_pckh(task: PoseTask) -> None:
    targets = task.targets(task.test_ids)
    both = targets.heatmaps.unsqueeze(1).repeat(1, 2, 1, 1, 1)
    assert task.unlabeled.losses(both, targets).abs().max() == 0
    assert task.metrics([as_raw(targets.heatmaps)], task.test_ids) == {"PCKh": 1.0}


@pytest.mark.parametrize(("heads", "expected"), [(0.4, 1.0), (0.6, 0.0)])
def test_half_a_head_decides(task: PoseTask, heads: float, expected: float) -> None:
    ids = task.test_ids
    places = places_of(task, ids).clone()
    sizes = torch.tensor([each.head_size for each in task.annotations[ids]])
    inward = torch.where(places[..., 0] < 0.5, 1.0, -1.0)
    places[..., 0] += inward * heads * sizes.unsqueeze(1)
    raw = as_raw(gaussians(places, 64, 1.0))
    assert task.metrics([raw[:7], raw[7:]], ids)["PCKh"] == pytest.approx(expected, abs=0.02)


def test_pckh_counts_visible_joints_alike(task: PoseTask) -> None:
    ids = task.test_ids
    visible = np.stack([each.visible for each in task.annotations[ids]])
    heatmaps = task.targets(ids).heatmaps.clone()
    heatmaps[:, HEAD_TOP] = 0
    heatmaps[:, HEAD_TOP, 0, 0] = 1  # nobody's head is there
    counted = [joint for joint in range(16) if joint not in (6, 7)]
    expected = 1 - visible[:, HEAD_TOP].sum() / visible[:, counted].sum()
    assert task.metrics([as_raw(heatmaps)], ids)["PCKh"] == pytest.approx(expected)


def test_pelvis_and_thorax_do_not_count(task: PoseTask) -> None:
    heatmaps = task.targets(task.test_ids).heatmaps.clone()
    heatmaps[:, PELVIS : PELVIS + 2] = heatmaps[:, PELVIS : PELVIS + 2].flip(2, 3).roll(17, 2)
    assert task.metrics([as_raw(heatmaps)], task.test_ids)["PCKh"] == 1.0


def test_whoever_is_judged_needs_a_head(tmp_path: Path) -> None:
    headless = {key: value for key, value in person().items() if key != "head_size"}
    task = built(tmp_path, written(tmp_path, [headless]))
    raw = as_raw(task.targets(np.arange(1)).heatmaps)
    with pytest.raises(DataError, match="no head_size or headbox"):
        task.metrics([raw], np.arange(1))


def test_mirrored_names_the_other_side() -> None:
    for joint, other in enumerate(MPII_MIRRORED):
        swapped = MPII_JOINTS[joint].replace("left", "LEFT").replace("right", "left").replace("LEFT", "right")
        assert MPII_JOINTS[other] == swapped


def test_a_mirrored_left_joint_is_a_right_one(scenes: Callable[..., PoseTask]) -> None:
    task = scenes(rotation_degrees=0.0, zoom=0.0)
    ids = np.arange(20)
    images, targets = task.augmented(ids, np.random.default_rng(0))
    original, before = task.unlabeled.images(ids), task.targets(ids)
    mirrored = (images - original.flip(3)).abs().amax((1, 2, 3)) < 0.05
    same = (images - original).abs().amax((1, 2, 3)) < 0.05
    assert torch.equal(mirrored, ~same)
    assert 0 < mirrored.sum() < 20
    for image in range(20):
        visible, heatmaps = before.visible[image], before.heatmaps[image]
        if mirrored[image]:
            visible, heatmaps = visible[list(MPII_MIRRORED)], heatmaps.flip(2)[list(MPII_MIRRORED)]
        assert torch.equal(targets.visible[image], visible)
        assert torch.allclose(targets.heatmaps[image][visible], heatmaps[visible], atol=1e-4)


def with_dot(root: Path, x: float, y: float) -> PoseTask:
    """One person whose every joint lies on a bright dot, at coordinates that count pixels from 1."""
    settings = written(root, [person(image="dot.png", joints=[[x, y]] * 16, center=[60.0, 55.0], scale=0.3)])
    cells = np.arange(1, 121)
    dot = np.exp(-((cells[None] - x) ** 2 + (cells[:, None] - y) ** 2) / (2 * 1.5**2))
    image = np.tile(np.array([124, 116, 104], np.uint8), (120, 120, 1))  # as what lies outside is filled
    image[..., 0] += (131 * dot).round().astype(np.uint8)
    Image.fromarray(image).save(root / "pose/images/dot.png")
    return built(root, settings)


def bright_place(image: Tensor) -> np.ndarray:
    mass = image[0].double()
    mass = mass * (mass > mass.max() / 10)
    cells = (torch.arange(mass.shape[-1]) + 0.5) / mass.shape[-1]
    return np.array([(mass.sum(0) * cells).sum() / mass.sum(), (mass.sum(1) * cells).sum() / mass.sum()])


@pytest.mark.parametrize(("x", "y"), [(60.0, 55.0), (72.0, 40.0), (50.5, 68.0)])
def test_joints_are_where_the_image_shows_them(tmp_path: Path, x: float, y: float) -> None:
    task = with_dot(tmp_path, x, y)
    ids = np.zeros(12, dtype=np.int64)
    frame = 0.3 * 200 * 1.25
    place = places_of(task, ids[:1])[0, 0].numpy()
    assert place == pytest.approx([(x - 60) / frame + 0.5, (y - 55) / frame + 0.5])
    seen = bright_place(task.unlabeled.images(ids[:1])[0])
    assert seen == pytest.approx(place, abs=0.3 / 64)
    images, targets = task.augmented(ids, np.random.default_rng(1))
    found = peaks(targets.heatmaps.numpy())[:, RIGHT_ANKLE]
    for image, where, visible in zip(images, found, targets.visible, strict=True):
        assert visible.all()
        assert bright_place(image) == pytest.approx(where, abs=0.35 / 16)


def test_what_leaves_the_frame_does_not_count(tmp_path: Path) -> None:
    joints = [[50.0, 45.0]] * 15 + [[50.0 + 0.4 * 250 * 0.51, 45.0]]
    task = built(tmp_path, written(tmp_path, [person(joints=joints)]))
    assert task.targets(np.arange(1)).visible[0].tolist() == [True] * 15 + [False]
    edge = [[50.0, 45.0]] * 15 + [[50.0 + 0.4 * 250 * 0.49, 45.0]]
    task = built(tmp_path, written(tmp_path, [person(joints=edge)]))
    assert task.targets(np.arange(1)).visible.all()
    rotated = [task.augmented(np.arange(1), np.random.default_rng(seed))[1].visible[0, 15].item() for seed in range(20)]
    assert set(rotated) == {True, False}  # some zooms push it out


def test_positive_posteriors_by_hand(task: PoseTask) -> None:
    raw = torch.zeros(1, 2, 16, 2, 2)
    raw[0, 1, 0] = torch.tensor([[3.0, 1.0], [-5.0, 0.0]])
    raw[0, 1, 1] = -4.0
    said = task.unlabeled.posteriors(raw)
    assert said.log_probs.shape == (1, 16, 4)
    assert said.log_probs[0, 0].exp().tolist() == pytest.approx([0.75, 0.25, 0, 0], abs=1e-5)
    assert said.log_probs[0, 1].exp().tolist() == pytest.approx([0.25] * 4)
    assert said.log_probs.exp().sum(2).tolist() == [pytest.approx([1.0] * 16)]
    assert said.weight.sum().item() == pytest.approx(1)
    assert said.weight.unique().tolist() == [1 / 16]
    assert said.context.tolist() == [list(range(16))]


def test_softmax_posteriors_are_a_setting(scenes: Callable[..., PoseTask]) -> None:
    raw = torch.randn(2, 2, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    said = scenes(posterior="softmax").unlabeled.posteriors(raw)
    assert torch.allclose(said.log_probs.exp(), raw[:, 1].flatten(2).softmax(2), atol=1e-6)


def test_pseudo_targets_are_the_models_own_peaks(task: PoseTask) -> None:
    targets = task.targets(np.arange(4))
    pseudo = task.unlabeled.pseudo_targets(as_raw(targets.heatmaps))
    assert pseudo.heatmaps.shape == targets.heatmaps.shape
    gap = peaks(pseudo.heatmaps.numpy()) - places_of(task, np.arange(4)).numpy()
    assert np.abs(gap[targets.visible.numpy()]).max() <= 0.51 / 64


class Canned(TapModel):
    """Says one thing of an image as it is and another of its mirror image."""

    def __init__(self, images: Tensor, mirrored: Tensor) -> None:
        super().__init__()
        self.images, self.mirrored = images, mirrored
        self.head = torch.nn.Identity()

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        assert torch.equal(images, self.images.flip(3))
        return (), (self.mirrored,)


def test_flip_test_averages_the_mirrored_heatmaps(scenes: Callable[..., PoseTask], task: PoseTask) -> None:
    flipping, ids = scenes(flip_test=True), np.arange(3)
    images = flipping.unlabeled.images(ids)
    raw = torch.rand(3, 2, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    consistent = raw.flip(4)[:, :, list(MPII_MIRRORED)]
    assert torch.equal(flipping.judged(Canned(images, consistent), ids, raw), raw)
    halved = flipping.judged(Canned(images, torch.zeros_like(raw)), ids, raw)
    assert torch.equal(halved, raw / 2)
    one = torch.zeros_like(raw)
    one[:, :, RIGHT_ANKLE, 2, 0] = 2.0
    assert flipping.judged(Canned(images, one), ids, torch.zeros_like(raw))[0, 1, LEFT_ANKLE, 2, 7] == 1
    assert task.judged(Canned(images, one), ids, raw) is raw


def test_groups_are_clusters_of_the_reference(task: PoseTask) -> None:
    ids = np.arange(40)
    groups = task.groups(ids, ids)
    assert groups.sum(1).tolist() == [1] * 40
    assert groups.any(0).all()
    assert torch.equal(groups, task.groups(ids, ids))
    assert task.groups(np.arange(3), np.arange(2)).shape == (3, 8)
    assert task.groups(np.arange(0), ids).shape == (0, 8)


def test_the_head_reads_every_stacks_features(task: PoseTask) -> None:
    model = task.build_model().eval()
    with torch.no_grad():
        outputs = model(task.unlabeled.images(np.arange(2)))
        assert torch.equal(model.head(*outputs.features), outputs.raw)
    assert outputs.raw.shape == (2, 2, 16, 64, 64)
    assert [tuple(tap.shape) for tap in outputs.taps] == [(2, 8, 64, 64)] * 2
    assert torch.allclose(task.unlabeled.embed(outputs), outputs.taps[1].mean((2, 3)))
    assert outputs.raw.abs().max() < 1  # it starts near the empty heatmap


@pytest.mark.slow
def test_the_papers_hourglass() -> None:
    model = StackedHourglass(HourglassSettings(), len(MPII_JOINTS))
    assert 6e6 < sum(each.numel() for each in model.parameters()) <= 8e6
    outputs = model(torch.randn(2, 3, 256, 256))
    assert [tuple(tap.shape[1:]) for tap in outputs.taps] == [(256, 64, 64)] * 2
    assert outputs.raw.shape == (2, 2, 16, 64, 64)
    (outputs.raw - 1).square().mean().backward()
    optimizer = torch.optim.RMSprop(model.parameters(), 2.5e-4)
    before = model.head.convolutions[0].weight.detach().clone()
    optimizer.step()
    assert all(each.grad is not None for each in model.parameters())
    assert not torch.equal(before, model.head.convolutions[0].weight)


def loaded(root: Path, *, need_head: bool = False, center_shift: float = 0.0) -> Any:
    return load_list(
        root / "pose/images",
        root / "pose/annotations/mpii_train.json",
        center_shift=center_shift,
        need_head=need_head,
        frame=1.25,
    )


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in person().items() if name != key}


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ("[{]", "mpii_train.json is not JSON"),
        ("", "mpii_train.json is not JSON"),
        ([], "expected a list of persons"),
        ({"image": "one.jpg"}, "expected a list of persons"),
        ([person(), without("joints")], "person 1: KeyError: 'joints'"),
        ([without("scale")], "person 0: KeyError: 'scale'"),
        ([7], "person 0: TypeError"),
        ([person(joints=[[1, 2]] * 15)], "person 0: ValueError"),
        ([person(joints_vis=[1] * 3)], "person 0: ValueError"),
        ([person(head_size="large")], "person 0: ValueError"),
        ([person(headbox=[1, 2, 3], image="one.jpg") | {"head_size": None}], "person 0: TypeError"),
        ([person(joints_vis=[0] * 16)], r"person 0 \(one.jpg\) has no visible joint"),
        ([person(joints=[[900.0, 900.0]] * 16)], "has no visible joint"),
        ([person(scale=-0.1)], "not finite"),
        ([person(scale=0)], "person 0"),
        ([person(joints=[[float("nan"), 1.0]] * 16)], "not finite"),
        ([person(image="three.jpg")], r"an image of a person not found: .*three.jpg"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, entries: object, reason: str) -> None:
    written(tmp_path, entries)
    with pytest.raises(DataError, match=reason):
        loaded(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not found: .*mpii_train.json.*--data DIR"):
        loaded(tmp_path)


def test_test_images_need_a_head_size_and_pool_images_do_not(tmp_path: Path) -> None:
    settings = written(tmp_path, [without("head_size")], [person(image="two.jpg") | {"head_size": 0}])
    assert np.isnan(loaded(tmp_path).persons[0].head_size)
    with pytest.raises(DataError, match="no head_size or headbox"):
        loaded(tmp_path, need_head=True)
    with pytest.raises(DataError, match=r"mpii_val.json, person 0 \(two.jpg\) has no head_size"):
        built(tmp_path, settings)


def test_a_headbox_gives_six_tenths_of_its_diagonal(tmp_path: Path) -> None:
    written(tmp_path, [without("head_size") | {"headbox": [10, 20, 40, 60]}])
    assert loaded(tmp_path, need_head=True).persons[0].head_size == pytest.approx(0.6 * 50 / (0.4 * 250))


def test_the_center_can_be_shifted_down(tmp_path: Path) -> None:
    written(tmp_path, [person()])
    straight, shifted = loaded(tmp_path), loaded(tmp_path, center_shift=15.0)
    assert shifted.crops[0].y - straight.crops[0].y == pytest.approx(15 * 0.4)
    assert shifted.crops[0].x == straight.crops[0].x
    gap = straight.persons[0].joints - shifted.persons[0].joints
    assert gap[:, 1] == pytest.approx(np.full(16, 15 * 0.4 / 100), abs=1e-6)


def test_one_image_in_pool_and_test_is_refused(tmp_path: Path) -> None:
    settings = written(tmp_path, [person(), person(image="two.jpg")])
    with pytest.raises(DataError, match=r"two.jpg is in both the pool and the test file"):
        built(tmp_path, settings)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    settings = written(tmp_path, [person()])
    image = tmp_path / "pose/images/one.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 100, 3), dtype=np.uint8)).save(image)
    image.write_bytes(image.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"one.jpg cannot be decoded"):
        built(tmp_path, settings)
    image.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"one.jpg cannot be decoded"):
        built(tmp_path, settings)


def test_outside_of_the_image_is_black(tmp_path: Path) -> None:
    written(tmp_path, [person(center=[1.0, 1.0], joints=[[5.0, 5.0]] * 16)])
    Image.new("RGB", (100, 90), (200, 100, 50)).save(tmp_path / "pose/images/one.jpg", quality=95)
    crops = loaded(tmp_path).crops
    square = decode_squares([crop.file for crop in crops], 40, [crop.box(1.0) for crop in crops])[0]
    assert square[:, :18].max() == 0
    assert square[:, :, :18].max() == 0
    assert square[:, 30, 30].tolist() == pytest.approx([200, 100, 50], abs=4)
