"""`lossbench pick`: which of one's own images to label next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossbench.cli.option_groups import with_option_groups
from lossbench.cli.options import CodeFromOutside, limit_threads
from lossbench.cli.output import console, say, status
from lossbench.cli.pick_options import Images, Selection, Simulation, Where
from lossbench.paths import Paths
from lossbench.words import plural

if TYPE_CHECKING:
    from lossbench.labeling.outcome import Outcome
    from lossbench.labeling.plan import Request

USUAL_ROUNDS = 5
MOST_CLASSES = 10
"""Of which the terminal shows how many labels they have."""
EXAMPLES = """Examples:

\b
lossbench pick --unlabeled photos --kind detection --classes car,bus --strategy typiclust --budget 100 --out round-1
lossbench pick --unlabeled photos --labeled export.json --strategy badge --budget 100 --out round-2
lossbench pick --settings round-2/round.toml --out again
lossbench pick --unlabeled photos --oracle labels.json --strategy badge --strategy margin --budget 100 --out simulation
"""


@with_option_groups
def pick(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="New folder for the round.", show_default=False)],
    *,
    images: Images,
    selection: Selection,
    simulation: Simulation,
    image_address: Annotated[
        str | None,
        typer.Option(
            "--image-address",
            metavar="URL",
            help="What Label Studio's addresses of images begin with. [default: its local files, below the folder's name]",
        ),
    ] = None,
    where: Where,
    code: CodeFromOutside,
) -> None:
    """Pick images of your own to label next.

    Writes a folder with the picks, a page to look at, and files for annotation tools.
    """
    limit_threads()
    code.load()
    from lossbench.running.machine import check_device

    check_device(where.device)
    request = _request(images, selection, simulation)
    if simulation.oracle:
        _check_simulation(where, image_address)
        rounds = USUAL_ROUNDS if simulation.rounds is None else simulation.rounds
        _simulate(request, rounds, selection.strategy or (), Paths(Path(), out, where.device), where.workers)
    elif simulation.rounds is not None:
        msg = "--rounds is of simulations; give labels with --oracle, or leave it out"
        raise typer.BadParameter(msg)
    else:
        _pick(request, out, where, image_address)


def _check_simulation(where: Where, image_address: str | None) -> None:
    """Refuse options that mean nothing in a simulation."""
    why = {
        "--cluster": (where.cluster, "simulate first, and give --cluster to the `lossbench run` that adds runs"),
        "--cache": (where.cache, "what a simulation computes is kept in --out"),
        "--image-address": (image_address, "a simulation writes no files for annotation tools"),
    }
    for option, (given, reason) in why.items():
        if given is not None:
            msg = f"{option} and --oracle: {reason}"
            raise typer.BadParameter(msg)


def _request(images: Images, selection: Selection, simulation: Simulation) -> Request:
    """What the options ask for; what they leave open stands in the file of settings, or has a default."""
    from lossbench.labeling.plan import Request, read_settings

    if images.labeled and simulation.oracle:
        msg = (
            "--labeled and --oracle: a round knows labels, and a simulation is answered from them; give one of the two"
        )
        raise typer.BadParameter(msg)
    table: dict[str, Any] = read_settings(selection.settings) if selection.settings else {}
    given: dict[str, Any] = {"budget": selection.budget, "seed": selection.seed}
    if selection.strategy and not simulation.oracle:
        if len(selection.strategy) > 1:
            msg = "two strategies; a round has one, and --oracle compares several"
            raise typer.BadParameter(msg)
        given["strategy"] = selection.strategy[0]
    table |= {name: value for name, value in given.items() if value is not None}
    labels = simulation.oracle or images.labeled or ()
    return Request(images.unlabeled, labels, images.kind, _class_names(images.classes), table)


def _class_names(text: str | None) -> list[str]:
    """The names in a list with commas between."""
    names = [] if text is None else [name.strip() for name in text.split(",")]
    if not all(names):
        msg = f"--classes {text!r} has an empty name"
        raise typer.BadParameter(msg)
    if twice := [name for name in names if names.count(name) > 1]:
        msg = f"--classes {text!r} has {twice[0]!r} twice"
        raise typer.BadParameter(msg)
    return names


def _pick(request: Request, out: Path, where: Where, image_address: str | None) -> None:
    """Make a round."""
    import torch

    from lossbench.labeling.makers import helpers
    from lossbench.labeling.plan import plan_round
    from lossbench.labeling.round import LabelingRound
    from lossbench.labeling.writing import IMAGES, Addresses, check_free, check_outside, write_round
    from lossbench.running.sweep import prepare
    from tasks.notices import each_line_once
    from tasks.progress import listening

    cache = where.cache or Path("runs/cache")
    check_free(out, cache)
    prepare()
    with each_line_once(), status("reading labels") as now, listening(now):
        settings = plan_round(request)
        one = LabelingRound(settings, cache, torch.device(where.device))
        check_outside(out, Path(one.source.images))
        with helpers(settings, cache, where.device, where.workers, where.cluster):
            outcome = one.run()
        now("writing")
        served = one.folder.name if one.folder else f"{out.name}/{IMAGES}"
        addresses = Addresses("", image_address) if image_address is not None else Addresses(f"{served}/")
        write_round(outcome, one.shape, out, addresses)
    _show(outcome, out)


def _simulate(request: Request, rounds: int, strategies: Sequence[str], paths: Paths, workers: int | None) -> None:
    """Run strategies on labels that are known."""
    from lossbench.labeling.plan import plan_simulation
    from lossbench.labeling.writing import write_protocol
    from lossbench.publishing.report import report
    from lossbench.running.executors.local import Local
    from lossbench.running.jobs import jobs, sweep_of
    from lossbench.running.progress import SweepProgress
    from lossbench.running.sweep import run_sweep
    from tasks.cores import own_cores
    from tasks.notices import each_line_once

    with each_line_once():
        protocol, one = plan_simulation(request, rounds, strategies)
    write_protocol(protocol, paths.out)
    wanted = {
        "protocols": [protocol.name],
        "strategies": list(dict.fromkeys(["random", *(strategies or [one.strategy])])),
        "seeds": [one.seed],
        "parameters": {one.strategy: one.parameters} if one.parameters else {},
    }
    runs = jobs(sweep_of(wanted, {"strategies": "--strategy", "seeds": "--seed"}), (protocol,))
    workers = workers or (min(own_cores(), len(runs)) if paths.device == "cpu" else 1)
    screen = console()
    with each_line_once(), SweepProgress(runs, screen) as progress:
        records = run_sweep(runs, paths, Local(workers), progress)
    report(records, (), paths.out, screen, [job.strategy() for job in runs if job.fingerprints])


def _show(outcome: Outcome, out: Path) -> None:
    from lossbench.labeling.writing import INDEX, PICKS

    held_out = f", {outcome.held_out:,} held out" if outcome.held_out else ""
    say(
        f"{plural(outcome.images, 'image')}: {plural(outcome.trained_on, 'labeled image')} to train on{held_out}, "
        f"{plural(outcome.duplicates, 'near-duplicate')} left out"
    )
    if outcome.labels:
        counts = [f"{name} {number:,}" for name, number in outcome.labels.items()]
        more = f", and {len(counts) - MOST_CLASSES} classes more" if len(counts) > MOST_CLASSES else ""
        say(f"Labels: {', '.join(counts[:MOST_CLASSES])}{more}")
    if outcome.metrics:
        say("Held-out labels: " + ", ".join(f"{name} {value:.3f}" for name, value in outcome.metrics.items()))
    say(f"Picks: {out / PICKS} ({plural(len(outcome.picks), 'image')} by {outcome.settings.strategy})")
    say(f"Page:  {(out / INDEX).resolve().as_uri()}")
