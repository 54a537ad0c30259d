"""Where the command `lossbench` begins. On Linux, a command that may run code from outside runs in a child process.

Such code can end its process at once, with any exit code, or leave threads that never end: only another process can then
still say what has happened, and end what is left.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import NoReturn

from lossbench.processes import launched

FILES_MAY_NAME_CODE = (["run"], ["pick"], ["submission", "create"])
"""Commands that may run code from outside, although their words name none."""
SECONDS_TO_END = 10.0
"""How long a command that has done its work may take to end, with its threads and processes."""
DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of linux/prctl.h."""


def main() -> NoReturn:
    """Run the command of `sys.argv`."""
    watched = sys.platform == "linux" and launched() is None  # torchrun watches its processes
    report = _in_child() if watched and runs_code_from_outside(sys.argv[1:]) else None
    own, code = os.getpid(), 1
    from lossbench.cli.main import main as command

    try:
        command()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    finally:
        if report is not None and os.getpid() == own:
            with suppress(OSError):  # code from outside may have closed all files
                os.write(report, bytes([code % 256]))


def runs_code_from_outside(words: list[str]) -> bool:
    """Whether a command may run code that Lossbench does not ship."""
    named = any(word.endswith(".py") or word == "--trust-config" for word in words)
    return named or any(words[: len(command)] == command for command in FILES_MAY_NAME_CODE)


def _in_child() -> int:
    """Go on in a child process, which writes its exit code to the returned pipe when it is done; the parent waits, and ends here."""
    reader, writer = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child:
        os.close(writer)
        sys.exit(_exit_code(child, reader))
    os.close(reader)
    import ctypes

    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)  # it ends with its parent, however that ends
    if os.getppid() != parent:
        os._exit(1)
    return writer


def _exit_code(child: int, reader: int) -> int:
    """Wait for the child. If it has ended before it was done, one line says how."""
    stop = _Stop(child)
    while (status := _status(child)) is None and not select.select([reader], [], [], 0.2)[0]:
        stop.enforce()  # the end of the pipe alone says nothing: other processes may hold it, too
    if status is None and (said := os.read(reader, 1)):
        return _ended_within(child, SECONDS_TO_END, said[0])
    while status is None:
        stop.enforce()
        time.sleep(0.01)
        status = _status(child)
    if stop.number or status in {128 + signal.SIGINT, 128 + signal.SIGTERM}:  # a second Ctrl-C ends the child at once
        return 128 + stop.number if stop.number else status
    from lossbench.cli.output import complain
    from lossbench.running.deaths import ending

    complain(f"too early, this process {ending(status, 0)}; code from outside may do so, too. Finished rounds are kept")
    return 1


class _Stop:
    """Ctrl-C, SIGTERM or the end of the terminal. The child ends of itself, or is ended if code from outside keeps it from ending.

    Where `nohup` lets this process outlive its terminal, it does.

    Args:
        child: number of the process.
    """

    def __init__(self, child: int) -> None:
        self.number, self._child, self._deadline = 0, child, float("inf")
        hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
        for number in (signal.SIGINT, signal.SIGTERM, *hang_up):
            signal.signal(number, self._begin)

    def _begin(self, number: int, _: object) -> None:
        if number != signal.SIGINT:  # which a terminal gives to the child, too
            os.kill(self._child, number)
        self.number = number
        self._deadline = min(self._deadline, time.monotonic() + SECONDS_TO_END)

    def enforce(self) -> None:
        """End the child if it was to end long ago."""
        if time.monotonic() > self._deadline:
            os.kill(self._child, signal.SIGKILL)


def _status(child: int) -> int | None:
    """The exit code of a process, that of a signal negative; None while it runs."""
    number, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if number else None


def _ended_within(child: int, seconds: float, code: int) -> int:
    """The exit code of a process that has done its work; it is ended if it takes longer, such as for a thread."""
    deadline = time.monotonic() + seconds
    while _status(child) is None:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return code
        time.sleep(0.01)
    return code
