"""Writes rendered scenes in the layouts of CIFAR-10, PASCAL VOC 2007 and MPII; the loaders of these data sets read them."""

import hashlib
import json
import pickle
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from filelock import FileLock

from tasks.datasets.scenes.compose import (
    DETECTION_SIZE_PIXELS,
    DetectionScene,
    Factors,
    FigureScene,
    Image,
    ObjectScene,
    SceneObject,
)
from tasks.datasets.scenes.drawing import CLASSES
from tasks.datasets.scenes.render import (
    Split,
    render_detection_scene,
    render_figure_scene,
    render_object_scene,
)
from tasks.settings import SCENE_BATCHES, SceneSettings

GENERATOR = 4  # raise this when the same settings produce different files
JPEG_OPTIONS = [
    cv2.IMWRITE_JPEG_QUALITY, 95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]  # fmt: skip
MPII_MARGIN, MPII_UNIT_PIXELS = 1.15, 200  # scale = margin * longer side / unit: the data README's definition


class Layout(NamedTuple):
    """A layout on disk in which scenes are written."""

    name: str
    """Part of the folder's name."""
    write: Callable[[Path, SceneSettings], dict[str, list]]
    """Writes all images and labels into an empty folder. Returns the factors of every image, by split."""


def materialize(layout: Layout, settings: SceneSettings, cache: Path) -> Path:
    """Render scenes into a folder of the cache, unless they are there already, and return the folder.

    The folder is renamed to its final name when it is complete, so that a killed process leaves no incomplete folder under
    that name. A file lock makes a second process wait for the first. The file `factors.json` in it holds the `Factors` of
    every image: {"pool": [...], "test": [...]}, in file order.
    """
    folder = cache / f"scenes-{layout.name}-{_digest(settings)}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{folder.name}.lock"):
        if folder.exists():
            return folder
        unfinished = cache / f"{folder.name}.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir()
        factors = layout.write(unfinished, settings)
        (unfinished / "factors.json").write_text(json.dumps(factors), encoding="utf-8")
        unfinished.rename(folder)
    return folder


def _digest(settings: SceneSettings) -> str:
    content = json.dumps({"generator": GENERATOR, **settings.model_dump()}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _entry(factors: Factors) -> dict[str, float | int | None]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(factors).items()}


def _entries(pool: Sequence[Factors], test: Sequence[Factors]) -> dict[str, list]:
    return {"pool": [_entry(factors) for factors in pool], "test": [_entry(factors) for factors in test]}


def _write_classification(folder: Path, settings: SceneSettings) -> dict[str, list]:
    batches = folder / "cifar-10-batches-py"
    batches.mkdir()
    pool = [render_object_scene(settings.seed, "pool", index) for index in range(settings.pool)]
    test = [render_object_scene(settings.seed, "test", index) for index in range(settings.test)]
    edges = [round(settings.pool * part / SCENE_BATCHES) for part in range(SCENE_BATCHES + 1)]
    for number, (start, stop) in enumerate(pairwise(edges), start=1):
        title = f"training batch {number} of {SCENE_BATCHES}"
        _dump(batches / f"data_batch_{number}", _batch(title, "pool", start, pool[start:stop]))
    _dump(batches / "test_batch", _batch("testing batch 1 of 1", "test", 0, test))
    meta = {"label_names": list(CLASSES), "num_cases_per_batch": edges[1], "num_vis": pool[0].image.size}
    _dump(batches / "batches.meta", meta)
    sums = {
        path.name: hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        for path in sorted(batches.iterdir())
    }
    (batches / "manifest.json").write_text(json.dumps(sums, indent=1), encoding="utf-8")
    return _entries([scene.factors for scene in pool], [scene.factors for scene in test])


def _batch(title: str, split: Split, start: int, scenes: Sequence[ObjectScene]) -> dict:
    """A batch in CIFAR-10's form: each row of `data` is an image's red, green and blue plane."""
    return {
        "batch_label": title,
        "labels": [scene.label for scene in scenes],
        "data": np.stack([scene.image.transpose(2, 0, 1).ravel() for scene in scenes]),
        "filenames": [f"{CLASSES[scene.label]}_{split}_{start + row:06d}.png" for row, scene in enumerate(scenes)],
    }


def _dump(path: Path, content: dict) -> None:
    with path.open("wb") as file:
        pickle.dump(content, file, protocol=2)


