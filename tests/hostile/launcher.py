"""Starts the command `lossbench` many times in little time: in processes forked from this one, which has imported it all.

Reads one line at a time: `start SWEEP OUT` runs a sweep, and `call LOG WORD...` any command as a user's shell does; both answer
with the number of a new process, `wait` with the exit status of the last.
Its processes share one fork server for their workers, as its imports take longer than a tiny sweep.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import NoReturn

os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})

import lossbench.publishing.report
import lossbench.running.loop  # noqa: F401 - what a run imports, here and below
import tasks.classification.task  # noqa: F401
from lossbench.cli import entry
from lossbench.cli.main import main
from lossbench.running.executors.workers import warm_up
from lossbench.running.sweep import prepare


def start(command: Callable[[], NoReturn], log: str, words: Sequence[str]) -> int:
    """The number of a process that runs a command; its output is appended to `log`, what it complains of to `log` and `.err`."""
    if number := os.fork():
        return number
    for descriptor, path in ((1, log), (2, f"{log}.err")):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    sys.argv = ["lossbench", *words]
    code = 1
    try:
        command()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    """Answer every line."""
    prepare()
    warm_up(["classification"], "cpu")
    for place in (forkserver, forkserver._forkserver):
        place.ensure_running = lambda: None  # it runs, and only its parent may ask for its state
    last = 0
    print("ready", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["start", sweep, out]:
                words = ("run", sweep, "--workers", "2", "--out", out, "--data", str(Path(out).parent))
                last = start(main, f"{out}.log", words)
                print(last, flush=True)
            case ["call", log, *words]:
                last = start(entry.main, log, words)
                print(last, flush=True)
            case ["wait"]:
                print(os.waitstatus_to_exitcode(os.waitpid(last, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
