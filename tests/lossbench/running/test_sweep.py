"""Sweeps: killed, run twice at once, in workers, on a full disk, they end in the same records or in one line."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from rounding import alike
from safetensors.torch import save_file
from sample_configs import TASK, written

import tasks.training.weights
from leaderboard.schema.records import RecordError, read_record
from lossbench.config import ConfigError, read_sweep
from lossbench.paths import Paths
from lossbench.running.sweep import Event, Job, jobs, run_sweep
from strategies import SelectionError, load_strategy

ROUNDS = 6
LONG_TASK = TASK.replace("step = 6, rounds = 3", f"step = 4, rounds = {ROUNDS}").replace("epochs = 1", "epochs = 4")
COMMAND = [sys.executable, "-c", "from lossbench.cli.main import main; main()", "run"]
SECONDS = 180  # how long a subprocess may take on a busy machine


class Heard:
    """A sink that keeps its events; `then` is called with each."""

    def __init__(self, then: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self._then = then

    def put(self, event: Event) -> None:
        self.events.append(event)
        if self._then:
            self._then(event)


def planned(sweep: Path) -> list[Job]:
    return jobs(*read_sweep(sweep))


def run(sweep: Path, out: Path, workers: int = 1, sink: Heard | None = None) -> list[Path]:
    return run_sweep(planned(sweep), Paths(sweep.parent, out), workers, sink or Heard())


def timeless(path: Path) -> dict[str, Any]:
    """A record without what the clock and the operating system say, and without the state of the working tree."""
    clock = {"__all__": {"seconds", "peak_memory_mebibytes"}}
    record = read_record(path).model_dump(exclude={"commit": True, "rounds": clock})
    assert len(record["rounds"]) == record["planned_rounds"]
    return record


def leftovers(out: Path) -> list[str]:
    """Files that should not outlive a run."""
    found = [*out.glob("**/*.part"), *out.glob("**/*.unfinished"), *out.glob("records/**/*.lock")]
    return [str(path.relative_to(out)) for path in found]


def start(*words: str | Path) -> subprocess.Popen[str]:
    command = [*COMMAND, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until something is so, while a process runs."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, f"it ended first: {process.stdout.read()}"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that a test starts; none outlives it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for each in processes:
        each.kill()
        each.wait()
        each.stdout.close()


@pytest.fixture(scope="module")
def long_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of several rounds."""
    folder = tmp_path_factory.mktemp("long")
    return written(folder, task=LONG_TASK, sweep='protocols = ["tiny"]\nstrategies = ["learning-loss"]\nseeds = [0]\n')


