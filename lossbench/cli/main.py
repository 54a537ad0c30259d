"""The command line. Heavy imports stand where they are needed, so that --help answers at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lossbench.cli.leaderboard import DataOption, OutOption
from lossbench.cli.leaderboard import app as leaderboard_app

if TYPE_CHECKING:
    from lossbench.config import Protocol, Sweep

USER_FAULT = 2
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Lossbench: active-learning strategies on classification, detection and pose, around one loss module.",
)
app.add_typer(leaderboard_app)
console = Console()


def main() -> None:
    """Run the command; what the user can mend ends in one line and exit code 2."""
    try:
        app()
    except Exception as error:
        line = _mendable(error)
        if line is None:
            raise
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"lossbench: {line}", markup=False)
        sys.exit(USER_FAULT)


def _mendable(error: Exception) -> str | None:
    """One line on a fault of input or machine; None for a fault of the program."""
    from lossbench.errors import LossbenchError

    faults: tuple[type[Exception], ...] = (LossbenchError, OSError)
    if "torch" in sys.modules:
        from lossnet import TapError

        faults += (TapError,)
    return " ".join(str(error).split()) if isinstance(error, faults) else None


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="A sweep (configs/sweeps/*.toml) or a task protocol (configs/tasks).")],
    strategy: Annotated[
        list[str] | None, typer.Option(help="Only these: names, files my_strategy.py, or full-pool.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only these.")] = None,
    track: Annotated[list[str] | None, typer.Option(help="Only these: shared, native.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="Only these protocols of the sweep.")] = None,
    split: Annotated[str | None, typer.Option(help="Measure on `test` or, to make choices, on `validation`.")] = None,
    data: DataOption = Path("data"),
    out: OutOption = Path("runs"),
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per core, or one on cuda.")] = None,
) -> None:
    """Make the runs of a sweep; what is recorded already is not made again."""
    os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})  # before torch is imported
    from lossbench.config import read_sweep
    from lossbench.paths import Paths
    from lossbench.publishing.report import planned, report
    from lossbench.running.machine import check_device
    from lossbench.running.progress import SweepProgress
    from lossbench.running.sweep import jobs, run_sweep

    sweep, protocols = read_sweep(config)
    plans = planned(config.stem, sweep, protocols)
    sweep, protocols = _narrowed(
        sweep, protocols, strategies=strategy, seeds=seed, tracks=track, protocols=protocol, split=split
    )
    check_device(device)
    runs = jobs(sweep, protocols)
    paths = Paths(data, out, device)
    workers = min(workers or (1 if device != "cpu" else os.cpu_count() or 1), len(runs))
    line = f"{len(runs)} runs on {len(protocols)} tasks, {workers} at a time, into {out}"
    console.print(line, soft_wrap=True, highlight=False, markup=False)
    with SweepProgress(runs, console) as progress:
        records = run_sweep(runs, paths, workers, progress)
    report(records, plans, out, console)


def _narrowed(
    sweep: Sweep, known: tuple[Protocol, ...], **chosen: list[str] | list[int] | str | None
) -> tuple[Sweep, tuple[Protocol, ...]]:
    """The sweep with what the command line names in place of what the file says; everything is checked here."""
    from lossbench.config import ConfigError, validated
    from strategies import FULL_POOL, load_strategy

    fields = sweep.model_dump() | {name: value for name, value in chosen.items() if value}
    unknown = set(fields["protocols"]) - set(sweep.protocols)
    if unknown:
        msg = f"no protocol {min(unknown)!r} in this sweep; there are {', '.join(sweep.protocols)}"
        raise ConfigError(msg)
    if chosen["strategies"] or chosen["seeds"]:
        fields["full_pool_seeds"] = ()
    narrowed = validated(type(sweep), fields, "the command line")
    for each in narrowed.strategies:
        if each != FULL_POOL:
            load_strategy(each, narrowed.parameters.get(each))
    return narrowed, tuple(each for each in known if each.name in narrowed.protocols)


@app.command()
def tasks(folder: Annotated[Path, typer.Argument(help="Folder of protocols.")] = Path("configs/tasks")) -> None:
    """List the task protocols."""
    from rich.table import Column, Table

    from lossbench.config import ConfigError, config_files, read_protocol

    if not (files := config_files(folder)):
        msg = f"no task protocols in {folder}; give the folder that holds them"
        raise ConfigError(msg)
    names = ("task", "no.", "kind", "labels", "rounds", "among")
    table = Table(*(Column(name, no_wrap=True) for name in names), box=None)
    for path in files:
        each = read_protocol(path)
        labeled = each.budget.labeled
        table.add_row(
            each.name,
            str(each.version),
            each.task.kind,
            f"{labeled[0]:,} to {labeled[-1]:,}",
            str(len(labeled)),
            f"{each.budget.subset:,}" if each.budget.subset else "all",
        )
    console.print(table)


@app.command()
def strategies() -> None:
    """List the selection strategies: paper, kind, what each needs, and its cost after the forward pass."""
    from rich.table import Column, Table

    from strategies import STRATEGIES

    table = Table(Column("strategy", no_wrap=True), "paper", "kind", "needs", "cost")
    for each in STRATEGIES:
        table.add_row(each.name, each.paper, each.kind, each().needs, each.cost)
    console.print(table)
    console.print("N candidates, L labeled, K picks, D embedding, C categories, T passes, G groups", highlight=False)


@app.command()
def profile(
    task: Annotated[Path, typer.Option(help="A task protocol (configs/tasks/*.toml).")],
    strategies: Annotated[
        str, typer.Option(help="Names or files, separated by commas; `all` takes hours on a CPU.")
    ] = "all",
    pool: Annotated[str, typer.Option(help="Numbers of candidates, separated by commas.")] = "10000,100000",
    budget: Annotated[str, typer.Option(help="Numbers of picks, separated by commas.")] = "1000",
    repeats: Annotated[int, typer.Option(min=1, help="Measured, after one that warms up.")] = 5,
    patience: Annotated[float, typer.Option(help="Seconds after which a cell is not repeated any more.")] = 600.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the processor.")] = 1,
    data: DataOption = Path("data"),
    out: OutOption = Path("runs"),
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Measure what selections cost: forward, score and pick seconds and memory, and how they grow."""
    os.environ.update({"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"})  # before torch is imported
    from lossbench.config import read_protocol
    from lossbench.measuring.selection import SelectionSizes, measure_selection, measurement_conditions
    from lossbench.measuring.selection_report import cost_tables, write_costs
    from lossbench.paths import Paths
    from lossbench.running.machine import check_device
    from lossbench.running.sweep import prepare
    from strategies import STRATEGIES, load_strategy

    check_device(device)
    names = [each.name for each in STRATEGIES if not each.cheats] if strategies == "all" else strategies.split(",")
    chosen = [load_strategy(name.strip()) for name in names]
    sizes = SelectionSizes(_numbers(pool, "--pool"), _numbers(budget, "--budget"), repeats, patience)
    protocol, paths = read_protocol(task), Paths(data, out, device)
    prepare(threads)
    costs = []
    for cost in measure_selection(protocol, chosen, sizes, paths):
        console.print(f"{cost.strategy}: {cost.pool:,} candidates, {cost.budget:,} picks", highlight=False)
        costs.append(cost)
    for table in cost_tables(costs):
        console.print(table)
    conditions = measurement_conditions(protocol, paths)
    for path in write_costs(costs, conditions, out / "profiles" / protocol.name):
        console.print(str(path), soft_wrap=True, highlight=False, markup=False)


