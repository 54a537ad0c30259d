"""Layers that see more than one image, or draw chance, in a part of a batch as in the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tasks.training.processes.parallel import Part


class WholeBatch(TorchFunctionMode):
    """In this block batch normalization takes the statistics of the whole batch, and dropout draws for all of it.

    Dropout draws so from torch's global generator what one process would draw. What attention drops inside of torch's
    own functions, and whole branches that timm drops, are drawn by every process for its part.

    Args:
        part: that this process computes.
        gathering: modules whose results become those of the whole batch.
    """

    def __init__(self, part: Part, gathering: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self._part, self._gathering = part, gathering

    def __enter__(self) -> WholeBatch:  # noqa: PYI034 - beartype knows no Self here
        def gathered(_module: nn.Module, _inputs: Any, own: Tensor) -> Tensor:
            return self._part.gathered(own)

        self._hooks = [module.register_forward_hook(gathered) for module in self._gathering]
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()

    def __torch_function__(
        self,
        function: Callable[..., Any],
        _types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Called by torch in place of each of its functions."""
        named = kwargs or {}
        if function is functional.batch_norm:
            return self._batch_norm(*args, **named)
        if function in DROPOUTS:
            return self._dropout(function, *args, **named)
        return function(*args, **named)

    def _batch_norm(
        self,
        inputs: Float[Tensor, "n c ..."],
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Float[Tensor, "n c ..."]:
        """As `torch.nn.functional.batch_norm`; mean and variance of every process's part are joined (Chan et al. 1979)."""
        if not training:
            return functional.batch_norm(inputs, running_mean, running_var, weight, bias, training, momentum, eps)
        values = inputs if inputs.dtype == torch.float64 else inputs.float()
        places = [0, *range(2, inputs.ndim)]
        own = torch.stack([values.mean(places), values.var(places, correction=0)])
        means, variances = self._part.of_each(own).unbind(1)
        shares = (values.new_tensor(self._part.sizes) / self._part.whole).unsqueeze(1)
        mean = (shares * means).sum(0)
        variance = (shares * (variances + (means - mean).square())).sum(0)
        if running_mean is not None and running_var is not None:
            numbers = self._part.whole * inputs[0, 0].numel()
            with torch.no_grad():
                running_mean.lerp_(mean, momentum)
                running_var.lerp_(variance * numbers / max(numbers - 1, 1), momentum)
        scale = (variance + eps).rsqrt() * (1 if weight is None else weight)
        shift = (0 if bias is None else bias) - mean * scale
        shape = (-1, *[1] * (inputs.ndim - 2))
        return torch.addcmul(shift.view(shape), values, scale.view(shape)).to(inputs.dtype)

    def _dropout(
        self,
        function: Callable[..., Tensor],
        inputs: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        """As the function itself; the mask of the whole batch is drawn, and the part's rows of it are used."""
        if not training or p == 0:
            return function(inputs, p, training, inplace)
        whole = inputs.new_ones(self._part.whole, *inputs.shape[1:])
        if inputs.ndim == 4 and inputs.is_contiguous(memory_format=torch.channels_last):  # noqa: PLR2004 - n c h w
            whole = whole.contiguous(memory_format=torch.channels_last)  # draws follow the order in memory
        return inputs * function(whole, p, training)[self._part.rows]


DROPOUTS = (functional.dropout, functional.dropout1d, functional.dropout2d)


def whole_batch(part: Part | None, gathering: Sequence[nn.Module] = ()) -> AbstractContextManager[object]:
    """A `WholeBatch`; nothing where this process computes whole batches."""
    return nullcontext() if part is None else WholeBatch(part, gathering)
