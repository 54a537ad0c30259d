"""PAL, VAAL and TA-VAAL: their arithmetic by hand, and their networks on images whose kinds are easy to tell apart."""

from __future__ import annotations

import copy
import math
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR

from lossbench.submissions.conformance import same_tensors, weights
from strategies.base import Context, SelectionError
from strategies.kernels.networks import (
    CheckedOptimizer,
    Epochs,
    endless_batches,
    ordered_batches,
    random_flip,
    shuffled_batches,
    train,
)
from strategies.pal import (
    PAL,
    ScoringNetwork,
    all_rotations,
    group_loss,
    group_scores,
    group_targets,
    rotation_loss,
    rotation_scores,
    sub_queries,
)
from strategies.ta_vaal import TAVAAL, min_max_scaled
from strategies.vaal import (
    VAAL,
    Autoencoder,
    Batch,
    Networks,
    autoencoder_losses,
    build_discriminator,
    discriminator_loss,
    kl_to_standard_normal,
    labeled_cross_entropy,
)
from tasks.base import TapModel, UnlabeledTask
from tasks.images.pixels import Pixels
from tasks.training.learner import Learner

SIDE = 16


class Pictures(UnlabeledTask[Any, Any]):
    """Images, and nothing known of them."""

    def posteriors(self, raw):
        raise AssertionError

    def losses(self, raw, targets):
        raise AssertionError

    def pseudo_targets(self, raw):
        raise AssertionError

    def embed(self, outputs):
        raise AssertionError


class Glass(TapModel):
    """A model whose tap is the image."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Identity()
        self.weight = nn.Parameter(torch.zeros(1))

    def trunk(self, images):
        return (images,), (images.mean((2, 3)),)


class Corner(nn.Module):
    """Predicts the loss that stands in an image's first pixel."""

    def forward(self, taps):
        return taps[0][:, 0, 0, 0]


def noise(count: int, mean: float, seed: int = 0) -> Tensor:
    drawn = np.random.default_rng(seed).normal(mean, 30, (count, 3, SIDE, SIDE))
    return torch.from_numpy(drawn.clip(0, 255).astype(np.uint8))


