"""A strategy of one's own beside random picks and margin, under the same seeds.

Run it by `python compare_strategy.py`; called again, it goes on where it stopped.
"""

from pathlib import Path
from typing import ClassVar

import torch

import lossbench
from strategies.base import Context, Selection, Strategy, highest

PROTOCOL = Path(__file__).with_name("small-scenes.toml")
SEEDS = (0, 1)
OUT = Path("runs/compare")


class TopTwoRatio(Strategy):
    """Picks where the second likeliest category comes closest to the likeliest."""

    name: ClassVar[str] = "top-two-ratio"
    paper: ClassVar[str] = "Monarch 2021"

    def select(self, ctx: Context) -> Selection:
        """The candidates of highest ratio."""
        scores = []
        for posteriors in ctx.learner.posteriors(ctx.candidates):
            top = posteriors.log_probs.topk(2, dim=2).values
            scores.append(posteriors.pooled((top[..., 1] - top[..., 0]).exp()))
        return highest(ctx, torch.cat(scores))


def main() -> None:
    """Run three strategies, and print where they stand."""
    for strategy in ("random", "margin", TopTwoRatio):
        for seed in SEEDS:
            record = lossbench.run(PROTOCOL, strategy, seed, out=OUT)
            print(f"{record.strategy}, seed {seed}: accuracy {record.score}")
    board = lossbench.Leaderboard(lossbench.load_records(OUT / "records"))
    columns = ["strategy", "seeds", "area", "area_minus_random"]
    print(board.standings("small-scenes")[columns].round(3).to_string())


if __name__ == "__main__":
    main()
