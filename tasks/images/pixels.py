"""Images in memory, and the one way in which all tasks read and augment them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2


@dataclass(frozen=True)
class Colors:
    """Colors in 0..255: a model sees (pixel - mean) / std; augmentation fills what lies outside an image."""

    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)  # of ImageNet, as torchvision's weights expect
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    fill: tuple[float, float, float] = (123.675, 116.28, 103.53)


class Pixels:
    """Square images, decoded once and held as uint8.

    The *frame* of an image is what a model sees of it at test time. Places in it are in [0, 1]; `margin` is how much
    larger than the frame the stored square is, so that rotations find pixels beyond it.

    Args:
        stored: the decoded squares; they stay on the device where they lie.
        size: side of the model's input, in pixels.
        margin: side of the stored square over side of the frame, at least 1.
    """

    def __init__(
        self, stored: UInt8[Tensor, "n 3 s s"], size: int, colors: Colors | None = None, margin: float = 1.0
    ) -> None:
        colors = colors or Colors()
        self.size = size
        self._stored = stored
        self._margin = margin
        self._mean, self._std, self._fill = (
            torch.tensor(color, device=stored.device).view(1, 3, 1, 1)
            for color in (colors.mean, colors.std, colors.fill)
        )

    def __len__(self) -> int:
        return len(self._stored)

    def repeated(self) -> Pixels:
        """The same images over and over: id n, past the last one, shows image 0 again."""
        return _RepeatedPixels(self)

    @property
    def device(self) -> torch.device:
        """Where the images lie."""
        return self._stored.device

    def read(self, ids: NDArray[np.int64]) -> Float[Tensor, "n 3 h w"]:
        """The frames, scaled to the model's input with antialiasing, normalised."""
        frames = self.frames(ids)
        if frames.shape[-1] != self.size:
            frames = v2.functional.resize(frames, [self.size, self.size], antialias=True)
        return self._normalised(frames.float())

    def frames(self, ids: NDArray[np.int64]) -> UInt8[Tensor, "n 3 f f"]:
        """The frames as they are stored."""
        squares = self._gathered(ids)
        side = round(squares.shape[-1] / self._margin)
        edge = (squares.shape[-1] - side) // 2
        return squares[..., edge : edge + side, edge : edge + side]

    def warp(
        self, ids: NDArray[np.int64], places: Float[np.ndarray, "n 2 3"], colors: Float[np.ndarray, "n 3 4"] | None
    ) -> Float[Tensor, "n 3 h w"]:
        """Normalised images under an affine map, bilinear, in one pass on the device.

        Args:
            ids: which images.
            places: maps a place of the model's input to the place of the frame that is seen there.
            colors: maps an RGB color in 0..255 (and 1) to the color that is seen; None leaves colors alone.
        """
        squares = self._gathered(ids).float().sub_(self._fill)
        images = functional.grid_sample(squares, self._grid(places), align_corners=False).add_(self._fill)
        if colors is not None:
            mixing = on_device(colors, self.device).to(images)
            flat = torch.baddbmm(mixing[:, :, 3:], mixing[:, :, :3], images.flatten(2))
            images = flat.clamp_(0, 255).view_as(images)
        return self._normalised(images)

    def _gathered(self, ids: NDArray[np.int64]) -> UInt8[Tensor, "n 3 s s"]:
        return self._stored[on_device(np.asarray(ids), self.device)]

    def _centered(self, places: Float[np.ndarray, "n 2 3"]) -> Float[Tensor, "n 2 3"]:
        """The map in grid_sample's coordinates: -1..1 over the stored square instead of 0..1 over the frame."""
        matrix, shift = places[:, :, :2], places[:, :, 2:]
        shift = matrix.sum(2, keepdims=True) + 2 * shift - 1
        return on_device(np.concatenate([matrix, shift], 2) / self._margin, self.device).float()

    def _grid(self, places: Float[np.ndarray, "n 2 3"]) -> Float[Tensor, "n h w 2"]:
        """As torch's `affine_grid`, but by broadcasting: its products of tiny matrices take longer than the sampling."""
        across, down, shift = self._centered(places)[..., None, None].unbind(2)
        centers = torch.linspace(-1, 1, self.size, device=self.device) * (self.size - 1) / self.size
        return (across * centers + down * centers[:, None] + shift).permute(0, 2, 3, 1)

    def _normalised(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """In place: fresh memory for every step costs more than the arithmetic."""
        return images.sub_(self._mean).div_(self._std).contiguous(memory_format=torch.channels_last)


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """An array as a tensor there; the host does not wait for the device."""
    return torch.from_numpy(array).to(device, non_blocking=True)


class _RepeatedPixels(Pixels):
    """Any id from 0 on shows one of a few images."""

    def __init__(self, once: Pixels) -> None:
        vars(self).update(vars(once))

    def _gathered(self, ids: NDArray[np.int64]) -> UInt8[Tensor, "n 3 s s"]:
        return super()._gathered(np.asarray(ids) % len(self))
