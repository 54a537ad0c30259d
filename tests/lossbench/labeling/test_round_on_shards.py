"""A labeling round on shards: labels find their images, and the folder of the round holds the picks as files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from annotated_images import accepted
from photo_folders import (
    CLASSES,
    SMALL_DETECTOR,
    SMALL_MODEL,
    SMALL_POSE,
    SMALL_SEGMENTER,
    box_of,
    label_table,
    photograph,
    photographs,
)
from shards import sharded

from lossbench.cli.commands.pick import _pick
from lossbench.cli.pick_options import Where
from lossbench.files import parsed_toml
from lossbench.labeling.plan import Request, plan_round
from lossbench.labeling.round import LabelingRound
from tasks.datasets.tools.annotated import AnnotatedImage, LabeledBox, LabeledPoint, LabeledRegion
from tasks.datasets.tools.cvat import write_cvat
from tasks.datasets.tools.shapes import encoded
from tasks.errors import DataError

CPU = torch.device("cpu")
PHOTOS, LABELED = 40, 30
TABLE = parsed_toml(SMALL_MODEL.encode()) | {"strategy": "margin", "budget": 5}


@pytest.fixture(autouse=True)
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Photographs in three tar shards, of which 30 are labeled by their names in the shards; one has a near-duplicate."""
    found = photographs(tmp_path / "photos", PHOTOS)
    photograph(30).resize((36, 36)).save(tmp_path / "photos/twin.png")
    sharded(tmp_path / "photos", tmp_path / "tars")
    label_table(tmp_path / "labels.csv", found[:LABELED])
    monkeypatch.chdir(tmp_path)
    return found


def test_a_round_on_shards_writes_its_picks_as_files() -> None:
    _pick(
        Request("tars", ("labels.csv",), "classification", CLASSES, dict(TABLE)),
        Path("round-1"),
        Where(Path("cache"), "cpu"),
        None,
    )
    rows = list(csv.DictReader(Path("round-1/picks.csv").read_text(encoding="utf-8").splitlines()))
    picked = [row["path"] for row in rows]
    assert len(set(picked)) == 5
    assert all("01.tar/029.png" < name <= "02.tar/twin.png" for name in picked)
    assert not {"01.tar/030.png", "02.tar/twin.png"} <= set(picked)
    for name in picked:
        assert Path("round-1/images", name).read_bytes() == Path("photos", name.partition("/")[2]).read_bytes()
    tasks = json.loads(Path("round-1/label_studio.json").read_text(encoding="utf-8"))
    assert [task["data"]["image"].partition("?d=")[2] for task in tasks] == [
        f"round-1/images/{name}" for name in picked
    ]
    page = Path("round-1/index.html").read_text(encoding="utf-8")
    assert all(name in page for name in picked)
    assert len(list(Path("round-1/pictures").iterdir())) == 5


def test_an_address_gives_the_same_round_and_keys_name_images(names: list[str]) -> None:
    system = fsspec.filesystem("memory")
    for path in Path("tars").iterdir():
        system.pipe_file(f"/round/{path.name}", path.read_bytes())
    rows = [f"{name.removesuffix('.png')},{CLASSES[int(name[:3]) % 2]}" for name in names[:LABELED]]
    Path("keys.csv").write_text("\n".join(["path,label", *rows, ""]), encoding="utf-8")
    here, there = (
        LabelingRound(plan_round(Request(source, (labels,), "classification", CLASSES, TABLE)), Path("cache"), CPU)
        for source, labels in (("tars", "labels.csv"), ("memory://round", "keys.csv"))
    )
    assert [pick[0] for pick in there.run().picks] == [pick[0] for pick in here.run().picks]
    assert (here.division.training == there.division.training).all()


def test_a_key_in_two_shards_must_be_told_apart() -> None:
    sharded(Path("photos"), Path("tars/again"), per_shard=7)
    with pytest.raises(DataError, match=r"labels.csv: 000.png may be 00.tar/000.png or again/00.tar/000.png"):
        LabelingRound(
            plan_round(Request("tars", ("labels.csv",), "classification", CLASSES, TABLE)), Path("cache"), CPU
        ).run()


def labeled(number: int) -> AnnotatedImage:
    """A photograph with a box, its two ends and its pixels."""
    left, top, right, bottom = (40 * place for place in box_of(number))
    pixels = np.zeros((40, 40), bool)
    pixels[round(top) : round(bottom), round(left) : round(right)] = True
    label = CLASSES[number % 2]
    points = (LabeledPoint("disk", left, top), LabeledPoint("bar", right, bottom))
    box, region = LabeledBox(label, left, top, right, bottom), LabeledRegion(label, encoded(pixels))
    return AnnotatedImage(f"{number:03}.png", (40, 40), boxes=(box,), points=points, regions=(region,))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("detection", SMALL_DETECTOR), ("pose", SMALL_POSE), ("segmentation", SMALL_SEGMENTER)],
)
def test_the_other_kinds_read_shards(kind: str, settings: str) -> None:
    write_cvat(Path("export.xml"), [labeled(number) for number in range(LABELED)], CLASSES)
    accepted(Path("export.xml"))
    table = parsed_toml(settings.encode()) | {"strategy": "random", "budget": 3}
    shards, folder = (
        LabelingRound(plan_round(Request(source, ("export.xml",), kind, CLASSES, table)), Path("cache"), CPU)
        for source in ("tars", "photos")
    )
    ids = np.arange(PHOTOS + 1)
    assert torch.equal(shards.task.unlabeled.frames(ids), folder.task.unlabeled.frames(ids))
    assert repr(shards.task.annotations) == repr(folder.task.annotations)