def bright_above(count: int, seed: int = 0) -> Tensor:
    return torch.cat([noise(count, 170, seed)[:, :, : SIDE // 2], noise(count, 80, seed)[:, :, SIDE // 2 :]], 2)


def context(
    images: Tensor, labeled: int, budget: int, *, seed: int = 0, groups: Tensor | None = None, lossnet: Any = None
) -> Context:
    """The first images are labeled, the others are the candidates."""
    learner = Learner(Pictures(Pixels(images, images.shape[-1])), Glass(), lossnet)
    known = torch.ones(labeled, 1, dtype=torch.bool) if groups is None else groups
    ids = np.arange(len(images))

    def withheld() -> Tensor:
        raise AssertionError

    rng = np.random.default_rng(seed)
    return Context(budget, ids[:labeled], ids[labeled:], (learner,), rng, lambda: known)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_an_epoch_holds_every_image_once_in_batches_alike(count: int, batch: int, seed: int) -> None:
    ids = np.arange(count) * 3 + 1
    parts = shuffled_batches(ids, batch, np.random.default_rng(seed))
    sizes = [len(part) for part in parts]
    assert sorted(np.concatenate(parts).tolist()) == ids.tolist()
    assert len(parts) == Epochs(ids, batch, 1, np.random.default_rng()).steps
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


def test_batches_go_on_without_end_in_ever_new_orders() -> None:
    first, second = (
        np.concatenate(
            list(islice(endless_batches(np.arange(50), 25, np.random.default_rng(0)), start, start + 2))
        ).tolist()
        for start in (0, 2)
    )
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second != sorted(second)


def test_scoring_goes_through_images_in_their_order() -> None:
    assert [part.tolist() for part in ordered_batches(np.array([4, 9, 2, 7, 5]), 2)] == [[4, 9], [2, 7], [5]]


def test_half_of_the_images_are_mirrored() -> None:
    images = torch.rand(200, 3, 2, 4)
    found = random_flip(images, np.random.default_rng(0))
    same = (found == images).flatten(1).all(1)
    assert torch.equal(found[~same], images[~same].flip(3))
    assert 70 <= same.sum() <= 130


def test_training_takes_a_step_for_each_batch_and_slows_down_after_epochs() -> None:
    weight = nn.Parameter(torch.zeros(()))
    optimizer = SGD([weight], 1.0)
    epochs = Epochs(np.arange(6), 2, 4, np.random.default_rng(0))
    train(optimizer, epochs, lambda ids: weight * len(ids) / 2, "loss", StepLR(optimizer, 2, 0.1))
    # Three steps of gradient 1 an epoch: two epochs at rate 1, two at rate 0.1.
    assert weight.item() == pytest.approx(-6.6)
    assert epochs.steps == 12


def test_the_first_step_whose_loss_is_not_finite_is_named() -> None:
    weight = nn.Parameter(torch.ones(()))
    descent = CheckedOptimizer(SGD([weight], 0.0), 9, "loss of a test")
    descent.check()
    for factor in (1.0, 2.0):
        descent.step(weight * factor)
    descent.check()
    for factor in (torch.inf, 1.0, torch.nan):
        descent.step(weight * factor)
    with pytest.raises(SelectionError, match="the loss of a test is not finite at step 3 of 9"):
        descent.check()


def test_a_step_follows_its_own_loss_alone() -> None:
    weight = nn.Parameter(torch.zeros(()))
    (weight * 100).backward()
    CheckedOptimizer(SGD([weight], 1.0), 1, "loss").step(weight * 2)
    assert weight.item() == -2


@pytest.mark.parametrize("strategy", [PAL, VAAL])
def test_without_a_labeled_image_there_is_a_clear_error(strategy: type) -> None:
    with pytest.raises(SelectionError, match="needs one labeled image and one candidate"):
        strategy.smoke().select(context(noise(4, 100), 0, 1))


@pytest.mark.parametrize("strategy", [PAL, VAAL, TAVAAL])
@pytest.mark.parametrize(("labeled", "candidates", "budget"), [(1, 1, 1), (1, 9, 3), (9, 1, 1), (9, 4, 4)])
def test_few_images_are_enough(strategy: type, labeled: int, candidates: int, budget: int) -> None:
    ctx = context(noise(labeled + candidates, 120), labeled, budget, lossnet=Corner())
    found = strategy.smoke().select(ctx)
    assert len(set(found.ids.tolist())) == budget
    assert set(found.ids.tolist()) <= set(ctx.candidates.tolist())
    assert torch.isfinite(found.scores).all()


@pytest.mark.parametrize(
    ("strategy", "whose"), [(PAL, "PAL's scoring network"), (VAAL, "VAAL's autoencoder")], ids=["pal", "vaal"]
)
def test_networks_that_diverge_are_refused(strategy: type, whose: str) -> None:
    wild = strategy.smoke().model_copy(update={"learning_rate": 1e30, "epochs": 3})
    with pytest.raises(SelectionError, match=rf"loss of {whose} is not finite at step \d of \d+; lower learning_rate"):
        wild.select(context(noise(60, 120), 30, 5))


class Compass(nn.Module):
    """Takes an image for rotated as often as the corner is away from the upper left in which it is white."""

    def forward(self, images: Tensor) -> Tensor:
        corners = torch.stack([images[:, 0, y, x] for y, x in ((0, 0), (-1, 0), (-1, -1), (0, -1))], 1)
        return 100 * corners


def test_rotation_scores_are_those_of_four_looks_at_an_image() -> None:
    images = torch.zeros(3, 3, 2, 2)
    images[0, :, 0, 0] = 1  # upright: all four rotations are known
    images[1, :, 1, 0] = 1  # as if rotated already: none is
    logits = Compass()(all_rotations(images)).unflatten(0, (4, 3))
    # Of the black image nothing is known: a quarter for each rotation.
    torch.testing.assert_close(rotation_scores(logits), torch.tensor([-4.0, 0.0, -1.0]))
    assert rotation_loss(logits).item() == pytest.approx((0 + 100 + math.log(4)) / 3)


def test_the_rotation_loss_is_cross_entropy_of_which_rotation_it_is() -> None:
    logits = torch.randn(4, 5, 4, generator=torch.Generator().manual_seed(0))
    expected = functional.cross_entropy(logits.flatten(0, 1), torch.arange(4).repeat_interleave(5))
    torch.testing.assert_close(rotation_loss(logits), expected)


def test_the_scoring_network_puts_the_true_rotation_where_the_score_looks() -> None:
    network = ScoringNetwork(8, "cifar", 3).eval()
    images = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        logits = network(images)
        assert (logits.rotation.shape, logits.group.shape) == ((4, 2, 4), (2, 3))
        for times in range(4):
            alone = network(images.rot90(times, (2, 3)))
            torch.testing.assert_close(alone.rotation[0], logits.rotation[times], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network(images[1:]).group, logits.group[1:], rtol=1e-4, atol=1e-5)


def test_the_class_score_of_a_uniform_prediction_is_0() -> None:
    logits = torch.tensor([[2.0, 2.0], [0.0, math.log(3)]])
    # KL(U || (1/4, 3/4)) = 1/2 ln 2 + 1/2 ln 2/3 = 1/2 ln 4/3.
    assert group_scores(logits).tolist() == pytest.approx([0.0, -0.5 * math.log(4 / 3)], abs=1e-6)
    assert group_scores(torch.randn(5, 1)).tolist() == [0.0] * 5


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=6))
def test_the_class_score_is_minus_a_divergence(values: list[float]) -> None:
    logits = torch.tensor([values])
    uniform = torch.full_like(logits, 1 / len(values))
    expected = -functional.kl_div(logits.log_softmax(1), uniform, reduction="sum")
    assert group_scores(logits).item() == pytest.approx(expected.item(), abs=1e-4)
    assert group_scores(logits).item() <= 1e-5


def test_with_one_class_an_image_the_class_loss_is_cross_entropy() -> None:
    logits, classes = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 3, 1, 1, 2, 0])
    groups = functional.one_hot(classes, 4).bool()
    torch.testing.assert_close(group_loss(logits, group_targets(groups)), functional.cross_entropy(logits, classes))


