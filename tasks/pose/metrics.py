"""PCKh and PCK: the share of joints that are predicted close to their true position."""

from __future__ import annotations

from collections.abc import Sequence

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmpose is imported

import numpy as np
from jaxtyping import Bool, Float
from mmpose.evaluation.functional import keypoint_pck_accuracy

HEAD_SHARE = 0.5
"""PCKh@0.5 (Andriluka et al. 2014)."""
BOX_SHARE = 0.2
"""PCK@0.2 (Yang & Ramanan 2013)."""


def pckh(
    predicted: Float[np.ndarray, "n j 2"],
    joints: Float[np.ndarray, "n j 2"],
    visible: Bool[np.ndarray, "n j"],
    head_sizes: Float[np.ndarray, " n"],
    counted_joints: Sequence[int],
) -> float:
    """PCKh: the share of visible joints predicted within half a head size; see `pck`.

    Differs from MPII's evaluation in that a joint outside of the frame is left out; there it is a miss.
    """
    return pck(predicted, joints, visible, head_sizes, counted_joints, share=HEAD_SHARE)


def pck(
    predicted: Float[np.ndarray, "n j 2"],
    joints: Float[np.ndarray, "n j 2"],
    visible: Bool[np.ndarray, "n j"],
    sizes: Float[np.ndarray, " n"],
    counted_joints: Sequence[int],
    *,
    share: float = BOX_SHARE,
) -> float:
    """PCK: the share of visible joints predicted within a share of a size (as in mmpose, exactly that share is a miss).

    Args:
        predicted: x and y, in the unit of `joints`.
        joints: the true positions.
        visible: joints that are not visible are left out.
        sizes: of every person, in the unit of `joints`: the head, or the longer side of the box (Yang & Ramanan 2013).
        counted_joints: all other joints are left out.
        share: of the size.
    """
    counted = visible.copy()
    counted[:, [joint for joint in range(joints.shape[1]) if joint not in counted_joints]] = False
    norm = np.repeat(sizes[:, None], 2, 1)
    per_joint, _, _ = keypoint_pck_accuracy(predicted, joints, counted, np.array(share), norm)
    counts = counted.sum(0)
    return float((per_joint * counts).sum() / max(counts.sum(), 1))
