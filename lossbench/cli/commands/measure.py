"""`lossbench measure`: what training and selection cost on this machine."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import typer

from lossbench.cli.completion import strategy_names
from lossbench.cli.group import group
from lossbench.cli.option_groups import with_option_groups
from lossbench.cli.options import (
    CodeFromOutside,
    Place,
    ProtocolName,
    Threads,
    limit_threads,
)
from lossbench.cli.output import console, say

MOST_CANDIDATES = 100_000_000
Chosen = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        metavar="NAME",
        help="Name or file. Repeatable. [default: all that are ranked, which takes hours on a CPU]",
        autocompletion=strategy_names,
    ),
]
Pools = Annotated[
    list[int],
    typer.Option("--pool", metavar="N", min=1, max=MOST_CANDIDATES, help="Number of candidates. Repeatable."),
]
Budgets = Annotated[
    list[int], typer.Option("--budget", metavar="N", min=1, max=MOST_CANDIDATES, help="Number of picks. Repeatable.")
]
Repeats = Annotated[
    int, typer.Option("--repeats", metavar="N", min=1, max=1_000_000, help="Repeats, after one that warms up.")
]
Patience = Annotated[
    float, typer.Option("--patience", metavar="SECONDS", min=0.0, max=1e9, help="No further repeat after this time.")
]


class Sizes(NamedTuple):
    """Options: how much is selected, and how often."""

    pool: Pools = [10_000, 100_000]
    budget: Budgets = [1_000]
    repeats: Repeats = 5
    patience: Patience = 600.0


app = group("Measure what training and selection cost on this machine.")


@app.command()
@with_option_groups
def training(
    protocol: ProtocolName,
    steps: Annotated[
        int, typer.Option(metavar="N", min=1, max=1_000_000, help="Measured steps, after three that warm up.")
    ] = 25,
    threads: Threads = 1,
    *,
    code: CodeFromOutside,
    place: Place,
) -> None:
    """Measure how fast a protocol trains.

    Images a second, beside the bare model, and where the time goes: of steps that the processor prepares one by one, and
    of steps whose data lie on the device, on a GPU captured in a CUDA graph.
    """
    limit_threads(threads)
    code.load()
    from lossbench.config_files import read_protocol
    from lossbench.measuring.training import measure_training
    from lossbench.measuring.training_report import speed_table
    from lossbench.running.machine import check_device
    from lossbench.running.sweep import prepare

    check_device(place.device)
    prepare(threads)
    wanted, paths = read_protocol(protocol), place.paths
    console().print(speed_table(wanted, measure_training(wanted, paths, steps), paths))


@app.command()
@with_option_groups
def selection(
    protocol: ProtocolName,
    strategy: Chosen = None,
    *,
    sizes: Sizes,
    threads: Threads = 1,
    code: CodeFromOutside,
    place: Place,
) -> None:
    """Measure what selections cost.

    Seconds to forward, score and pick, memory, and how these grow with the candidates and the picks.
    """
    limit_threads(threads)
    code.load()
    from lossbench.config_files import read_protocol
    from lossbench.measuring.selection import SelectionSizes, measure_selection, measurement_conditions
    from lossbench.measuring.selection_report import cost_tables, write_costs
    from lossbench.running.machine import check_device
    from lossbench.running.sweep import prepare
    from strategies import STRATEGIES, load_strategy

    check_device(place.device)
    chosen = [load_strategy(name) for name in strategy or (known.name for known in STRATEGIES if not known.cheats)]
    measured = SelectionSizes(tuple(sizes.pool), tuple(sizes.budget), sizes.repeats, sizes.patience)
    wanted, paths = read_protocol(protocol), place.paths
    prepare(threads)
    costs = []
    for cost in measure_selection(wanted, chosen, measured, paths):
        say(f"{cost.strategy}: {cost.pool:,} candidates, {cost.budget:,} picks")
        costs.append(cost)
    console().print(*cost_tables(costs))
    say(*write_costs(costs, measurement_conditions(wanted, paths), place.out / "profiles" / wanted.name))
