"""The configs of mmpose from which top-down heatmap models are built, and their weights."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlparse

import torch
import torchvision
from mmengine.config import Config, ConfigDict
from torch import Tensor

from tasks.errors import DataError, require
from tasks.images.pixels import Colors
from tasks.models.openmmlab.topdown import LAST_LAYERS, SHIPPED, TopDownModel
from tasks.models.settings import MmposeSettings
from tasks.models.trunks.library import named_parts
from tasks.models.trust import trusted_config
from tasks.models.weights import load_weights, read_state_dict
from tasks.outside.errors import blaming_config

INITIAL_SEED = 0
UNFIT = (RuntimeError, ValueError, TypeError, AssertionError, AttributeError, LookupError, ImportError)
"""What a config that does not fit raises while its model is built or run."""


class TopDownFactory:
    """Builds the models of one mmpose config.

    Args:
        settings: the protocol's `task.model` table.
        joints: how many heatmaps.

    Raises:
        DataError: the config is missing, not trusted or of another kind of model, its model does not run on squares of
            these pixels or needs an operator or a package that is not installed, or weights do not fit.
    """

    def __init__(self, settings: MmposeSettings, joints: int) -> None:
        self._settings = settings
        self._config = model_config(settings, joints)
        self._weights, weights_digest = _weights(settings, self._config)
        content = json.dumps(self._config.to_dict(), sort_keys=True, default=str)
        self.fingerprints = {"config": hashlib.sha256(content.encode()).hexdigest(), **weights_digest}
        """SHA-256 of the config, and of the file of weights where there is one."""
        with torch.random.fork_rng():
            torch.manual_seed(INITIAL_SEED)
            self.side = self._measured(joints)
        """Height and width of the heatmaps, in cells."""

    @property
    def colors(self) -> Colors:
        """The normalization that the config names, of RGB."""
        mean, std = (self._config.data_preprocessor[name] for name in ("mean", "std"))
        if not self._config.data_preprocessor.get("bgr_to_rgb", False):
            mean, std = mean[::-1], std[::-1]
        return Colors(tuple(mean), tuple(std), tuple(mean))

    def build(self) -> TopDownModel:
        """A new model: random weights are drawn from torch's global generator, others are those of the file."""
        config = self._config.copy()
        config.backbone = ConfigDict({name: value for name, value in config.backbone.items() if name != "init_cfg"})
        model = TopDownModel(config, self._settings.taps)
        if self._weights is None:
            return model.split()
        if self._settings.weights == "hub":
            load_weights(model.backbone, self._weights, config.backbone.type)
        else:
            last = f"decoder.{LAST_LAYERS[config.head.type]}"
            fits = all(
                name in self._weights and self._weights[name].shape == value.shape
                for name, value in model.state_dict().items()
                if name.startswith(f"{last}.")
            )
            load_weights(model, self._weights, self._settings.weights, "" if fits else last)
        return model.split()

    def _measured(self, joints: int) -> int:
        """The side of the heatmaps, from one image."""
        settings = self._settings
        try:
            with torch.no_grad():
                model = self.build().eval()
                named_parts(model, settings.taps or (), settings.config)
                taps, _, raw, _ = model(torch.zeros(1, 3, settings.pixels, settings.pixels))
        except DataError:
            raise
        except NotImplementedError as error:
            msg = f"{settings.config}: {_line(error)}"
            raise DataError(msg) from None
        except UNFIT as error:
            msg = f"the model of {settings.config} cannot be built for {settings.pixels} pixels: {_line(error)}"
            raise DataError(msg) from None
        count = len(settings.taps or taps)
        require(len(taps) == count > 0, f"a tap of {', '.join(settings.taps or ())} does not run before the last layer")
        square = raw.shape[2] == joints and raw.shape[3] == raw.shape[4]
        require(square, f"{settings.config} gives {tuple(raw.shape[2:])}, not square heatmaps of {joints} joints")
        return raw.shape[3]


