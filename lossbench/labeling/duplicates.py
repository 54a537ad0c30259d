"""Near-duplicates: images that look alike but for size, compression or a change of brightness."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from torch.nn import functional

from tasks.base import Ids, UnlabeledTask

SIDE = 8
BITS = SIDE * SIDE
BATCH = 256
SAMPLED = 80
"""Pixels of a side that are looked at, evenly spaced: of larger images more cost time and change no hash by more than a bit or two."""
STEP = 1.0
"""Of 256 steps of brightness: where two neighbors of 8 x 8 pixels differ by less, an image is flat, and compression decides which is brighter."""
MOST_DIFFERENCE = 8.0
"""Mean absolute difference of two images' 8 x 8 pixels, of 256 steps of brightness, each less its mean: more are not alike."""
UNEVEN = 0.7
"""Share of the steps between neighbors that are not flat; below it an image has a plain background. 2 VOC images in 100 have, no
copy in CIFAR-10, and all scanned digits with a margin of a quarter of their width or more."""
MOST_SHARE = 0.07
"""The most difference on a plain background, as a share of the contrast: a small object changes the mean of 64 pixels little. A copy that is 5 %
brighter differs by .05."""
LEAST_DIFFERENCE = 1.0
"""What compression may change on a plain background."""
BLOCK = 2
"""Side of the blocks whose sums stand for 8 x 8 pixels in a search."""
SHIFTS = 128
"""Images with one key are compared with so many that follow; where there are more, near ones are searched for."""
MOST_NEIGHBORS = 1000
"""Per image: with more, a search is no faster than comparing all."""
PAIRS = 100_000
"""That are compared at once."""
RED_GREEN_BLUE = (0.299, 0.587, 0.114)
"""Of brightness (Rec. ITU-R BT.601)."""


class Looks(NamedTuple):
    """What images look like from afar."""

    bits: Bool[np.ndarray, "n 64"]
    """The difference hash (Krawetz 2013): whether each of 8 x 8 pixels is brighter than its left neighbor, by more than a `STEP`."""
    gray: Float[np.ndarray, "n 64"]
    """The brightness of 8 x 8 pixels in 0..255, less its mean."""


class _Compared(NamedTuple):
    """What tells whether two images are alike."""

    hashes: UInt64[np.ndarray, " n"]
    gray: Float[np.ndarray, "n 64"]
    limits: Float[np.ndarray, " n"]
    """The most mean absolute difference; of a pair the smaller of its two counts."""
    most_bits: int

    def alike(self, first: Int[np.ndarray, " p"], second: Int[np.ndarray, " p"]) -> Bool[np.ndarray, " p"]:
        near = np.bitwise_count(self.hashes[first] ^ self.hashes[second]) <= self.most_bits
        rows = np.flatnonzero(near)
        first, second = first[rows], second[rows]
        difference = np.abs(self.gray[first] - self.gray[second]).mean(1)
        near[rows] = difference <= np.minimum(self.limits[first], self.limits[second])
        return near