def test_an_image_of_several_groups_has_all_of_them_and_one_of_none_counts_for_nothing() -> None:
    groups = torch.tensor([[True, True, False, False], [False] * 4])
    targets = group_targets(groups)
    assert targets.tolist() == [[0.5, 0.5, 0, 0], [0] * 4]
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [9.0, 5.0, 1.0, 0.0]])
    assert group_loss(logits, targets).item() == pytest.approx(math.log(4))
    assert group_loss(logits[1:], targets[1:]).item() == 0


@pytest.mark.parametrize(
    ("budget", "share", "sizes"),
    [
        (2500, 512 / 2500, [512, 512, 512, 512, 452]),
        (6, 0.5, [3, 3]),
        (7, 0.5, [4, 3]),
        (3, 0.01, [1, 1, 1]),
        (5, 1.0, [5]),
        (1, 0.2, [1]),
    ],
)
def test_a_budget_is_split_into_sub_queries(budget: int, share: float, sizes: list[int]) -> None:
    assert sub_queries(budget, share) == sizes


class Scripted(PAL):
    """PAL whose networks' scores stand in a table: what was seen before the sub-query -> S_S of each candidate."""

    looks: list[tuple[list[int], list[int]]]

    def _trained(self, ctx):
        return []

    def _tuned(self, ctx, network, picks):
        assert network == [], "each copy starts from the network that was trained on the labeled images"
        return picks.tolist()

    def _scores(self, ctx, network, ids):
        self.looks.append((network, ids.tolist()))
        rotation = {2: -1.0, 3: -2.0, 4: -2.5, 5: -4.0}
        tuned = {(): rotation, (2,): {3: -4.0, 4: -1.0, 5: -2.5}, (2, 4): {3: -2.0, 5: -1.5}}[tuple(network)]
        values = [tuned[image] for image in ids.tolist()]
        return torch.tensor(values), torch.tensor([-0.5 if image == 3 else 0.0 for image in ids.tolist()])


