"""Made-up records for the tests of the leaderboard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leaderboard.schema.records import Machine, MetricInfo, Phases, Record, Round

ACCURACY = MetricInfo(name="accuracy", unit="%", larger_is_better=True)


def make_record(scores: Sequence[float] = (50.0, 60.0, 70.0), **changes: object) -> Record:
    """A record whose rounds have the given scores, at 100, 200, … labels; `changes` replace fields."""
    metric = changes.get("metric", ACCURACY)
    ranking = changes.pop("ranking", (0.6,) * len(scores))
    rounds = tuple(
        Round(
            labeled=100 * (place + 1),
            metrics={metric.name: score} | ({"ranking_accuracy": ranking[place]} if ranking else {}),
            picked=tuple(range(100 * place, 100 * place + 3)) if place < len(scores) - 1 else (),
            seconds=Phases(fit=10.0 + place, evaluate=1.0, forward=0.5, score=0.25, pick=0.25),
            peak_memory_mebibytes=512.0,
        )
        for place, score in enumerate(scores)
    )
    fields = {
        "protocol": "shapes-mini",
        "version": 1,
        "track": "shared",
        "strategy": "random",
        "seed": 0,
        "split": "test",
        "metric": ACCURACY,
        "group_names": ("disc", "ring"),
        "config": {"budget": 100},
        "strategy_config": {},
        "machine": Machine(processor="Xeon", device="cpu", threads=1, python="3.11.7", torch="2.11.0"),
        "commit": "0" * 40,
        "planned_rounds": len(scores),
        "rounds": rounds,
    }
    return Record(**(fields | changes))


def realistic_records(seeds: int = 3, strategies: Sequence[str] = ("random", "learning-loss")) -> list[Record]:
    """Noisy, rising curves of three tasks that look like the real ones."""
    rng = np.random.default_rng(7)
    tasks = {
        "cifar10-mini": (ACCURACY, 42.0, 31.0),
        "voc-mini": (MetricInfo(name="mAP", unit="%", larger_is_better=True), 9.0, 14.0),
        "lsp-mini": (MetricInfo(name="PCKh@0.5", unit="share of joints", larger_is_better=True), 0.21, 0.24),
    }
    records = []
    for task, (metric, start, rise) in tasks.items():
        for seed in range(seeds):
            first = start + rise * rng.normal(scale=0.04)
            for place, strategy in enumerate(strategies):
                gain = rise * (1 + 0.04 * place) * (1 - np.exp(-np.arange(1, 5) / 2))
                scores = [first, *(first + gain + rise * rng.normal(scale=0.03, size=4))]
                ranking = rng.uniform(0.55, 0.75, size=5).tolist()
                records.append(
                    make_record(scores, protocol=task, metric=metric, strategy=strategy, seed=seed, ranking=ranking)
                )
    return records
