"""Comparison of a rerun with the submitted records of the same strategy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leaderboard.schema.records import Record, Track
from leaderboard.scoring.entries import Entry, Hardware
from leaderboard.scoring.statistics import student

TIMED = {"seconds", "peak_memory_mebibytes"}
"""Fields of a round that may differ between equal runs."""
OWN_METRIC = "auxiliary_ranking_accuracy"
"""What a strategy's own module scores. It cannot be measured without the strategy's code, and is not compared."""
CONFIDENCE = 0.99
"""Share of honest reruns that pass, where another machine changes a run as much as another seed. A submission has several."""


@dataclass(frozen=True)
class Comparison:
    """The outcome of comparing one rerun."""

    task: str
    track: Track
    seed: int
    faults: tuple[str, ...] = ()
    """Why the rerun contradicts the submitted records."""
    notes: tuple[str, ...] = ()
    """How far the rerun agrees with them."""
    exact: bool = False
    """Whether the rerun equals the submitted record bit for bit."""


def compare(
    rerun: Record, submitted: Sequence[Record], random: Sequence[Record] = (), *, deterministic: bool = True
) -> Comparison:
    """Compare a rerun with the submitted run of the same protocol, track and seed.

    Settings and label counts must be equal. On the same kind of machine the rerun of a deterministic strategy must equal the
    submitted record. Otherwise rounding, or the strategy's own chance, leads to other models and picks: the two areas may
    then differ by as much as two runs of random under different seeds differ in 99 of 100 cases.

    Args:
        rerun: the record of the rerun.
        submitted: records of the same strategy; one of them has the rerun's protocol, track and seed.
        random: runs of random of this protocol and track, made by others. The submitted runs take their place where there
            are fewer than two; where there are fewer than two of these as well, the areas are not tested.
        deterministic: whether the author states that equal runs give equal records.
    """
    runs = [record for record in submitted if (record.protocol, record.track) == (rerun.protocol, rerun.track)]
    same_seed = next(record for record in runs if record.seed == rerun.seed)
    run = (rerun.protocol, rerun.track, rerun.seed)
    label = f"{rerun.protocol}, {rerun.track}, seed {rerun.seed}"
    different = differences(same_seed, rerun)
    if not different:
        return Comparison(*run, notes=(f"{label}: the rerun is equal bit for bit",), exact=True)
    if other_settings := [name for name in different if _must_be_equal(name, rerun, same_seed)]:
        return Comparison(*run, faults=(f"{label}: the rerun has other settings: {', '.join(other_settings)}",))
    if same_seed.machine == rerun.machine and deterministic:
        fault = f"{label}: the rerun on the same kind of machine differs in {', '.join(different)}"
        return Comparison(*run, faults=(fault,))
    (area,), (claimed,) = _areas([rerun]), _areas([same_seed])
    usual = _usual_difference(_areas(random if len(random) > 1 else runs))
    common = len(rerun.picked & same_seed.picked) / max(len(rerun.picked), 1)
    note = (
        f"{label}: area {area:.4f} on {Hardware.of(rerun.machine)}, submitted {claimed:.4f} on "
        f"{Hardware.of(same_seed.machine)}; {100 * common:.0f} % of the picks are the same"
    )
    if abs(area - claimed) > usual:
        fault = f"{note}: the areas differ by more than {usual:.4f}; two seeds differ by less in 99 of 100 cases"
        return Comparison(*run, faults=(fault,))
    return Comparison(*run, notes=(note,))


def _areas(records: Sequence[Record]) -> list[float]:
    """The areas under the learning curves of some runs of one protocol."""
    return [*Entry("", reference=False, records=tuple(records)).areas.values()]


def _usual_difference(areas: Sequence[float]) -> float:
    """How far two areas differ at most in 99 of 100 cases, by Student's t; infinite where fewer than two are known."""
    if len(areas) < 2:  # noqa: PLR2004 - a single number has no standard deviation
        return math.inf
    return student(0.0, math.sqrt(2) * float(np.std(areas, ddof=1)), len(areas) - 1, CONFIDENCE).upper


def _must_be_equal(name: str, rerun: Record, submitted: Record) -> bool:
    """Whether a field of `differences` is one that no rounding changes: a setting, or a label count."""
    if name == "first":
        return not (rerun.first and submitted.first)  # picked by a strategy in both
    return " of round " not in name or name.startswith("labeled ")


def differences(one: Record, other: Record) -> list[str]:
    """Names of the fields in which two records of a run differ.

    Times, memory, machine, commit, `OWN_METRIC`, and weights that the machine has trained are not compared.
    """
    left, right = (_comparable(record) for record in (one, other))
    names = [name for name in left | right if name != "rounds" and left.get(name) != right.get(name)]
    rounds = zip(left["rounds"], right["rounds"], strict=False)
    names += [f"{name} of round {number}" for number, pair in enumerate(rounds) for name in _unequal(*pair)]
    if len(left["rounds"]) != len(right["rounds"]):
        names.append("the number of rounds")
    return names


def _comparable(record: Record) -> dict[str, Any]:
    table = record.model_dump(exclude={"commit": True, "machine": True, "rounds": {"__all__": TIMED}})
    table["fingerprints"].pop("trunk", None)
    for each in table["rounds"]:
        each["metrics"].pop(OWN_METRIC, None)
    return table


def _unequal(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in one if one[name] != other[name]]