def looks(task: UnlabeledTask, ids: Ids) -> Looks:
    """Hash images."""
    found = Looks(np.empty((len(ids), BITS), bool), np.empty((len(ids), BITS), np.float32))
    weights = torch.tensor(RED_GREEN_BLUE).view(1, 3, 1, 1)
    for start in range(0, len(ids), BATCH):
        frames = task.frames(ids[start : start + BATCH]).cpu()
        step = max(1, frames.shape[-1] // SAMPLED)
        frames = frames[:, :, ::step, ::step].float()
        bright = (functional.adaptive_avg_pool2d(frames, (SIDE, SIDE + 1)) * weights).sum(1)
        part = slice(start, start + len(frames))
        found.bits[part] = (bright[:, :, 1:] > bright[:, :, :-1] + STEP).flatten(1).numpy()
        gray = bright[:, :, :-1].flatten(1)
        found.gray[part] = (gray - gray.mean(1, keepdim=True)).numpy()
    return found


def near_duplicates(images: Looks, most_bits: int) -> Int[np.ndarray, " n"]:
    """The group of each image: images that are alike, directly or over others, are in one group.

    Two images are alike if at most `most_bits` bits of their hashes differ, and if their pixels are close: the closer, the more of
    an image is plain background.

    Args:
        images: what they look like.
        most_bits: with -1 every image is a group of its own.

    Returns:
        Group numbers.
    """
    count = len(images.bits)
    if most_bits < 0 or not count:
        return np.arange(count)
    groups = np.arange(count)
    hashes = np.packbits(images.bits, axis=1).view(np.uint64).reshape(-1)
    compared = _Compared(hashes, images.gray, _limits(images.gray), most_bits)
    for part in _parts(images.bits, most_bits + 1):
        words = np.packbits(images.bits[:, part], axis=1)
        _join(groups, np.unique(words, axis=0, return_inverse=True)[1].reshape(-1), compared)
    return np.unique(groups, return_inverse=True)[1].reshape(-1)


def _parts(bits: Bool[np.ndarray, "n 64"], count: int) -> list[Int[np.ndarray, " b"]]:
    """Divide the bits of a hash into parts that tell images apart about equally well: bits of a plain margin are the same in all."""
    shares = bits.mean(0)
    order = np.argsort(-shares * (1 - shares), kind="stable")
    return [order[start::count] for start in range(count)]


def _limits(gray: Float[np.ndarray, "n 64"]) -> Float[np.ndarray, " n"]:
    """The most mean absolute difference from each image of one that is alike."""
    steps = np.abs(np.diff(gray.reshape(-1, SIDE, SIDE), axis=2))
    plain = (steps > STEP).mean((1, 2)) < UNEVEN
    strict = np.clip(MOST_SHARE * np.abs(gray).mean(1), LEAST_DIFFERENCE, MOST_DIFFERENCE)
    return np.where(plain, strict, MOST_DIFFERENCE)


def _join(groups: Int[np.ndarray, " n"], keys: Int[np.ndarray, " n"], compared: _Compared) -> None:
    """Join the groups of images that are alike and have the same key; the number of a group is that of its first image.

    Hashes that differ in at most b bits agree in at least one of b + 1 parts (Manku et al. 2007), which is the key. Pairs of
    a group that is whole already are not compared: of m images that all are alike m - 1 pairs are.
    """
    order = np.argsort(keys, kind="stable")
    shift = 1
    while len(order := order[_in_several_groups(keys[order], groups[order])]) > shift:
        first, second = order[:-shift], order[shift:]
        if not (same := keys[first] == keys[second]).any():
            return
        apart = np.flatnonzero(same & (groups[first] != groups[second]))
        _join_alike(groups, first[apart], second[apart], compared)
        if shift == SHIFTS:
            buckets = np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)
            order = np.concatenate([order[:0], *(each for each in buckets if not _join_near(groups, each, compared))])
        shift += 1


def _join_alike(
    groups: Int[np.ndarray, " n"], first: Int[np.ndarray, " p"], second: Int[np.ndarray, " p"], compared: _Compared
) -> None:
    """Join the groups of those pairs that are alike."""
    alike = np.flatnonzero(compared.alike(first, second))
    if not len(alike):
        return
    pairs = groups[first[alike]], groups[second[alike]]
    graph = coo_array((np.ones(len(alike), bool), pairs), shape=(len(groups), len(groups)))
    joined = connected_components(graph, directed=False)[1][groups]
    _, firsts, ranks = np.unique(joined, return_index=True, return_inverse=True)
    groups[:] = firsts[ranks.reshape(-1)]


def _join_near(groups: Int[np.ndarray, " n"], members: Int[np.ndarray, " m"], compared: _Compared) -> bool:
    """Join the groups of members that are alike, found by a search; False if it would be slow, as very many are near.

    The sums of two images over blocks differ by no more than their pixels do, all taken together, so that no pair is missed.
    """
    cells = compared.gray[members].astype(np.float64).reshape(-1, SIDE // BLOCK, BLOCK, SIDE // BLOCK, BLOCK)
    sums = cells.sum((2, 4)).reshape(len(members), -1)
    reach = BITS * compared.limits[members] * (1 + 1e-4)  # the differences are rounded to 32 bits
    tree = KDTree(sums)
    counts = tree.query_ball_point(sums, reach, p=1, return_length=True)
    if counts.sum() > MOST_NEIGHBORS * len(members):
        return False
    with_others = np.flatnonzero(counts > 1)
    ends = np.cumsum(counts[with_others]) // PAIRS
    for rows in np.split(with_others, np.flatnonzero(np.diff(ends)) + 1) if len(with_others) else []:
        near = np.concatenate(tree.query_ball_point(sums[rows], reach[rows], p=1)).astype(np.int64)
        first, second = members[np.repeat(rows, counts[rows])], members[near]
        apart = groups[first] != groups[second]
        _join_alike(groups, first[apart], second[apart], compared)
    return True


def _in_several_groups(keys: Int[np.ndarray, " m"], groups: Int[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
    """Of images sorted by their key those whose key others of another group have."""
    if not len(keys):
        return np.zeros(0, bool)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    several = np.minimum.reduceat(groups, starts) != np.maximum.reduceat(groups, starts)
    return np.repeat(several, np.diff(np.append(starts, len(keys))))
