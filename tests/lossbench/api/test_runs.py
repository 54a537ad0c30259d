"""Runs in Python: the records of the command line, from strategies of any origin."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tomli_w
import torch
from photo_folders import label_table, photographs
from sample_configs import written

import lossbench
from leaderboard.schema.records import read_record, record_path, write_record
from lossbench.api.progress import NotebookProgress
from lossbench.config_files import read_sweep
from lossbench.errors import LossbenchError
from lossbench.paths import Paths
from lossbench.running.executors.local import Local
from lossbench.running.jobs import NullSink, jobs
from lossbench.running.sweep import run_sweep
from lossbench.submissions.comparison import differences
from lossbench.submissions.conformance import tiny_protocol
from strategies.badge import Badge
from strategies.margin import Margin
from strategies.probcover import ProbCover

ROOT = Path(__file__).parents[3]
HEAVY = ("torch", "numpy", "pandas", "pydantic", "altair", "rich", "importlib.metadata")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The path of a tiny protocol."""
    written(tmp_path)
    return tmp_path / "tasks/tiny.toml"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def first_of(candidates: np.ndarray, number: int) -> np.ndarray:
    return candidates[:number]


SKIPPED = 0


class First(lossbench.Strategy):
    """Picks the first candidates."""

    name: ClassVar[str] = "first"
    paper: ClassVar[str] = "none"
    every: int = 1

    def select(self, ctx: lossbench.Context) -> lossbench.Selection:
        return lossbench.Selection(first_of(ctx.candidates[SKIPPED :: self.every], ctx.budget))


def in_python(*lines: str) -> str:
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_lossbench_imports_nothing_heavy() -> None:
    loaded = "print([name for name in %r if name in sys.modules])"
    assert in_python("import sys, lossbench", loaded % (HEAVY,)) == "[]"


def test_every_name_is_there() -> None:
    for name in lossbench.__all__:
        assert getattr(lossbench, name) is not None
    assert set(lossbench.__all__) <= {*dir(lossbench)}
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        lossbench.rum  # noqa: B018


def test_a_run_makes_the_record_of_the_command_line(tiny: Path, out: Path, tmp_path: Path) -> None:
    (path, _) = run_sweep(
        jobs(*read_sweep(tmp_path / "sweeps/tiny.toml")), Paths(tmp_path, tmp_path / "cli"), Local(1), NullSink()
    )
    record = lossbench.run(tiny, "random", 0, out=out)
    assert differences(read_record(path), record) == []
    assert path.relative_to(tmp_path / "cli") == record_path(Path("records"), "tiny", "shared", "random", 0)
    assert read_record(out / path.relative_to(tmp_path / "cli")) == read_record(path).model_copy(
        update={"rounds": record.rounds, "machine": record.machine, "commit": record.commit}
    )


def test_a_run_goes_on_from_its_record_and_is_made_once(tiny: Path, out: Path) -> None:
    whole = lossbench.run(tiny, "margin", out=out)
    path = record_path(out / "records", "tiny", "shared", "margin", 0)
    begun = path.stat().st_mtime_ns
    assert lossbench.run(str(tiny), Margin, out=str(out)) == whole
    assert path.stat().st_mtime_ns == begun
    write_record(read_record(path).model_copy(update={"rounds": whole.rounds[:1]}), path)
    assert differences(whole, lossbench.run(tiny, Margin(), out=out)) == []


def test_data_that_have_changed_are_read_again(tmp_path: Path, out: Path) -> None:
    names = photographs(tmp_path / "photos", 30)
    table = tiny_protocol("classification").model_dump(mode="json", exclude_none=True)
    table["task"]["data"] = {
        "validation": 0,
        "labeled": {"images": str(tmp_path / "photos"), "labels": [str(tmp_path / "labels.csv")]},
    }
    table["budget"] = {"initial": 6, "step": 3, "rounds": 2}
    (tmp_path / "mine.toml").write_text(tomli_w.dumps(table | {"name": "mine"}), encoding="utf-8")
    found = []
    for seed, labeled in enumerate((names[:20], names[:24])):
        label_table(tmp_path / "labels.csv", labeled)
        found.append(lossbench.run(tmp_path / "mine.toml", "random", seed, out=out).fingerprints)
    assert found[0] != found[1]


