"""LossNet, its objectives and hooks: hand values, gradients, foreign models, and whether it learns at all."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from loss_margins import LINEAR, RANKING, REGRESSION, SHUFFLED
from margin import Margin
from torch import Tensor, nn
from torchvision.models import resnet18

from lossnet import (
    LossNet,
    RankingObjective,
    RegressionObjective,
    hooked_taps,
    ranking_accuracy,
    ranking_loss,
    regression_loss,
)

OBJECTIVES = (RankingObjective, RegressionObjective)


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def number(value: Tensor) -> float:
    return value.detach().item()


def test_ranking_loss_by_hand() -> None:
    # Pairs (0, 3) and (1, 2). Losses 4 > 1: max(0, 1 - (0.2 - 0.5)) = 1.3. Losses 2 < 3: max(0, 1 + (0.1 - 0.9)) = 0.2.
    assert number(ranking_loss(column(0.2, 0.1, 0.9, 0.5), column(4, 2, 3, 1))) == pytest.approx((1.3 + 0.2) / 2)


def test_pairs_are_mirrored_and_not_neighbors() -> None:
    predicted, losses = column(0, 5, 9, 3), column(0, 1, 2, 3)
    # (0, 3) and (1, 2) stand in order, wider than the margin; of the neighbors, (2, 3) would not.
    assert number(ranking_loss(predicted, losses)) == 0
    assert number(ranking_loss(column(0, 9, 5, 3), losses)) == pytest.approx(5 / 2)


@pytest.mark.parametrize(("gap", "expected"), [(0.25, 1.25), (0.0, 1.0), (-0.25, 0.75), (-2.0, 0.0)])
def test_a_tie_of_losses_counts_as_the_first_being_smaller(gap: float, expected: float) -> None:
    assert number(ranking_loss(column(gap, 0), column(7, 7))) == pytest.approx(expected)


def test_the_margin_is_the_hinge() -> None:
    assert number(ranking_loss(column(2, 0), column(1, 0), margin=2.5)) == pytest.approx(0.5)
    assert number(ranking_loss(column(2, 0), column(1, 0), margin=2.0)) == 0


def test_an_odd_last_item_is_left_out() -> None:
    predicted, losses = column(0.2, 0.1, 0.9, 0.5, 123.0), column(4, 2, 3, 1, -50)
    assert number(ranking_loss(predicted, losses)) == pytest.approx(0.75)
    losses[4] = math.nan
    assert number(ranking_loss(predicted, losses)) == pytest.approx(0.75)


@pytest.mark.parametrize("count", [0, 1])
def test_without_a_pair_the_loss_is_zero_and_still_has_a_gradient(count: int) -> None:
    predicted = torch.full((count,), 3.0, requires_grad=True)
    loss = ranking_loss(predicted, torch.ones(count))
    loss.backward()
    assert number(loss) == 0
    assert predicted.grad is not None
    assert not predicted.grad.any()


@pytest.mark.parametrize("compare", [ranking_loss, regression_loss])
def test_gradients_flow_into_the_predictions_only(compare: object) -> None:
    predicted, losses = column(0.2, 0.1, 0.9, 0.5).requires_grad_(), column(4, 2, 3, 1).requires_grad_()
    compare(predicted, losses * 2).backward()
    assert predicted.grad.any()
    assert losses.grad is None


def test_the_gradient_by_hand() -> None:
    predicted = column(0.2, 0.1, 0.9, 0.5).requires_grad_()
    ranking_loss(predicted, column(4, 2, 3, 1)).backward()
    # Up where the loss is the larger one of its pair, half a unit each.
    assert predicted.grad.tolist() == [-0.5, 0.5, -0.5, 0.5]


def test_regression_loss_by_hand() -> None:
    assert number(regression_loss(column(1, 2), column(3, 2.5))) == pytest.approx((4 + 0.25) / 2)


LOSSES = column(0.1, 0.4, 0.2, 3.0, 1.0)


@pytest.mark.parametrize(
    ("predicted", "losses", "expected"),
    [
        (LOSSES * 100 - 7, LOSSES, 1.0),
        (-LOSSES, LOSSES, 0.0),
        (torch.zeros(5), LOSSES, 0.5),
        (column(1, 2, 3), column(1, 1, 2), 1.0),  # the tied pair is left out
        (column(2, 2, 3), column(1, 2, 3), 2.5 / 3),  # a tied prediction is half right
        (column(1, 3, 2), column(1, 2, 3), 2 / 3),
    ],
)
def test_ranking_accuracy_by_hand(predicted: Tensor, losses: Tensor, expected: float) -> None:
    assert ranking_accuracy(predicted, losses) == pytest.approx(expected)


@pytest.mark.parametrize("losses", [[], [1.0], [2.0, 2.0, 2.0]])
def test_without_a_decided_pair_there_is_no_accuracy(losses: list[float]) -> None:
    assert math.isnan(ranking_accuracy(torch.arange(float(len(losses))), column(*losses)))


SMALL = st.integers(-3, 3).map(float)


@given(arrays.arrays(np.float32, st.tuples(st.just(2), st.integers(2, 9)), elements=SMALL))
def test_ranking_accuracy_equals_counting_pairs(values: np.ndarray) -> None:
    predicted, losses = values
    scores = [
        0.5 if predicted[i] == predicted[j] else float((predicted[i] > predicted[j]) == (losses[i] > losses[j]))
        for i, j in combinations(range(len(losses)), 2)
        if losses[i] != losses[j]
    ]
    found = ranking_accuracy(torch.from_numpy(predicted), torch.from_numpy(losses))
    assert found == pytest.approx(np.mean(scores)) if scores else math.isnan(found)


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


IMAGES = torch.arange(2 * 3 * 32 * 32, dtype=torch.float32).view(2, 3, 32, 32) / 3000
STAGES = ["layer1", "layer2", "layer3", "layer4"]


@pytest.fixture(scope="module")
def foreign() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return resnet18(num_classes=4).eval()


def hooks(model: nn.Module) -> int:
    return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in model.modules())


def test_taps_come_in_the_order_of_their_names(foreign: nn.Module) -> None:
    with torch.no_grad(), hooked_taps(foreign, STAGES) as found:
        foreign(IMAGES)
        assert [tap.shape[1] for tap in found] == [64, 128, 256, 512]
    with torch.no_grad(), hooked_taps(foreign, ["fc", "layer4.1.bn2", "layer1"]) as found:
        logits = foreign(IMAGES)
        assert [tap.shape[1] for tap in found] == [4, 512, 64]
        assert torch.equal(found[0], logits)


def test_every_pass_refills_the_taps(foreign: nn.Module) -> None:
    with torch.no_grad(), hooked_taps(foreign, STAGES) as found:
        foreign(IMAGES)
        first = list(found)
        foreign(IMAGES + 1)
        assert len(found) == 4
        assert not any(torch.equal(one, other) for one, other in zip(first, found, strict=True))
        foreign(IMAGES)
        assert all(torch.equal(one, other) for one, other in zip(first, found, strict=True))


def test_hooks_are_gone_after_the_block_and_after_an_error(foreign: nn.Module) -> None:
    with hooked_taps(foreign, STAGES):
        assert hooks(foreign) == 5
    assert hooks(foreign) == 0
    with pytest.raises(ZeroDivisionError), hooked_taps(foreign, STAGES):
        raise ZeroDivisionError
    assert hooks(foreign) == 0


def test_an_unknown_name_is_refused_and_leaves_no_hook(foreign: nn.Module) -> None:
    with pytest.raises(AttributeError, match="layer9"), hooked_taps(foreign, ["layer1", "layer9"]):
        pass
    assert hooks(foreign) == 0


class Twice(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


def test_a_tap_that_is_no_tensor_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), Twice())
    with hooked_taps(model, ["0", "1"]), pytest.raises(TypeError, match="'1' is a tuple"):
        model(IMAGES)


@pytest.mark.parametrize("margin", [RANKING, REGRESSION], ids=["ranking", "regression"])
def test_a_trained_module_ranks_losses_that_it_has_not_seen(margin: Margin) -> None:
    margin.check()


@pytest.mark.parametrize("margin", [SHUFFLED, LINEAR], ids=["shuffled losses", "without ReLU"])
def test_that_problem_can_be_failed(margin: Margin) -> None:
    """With shuffled losses there is nothing to learn; without ReLU the module cannot rank an absolute value."""
    margin.check()


def test_a_name_given_twice_is_a_tap_twice() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with hooked_taps(model, ["0", "0"]) as taps:
        model(torch.ones(1, 2))
        assert len(taps) == 2
        assert taps[0] is taps[1]
