"""`--cluster` where there is no cluster, no Ray, or another command in the folder: one line, soon."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from command_line import Result, the_line
from filelock import FileLock
from sample_configs import written

from lossbench.config import ConfigError, Needs, Protocol
from lossbench.config_files import read_protocol
from lossbench.running.executors.cluster.connection import connected
from lossbench.running.executors.cluster.nodes import Node, demands, difference
from lossbench.running.executors.cluster.remote import versions
from lossbench.running.executors.cluster.signals import HeldSignals
from lossbench.running.executors.schedule import Group, Schedule

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `cluster`")
SECONDS = 10


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and says nothing."""
    with socket.socket() as server:
        server.bind(("", 0))  # Ray calls this machine by the address that others know
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def closed() -> str:
    """An address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@needs_ray
@pytest.mark.parametrize("kind", ["closed", pytest.param("silent", marks=pytest.mark.slow)])
def test_an_address_where_nobody_answers_is_one_line_within_ten_seconds(
    kind: str, lossbench_cli: Callable[..., Result], tmp_path: Path, silent: str
) -> None:
    import ray  # noqa: F401 - its import is not measured

    address = silent if kind == "silent" else closed()
    wanted = f"no Ray cluster answers at {address}; check the address, and that `ray status` works on this machine"
    began = time.monotonic()
    with pytest.raises(ConfigError, match=wanted), connected(address):
        pass
    assert time.monotonic() - began < SECONDS
    line = the_line(lossbench_cli("run", written(tmp_path), "--out", tmp_path / "out", "--cluster", address))
    assert line == wanted
    assert not list((tmp_path / "out").rglob("*")), "no lock is left"


@needs_ray
@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("ray://127.0.0.1:1", "HOST:PORT is wanted; run the command on a node of the cluster, or as a Ray job"),
        ("here", "auto or HOST:PORT is wanted"),
        ("", "auto or HOST:PORT is wanted"),
        ("127.0.0.1:99999", "no Ray cluster answers at 127.0.0.1:99999"),
        ("127.0.0.1:port", "no Ray cluster answers at 127.0.0.1:port"),
    ],
)
def test_an_address_that_is_none_is_one_line(
    address: str, wanted: str, lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    line = the_line(lossbench_cli("run", written(tmp_path), "--out", tmp_path / "out", "--cluster", address))
    assert wanted in line


def test_without_ray_one_line_names_the_extra(
    lossbench_cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    module = "lossbench.running.executors.cluster.connection.find_spec"
    monkeypatch.setattr(module, lambda name: None if name == "ray" else found(name))
    line = the_line(lossbench_cli("run", written(tmp_path), "--out", tmp_path / "out", "--cluster", "auto"))
    assert line == "--cluster needs Ray, which is not installed; `uv sync --extra cluster` installs it"
    assert not (tmp_path / "out").exists()


@needs_ray
def test_a_second_command_in_the_folder_is_refused(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with FileLock(out / "cluster.lock"):
        line = the_line(lossbench_cli("run", written(tmp_path), "--out", out, "--cluster", closed()))
    assert line == f"another `lossbench run --cluster` makes runs in {out}; wait for its end, or use another --out"


@needs_ray
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--cluster", "auto", "--device", "cuda:1"), "cpu or cuda is wanted; Ray chooses the card"),
        (("--scratch", "somewhere"), "--scratch is for --cluster; without it, models and caches are kept in --out"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    words: tuple[str, ...], wanted: str, lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    assert wanted in the_line(lossbench_cli("run", written(tmp_path), "--out", tmp_path / "out", *words))


def test_ray_is_imported_by_no_command_that_does_not_need_it(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom lossbench.cli.main import main\nsys.argv = ['lossbench', 'run', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    sys.exit('ray' in sys.modules or 'torch' in sys.modules)\n"
    )
    environment = {**os.environ, "COLUMNS": "200"}
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert "--cluster" in made.stdout


def test_what_a_run_needs_stands_in_its_protocol_and_in_no_record(tmp_path: Path) -> None:
    lines = "[needs]\ncpus = 2\ngpus = 0.25\nmemory_gibibytes = 3\n"
    path = written(tmp_path).parent.parent / "tasks/tiny.toml"
    plain = read_protocol(path)
    path.write_text(path.read_text(encoding="utf-8") + lines, encoding="utf-8")
    protocol = read_protocol(path)
    assert protocol.model_dump(mode="json") == plain.model_dump(mode="json")
    assert demands(protocol.needs, "cuda") == {"CPU": 2, "GPU": 0.25, "memory": 3 * 2**30}
    assert demands(protocol.needs, "cpu") == {"CPU": 2, "memory": 3 * 2**30}
    assert demands(plain.needs, "cuda") == {"CPU": 1, "GPU": 1}
    assert isinstance(Protocol.model_validate(plain.model_dump(mode="json")).needs, Needs)


def test_a_node_takes_as_many_runs_as_fit() -> None:
    node, wanted = Node("a", "a", {"CPU": 16.0, "GPU": 1.0}), {"CPU": 1.0, "GPU": 0.1}
    for place in range(10):
        assert node.fits(wanted)
        assert node.free_place() == place
        node.taken[place] = wanted
    assert not node.fits(wanted)
    assert node.fits({"CPU": 6.0})
    assert not node.fits({"CPU": 7.0})
    del node.taken[3]
    assert node.free_place() == 3
    assert not node.fits({"CPU": 1.0, "memory": 1.0})


def test_versions_that_differ_are_named() -> None:
    here = versions()
    assert {"python", "torch", "numpy", "the code of lossbench"} <= here.keys()
    assert difference(here, dict(here)) == ""
    other = here | {"torch": "1.0", "the code of lossbench": "0"}
    assert difference(here, other) == f"it has torch 1.0, and this machine {here['torch']}"
    del other["torch"]
    assert difference(here, other) == f"it has torch not at all, and this machine {here['torch']}"
    assert "the code of lossbench" in difference(here, here | {"the code of lossbench": "0"})


def test_ctrl_c_waits_while_ray_works() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        with HeldSignals() as signals:
            signals.let_through()
            signal.raise_signal(signal.SIGINT)
            assert came == []
            signals.let_through()
            signals.let_through()
            assert came == [signal.SIGINT]
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # as Ray does with SIGTERM
            signals.hold()
            signal.raise_signal(signal.SIGINT)
        assert came == [signal.SIGINT, signal.SIGINT], "what waits at the end of the block comes through"
        signal.raise_signal(signal.SIGINT)
        assert len(came) == 3, "the handler of before is back"
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_that_was_lost_is_handed_out_again_before_others() -> None:
    schedule = Schedule([Group("a", 0), Group("a", 0), Group("b", 0)])
    assert schedule.next(("node", 0)) == 0
    schedule.put_back(("node", 0), 0)
    assert schedule.first == 0
    assert schedule.next(("other", 0), lambda number: number == 2) == 2, "the only one that fits there"
    assert schedule.next(("other", 0), lambda number: number == 2) is None
    assert [schedule.next(("node", 0)) for _ in range(3)] == [0, 1, None]
    assert schedule.empty
    schedule.put_back(("node", 0), 1)
    assert not schedule.empty
