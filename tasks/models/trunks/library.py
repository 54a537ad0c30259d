"""Classifiers of timm and torchvision by name, with any weights, as trunks that give taps and one vector per image."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn

from lossnet.taps import hooked_taps
from tasks.base import Features
from tasks.errors import DataError, require
from tasks.images.pixels import Colors
from tasks.models.settings import LibrarySettings
from tasks.models.tapped import TOKENS, as_map
from tasks.models.trunks.frozen import Backbone, initial
from tasks.models.weights import digest, load_weights, packaged_file, read_state_dict, renamed

DEFAULT_TAPS = 4
POSITIONS = ("pos_embed", "relative_position", "rel_pos")
"""In the names of a transformer's entries that timm resizes to another number of tokens."""


class LibraryBackbone(Backbone):
    """A classifier of a library without its last layer.

    Default taps: of a convolutional network the last output at each of the four lowest resolutions; of a network with
    one resolution, such as ViT, four evenly spaced blocks.

    Raises:
        DataError: the library is not installed or has no such model, the weights do not fit, or a tap is no submodule.
    """

    def __init__(self, settings: LibrarySettings) -> None:
        super().__init__()
        build = _timm_network if settings.kind == "timm" else _torchvision_network
        self.network, stages, self.colors = build(settings)
        self.tap_names = named_parts(self.network, settings.taps or stages, settings.name)
        self.size = self._measured(settings)
        self.pretrained = settings.weights != "none"

    def fingerprints(self) -> dict[str, str]:
        """That of its weights."""
        return {"weights": digest(self)} if self.pretrained else {}

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[tuple[Tensor, ...], Features]:
        """The taps (n, c, h, w), and the vector (n, d) that the library's own classifier would read."""
        with hooked_taps(self.network, self.tap_names) as taps:
            embedding = self.network(images)
        return tuple(as_map(tap) for tap in taps), (embedding,)

    def _measured(self, settings: LibrarySettings) -> int:
        """The size of the vector, from one image."""
        taps, (embedding,) = _on_a_black_image(self, settings)
        require(
            len(taps) == len(self.tap_names),
            f"a tap of {', '.join(self.tap_names)} does not run in {settings.name}",
            "name other parts in `taps`",
        )
        require(embedding.ndim == 2, f"{settings.name} gives {tuple(embedding.shape)} for an image, not one vector")  # noqa: PLR2004
        return embedding.shape[1]


def named_parts(network: nn.Module, names: Sequence[str], model: str) -> tuple[str, ...]:
    """These names of submodules, all of which a network has; `model` is its name in the message.

    Raises:
        DataError: there is no submodule of such a name.
    """
    modules = dict(network.named_modules())
    for name in names:
        close = ", ".join(difflib.get_close_matches(name, modules, 3)) or "see `lossbench list taps`"
        require(name in modules, f"{model} has no submodule {name!r} for a tap; close names: {close}")
    return tuple(names)


def initial_backbone(settings: LibrarySettings) -> LibraryBackbone:
    """The trunk that a protocol names, in evaluation mode; see `initial`."""
    return initial(partial(LibraryBackbone, settings))


def _timm_network(settings: LibrarySettings) -> tuple[nn.Module, list[str], Colors]:
    timm = _timm(settings.name)
    if not timm.is_model(settings.name):
        close = ", ".join(difflib.get_close_matches(settings.name, timm.list_models(), 3)) or "see timm.list_models()"
        msg = f"timm has no model {settings.name!r}; close names: {close}"
        raise DataError(msg)
    known = timm.get_pretrained_cfg(settings.name) or timm.models.PretrainedCfg()
    options: dict[str, Any] = {"num_classes": 0, "pretrained": settings.weights != "none"}
    if known.fixed_input_size:
        options["img_size"] = settings.pixels
    if settings.weights not in {"none", "hub"}:
        options["pretrained_cfg_overlay"] = {"state_dict": _timm_weights(timm, settings, known)}
    try:
        network = timm.create_model(settings.name, **options)
    except (RuntimeError, OSError, ValueError, IndexError, AssertionError) as error:
        msg = f"the weights of {settings.name} could not be loaded: {' '.join(str(error).split())[:300]}"
        raise DataError(msg) from None
    mean, std = (tuple(255 * value for value in values) for values in (known.mean, known.std))
    return network, _timm_stages(network.feature_info), Colors(mean, std, mean)


def _timm_weights(timm: ModuleType, settings: LibrarySettings, known: Any) -> dict[str, Tensor]:
    """The weights from a file, whose names and shapes are checked; timm may resize positions to another input size."""
    if settings.weights == "package":
        return renamed(read_state_dict(packaged_file("timm", settings.name)), timm.create_model(settings.name))
    file = Path(settings.weights)
    weights = read_state_dict(file)
    resized = POSITIONS if known.fixed_input_size else ()
    load_weights(timm.create_model(settings.name, num_classes=0), weights, file, resized=resized)
    return weights


