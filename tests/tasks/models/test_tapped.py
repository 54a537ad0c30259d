"""Any module with named taps and a head, and the file that a user writes for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import MODELS, OWN, own_model_file, protocol_with
from torch import nn

from lossbench.diagnosis.taps import candidates
from tasks.base import Outputs
from tasks.errors import DataError
from tasks.kinds import build_task
from tasks.models import outside
from tasks.models.outside import ModelError, load_model_file, own_model
from tasks.models.tapped import TappedModel, as_map
from tasks.outside.errors import OutsideError


@pytest.fixture(autouse=True)
def _none_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_loaded", {})


RETURN = 'return TappedModel(network, taps=["0", "1"], head="3")'


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


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 4, 5, 3)])
def test_a_map_that_is_not_square_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="a tap gives"):
        as_map(torch.zeros(shape))


def test_parts_are_listed_by_the_names_that_taps_take(cache: Path, tmp_path: Path) -> None:
    load_model_file(own_model_file(tmp_path))
    for kind, part in (("own", "0.0"), ("timm ResNet", "layer1")):
        task = build_task(protocol_with(MODELS[kind]).task, cache, cache, torch.device("cpu"))
        names = [each.name for each in candidates(task)]
        assert part in names
        assert not [name for name in names if name.startswith(("module", "backbone", "head"))]
    chosen = protocol_with(MODELS["timm ResNet"] | {"taps": ["layer1"]})
    build_task(chosen.task, cache, cache, torch.device("cpu"))


def test_embeddings_of_a_head_that_reads_maps_are_their_means(cache: Path) -> None:
    task = build_task(protocol_with(MODELS["timm ResNet"]).task, cache, cache, torch.device("cpu"))
    maps = torch.rand(2, 3, 4, 4)
    for features in (maps, maps.flatten(2).transpose(1, 2)):
        found = task.unlabeled.embed(Outputs((), (features,), maps))
        torch.testing.assert_close(found, maps.mean((2, 3)))


def test_a_class_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        OWN.replace("    def build", "    def __init__(self, depth):\n        self.depth = depth\n\n    def build")
    )
    with pytest.raises(OutsideError, match=r"mine\.py.*depth"):
        load_model_file(path)
    with pytest.raises(ModelError, match="a folder; --model-file takes"):
        load_model_file(tmp_path)


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
        (("nn.Linear(16, outputs)", "nn.Linear(16, 5)"), r"gives \(2, 5\) for 2 images; \(2, 8\) is wanted"),
        (("nn.Linear(16, outputs)", "nn.Linear(17, outputs)"), "does not run on 32 pixels"),
        (('"1"], head', '"7"], head'), "build of the model two-stages: .*no attribute"),
        (
            (RETURN, "return network"),
            "build of the model two-stages gives an object of type Sequential, which has no taps",
        ),
        ((RETURN, "network"), "gives nothing; it has no `return`"),
        ((RETURN, "return outputs"), "gives an object of type int; return a TappedModel"),
        ((RETURN, "raise ValueError"), "build of the model two-stages: ValueError$"),
        (('taps=["0", "1"]', "taps=[]"), "has no taps, or they do not run"),
        (('taps=["0", "1"]', 'taps=["0", "3"]'), "the tap '3' is not before the head '3'; name parts before it"),
        (
            ("nn.Linear(16, outputs))", "nn.Linear(16, outputs), nn.Softmax(1))"),
            "its output is not that|is not that of its head",
        ),
        (('head="3"', 'head="2"'), "is not that of its head; the head must be the last step"),
        ((RETURN, "network.requires_grad_(False)\n        " + RETURN), "no parameter that can be trained"),
        (
            (RETURN, 'return TappedModel(nn.Sequential(network, nn.Linear(1, 1)), taps=["0"], head="1")'),
            "does not run",
        ),
        (
            (
                "stride=2, padding=1), nn.ReLU())\n        second",
                "stride=(2, 1), padding=1), nn.ReLU())\n        second",
            ),
            r"a tap gives \(8, 16, 32\) for an image",
        ),
    ],
    ids=[
        "logits",
        "shape",
        "tap",
        "no taps",
        "no return",
        "number",
        "error",
        "none",
        "inside",
        "softmax",
        "other head",
        "frozen",
        "no run",
        "map",
    ],
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
