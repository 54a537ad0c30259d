"""Landlock: what a process in the sandbox can open, and what it cannot."""

from __future__ import annotations

import os
import platform
import signal
import socket
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from lossbench.submissions import sandbox
from lossbench.submissions.confinement import MACHINES
from lossbench.submissions.sandbox import (
    Limits,
    SandboxError,
    describe_limits,
    files_can_be_hidden,
    own_folder,
    run_module,
    run_python,
)

hides_files = pytest.mark.skipif(not files_can_be_hidden(), reason="this platform has no Landlock")


def confined(statement: str, folder: Path) -> None:
    """Run a statement; `timeit` is a module that does so."""
    run_module("timeit", ["-n", "1", "-r", "1", statement], folder, Limits(seconds=120))


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """The folder of the process, beside a file that it must not open."""
    (tmp_path / "labels.txt").write_text("cat", encoding="utf-8")
    folder = tmp_path / "box"
    folder.mkdir()
    return folder


def test_its_own_folder_is_open(box: Path) -> None:
    confined(
        "open('here', 'w').write('x'); import os; os.rename('here', 'there'); os.mkdir('in'); open('there').read()", box
    )
    assert (box / "there").read_text(encoding="utf-8") == "x"


@pytest.mark.slow
@hides_files
@pytest.mark.parametrize(
    "statement",
    [
        "open('../labels.txt')",
        "open('../labels.txt', 'a')",
        "open('../new.txt', 'w')",
        "import os; os.listdir('..')",
        "import os; os.truncate('../labels.txt', 0)",
        "import os; os.unlink('../labels.txt')",
        "import os; os.symlink('../labels.txt', 'link')",
        "import os; os.rename('../labels.txt', 'mine')",
        "import os; os.link('../labels.txt', 'mine')",
        "open('/proc/PID/environ')",
        "open('/proc/PID/mem')",
        "open('/etc/shadow')",
        "import subprocess; subprocess.run(['cat', '../labels.txt'], check=True, capture_output=True)",
    ],
)
def test_files_outside_are_closed(statement: str, box: Path) -> None:
    before = sorted(path.name for path in box.parent.iterdir())
    with pytest.raises(
        SandboxError, match=r"Permission denied|PermissionError|cross-device|returned non-zero exit status 1"
    ):
        confined(statement.replace("PID", str(os.getpid())), box)
    assert sorted(path.name for path in box.parent.iterdir()) == before
    assert (box.parent / "labels.txt").read_text(encoding="utf-8") == "cat"


@hides_files
def test_a_clone_shows_its_packages_and_nothing_else(box: Path) -> None:
    root = Path(sandbox.__file__).parents[2]
    confined(f"open({str(root / 'tasks/base.py')!r}).read()", box)
    confined(f"open({str(root / 'leaderboard/schema/records.py')!r}).read()", box)
    records = next((root / "leaderboard/records/test").rglob("*.json"))
    submitted = next((root / "leaderboard/submissions").rglob("*.json"))
    for closed in (root / "pyproject.toml", records, submitted):
        with pytest.raises(SandboxError, match="Permission denied"):
            confined(f"open({str(closed)!r})", box)


@pytest.mark.slow
@hides_files
@pytest.mark.skipif(platform.machine() not in MACHINES, reason="this processor's system calls are not known")
@pytest.mark.parametrize(
    ("statement", "closed"),
    [
        ("import socket; socket.socket(socket.AF_UNIX).connect('../service')", True),
        ("import socket; socket.socketpair(type=socket.SOCK_DGRAM)[0].sendto(b'x', '../service')", True),
        (
            "import ctypes; libc = ctypes.CDLL(None, use_errno=True); libc.syscall(425, 1, 0) + 1 or open('/etc/shadow')",
            True,
        ),
        ("import socket; one, other = socket.socketpair(); one.send(b'x'); other.recv(1)", False),
        ("import subprocess; subprocess.run(['true'], check=True)", False),
    ],
)
def test_services_of_the_machine_cannot_be_talked_to(statement: str, closed: bool, box: Path) -> None:
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(os.path.relpath(box.parent / "service"))  # the path of a socket is short
        service.listen(1)
        with pytest.raises(SandboxError, match="Permission denied") if closed else nullcontext():
            confined(statement, box)


def test_what_cannot_be_limited_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for network, files, phrase in (
        (True, True, "time, memory, network and files are limited"),
        (True, False, "time, memory and network are limited; files cannot be on this platform"),
        (False, False, "time and memory are limited; network and files cannot be on this platform"),
    ):
        monkeypatch.setattr(sandbox, "network_can_be_cut", lambda can=network: can)
        monkeypatch.setattr(sandbox, "files_can_be_hidden", lambda can=files: can)
        assert describe_limits() == phrase


def test_output_that_was_replaced_by_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    script = "import os; print('before', flush=True); os.unlink('output.txt'); os.mkfifo('output.txt')"
    assert run_python(["-c", script], tmp_path, Limits(seconds=60)) == "before\n"


@pytest.mark.slow
def test_a_folder_of_endless_folders_stops_nobody() -> None:
    with own_folder() as folder:
        script = "import os\nfor _ in range(1200):\n    os.mkdir('a')\n    os.chdir('a')"
        run_python(["-c", script], folder, Limits(seconds=60))
    os.system(f"rm -rf {folder}")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux ends a process with the one that started it")
def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    asker = os.fork()
    if asker == 0:
        run_python(
            ["-c", "import time\nfor _ in range(100):\n    open('beat', 'a').write('x')\n    time.sleep(0.1)"], tmp_path
        )
        os._exit(0)
    deadline = time.monotonic() + 60
    while not (tmp_path / "beat").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(asker, signal.SIGKILL)
    os.waitpid(asker, 0)
    time.sleep(0.5)
    before = (tmp_path / "beat").stat().st_size
    time.sleep(1)
    assert (tmp_path / "beat").stat().st_size == before
