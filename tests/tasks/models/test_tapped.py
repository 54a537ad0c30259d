"""Any module with named taps and a head, and the file that a user writes for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import MODELS, OWN, own_model_file, protocol_with
from torch import nn

from tasks.errors import DataError
from tasks.kinds import build_task
from tasks.models import outside
from tasks.models.outside import ModelError, load_model_file, own_model
from tasks.models.tapped import TappedModel, as_map


@pytest.fixture(autouse=True)
def _none_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_loaded", {})


def network() -> nn.Module:
    torch.manual_seed(0)
    maps = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    return nn.Sequential(maps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def test_taps_features_and_output_are_those_of_the_module() -> None:
    plain = network()
    model = TappedModel(plain, taps=["0"], head="3")
    images = torch.randn(2, 3, 8, 8)
    (tap,), (feature,), raw, _ = model(images)
    assert torch.equal(tap, plain[0](images))
    assert torch.equal(feature, plain[:3](images))
    assert torch.equal(raw, plain(images))
    assert torch.equal(model.head(feature), raw)
    assert not plain[3]._forward_pre_hooks
    assert sorted(model.state_dict()) == sorted(f"module.{name}" for name in plain.state_dict()), (
        "no weight is there twice"
    )


@pytest.mark.parametrize("names", [(["9"], "3"), (["0"], "head")])
def test_an_unknown_submodule_is_named(names: tuple[list[str], str]) -> None:
    with pytest.raises(AttributeError, match=r"9|head"):
        TappedModel(network(), *names)


def test_maps_tokens_and_vectors_become_maps() -> None:
    maps = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    assert torch.equal(as_map(maps), maps)
    assert torch.equal(as_map(maps.permute(0, 2, 3, 1)), maps)
    tokens = maps.flatten(2).transpose(1, 2)
    for others in (0, 1, 5):  # class and register tokens
        assert torch.equal(as_map(torch.cat([torch.full((2, others, 3), -1.0), tokens], 1)), maps)
    assert torch.equal(as_map(maps[:, :, 0, 0]), maps[:, :, :1, :1])


def test_a_file_is_loaded_once_and_its_content_counts(tmp_path: Path) -> None:
    path = own_model_file(tmp_path)
    load_model_file(path)
    load_model_file(path)
    _, digest = own_model("two-stages")
    assert len(digest) == 64
    path.write_text(OWN + "\n# other content\n", encoding="utf-8")
    with pytest.raises(ModelError, match="the name 'two-stages' is taken"):
        load_model_file(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        ("", "defines 0 models"),
        (OWN + OWN.replace("TwoStages", "Other"), "defines 2 models"),
        (OWN.replace("two-stages", "Two Stages"), "lower-case letters"),
    ],
    ids=["missing", "none", "two", "name"],
)
def test_a_file_without_one_model_is_refused(content: str | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=reason):
        load_model_file(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("nn.Linear(16, outputs)", "nn.Linear(16, 5)"), r"gives \(1, 5\) for one image; \(1, 8\) is wanted"),
        (("nn.Linear(16, outputs)", "nn.Linear(17, outputs)"), "does not run on 32 pixels"),
        (('"1"], head', '"7"], head'), "does not run|no attribute"),
    ],
    ids=["logits", "shape", "tap"],
)
def test_a_model_that_does_not_fit_is_one_line(
    change: tuple[str, str], reason: str, tmp_path: Path, cache: Path
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN.replace(*change), encoding="utf-8")
    load_model_file(path)
    with pytest.raises(DataError, match=reason) as caught:
        build_task(protocol_with(MODELS["own"]).task, cache, cache, torch.device("cpu"))
    assert "\n" not in str(caught.value)


def test_a_model_that_was_not_loaded_is_named(cache: Path) -> None:
    with pytest.raises(ModelError, match="no model 'two-stages'; load its file with --model-file"):
        build_task(protocol_with(MODELS["own"]).task, cache, cache, torch.device("cpu"))
