"""Similarity of images by their detections of the same categories, and medoids under it. Pure functions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

BLOCK = 2048
"""Images whose distances to all medoids are in memory at once."""


class Matching(NamedTuple):
    """n images with their feature, and how their detections are spread over c categories."""

    points: Float[Tensor, "n d"]
    """The feature of all detections of an image; of length 1, or 0."""
    shares: Float[Tensor, "n c"]
    """Share of each category in the image's summed scores of detections; all 0 where it has none."""

    def subset(self, index: Tensor | slice) -> Matching:
        """Some of the images, in the order of the index."""
        return Matching(self.points[index], self.shares[index])

    def distances(self, others: Matching) -> Float[Tensor, "n m"]:
        """One minus the category conditioned matching similarity: from 0 to 2, and 2 where images share no category.

        A detection is matched with the most similar one of its category in the other image: here that is the cosine of the
        images' features, and -1 where the other image has none. An image's side is the mean over its detections, weighted by
        score; the similarity is the mean of the two sides (Yang et al. 2024, section 3.3).
        """
        matched = self.shares @ (others.shares > 0).to(others.shares).T
        matched += (self.shares > 0).to(self.shares) @ others.shares.T
        cosines = (self.points @ others.points.T).clamp_(-1, 1)
        return (2 - matched / 2 * (1 + cosines)).clamp_(min=0)


def farthest_first(images: Matching, first: int, picks: int) -> Int[Tensor, " k"]:
    """Images picked one by one, always the one farthest from all earlier picks; of equally far ones the first.

    Args:
        images: n images.
        first: the first pick.
        picks: how many images to pick, from 1 to n.
    """
    chosen = [first]
    nearest = torch.full_like(images.points[:, 0], torch.inf)
    while len(chosen) < picks:
        latest = images.subset(torch.tensor(chosen[-1:], device=nearest.device))
        nearest = torch.minimum(nearest, images.distances(latest).squeeze(1))
        nearest[chosen[-1]] = -1  # of no later pick, as distances are at least 0
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen, device=nearest.device)


def medoids(images: Matching, start: Int[Tensor, " k"], iterations: int) -> Int[Tensor, " k"]:
    """The medoids of k clusters, by Lloyd's iteration with the image of smallest summed distance as center.

    A medoid stays in its own cluster, also where another one is as near, so that no cluster is ever empty.

    Args:
        images: n images.
        start: the first medoids, all different.
        iterations: at most; it ends earlier when no medoid changes.
    """
    current, known = start, torch.full_like(images.points[:, 0], -1, dtype=torch.long)
    for _ in range(iterations):
        previous, assigned = current.clone(), nearest_medoid(images, current)
        moved = assigned != known
        changed = torch.cat([assigned[moved], known[moved]]).unique()
        for cluster in changed[changed >= 0].tolist():
            members = (assigned == cluster).nonzero().squeeze(1)
            inside = images.subset(members)
            distances = inside.distances(inside).fill_diagonal_(0)
            current[cluster] = members[distances.sum(1).argmin()]
        known = assigned
        if torch.equal(previous, current):
            break
    return current


def nearest_medoid(images: Matching, centers: Int[Tensor, " k"]) -> Int[Tensor, " n"]:
    """The nearest of the medoids, as its position among them; the first of several, and of a medoid itself."""
    others = images.subset(centers)
    starts = range(0, len(images.points), BLOCK)
    parts = [images.subset(slice(start, start + BLOCK)).distances(others).argmin(1) for start in starts]
    assigned = torch.cat(parts)
    assigned[centers] = torch.arange(len(centers), device=assigned.device)
    return assigned
