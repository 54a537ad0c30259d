"""What the verifying process and a strategy's process hand to each other.

The verifying process pickles a `Question`; it reads back JSON only, which it validates. A pickle never goes the other way.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import torch
from pydantic import AfterValidator, Field, JsonValue

from leaderboard.schema.records import Count, Name, Part, Seconds, Text, Track, read_bytes
from lossbench.config import Protocol
from lossbench.submissions.sandbox import SandboxError
from lossbench.words import spelled_out
from strategies import Strategy, load_strategy
from tasks.base import Ids, Task
from tasks.outside.files import Source

QUESTION, ANSWER, MODELS, TIMEOUT = "question.pickle", "answer.json", "models", "timeout.txt"
"""Names in the folder of a strategy's process; the last says where a check was when its time was over."""
MAX_FAULT_CHARACTERS = 2000
Foreign = Annotated[str, Field(max_length=MAX_FAULT_CHARACTERS), AfterValidator(spelled_out)]
"""What a strategy's process says, for a terminal."""
AnyAnswer = TypeVar("AnyAnswer", bound=Part)


class Declaration(Part):
    """What a strategy declares: all that has to be known to train for it without its code."""

    name: Name
    config: dict[str, JsonValue]
    """Its hyper-parameters, with the defaults."""
    needs_lossnet: bool
    auxiliary: bool
    """Whether it trains a module of its own beside the model."""
    committee_size: Annotated[int, Field(ge=1, le=100)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    cheats: bool

    @classmethod
    def of(cls, strategy: Strategy) -> Declaration:
        """The declaration of a loaded strategy."""
        return cls(
            name=strategy.name,
            config=strategy.model_dump(mode="json"),
            needs_lossnet=strategy.needs_lossnet,
            auxiliary=type(strategy).auxiliary is not Strategy.auxiliary,
            committee_size=strategy.committee_size,
            dropout=strategy.dropout,
            cheats=strategy.cheats,
        )


@dataclass(frozen=True)
class Code:
    """A strategy's file and its hyper-parameters, where they are not the defaults."""

    source: Source
    parameters: dict[str, JsonValue]

    def load(self) -> Strategy:
        """The strategy. Only its own process calls this."""
        return load_strategy(self.source, self.parameters)


@dataclass(frozen=True)
class Question:
    """All that a strategy's process is given of a round, besides the trained models."""

    code: Code
    protocol: Protocol
    seed: int
    track: Track
    number: int
    """Of the round."""
    task: Task[Any, Any]
    """Without labels of images that are not labeled; see `without_labels`."""
    labeled: tuple[Ids, ...]
    """The labeled set of every round up to this one."""
    candidates: Ids


class Answer(Part):
    """The picks of a round."""

    ids: tuple[Count, ...]
    forward: Seconds
    score: Seconds
    pick: Seconds
    """Seconds of the selection, by phase. Nobody can check them; they are not compared."""


class Verdicts(Part):
    """The results of the conformance checks."""

    name: Name
    """Name of the strategy."""
    verdicts: tuple[tuple[Text, Text, Foreign], ...] = Field(max_length=1000)
    """Check, kind of task, and fault; the fault is empty if the check passed."""


def without_labels(task: Task[Any, Any], labeled: Ids) -> Task[Any, Any]:
    """A copy of a task in which every other image has the label of the first labeled one.

    By its contract, a task holds labels in `annotations` and nowhere else.
    """
    source = np.full(len(task.annotations), labeled[0])
    source[labeled] = labeled
    blank = copy.copy(task)
    blank.annotations = task.annotations[source]
    return blank


def write_question(question: Code | Question, folder: Path) -> None:
    """Write a question for a strategy's process, and the strategy's file beside it, which tracebacks quote."""
    code = question if isinstance(question, Code) else question.code
    (folder / code.source.path.name).write_bytes(code.source.code)
    torch.save(question, folder / QUESTION, pickle_protocol=5)


def read_question(folder: Path) -> Any:
    """The question that the verifying process wrote. Only a strategy's process calls this."""
    return torch.load(folder / QUESTION, weights_only=False)


def write_answer(answer: Part, folder: Path) -> None:
    """Write an answer for the verifying process."""
    (folder / ANSWER).write_text(json.dumps(answer.model_dump(mode="json")), encoding="utf-8")


def read_answer(kind: type[AnyAnswer], folder: Path) -> AnyAnswer:
    """The answer that a strategy's process left in its folder.

    Raises:
        SandboxError: there is none, or it is not valid.
    """
    try:
        return kind.model_validate_json(read_bytes(folder / ANSWER))
    except FileNotFoundError:
        msg = "the strategy's process ended without an answer; remove calls that end the process, such as sys.exit"
    except (OSError, ValueError, RecursionError) as error:
        msg = f"the strategy's process left no valid answer: {' '.join(str(error).split())[:200]}"
    raise SandboxError(msg)
