"""Runs that several processes make together, as torchrun starts them: the same picks, and faults that are one line."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import tomli_w
from command_line import Result, the_line
from run_processes import LONG_TASK, SECONDS, ended, wait_for
from sample_configs import written
from sweeps import leftovers, planned, run, timeless
from tiny_tasks import KINDS

from leaderboard.schema.records import read_record
from lossbench.processes import Launched

TASK = LONG_TASK.replace("adamw", "sgd").replace("rounds = 6", "rounds = 4")
TORCHRUN = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node",
    "2",
    "-m",
    "lossbench",
    "run",
]
STRATEGIES = ("learning-loss", "badge", "entropy")
FAULTS = '''
import os
from typing import ClassVar
from strategies import Context, Selection, Strategy


class Broken(Strategy):
    """Fails in one process, or picks other images there."""

    name: ClassVar[str] = "broken"
    paper: ClassVar[str] = "none"
    fails: bool = True

    def select(self, ctx: Context) -> Selection:
        other = os.environ["RANK"] == "1"
        if other and self.fails:
            raise ArithmeticError("only here")
        return Selection(ctx.candidates[int(other) :][: ctx.budget])
'''


def start(*words: str | Path) -> subprocess.Popen[str]:
    """A command `run` of two processes with these words after it."""
    command = [*TORCHRUN, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def lines(output: str) -> list[str]:
    """What Lossbench said of a fault, among torchrun's own lines."""
    return [line for line in output.splitlines() if line.startswith("lossbench: ")]


