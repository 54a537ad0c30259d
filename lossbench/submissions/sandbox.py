"""Runs Python code in a separate process with limits on time, memory and file size.

Where the platform allows, it has no network and leaves no process behind (`network_can_be_cut`), and opens only files that it
needs (`files_can_be_hidden`). Memory is limited for each process. The process gets its own folder and an environment without credentials. Where the platform allows less, malicious code can
read, write and delete all files that the user can. A fault of the kernel or of Python can open the sandbox everywhere. Run
foreign code only on a machine without valuable data.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from lossbench.errors import LossbenchError
from lossbench.running.deaths import ending
from lossbench.submissions.confinement import landlock_version
from lossbench.words import spelled_out

TAIL_BYTES = 2000
"""How much of the end of a process's output is returned."""
INHERITED_VARIABLES = (
    "PATH",
    "LANG",
    "LC_ALL",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
)
"""The last two choose processor instructions, on which bits depend."""
UNSHARE_NETWORK = ("unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")
"""Runs a command in new network and process namespaces: no network, and child processes end with the command."""
SIGNAL_AT_END_OF_PARENT = 1
"""PR_SET_PDEATHSIG of linux/prctl.h."""


class SandboxError(LossbenchError):
    """A process in the sandbox failed; the message is one line with the end of its output."""


@dataclass(frozen=True)
class Limits:
    """Limits of a process."""

    seconds: int = 3600
    """Wall-clock time."""
    memory_gibibytes: int = 16
    """Address space, of which torch reserves several times what it uses."""
    file_gibibytes: int = 4
    """Size of one file."""


def run_module(module: str, arguments: Sequence[str], folder: Path, limits: Limits | None = None) -> str:
    """Run a module in a sandbox that hides files where the platform allows; see `confinement` and `run_python`."""
    return run_python(["-m", "lossbench.submissions.confinement", module, *arguments], folder, limits)


def run_python(arguments: Sequence[str], folder: Path, limits: Limits | None = None) -> str:
    """Run Python in a sandbox that hides no files, and wait until it ends.

    Args:
        arguments: the arguments of the interpreter.
        folder: the working directory.
        limits: `Limits()` if not given.

    Returns:
        The last `TAIL_BYTES` of its output, stdout and stderr together.

    Raises:
        SandboxError: it ended with an error or exceeded the time limit.
    """
    limits, libc = limits or Limits(), ctypes.CDLL(None)
    command = [*(UNSHARE_NETWORK if network_can_be_cut() else ()), sys.executable, "-X", "utf8", *arguments]
    with (
        (folder / "output.txt").open("w+b") as output,  # not a pipe: long output must not fill the caller's memory
        subprocess.Popen(  # noqa: S603 - the command is fixed; the code that it runs is why there is a sandbox
            command,
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: _apply(limits, libc),  # noqa: PLW1509 - it only sets limits
            start_new_session=True,
        ) as process,
    ):
        try:
            code = process.wait(limits.seconds)
        except subprocess.TimeoutExpired:
            msg = f"the process took longer than {limits.seconds} s"
            raise SandboxError(msg) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # ends the child processes, too, that have not left its session
        tail = _tail(output)
    if code:
        said = spelled_out(" ".join(tail.split()))
        msg = f"the process {ending(code, 0)}{f': {said}' if said else ''}"
        raise SandboxError(msg)
    return tail


def _tail(file: BinaryIO) -> str:
    """The end of an open file; its path may lead to something else by now."""
    file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
    return file.read(TAIL_BYTES).decode("utf-8", "replace")


@contextmanager
def own_folder(place: Path | None = None) -> Iterator[Path]:
    """A new folder for a process in the sandbox, or for several; it is removed after the block, if that is possible.

    Args:
        place: the folder in which it is made; that of temporary files if None.
    """
    folder = Path(tempfile.mkdtemp(prefix="lossbench-", dir=place))
    try:
        yield folder
    finally:
        with suppress(
            OSError, RecursionError
        ):  # foreign code may have made it unreadable, or thousands of folders deep
            shutil.rmtree(folder)


@lru_cache
def network_can_be_cut() -> bool:
    """Whether this platform can run a process without network."""
    if shutil.which(UNSHARE_NETWORK[0]) is None:
        return False
    return subprocess.run([*UNSHARE_NETWORK, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603


def files_can_be_hidden() -> bool:
    """Whether this platform can keep a process from opening files, such as those that hold labels."""
    return landlock_version() > 0


def describe_limits() -> str:
    """Which resources the sandbox limits on this platform, as a phrase for people."""
    possible = {"network": network_can_be_cut(), "files": files_can_be_hidden()}
    limited = ["time", "memory", *(name for name, can in possible.items() if can)]
    open_ones = [name for name, can in possible.items() if not can]
    phrase = f"{', '.join(limited[:-1])} and {limited[-1]} are limited"
    return f"{phrase}; {' and '.join(open_ones)} cannot be on this platform" if open_ones else phrase


def _environment(folder: Path) -> dict[str, str]:
    """Environment variables without credentials; the home directory is the sandbox's folder."""
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "JOBLIB_MULTIPROCESSING": "0"}  # it needs /dev/shm
    return inherited | threads | {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def _apply(limits: Limits, libc: ctypes.CDLL) -> None:
    """Limit the current process; on Linux it ends with the process that started it, however that ends."""
    if sys.platform == "linux":
        libc.prctl(SIGNAL_AT_END_OF_PARENT, signal.SIGKILL)
    amounts = {
        resource.RLIMIT_AS: limits.memory_gibibytes * 2**30,
        resource.RLIMIT_FSIZE: limits.file_gibibytes * 2**30,
        resource.RLIMIT_CPU: 4 * limits.seconds,
        resource.RLIMIT_CORE: 0,
    }
    for name, amount in amounts.items():
        _, hard = resource.getrlimit(name)
        least = amount if hard == resource.RLIM_INFINITY else min(amount, hard)  # nobody may raise a hard limit
        resource.setrlimit(name, (least, least))
