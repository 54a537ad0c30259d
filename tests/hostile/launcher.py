"""Starts the command `lossbench run` many times in little time: in processes forked from this one, which has imported it all.

Reads one word a line: `start SWEEP OUT` answers with the number of a new process, `wait` with the exit status of the last.
Its processes share one fork server for their workers, as its imports take longer than a tiny sweep.
"""

from __future__ import annotations

import os
import sys
from multiprocessing import forkserver
from pathlib import Path

os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})

import lossbench.publishing.report
import lossbench.running.loop  # noqa: F401 - what a run imports, here and below
import tasks.classification.task  # noqa: F401
from lossbench.cli.main import main
from lossbench.running.sweep import prepare
from lossbench.running.workers import warm_up


def start(sweep: str, out: str) -> int:
    """The number of a process that runs a sweep with two workers; its output is appended to `OUT.log`."""
    if number := os.fork():
        return number
    log = os.open(f"{out}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["lossbench", "run", sweep, "--workers", "2", "--out", out, "--data", str(Path(out).parent)]
    code = 1
    try:
        main()
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
                last = start(sweep, out)
                print(last, flush=True)
            case ["wait"]:
                print(os.waitstatus_to_exitcode(os.waitpid(last, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
