"""Several processes that make one run together. All of them run the same program; each computes its part of every batch.

Where there is one process, which is the usual case, nothing here changes a number.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lossbench.errors import LossbenchError
from tasks.base import Ids

T = TypeVar("T")
LEAST_IMAGES = 2
"""In a process's part of a batch, as in every batch that has a variance. All processes compute a smaller batch whole."""

_alone: ContextVar[bool] = ContextVar("alone", default=False)


class ProcessesError(LossbenchError):
    """Processes that make a run together have lost each other, or do not agree."""

    exit_code = 1


def process_count() -> int:
    """How many processes make a run together."""
    return dist.get_world_size() if _together() else 1


def process_number() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if _together() else 0


def is_first() -> bool:
    """Whether this process writes files; it does where it is the only one."""
    return process_number() == 0


def _together() -> bool:
    return not _alone.get() and dist.is_available() and dist.is_initialized()


@contextmanager
def alone() -> Iterator[None]:
    """In this block every process works for itself, such as on a cache that is locked meanwhile."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of torch: a connection has ended
        msg = "another process of this run has ended or cannot be reached; finished rounds are kept: run the same command to go on"
        raise ProcessesError(msg) from error


def from_first(compute: Callable[[], T]) -> T:
    """What a function gives in the first process, which alone calls it."""
    if process_count() == 1:
        return compute()
    box = [compute() if is_first() else None]
    with _reaching():
        dist.broadcast_object_list(box, 0, device=torch.device("cpu"))
    return cast("T", box[0])


@torch.no_grad()
def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors with those of the first process."""
    if process_count() == 1:
        return
    for tensor in tensors:
        sent = tensor.detach().contiguous()
        with _reaching():
            dist.broadcast(sent, 0)
        tensor.copy_(sent)


def require_agreement(content: bytes, what: str) -> None:
    """Raise a ProcessesError unless all processes give the same content."""
    if process_count() == 1:
        return
    own = torch.tensor([zlib.crc32(content)])
    if len(set(_from_all(own).flatten().tolist())) > 1:
        msg = f"the processes of this run do not agree on {what}: their machines, data or versions differ, or a strategy draws chance from elsewhere than ctx.rng"
        raise ProcessesError(msg)


def _from_all(own: Tensor) -> Tensor:
    """A tensor of this shape from every process."""
    each = [torch.empty_like(own, memory_format=torch.contiguous_format) for _ in range(process_count())]
    with _reaching():
        dist.all_gather(each, own.contiguous())
    return torch.stack(each)


class _Sum(torch.autograd.Function):
    """The sum over all processes. Its gradient is the sum over their gradients, as each of them uses it."""

    @staticmethod
    def forward(_ctx: Any, own: Tensor) -> Tensor:
        return _added_up(own)

    @staticmethod
    @once_differentiable
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] - its name
        (gradient,) = gradients
        return _added_up(gradient)


def _added_up(own: Tensor) -> Tensor:
    whole = own.clone(memory_format=torch.contiguous_format)
    with _reaching():
        dist.all_reduce(whole)
    return whole


@dataclass(frozen=True)
class Part:
    """The images that this process computes of a batch that is shared by all."""

    number: int
    """Of the process."""
    sizes: tuple[int, ...]
    """How many images each process computes; they are consecutive ones."""

    @classmethod
    def of(cls, images: int) -> Part | None:
        """This process's part of a batch; None where it computes the whole batch: alone, or because there are too few images."""
        count = process_count()
        if count == 1 or images < LEAST_IMAGES * count:
            return None
        return cls(process_number(), _sizes(images, count))

    @property
    def whole(self) -> int:
        """How many images the batch has."""
        return sum(self.sizes)

    @property
    def rows(self) -> slice:
        """The places of the part in its batch."""
        start = sum(self.sizes[: self.number])
        return slice(start, start + self.sizes[self.number])

    def gathered(self, own: Float[Tensor, "_ ..."]) -> Float[Tensor, "n ..."]:
        """The rows of the whole batch; differentiable.

        Args:
            own: the rows of this part.
        """
        rest = own.shape[1:]
        before, after = own.new_zeros(self.rows.start, *rest), own.new_zeros(self.whole - self.rows.stop, *rest)
        return cast("Tensor", _Sum.apply(torch.cat([before, own, after])))

    def of_each(self, own: Tensor) -> Float[Tensor, "p ..."]:
        """A tensor of this shape from every process; differentiable."""
        count = len(self.sizes)
        before, after = own.new_zeros(self.number, *own.shape), own.new_zeros(count - self.number - 1, *own.shape)
        return cast("Tensor", _Sum.apply(torch.cat([before, own[None], after])))


