"""The rendered scenes: what they promise about images and annotations, and their layouts on disk."""

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import VOCDetection

from tasks.datasets.classes.rendered import load_rendered
from tasks.datasets.masks import Numbering, decode_labels, load_folder
from tasks.datasets.scenes import (
    CLASSES,
    JOINTS,
    MASK_CLASSES,
    MASK_FOLDERS,
    MASKS_LAYOUT,
    MPII_LAYOUT,
    OBJECTS_LAYOUT,
    VOC_LAYOUT,
    drawing,
    materialize,
    render,
    render_detection_scene,
    render_figure_scene,
    render_object_scene,
)
from tasks.datasets.scenes.compose import (
    CLASS_PROBABILITIES,
    DETECTION_SIZE_PIXELS,
    FIGURE_SIZE_PIXELS,
    MIN_VISIBLE_JOINTS,
)
from tasks.settings import SceneSettings

RENDERERS = {
    "classification": render_object_scene,
    "detection": render_detection_scene,
    "pose": render_figure_scene,
    "segmentation": render_detection_scene,
}
KINDS = tuple(RENDERERS)
LAYOUTS = {"classification": OBJECTS_LAYOUT, "detection": VOC_LAYOUT, "pose": MPII_LAYOUT, "segmentation": MASKS_LAYOUT}
SETTINGS = SceneSettings(seed=3, pool=43, test=7)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    cache = tmp_path_factory.mktemp("scenes")
    return {kind: materialize(LAYOUTS[kind], SETTINGS, cache) for kind in KINDS}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_depends_on_seed_split_and_index_alone(kind: str) -> None:
    renderer = RENDERERS[kind]
    image = renderer(0, "pool", 5).image
    renderer(0, "pool", 6)
    assert image.dtype == np.uint8
    assert np.array_equal(image, renderer(0, "pool", 5).image)
    for other in (renderer(1, "pool", 5), renderer(0, "test", 5), renderer(0, "pool", 7)):
        assert not np.array_equal(image, other.image)


