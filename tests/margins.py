"""How far the numbers that tests measure after training lie from their thresholds: `python tests/margins.py [WORDS]`.

Each is measured under five seeds, on one thread, with the instructions that the environment leaves to torch. The last
column is the distance of the mean from its threshold in standard deviations; the script fails where one is below 3.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
from pathlib import Path

os.environ.update({"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "OMP_WAIT_POLICY": "PASSIVE"})
sys.path[:0] = [str(Path(__file__).parent / "support"), str(Path(__file__).parents[1])]

import loss_margins
import network_margins
import point_margins
import torch
import trained_margins
from margin import Margin

SEEDS = range(5)
LEAST = 3.0
MARGINS = (*loss_margins.MARGINS, *network_margins.MARGINS, *point_margins.MARGINS, *trained_margins.MARGINS)


def row(margin: Margin) -> tuple[str, float]:
    """A line of the table, and the margin in standard deviations."""
    values = [margin.measure(seed) for seed in SEEDS]
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    distance = margin.distance(mean)
    share = distance / deviation if deviation else math.copysign(math.inf, distance)
    shown = "none varies" if math.isinf(share) else f"{share:.1f}"
    return f"| {margin.name} | {margin.wanted} | {mean:.4g} | {deviation:.2g} | {shown} |", share


def main() -> int:
    """Print the table, and give the exit status."""
    chosen = [each for each in MARGINS if all(word in each.name for word in sys.argv[1:])]
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} thread\n")
    print("| what | wanted | mean | standard deviation | margin in standard deviations |\n|---|---|---|---|---|")
    least = math.inf
    for each in chosen:
        line, share = row(each)
        least = min(least, share)
        print(line, flush=True)
    return int(least < LEAST)


if __name__ == "__main__":
    sys.exit(main())
