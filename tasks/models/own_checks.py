"""What a user's own model has to do before anything is trained with it. Whatever it does not is one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tasks.base import Outputs, TapModel
from tasks.errors import DataError, require

IMAGES = 2
"""Shown to the model: two, so that what it gives has a row for each."""
TOLERANCE = 1e-3
"""How far the head's output may differ from the model's, as a share of its largest number: sums may round differently."""


def check_own_model(name: str, build: Any, classes: int, pixels: int) -> None:
    """Build a model and run it on two random images in evaluation mode, as prediction does.

    Args:
        name: of the model, for messages.
        build: makes a new one, from the number of classes.
        classes: how many.
        pixels: side of its images.

    Raises:
        DataError: it is no model with taps, has nothing to train or no taps, does not run, gives another shape than one logit
            for each class, or its output is not that of its head.
    """
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        with _one_line(f"build of the model {name}"):
            model = build(classes)
        advice = "return a TappedModel, or another TapModel"
        require(isinstance(model, TapModel), f"build of the model {name} gives {_named(model)}", advice)
        trained = [each for each in model.parameters() if each.requires_grad]
        require(trained, f"the model {name} has no parameter that can be trained", "leave requires_grad on")
        with _one_line(f"the model {name} does not run on {pixels} pixels"):
            outputs = model.eval()(torch.randn(IMAGES, 3, pixels, pixels))
        _check_outputs(name, model, outputs, classes)


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    """Errors of a user's code become a DataError of one line."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - code from outside may raise anything
        text = (str(error).splitlines() or [type(error).__name__])[0][:200]
        msg = f"{what}: {text}"
        raise DataError(msg) from None


def _check_outputs(name: str, model: TapModel, outputs: Outputs, classes: int) -> None:
    """Raise a DataError unless outputs of two images have the parts and shapes that training and prediction rest on."""
    require(isinstance(outputs, Outputs), f"the model {name} gives {_named(outputs)}", "its forward must give Outputs")
    wanted = (IMAGES, classes)
    given = tuple(outputs.raw.shape) if isinstance(outputs.raw, Tensor) else type(outputs.raw).__name__
    require(given == wanted, f"the model {name} gives {given} for {IMAGES} images; {wanted} is wanted")
    require(outputs.raw.isfinite().all(), f"the model {name} gives numbers that are not finite before it is trained")
    for part in ("taps", "features"):
        values = getattr(outputs, part)
        sound = all(isinstance(each, Tensor) and len(each) == IMAGES for each in values)
        require(sound, f"the {part} of the model {name} are not tensors with a row for each image")
    require(
        len(outputs.taps),
        f"the model {name} has no taps, or they do not run",
        "name parts that `lossbench list taps` shows",
    )
    once = "the head must run once, and take its inputs by position"
    require(len(outputs.features), f"the head of the model {name} does not run", once)
    with _one_line(f"the head of the model {name} does not run on what it read ({once})"):
        again = model.head(*outputs.features)
    allowed = TOLERANCE * max(float(outputs.raw.abs().max()), 1.0)
    require(
        isinstance(again, Tensor) and again.shape == wanted and float((again - outputs.raw).abs().max()) <= allowed,
        f"the output of the model {name} is not that of its head",
        "the head must be the last step: training runs it alone",
    )


def _named(value: object) -> str:
    """What `build` gave, for a message."""
    if value is None:
        return "nothing; it has no `return`"
    kind = f"an object of type {type(value).__name__}"
    return f"{kind}, which has no taps" if isinstance(value, nn.Module) else kind