def test_threads_are_as_before_after_a_run(tiny: Path, out: Path) -> None:
    torch.set_num_threads(2)
    try:
        lossbench.run(tiny, "random", out=out)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.slow
def test_a_strategy_is_given_by_file_class_or_instance(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from strategies import Selection, Strategy\n\n\nclass Mine(Strategy):\n    name = 'first'\n    paper = 'none'\n"
        "    every: int = 1\n\n    def select(self, ctx):\n"
        "        return Selection(ctx.candidates[:: self.every][: ctx.budget])\n"
    )
    ways = (file, First, First(every=2), First)
    given = ({}, {}, {}, {"every": 2})
    records = [
        lossbench.run(tiny, way, out=tmp_path / str(place), parameters=parameters)
        for place, (way, parameters) in enumerate(zip(ways, given, strict=True))
    ]
    assert [record.strategy_config for record in records] == [{"every": 1}, {"every": 1}, {"every": 2}, {"every": 2}]
    assert records[0].rounds[0].picked == records[1].rounds[0].picked
    assert records[2].rounds[0].picked == records[3].rounds[0].picked != records[0].rounds[0].picked
    codes = [record.fingerprints["strategy"] for record in records]
    assert len({*codes}) == 2
    assert codes[1] == codes[2] == codes[3]


def test_other_code_of_a_class_is_refused(tiny: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lossbench.run(tiny, First, out=out)
    assert lossbench.run(tiny, First(), out=out) == before
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "SKIPPED", 1)
        with pytest.raises(LossbenchError, match="other code of first"):
            lossbench.run(tiny, First, out=out)
    with monkeypatch.context() as patch:
        patch.setattr(first_of, "__code__", (lambda candidates, number: candidates[-number:]).__code__)
        with pytest.raises(LossbenchError, match="other code of first"):
            lossbench.run(tiny, First, out=out)
    assert lossbench.run(tiny, First, out=out) == before


class Named(First):
    name: ClassVar[str] = "margin"


class Unfinished(lossbench.Strategy):
    name: ClassVar[str] = "unfinished"


class Trained(Badge):
    name: ClassVar[str] = "trained"

    def auxiliary(self, objective: object) -> object:
        return First()  # stands for a module defined here


@pytest.mark.parametrize(
    ("protocol", "strategy", "more", "fault"),
    [
        ("tinny", "random", {}, "did you mean tiny|no configuration"),
        (None, "margn", {}, "did you mean margin"),
        (None, "all", {}, "many strategies"),
        (None, "mine.py", {}, "no strategy file"),
        (None, "random", {"seed": -1}, r"^seed: Input should be greater than or equal to 0 \(given: -1\)"),
        (None, "random", {"track": "fast"}, "^track: .*given: 'fast'"),
        (None, "random", {"split": "train"}, "^split: .*given: 'train'"),
        (None, "random", {"device": "tpu"}, "no device 'tpu' on this machine; choose cpu"),
        (None, "random", {"parameters": {"power": 2}}, "power"),
        (None, First, {"parameters": {"power": 2}}, "power"),
        (None, "random", {"out": Path(__file__)}, "^out: .*is a file where a folder is needed"),
        (None, First(), {"parameters": {"every": 2}}, "an instance has its hyper-parameters"),
        (None, Named, {}, "called 'margin'"),
        (None, Unfinished, {}, "is no strategy"),
        (None, int, {}, "is no strategy"),
        (None, Trained, {}, "put it into a file"),
    ],
)
def test_what_does_not_fit_is_said(
    protocol: str | None, strategy: object, more: dict[str, object], fault: str, tiny: Path, out: Path
) -> None:
    with pytest.raises(LossbenchError, match=fault):
        lossbench.run(protocol or tiny, strategy, **({"out": out} | more))
    assert not [*out.glob("records/**/*.json")]


