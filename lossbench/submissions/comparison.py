"""Comparison of a rerun with the submitted records of the same strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.schema.records import Record, Track
from leaderboard.scoring.entries import Entry, Hardware
from leaderboard.scoring.statistics import interval

TIMED = {"seconds", "peak_memory_mebibytes"}
"""Fields of a round that may differ between equal runs."""
OWN_METRIC = "auxiliary_ranking_accuracy"
"""What a strategy's own module scores. It cannot be measured without the strategy's code, and is not compared."""


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


def compare(rerun: Record, submitted: Sequence[Record], *, deterministic: bool = True) -> Comparison:
    """Compare a rerun with the submitted runs of the same protocol and track.

    On the same kind of machine the rerun of a deterministic strategy must equal the submitted record. On another machine
    the rerun's area must lie within the confidence interval of the submitted seeds. With two seeds this interval is wide;
    with one seed there is none, and the area is not tested.

    Args:
        rerun: the record of the rerun.
        submitted: records of the same strategy; one of them has the rerun's protocol, track and seed.
        deterministic: whether the author states that equal runs give equal records.
    """
    runs = [record for record in submitted if (record.protocol, record.track) == (rerun.protocol, rerun.track)]
    same_seed = next(record for record in runs if record.seed == rerun.seed)
    run = (rerun.protocol, rerun.track, rerun.seed)
    label = f"{rerun.protocol}, {rerun.track}, seed {rerun.seed}"
    different = differences(same_seed, rerun)
    if not different:
        return Comparison(*run, notes=(f"{label}: the rerun is equal bit for bit",), exact=True)
    if same_seed.machine == rerun.machine and deterministic:
        fault = f"{label}: the rerun on the same kind of machine differs in {', '.join(different)}"
        return Comparison(*run, faults=(fault,))
    areas = Entry(rerun.strategy, reference=False, records=tuple(runs)).areas
    area = Entry(rerun.strategy, reference=False, records=(rerun,)).areas[rerun.seed]
    mean, lower, upper = interval([*areas.values()])
    common = len(rerun.picked & same_seed.picked) / max(len(rerun.picked), 1)
    note = (
        f"{label}: area {area:.4f} on {Hardware.of(rerun.machine)}, submitted {mean:.4f} on "
        f"{Hardware.of(same_seed.machine)} ({lower:.4f} to {upper:.4f}, {len(areas)} seeds); "
        f"{100 * common:.0f} % of the picks are the same"
    )
    if len(areas) > 1 and not lower <= area <= upper:
        return Comparison(*run, faults=(f"{note}: the area lies outside the interval of the submitted seeds",))
    return Comparison(*run, notes=(note,))


def differences(one: Record, other: Record) -> list[str]:
    """Names of the fields in which two records of a run differ, except for times, memory, machine, commit and `OWN_METRIC`."""
    left, right = (_comparable(record) for record in (one, other))
    names = [name for name in left if name != "rounds" and left[name] != right.get(name)]
    rounds = zip(left["rounds"], right["rounds"], strict=False)
    names += [f"{name} of round {number}" for number, pair in enumerate(rounds) for name in _unequal(*pair)]
    if len(left["rounds"]) != len(right["rounds"]):
        names.append("the number of rounds")
    return names


def _comparable(record: Record) -> dict[str, Any]:
    table = record.model_dump(exclude={"commit": True, "machine": True, "rounds": {"__all__": TIMED}})
    for each in table["rounds"]:
        each["metrics"].pop(OWN_METRIC, None)
    return table


def _unequal(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in one if one[name] != other[name]]
