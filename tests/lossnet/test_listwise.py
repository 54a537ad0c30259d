"""Our own loss module: what it sees of a tap, and how it learns an order."""

from __future__ import annotations

import math

import pytest
import torch
from loss_margins import NO_PEAKS, PEAKS
from torch import nn

from lossnet import ListwiseObjective, SummaryLossNet, channel_statistics, list_likelihood_loss


def test_a_summary_is_mean_maximum_and_deviation_of_each_channel() -> None:
    tap = torch.tensor([[[[1.0, 3.0], [1.0, 3.0]], [[2.0, 2.0], [2.0, 2.0]]]])
    torch.testing.assert_close(channel_statistics(tap), torch.tensor([[2.0, 2.0, 3.0, 2.0, 1.0, 1e-4]]))
    torch.testing.assert_close(
        channel_statistics(torch.tensor([[5.0, -1.0]])), torch.tensor([[5.0, -1.0, 5.0, -1.0, 1e-4, 1e-4]])
    )


def test_a_constant_map_has_a_finite_gradient() -> None:
    tap = torch.ones(2, 3, 4, 4, requires_grad=True)
    channel_statistics(tap).sum().backward()
    assert torch.isfinite(tap.grad).all()


def test_the_likelihood_of_an_order_by_hand() -> None:
    # Largest loss first: e^2 of e^2 + e^1 + e^0, then e^0 of e^0 + e^1, then the last alone.
    predicted, losses = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.1, 7.0, 0.5])
    first = math.exp(2) / (math.exp(2) + math.exp(1) + 1)
    second = 1 / (1 + math.exp(1))
    expected = -(math.log(first) + math.log(second) + 0.0) / 3
    assert list_likelihood_loss(predicted, losses).item() == pytest.approx(expected, rel=1e-6)


def test_an_order_of_one_is_certain() -> None:
    predicted = torch.tensor([3.0], requires_grad=True)
    loss = list_likelihood_loss(predicted, torch.tensor([0.2]))
    loss.backward()
    assert (loss.item(), predicted.grad.item()) == (0.0, 0.0)


def test_the_right_order_is_likelier_than_any_other() -> None:
    losses = torch.tensor([3.0, 2.0, 1.0])
    values = torch.tensor([2.0, 1.0, 0.0])
    found = {
        order: list_likelihood_loss(values[list(order)], losses).item() for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0))
    }
    assert found[0, 1, 2] < found[1, 0, 2] < found[2, 1, 0]


def test_a_scale_of_the_taps_does_not_matter() -> None:
    torch.manual_seed(0)
    net = SummaryLossNet([3, 5]).train()
    taps = [torch.randn(8, 3, 4, 4), torch.randn(8, 5)]
    torch.testing.assert_close(net([1000 * tap for tap in taps]), net(taps), rtol=1e-3, atol=1e-3)


def test_a_batch_of_one_can_be_trained_on() -> None:
    net = SummaryLossNet([3]).train()
    before = net.norms[0].running_mean.clone()
    assert torch.isfinite(net([torch.randn(1, 3, 2, 2)])).all()
    assert torch.equal(net.norms[0].running_mean, before)


def test_other_taps_than_it_was_built_for_are_refused() -> None:
    with pytest.raises(ValueError, match="built for 2 taps and was given 1"):
        SummaryLossNet([3, 5])([torch.randn(4, 3)])


def test_it_learns_an_order_that_only_a_maximum_tells() -> None:
    PEAKS.check()
    NO_PEAKS.check()


def test_the_model_never_feels_it() -> None:
    layer = nn.Conv2d(3, 4, 3)
    tap = layer(torch.randn(6, 3, 8, 8))
    objective = ListwiseObjective()
    objective.loss(objective.build([tap]), [tap], torch.rand(6), 0.0).backward()
    assert layer.weight.grad is None
