"""What may be labeled, under stress: wrong labels, rare groups, groups missing at first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_tasks import KINDS

from lossbench.config import ConfigError, Protocol, Stress
from lossbench.config_files import config_files, protocol_file, read_protocol
from lossbench.running.loop import Run
from lossbench.running.pool import Pool, with_label_noise
from lossbench.submissions.conformance import tiny_protocol
from strategies import load_strategy
from tasks.base import Task, as_annotations
from tasks.classification.task import ClassificationTask
from tasks.datasets.mpii import MPII_SKELETON
from tasks.datasets.names import MPII_JOINTS, MPII_MIRRORED
from tasks.datasets.objects import Objects
from tasks.datasets.persons import Person
from tasks.detection.label_noise import mislabeled as mislabeled_objects
from tasks.pose.label_noise import mislabeled as mislabeled_joints

CLASSES = 10
CONFIGS = Path(__file__).parents[3] / "configs/tasks"


def classes_of(labels: np.ndarray) -> Any:
    """What a pool asks of a classification task with these labels."""
    return SimpleNamespace(
        pool_size=len(labels),
        annotations=labels,
        group_names=tuple("abcdefghij"),
        groups=lambda ids, reference: torch.nn.functional.one_hot(torch.from_numpy(labels[ids]), CLASSES).bool(),
        mislabeled=lambda ids, share, rng: ClassificationTask.mislabeled(
            SimpleNamespace(annotations=labels, group_names=range(CLASSES)),  # pyright: ignore[reportArgumentType]
            ids,
            share,
            rng,
        ),
    )


def stressed(kind: str = "classification", **stress: float) -> Protocol:
    """The tiny protocol under stress."""
    return tiny_protocol(kind).model_copy(update={"stress": Stress.model_validate(stress)})


@pytest.fixture
def balanced() -> Any:
    """Ten classes of 2,000 images."""
    return classes_of(np.random.default_rng(0).permutation(np.repeat(np.arange(CLASSES), 2000)))


@pytest.mark.parametrize("ratio", [10.0, 100.0])
def test_groups_shrink_exponentially_to_the_rarest(balanced: Any, ratio: float) -> None:
    pool = Pool.of(balanced, stressed(imbalance=ratio))
    counts = np.sort(np.bincount(balanced.annotations[pool.eligible], minlength=CLASSES))[::-1]
    expected = 2000 * ratio ** -(np.arange(CLASSES) / (CLASSES - 1))
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max())
    assert counts[-1] == pytest.approx(2000 / ratio, abs=4 * np.sqrt(2000 / ratio))
    assert not np.isin(pool.validation, pool.eligible).any()
    assert len(pool.validation) == 12, "the validation slice keeps its balance"
    turns = pool.turns(0, 1)
    assert len(turns) == 20_000
    assert sorted(turns[pool.eligible].tolist()) == list(range(len(pool.eligible)))
    assert (np.delete(turns, pool.eligible) == -1).all()


def test_an_image_of_several_groups_is_as_rare_as_its_rarest() -> None:
    present = np.zeros((30_000, 3), dtype=bool)
    rng = np.random.default_rng(1)
    present[:, 0] = True
    present[:, 1], present[:, 2] = rng.random(30_000) < 0.5, rng.random(30_000) < 0.5
    from lossbench.running.pool import _imbalanced

    kept = _imbalanced(present, 100.0, np.random.default_rng(2))
    rates = [kept[(present == row).all(1)].mean() for row in np.unique(present, axis=0)]
    by_group = {tuple(row.tolist()): rate for row, rate in zip(np.unique(present, axis=0), rates, strict=True)}
    both = by_group[True, True, True]
    assert both == pytest.approx(0.01, abs=0.004)
    assert both <= min(by_group.values()) + 0.004


def test_nothing_changes_without_stress(balanced: Any) -> None:
    assert len(Pool.of(balanced, stressed()).eligible) == 20_000 - 12
    pool = Pool.of(balanced, stressed())
    assert with_label_noise(balanced, pool, Stress(), 3) is balanced


def test_the_first_round_misses_groups_that_the_seed_draws(balanced: Any) -> None:
    pool = Pool.of(balanced, stressed(missing_groups=3))
    seen = [set(balanced.annotations[pool.initial(seed, 500)].tolist()) for seed in range(6)]
    assert [len(each) for each in seen] == [7] * 6
    assert len({tuple(sorted(each)) for each in seen}) > 1
    first = pool.initial(0, 500)
    offered = pool.candidates(0, 0, first, None)
    assert set(balanced.annotations[offered].tolist()) == set(range(CLASSES)), "they may be picked"


def test_too_many_missing_groups_are_refused(balanced: Any) -> None:
    with pytest.raises(ConfigError, match="10 of 10 groups would be missing"):
        Pool.of(balanced, stressed(missing_groups=10))
    few = classes_of(np.array([0] * 50 + list(range(10))))
    pool = Pool.of(few, stressed(missing_groups=9))
    with pytest.raises(ConfigError, match=r"only .* images show none of the 9 missing groups"):
        [pool.initial(seed, 12) for seed in range(20)]


def test_an_imbalance_that_leaves_too_few_images_is_refused() -> None:
    with pytest.raises(ConfigError, match="for validation and imbalance"):
        Pool.of(classes_of(np.arange(40) % CLASSES), stressed(imbalance=100.0))


def test_wrong_classes_are_others_and_the_seeds(balanced: Any) -> None:
    pool = Pool.of(balanced, stressed(label_noise=0.2))
    noisy = [with_label_noise(balanced, pool, Stress(label_noise=0.2), seed).annotations for seed in (4, 4, 5)]
    assert np.array_equal(noisy[0], noisy[1])
    assert not np.array_equal(noisy[0], noisy[2])
    wrong = noisy[0] != balanced.annotations
    assert wrong[pool.eligible].mean() == pytest.approx(0.2, abs=0.01), "as many are really wrong"
    assert not wrong[pool.validation].any()
    moves = np.bincount((noisy[0][wrong] - balanced.annotations[wrong]) % CLASSES, minlength=CLASSES)
    assert moves[0] == 0
    assert moves[1:].min() > 0.8 * wrong.sum() / 9, "every other class is as likely"


def a_street(count: int) -> Objects:
    """An image of many objects, every tenth difficult."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0.1, 0.5, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.1, 0.3, (count, 2))], 1).astype(np.float32)
    return Objects(boxes, rng.integers(0, 5, count), np.arange(count) % 10 == 0, 100, 100)