def test_sub_queries_add_the_novelty_to_all_picks_so_far() -> None:
    ctx = context(noise(6, 100), 2, 3)
    pal = Scripted(sub_query=0.1, looks=[], diversity_weight=2.0, class_weight=3.0)
    found = pal.select(ctx)
    # Base: 2 -> -1, 3 -> -3.5, 4 -> -2.5, 5 -> -4. Then 3 -> -11.5, 4 -> -4.5, 5 -> -9. Then 3 -> -7.5, 5 -> -7.
    assert found.ids.tolist() == [2, 4, 5]
    assert found.scores.tolist() == [-1.0, -4.5, -7.0]
    assert pal.looks == [([], [2, 3, 4, 5]), ([2], [3, 4, 5]), ([2, 4], [3, 5])]


def test_without_the_diversity_score_nothing_is_fine_tuned() -> None:
    pal = Scripted(sub_query=0.1, looks=[], diversity_weight=0.0)
    assert pal.select(context(noise(6, 100), 2, 3)).ids.tolist() == [2, 3, 4]
    assert len(pal.looks) == 1


def test_fine_tuning_teaches_a_copy_the_rotations_of_the_picks() -> None:
    ctx = context(noise(12, 100), 8, 2)
    network = ScoringNetwork(8, "cifar", 3).eval()
    before = copy.deepcopy(network)
    tuned = PAL.smoke()._tuned(ctx, network, ctx.candidates[:3])
    assert same_tensors(weights(network), weights(before))
    assert not torch.equal(tuned.rotation.weight, network.rotation.weight)
    assert not torch.equal(tuned.stages.stem[0].weight, network.stages.stem[0].weight)
    assert torch.equal(tuned.group.weight, network.group.weight), "the class head has no part in it"
    assert not any(each.training for network in (tuned, network) for each in network.modules())


def test_the_score_of_an_image_does_not_depend_on_its_batch() -> None:
    ctx = context(noise(20, 100), 8, 2, groups=torch.eye(8, dtype=torch.bool))
    network = PAL.smoke()._trained(ctx)
    alone, together = (
        PAL.smoke().model_copy(update={"batch": batch})._scores(ctx, network, ctx.candidates) for batch in (1, 64)
    )
    for one, other in zip(alone, together, strict=True):
        assert one.shape == (12,)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def novice() -> tuple[Context, PAL, ScoringNetwork]:
    """40 upright images are labeled; candidates are 20 upright ones and 20 upside down. The network has seen the former."""
    images = torch.cat([bright_above(60, 1), bright_above(20, 2).flip(2)])
    ctx = context(images, 40, 20)
    pal = PAL(
        pixels=SIDE, width=8, stem="cifar", epochs=6, batch=8, learning_rate=0.1, sub_query=1.0, fine_tuning_rate=1.0
    )
    return ctx, pal, pal._trained(ctx)


def test_pal_picks_the_kind_that_it_has_not_seen(novice: tuple[Context, PAL, ScoringNetwork]) -> None:
    ctx, pal, network = novice
    script = type("Trained", (PAL,), {"_trained": lambda *_: network})
    found = script(**pal.model_dump()).select(ctx)
    assert set(found.ids.tolist()) == set(range(60, 80))
    assert found.scores.min() > -2.0


def test_after_fine_tuning_what_looks_like_the_picks_is_no_longer_novel(
    novice: tuple[Context, PAL, ScoringNetwork],
) -> None:
    ctx, pal, network = novice
    others = np.arange(70, 80)
    before, _ = pal._scores(ctx, network, others)
    after, _ = pal._scores(ctx, pal._tuned(ctx, network, np.arange(60, 70)), others)
    assert (before - after).mean() > 1.0