def _write_detection(folder: Path, settings: SceneSettings) -> dict[str, list]:
    root = folder / "VOCdevkit" / "VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    factors: dict[Split, list[Factors]] = {"pool": [], "test": []}
    splits: tuple[tuple[Split, int, str], ...] = (
        ("pool", settings.pool, "trainval"),
        ("test", settings.test, "test"),
    )
    first = 1
    for split, count, image_set in splits:
        identities = [f"{first + index:06d}" for index in range(count)]
        for index, identity in enumerate(identities):
            scene = render_detection_scene(settings.seed, split, index)
            _write_jpeg(root / "JPEGImages" / f"{identity}.jpg", scene.image)
            (root / "Annotations" / f"{identity}.xml").write_bytes(_voc_xml(f"{identity}.jpg", scene))
            factors[split].append(scene.factors)
        first += count
        listing = "".join(f"{identity}\n" for identity in identities)
        (root / "ImageSets" / "Main" / f"{image_set}.txt").write_text(listing, encoding="utf-8")
    return _entries(factors["pool"], factors["test"])


def _write_jpeg(path: Path, image: Image) -> None:
    ok, encoded = cv2.imencode(".jpg", image[..., ::-1], JPEG_OPTIONS)
    if not ok:
        msg = f"cv2 could not encode an image of shape {image.shape} for {path}"
        raise ValueError(msg)
    path.write_bytes(encoded.tobytes())


def _voc_xml(filename: str, scene: DetectionScene) -> bytes:
    root = ET.Element("annotation")
    _leaves(root, folder="VOC2007", filename=filename)
    _leaves(ET.SubElement(root, "size"), width=DETECTION_SIZE_PIXELS, height=DETECTION_SIZE_PIXELS, depth=3)
    _leaves(root, segmented=0)
    for item in scene.objects:
        _add_voc_object(root, item)
    ET.indent(root, "\t")
    return ET.tostring(root)


def _add_voc_object(root: ET.Element, item: SceneObject) -> None:
    """Add an object. VOC counts pixels from 1 and includes the last one, so only left and top grow by one."""
    element = ET.SubElement(root, "object")
    _leaves(element, name=CLASSES[item.label], pose="Unspecified", truncated=0, difficult=int(item.difficult))
    left, top, right, bottom = item.box
    _leaves(ET.SubElement(element, "bndbox"), xmin=left + 1, ymin=top + 1, xmax=right, ymax=bottom)


def _leaves(parent: ET.Element, **texts: str | int) -> None:
    for name, text in texts.items():
        ET.SubElement(parent, name).text = str(text)


def _write_pose(folder: Path, settings: SceneSettings) -> dict[str, list]:
    images, annotations = folder / "pose" / "images", folder / "pose" / "annotations"
    images.mkdir(parents=True)
    annotations.mkdir()
    factors: dict[Split, list[Factors]] = {"pool": [], "test": []}
    splits: tuple[tuple[Split, int, str], ...] = (("pool", settings.pool, "train"), ("test", settings.test, "val"))
    for split, count, name in splits:
        persons = []
        for index in range(count):
            scene, filename = render_figure_scene(settings.seed, split, index), f"{name}_{index:06d}.jpg"
            _write_jpeg(images / filename, scene.image)
            persons.append(_mpii_person(filename, scene))
            factors[split].append(scene.factors)
        (annotations / f"mpii_{name}.json").write_text(json.dumps(persons), encoding="utf-8")
    return _entries(factors["pool"], factors["test"])


def _mpii_person(filename: str, scene: FigureScene) -> dict:
    """A person in MPII's JSON form; pixels count from 1."""
    joints = scene.joints + 1
    low, high = joints[scene.visible].min(axis=0), joints[scene.visible].max(axis=0)
    positions = np.where(scene.visible[:, None], joints, -1.0)
    return {
        "image": filename,
        "center": np.round((low + high) / 2, 2).tolist(),
        "scale": round(MPII_MARGIN * float((high - low).max()) / MPII_UNIT_PIXELS, 6),
        "joints": np.round(positions, 2).tolist(),
        "joints_vis": scene.visible.astype(int).tolist(),
        "head_size": round(scene.head_size, 3),
    }


CIFAR_LAYOUT = Layout("classification", _write_classification)
VOC_LAYOUT = Layout("detection", _write_detection)
MPII_LAYOUT = Layout("pose", _write_pose)
