"""Label Studio's run lengths of brush strokes, packed into bits.

A picture is a row of values, each of the four channels of a pixel after the other, pixels along the rows; a stroke's pixels are
255 in all four. The bits, highest first in each byte, are those of the form `rle-pack` by Karsten Schmidt (thi.ng):

    32   number of values
     5   bits of a value, less one
  4 x 4  bits of a length, less one, in each of four classes of lengths
    then, until there are as many values,
     1   whether one value follows, repeated, or as many values as the length says
     2   class of the length
     ?   length, less one
     ?   the value or the values
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from tasks.datasets.tools.shapes import runs_of

CHANNELS = 4
LENGTH_BITS = (3, 4, 8, 16)
"""Of the four classes of lengths, as Label Studio writes them."""
VALUE_BITS = 8
OPAQUE = 255


class _Bits:
    """Bits that are read one group after the other."""

    def __init__(self, content: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(content, np.uint8))
        self._place = 0

    def number(self, width: int) -> int:
        """The next bits as a number; ValueError after the end."""
        return int(self.numbers(1, width)[0])

    def numbers(self, count: int, width: int) -> np.ndarray:
        """The next numbers of a width each."""
        end = self._place + count * width
        if end > len(self._bits):
            msg = "it ends before its last value"
            raise ValueError(msg)
        groups = self._bits[self._place : end].reshape(count, width)
        self._place = end
        return groups @ (1 << np.arange(width - 1, -1, -1, dtype=np.int64))


def unpacked(content: bytes, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The pixels of a stroke: those that are half opaque or more.

    Args:
        content: the bytes.
        size: width and height of the image.

    Raises:
        ValueError: these are no run lengths, or of another number of pixels.
    """
    width, height = size
    bits = _Bits(content)
    total = bits.number(32)
    if total != width * height * CHANNELS:
        msg = f"it has {total // CHANNELS:,} pixels, and the image {width}x{height}"
        raise ValueError(msg)
    value_bits = bits.number(5) + 1
    classes = [bits.number(4) + 1 for _ in LENGTH_BITS]
    values = np.zeros(total, np.uint8 if value_bits <= VALUE_BITS else np.uint32)
    place = 0
    while place < total:
        repeated = bits.number(1)
        length = bits.number(classes[bits.number(2)]) + 1
        if place + length > total:
            msg = "it has more values than it says"
            raise ValueError(msg)
        values[place : place + length] = bits.numbers(1 if repeated else length, value_bits)
        place += length
    opacity = values.reshape(height, width, CHANNELS)[:, :, CHANNELS - 1]
    return opacity >= (1 << value_bits) // 2


def packed(pixels: Bool[np.ndarray, "h w"]) -> list[int]:
    """A stroke as bytes, one number each."""
    words = [f"{pixels.size * CHANNELS:032b}{VALUE_BITS - 1:05b}", *(f"{bits - 1:04b}" for bits in LENGTH_BITS)]
    most = 1 << LENGTH_BITS[-1]
    for number, run in enumerate(runs_of(pixels.reshape(-1))):
        rest, value = run * CHANNELS, OPAQUE * (number % 2)
        while rest:
            length = min(rest, most)
            kind = next(kind for kind, bits in enumerate(LENGTH_BITS) if length <= 1 << bits)
            words.append(f"1{kind:02b}{length - 1:0{LENGTH_BITS[kind]}b}{value:0{VALUE_BITS}b}")
            rest -= length
    text = "".join(words)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))