def test_pal_picks_the_class_that_it_takes_for_none() -> None:
    """With rotations left out of the score: bright and dark are the classes, the gray ones are neither."""
    images = torch.cat([noise(20, 40, 1), noise(20, 210, 2), noise(8, 40, 3), noise(8, 210, 4), noise(8, 125, 5)])
    groups = torch.arange(40)[:, None] // 20 == torch.arange(2)
    pal = PAL(pixels=SIDE, width=8, stem="cifar", epochs=8, batch=8, rotation_weight=0, diversity_weight=0)
    found = pal.select(context(images, 40, 8, groups=groups))
    assert sum(image >= 56 for image in found.ids.tolist()) >= 6


def test_the_divergence_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(5, 7, generator=generator), torch.randn(5, 7, generator=generator)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(torch.zeros(()), torch.ones(()))).sum(1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)
    assert kl_to_standard_normal(torch.zeros(2, 3), torch.zeros(2, 3)).tolist() == [0, 0]


def test_the_autoencoders_losses_are_its_error_and_its_divergence() -> None:
    images, decoded = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    decoded[1] = 2.0
    decoded[0, :, :2] = 1.0
    mean = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    # Half of the pixels are off by 1, all by 2; divergences 1/2 and 9/2 over two numbers, times beta.
    found = autoencoder_losses(images, decoded, mean, torch.zeros(2, 2), 4.0)
    assert found.tolist() == pytest.approx([0.5 + 4 * 0.25, 4 + 4 * 2.25])


def test_labeled_images_and_candidates_count_alike_however_many_there_are() -> None:
    shown = Batch(torch.zeros(4, 3, 2, 2), torch.zeros(4, 0), torch.tensor([1.0, 0.0, 0.0, 0.0]))
    assert shown.balanced_sum(torch.tensor([5.0, 1.0, 2.0, 6.0])).item() == 5 + 3
    found = labeled_cross_entropy(torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, 0.0]))
    assert found.tolist() == pytest.approx([math.log(2), math.log(4)])


@pytest.mark.parametrize("pixels", [16, 32, 64])
@pytest.mark.parametrize("conditions", [0, 1])
def test_the_autoencoder_gives_back_images_of_its_size(pixels: int, conditions: int) -> None:
    network = Autoencoder(pixels, 4, 5, conditions)
    mean, log_variance = network.encode(torch.randn(2, 3, pixels, pixels))
    assert mean.shape == log_variance.shape == (2, 5)
    assert network.decode(mean, torch.zeros(2, conditions)).shape == (2, 3, pixels, pixels)


