"""A command that runs code from outside: however that code ends the process, one line says so, and nothing hangs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lossbench.cli import entry

SCRIPT = """
import os, signal, sys, threading, time
import lossbench.cli.main, lossbench.cli.entry as entry

def command():
    print("begins", flush=True)
    {code}
    sys.exit(7)

lossbench.cli.main.main = command
entry.SECONDS_TO_END = 0.5
sys.argv = ["lossbench", {words}]
entry.main()
"""
TOO_EARLY = "lossbench: too early, this process {}; code from outside may do so, too. Finished rounds are kept\n"
ENDINGS = {
    "pass": (7, ""),
    "sys.exit(0)": (0, ""),
    "sys.exit('a fault')": (1, "a fault\n"),
    "os._exit(0)": (1, TOO_EARLY.format("ended with exit code 0")),
    "os._exit(1)": (1, TOO_EARLY.format("ended with exit code 1")),
    "os.kill(os.getpid(), 9)": (1, TOO_EARLY.format("was ended by SIGKILL, most often for lack of memory")),
    "signal.alarm(1); time.sleep(60)": (1, TOO_EARLY.format("was ended by SIGALRM")),
    "import ctypes; ctypes.string_at(0)": (1, TOO_EARLY.format("was ended by SIGSEGV")),
    "threading.Thread(target=time.sleep, args=(60,)).start()": (7, ""),
    "os.fork() or time.sleep(5); os._exit(0)": (1, TOO_EARLY.format("ended with exit code 0")),
    "os.closerange(3, 100)": (1, TOO_EARLY.format("ended with exit code 7")),
    "os.fork()": (7, ""),
}


def started(code: str, words: str = '"run", "quickstart"') -> subprocess.Popen[str]:
    script = SCRIPT.format(code=code, words=words)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begins\n"
    return process


@pytest.mark.parametrize("code", ENDINGS)
def test_however_it_ends_the_exit_code_says_so(code: str, tmp_path: Path) -> None:
    process = started(code)
    wanted, line = ENDINGS[code]
    began = time.monotonic()
    assert process.wait(timeout=30) == wanted
    assert time.monotonic() - began < 10
    if "fork" not in code or line:
        assert process.stderr.readline() == line
    process.stdout.close()
    process.stderr.close()


def test_a_traceback_is_one_of_the_program(tmp_path: Path) -> None:
    process = started("1 / 0")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    "code", ["time.sleep(60)", "sum(iter(int, 1))", "signal.signal(15, signal.SIG_IGN); time.sleep(60)"]
)
def test_it_can_be_stopped_whatever_it_does(code: str) -> None:
    process = started(code)
    time.sleep(0.1)
    process.terminate()
    assert process.wait(timeout=10) == 128 + signal.SIGTERM
    assert process.stderr.read() == ""
    process.stdout.close()
    process.stderr.close()


@pytest.mark.parametrize("outlives", [False, True])
def test_nohup_outlives_the_terminal(outlives: bool) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if outlives else signal.SIG_DFL)
    try:
        process = started("time.sleep(2)")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=10) == (7 if outlives else 128 + signal.SIGHUP)
    process.stdout.close()
    process.stderr.close()


def test_it_ends_with_the_process_that_started_it() -> None:
    process = started("open('/proc/self/stat').close(); print(os.getpid(), flush=True); time.sleep(60)")
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(child)
    process.stdout.close()
    process.stderr.close()


def alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("run quickstart", True),
        ("pick --settings round.toml", True),
        ("submission create mine", True),
        ("submission check mine.py", True),
        ("measure selection x --strategy mine.py", True),
        ("list protocols --kind-file kind.py", True),
        ("diagnose x.json --trust-config", True),
        ("submission verify mine", False),
        ("--help", False),
        ("", False),
    ],
)
def test_only_what_may_run_code_has_a_process_of_its_own(words: str, wanted: bool) -> None:
    assert entry.runs_code_from_outside(words.split()) == wanted


def test_the_command_begins_there() -> None:
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^lossbench = "lossbench\.cli\.entry:main"$', project, re.MULTILINE)
