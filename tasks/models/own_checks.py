"""What a user's own model has to do before anything is trained with it. Whatever it does not is one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tasks.base import Outputs, TapModel
from tasks.errors import DataError, require
from tasks.models.settings import OwnModelSettings
from tasks.models.tapped import MAPS

IMAGES = 2
"""Shown to the model: two, so that what it gives has a row for each."""
TOLERANCE = 1e-3
"""How far the head's output may differ from the model's, as a share of its largest number: sums may round differently."""
Shape = tuple[int | str, ...]
"""Of the output for one image: numbers, and names of numbers that are the model's choice; equal names are equal numbers."""


def checked_shape(
    settings: OwnModelSettings, build: Callable[[int], TapModel], outputs: int, shape: Shape
) -> tuple[int, ...]:
    """Build a model and run it on two random images in evaluation mode, as prediction does.

    Args:
        settings: the protocol's `task.model` table.
        build: makes a new one, from how many numbers it predicts.
        outputs: how many.
        shape: of its output for one image.

    Returns:
        The shape of its output for one image.

    Raises:
        DataError: it is no model with taps, has nothing to train or no taps, does not run, gives another shape, or its output is
            not that of its head.
    """
    name = settings.name
    with _tried(settings, build, outputs) as (model, images):
        with _one_line(f"the model {name} does not run on {settings.pixels} pixels"):
            given = model(images)
        require(isinstance(given, Outputs), f"the model {name} gives {_named(given)}", "its forward must give Outputs")
        _check_taps(name, given.taps)
        _check_raw(name, given.raw, shape)
        _check_head(name, model, given)
        return tuple(given.raw.shape[1:])


def check_own_trunk(settings: OwnModelSettings, build: Callable[[int], TapModel], outputs: int) -> None:
    """The same of a model that is read at its taps alone; it may have no head.

    Args:
        settings: the protocol's `task.model` table.
        build: makes a new one, from how many numbers it predicts.
        outputs: how many.

    Raises:
        DataError: it is no model with taps, has nothing to train or no taps, or does not run.
    """
    with _tried(settings, build, outputs) as (model, images):
        with _one_line(f"the model {settings.name} does not run on {settings.pixels} pixels"):
            taps, _ = model.trunk(images)
        _check_taps(settings.name, taps)


@contextmanager
def _tried(
    settings: OwnModelSettings, build: Callable[[int], TapModel], outputs: int
) -> Iterator[tuple[TapModel, Tensor]]:
    """A new model in evaluation mode, and random images; torch's generator is left as it was."""
    name = settings.name
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        with _one_line(f"build of the model {name}"):
            model = build(outputs)
        advice = "return a TappedModel, or another TapModel"
        require(isinstance(model, TapModel), f"build of the model {name} gives {_named(model)}", advice)
        trained = [each for each in model.parameters() if each.requires_grad]
        require(trained, f"the model {name} has no parameter that can be trained", "leave requires_grad on")
        yield model.eval(), torch.randn(IMAGES, 3, settings.pixels, settings.pixels)


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


def _check_taps(name: str, taps: tuple[Tensor, ...]) -> None:
    """Raise a DataError unless there are taps, and all are maps."""
    sound = all(isinstance(tap, Tensor) and tap.ndim == MAPS and len(tap) == IMAGES for tap in taps)
    require(sound, f"the taps of the model {name} are not maps with a row for each image")
    require(
        len(taps), f"the model {name} has no taps, or they do not run", "name parts that `lossbench list taps` shows"
    )


def _check_raw(name: str, raw: object, shape: Shape) -> None:
    """Raise a DataError unless the output of two images has a shape, and is finite."""
    given = tuple(raw.shape) if isinstance(raw, Tensor) else type(raw).__name__
    wanted = f"({', '.join(str(each) for each in (IMAGES, *shape))})"
    fits = isinstance(raw, Tensor) and _has_shape(tuple(raw.shape[1:]), shape) and len(raw) == IMAGES
    require(fits, f"the model {name} gives {given} for {IMAGES} images; {wanted} is wanted")
    require(
        isinstance(raw, Tensor) and raw.isfinite().all(),
        f"the model {name} gives numbers that are not finite before it is trained",
    )


def _has_shape(given: tuple[int, ...], shape: Shape) -> bool:
    if len(given) != len(shape):
        return False
    known: dict[str, int] = {}
    return all(
        number == (each if isinstance(each, int) else known.setdefault(each, number))
        for number, each in zip(given, shape, strict=True)
    )


def _check_head(name: str, model: TapModel, outputs: Outputs) -> None:
    """Raise a DataError unless the head's output on the features is the model's."""
    require(
        hasattr(model, "head"),
        f"the model {name} names no head",
        'give TappedModel the name of its last step: head="..."',
    )
    sound = all(isinstance(each, Tensor) and len(each) == IMAGES for each in outputs.features)
    require(sound, f"the features of the model {name} are not tensors with a row for each image")
    once = "the head must run once, and take its inputs by position"
    require(len(outputs.features), f"the head of the model {name} does not run", once)
    with _one_line(f"the head of the model {name} does not run on what it read ({once})"):
        again = model.head(*outputs.features)
    allowed = TOLERANCE * max(float(outputs.raw.abs().max()), 1.0)
    same = isinstance(again, Tensor) and again.shape == outputs.raw.shape
    require(
        same and float((again - outputs.raw).abs().max()) <= allowed,
        f"the output of the model {name} is not that of its head",
        "the head must be the last step: training runs it alone",
    )


def _named(value: object) -> str:
    """What `build` gave, for a message."""
    if value is None:
        return "nothing; it has no `return`"
    kind = f"an object of type {type(value).__name__}"
    return f"{kind}, which has no taps" if isinstance(value, nn.Module) else kind
