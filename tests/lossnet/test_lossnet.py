"""LossNet: its forward pass by hand, the taps that it sees, when the model feels it, and whether it learns at all."""

from __future__ import annotations

import pytest
import torch
from columns import column, number
from loss_margins import LINEAR, RANKING, REGRESSION, SHUFFLED
from margin import Margin
from torch import Tensor

from lossnet import LossNet, RankingObjective, RegressionObjective, ranking_loss, regression_loss

OBJECTIVES = (RankingObjective, RegressionObjective)


def taps(n: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, 6, generator=generator), torch.randn(n, 3, 5, 7, generator=generator)]


def test_one_number_per_image_from_vectors_and_maps() -> None:
    module = LossNet.for_taps(taps(), width=11)
    assert [tuple(each.weight.shape) for each in module.branches] == [(11, 6), (11, 3)]
    assert module.last.in_features == 22
    assert module(taps()).shape == (4,)
    assert module(taps(1)).shape == (1,)
    assert LossNet([6, 3]).last.in_features == 256  # 128 a tap, the paper's


def test_the_forward_pass_by_hand() -> None:
    module = LossNet([1, 1], width=1)
    with torch.no_grad():
        for branch, weight, bias in zip(module.branches, (2.0, -1.0), (1.0, 0.5), strict=True):
            branch.weight.fill_(weight)
            branch.bias.fill_(bias)
        module.last.weight.copy_(torch.tensor([[3.0, 5.0]]))
        module.last.bias.fill_(0.25)
    maps = torch.tensor([[0.0, 1.0], [2.0, -1.0]]).view(1, 1, 2, 2)  # mean 0.5: relu(-0.5 + 0.5) = 0
    assert number(module([column(4).view(1, 1), maps])) == pytest.approx(3 * 9 + 0.25)
    # relu(2 * -4 + 1) = 0, and relu(0.5 + 0.5) = 1
    assert number(module([column(-4).view(1, 1), maps - 1])) == pytest.approx(5 * 1 + 0.25)


def test_a_map_counts_as_its_average() -> None:
    module = LossNet.for_taps(taps())
    vectors, maps = taps()
    assert torch.allclose(module([vectors, maps]), module([vectors, maps.mean((2, 3))]), atol=1e-6)
    assert torch.allclose(module([vectors, maps]), module([vectors, maps.repeat(1, 1, 2, 3)]), atol=1e-6)


def test_images_do_not_mix() -> None:
    module = LossNet.for_taps(taps())
    whole = module(taps())
    single = torch.cat([module([tap[i : i + 1] for tap in taps()]) for i in range(4)])
    assert torch.allclose(whole, single, atol=1e-6)


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_taps_is_refused(count: int) -> None:
    module = LossNet.for_taps(taps())
    with pytest.raises(ValueError, match=f"built for 2 taps and was given {count}"):
        module((taps() * 2)[:count])


@pytest.mark.parametrize("channels", [[], [6, 3]])
def test_no_tap_is_refused(channels: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one tap"):
        LossNet(channels, taps=())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_only_the_taps_that_it_is_to_see_count(objective: type) -> None:
    module = objective(width=11, taps=(1,)).build(taps())
    vectors, maps = taps()
    assert [tuple(each.weight.shape) for each in module.branches] == [(11, 3)]
    assert torch.equal(module([vectors, maps]), module([vectors + 1, maps]))
    assert not torch.equal(module([vectors, maps]), module([vectors, maps + 1]))
    with pytest.raises(ValueError, match="built for 2 taps and was given 1"):
        module([maps])


@pytest.mark.parametrize("seen", [(2,), (-1,), (0, 5)])
def test_a_tap_that_is_not_there_is_refused(seen: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="taps 0 to 1"):
        LossNet([6, 3], taps=seen)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("progress", "felt"), [(0.0, True), (0.59, True), (0.6, False), (0.61, False), (1.0, False)])
def test_the_model_feels_the_objective_until_detach_after(objective: type, progress: float, felt: bool) -> None:
    tracked = [tap.requires_grad_() for tap in taps()]
    chosen = objective(detach_after=0.6)
    module = chosen.build(tracked)
    chosen.loss(module, tracked, column(4, 2, 3, 1), progress).backward()
    assert all((tap.grad is not None and bool(tap.grad.any())) == felt for tap in tracked)
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert module.last.weight.grad.any()


def test_detach_after_one_never_detaches_and_zero_always_does() -> None:
    tracked = [tap.requires_grad_() for tap in taps()]
    for share, felt in ((1.0, True), (0.0, False)):
        objective = RankingObjective(detach_after=share)
        loss = objective.loss(objective.build(tracked), tracked, column(4, 2, 3, 1), 0.999 if felt else 0.0)
        (gradient,) = torch.autograd.grad(loss, tracked[:1], allow_unused=True)
        assert (gradient is not None) == felt


@pytest.mark.parametrize(
    ("objective", "compare"), [(RankingObjective, ranking_loss), (RegressionObjective, regression_loss)]
)
def test_the_weight_is_a_factor(objective: type, compare: object) -> None:
    module, losses = LossNet.for_taps(taps()), column(4, 2, 3, 1)
    expected = 0.25 * number(compare(module(taps()), losses))
    assert number(objective(weight=0.25).loss(module, taps(), losses, 0.0)) == pytest.approx(expected)


def test_margin_and_width_reach_where_they_belong() -> None:
    objective = RankingObjective(margin=3.0, width=5)
    assert objective.build(taps()).branches[0].out_features == 5
    assert number(objective.compare(column(2, 0), column(1, 0))) == pytest.approx(1.0)


@pytest.mark.parametrize("margin", [RANKING, REGRESSION], ids=["ranking", "regression"])
def test_a_trained_module_ranks_losses_that_it_has_not_seen(margin: Margin) -> None:
    margin.check()


@pytest.mark.parametrize("margin", [SHUFFLED, LINEAR], ids=["shuffled losses", "without ReLU"])
def test_that_problem_can_be_failed(margin: Margin) -> None:
    """With shuffled losses there is nothing to learn; without ReLU the module cannot rank an absolute value."""
    margin.check()
