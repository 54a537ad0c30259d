"""Top-down heatmap models of mmpose, built from its configs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmpose is imported

import mmpose
import torch
from jaxtyping import Float
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from mmpose.models.heads.heatmap_heads.mspn_head import PredictHeatmap
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from lossnet.taps import hooked_taps
from tasks.base import Features, TapModel
from tasks.models.tapped import as_map

SHIPPED = Path(mmpose.__file__).parent / ".mim/configs"
"""The configs that mmpose ships."""
LAST_LAYERS = {
    "HeatmapHead": "final_layer",
    "ViPNASHead": "final_layer",
    "CPMHead": "multi_final_layers",
    "MSPNHead": "predict_layers",
}
"""The heads that give heatmaps, and the name of what computes these from the features."""


class LastLayers(nn.Module):
    """The head: the last layer of every stack, where mmpose's head has several."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, *features: Tensor) -> Float[Tensor, "n s j h w"]:
        """The heatmaps of all s stacks."""
        return torch.stack([layer(maps) for layer, maps in zip(self.layers, features, strict=True)], 1)


class EnlargedHeatmap(nn.Module):
    """The end of MSPN's prediction: its last convolution, and the heatmap enlarged."""

    def __init__(self, convolution: nn.Module, sides: tuple[int, int]) -> None:
        super().__init__()
        self.convolution, self._sides = convolution, sides

    def forward(self, maps: Tensor) -> Float[Tensor, "n j h w"]:
        """The heatmaps of one stack."""
        return functional.interpolate(self.convolution(maps), self._sides, mode="bilinear", align_corners=True)


class TopDownModel(TapModel):
    """The backbone, neck and head of an mmpose model, whose head's last layer is the head here.

    Its taps are the maps that mmpose's head reads, unless others are named; its features are what the last layer reads,
    of every stack where there are several.

    Args:
        config: the table `model` of an mmpose config, see `tasks.models.openmmlab.topdown_config`.
        taps: names of submodules whose outputs are the taps, or None.
    """

    head: LastLayers

    def __init__(self, config: Any, taps: Sequence[str] | None) -> None:  # mmengine's configs are not typed
        super().__init__()
        init_default_scope("mmpose")
        parts = [
            MODELS.build(config[part]) if config.get(part) else nn.Identity() for part in ("backbone", "neck", "head")
        ]
        self.backbone, self.neck, self.decoder = parts
        self._last = LAST_LAYERS[config.head.type]
        self._bgr = not config.data_preprocessor.get("bgr_to_rgb", False)
        self._tap_names = taps
        for part in parts:
            if isinstance(part, BaseModule):
                part.init_weights()

    def split(self) -> TopDownModel:
        """Make the last layers the head: afterwards mmpose's head ends before them. To be called once, after weights are loaded."""
        last = getattr(self.decoder, self._last)
        if isinstance(last, nn.ModuleList):
            self.head = LastLayers([_taken(last, place) for place in range(len(last))])
        else:
            setattr(self.decoder, self._last, nn.Identity())
            self.head = LastLayers([last])
        return self

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The taps, and what the last layer of each stack reads."""
        with hooked_taps(self, self._tap_names or ()) as taps:
            read = self.neck(self.backbone(images.flip(1) if self._bgr else images))
            features = self.decoder(read)
        chosen = taps if self._tap_names else _tensors(read)
        return tuple(as_map(tap) for tap in chosen), tuple(_tensors(features))


def _taken(layers: nn.ModuleList, place: int) -> nn.Module:
    """The last layer of a stack, in whose place another is put that leaves the features as they are."""
    layer = layers[place]
    if isinstance(layer, PredictHeatmap):
        layers[place] = layer.conv_layers[0]
        return EnlargedHeatmap(layer.conv_layers[1], layer.out_shape)
    layers[place] = nn.Identity()
    return layer


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of nested lists, in order."""
    if isinstance(value, Tensor):
        yield value
    else:
        for part in value:
            yield from _tensors(part)
