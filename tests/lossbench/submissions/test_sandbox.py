"""The sandbox: what a stranger's code cannot reach, and what ends it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from lossbench.submissions.sandbox import Limits, SandboxError, network_can_be_cut, run_python


def sandboxed(tmp_path: Path, script: str, **limits: int) -> str:
    return run_python(["-c", textwrap.dedent(script)], tmp_path, Limits(**limits))


def test_a_lower_hard_limit_of_the_machine_stays(tmp_path: Path) -> None:
    script = "import resource; print(resource.getrlimit(resource.RLIMIT_FSIZE))"
    parent = f"""
    import resource
    from pathlib import Path
    from lossbench.submissions.sandbox import run_python
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    print(run_python(["-c", "{script}"], Path({str(tmp_path)!r})))
    """
    command = [sys.executable, "-c", textwrap.dedent(parent)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str((2**20, 2**20))


def test_the_sandbox_gives_what_was_printed(tmp_path: Path) -> None:
    assert sandboxed(tmp_path, "print('é', __import__('os').getcwd())") == f"é {tmp_path}\n"


@pytest.mark.slow
def test_the_sandbox_ends_what_takes_too_long_and_all_that_it_started(tmp_path: Path) -> None:
    script = """
        import subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3); open('late', 'w')"])
        time.sleep(60)
    """
    started = time.monotonic()
    with pytest.raises(SandboxError, match="longer than 1 s"):
        sandboxed(tmp_path, script, seconds=1)
    assert time.monotonic() - started < 40  # it would sleep for 60 s
    time.sleep(3)
    assert not (tmp_path / "late").exists()


def test_the_sandbox_limits_memory_and_files(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="MemoryError"):
        sandboxed(tmp_path, "bytearray(2**31)", memory_gibibytes=1)
    with pytest.raises(SandboxError):
        sandboxed(tmp_path, "f = open('big', 'wb'); f.truncate(2**31)", file_gibibytes=1)


def test_the_sandbox_passes_no_secrets_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    assert "abc" not in sandboxed(tmp_path, "import os; print(dict(os.environ))")


@pytest.mark.skipif(not network_can_be_cut(), reason="this platform cannot cut the network")
def test_the_sandbox_has_no_network(tmp_path: Path) -> None:
    script = "import socket; print(sorted(name for _, name in socket.if_nameindex()))"
    assert sandboxed(tmp_path, script).strip() == "['lo']"