def test_a_smaller_pool_is_the_start_of_a_larger_one(folders: dict[str, Path], tmp_path: Path) -> None:
    smaller = materialize(MPII_LAYOUT, SETTINGS.model_copy(update={"pool": 9, "test": 2}), tmp_path)
    large = contents(folders["pose"])
    images = {name: data for name, data in contents(smaller).items() if name.endswith(".jpg")}
    assert len(images) == 9 + 2
    assert all(large[name] == data for name, data in images.items())


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes without a picture: what is in them is drawn at random before, and painting takes most of the time."""
    monkeypatch.setattr(drawing, "background", lambda size, *_: np.full((size, size, 3), 128, np.float32))
    monkeypatch.setattr(drawing, "paint", lambda canvas, *_: canvas)
    monkeypatch.setattr(drawing, "develop", lambda canvas, _: canvas.astype(np.uint8))


@pytest.mark.slow
@pytest.mark.usefixtures("bare")
def test_class_frequencies_fall_geometrically_from_ten_to_one() -> None:
    assert CLASS_PROBABILITIES[0] / CLASS_PROBABILITIES[-1] == pytest.approx(10)
    assert np.diff(np.log(CLASS_PROBABILITIES)) == pytest.approx(-np.log(10) / 7)
    count = 2000
    for split in ("pool", "test"):
        labels = [render_object_scene(0, split, index).label for index in range(count)]
        shares = np.bincount(labels, minlength=len(CLASSES)) / count
        deviation = np.sqrt(CLASS_PROBABILITIES * (1 - CLASS_PROBABILITIES) / count)
        assert np.all(np.abs(shares - CLASS_PROBABILITIES) < 5 * deviation)  # near-duplicates widen the pool's a little


def test_a_tenth_of_the_pool_repeats_earlier_images_and_no_test_image_does() -> None:
    count = 3000
    origins = [render._origin(0, render.CROWDS, "pool", index) for index in range(count)]
    repeated = [index for index, origin in enumerate(origins) if origin != index]
    assert len(repeated) / count == pytest.approx(0.1, abs=0.02)
    assert all(origins[index] < index and origins[origins[index]] == origins[index] for index in repeated)
    assert all(render._origin(0, render.CROWDS, "test", index) == index for index in range(100))


@pytest.mark.parametrize("kind", KINDS)
def test_a_near_duplicate_shows_the_same_scene_under_a_jitter(kind: str) -> None:
    renderer = RENDERERS[kind]
    index = next(index for index in range(200) if renderer(0, "pool", index).factors.duplicate_of is not None)
    copy = renderer(0, "pool", index)
    original = renderer(0, "pool", copy.factors.duplicate_of)
    assert original.factors.duplicate_of is None
    images = [scene.image.astype(float).ravel() for scene in (copy, original)]
    assert np.corrcoef(images)[0, 1] > 0.8
    assert not np.array_equal(*images)
    if kind == "classification":
        assert copy.label == original.label
    elif kind == "detection":
        assert [item.label for item in copy.objects] == [item.label for item in original.objects]
        moves = [np.subtract(a.box, b.box) for a, b in zip(copy.objects, original.objects, strict=True)]
        assert np.abs(moves).max() <= 1
    elif kind == "segmentation":
        inner = copy.mask[1:-1, 1:-1]
        shifts = [original.mask[1 - y : 95 - y, 1 - x : 95 - x] for y in (-1, 0, 1) for x in (-1, 0, 1)]
        assert any(np.array_equal(inner, shifted) for shifted in shifts)
    else:
        assert np.array_equal(copy.visible, original.visible)
        assert np.abs(copy.joints - original.joints).max() <= 1


def test_boxes_lie_inside_the_image_around_what_differs_from_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "background", lambda size, *_: np.full((size, size, 3), 128, np.float32))
    monkeypatch.setattr(drawing, "develop", lambda canvas, _: np.rint(canvas).astype(np.uint8))
    for index in range(60):
        scene = render_detection_scene(0, "test", index)
        left, top, right, bottom = np.array([item.box for item in scene.objects]).T
        assert min(left.min(), top.min()) >= 0
        assert max(right.max(), bottom.max()) <= DETECTION_SIZE_PIXELS
        painted = (scene.image != 128).any(axis=2)
        union = drawing.bounding_box(painted.astype(np.float32))
        assert np.abs(np.subtract(union, (left.min(), top.min(), right.max(), bottom.max()))).max() <= 1


@pytest.mark.slow
@pytest.mark.usefixtures("bare")
def test_detection_scenes_have_few_objects_some_difficult_and_a_few_pool_images_none() -> None:
    objects = [item for index in range(500) for item in render_detection_scene(0, "test", index).objects]
    assert np.mean([item.difficult for item in objects]) == pytest.approx(0.05, abs=0.03)
    assert all(item.difficult == (item.occlusion > 0.5 or item.contrast < 0.2) for item in objects)
    counts = [len(render_detection_scene(0, "pool", index).objects) for index in range(500)]
    assert max(counts) == 3
    assert counts.count(0) / len(counts) == pytest.approx(0.02, abs=0.018)


def test_factors_lie_in_the_unit_interval() -> None:
    for renderer in RENDERERS.values():
        for index in range(100):
            factors = renderer(0, "pool", index).factors
            values = (factors.scale, factors.occlusion, factors.contrast, factors.clutter)
            assert all(0 <= value <= 1 for value in values)


@pytest.mark.slow
def test_figures_have_their_joints_in_the_image_and_most_of_them_in_sight() -> None:
    scenes = [render_figure_scene(0, "test", index) for index in range(400)]
    joints, visible = np.array([s.joints for s in scenes]), np.array([s.visible for s in scenes])
    assert joints.min() >= 0
    assert joints.max() <= FIGURE_SIZE_PIXELS - 1
    assert visible.sum(axis=1).min() >= MIN_VISIBLE_JOINTS
    assert 0.1 < (~visible).any(axis=1).mean() < 0.4
    assert min(scene.head_size for scene in scenes) > 5
    upright = joints[:, JOINTS.index("head top"), 1] < joints[:, JOINTS.index("pelvis"), 1]
    assert 0.8 < upright.mean() < 1
    right, left = (joints[upright, JOINTS.index(f"{side} hip"), 0] for side in ("right", "left"))
    assert (right < left).mean() > 0.95


def test_classification_loads_as_it_was_rendered(folders: dict[str, Path]) -> None:
    images = load_rendered(folders["classification"])
    assert (images.pool_size, len(images.labels), images.class_names) == (SETTINGS.pool, 50, CLASSES)
    for row in (4, 30, SETTINGS.pool + 4):
        split, index = ("pool", row) if row < SETTINGS.pool else ("test", row - SETTINGS.pool)
        scene = render_object_scene(SETTINGS.seed, split, index)
        assert images.labels[row] == scene.label
        assert np.array_equal(images.pixels[row].numpy().transpose(1, 2, 0), scene.image)


def test_detection_loads_as_voc2007(folders: dict[str, Path]) -> None:
    for image_set, split, count in (("trainval", "pool", SETTINGS.pool), ("test", "test", SETTINGS.test)):
        dataset = VOCDetection(folders["detection"], year="2007", image_set=image_set)
        assert len(dataset) == count
        for index in range(count):
            image, target = dataset[index]
            annotation, scene = target["annotation"], render_detection_scene(SETTINGS.seed, split, index)
            assert annotation["size"] == {"width": "96", "height": "96", "depth": "3"}
            assert np.abs(np.asarray(image, float) - scene.image).mean() < 6
            read = [
                (item["name"], int(item["difficult"]), *(int(item["bndbox"][side]) for side in ("xmin", "ymin")),
                 *(int(item["bndbox"][side]) for side in ("xmax", "ymax")))
                for item in annotation.get("object", [])
            ]  # fmt: skip
            assert read == [
                (CLASSES[item.label], item.difficult, item.box[0] + 1, item.box[1] + 1, item.box[2], item.box[3])
                for item in scene.objects
            ]


def test_masks_load_as_they_were_rendered(folders: dict[str, Path]) -> None:
    splits = (("pool", SETTINGS.pool), ("test", SETTINGS.test))
    for (split, count), (images, masks) in zip(splits, MASK_FOLDERS, strict=True):
        found = load_folder(folders["segmentation"] / images, folders["segmentation"] / masks)
        labels = decode_labels(found, DETECTION_SIZE_PIXELS, Numbering.of(MASK_CLASSES, ()))
        scenes = [render_detection_scene(SETTINGS.seed, split, index) for index in range(count)]
        assert np.array_equal(labels, [scene.mask for scene in scenes])


def test_a_mask_shows_the_objects_within_their_boxes() -> None:
    for index in range(20):
        scene = render_detection_scene(0, "test", index)
        assert set(np.unique(scene.mask)) == {0} | {1 + item.label for item in scene.objects}
        union = drawing.bounding_box((scene.mask > 0).astype(np.float32))
        left, top, right, bottom = np.array([item.box for item in scene.objects]).T
        assert np.abs(np.subtract(union, (left.min(), top.min(), right.max(), bottom.max()))).max() <= 1


def test_pose_annotations_follow_mpii_form(folders: dict[str, Path]) -> None:
    root = folders["pose"] / "pose"
    for name, split, count in (("train", "pool", SETTINGS.pool), ("val", "test", SETTINGS.test)):
        persons = json.loads((root / "annotations" / f"mpii_{name}.json").read_text())
        assert len(persons) == count
        for index, person in enumerate(persons):
            assert set(person) == {"image", "center", "scale", "joints", "joints_vis", "head_size"}
            assert (root / "images" / person["image"]).is_file()
            joints, visible = np.array(person["joints"]), np.array(person["joints_vis"], bool)
            scene = render_figure_scene(SETTINGS.seed, split, index)
            assert joints[visible] == pytest.approx(scene.joints[visible] + 1, abs=0.01)
            assert np.all(joints[~visible] == -1)
            box = joints[visible].min(axis=0), joints[visible].max(axis=0)
            assert person["center"] == pytest.approx(np.mean(box, axis=0), abs=0.02)
            assert person["scale"] * 200 == pytest.approx(1.15 * np.ptp(box, axis=0).max(), abs=0.02)
            crop = person["scale"] * 200 * 1.25
            assert np.abs(joints[visible] - person["center"]).max() < crop / 2


@pytest.mark.parametrize("kind", KINDS)
def test_factors_are_written_for_every_image_in_order(folders: dict[str, Path], kind: str) -> None:
    factors = json.loads((folders[kind] / "factors.json").read_text())
    assert [len(factors[split]) for split in ("pool", "test")] == [SETTINGS.pool, SETTINGS.test]
    scene = RENDERERS[kind](SETTINGS.seed, "pool", 11)
    assert factors["pool"][11]["contrast"] == pytest.approx(scene.factors.contrast, abs=1e-4)
    assert [entry["duplicate_of"] for entry in factors["pool"]] == [
        RENDERERS[kind](SETTINGS.seed, "pool", index).factors.duplicate_of for index in range(SETTINGS.pool)
    ]
    assert all(entry["duplicate_of"] is None for entry in factors["test"])


def test_another_setting_gets_another_folder_and_the_same_one_is_not_rewritten(tmp_path: Path) -> None:
    settings = SceneSettings(pool=5, test=1)
    folder = materialize(OBJECTS_LAYOUT, settings, tmp_path)
    before = (folder / "factors.json").stat().st_mtime_ns
    assert materialize(OBJECTS_LAYOUT, settings, tmp_path) == folder
    assert (folder / "factors.json").stat().st_mtime_ns == before
    assert materialize(OBJECTS_LAYOUT, SceneSettings(seed=1, pool=5, test=1), tmp_path) != folder


def test_the_rest_of_a_killed_process_does_not_matter(folders: dict[str, Path], tmp_path: Path) -> None:
    name = folders["detection"].name
    half_written = tmp_path / f"{name}.unfinished" / "VOCdevkit" / "VOC2007" / "JPEGImages"
    half_written.mkdir(parents=True)
    (half_written / "999999.jpg").write_bytes(b"half")
    folder = materialize(VOC_LAYOUT, SETTINGS, tmp_path)
    assert contents(folder) == contents(folders["detection"])
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [name]


def test_two_processes_end_with_one_folder(folders: dict[str, Path], tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.starmap(materialize, [(OBJECTS_LAYOUT, SETTINGS, tmp_path)] * 2, chunksize=1)
    assert results[0] == results[1]
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [results[0]]
    assert contents(results[0]) == contents(folders["classification"])
