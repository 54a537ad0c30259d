"""A kind of task in one file outside of the repository: it is loaded, checked, run, recorded and shown on a page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from trying_strategies import Trier

from leaderboard.schema.records import Record, read_record
from leaderboard.scoring.board import Board
from leaderboard.site.page import build_page
from lossbench.config import Sweep
from lossbench.config_files import read_protocol
from lossbench.diagnosis.contact_sheets import COLUMNS, predictions_sheet
from lossbench.paths import Paths
from lossbench.running.executors.local import Local
from lossbench.running.jobs import Event, jobs
from lossbench.running.loop import Run
from lossbench.running.sweep import run_sweep
from lossbench.submissions.conformance import CHECKS, Check, Trial, tiny_protocol
from strategies import Strategy
from strategies.entropy import Entropy
from strategies.random import Random
from tasks import kinds
from tasks.base import Task
from tasks.images.drawing import CELL_PIXELS, GAP_PIXELS, cell
from tasks.kind import TaskKind
from tasks.kinds import KindError, build_task, kind_named, known_kinds, load_kind_file, loaded_sources
from tasks.outside.files import read_source
from tasks.training.learner import Learner

EXAMPLE = Path(__file__).parents[2] / "examples/toy_kind.py"
PROTOCOL = """
name = "dots-mini"
version = 1
budget = { initial = 12, step = 6, rounds = 3, subset = 30 }

[task]
kind = "dots"
data = { pool = 60, test = 24, validation = 12 }
recipe = { epochs = 2, batch = 16, optimizer = "adamw", learning_rate = 1e-3 }
"""


class Silent:
    """A sink that drops all events."""

    def put(self, event: Event) -> None:
        """Drop an event."""


@pytest.fixture(scope="module", autouse=True)
def dots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskKind]:
    """The example, loaded from a copy in another folder; forgotten when the module ends."""
    file = tmp_path_factory.mktemp("elsewhere") / "toy_kind.py"
    shutil.copy(EXAMPLE, file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "_loaded", {})
        yield load_kind_file(file)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The runs of two strategies, each in a worker process of its own."""
    folder = tmp_path_factory.mktemp("runs")
    file = folder / "dots-mini.toml"
    file.write_text(PROTOCOL, encoding="utf-8")
    sweep = Sweep(protocols=("dots-mini",), strategies=("random", "entropy"), seeds=(0,))
    paths = run_sweep(jobs(sweep, (read_protocol(file),)), Paths(folder, folder / "out"), Local(2), Silent())
    return [read_record(path) for path in paths]


def test_the_kind_is_known_by_its_name(dots: TaskKind) -> None:
    assert kind_named("dots") is dots
    assert known_kinds() == (*kinds.KINDS, dots)
    assert [source.code for source in loaded_sources()] == [EXAMPLE.read_bytes()]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("strategy", [Random, Entropy], ids=lambda strategy: strategy.name)
def test_strategies_keep_the_contract_on_it(
    strategy: type[Strategy], check: Check, trials: Callable[[str, Strategy], Trial]
) -> None:
    check(trials("dots", strategy.smoke()))


def test_the_head_turns_features_into_the_raw_output(trained: Callable[..., Learner]) -> None:
    learner = trained("dots", Random())
    for _, outputs in learner.batches(np.arange(7)):
        with torch.no_grad():
            assert torch.equal(learner.model.head(*outputs.features), outputs.raw)


def test_posteriors_are_distributions_and_losses_belong_to_single_images(
    tiny_task: Callable[[str], Task], trained: Callable[..., Learner]
) -> None:
    task, ids = tiny_task("dots"), np.arange(7)
    ((_, outputs),) = trained("dots", Random()).batches(ids)
    (posteriors,) = trained("dots", Random()).posteriors(ids)
    torch.testing.assert_close(posteriors.log_probs.exp().sum(2), torch.ones(7, 4))
    torch.testing.assert_close(posteriors.weight.sum(1), torch.ones(7))
    together = task.unlabeled.losses(outputs.raw, task.targets(ids))
    alone = [task.unlabeled.losses(outputs.raw[[image]], task.targets(ids[[image]])) for image in ids]
    torch.testing.assert_close(torch.cat(alone), together)


def test_dots_are_counted_by_hand(tiny_task: Callable[[str], Task]) -> None:
    task = tiny_task("dots")
    ids = np.arange(task.pool_size)
    bright = (task.unlabeled.frames(ids)[:, 0] == 255).sum((1, 2)).numpy()
    assert np.array_equal(bright, 4 * task.annotations[ids])  # a dot is 2 x 2 pixels
    assert task.targets(ids).sum(1).tolist() == task.annotations[ids].tolist()
    perfect = 2 * task.targets(ids) - 1
    assert task.metrics([perfect], ids) == {"MAE": 0.0, "exact": 1.0}
    noisy = task.mislabeled(ids, 0.5, np.random.default_rng(0))
    assert set(np.abs(noisy - task.annotations[ids])) == {0, 1}