def _sizes(images: int, count: int) -> tuple[int, ...]:
    return tuple(len(each) for each in np.array_split(np.arange(images), count))


def rows_of(values: T, rows: slice) -> T:
    """Some rows of a tensor or an array, or of all in a tuple of them."""
    if isinstance(values, tuple):
        return _rebuilt(values, [rows_of(each, rows) for each in values])
    return cast("Any", values)[rows]


def _rebuilt(values: tuple[Any, ...], parts: Sequence[Any]) -> Any:
    kind: Any = type(values)
    return kind(*parts) if hasattr(values, "_fields") else kind(parts)


def shared(ids: Ids, batch: int, compute: Callable[[Ids], T]) -> Iterator[T]:
    """What a function gives for the images, batch by batch; each process computes a part, and all have all of it.

    Args:
        ids: of the images, the same in all processes.
        batch: how many images are computed at once.
        compute: gives a tensor, or a tuple of them, with one row per image.
    """
    count, number = process_count(), process_number()
    if count > 1:
        require_agreement(np.asarray(ids).tobytes(), "which images are computed")
    for start in range(0, len(ids), count * batch):
        some = ids[start : start + count * batch]
        if count == 1:
            yield compute(some)
            continue
        sizes = _sizes(len(some), count)
        first = sum(sizes[:number])
        own = some[first : first + sizes[number]]
        whole = _all_rows(compute(own if len(own) else some[:1]), sizes)
        for place in range(0, len(some), batch):
            yield rows_of(whole, slice(place, place + batch))


def _all_rows(own: T, sizes: Sequence[int]) -> T:
    """The rows of all processes, from the own ones."""
    if isinstance(own, tuple):
        return _rebuilt(own, [_all_rows(each, sizes) for each in own])
    rows = cast("Tensor", own)
    padded = rows.new_zeros(max(sizes), *rows.shape[1:])
    size = sizes[process_number()]
    padded[:size] = rows[:size]
    whole = _from_all(padded)
    return cast("T", torch.cat([of_one[:size] for of_one, size in zip(whole, sizes, strict=True)]))


@torch.no_grad()
def add_up(total: Float[Tensor, ""], modules: Iterable[nn.Module], part: Part | None) -> Float[Tensor, ""]:
    """Make the gradients of a part of a batch those of the whole batch, in all processes; one message in each direction.

    Args:
        total: the loss of this process's part.
        modules: hold the gradients.
        part: of the batch; None where every process has computed the whole.

    Returns:
        The loss of the whole batch.
    """
    count = process_count()
    if count == 1:
        return total
    weights = [each for module in modules for each in module.parameters() if each.requires_grad]
    present = total.new_tensor([float(each.grad is not None) for each in weights])
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in weights]
    flat = _added_up(torch.cat([total.detach().reshape(1), present, *(each.flatten() for each in gradients)]))
    if part is None:
        flat /= count
    whole, found, *sums = flat.split([1, len(weights), *(each.numel() for each in weights)])
    for each, some, value in zip(weights, (found > 0).tolist(), sums, strict=True):
        if some:
            each.grad = value.view_as(each).to(each, copy=True)
    return whole[0]
