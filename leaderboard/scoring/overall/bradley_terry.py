"""Strengths of players by the model of Bradley and Terry (1952): i beats j with probability 1 / (1 + exp(s_j - s_i)).

Players need not have met, and a pair that never met counts for nothing. The strengths are relative to an anchor, whose
strength is 0. Each other player has one drawn match against the anchor beside its own, so that strengths stay finite.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

ELO = 400 / math.log(10)
"""One unit of strength in points of Elo (1978): a player with 400 points more wins ten of eleven matches."""
MOST_STEPS, LARGEST_STEP, TOLERANCE = 50, 2.0, 1e-7


def wins(scores: Float[NDArray[np.float64], "r p"]) -> Float[NDArray[np.float64], "r p p"]:
    """Who beat whom in every run: 1 where the row has the larger score, a half each for ties, 0 where one has none.

    Args:
        scores: the score of every player in every run, larger is better; NaN where a player did not take part.
    """
    gaps = scores[:, :, None] - scores[:, None, :]
    won = (gaps > 0) + 0.5 * (gaps == 0)
    won[:, np.arange(scores.shape[1]), np.arange(scores.shape[1])] = 0
    return won


def strengths(won: Float[NDArray[np.float64], "b p p"], anchor: int) -> Float[NDArray[np.float64], "b p"]:
    """The strengths with the largest likelihood for every matrix of wins, by Newton's method.

    Args:
        won: how often the row beat the column, a matrix per resample.
        anchor: the player of strength 0.

    Returns:
        The strengths; NaN for players other than the anchor without a match.
    """
    resamples, players = won.shape[:2]
    played = (won + won.transpose(0, 2, 1)).sum(2) > 0
    played[:, anchor] = True
    won = won.copy()
    won[:, :, anchor] += 0.5
    won[:, anchor, :] += 0.5
    won[:, anchor, anchor] = 0
    matches = won + won.transpose(0, 2, 1)
    others = np.delete(np.arange(players), anchor)
    found = np.zeros((resamples, players))
    for _ in range(MOST_STEPS):
        expected = 1 / (1 + np.exp(found[:, None, :] - found[:, :, None]))
        slope = (won - matches * expected).sum(2)
        curvature = matches * expected * (1 - expected)
        hessian = -curvature
        hessian[:, np.arange(players), np.arange(players)] = curvature.sum(2)
        step = np.linalg.solve(hessian[:, others[:, None], others], slope[:, others, None])[..., 0]
        found[:, others] += np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        if not step.size or np.abs(step).max() < TOLERANCE:
            break
    return np.where(played, found, np.nan)
