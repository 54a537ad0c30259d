"""The persons of the pose scenes: skeleton, poses, drawing.

A person faces the viewer: when upright, the right side is at the left of the image. Right limbs have warm colors, left ones
cool colors, but geometry alone distinguishes them, so a flipped image with swapped labels is a valid image of a person.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Float

from tasks.datasets.names import MPII_JOINTS
from tasks.datasets.scenes.drawing import SUBPIXEL_BITS, Canvas, Color, fixed_point, foreground_color, mean_color

JOINTS = MPII_JOINTS
PELVIS, THORAX, NECK, HEAD_TOP = 6, 7, 8, 9
RIGHT_LEG, LEFT_LEG = (2, 1, 0), (3, 4, 5)  # hip, knee, ankle
RIGHT_ARM, LEFT_ARM = (12, 11, 10), (13, 14, 15)  # shoulder, elbow, wrist

Skeleton: TypeAlias = Float[np.ndarray, "16 2"]

# Lengths relative to the body height. The head is large for an adult (.13), because PCKh measures errors in head sizes.
HEAD, NECK_LENGTH, TORSO, SHOULDER, HIP = 0.2, 0.06, 0.28, 0.13, 0.08
UPPER_ARM, FOREARM, THIGH, SHIN = 0.17, 0.16, 0.23, 0.23
ARM_THICKNESS, LEG_THICKNESS, TORSO_THICKNESS = 0.07, 0.085, 0.09
SUPERSAMPLING = 3


@dataclass(frozen=True)
class Pose:
    """A family of poses: its probability, and mean and standard deviation of each angle in degrees.

    `torso` is the clockwise rotation from upright. `shoulder` and `hip` are the outward angles of the upper arm and the thigh
    from the torso's downward direction; `elbow` is that of the forearm from the upper arm; `knee` bends the shin inward.
    """

    probability: float
    torso: tuple[float, float]
    shoulder: tuple[float, float]
    elbow: tuple[float, float]
    hip: tuple[float, float]
    knee: tuple[float, float]


POSES: dict[str, Pose] = {
    "standing": Pose(0.42, (0.0, 9.0), (32.0, 20.0), (15.0, 25.0), (10.0, 6.0), (3.0, 6.0)),
    "arms raised": Pose(0.2, (0.0, 12.0), (115.0, 30.0), (20.0, 35.0), (12.0, 8.0), (5.0, 8.0)),
    "striding": Pose(0.18, (0.0, 15.0), (50.0, 22.0), (45.0, 45.0), (28.0, 12.0), (18.0, 18.0)),
    "tilted": Pose(0.08, (0.0, 60.0), (60.0, 40.0), (20.0, 40.0), (20.0, 12.0), (10.0, 15.0)),
    "handstand": Pose(0.06, (180.0, 12.0), (160.0, 10.0), (5.0, 12.0), (15.0, 14.0), (8.0, 12.0)),
    "crouch": Pose(0.06, (0.0, 15.0), (60.0, 40.0), (30.0, 45.0), (75.0, 10.0), (95.0, 12.0)),
}
LIMITS = {"shoulder": (5, 178), "elbow": (-60, 130), "hip": (3, 95), "knee": (-8, 120)}  # degrees


def sample_skeleton(rng: np.random.Generator) -> Skeleton:
    """The joints of a random pose, relative to the body height, with the pelvis at the origin and y downwards."""
    families = list(POSES.values())
    pose = families[rng.choice(len(families), p=[family.probability for family in families])]
    turn = rng.normal(*pose.torso)
    joints = np.zeros((len(JOINTS), 2))
    joints[THORAX] = TORSO * _direction(turn)
    tilt = turn + rng.normal(0, 8)
    joints[NECK] = joints[THORAX] + NECK_LENGTH * _direction((turn + tilt) / 2)
    joints[HEAD_TOP] = joints[NECK] + HEAD * _direction(tilt)
    for side, arm, leg in ((1, RIGHT_ARM, RIGHT_LEG), (-1, LEFT_ARM, LEFT_LEG)):
        across, down = _direction(turn - 90 * side), turn + 180
        shoulder, elbow, hip, knee = (
            np.clip(rng.normal(*getattr(pose, angle)), *limits) for angle, limits in LIMITS.items()
        )
        joints[arm[0]], joints[leg[0]] = joints[THORAX] + SHOULDER * across, HIP * across
        joints[arm[1]] = joints[arm[0]] + UPPER_ARM * _direction(down + side * shoulder)
        joints[arm[2]] = joints[arm[1]] + FOREARM * _direction(down + side * (shoulder + elbow))
        joints[leg[1]] = joints[leg[0]] + THIGH * _direction(down + side * hip)
        joints[leg[2]] = joints[leg[1]] + SHIN * _direction(down + side * (hip - knee))
    return joints


def _direction(degrees: float) -> np.ndarray:
    """The unit vector `degrees` clockwise from straight up."""
    angle = np.deg2rad(degrees)
    return np.array([np.sin(angle), -np.cos(angle)])


def place(skeleton: Skeleton, size: int, fill: float, rng: np.random.Generator) -> tuple[Skeleton, float]:
    """The skeleton in pixels, at a random position inside the image, and its body height in pixels.

    `fill` in (0, 1] is the body height relative to the smaller of 90 % of the image's side and the largest height that fits.
    """
    low, high = skeleton.min(axis=0), skeleton.max(axis=0)
    room = HEAD / 2  # keeps the outlines of limbs and head inside, not only the joints
    height = fill * min(0.9 * size, (size - 4) / ((high - low).max() + room))
    slack = size - 4 - (high - low + room) * height
    corner = 2 + room * height / 2 + rng.random(2) * slack
    return (skeleton - low) * height + corner - 0.5, float(height)


def draw_figure(canvas: Canvas, joints: Skeleton, height: float, contrast: float, rng: np.random.Generator) -> Canvas:
    """The canvas with a person on it. The body height in pixels determines the thickness of the limbs."""
    size, behind = len(canvas), mean_color(canvas)
    warm, cool = rng.normal(0.03, 0.03), rng.normal(0.58, 0.05)
    arm, leg, shirt, skin = rng.normal(0, 0.02), rng.normal(0, 0.02), rng.random(), rng.normal(0.09, 0.02)
    hues = (warm + leg, cool + leg, shirt, skin, warm + arm, cool + arm)
    colors = [foreground_color(hue, behind, contrast, rng) for hue in hues]
    fine_size = (SUPERSAMPLING * size, SUPERSAMPLING * size)
    fine = cv2.resize(canvas.astype(np.uint8), fine_size, interpolation=cv2.INTER_NEAREST)
    _draw_body(fine, SUPERSAMPLING * (joints + 0.5) - 0.5, SUPERSAMPLING * height, colors)
    return cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)


def _draw_body(fine: np.ndarray, joints: Skeleton, height: float, colors: list[Color]) -> None:
    right_leg, left_leg, shirt, skin, right_arm, left_arm = (color.tolist() for color in colors)
    leg, torso, arm = (max(round(share * height), 1) for share in (LEG_THICKNESS, TORSO_THICKNESS, ARM_THICKNESS))
    _draw_chain(fine, joints[list(RIGHT_LEG)], leg, right_leg)
    _draw_chain(fine, joints[list(LEFT_LEG)], leg, left_leg)
    trunk = joints[[RIGHT_ARM[0], LEFT_ARM[0], LEFT_LEG[0], RIGHT_LEG[0]]]
    cv2.fillPoly(fine, [fixed_point(trunk)], shirt, cv2.LINE_AA, SUBPIXEL_BITS)
    _draw_chain(fine, np.concatenate([trunk, trunk[:1]]), torso, shirt)
    _draw_chain(fine, joints[[THORAX, NECK]], arm, skin)
    center, diameter = joints[[NECK, HEAD_TOP]].mean(axis=0), np.linalg.norm(joints[HEAD_TOP] - joints[NECK])
    radius = round(diameter / 2 * 2**SUBPIXEL_BITS)
    cv2.circle(fine, fixed_point(center).tolist(), radius, skin, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    _draw_chain(fine, joints[list(RIGHT_ARM)], arm, right_arm)
    _draw_chain(fine, joints[list(LEFT_ARM)], arm, left_arm)


def _draw_chain(fine: np.ndarray, points: np.ndarray, thickness: int, color: list[float]) -> None:
    cv2.polylines(
        fine,
        [fixed_point(points)],
        isClosed=False,
        color=color,
        thickness=thickness,
        lineType=cv2.LINE_AA,
        shift=SUBPIXEL_BITS,
    )