def test_a_third_of_the_wrong_objects_is_missed_flipped_displaced_each() -> None:
    objects = a_street(9000)
    found = mislabeled_objects(objects, 0.3, 5, np.random.default_rng(1))
    easy = int((~objects.difficult).sum())
    assert (len(objects.labels) - len(found.labels)) / easy == pytest.approx(0.1, abs=0.012)
    assert int(found.difficult.sum()) == int(objects.difficult.sum()), "difficult objects stay"
    before = {box.tobytes(): label for box, label in zip(objects.boxes, objects.labels, strict=True)}
    kept = [
        (before[box.tobytes()], label)
        for box, label in zip(found.boxes, found.labels, strict=True)
        if box.tobytes() in before
    ]
    assert (len(found.labels) - len(kept)) / easy == pytest.approx(0.1, abs=0.012)
    assert sum(old != new for old, new in kept) / easy == pytest.approx(0.1, abs=0.012)
    assert (found.boxes >= 0).all()
    assert (found.boxes <= 1).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert found.boxes.dtype == np.float32


def test_of_one_class_nothing_can_be_flipped() -> None:
    objects = a_street(900)._replace(labels=np.zeros(900, dtype=np.int64))
    found = mislabeled_objects(objects, 0.9, 1, np.random.default_rng(1))
    assert set(found.labels.tolist()) == {0}
    assert len(found.labels) < 600


def test_an_image_without_objects_stays_one() -> None:
    none = a_street(0)
    assert len(mislabeled_objects(none, 0.5, 5, np.random.default_rng(0)).labels) == 0


def test_half_of_the_wrong_joints_of_a_pair_are_swapped_with_the_other_side() -> None:
    person = Person(
        np.random.default_rng(0).random((len(MPII_JOINTS), 2)),
        np.ones(len(MPII_JOINTS), dtype=bool),
        0.1,
        MPII_SKELETON,
    )
    rng, times = np.random.default_rng(1), 4000
    found = np.array([mislabeled_joints(person, 0.2, rng).joints for _ in range(times)])
    wrong = (found != person.joints).any(2)
    swapped = (found == person.joints[list(MPII_MIRRORED)]).all(2) & wrong
    assert np.abs(wrong.mean(0) - 0.2).max() < 0.03
    paired = np.array(MPII_MIRRORED) != np.arange(len(MPII_JOINTS))
    assert np.abs(swapped.mean(0)[paired] - 0.1).max() < 0.02
    assert np.array_equal(swapped, swapped[:, MPII_MIRRORED]), "both sides or none"
    moved = (found - person.joints)[wrong & ~swapped]
    assert moved.std() == pytest.approx(0.1, abs=0.01)