@pytest.mark.slow
def test_both_runs_end_in_a_record(records: list[Record]) -> None:
    assert [record.strategy for record in records] == ["random", "entropy"]
    for record in records:
        assert record.complete
        assert [one.labeled for one in record.rounds] == [12, 18, 24]
        assert (record.metric.name, record.metric.larger_is_better) == ("MAE", False)
        assert record.group_names == ("0 dots", "1 dots", "2 dots", "3 dots", "4 dots")
        assert record.fingerprints["kind"] == read_source(EXAMPLE).digest
    assert records[0].rounds[0].metrics == records[1].rounds[0].metrics, "the first round is shared"


@pytest.mark.slow
def test_a_page_shows_the_runs(records: list[Record], tmp_path: Path) -> None:
    build_page(Board(records), tmp_path / "page")
    page = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "page").rglob("*.html"))
    assert "dots-mini" in page
    assert "MAE" in page
    assert "entropy" in page


def test_labels_and_predictions_are_drawn(dots: TaskKind, tiny_task: Callable[[str], Task]) -> None:
    task = tiny_task("dots")
    image = cell(task.unlabeled.frames(np.array([0]))[0])
    drawn = dots.draw(image, task.annotations[0], task.group_names)
    assert drawn.shape == (3, CELL_PIXELS, CELL_PIXELS)
    assert not torch.equal(drawn, image)
    assert dots.draw_scene(0, 0) is None


def test_a_diagnosis_shows_predictions_below_the_labels(
    tiny_task: Callable[[str], Task], trained: Callable[..., Learner]
) -> None:
    task = tiny_task("dots")
    sheet = predictions_sheet(task, trained("dots", Random()), task.test_ids)
    assert sheet.shape == (3, *(GAP_PIXELS + count * (CELL_PIXELS + GAP_PIXELS) for count in (2, COLUMNS)))
    assert not torch.equal(sheet[:, : sheet.shape[1] // 2], sheet[:, sheet.shape[1] // 2 :])


def test_an_oracle_gives_larger_scores_for_smaller_errors(tiny_task: Callable[[str], Task], tmp_path: Path) -> None:
    Trier.scores.clear()
    _, second, _ = Run(tiny_task("dots"), tiny_protocol("dots"), Trier(), 0, "shared", "validation", tmp_path).rounds()
    assert Trier.scores[0] == -second.metrics["MAE"] < 0


def test_a_file_can_be_loaded_again(dots: TaskKind) -> None:
    file = loaded_sources()[0].path
    assert type(load_kind_file(file)) is type(dots)
    assert len(known_kinds()) == len(kinds.KINDS) + 1


def edited(*changes: tuple[str, str]) -> str:
    """The example with some text replaced."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"kind\.py: no such file; --kind-file takes a Python file"),
        ("x = 1\n", r"kind\.py defines 0 kinds of task; define one subclass of tasks\.kind\.TaskKind"),
        (edited() + "\n\nclass More(Dots):\n    pass\n", r"kind\.py defines 2 kinds of task"),
        (edited(('name = "dots"', 'name = "pose"')), r"kind\.py: the name 'pose' is taken by another kind of task"),
        (edited(), r"kind\.py: the name 'dots' is taken by another kind of task"),
        (
            edited(('name = "dots"', 'name = "../dots"')),
            r"kind\.py: Dots\.name is '\.\./dots'; give it lower-case letters",
        ),
        (edited(('    name = "dots"\n', "")), r"kind\.py: Dots\.name is None; give it lower-case letters"),
    ],
    ids=["missing", "none", "two", "taken by lossbench", "taken by a file", "path", "nameless"],
)
def test_a_file_without_one_new_kind_is_refused(content: str | None, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "kind.py"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    before = known_kinds()
    with pytest.raises(KindError, match=reason) as caught:
        load_kind_file(file)
    assert "\n" not in str(caught.value)
    assert known_kinds() == before


def test_another_version_of_the_file_is_another_kind_of_run(tmp_path: Path) -> None:
    file = tmp_path / "toy_kind.py"
    file.write_text(edited(("np.random.default_rng(0)", "np.random.default_rng(1)")), encoding="utf-8")
    ours = build_task(tiny_protocol("dots").task, tmp_path, tmp_path, torch.device("cpu"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "_loaded", {})
        load_kind_file(file)
        other = build_task(tiny_protocol("dots").task, tmp_path, tmp_path, torch.device("cpu"))
    assert ours.fingerprints != other.fingerprints
    assert re.fullmatch(r"[0-9a-f]{64}", other.fingerprints["kind"])