def test_the_full_pool_is_trained_by_its_name(tiny: Path, out: Path) -> None:
    record = lossbench.run(tiny, "full-pool", out=out)
    assert (record.strategy, record.rounds[0].labeled) == ("full-pool", 48)


def test_choices_are_measured_on_the_validation_split(tiny: Path, out: Path) -> None:
    assert lossbench.run(tiny, ProbCover, out=out, split="validation").split == "validation"


def test_a_task_is_loaded_with_its_images(tiny: Path, tmp_path: Path) -> None:
    task = lossbench.load_task(tiny, cache=tmp_path)
    assert task.unlabeled.images(np.arange(3)).shape[:2] == (3, 3)
    with pytest.raises(LossbenchError, match="cifar"):
        lossbench.load_task("cifar10-mini", data=tmp_path)


class Display:
    """Stands for IPython's handle of a piece of output."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def display(self, thing: NotebookProgress, *, display_id: bool) -> Display:
        assert display_id
        self.update(thing)
        return self

    def update(self, thing: NotebookProgress) -> None:
        self.shown.append(thing._repr_html_())


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Display:
    """A notebook's output."""
    shown = Display()
    module = types.ModuleType("IPython.display")
    module.display = shown.display
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    return shown


def test_a_notebook_shows_progress(tiny: Path, out: Path, notebook: Display) -> None:
    lossbench.run(tiny, First, out=out)
    assert [text.rsplit(": ", 1)[1] for text in notebook.shown] == [
        "0 of 3 rounds",
        "0 of 3 rounds (round 0, picking 6 of 30 images)",
        "1 of 3 rounds",
        "1 of 3 rounds (round 1, picking 6 of 30 images)",
        *(f"{number} of 3 rounds" for number in (2, 3, 3)),
    ]
    assert '<progress value="3" max="3">' in notebook.shown[-1]
    lossbench.run(tiny, First, out=out, progress=False)
    assert len(notebook.shown) == 7


def test_without_a_terminal_nothing_is_printed_unless_wanted(
    tiny: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lossbench.run(tiny, "random", out=out)
    assert capsys.readouterr().out == ""
    lossbench.run(tiny, "random", out=out, progress=True)
    assert "tiny random shared seed 0" in capsys.readouterr().out


POSE = """
name = "small-pose"
version = 1
budget = { initial = 300, step = 20, rounds = 2 }

[task]
kind = "pose"
data = { scenes = { seed = 3, pool = 360, test = 20 }, validation = 20 }
model = { stacks = 1, width = 16, pixels = 32, depth = 2 }
recipe = { epochs = 1, batch = 16, optimizer = "adamw", learning_rate = 1e-3 }
"""


@pytest.mark.slow  # two starts of Python with torch and mmpose
def test_the_record_is_that_of_the_command_line_whatever_threads_there_are(tmp_path: Path) -> None:
    protocol = tmp_path / "small-pose.toml"
    protocol.write_text(POSE, encoding="utf-8")
    words = ["lossbench", "run", str(protocol), "--strategy", "badge", "--seed", "0", "--out", str(tmp_path / "cli")]
    in_python("import sys", "from lossbench.cli.main import main", f"sys.argv = {words!r}", "main()")
    in_python(
        "import torch, sklearn.cluster, lossbench",
        "torch.set_num_threads(3)",
        f"lossbench.run({str(protocol)!r}, 'badge', out={str(tmp_path / 'api')!r})",
        "assert torch.get_num_threads() == 3",
    )
    made = [
        read_record(record_path(tmp_path / way / "records", "small-pose", "shared", "badge", 0))
        for way in ("cli", "api")
    ]
    assert differences(*made) == []
    assert made[0].machine == made[1].machine
