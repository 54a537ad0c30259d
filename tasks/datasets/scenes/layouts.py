"""Writes rendered scenes: classification in arrays, the others as PASCAL VOC 2007, MPII and folders of masks, whose loaders read them."""

import hashlib
import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lossbench.locks import locked
from tasks.datasets.names import BACKGROUND
from tasks.datasets.scenes.compose import (
    DETECTION_SIZE_PIXELS,
    DetectionScene,
    Factors,
    FigureScene,
    Image,
    Mask,
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
from tasks.notices import notice
from tasks.settings import SceneSettings

GENERATOR = 5  # raise this when the same settings produce different files
MASK_CLASSES = (BACKGROUND, *CLASSES)
"""Of the numbers in rendered masks."""
MASK_FOLDERS = (("pool/images", "pool/masks"), ("test/images", "test/masks"))
"""Those of the pool's images and masks, and those of the test's."""
OBJECTS_FILE = "objects.npz"
"""The images and labels of classification scenes."""
DIGESTS = "digests.json"
"""The SHA-256 of every other file of a folder, by its path in it."""
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
    that name. A lock makes a second process wait for the first. Where a file is missing or changed, the scenes are rendered
    again, which is said. The file `factors.json` holds the `Factors` of every image: {"pool": [...], "test": [...]}, in file
    order.
    """
    folder = cache / f"scenes-{layout.name}-{_digest(settings)}"
    if folder.exists() and not _damage(folder):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        if folder.exists():
            damage = _damage(folder)
            if not damage:  # another process has rendered them meanwhile
                return folder
            notice(f"{folder} is damaged ({damage}); its scenes are rendered again")
        unfinished = cache / f"{folder.name}.unfinished"
        for rest in (unfinished, folder):
            if rest.exists():
                shutil.rmtree(rest)
        unfinished.mkdir()
        factors = layout.write(unfinished, settings)
        (unfinished / "factors.json").write_text(json.dumps(factors), encoding="utf-8")
        (unfinished / DIGESTS).write_text(json.dumps(_digests(unfinished), indent=1), encoding="utf-8")
        unfinished.rename(folder)
    return folder


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _damage(folder: Path) -> str | None:
    """What differs from what was written; None where nothing does."""
    try:
        wanted = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
        found = {name: digest for name, digest in _digests(folder).items() if name != DIGESTS}
    except (OSError, ValueError, RecursionError):
        return f"its {DIGESTS} cannot be read"
    if not isinstance(wanted, dict):
        return f"its {DIGESTS} is no table"
    other = sorted(name for name in wanted.keys() | found if wanted.get(name) != found.get(name))
    return f"{other[0]} is missing or changed" if other else None


def _digest(settings: SceneSettings) -> str:
    content = json.dumps({"generator": GENERATOR, **settings.model_dump()}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _entry(factors: Factors) -> dict[str, float | int | None]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(factors).items()}


def _entries(pool: Sequence[Factors], test: Sequence[Factors]) -> dict[str, list]:
    return {"pool": [_entry(factors) for factors in pool], "test": [_entry(factors) for factors in test]}


def _write_classification(folder: Path, settings: SceneSettings) -> dict[str, list]:
    pool = [render_object_scene(settings.seed, "pool", index) for index in range(settings.pool)]
    test = [render_object_scene(settings.seed, "test", index) for index in range(settings.test)]
    np.savez(folder / OBJECTS_FILE, allow_pickle=False, **_arrays("pool", pool), **_arrays("test", test))
    return _entries([scene.factors for scene in pool], [scene.factors for scene in test])


def _arrays(split: Split, scenes: Sequence[ObjectScene]) -> dict[str, np.ndarray]:
    """Images (n, 3, h, w) and labels (n,)."""
    return {
        f"{split}_images": np.stack([scene.image.transpose(2, 0, 1) for scene in scenes]),
        f"{split}_labels": np.array([scene.label for scene in scenes], np.int64),
    }


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


def _write_masks(folder: Path, settings: SceneSettings) -> dict[str, list]:
    factors: dict[Split, list[Factors]] = {"pool": [], "test": []}
    splits: tuple[tuple[Split, int], ...] = (("pool", settings.pool), ("test", settings.test))
    for (split, count), (images, masks) in zip(splits, MASK_FOLDERS, strict=True):
        for name in (images, masks):
            (folder / name).mkdir(parents=True)
        for index in range(count):
            scene, stem = render_detection_scene(settings.seed, split, index), f"{index:06d}"
            _write_jpeg(folder / images / f"{stem}.jpg", scene.image)
            (folder / masks / f"{stem}.png").write_bytes(_png(scene.mask))
            factors[split].append(scene.factors)
    return _entries(factors["pool"], factors["test"])


def _png(mask: Mask) -> bytes:
    ok, encoded = cv2.imencode(".png", mask)
    if not ok:
        msg = f"cv2 could not encode a mask of shape {mask.shape}"
        raise ValueError(msg)
    return encoded.tobytes()


OBJECTS_LAYOUT = Layout("classification", _write_classification)
VOC_LAYOUT = Layout("detection", _write_detection)
MPII_LAYOUT = Layout("pose", _write_pose)
MASKS_LAYOUT = Layout("segmentation", _write_masks)
