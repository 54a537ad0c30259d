"""What a user's own model has to do before anything is trained with it. Whatever it does not is one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tasks.base import Outputs, TapModel
from tasks.errors import DataError, require
from tasks.models.settings import OwnModelSettings
from tasks.models.tapped import MAPS, VECTORS
from tasks.models.trunks.frozen import RowLayout
from tasks.models.weights import digest_of

IMAGES = 2
"""Shown to the model: two, so that what it gives has a row for each."""
TOLERANCE = 1e-3
"""How far the head's output may differ from the model's, as a share of its largest number: sums may round differently."""
Shape = tuple[int | str, ...]
"""Of the output for one image: numbers, and names of numbers that are the model's choice; equal names are equal numbers."""


class Checked(NamedTuple):
    """What was seen of a model."""

    shape: tuple[int, ...]
    """Of its output for one image."""
    fingerprints: dict[str, str]
    """Under `weights`, SHA-256 of what is the same in two new models, and so is not drawn at random; nothing where all is.

    Numbers that are all equal, such as a bias of zeros, are left out. A buffer that is computed may differ in its last bits
    on another processor, and so may its digest.
    """


def checked_network(
    settings: OwnModelSettings, build: Callable[[int], TapModel], outputs: int, shape: Shape
) -> Checked:
    """Build a model and run it on two random images in evaluation mode, as prediction does.

    Args:
        settings: the protocol's `task.model` table.
        build: makes a new one, from how many numbers it predicts.
        outputs: how many.
        shape: of its output for one image.

    Raises:
        DataError: it is no model with taps, has nothing to train or no taps, does not run, gives another shape, or its output is
            not that of its head.
    """
    name = settings.name
    with _tried(settings, build, outputs) as (model, images, fingerprints):
        _check_trained(settings, model)
        with _one_line(f"the model {name} does not run on {settings.pixels} pixels"):
            given = model(images)
        require(isinstance(given, Outputs), f"the model {name} gives {_named(given)}", "its forward must give Outputs")
        _check_taps(name, given.taps)
        _check_raw(name, given.raw, shape)
        _check_trunk(name, model, images, given)
        _check_head(name, model, given)
        if settings.freeze:
            _check_rows(name, model, given)
        return Checked(tuple(given.raw.shape[1:]), fingerprints)


def checked_trunk(settings: OwnModelSettings, build: Callable[[int], TapModel], outputs: int) -> dict[str, str]:
    """The fingerprints of a model, see `Checked`, after the same checks of one that is read at its taps alone; it may have no head.

    Args:
        settings: the protocol's `task.model` table.
        build: makes a new one, from how many numbers it predicts.
        outputs: how many.

    Raises:
        DataError: it is no model with taps, has no taps that are square maps, or does not run.
    """
    with _tried(settings, build, outputs) as (model, images, fingerprints):
        with _one_line(f"the model {settings.name} does not run on {settings.pixels} pixels"):
            taps, _ = model.trunk(images)
        _check_taps(settings.name, taps)
        square = all(tap.shape[2] == tap.shape[3] for tap in taps)
        require(square, f"the taps of the model {settings.name} are not square, as SSD's head wants them")
        return fingerprints


@contextmanager
def _tried(
    settings: OwnModelSettings, build: Callable[[int], TapModel], outputs: int
) -> Iterator[tuple[TapModel, Tensor, dict[str, str]]]:
    """A new model in evaluation mode, random images, and its fingerprints; torch's generator is left as it was."""
    name = settings.name
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        with _one_line(f"build of the model {name}"):
            model = build(outputs)
            second = build(outputs)
        advice = "return a TappedModel, or another TapModel"
        require(isinstance(model, TapModel), f"build of the model {name} gives {_named(model)}", advice)
        lazy = any(is_lazy(each) for each in (*model.parameters(), *model.buffers()))
        require(not lazy, f"the model {name} has layers without shapes", "give their sizes instead of lazy layers")
        shared = _trained(settings, model) & _trained(settings, second)
        require(not shared, f"build of the model {name} gives the same layers twice", "make new ones at each call")
        images = torch.randn(IMAGES, 3, settings.pixels, settings.pixels)
        images = images.contiguous(memory_format=torch.channels_last)
        fingerprints = _fixed_weights(model.state_dict(), second.state_dict())
        del second
        yield model.placed(images.device).eval(), images, fingerprints


