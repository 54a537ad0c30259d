"""VAAL and TA-VAAL: their arithmetic by hand, and their networks on images whose kinds are easy to tell apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from network_margins import TA_VAAL, VAAL_ALONE, VAAL_DARK
from pictures import SIDE, Corner, context, noise, with_corners
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from lossbench.submissions.conformance import weights
from strategies.base import Context, SelectionError
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
from tasks.training.learner import Learner


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


def test_the_autoencoder_wants_all_images_labeled_cross_entropy_labeled() -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_vaal_picks_the_kind_that_is_not_labeled(seed: int) -> None:
    VAAL_DARK.check(seed)


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
    return context(with_corners(corners), labeled, budget, lossnet=Corner())


def test_ta_vaal_tells_its_networks_the_predicted_losses_balanced_sum_kinds() -> None:
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


@pytest.mark.slow
def test_ta_vaal_picks_the_losses_that_are_not_labeled_where_vaal_sees_no_difference() -> None:
    TA_VAAL.check()
    VAAL_ALONE.check()


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
