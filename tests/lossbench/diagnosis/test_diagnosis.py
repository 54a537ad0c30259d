"""Diagnoses of runs: lossnet, calibration, picks, predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Result
from fake_records import make_record
from PIL import Image
from tiny_tasks import FAST_ON_ONE_KIND
from trained_margins import WRONG, cells_of, wrong_predictions

from leaderboard.schema.records import Record, RecordError, read_record
from leaderboard.scoring.entries import FULL_POOL
from lossbench.config import ConfigError
from lossbench.diagnosis.contact_sheets import COLUMNS, draw_annotation, predicted_annotations, predictions_sheet
from lossbench.diagnosis.examination import (
    diagnose,
    examine,
    summary_table,
)
from lossbench.paths import Paths
from lossbench.running.jobs import Job, NullSink
from lossbench.running.sweep import run_job
from lossbench.submissions.conformance import tiny_protocol
from strategies import StrategyError
from tasks.base import Task
from tasks.images.drawing import CELL_PIXELS, GAP_PIXELS
from tasks.models.ssd import SsdRaw
from tasks.training.learner import Learner

Made = tuple[list[Path], Paths]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Two runs of a kind's tiny task."""

    @cache
    def of(kind: str) -> Made:
        paths = Paths(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out"))
        jobs = [Job(tiny_protocol(kind), name, 0, "shared", "validation") for name in ("learning-loss", "true-loss")]
        return [run_job(number, job, paths, NullSink()) for number, job in enumerate(jobs)], paths

    return of


@pytest.fixture
def finished(kind: str, runs: Callable[[str], Made]) -> Made:
    """Those of each kind in turn."""
    return runs(kind)


@pytest.fixture
def classified(runs: Callable[[str], Made]) -> Made:
    """Those of classification, where nothing depends on the kind."""
    return runs("classification")


@FAST_ON_ONE_KIND
def test_models_are_seen_as_the_run_saw_them(finished: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    files, paths = finished
    monkeypatch.setattr("lossbench.running.kept.models.fit", lambda *_: pytest.fail("the models are there"))
    records = [read_record(file) for file in files]
    for found, record in zip(diagnose(records, paths), records, strict=True):
        assert [one.labeled for one in found.rounds] == [12, 18, 24]
        for one, scored in zip(found.rounds, record.rounds, strict=True):
            assert one.losses.mean() == pytest.approx(scored.metrics["loss"], rel=1e-5)
            assert one.ranking_accuracy == pytest.approx(scored.metrics["ranking_accuracy"])
            assert sum(each.share for each in one.bins) == pytest.approx(1)
            assert 0 <= one.calibration_error <= 1


@FAST_ON_ONE_KIND
def test_the_command_draws_every_picture(finished: Made, lossbench_cli: Callable[..., Result]) -> None:
    files, paths = finished
    result = lossbench_cli("diagnose", *files, "--data", paths.data, "--out", paths.out)
    assert result.code == 0, result.errors
    pictures = sorted((paths.out / "diagnosis").glob("*.png"))
    names = {path.name.split("-")[0] for path in pictures}
    assert names == {"picks", "predictions", "losses", "ranking", "calibration", "groups", "overlap", "seconds"}
    for path in pictures:
        with Image.open(path) as image:
            assert np.asarray(image.convert("L")).std() > 5, f"{path.name} is empty"
    for name, cells in (("picks", (6, 2)), ("predictions", (12, 2))):
        sheets = [path for path in pictures if path.name.startswith(name)]
        assert len(sheets) == len(files)
        with Image.open(sheets[0]) as image:
            assert image.size == tuple(GAP_PIXELS + count * (CELL_PIXELS + GAP_PIXELS) for count in cells)
            assert image.mode == "RGB"


def test_records_that_select_nothing_are_left_out(classified: Made) -> None:
    files, paths = classified
    idle = [make_record(strategy=FULL_POOL), make_record(rounds=(), planned_rounds=3)]
    with pytest.raises(RecordError, match="none of these runs selected images"):
        next(diagnose(idle, paths))
    found = [each.record for each in diagnose([*idle, read_record(files[0])], paths)]
    assert found == [read_record(files[0])]


def test_strategies_that_are_not_ours_are_refused_before_anything_is_done(classified: Made) -> None:
    files, paths = classified
    with pytest.raises(StrategyError, match="no strategy 'theirs'"):
        next(diagnose([read_record(files[0]), make_record(strategy="theirs")], paths))


def test_a_strategy_from_a_file_is_named(classified: Made, tmp_path: Path) -> None:
    files, paths = classified
    file = tmp_path / "theirs.py"
    file.write_text(
        "from typing import ClassVar\nfrom strategies import Context, Selection, Strategy\n"
        'class Theirs(Strategy):\n    name: ClassVar[str] = "theirs"\n    paper: ClassVar[str] = "none"\n'
        "    def select(self, ctx: Context) -> Selection:\n        return Selection(ctx.candidates[:1])\n"
    )
    record = read_record(files[0]).model_copy(update={"strategy": "theirs"})
    (found,) = diagnose([record], paths, [file])
    assert found.rounds[0].ranking_accuracy is not None


def test_other_data_is_refused(classified: Made) -> None:
    files, paths = classified
    record = read_record(files[0])
    other = record.model_copy(update={"fingerprints": dict.fromkeys(record.fingerprints, "0" * 64)})
    with pytest.raises(ConfigError, match="other data"):
        next(diagnose([other], paths))


def test_models_that_do_not_score_as_recorded_are_marked(classified: Made) -> None:
    files, paths = classified
    (found,) = diagnose([read_record(files[0])], paths)
    assert found.matches_record
    assert "*" not in str(list(summary_table([found]).columns[1].cells))
    rounds = [
        one.model_copy(update={"metrics": one.metrics | {"loss": 2 * one.metrics["loss"]}})
        for one in found.record.rounds
    ]
    elsewhere = replace(found, record=found.record.model_copy(update={"rounds": tuple(rounds)}))
    assert not elsewhere.matches_record
    assert "*" in str(list(summary_table([elsewhere]).columns[1].cells))


def test_a_category_is_the_label_where_there_is_one(
    kind: str, task: Task[Any, Any], trained: Callable[..., Learner]
) -> None:
    ids = task.test_ids[:8]
    _, outputs = next(iter(trained(kind).batches(ids)))
    found, posteriors = task.categories(outputs.raw, ids), task.unlabeled.posteriors(outputs.raw)
    assert found.shape == posteriors.log_probs.shape[:2]
    assert int(found.max()) < posteriors.log_probs.shape[2]
    if kind == "classification":
        assert found[:, 0].tolist() == task.annotations[ids].tolist()
    if kind == "segmentation":
        grid, cell = task.settings.cells.grid, task.annotations.shape[1] // task.settings.cells.grid
        labels = task.annotations[ids].reshape(len(ids), grid, cell, grid, cell).swapaxes(2, 3)
        counts = [[np.bincount(each.ravel()) for each in image.reshape(-1, cell, cell)] for image in labels]
        assert all(
            each[int(category)] == each.max()
            for row, image in zip(found, counts, strict=True)
            for category, each in zip(row, image, strict=True)
        )
    if kind == "pose":
        visible = np.array([each.visible for each in task.annotations[ids]])
        assert ((found.numpy() >= 0) <= visible).all()
        heatmaps = task.targets(ids).heatmaps.flatten(2).argmax(2)
        shown = found >= 0
        assert (heatmaps[shown] == found[shown]).float().mean() > 0.95, "the target peaks in the joint's own cell"


def test_a_perfect_detection_is_of_its_objects_class(
    tiny_task: Callable[[str], Task[Any, Any]], trained: Callable[..., Learner]
) -> None:
    task = tiny_task("detection")
    ids = np.array([next(int(one) for one in task.test_ids if len(task.annotations[one].labels))])
    _, outputs = next(iter(trained("detection").batches(ids)))
    raw = outputs.raw
    still = SsdRaw(raw.scores, torch.zeros_like(raw.offsets))
    found, boxes = task.categories(still, ids)[0], task.unlabeled.boxes(still)[0]
    objects = task.annotations[ids[0]]
    from torchvision.ops import box_iou

    overlaps = box_iou(boxes, torch.from_numpy(objects.boxes) * task.unlabeled.size)
    background = len(task.group_names)
    for row, each in zip(found.tolist(), overlaps, strict=True):
        assert row == (objects.labels[int(each.argmax())] if float(each.max()) >= 0.5 else background)


def test_every_kind_of_label_is_drawn(kind: str, task: Task[Any, Any]) -> None:
    shown = draw_annotation(task, 0, task.annotations[0])
    assert shown.shape == (3, CELL_PIXELS, CELL_PIXELS)
    plain = task.unlabeled.frames(np.array([0]))[0]
    assert plain.dtype == torch.uint8
    resized = torch.nn.functional.interpolate(
        plain[None].float(), (CELL_PIXELS, CELL_PIXELS), mode="bilinear", antialias=True
    )
    changed = ((shown.float() - resized[0]).abs().amax(0) > 40).float().mean()
    assert 0.001 < float(changed) < 0.6, kind


def test_predictions_are_drawn_below_the_true_labels(
    task: Task[Any, Any], kind: str, trained: Callable[..., Learner]
) -> None:
    ids = task.test_ids[:20]
    learner = trained(kind)
    upper, lower = cells_of(predictions_sheet(task, learner, ids))
    assert len(upper) == len(lower) == COLUMNS
    predictions = predicted_annotations(task, learner, ids)
    for image, true, label, predicted, prediction in zip(
        ids[:COLUMNS], task.annotations[ids], upper, predictions, lower, strict=False
    ):
        assert torch.equal(label, draw_annotation(task, int(image), true))
        assert torch.equal(prediction, draw_annotation(task, int(image), predicted))
    WRONG[kind].check_value(wrong_predictions(task, learner))


def test_few_held_out_images_make_a_narrow_sheet(
    task: Task[Any, Any], kind: str, trained: Callable[..., Learner]
) -> None:
    sheet = predictions_sheet(task, trained(kind), task.test_ids[:3])
    assert sheet.shape[1:] == tuple(GAP_PIXELS + count * (CELL_PIXELS + GAP_PIXELS) for count in (2, 3))


def perfect_output(task: Task[Any, Any], ids: np.ndarray, raw: Any) -> Any:
    """The raw output of a model that knows the labels, in the form of `raw`."""
    if task.settings.kind == "classification":
        return torch.nn.functional.one_hot(task.targets(ids), len(task.group_names)).to(raw)
    if task.settings.kind == "pose":
        return task.targets(ids).heatmaps.unsqueeze(1).expand_as(raw).to(raw)
    if task.settings.kind == "segmentation":
        labels = task.targets(ids).unsqueeze(1).float()
        small = torch.nn.functional.interpolate(labels, raw.shape[2:], mode="nearest-exact")[:, 0].long()
        return torch.nn.functional.one_hot(small, len(task.group_names)).permute(0, 3, 1, 2).to(raw)
    from torchvision.ops import box_iou

    unlabeled = task.unlabeled
    anchors = unlabeled.reading.anchors
    scores, offsets = torch.zeros_like(raw.scores), torch.zeros_like(raw.offsets)
    scores[:, :, -1] = 20
    for image, objects in enumerate(task.annotations[ids]):
        boxes = torch.from_numpy(objects.boxes) * unlabeled.size
        for box, label in zip(boxes, objects.labels, strict=True):
            nearest = int(box_iou(anchors, box[None])[:, 0].argmax())
            scores[image, nearest, int(label)] = 40
            offsets[image, nearest] = unlabeled.reading.coder.encode(anchors[nearest][None], box[None])[0]
    return raw._replace(scores=scores, offsets=offsets)


def test_the_predictions_of_a_perfect_model_lie_where_the_labels_lie(
    task: Task[Any, Any], kind: str, trained: Callable[..., Learner]
) -> None:
    ids = task.test_ids[:8]
    (_, outputs), *_ = trained(kind).batches(ids)
    predictions = task.predictions(perfect_output(task, ids, outputs.raw))
    for image, label, prediction in zip(ids, task.annotations[ids], predictions, strict=True):
        if kind == "classification":
            assert torch.equal(draw_annotation(task, int(image), label), draw_annotation(task, int(image), prediction))
        elif kind == "detection":
            order = np.lexsort(prediction.boxes.T), np.lexsort(label.boxes.T)
            assert prediction.boxes[order[0]] == pytest.approx(label.boxes[order[1]], abs=1e-3)
        elif kind == "segmentation":
            assert (prediction == label).mean() > 0.9, "but for borders, as the map is coarser"
            assert set(np.unique(prediction)) <= set(np.unique(label))
        else:
            visible = label.visible & ((label.joints >= 0) & (label.joints < 1)).all(1)
            cell = 1 / outputs.raw.shape[-1]
            assert np.abs(prediction.joints - label.joints)[visible].max() <= cell


def test_a_model_without_lossnet_is_examined_too(
    task: Task[Any, Any], kind: str, trained: Callable[..., Learner]
) -> None:
    learner = trained(kind)
    bare = Learner(learner.task, learner.model)
    found = examine(task, bare, task.test_ids[:6], 12)
    assert found.predicted is None
    assert len(found.losses) == 6


@pytest.mark.slow
def test_two_runs_of_a_record_agree(classified: Made) -> None:
    files, paths = classified
    record: Record = read_record(files[1])
    first, second = (next(diagnose([record], paths)) for _ in range(2))
    assert torch.equal(first.picks, second.picks)
    assert np.array_equal(first.rounds[0].losses, second.rounds[0].losses)