@pytest.fixture(scope="module")
def uninterrupted(long_sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its record, made without a break."""
    (path,) = run(long_sweep, tmp_path_factory.mktemp("uninterrupted"))
    return path


def test_a_sweep_makes_a_record_per_run_and_makes_none_twice(tmp_path: Path) -> None:
    sweep, out, first, again = written(tmp_path), tmp_path / "out", Heard(), Heard()
    paths = run(sweep, out, sink=first)
    assert [path.relative_to(out).as_posix() for path in paths] == [
        "records/tiny/random-shared-s0.json",
        "records/tiny/random-shared-s1.json",
    ]
    assert [(each.job, each.rounds, each.state) for each in first.events] == [
        *((0, rounds, "running") for rounds in (1, 2, 3)), (0, 3, "done"),
        *((1, rounds, "running") for rounds in (1, 2, 3)), (1, 3, "done"),
    ]  # fmt: skip
    before = [path.read_bytes() for path in paths]
    run(sweep, out, sink=again)
    assert [path.read_bytes() for path in paths] == before
    assert [(each.job, each.rounds, each.state) for each in again.events] == [(0, 3, "done"), (1, 3, "done")]
    assert leftovers(out) == []


def test_a_sweep_is_every_task_track_strategy_and_seed(tmp_path: Path) -> None:
    lines = 'strategies = ["random", "entropy"]\nseeds = [0, 5]\ntracks = ["shared", "native"]\nsplit = "validation"\n'
    found = planned(written(tmp_path, sweep='protocols = ["tiny"]\n' + lines))
    names = sorted(job.path(tmp_path).name for job in found)
    assert names == sorted(
        f"{strategy}-{track}-s{seed}-validation.json"
        for strategy in ("random", "entropy")
        for track in ("shared", "native")
        for seed in (0, 5)
    )
    assert [(job.name, job.seed) for job in found[:3]] == [("random", 0), ("entropy", 0), ("random", 5)], (
        "whole seeds first"
    )


def test_a_killed_run_ends_in_the_same_record(
    long_sweep: Path, uninterrupted: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    (path,) = (job.path(tmp_path) for job in planned(long_sweep))
    process = start(long_sweep, "--out", tmp_path, "--workers", "1")
    started.append(process)
    wait_for(lambda: path.exists() and len(read_record(path).rounds) >= 2, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    halfway = read_record(path)
    assert 2 <= len(halfway.rounds) < ROUNDS, "it was to be killed on its way"
    sink = Heard()
    run(long_sweep, tmp_path, sink=sink)
    assert sink.events[0].rounds == len(halfway.rounds) + 1, "what is recorded is not made again"
    assert read_record(path).rounds[: len(halfway.rounds)] == halfway.rounds
    assert alike(timeless(path), timeless(uninterrupted))
    assert not (path.parent / f"{path.stem}.lock").exists()


@pytest.mark.slow  # five starts of Python with torch
def test_a_run_killed_again_and_again_ends_in_the_same_record(
    long_sweep: Path, uninterrupted: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    (path,) = (job.path(tmp_path) for job in planned(long_sweep))
    moments: list[Callable[[], object]] = [
        lambda: list(tmp_path.glob("cache/*.unfinished")),
        lambda: list(tmp_path.glob("models/*.lock")),
        lambda: list(tmp_path.glob("models/*.safetensors")),
        lambda: path.exists() and len(read_record(path).rounds) > 3,
    ]
    for moment in moments:
        process = start(long_sweep, "--out", tmp_path, "--workers", "1")
        started.append(process)
        wait_for(moment, process)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    process = start(long_sweep, "--out", tmp_path, "--workers", "1")
    started.append(process)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert alike(timeless(path), timeless(uninterrupted))


@pytest.mark.slow  # two workers import torch
def test_workers_make_the_records_of_a_single_process(tmp_path: Path) -> None:
    lines = 'protocols = ["tiny"]\nstrategies = ["random", "entropy", "learning-loss-mse"]\nseeds = [0, 1]\n'
    sweep, sink = written(tmp_path, sweep=lines), Heard()
    alone, together = run(sweep, tmp_path / "one"), run(sweep, tmp_path / "two", workers=2, sink=sink)
    assert alike([timeless(path) for path in together], [timeless(path) for path in alone])
    assert {each.job for each in sink.events if each.state == "done"} == set(range(6))
    assert sum(each.state == "running" for each in sink.events) == 6 * 3
    assert leftovers(tmp_path / "two") == []
    fits = {path.name for path in (tmp_path / "two" / "models").glob("*.safetensors")}
    assert fits == {path.name for path in (tmp_path / "one" / "models").glob("*.safetensors")}


@pytest.mark.slow  # two starts of Python with torch
def test_two_processes_on_one_folder_make_one_record(
    long_sweep: Path, uninterrupted: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    for _ in range(2):
        started.append(start(long_sweep, "--out", tmp_path, "--workers", "1"))
    outputs = [each.communicate(timeout=SECONDS)[0] for each in started]
    assert [each.returncode for each in started] == [0, 0], "\n".join(outputs)
    (path,) = tmp_path.glob("records/**/*.json")
    assert alike(timeless(path), timeless(uninterrupted))
    assert leftovers(tmp_path) == []
    fits = list(tmp_path.glob("models/*.safetensors"))
    assert len(fits) == ROUNDS


@pytest.mark.slow  # three processes import torch
def test_workers_end_when_their_parent_is_killed(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    sweep = written(tmp_path, LONG_TASK, f'protocols = ["tiny"]\nstrategies = ["random"]\nseeds = {list(range(40))}\n')
    process = start(sweep, "--out", tmp_path / "out", "--workers", "2")
    started.append(process)
    wait_for(lambda: len(list(tmp_path.glob("out/records/*/*.json"))) > 1, process)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=SECONDS)
    for each in alive:
        each.kill()
    assert not alive, [each.cmdline() for each in alive]
    made = sorted(tmp_path.glob("out/records/*/*.json"))
    assert 2 <= len(made) < 40
    assert all(read_record(path).rounds for path in made)


SHORT = '''
from typing import ClassVar
from strategies import Context, Selection, Strategy


class Short(Strategy):
    """Gives up in the second round."""

    name: ClassVar[str] = "short"
    paper: ClassVar[str] = "none"

    def select(self, ctx: Context) -> Selection:
        return Selection(ctx.candidates[: ctx.budget - (len(ctx.labeled) > 12)])
'''


def with_short(folder: Path) -> Path:
    """A sweep whose second run fails in its second round."""
    file = folder / "short.py"
    file.write_text(SHORT, encoding="utf-8")
    return written(folder, sweep=f'protocols = ["tiny"]\nstrategies = ["random", "{file}", "entropy"]\nseeds = [0]\n')


def test_a_strategy_that_fails_ends_the_sweep_with_what_was_made(tmp_path: Path) -> None:
    sweep = with_short(tmp_path)
    with pytest.raises(SelectionError, match=r"^short on tiny, round 1: the strategy returned 5 ids; the budget is 6$"):
        run(sweep, tmp_path / "out")
    first, second, third = (job.path(tmp_path / "out") for job in planned(sweep))
    assert timeless(first)
    assert len(read_record(second).rounds) == 1
    assert not third.exists()
    assert not list((tmp_path / "out").glob("**/*.part"))


@pytest.mark.slow  # two workers import torch
def test_a_strategy_that_fails_in_a_worker_ends_the_sweep_too(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    process = start(with_short(tmp_path), "--out", tmp_path / "out", "--workers", "2")
    started.append(process)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert output.splitlines()[-1] == (
        "lossbench: short on tiny, round 1: the strategy returned 5 ids; the budget is 6"
    )
    assert not list((tmp_path / "out").glob("**/*.part"))


def test_a_full_disk_leaves_the_record_of_the_round_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    first, second = (job.path(out) for job in planned(sweep))

    def fill(event: Event) -> None:
        if event.rounds == 2:
            monkeypatch.setattr("os.fsync", full)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left on device"):
        run(sweep, out, sink=Heard(fill))
    assert len(read_record(first).rounds) == 2
    assert not second.exists()
    assert not list(out.glob("**/*.part"))
    monkeypatch.undo()
    run(sweep, out)
    run(sweep, tmp_path / "whole")
    for path in (first, second):
        assert timeless(path) == timeless(tmp_path / "whole" / path.relative_to(out))


def test_a_disk_too_full_for_weights_is_named_and_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is the operating system's own, on the size of a file: the write fails where a full disk's would."""

    def on_a_full_disk(*words: Any, **named: Any) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        try:
            save_file(*words, **named)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    sweep, out = written(tmp_path), tmp_path / "out"
    monkeypatch.setattr(tasks.training.weights, "save_file", on_a_full_disk)
    with pytest.raises(OSError, match=r"/out/models/\w+\.part could not be written: .*File too large") as caught:
        run(sweep, out)
    assert "\n" not in str(caught.value)
    assert not list(out.glob("models/*.safetensors"))
    assert not list(out.glob("**/*.part"))
    assert not list(out.glob("records/**/*.json"))
    monkeypatch.undo()
    assert all(timeless(path) for path in run(sweep, out))


@pytest.mark.parametrize("rounds", [2, 3], ids=["begun", "complete"])
def test_a_record_made_under_other_numbers_is_refused(rounds: int, tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"

    def stop(event: Event) -> None:
        if event.rounds == rounds:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(sweep, out, sink=Heard(stop))
    path = planned(sweep)[0].path(out)
    before = path.read_bytes()
    other = written(tmp_path, task=TASK.replace("epochs = 1", "epochs = 2"))
    with pytest.raises(ConfigError) as caught:
        run(other, out)
    assert str(caught.value) == f"{path} was made under other numbers of tiny; move it away, or use another --out"
    assert path.read_bytes() == before
    run(written(tmp_path), out)
    assert path.read_bytes()[: len(before) // 2] == before[: len(before) // 2]
    assert timeless(path)


def test_a_record_made_with_other_code_or_hyper_parameters_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "short.py"
    content = SHORT.replace(" - (len(ctx.labeled) > 12)", "")
    file.write_text(content.replace("    def select", "    share: float = 0.5\n\n    def select"), encoding="utf-8")
    text = f'protocols = ["tiny"]\nstrategies = ["{file}"]\nseeds = [0]\n'
    run(written(tmp_path, sweep=text), tmp_path / "out")
    assert load_strategy(str(file)).share == 0.5
    other = written(tmp_path, sweep=f'{text}parameters = {{ "{file}" = {{ share = 0.7 }} }}\n')
    with pytest.raises(ConfigError, match=r"was made with other hyper-parameters of short; move it away"):
        run(other, tmp_path / "out")
    sweep = written(tmp_path, sweep=text)
    file.write_text(file.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"was made with other code of short; move it away"):
        run(sweep, tmp_path / "out")


@pytest.mark.parametrize("rounds", [2, 3], ids=["begun", "complete"])
def test_a_record_made_from_other_data_is_refused(rounds: int, tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    path = run(sweep, out)[0]
    record = read_record(path)
    other = record.model_copy(update={"fingerprints": {"data": "0" * 32}, "rounds": record.rounds[:rounds]})
    path.write_text(other.model_dump_json())
    if rounds == 3:  # a record that is whole is not compared with data: that would have to be read
        assert run(sweep, out)[0] == path
        return
    with pytest.raises(
        ConfigError, match=r"s0\.json was begun on other data \(data\); move it away, or use another --out$"
    ):
        run(sweep, out)
    assert read_record(path) == other


def test_a_start_from_another_machines_trunk_is_named(tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    path = run(sweep, out)[0]
    record = read_record(path)
    fingerprints = record.fingerprints | {"trunk": "0" * 32}
    other = record.model_copy(update={"fingerprints": fingerprints, "rounds": record.rounds[:2]})
    path.write_text(other.model_dump_json())
    with pytest.raises(ConfigError, match=r"on other data \(trunk\).* or bring the cache/ of the machine"):
        run(sweep, out)


def test_a_run_that_goes_on_elsewhere_names_both_machines(tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    path = run(sweep, out)[0]
    here = read_record(path)
    there = here.machine.model_copy(update={"processor": "Other"})
    path.write_text(here.model_copy(update={"machine": there, "rounds": here.rounds[:2]}).model_dump_json())
    run(sweep, out)
    found = read_record(path)
    assert found.complete
    assert found.machine == here.machine.model_copy(update={"processor": f"Other, then {here.machine.processor}"})
    assert found.commit == here.commit


def test_a_record_that_is_cut_off_is_refused_and_kept(tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    path = run(sweep, out)[0]
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(RecordError, match=r"random-shared-s0\.json: not a valid record .*; move it away and run again"):
        run(sweep, out)
    assert len(path.read_bytes()) == 500


def test_the_full_pool_is_one_training_on_all_that_may_be_labeled(tmp_path: Path) -> None:
    text = 'protocols = ["tiny"]\nstrategies = ["random"]\nseeds = [0]\nfull_pool_seeds = [0]\n'
    random, full = map(read_record, run(written(tmp_path, sweep=text), tmp_path / "out"))
    assert (full.strategy, full.reference, full.planned_rounds) == ("full-pool", True, 1)
    data = full.config["task"]["data"]
    assert full.rounds[0].labeled == data["scenes"]["pool"] - data["validation"]
    assert full.rounds[0].picked == ()
    assert full.config == random.config
    assert (random.reference, random.planned_rounds) == (False, 3)
