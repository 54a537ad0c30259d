"""Decoded images, in memory or in files. All tasks read and augment their images here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tasks.images.squares import Squares, StoredSquares, parts

ArrayIds = NDArray[np.int64] | Int[Tensor, " n"]
Transforms = Float[np.ndarray, "n 2 3"] | Float[Tensor, "n 2 3"]
"""One affine transform per image, as `tasks.images.augment` makes them."""
ColorMaps = Float[np.ndarray, "n 3 4"] | Float[Tensor, "n 3 4"]
"""One linear map of colors per image."""
HASHED_AT_ONCE = 256


@dataclass(frozen=True)
class Colors:
    """The normalization of a model's input, in RGB of 0..255: the model gets (pixel - mean) / std.

    `fill` is the color that augmentation shows outside of an image.
    """

    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)  # of ImageNet, as torchvision's weights expect
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    fill: tuple[float, float, float] = (123.675, 116.28, 103.53)


class Pixels:
    """Square images, decoded once and stored as uint8, in memory or in files.

    The *frame* of an image is the part that the model sees at test time: the middle of the stored square. The square may
    be larger, so that rotations show pixels instead of the fill color. Coordinates in [0, 1] are relative to the frame.

    Args:
        stored: the decoded squares. Those in memory stay on their device.
        size: side of the model's input, in pixels.
        colors: normalization and fill color; ImageNet's by default.
        margin: side of the stored square over side of the frame, at least 1.
    """

    def __init__(self, stored: Squares, size: int, colors: Colors | None = None, margin: float = 1.0) -> None:
        colors = colors or Colors()
        self.size, self.colors = size, colors
        self._stored = stored
        self._margin = margin
        self._digests: dict[bytes, str] = {}
        self._mean, self._std, self._fill = (
            torch.tensor(color, device=stored.device).view(1, 3, 1, 1)
            for color in (colors.mean, colors.std, colors.fill)
        )

    def __len__(self) -> int:
        return len(self._stored)

    def repeated(self) -> Pixels:
        """Endless images: id i shows image i modulo the number of images."""
        return _RepeatedPixels(self)

    def digest(self) -> str:
        """SHA-256 of the stored squares and of what decides which part of them is the frame, in hexadecimal."""
        content = hashlib.sha256()
        for part in parts(self._stored):
            content.update(part.data)
        words = repr((tuple(self._stored.shape), self._margin)).encode()
        return hashlib.sha256(words + content.digest()).hexdigest()

    def content(self, ids: NDArray[np.int64]) -> str:
        """SHA-256 of the stored squares of some images, in hexadecimal; of the same ids it is computed once."""
        words = hashlib.sha256(ids.tobytes()).digest()
        if words not in self._digests:
            found = hashlib.sha256()
            for start in range(0, len(ids), HASHED_AT_ONCE):
                found.update(self._gathered(ids[start : start + HASHED_AT_ONCE]).cpu().contiguous().numpy().data)
            self._digests[words] = found.hexdigest()
        return self._digests[words]

    @property
    def device(self) -> torch.device:
        """The device on which batches are."""
        return self._stored.device

    def read(self, ids: NDArray[np.int64]) -> Float[Tensor, "n 3 h w"]:
        """The model's input at test time: the frames, scaled with antialiasing and normalized."""
        frames = self.frames(ids)
        if frames.shape[-1] != self.size:
            from torchvision.transforms import v2  # noqa: PLC0415 - takes two seconds, and pages need no images

            frames = v2.functional.resize(frames, [self.size, self.size], antialias=True)
        return self._normalized(frames.float())

    def frames(self, ids: NDArray[np.int64]) -> UInt8[Tensor, "n 3 f f"]:
        """The frames in the resolution in which they are stored, not normalized."""
        squares = self._gathered(ids)
        side = round(squares.shape[-1] / self._margin)
        edge = (squares.shape[-1] - side) // 2
        return squares[..., edge : edge + side, edge : edge + side]

    @property
    def resident(self) -> bool:
        """Whether all images are in the memory of their device."""
        return isinstance(self._stored, Tensor)

    def warp(self, ids: ArrayIds, transforms: Transforms, colors: ColorMaps | None) -> Float[Tensor, "n 3 h w"]:
        """The model's input under an affine transform per image, sampled bilinearly, and a linear map of colors.

        Args:
            ids: the images to read.
            transforms: map a point of the model's input to the point of the frame that is shown there.
            colors: map (red, green, blue, 1), with colors in 0..255, to the new color; None keeps the colors.
        """
        squares = self._gathered(ids).float().sub_(self._fill)  # grid_sample pads with 0
        images = functional.grid_sample(squares, self._grid(transforms), align_corners=False).add_(self._fill)
        if colors is not None:
            maps = on_device(colors, self.device).to(images)
            flat = torch.baddbmm(maps[:, :, 3:], maps[:, :, :3], images.flatten(2))
            images = flat.clamp_(0, 255).view_as(images)
        return self._normalized(images)

    def warp_labels(self, labels: UInt8[Tensor, "n s s"], transforms: Transforms, fill: int) -> Int[Tensor, "n h w"]:
        """Label maps under the transforms of `warp`: each pixel has the nearest label, or `fill` outside of the square.

        Args:
            labels: of the stored squares, in any resolution.
            transforms: as those of `warp`.
            fill: the label outside.
        """
        maps = labels.float().sub_(fill).unsqueeze(1)  # grid_sample pads with 0
        warped = functional.grid_sample(maps, self._grid(transforms), mode="nearest", align_corners=False)
        return warped.add_(fill).squeeze(1).long()

    def _gathered(self, ids: ArrayIds) -> UInt8[Tensor, "n 3 s s"]:
        if isinstance(self._stored, StoredSquares):
            return self._stored[np.asarray(ids)]
        return self._stored[on_device(ids, self.device)]

    def _centered(self, transforms: Transforms) -> Float[Tensor, "n 2 3"]:
        """The transforms in grid_sample's coordinates: -1..1 over the stored square instead of 0..1 over the frame."""
        matrix, shift = on_device(transforms, self.device).split([2, 1], 2)
        shift = matrix.sum(2, keepdim=True) + 2 * shift - 1
        return (torch.cat([matrix, shift], 2) / self._margin).float()

    def _grid(self, transforms: Transforms) -> Float[Tensor, "n h w 2"]:
        """As torch's `affine_grid`, but by broadcasting: its products of tiny matrices take longer than the sampling."""
        across, down, shift = self._centered(transforms)[..., None, None].unbind(2)
        centers = torch.linspace(-1, 1, self.size, device=self.device) * (self.size - 1) / self.size
        return (across * centers + down * centers[:, None] + shift).permute(0, 2, 3, 1)

    def _normalized(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Normalize in place: allocating memory at every step costs more than the arithmetic."""
        return images.sub_(self._mean).div_(self._std).contiguous(memory_format=torch.channels_last)


def on_device(array: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """Copy an array to a tensor on the device, without waiting for the copy to end."""
    return torch.as_tensor(array).to(device, non_blocking=True)


class _RepeatedPixels(Pixels):
    """Images whose ids repeat; see `Pixels.repeated`."""

    def __init__(self, pixels: Pixels) -> None:
        vars(self).update(vars(pixels))

    def _gathered(self, ids: ArrayIds) -> UInt8[Tensor, "n 3 s s"]:
        return super()._gathered(ids % len(self))