def _timm(name: str) -> ModuleType:
    if importlib.util.find_spec("timm") is None:
        msg = f"{name} is a model of timm, which is not installed; install it: uv sync --extra pretrained"
        raise DataError(msg)
    import timm  # noqa: PLC0415 - an optional package

    return timm


def _timm_stages(feature_info: Any) -> list[str]:
    """The names of the last four stages, or of four evenly spaced blocks."""
    stages = [feature_info[place] for place in range(len(feature_info))]
    names = [stage["module"] for stage in stages]
    return names[-DEFAULT_TAPS:] if len({stage["reduction"] for stage in stages}) > 1 else _evenly_spaced(names)


def _evenly_spaced(names: Sequence[str]) -> list[str]:
    """Four of the names, the last among them; all where there are fewer."""
    count = min(DEFAULT_TAPS, len(names))
    return [names[(step + 1) * len(names) // count - 1] for step in range(count)]


def _torchvision_network(settings: LibrarySettings) -> tuple[nn.Module, list[str], Colors]:
    names = torchvision.models.list_models(module=torchvision.models)
    if settings.name not in names:
        close = ", ".join(difflib.get_close_matches(settings.name, names, 3)) or "see torchvision.models.list_models()"
        msg = f"torchvision has no classifier {settings.name!r}; close names: {close}"
        raise DataError(msg)
    options: dict[str, Any] = {"weights": "DEFAULT" if settings.weights == "hub" else None}
    if settings.name.startswith("vit_"):
        options["image_size"] = settings.pixels
    if settings.name in {"googlenet", "inception_v3"}:
        options["aux_logits"] = False  # else they give three outputs in training
    try:
        network = torchvision.models.get_model(settings.name, **options)
    except AssertionError as error:
        msg = f"{settings.name} cannot be built for {settings.pixels} pixels: {error}"
        raise DataError(msg) from None
    except (RuntimeError, OSError, ValueError) as error:  # a failed download is an OSError
        msg = f"the weights of {settings.name} could not be loaded: {' '.join(str(error).split())[:300]}"
        raise DataError(msg) from None
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    require(layers, f"{settings.name} ends in no linear classifier, and cannot be used", "choose another model")
    classifier = layers[-1]
    if settings.weights not in {"none", "hub"}:
        file = packaged_file("torchvision", settings.name) if settings.weights == "package" else Path(settings.weights)
        load_weights(network, read_state_dict(file), file, classifier)
    parent, _, last = classifier.rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())
    return network, _stages_by_resolution(network, settings), Colors()


def _stages_by_resolution(network: nn.Module, settings: LibrarySettings) -> list[str]:
    """The last block at each of the four lowest resolutions; four evenly spaced blocks where all have one resolution."""
    sides: dict[str, int] = {}

    def note(name: str, output: object) -> None:
        side = as_map(output).shape[-1] if isinstance(output, Tensor) and output.ndim >= TOKENS else 1
        if 1 < side <= min(sides.values(), default=side):
            sides[name] = side

    handles = [
        network.get_submodule(name).register_forward_hook(lambda _m, _i, output, name=name: note(name, output))
        for name in _blocks(network)
    ]
    try:
        _on_a_black_image(network, settings)
    finally:
        for handle in handles:
            handle.remove()
    last = {side: name for name, side in sides.items()}
    return list(last.values())[-DEFAULT_TAPS:] if len(last) > 1 else _evenly_spaced(list(sides))


def _on_a_black_image(module: nn.Module, settings: LibrarySettings) -> Any:
    """What a module gives for one image, in evaluation mode; a DataError where it does not run."""
    training = module.training
    try:
        with torch.no_grad():
            return module.eval()(torch.zeros(1, 3, settings.pixels, settings.pixels))
    except (RuntimeError, AssertionError, ValueError, TypeError, IndexError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0][:200]
        msg = f"{settings.name} does not run on {settings.pixels} pixels: {text}"
        raise DataError(msg) from None
    finally:
        module.train(training)


def _blocks(network: nn.Module) -> Sequence[str]:
    """The children of the network and of its sequential parts, down to the blocks that these are made of."""
    names: list[str] = []

    def walk(module: nn.Module, prefix: str) -> None:
        for name, child in module.named_children():
            path = f"{prefix}{name}"
            if isinstance(child, nn.Sequential | nn.ModuleList) or (prefix == "" and type(child).__name__ == "Encoder"):
                walk(child, f"{path}.")
            else:
                names.append(path)

    walk(network, "")
    return names