@app.command()
def speed(
    task: Annotated[Path, typer.Argument(help="A task protocol (configs/tasks/*.toml).")],
    steps: Annotated[int, typer.Option(min=1, help="Measured, after three that warm up.")] = 25,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the processor.")] = 1,
    data: DataOption = Path("data"),
    out: OutOption = Path("runs"),
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Measure how fast a protocol trains: images a second, beside the bare model, and where the time goes."""
    os.environ.update({"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"})  # before torch is imported
    from lossbench.config import read_protocol
    from lossbench.measuring.training import measure_training, speed_table
    from lossbench.paths import Paths
    from lossbench.running.machine import check_device
    from lossbench.running.sweep import prepare

    check_device(device)
    prepare(threads)
    protocol, paths = read_protocol(task), Paths(data, out, device)
    console.print(speed_table(protocol, measure_training(protocol, paths, steps), paths))


@app.command()
def diagnose(
    records: Annotated[list[Path], typer.Argument(help="Records (runs/records/TASK/*.json) of one task or several.")],
    strategy: Annotated[list[Path] | None, typer.Option(help="Files of strategies that are not Lossbench's.")] = None,
    data: DataOption = Path("data"),
    out: OutOption = Path("runs"),
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Draw what stands behind runs: lossnet's predictions, calibration, picks, overlaps, seconds.

    Models come from OUT/fits; those that are not there are trained again.
    """
    from leaderboard.schema.records import read_record
    from lossbench.diagnosis.charts import save_charts
    from lossbench.diagnosis.examination import diagnose as diagnoses
    from lossbench.diagnosis.examination import summary_table
    from lossbench.paths import Paths
    from lossbench.running.machine import check_device
    from lossbench.running.sweep import prepare

    check_device(device)
    prepare()
    folder, found = out / "diagnosis", []
    for each in diagnoses([read_record(path) for path in records], Paths(data, out, device), strategy or ()):
        for path in each.save_contact_sheets(folder):
            console.print(f"{each.record.protocol}, {each.label}: {path}", soft_wrap=True, highlight=False)
        found.append(each)
    console.print(summary_table(found))
    for path in save_charts(found, folder):
        console.print(str(path), soft_wrap=True, highlight=False, markup=False)


def _numbers(listed: str, option: str) -> tuple[int, ...]:
    from lossbench.config import ConfigError

    parts = listed.split(",")
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        msg = f"{option} {listed!r} is no list of positive whole numbers; write for instance 10000,100000"
        raise ConfigError(msg)
    return tuple(int(part) for part in parts)


@app.command()
def data(
    data: DataOption = Path("data"),
    fetch: Annotated[list[str] | None, typer.Option(help="Download: cifar10, voc2007, voc2012.")] = None,
) -> None:
    """Say what real data is needed and where it is looked for, and check it."""
    from tasks.base import DataError
    from tasks.datasets.catalog import fetch as fetch_dataset
    from tasks.datasets.catalog import states

    for name in fetch or ():
        fetch_dataset(name, data)
    console.print(f"Looked for below {data.resolve()} (--data DIR):", soft_wrap=True, highlight=False, markup=False)
    found = list(states(data))
    for each in found:
        line = f"  {each.dataset.name:8} {each.dataset.folder}: {each.text}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if damaged := [each.dataset.name for each in found if each.damaged]:
        msg = f"damaged: {', '.join(damaged)}; fetch it again"
        raise DataError(msg)