def model_config(settings: MmposeSettings, joints: int) -> Any:  # mmengine's configs are not typed
    """The table `model` of an mmpose config, for this number of joints and this input.

    Differs from mmpose in that a CPM gets one more layer, a 1x1 convolution of each stage's heatmaps: its own last layers
    are inside its backbone.
    """
    path = trusted_config(settings.config, SHIPPED, "mmpose")
    with blaming_config(path):
        whole: Any = Config.fromfile(path)
    model = whole.get("model", ConfigDict())
    kind, head = model.get("type"), model.get("head", {}).get("type")
    bottom_up = f"it is a {kind}; only a TopdownPoseEstimator, which sees one person, fits here"
    require(kind == "TopdownPoseEstimator", f"{settings.config}: {bottom_up}")
    known = ", ".join(LAST_LAYERS)
    require(head in LAST_LAYERS, f"{settings.config}: a {head} gives no heatmaps that fit here; {known} do")
    require(not model.head.get("use_prm"), f"{settings.config}: MSPN's pose refine machine (use_prm) does not fit here")
    for package in sorted(set(_packages(model))):
        missing = f"it needs the Python package {package}, which is not installed"
        require(importlib.util.find_spec(package) is not None, f"{settings.config}: {missing}")
    model.head.update(out_channels=joints, decoder=None)
    if head == "CPMHead" and model.head.get("final_layer", {}) is None:
        model.head.final_layer = {"kernel_size": 1}
    if head == "MSPNHead":
        share = math.sqrt(math.prod(model.head.out_shape) / math.prod(whole.codec[0].input_size))
        model.head.out_shape = (round(settings.pixels * share),) * 2
    if "img_size" in model.backbone:
        model.backbone.img_size = settings.pixels
    return model


def _packages(value: Any) -> Iterator[str]:
    """The packages that a config takes modules from."""
    if isinstance(value, Mapping):
        name = value.get("type")
        if isinstance(name, str) and "." in name:
            yield name.partition(".")[0]
        if "_scope_" in value:
            yield value["_scope_"]
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _packages(part)


def _weights(settings: MmposeSettings, config: Any) -> tuple[dict[str, Tensor] | None, dict[str, str]]:
    """The tensors under the names of our model, or of its backbone for `hub`; and the SHA-256 of their file, by name."""
    if settings.weights == "none":
        return None, {}
    if settings.weights == "hub":
        start = config.backbone.get("init_cfg") or {}
        start = start if isinstance(start, Mapping) else {}
        path, prefix = _downloaded(start.get("checkpoint") or "", settings.config), start.get("prefix", "")
    else:
        path, prefix = Path(settings.weights), ""
    content = read_state_dict(path)
    digest = {"weights": hashlib.sha256(path.read_bytes()).hexdigest()}
    if settings.weights == "hub":
        return {name.removeprefix(prefix): value for name, value in content.items() if name.startswith(prefix)}, digest
    return {_renamed(name): value for name, value in content.items()}, digest


def _renamed(name: str) -> str:
    """The name of mmpose's entry in our model."""
    return f"decoder.{name.removeprefix('head.')}" if name.startswith("head.") else name


def _downloaded(address: str, config: str) -> Path:
    """The file of a checkpoint, which is downloaded if it is not in torch's cache."""
    parts = urlparse(address)
    if not address or parts.scheme not in {"", "file", "http", "https", "torchvision"}:
        named = f"those of {address}, which are not downloaded here" if address else "none"
        msg = f'{config}: weights = "hub" takes those that the config names for its backbone; it names {named}'
        raise DataError(msg)
    if parts.scheme in {"", "file"}:
        return Path(parts.path)
    if parts.scheme == "torchvision":
        address = torchvision.models.get_model_weights(parts.netloc)["IMAGENET1K_V1"].url
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(address).path).name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(address, str(path), progress=False)
        except (URLError, OSError) as error:
            msg = f"the weights {address} are not cached and could not be downloaded: {_line(error)}"
            raise DataError(msg) from None
    return path


def _line(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300] if str(error) else type(error).__name__
