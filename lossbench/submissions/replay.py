"""A submitted run, made again by a process that never loads the strategy's file.

This process builds the task, trains, evaluates and writes the record. In every round it asks the strategy's process, a new
one in a sandbox, for picks: it hands over the trained models, the images and the labels of labeled images, and gets back
ids, which it checks against the candidates. Whatever the strategy's code changes in its own process is gone with it.

Asking round by round was chosen over a replay of picks that a whole run in the sandbox made: the strategy's process needs
no label of another image, so that files with labels can be hidden from it, and models are trained once instead of twice.

What this cannot prevent: a strategy may hold labels in its own file, or render the scenes again, since code and seeds of
these are public; and it may behave otherwise in a rerun than elsewhere. A module that a strategy trains beside the model
is trained in the strategy's process, and what a record says of it (`auxiliary_ranking_accuracy`) is not measured here. In
the native track the model itself learns from such a module; these runs cannot be repeated without the strategy's code.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict

from leaderboard.schema.records import Track
from lossbench.config import Protocol
from lossbench.running.jobs import Job
from lossbench.running.loop import Run
from lossbench.running.selecting import checked
from lossbench.submissions.exchange import (
    MODELS,
    Answer,
    Code,
    Declaration,
    Question,
    read_answer,
    without_labels,
    write_question,
)
from lossbench.submissions.sandbox import Limits, SandboxError, own_folder, run_module
from strategies import Context, Selection, SelectionError, Strategy
from tasks.base import Ids, Task
from tasks.training.clock import Clock
from tasks.training.learner import Learner

DECLARE_LIMITS = Limits(seconds=300)
PICK_LIMITS = Limits(seconds=2 * 3600)
"""Of one round; a strategy's own module is trained in this time, too."""
PROGRAM = "lossbench.submissions.rerun"


def declared(code: Code) -> Declaration:
    """What a strategy declares, as its own process says.

    Raises:
        SandboxError: the file cannot be loaded, or the process gave no valid answer.
    """
    with own_folder() as folder:
        write_question(code, folder)
        run_module(PROGRAM, ["declare", str(folder), "0"], folder, DECLARE_LIMITS)
        return read_answer(Declaration, folder)


def can_be_replayed(track: Track, declaration: Declaration) -> bool:
    """Whether a clean process can train for a strategy: in the native track, its own module would change the model."""
    return track == "shared" or not declaration.auxiliary


@dataclass(frozen=True, kw_only=True)
class Rerun(Job):
    """A run of a submission that is to be made again, as plain data. None of its methods runs the strategy's code."""

    code: Code
    declaration: Declaration
    again: bool = False
    """Whether it is the second rerun of the same run, which must give the same."""

    @property
    def name(self) -> str:
        """As the strategy calls itself."""
        return self.declaration.name

    @property
    def title(self) -> str:
        """As people are told of it."""
        return f"{super().title}{', second time' if self.again else ''}"

    def strategy(self) -> Strategy:
        """A stand-in that declares the same."""
        return stand_in(self.declaration)

    def path(self, out: Path) -> Path:
        """Where its record lies."""
        return super().path(out / "again" if self.again else out)

    def run(
        self, task: Task[Any, Any], protocol: Protocol, strategy: Strategy, models: Path, first: tuple[int, ...] = ()
    ) -> Run:
        """Its loop."""
        return Replay(task, protocol, strategy, self.seed, self.track, self.split, models, first, code=self.code)


def stand_in(declaration: Declaration) -> Strategy:
    """A strategy that declares the same, and cannot select."""

    class StandIn(Strategy):
        model_config = ConfigDict(frozen=True, extra="allow")
        name: ClassVar[str] = declaration.name
        paper: ClassVar[str] = ""
        needs_lossnet: ClassVar[bool] = declaration.needs_lossnet
        cheats: ClassVar[bool] = declaration.cheats

        @property
        def committee_size(self) -> int:
            return declaration.committee_size

        @property
        def dropout(self) -> float:
            return declaration.dropout

        def select(self, ctx: Context) -> Selection:
            raise NotImplementedError

    return StandIn(**declaration.config)  # its record holds these


@dataclass(frozen=True, kw_only=True)
class Replay(Run):
    """A run whose picks come from the strategy's own process."""

    code: Code

    def select(self, number: int, labeled: tuple[Ids, ...], committee: tuple[Learner, ...]) -> Ids:
        """The picks of the strategy's process.

        Raises:
            SandboxError: it failed, or its picks are not as many distinct candidates as the budget.
        """
        ctx = self.context(number, labeled, committee)
        question = Question(
            code=self.code,
            protocol=self.protocol,
            seed=self.seed,
            track=self.track,
            number=number,
            task=without_labels(self.asked, labeled[-1]),
            labeled=labeled,
            candidates=ctx.candidates,
        )
        try:
            answer = self._answer(question, len(committee))
            committee[0].clock.seconds.update(answer.model_dump(exclude={"ids"}))
            return checked(Selection(np.array(answer.ids, dtype=np.int64)), ctx, self.where(number))
        except (SandboxError, SelectionError) as error:
            msg = f"{self.where(number)} under seed {self.seed}, {self.track}: {error}"
            raise SandboxError(msg) from None

    def _answer(self, question: Question, members: int) -> Answer:
        with own_folder(self.models.parent) as folder:
            write_question(question, folder)
            (folder / MODELS).mkdir()
            cache = self.cache(Clock())
            for member in range(members):
                shutil.copy(cache.path(question.labeled, member), folder / MODELS)
            run_module(PROGRAM, ["pick", str(folder), "0"], folder, PICK_LIMITS)
            return read_answer(Answer, folder)
