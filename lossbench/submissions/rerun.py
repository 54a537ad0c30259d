"""The program of a strategy's process: `python -m lossbench.submissions.rerun declare|pick|check FOLDER SECONDS`.

It reads a question from the folder, loads the strategy's file, and writes an answer there. Nothing that it writes is
trusted: the process that started it validates the answer and reads nothing else.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from pathlib import Path
from typing import IO

from lossbench.errors import LossbenchError
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossbench.running.selecting import Choice, checked, selecting, selection_context
from lossbench.running.streams import stream
from lossbench.running.sweep import prepare
from lossbench.submissions.conformance import run_checks
from lossbench.submissions.exchange import (
    MAX_FAULT_CHARACTERS,
    MODELS,
    TIMEOUT,
    Answer,
    Code,
    Declaration,
    Question,
    Verdicts,
    read_question,
    write_answer,
)
from strategies import Strategy, StrategyError
from tasks.outside.errors import blaming_outside
from tasks.training.clock import Clock


def declare(folder: Path) -> None:
    """Write what a strategy declares."""
    code: Code = read_question(folder)
    write_answer(Declaration.of(code.load()), folder)


def pick(folder: Path) -> None:
    """Write a strategy's picks of one round.

    Models that the verifying process trained lie in `models`. A strategy's own module, which learns beside the model, and
    this model are trained here: they run the strategy's code.
    """
    question: Question = read_question(folder)
    task, protocol, strategy = question.task, question.protocol, question.code.load()
    clock = Clock(task.unlabeled.device)
    plan = TrainingPlan.of(strategy, protocol.loss_prediction, question.track)
    cache = ModelCache(folder / MODELS, task, question.seed, plan, clock)
    committee = tuple(cache.learner(question.labeled, member)[0] for member in range(strategy.committee_size))
    ctx = selection_context(
        task,
        strategy,
        committee,
        Choice(question.labeled[-1], question.candidates, protocol.budget.step, question.labeled[0]),
        stream(question.seed, "select", question.number),
    )
    where = f"{strategy.name} on {protocol.name}, round {question.number}"
    with clock.phase("score"), selecting(where):
        selection = strategy.select(ctx)
    ids = checked(selection, ctx, where)
    write_answer(Answer(ids=tuple(ids.tolist()), **clock.selection()), folder)


def check(folder: Path, seconds: int) -> None:
    """Run the conformance checks on a strategy.

    A check that takes longer than `seconds` ends this process, and `TIMEOUT` says at which line.
    """
    code: Code = read_question(folder)
    with (folder / TIMEOUT).open("w") as file:
        faulthandler.dump_traceback_later(seconds, exit=True, file=file)
        write_answer(_verdicts(code.load(), folder, seconds, file), folder)


def _verdicts(strategy: Strategy, folder: Path, seconds: int, file: IO[str]) -> Verdicts:
    has_smoke_sizes = type(strategy).smoke.__func__ is not Strategy.smoke.__func__
    checked_one: object = type(strategy).smoke() if has_smoke_sizes else strategy
    if not isinstance(checked_one, Strategy):
        msg = f"{strategy.name}: `smoke` returned {checked_one!r:.80}; a strategy is wanted"
        raise StrategyError(msg)
    verdicts: list[tuple[str, str, str]] = []
    for verdict in run_checks(checked_one, folder):
        faulthandler.dump_traceback_later(seconds, exit=True, file=file)  # begins anew
        verdicts.append((verdict.check, verdict.kind, verdict.fault[:MAX_FAULT_CHARACTERS]))
    if strategy.cheats:
        verdicts.append(("may be submitted", "all", "the strategy reads the true losses of candidates (`cheats`)"))
    return Verdicts(name=strategy.name, verdicts=tuple(verdicts))


def main() -> None:
    """Answer one request, and end at once, whatever the strategy left running."""
    prepare()
    what, folder, seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    try:
        with blaming_outside():  # members that are not called by a check or a selection alone
            if what == "check":
                check(folder, seconds)
            else:
                {"declare": declare, "pick": pick}[what](folder)
    except LossbenchError as error:
        sys.exit(str(error))
    sys.stdout.flush()
    os._exit(0)  # threads that the strategy left do not keep the process alive


if __name__ == "__main__":
    main()
