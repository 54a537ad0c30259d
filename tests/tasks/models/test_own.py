"""A user's own model in every kind of task: its output, its frozen trunk, and what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_detectors
import torch
from tiny_models import MODELS, POSE_MODELS, SEGMENTATION_MODELS, own_model_file, own_source, protocol_with

from lossbench.diagnosis.taps import candidates
from tasks.base import Task
from tasks.errors import DataError
from tasks.images.pixels import Colors, Pixels
from tasks.kinds import build_task
from tasks.models import outside
from tasks.models.outside import load_model_file
from tasks.models.settings import OwnModelSettings
from tasks.models.trunks.own import OwnNetwork
from tasks.training.step import batch_loss

KINDS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "classification": MODELS,
    "segmentation": SEGMENTATION_MODELS,
    "pose": POSE_MODELS,
    "detection": tiny_detectors.MODELS,
}
SOME = np.array([3, 40, 7])


@pytest.fixture(autouse=True)
def _none_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_loaded", {})


def built(kind: str, source: str, folder: Path, **changes: object) -> Task[Any, Any]:
    """The tiny task of a kind with the model of a file."""
    folder.mkdir(exist_ok=True)
    path = folder / "mine.py"
    path.write_text(source, encoding="utf-8")
    outside._loaded.clear()
    load_model_file(path)
    model = {**KINDS[kind]["own"], **changes}
    return build_task(protocol_with(model, kind).task, folder, folder, torch.device("cpu"))


def seeded(kind: str, seed: int) -> str:
    """The file, with weights of its own instead of random ones."""
    source = own_source(kind).replace("        first =", f"        torch.manual_seed({seed})\n        first =")
    return source.replace("from torch import nn", "import torch\nfrom torch import nn")


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_trunk_gives_what_the_trained_one_would(kind: str, tmp_path: Path) -> None:
    whole = built(kind, seeded(kind, 1), tmp_path)
    frozen = built(kind, seeded(kind, 1), tmp_path, freeze=True, trunk_precision="fp32")
    model, after_trunk = whole.build_model().eval(), frozen.build_model().eval()
    for part in {"neck", "head"} & dict(after_trunk.named_children()).keys():
        after_trunk.get_submodule(part).load_state_dict(getattr(model, part).state_dict())
    with torch.no_grad():
        one, other = model(whole.unlabeled.inputs(SOME)), after_trunk(frozen.unlabeled.inputs(SOME))
    for ours, theirs in zip(_tensors(one.raw), _tensors(other.raw), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=2e-3, atol=2e-3)
    for ours, theirs in zip(one.taps, other.taps, strict=True):
        torch.testing.assert_close(theirs, ours.mean((2, 3), keepdim=True), rtol=2e-3, atol=2e-3)
    assert len(list(after_trunk.parameters())) < len(list(model.parameters()))


def _tensors(raw: Any) -> list[torch.Tensor]:
    return [raw] if isinstance(raw, torch.Tensor) else list(raw)


@pytest.mark.parametrize("kind", KINDS)
def test_other_weights_are_another_trunk(kind: str, tmp_path: Path) -> None:
    weights = [built(kind, seeded(kind, seed), tmp_path, freeze=True).fingerprints["weights"] for seed in (1, 2, 1)]
    assert weights[0] != weights[1]
    assert weights[0] == weights[2]
    assert built(kind, seeded(kind, 1), tmp_path).fingerprints["weights"] == weights[0], (
        "also where training changes them"
    )
    assert "weights" not in built(kind, own_source(kind), tmp_path).fingerprints, (
        "they are drawn anew for each training"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_frozen_trunk_embeds_before_training(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="random weights"):
        built(kind, own_source(kind), tmp_path).pretrained_model()
    task = built(kind, own_source(kind), tmp_path, freeze=True)
    with torch.no_grad():
        outputs = task.pretrained_model().eval()(task.unlabeled.inputs(SOME))
    assert task.unlabeled.embed(outputs).shape == (len(SOME), 16)


@pytest.mark.parametrize("kind", KINDS)
def test_its_parts_are_listed_by_the_names_of_the_file(kind: str, tmp_path: Path) -> None:
    names = [part.name for part in candidates(built(kind, own_source(kind), tmp_path))]
    assert {"0", "0.0", "1"} <= set(names)


@pytest.mark.parametrize("freeze", [False, True])
def test_loaded_weights_of_the_head_and_tied_ones_are_known(freeze: bool, tmp_path: Path) -> None:
    """Training starts from them, or the trunk reads them."""
    source = own_source("classification").replace("from torch import nn", "import torch\nfrom torch import nn")
    loaded = source.replace(
        "        return",
        "        nn.init.constant_(network[3].weight, 0.1)\n        network[3].weight.data[0, 0] = SEED\n        return",
    )
    tied = source.replace("nn.Conv2d(8, 16, 3, stride=2, padding=1)", "nn.Conv2d(8, 16, 1, stride=4)").replace(
        "        return",
        "        first[0] = nn.Conv2d(3, 8, 4, stride=2)\n        first[0].weight.data = torch.linspace(0, SEED, 384).view(8, 3, 4, 4)\n"
        "        network[3] = nn.Linear(16, outputs)\n        network[3].register_parameter('again', first[0].weight)\n        return",
    )
    for each in (loaded, tied):
        found = [
            built("classification", each.replace("SEED", seed), tmp_path, freeze=freeze).fingerprints for seed in "12"
        ]
        assert found[0]["weights"] != found[1]["weights"]


def test_rows_of_a_trunk_that_reads_more_than_its_file_says_are_not_taken_for_its_own(tmp_path: Path) -> None:
    source = (
        own_source("classification")
        .replace(
            "class TwoStages",
            "from pathlib import Path\n\nclass Scaled(nn.Module):\n    def forward(self, x):\n"
            f"        return x * float(Path({str(tmp_path / 'scale')!r}).read_text())\n\n\nclass TwoStages",
        )
        .replace("first = nn.Sequential(", "first = nn.Sequential(Scaled(), ")
    )
    (tmp_path / "scale").write_text("1")
    built("classification", source, tmp_path, freeze=True)
    built("classification", source, tmp_path, freeze=True)
    (tmp_path / "scale").write_text("1.5")
    with pytest.raises(DataError, match=r"gives other features than when they were stored.*; remove "):
        built("classification", source, tmp_path, freeze=True)


@pytest.mark.parametrize("layer", ["nn.BatchNorm2d(8, track_running_stats=False)", "Chance()"])
def test_a_trunk_whose_rows_are_not_of_single_images_cannot_be_frozen(layer: str, tmp_path: Path) -> None:
    chance = "class Chance(nn.Module):\n    def forward(self, x):\n        return nn.functional.dropout(x)\n\n\nclass TwoStages"
    source = own_source("classification").replace("class TwoStages", chance)
    source = source.replace("padding=1), nn.ReLU())", f"padding=1), nn.ReLU(), {layer})", 1)
    with pytest.raises(DataError, match="depends on the others in its batch, or on chance; set freeze = false"):
        built("classification", source, tmp_path, freeze=True)
    assert not list(tmp_path.rglob("features/*/*"))


def test_a_frozen_trunk_may_be_made_once(tmp_path: Path) -> None:
    source = own_source("classification").replace("        second =", "        second = self.second\n        _ =")
    source = source.replace(
        "    def build",
        "    second = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU())\n\n    def build",
    )
    assert built("classification", source, tmp_path, freeze=True)
    with pytest.raises(DataError, match="gives the same layers twice"):
        built("classification", source, tmp_path)


def test_default_settings_of_a_model_are_not_in_its_records() -> None:
    """So that records of before these settings go on."""
    assert OwnModelSettings.model_validate(MODELS["own"]).model_dump(mode="json") == MODELS["own"]


def test_stored_rows_are_of_one_normalization(tmp_path: Path) -> None:
    load_model_file(own_model_file(tmp_path))
    settings = OwnModelSettings.model_validate(MODELS["own, frozen"])
    network = OwnNetwork(settings, 8, (8,))
    squares = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    rows = [
        network.freeze(Pixels(squares, 32, colors), tmp_path) for colors in (Colors(), Colors(mean=(0.0, 0.0, 0.0)))
    ]
    assert not torch.equal(rows[0].rows(np.arange(4)), rows[1].rows(np.arange(4)))


def test_a_head_runs_once_in_a_training_step(tmp_path: Path) -> None:
    source = own_source("segmentation").replace(CONVOLUTION, f"nn.Sequential(nn.BatchNorm2d(16), {CONVOLUTION})")
    task = built("segmentation", source, tmp_path)
    model = task.build_model().train()
    batch_loss(task, model, task.unlabeled.inputs(SOME), task.targets(SOME))
    assert int(model.head[0].num_batches_tracked) == 1


def test_a_frozen_trunk_may_ask_for_no_gradients(tmp_path: Path) -> None:
    source = own_source("detection").replace("        return", "        network.requires_grad_(False)\n        return")
    for freeze in (False, True):
        assert built("detection", source, tmp_path, freeze=freeze).build_model()
    source = own_source("pose").replace("        return", "        network[:2].requires_grad_(False)\n        return")
    assert built("pose", source, tmp_path, freeze=True).build_model()


CONVOLUTION = "nn.Conv2d(16, outputs, 1)"


@pytest.mark.parametrize(
    ("kind", "old", "new", "reason"),
    [
        (
            "pose",
            "nn.Unflatten(1, (1, outputs))",
            "nn.Identity()",
            r"\(2, 16, 8, 8\) for 2 images; \(2, stacks, 16, h, h\) is",
        ),
        ("pose", "(1, outputs)", "(2, outputs // 2)", r"\(2, 2, 8, 8, 8\) for 2 images"),
        ("segmentation", "16, outputs, 1", "16, 2, 1", r"\(2, 2, 8, 8\) for 2 images; \(2, 9, h, h\) is wanted"),
        ("segmentation", CONVOLUTION, f"nn.Sequential({CONVOLUTION}, nn.AvgPool2d((2, 1)))", r"\(2, 9, 4, 8\) for 2"),
        ("segmentation", ', head="2"', "", 'names no head; give TappedModel the name of its last step: head="..."'),
        ("classification", ', head="3"', "", "names no head; give TappedModel"),
        (
            "detection",
            'taps=["0", "1"]',
            'taps=["1"]',
            "2 levels of a trunk with 1 taps; lower levels or name more taps",
        ),
        ("detection", 'taps=["0", "1"]', "taps=[]", "has no taps, or they do not run"),
        ("detection", "16, 3, stride=2", "17, 3, stride=(2, 1)", r"a tap gives \(17, 8, 16\) for an image"),
        ("detection", "nn.Conv2d(8, 16", "nn.Conv2d(9, 16", "does not run on 32 pixels"),
    ],
)
def test_a_model_that_does_not_fit_its_kind_is_one_line(
    kind: str, old: str, new: str, reason: str, tmp_path: Path
) -> None:
    source = own_source(kind)
    assert old in source
    with pytest.raises(DataError, match=reason) as caught:
        built(kind, source.replace(old, new), tmp_path)
    assert "\n" not in str(caught.value)


LAST = "nn.Linear(16, outputs)"
MODULE = "class Last(nn.Module):\n    def __init__(self, outputs):\n        super().__init__()\n        self.a = nn.Linear(16, outputs)\n\n"


@pytest.mark.parametrize(
    ("changes", "freeze", "reason"),
    [
        (
            {
                "        first =": "        self.kept = getattr(self, 'kept', None) or nn.Conv2d(3, 8, 3, stride=2, padding=1)\n        first =",
                "nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU())": "self.kept, nn.ReLU())",
            },
            False,
            "gives the same layers twice",
        ),
        ({LAST: "nn.LazyLinear(outputs)"}, False, "has layers without shapes; give their sizes"),
        (
            {
                "nn.AdaptiveAvgPool2d(1), nn.Flatten()": "Flat()",
                LAST: "nn.Linear(1024, outputs)",
                "class TwoStages": "class Flat(nn.Module):\n    def forward(self, x):\n        return x.view(len(x), -1)\n\n\nclass TwoStages",
            },
            False,
            "does not run on 32 pixels: view size is not compatible",
        ),
        (
            {f"pooled, {LAST}": f"{LAST}, pooled", LAST: "nn.Conv2d(16, outputs, 1)"},
            True,
            "the head of the model two-stages has no parameter",
        ),
        (
            {
                LAST: f"{LAST}.double()",
                "nn.Flatten()": "nn.Flatten(), Double()",
                "class TwoStages": "class Double(nn.Module):\n    def forward(self, x):\n        return x.double()\n\n\nclass TwoStages",
            },
            True,
            "does not run on stored features, which are fp32",
        ),
        (
            {
                LAST: "Last(outputs)",
                "class TwoStages": MODULE
                + "    def forward(self, x):\n        return self.a(x.float())\n\n\nclass TwoStages",
                "nn.Flatten()": "nn.Flatten(), Whole()",
                "from tasks": "class Whole(nn.Module):\n    def forward(self, x):\n        return (100 * x).long()\n\n\nfrom tasks",
            },
            True,
            "reads what cannot be stored",
        ),
        (
            {
                "first, second, pooled, nn.Linear(16, outputs)": "first, second, nn.Sequential(pooled, nn.Linear(16, outputs))",
                'taps=["0", "1"], head="3"': 'taps=["0", "2"], head="2.1"',
            },
            False,
            "the tap '2' is not before the head '2.1'",
        ),
        (
            {
                LAST: "Last(outputs)",
                "nn.AdaptiveAvgPool2d(1), nn.Flatten()": "nn.Identity()",
                "class TwoStages": MODULE
                + "    def forward(self, x):\n        n, c, h, w = x.shape\n        x = x.contiguous() if x.shape[1] * h * w == x.stride(0) else x\n        return self.a(x.view(n * c * h * w).view(n, c, -1).mean(2))\n\n\nclass TwoStages",
            },
            True,
            "does not run on stored features",
        ),
    ],
    ids=["same layers", "lazy", "view", "nothing to train", "double", "integers", "holds", "rows"],
)
def test_what_training_could_not_do_is_said_before(
    changes: dict[str, str], freeze: bool, reason: str, tmp_path: Path
) -> None:
    source = own_source("classification")
    for old, new in changes.items():
        assert old in source
        source = source.replace(old, new, 1)
    with pytest.raises(DataError, match=reason) as caught:
        built("classification", source, tmp_path, freeze=freeze)
    assert "\n" not in str(caught.value)


def test_a_head_that_ssd_replaces_may_stay(tmp_path: Path) -> None:
    """The file of a classifier also serves detection."""
    task = built("detection", own_source("classification").replace('"two-stages"', '"two-stages-detection"'), tmp_path)
    taps = task.build_model()(task.unlabeled.inputs(SOME)).taps
    assert [tap.shape[1:] for tap in taps] == [(8, 16, 16), (16, 8, 8)]


def test_several_stacks_are_several_heatmaps_for_each_joint(tmp_path: Path) -> None:
    source = own_source("pose").replace("nn.Conv2d(16, outputs, 1)", "nn.Conv2d(16, 2 * outputs, 1)")
    task = built("pose", source.replace("(1, outputs)", "(2, outputs)"), tmp_path)
    outputs = task.build_model()(task.unlabeled.inputs(SOME))
    assert outputs.raw.shape == (len(SOME), 2, 16, 8, 8)
    assert task.unlabeled.losses(outputs.raw, task.targets(SOME)).shape == (len(SOME),)