def test_the_networks_of_the_paper_are_the_default() -> None:
    with torch.device("meta"):
        network = Autoencoder(32, VAAL().width, VAAL().latent, 0)
        adversary = build_discriminator(VAAL().latent, VAAL().hidden)
    shapes = [tuple(each.weight.shape) for each in network.modules() if isinstance(each, nn.Conv2d)]
    assert shapes[:4] == [(128, 3, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (1024, 512, 4, 4)]
    ups = [tuple(each.weight.shape) for each in network.modules() if isinstance(each, nn.ConvTranspose2d)]
    assert ups == [(1024, 512, 4, 4), (512, 256, 4, 4), (256, 128, 4, 4)]
    assert [tuple(each.weight.shape) for each in network.modules() if isinstance(each, nn.Linear)] == [
        (32, 1024 * 2 * 2),
        (32, 1024 * 2 * 2),
        (1024 * 4 * 4, 32),
    ]
    assert [tuple(each.weight.shape) for each in adversary if isinstance(each, nn.Linear)] == [
        (512, 32),
        (512, 512),
        (1, 512),
    ]


def players(conditions: int = 0) -> tuple[Networks, Batch]:
    torch.manual_seed(0)
    images = torch.randn(6, 3, SIDE, SIDE)
    labeled = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    pair = Networks(Autoencoder(SIDE, 4, 5, conditions), build_discriminator(5 + conditions, 8))
    return pair, Batch(images, torch.rand(6, conditions), labeled)


def test_the_discriminator_learns_from_the_latent_and_leaves_the_autoencoder_alone() -> None:
    pair, shown = players()
    logits = pair.logits(shown.images, shown.conditions)
    truth = functional.binary_cross_entropy_with_logits
    expected = truth(logits[:2], torch.ones(2)) + truth(logits[2:], torch.zeros(4))
    found = discriminator_loss(pair, shown)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert all(each.grad is None for each in pair.autoencoder.parameters())
    assert all(each.grad is not None for each in pair.discriminator.parameters())


def test_the_autoencoder_wants_all_images_held_for_labeled() -> None:
    pair, shown = players()
    noise_of = [torch.Generator().manual_seed(1) for _ in range(2)]
    without, with_adversary = (
        VAAL(adversary_weight=weight)._autoencoder_loss(pair, shown, generator)
        for weight, generator in zip((0.0, 2.0), noise_of, strict=True)
    )
    logits = pair.logits(shown.images, shown.conditions)
    fooled = functional.softplus(-logits)
    torch.testing.assert_close(with_adversary - without, 2 * (fooled[:2].mean() + fooled[2:].mean()))
    torch.testing.assert_close(
        without, VAAL(adversary_weight=0.0)._autoencoder_loss(pair, shown, noise_of[0].manual_seed(1))
    )


def test_the_latent_is_drawn_as_widely_as_its_variance() -> None:
    pair, shown = players()

    def losses() -> list[float]:
        generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
        return [VAAL(beta=0)._autoencoder_loss(pair, shown, each).item() for each in generators]

    assert losses()[0] != pytest.approx(losses()[1], rel=1e-4)
    nn.init.constant_(pair.autoencoder.log_variance.bias, -100)
    assert losses()[0] == pytest.approx(losses()[1], rel=1e-6)


def test_a_batch_holds_labeled_images_and_candidates_with_what_is_told_of_them() -> None:
    ctx = context(noise(14, 120), 5, 3)
    told = torch.arange(5.0)[:, None], torch.arange(10.0, 19.0)[:, None]
    shown = VAAL.smoke()._batch(ctx, (np.array([4, 0]), np.array([8, 3, 1])), told)
    assert shown.labeled.tolist() == [1, 1, 0, 0, 0]
    assert shown.conditions.flatten().tolist() == [4, 0, 18, 13, 11]
    for image, expected in zip(shown.images, ctx.images(np.array([4, 0, 13, 8, 6]), SIDE), strict=True):
        assert torch.equal(image, expected) or torch.equal(image, expected.flip(2))


def test_a_turn_trains_both_networks_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = context(noise(30, 120), 10, 5)
    kept: list[tuple[Networks, dict[str, Tensor], dict[str, Tensor]]] = []
    untrained = VAAL._untrained

    def watched(self: VAAL, ctx: Context, conditions: int) -> Networks:
        pair = untrained(self, ctx, conditions)
        kept.append((pair, weights(pair.autoencoder), weights(pair.discriminator)))
        return pair

    monkeypatch.setattr(VAAL, "_untrained", watched)
    state = torch.get_rng_state()
    VAAL.smoke().select(ctx)
    ((pair, *before),) = kept
    for module, earlier in zip((pair.autoencoder, pair.discriminator), before, strict=True):
        after = module.state_dict()
        assert all(not torch.equal(after[name], earlier[name]) for name, _ in module.named_parameters())
        assert not any(each.training for each in module.modules())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("seed", [0, 1])
def test_vaal_picks_the_kind_that_is_not_labeled(seed: int) -> None:
    bright, dark = noise(90, 190, 1), noise(30, 70, 2)
    vaal = VAAL(pixels=SIDE, width=8, latent=8, hidden=64, epochs=12, batch=16, learning_rate=2e-3)
    found = vaal.select(context(torch.cat([bright, dark]), 60, 20, seed=seed))  # 30 of each kind to pick from
    assert (found.ids >= 90).mean() >= 0.9
    assert (found.scores.diff() <= 0).all()


def test_predicted_losses_are_scaled_to_lie_between_0_and_1() -> None:
    assert min_max_scaled(torch.tensor([3.0, -1.0, 0.0])).tolist() == [1.0, 0.0, 0.25]
    assert min_max_scaled(torch.full((3,), 7.0)).tolist() == [0.5, 0.5, 0.5]


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=9))
def test_scaled_losses_keep_their_order(losses: list[float]) -> None:
    found = min_max_scaled(torch.tensor(losses))
    assert ((found >= 0) & (found <= 1)).all()
    order = torch.tensor(losses).argsort(stable=True)
    assert (found[order].diff() >= 0).all()