def kinds_sweep(folder: Path) -> Path:
    """A sweep of the tiny tasks of all kinds, of two rounds each, and of a strategy with networks of its own."""
    from lossbench.submissions.conformance import tiny_protocol
    from strategies.vaal import VAAL

    (folder / "tasks").mkdir()
    for kind in KINDS:
        recipe = {"optimizer": "sgd", "learning_rate": 1e-3}  # AdamW's first steps make rounding as large as gradients
        table = tiny_protocol(kind, **recipe).model_dump(mode="json", exclude_none=True)
        table["budget"]["rounds"] = 2
        (folder / "tasks" / f"tiny-{kind}.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    (folder / "sweeps").mkdir()
    sweep = {
        "protocols": [f"tiny-{kind}" for kind in KINDS],
        "strategies": [*STRATEGIES, "vaal"],
        "seeds": [0],
        "parameters": {"vaal": VAAL.smoke().model_dump()},
    }
    path = folder / "sweeps" / "kinds.toml"
    path.write_text(tomli_w.dumps(sweep), encoding="utf-8")
    return path


def close(name: str, one: float, other: float) -> bool:
    """Whether two values of a metric differ by rounding alone: in order metrics, a few images that nearly tie change places."""
    return abs(one - other) <= (1e-2 * abs(one) if name == "loss" else 0.03)


@pytest.mark.slow
def test_two_processes_pick_what_one_picks(tmp_path: Path) -> None:
    sweep = kinds_sweep(tmp_path)
    output = ended(start(sweep, "--out", tmp_path / "two"))
    run(sweep, tmp_path / "one")
    assert "16 runs on 4 protocols, each by 2 processes" in output
    assert output.count("16 of 16 runs") == 1
    for job in planned(sweep):
        two, one = timeless(job.path(tmp_path / "two")), timeless(job.path(tmp_path / "one"))
        assert two["machine"].pop("device") == "cpu, 2 processes"
        assert one["machine"].pop("device") == "cpu"
        for ours, theirs in zip(two["rounds"], one["rounds"], strict=True):
            assert ours["picked"] == theirs["picked"], job.title
            found = {name: (value, theirs["metrics"][name]) for name, value in ours["metrics"].items()}
            assert all(close(name, *pair) for name, pair in found.items()), (job.title, found)
        assert {**two, "rounds": ()} == {**one, "rounds": ()}
    assert leftovers(tmp_path / "two") == []


def rounds(out: Path) -> int:
    """How many rounds are recorded."""
    return sum(len(read_record(path).rounds) for path in out.glob("records/*/*.json"))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_killed_process_and_a_stopped_command_are_one_line_and_go_on(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    sweep, out = (
        written(tmp_path, TASK, 'protocols = ["tiny"]\nstrategies = ["entropy"]\nseeds = [0]\n'),
        tmp_path / "out",
    )
    for sign in (signal.SIGKILL, signal.SIGINT):
        before = rounds(out)
        process = start(sweep, "--out", out)
        started.append(process)
        wait_for(lambda: rounds(out) > before, process)  # noqa: B023 - is called here
        parent = psutil.Process(process.pid)
        if sign == signal.SIGKILL:
            next(each for each in parent.children() if each.environ()["RANK"] == "1").kill()
        else:
            process.send_signal(sign)
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode != 0
        assert len(lines(output)) == 1, output
        (line,) = lines(output)
        wanted = (
            "finished rounds are kept"
            if sign == signal.SIGKILL
            else "To go on: torchrun --standalone --nproc-per-node 2 -m lossbench run"
        )
        assert wanted in line, output
    ended(start(sweep, "--out", out))
    run(sweep, tmp_path / "one")
    (job,) = planned(sweep)
    two, one = (timeless(job.path(folder))["rounds"] for folder in (out, tmp_path / "one"))
    assert [sorted(each["picked"]) for each in two] == [sorted(each["picked"]) for each in one]
    assert leftovers(out) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fails", "said"), [(True, "ArithmeticError: only here"), (False, "do not agree on the picks of broken")]
)
def test_a_fault_in_one_process_is_one_line(tmp_path: Path, fails: bool, said: str) -> None:
    file = tmp_path / "broken.py"
    file.write_text(FAULTS.replace("= True", f"= {fails}"), encoding="utf-8")
    sweep = written(tmp_path, sweep=f'protocols = ["tiny"]\nstrategies = ["{file}"]\nseeds = [0]\n')
    process = start(sweep, "--out", tmp_path / "out")
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    (line,) = lines(output)
    assert said in line
    assert leftovers(tmp_path / "out") == []


@pytest.fixture
def as_torchrun(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Gives this process the variables of one of two that torchrun has started, whose store is here."""
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)

    def of(number: int) -> None:
        values = {
            "RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": store.port,
        }  # fmt: skip
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))

    return of


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--workers", "2"), "--workers is for runs side by side"),
        (("--cluster", "auto"), "--cluster and torchrun exclude each other"),
        (("--device", "cuda:0"), "under torchrun each process takes a GPU of its own"),
    ],
)
def test_what_makes_no_sense_together_is_refused(
    tmp_path: Path,
    lossbench_cli: Callable[..., Result],
    as_torchrun: Callable[[int], None],
    words: tuple[str, str],
    said: str,
) -> None:
    sweep = written(tmp_path)
    as_torchrun(0)
    assert said in the_line(lossbench_cli("run", sweep, "--out", tmp_path / "out", *words))
    as_torchrun(1)
    assert lossbench_cli("run", sweep, "--out", tmp_path / "out", *words) == Result(2, "", ""), "one line is enough"


def test_each_process_takes_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    from lossbench.running.executors.joint import Joint

    asked: list[str] = []
    monkeypatch.setattr("lossbench.running.machine.check_device", asked.append)
    joint = Joint(Launched(5, 8, 4, 1), "cuda")
    assert (joint.own_device, asked) == ("cuda:1", ["cuda:1"])
    assert joint.description == "each by 8 processes"


THREADS = """
from pathlib import Path

from lossbench.running.executors.joint import connected

with connected("cpu"):
    import mmengine.runner
    import torch._dynamo
    from torch import distributed

    distributed.all_reduce(torch.ones(1))
print(*(each.read_text().strip() for each in Path("/proc/self/task").glob("*/comm")))
"""
"""Prints the names of the threads that are left."""


@pytest.mark.skipif(sys.platform != "linux", reason="threads have names there")
def test_no_connection_outlives_its_block(as_torchrun: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    as_torchrun(0)
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")  # the store is the test's
    left = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert left.stdout.strip(), left.stderr
    assert "gloo" not in left.stdout, left.stdout
