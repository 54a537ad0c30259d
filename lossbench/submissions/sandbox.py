"""Runs Python code in a separate process with limits on time, memory and file size, without network where possible.

The process gets its own folder and an environment without credentials. This prevents accidents, such as a strategy that
fills the memory of the calling process. It does not stop malicious code, which can read, write and delete all files
that the user can. Run foreign code only on a machine without valuable data.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lossbench.errors import LossbenchError

TAIL_BYTES = 2000
"""How much of the end of a process's output is returned."""
INHERITED_VARIABLES = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
UNSHARE_NETWORK = ("unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")
"""Runs a command in new network and process namespaces: no network, and child processes end with the command."""


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


def run_python(arguments: Sequence[str], folder: Path, limits: Limits | None = None) -> str:
    """Run Python in a sandbox and wait until it ends.

    Args:
        arguments: the arguments of the interpreter.
        folder: the working directory.
        limits: `Limits()` if not given.

    Returns:
        The last `TAIL_BYTES` of its output, stdout and stderr together.

    Raises:
        SandboxError: it ended with an error or exceeded the time limit.
    """
    limits = limits or Limits()
    command = [*(UNSHARE_NETWORK if network_can_be_cut() else ()), sys.executable, "-X", "utf8", *arguments]
    output_path = folder / "output.txt"
    with (
        output_path.open("wb") as output,  # not a pipe: long output must not fill the memory of the calling process
        subprocess.Popen(  # noqa: S603 - the command is fixed; the code that it runs is why there is a sandbox
            command,
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: _apply(limits),  # noqa: PLW1509 - it only sets limits
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
                os.killpg(process.pid, signal.SIGKILL)  # ends the child processes, too
    if code:
        msg = f"the process ended with exit code {code}: {' '.join(_tail(output_path).split())}"
        raise SandboxError(msg)
    return _tail(output_path)


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read().decode("utf-8", "replace")


@lru_cache
def network_can_be_cut() -> bool:
    """Whether this platform can run a process without network."""
    if shutil.which(UNSHARE_NETWORK[0]) is None:
        return False
    return subprocess.run([*UNSHARE_NETWORK, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603


def describe_limits() -> str:
    """Which resources the sandbox limits on this platform, as a phrase for people."""
    if network_can_be_cut():
        return "time, memory and network are limited"
    return "time and memory are limited, the network is not"


def _environment(folder: Path) -> dict[str, str]:
    """Environment variables without credentials; the home directory is the sandbox's folder."""
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return inherited | threads | {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def _apply(limits: Limits) -> None:
    """Limit the current process."""
    amounts = {
        resource.RLIMIT_AS: limits.memory_gibibytes * 2**30,
        resource.RLIMIT_FSIZE: limits.file_gibibytes * 2**30,
        resource.RLIMIT_CPU: 4 * limits.seconds,
        resource.RLIMIT_CORE: 0,
    }
    for name, amount in amounts.items():
        resource.setrlimit(name, (amount, amount))
