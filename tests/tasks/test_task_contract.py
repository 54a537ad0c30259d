"""The contract of tasks and learners, on every kind of task."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from raw_outputs import SOME, equal, parts, rows
from tiny_learners import MakeLearner

from lossbench.running.evaluation import evaluate
from lossbench.submissions.conformance import LABELED
from strategies.random import Random
from tasks.base import Task
from tasks.training.learner import Learner


@pytest.fixture(scope="module")
def learner(kind: str, trained: MakeLearner) -> Learner:
    return trained(kind, Random())


def test_the_head_turns_features_into_the_raw_output(learner: Learner) -> None:
    for _, outputs in learner.batches(SOME):
        with torch.no_grad():
            assert equal(learner.model.head(*outputs.features), outputs.raw)
        assert all(len(each) == len(SOME) for each in (*outputs.taps, *outputs.features, *parts(outputs.raw)))


def test_an_image_has_its_loss_whatever_the_rest_of_its_batch(task: Task, learner: Learner) -> None:
    ((_, outputs),) = learner.batches(SOME)
    together = task.unlabeled.losses(outputs.raw, task.targets(SOME))
    assert together.shape == (len(SOME),)
    assert torch.isfinite(together).all()
    for place, image in enumerate(SOME):
        alone = task.targets(np.array([image]))
        given = task.unlabeled.losses(rows(outputs.raw, slice(place, place + 1)), alone)
        torch.testing.assert_close(given[0], together[place], rtol=1e-6, atol=0)
        ((_, again),) = learner.batches(np.array([image]))
        torch.testing.assert_close(task.unlabeled.losses(again.raw, alone)[0], together[place], rtol=1e-4, atol=1e-6)


def test_an_image_has_its_loss_beside_an_image_that_is_not_finite(task: Task, learner: Learner) -> None:
    ((_, outputs),) = learner.batches(SOME)
    together = task.unlabeled.losses(outputs.raw, task.targets(SOME))
    spoiled = copy.deepcopy(outputs.raw)
    for part in parts(spoiled):
        part[0] = 1e6
    beside = task.unlabeled.losses(spoiled, task.targets(SOME))
    torch.testing.assert_close(beside[1:], together[1:], rtol=1e-6, atol=0)
    assert beside[0] != together[0]


def test_posteriors_are_distributions_with_weights(task: Task, learner: Learner) -> None:
    (found,) = learner.posteriors(SOME)
    images, each, _ = found.log_probs.shape
    assert images == len(SOME)
    torch.testing.assert_close(found.log_probs.exp().sum(2), torch.ones(images, each), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.weight.sum(1), torch.ones(images), rtol=0, atol=1e-5)
    assert (found.weight >= 0).all()
    assert (found.context >= 0).all()
    features = tuple(part.requires_grad_() for part in next(learner.batches(SOME))[1].features)
    decoded = learner.decode(features)
    assert torch.equal(decoded.log_probs, found.log_probs)
    decoded.pooled(decoded.log_probs.exp().square().sum(2)).sum().backward()
    assert any(part.grad is not None and part.grad.abs().sum() > 0 for part in features)


def test_a_model_can_be_its_own_teacher(task: Task, learner: Learner) -> None:
    ((_, outputs),) = learner.batches(SOME)
    losses = task.unlabeled.losses(outputs.raw, task.unlabeled.pseudo_targets(outputs.raw))
    assert losses.shape == (len(SOME),)
    assert torch.isfinite(losses).all()
    assert learner.embeddings(SOME).shape[0] == len(SOME)


def test_images_are_the_same_whenever_they_are_read(task: Task) -> None:
    images = task.unlabeled.images(SOME)
    assert images.dtype == torch.float32
    assert images.shape == (len(SOME), 3, task.unlabeled.size, task.unlabeled.size)
    assert torch.equal(images, task.unlabeled.images(SOME))
    assert torch.equal(images[2:4], task.unlabeled.images(SOME[2:4]))


def test_augmentation_is_a_function_of_its_generator(task: Task) -> None:
    (images, targets), again, other = (task.augmented(SOME, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(images, again[0])
    assert equal(targets, again[1])
    assert images.shape == task.unlabeled.images(SOME).shape
    assert not torch.equal(images, other[0])
    assert not torch.equal(images, task.unlabeled.images(SOME))


def test_groups_have_names_and_metrics_the_ranking_one(task: Task, learner: Learner) -> None:
    groups = task.groups(SOME, LABELED)
    assert groups.shape == (len(SOME), len(task.group_names))
    assert groups.dtype == torch.bool
    assert task.groups(SOME[:0], LABELED).shape == (0, len(task.group_names))
    metrics = evaluate(task, learner, task.test_ids)
    assert 0 <= metrics[task.metric.name] <= 1
    assert 0 <= metrics["ranking_accuracy"] <= 1
    assert metrics["loss"] > 0


def test_where_nothing_is_labeled_there_are_no_members_of_groups(task: Task) -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert task.groups(nothing, nothing).shape == (0, len(task.group_names))


def test_no_image_has_no_label(task: Task) -> None:
    counts = task.label_counts(LABELED[:0])
    assert counts.keys() == task.label_counts(LABELED).keys()
    assert set(counts.values()) == {0}


def test_one_image_has_metrics_and_no_pair_to_rank(task: Task, learner: Learner) -> None:
    several, one = evaluate(task, learner, SOME), evaluate(task, learner, SOME[:1])
    assert several.keys() - one.keys() == {"ranking_accuracy"}
