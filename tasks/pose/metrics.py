"""PCKh: the share of joints that are predicted close to their true position."""

from __future__ import annotations

from collections.abc import Sequence

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmpose is imported

import numpy as np
from jaxtyping import Bool, Float
from mmpose.evaluation.functional import keypoint_pck_accuracy


def pckh(
    predicted: Float[np.ndarray, "n j 2"],
    joints: Float[np.ndarray, "n j 2"],
    visible: Bool[np.ndarray, "n j"],
    head_sizes: Float[np.ndarray, " n"],
    counted_joints: Sequence[int],
) -> float:
    """PCKh: the share of visible joints predicted within half a head size (as in mmpose, exactly half is a miss).

    Differs from MPII's evaluation in that a joint outside of the frame is left out; there it is a miss.

    Args:
        predicted: x and y, in the unit of `joints`.
        joints: the true positions.
        visible: joints that are not visible are left out.
        head_sizes: of every person, in the unit of `joints`.
        counted_joints: all other joints are left out.
    """
    counted = visible.copy()
    counted[:, [joint for joint in range(joints.shape[1]) if joint not in counted_joints]] = False
    norm = np.repeat(head_sizes[:, None], 2, 1)
    per_joint, _, _ = keypoint_pck_accuracy(predicted, joints, counted, np.array(0.5), norm)
    counts = counted.sum(0)
    return float((per_joint * counts).sum() / max(counts.sum(), 1))