def _trained(settings: OwnModelSettings, model: TapModel) -> set[int]:
    """The addresses of what a protocol trains of a model, other than SSD's head."""
    part = getattr(model, "head", None) if settings.freeze else model
    return {each.data_ptr() for each in part.parameters() if each.requires_grad} - {0} if part else set()


def _fixed_weights(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, str]:
    fixed = {name: value for name, value in one.items() if _fixed(value, other.get(name))}
    return {"weights": digest_of(fixed)} if fixed else {}


def _fixed(value: object, other: object) -> bool:
    """Whether numbers are equal in two models, and not all the same."""
    if not (isinstance(value, Tensor) and isinstance(other, Tensor)):
        return False
    return value.numel() > 0 and torch.equal(value, other) and not bool((value == value.flatten()[0]).all())


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


def _check_trained(settings: OwnModelSettings, model: TapModel) -> None:
    """Raise a DataError unless the model, or of a frozen one its head, has something to train."""
    _require_head(settings.name, model)
    part, whose = (
        (model.head, f"the head of the model {settings.name}")
        if settings.freeze
        else (model, f"the model {settings.name}")
    )
    trained = any(each.requires_grad for each in part.parameters())
    require(trained, f"{whose} has no parameter that can be trained", "leave requires_grad on")


def _require_head(name: str, model: TapModel) -> None:
    advice = 'give TappedModel the name of its last step: head="..."'
    require(hasattr(model, "head"), f"the model {name} names no head", advice)


def _check_taps(name: str, taps: tuple[Tensor, ...]) -> None:
    """Raise a DataError unless there are taps, and all are maps."""
    sound = all(isinstance(tap, Tensor) and tap.ndim == MAPS and len(tap) == IMAGES for tap in taps)
    require(sound, f"the taps of the model {name} are not maps with a row for each image")
    require(
        len(taps), f"the model {name} has no taps, or they do not run", "name parts that `lossbench list taps` shows"
    )
    finite = all(tap.isfinite().all() for tap in taps)
    require(finite, f"the taps of the model {name} hold numbers that are not finite before it is trained")


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


def _check_trunk(name: str, model: TapModel, images: Tensor, outputs: Outputs) -> None:
    """Raise a DataError unless the trunk, which training runs, gives the taps and features of the whole model."""
    with _one_line(f"the trunk of the model {name} does not run"):
        taps, features = model.trunk(images)
    same = [tuple(each.shape) for each in (*taps, *features)] == [
        tuple(each.shape) for each in (*outputs.taps, *outputs.features) if isinstance(each, Tensor)
    ]
    require(
        same,
        f"the trunk of the model {name} gives other taps or features than the model",
        "all must run before the head",
    )


def _check_head(name: str, model: TapModel, outputs: Outputs) -> None:
    """Raise a DataError unless the head's output on the features is the model's."""
    sound = all(isinstance(each, Tensor) and each.ndim and len(each) == IMAGES for each in outputs.features)
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


def _check_rows(name: str, model: TapModel, outputs: Outputs) -> None:
    """Raise a DataError unless the head runs on features as a frozen trunk's store gives them, in fp32."""
    stored = all(each.ndim >= VECTORS and each.is_floating_point() for each in outputs.features)
    advice = "let it read vectors or maps of floating-point numbers, or set freeze = false"
    require(stored, f"the head of the model {name} reads what cannot be stored", advice)
    with _one_line(f"the head of the model {name} does not run on stored features, which are fp32"):
        layout = RowLayout.of(outputs.taps, outputs.features)
        model.head(*layout.unpack(layout.pack(outputs.taps, outputs.features).half().float())[1])


def _named(value: object) -> str:
    """What `build` gave, for a message."""
    if value is None:
        return "nothing; it has no `return`"
    kind = f"an object of type {type(value).__name__}"
    return f"{kind}, which has no taps" if isinstance(value, nn.Module) else kind