def told(corners: list[int], labeled: int, budget: int = 10) -> Context:
    """Images that are all of one kind, but for the pixel from which `Corner` reads its prediction."""
    images = noise(len(corners), 120)
    images[:, :, 0, 0] = torch.tensor(corners, dtype=torch.uint8)[:, None]
    return context(images, labeled, budget, lossnet=Corner())


def test_ta_vaal_tells_its_networks_the_predicted_losses_of_both_kinds() -> None:
    ctx = told([0, 51, 102, 255], 2, 1)
    labeled, candidates = TAVAAL.smoke().conditions(ctx)
    assert labeled.flatten().tolist() == pytest.approx([0.0, 0.2], abs=1e-6)
    assert candidates.flatten().tolist() == pytest.approx([0.4, 1.0], abs=1e-6)
    pair = TAVAAL.smoke()._untrained(ctx, labeled.shape[1])
    assert (pair.autoencoder.decoder[0].in_features, pair.discriminator[0].in_features) == (4 + 1, 4 + 1)


def test_the_discriminator_and_the_decoder_hear_the_condition() -> None:
    pair, shown = players(conditions=1)
    pair.autoencoder.eval()
    mean, _ = pair.autoencoder.encode(shown.images)
    other = 1 - shown.conditions
    assert not torch.allclose(pair.latent_logits(mean, shown.conditions), pair.latent_logits(mean, other))
    assert not torch.allclose(pair.autoencoder.decode(mean, shown.conditions), pair.autoencoder.decode(mean, other))


def test_ta_vaal_picks_the_losses_that_are_not_labeled_where_vaal_sees_no_difference() -> None:
    corners = [60] * 40 + [60] * 20 + [180] * 20
    sizes = {"pixels": SIDE, "width": 4, "latent": 4, "hidden": 64, "epochs": 12, "batch": 16, "learning_rate": 2e-3}
    shares = {each: (each(**sizes).select(told(corners, 40)).ids >= 60).mean() for each in (TAVAAL, VAAL)}
    assert shares[TAVAAL] == 1.0
    assert shares[VAAL] < 1.0


def test_other_predicted_losses_give_other_picks() -> None:
    class Opposite(Corner):
        def forward(self, taps):
            return taps[0][:, 0, -1, -1]

    ctx = [told(list(range(60)), 20) for _ in range(2)]
    learner = Learner(ctx[1].learner.task, ctx[1].learner.model, Opposite())
    other = Context(10, ctx[1].labeled, ctx[1].candidates, (learner,), ctx[1].rng, ctx[1].labeled_groups)
    one, two = (TAVAAL.smoke().select(each).ids.tolist() for each in (ctx[0], other))
    assert one != two


def test_ta_vaal_refuses_a_prediction_that_is_not_a_number_and_a_learner_without_one() -> None:
    class Broken(Corner):
        def forward(self, taps):
            return super().forward(taps) / 0

    with pytest.raises(SelectionError, match="30 of 30 numbers of the predicted losses are not finite"):
        TAVAAL.smoke().select(context(noise(30, 120), 10, 5, lossnet=Broken()))
    with pytest.raises(ValueError, match="declare needs_lossnet"):
        TAVAAL.smoke().select(context(noise(30, 120), 10, 5))