def test_a_swap_takes_visibility_along() -> None:
    visible = np.ones(len(MPII_JOINTS), dtype=bool)
    visible[0] = False
    person = Person(np.random.default_rng(0).random((len(MPII_JOINTS), 2)), visible, 0.1, MPII_SKELETON)
    rng = np.random.default_rng(3)
    found = [mislabeled_joints(person, 0.9, rng) for _ in range(50)]
    assert {(bool(each.visible[0]), bool(each.visible[5])) for each in found} == {(False, True), (True, False)}


@pytest.mark.parametrize(
    ("kind", "stress"),
    [
        *((kind, {"label_noise": 0.3}) for kind in KINDS),
        (KINDS[0], {"imbalance": 3.0}),
        (KINDS[0], {"missing_groups": 1}),
        *(
            pytest.param(kind, stress, marks=pytest.mark.slow)
            for kind in KINDS[1:]
            for stress in ({"imbalance": 3.0}, {"missing_groups": 1})
        ),
    ],
    indirect=["kind"],
)
def test_every_stress_runs_on_every_task(
    kind: str, stress: dict[str, float], tiny_task: Callable[[str], Task], tmp_path: Path
) -> None:
    protocol, task = stressed(kind, **stress), tiny_task(kind)
    budget = protocol.budget.model_copy(update={"initial": 6, "step": 3, "rounds": 2, "subset": 12})
    run = Run(
        task,
        protocol.model_copy(update={"budget": budget}),
        load_strategy("learning-loss", {}),
        1,
        "shared",
        "test",
        tmp_path,
    )
    before = as_annotations(list(task.annotations))
    rounds = list(run.rounds())
    assert [one.labeled for one in rounds] == [6, 9]
    assert all(a is b or np.array_equal(a, b) for a, b in zip(before, task.annotations, strict=True)), (
        "the true labels stay"
    )
    changed = [
        a is not b and not np.array_equal(a, b) for a, b in zip(task.annotations, run.asked.annotations, strict=True)
    ]
    assert any(changed) == ("label_noise" in stress)
    assert not any(changed[int(each)] for each in (*run.pool.validation, *task.test_ids))


def test_noise_gives_other_weights_and_keeps_the_first_labels(tiny_task: Callable[[str], Task], tmp_path: Path) -> None:
    task, random = tiny_task("classification"), load_strategy("random", {})
    runs = [Run(task, stressed(label_noise=noise), random, 0, "shared", "test", tmp_path) for noise in (0.0, 0.4)]
    scores = [next(run.rounds()) for run in runs]
    assert scores[0].metrics["loss"] != scores[1].metrics["loss"]
    assert scores[0].picked == scores[1].picked


def test_a_protocol_gives_only_what_differs_from_its_base(tmp_path: Path) -> None:
    folder = CONFIGS
    clean, noisy = (read_protocol(protocol_file(folder, f"cifar10-mini{end}")) for end in ("", "-noise"))
    assert noisy.base == "cifar10-mini"
    assert noisy.version == clean.version == 2
    assert noisy.stress == Stress(label_noise=0.2)
    assert (noisy.budget, noisy.task) == (clean.budget, clean.task)
    assert "base" not in clean.model_dump()
    assert "stress" not in clean.model_dump()
    (tmp_path / "cifar10-mini-noise.toml").write_text(protocol_file(folder, "cifar10-mini-noise").read_text())
    (tmp_path / "twice.toml").write_text('base = "cifar10-mini-noise"\nname = "twice"\n')
    with pytest.raises(ConfigError, match="itself has the base"):
        read_protocol(tmp_path / "twice.toml")
    (tmp_path / "cifar10-mini.toml").write_text(protocol_file(folder, "cifar10-mini").read_text())
    (tmp_path / "own.toml").write_text('base = "cifar10-mini"\nname = "own"\nversion = 2\n')
    with pytest.raises(ConfigError, match="the version of its base"):
        read_protocol(tmp_path / "own.toml")
    (tmp_path / "stray.toml").write_text('base = "../../cifar10"\nname = "stray"\n')
    with pytest.raises(ConfigError, match=r"stray.toml: base: String should match pattern"):
        read_protocol(tmp_path / "stray.toml")


@pytest.mark.parametrize("path", config_files(CONFIGS), ids=lambda path: path.stem)
def test_every_protocol_that_has_a_base_says_what_it_varies(path: Path) -> None:
    protocol = read_protocol(path)
    if protocol.base:
        below = read_protocol(protocol_file(CONFIGS, protocol.base))
        assert (
            protocol.stress != below.stress
            or protocol.budget != below.budget
            or protocol.task != below.task
            or protocol.loss_prediction != below.loss_prediction
        )
