"""Runs a stranger's Python in a process of its own, with limits on time, memory and files, and without network where it can.

It keeps accidents and idle mischief away from the process that judges: no shared memory, a bare environment, a folder of
its own. It is no jail: code in it may read, write and delete what its user may. Strangers' code belongs on a machine that
holds nothing dear.
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

TAIL_CHARACTERS = 2000
PASSED_ON = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
NO_NETWORK = ("unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")
"""A network and a table of processes of its own: what it starts ends with it."""


class SandboxError(LossbenchError):
    """A process that did not end well: one line, with the last that it said."""


@dataclass(frozen=True)
class Limits:
    """What a process may use."""

    seconds: int = 3600
    """Of the clock."""
    memory_gibibytes: int = 16
    """Of addresses, which torch reserves generously: several times what it fills."""
    file_gibibytes: int = 4
    """Of one file."""


def python(arguments: Sequence[str], folder: Path, limits: Limits | None = None) -> str:
    """Run Python with these arguments in a folder, and give the last that it printed.

    Raises:
        SandboxError: it failed, or took longer than it may.
    """
    limits = limits or Limits()
    command = [*(NO_NETWORK if without_network() else ()), sys.executable, "-X", "utf8", *arguments]
    said = folder / "said.txt"
    with (
        said.open("wb") as output,  # not a pipe: what it prints fills its own folder, never the judge's memory
        subprocess.Popen(  # noqa: S603 - the command is ours; what it runs is why it is boxed
            command,
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: _limit(limits),  # noqa: PLW1509 - it sets limits and nothing else
            start_new_session=True,
        ) as process,
    ):
        try:
            code = process.wait(limits.seconds)
        except subprocess.TimeoutExpired:
            msg = f"it took longer than {limits.seconds} s"
            raise SandboxError(msg) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and whatever it has started
    if code:
        msg = f"it ended with code {code}: {' '.join(_tail(said).split())}"
        raise SandboxError(msg)
    return _tail(said)


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_CHARACTERS))
        return file.read().decode("utf-8", "replace")


@lru_cache
def without_network() -> bool:
    """Whether this platform can take the network away from a process."""
    if shutil.which(NO_NETWORK[0]) is None:
        return False
    return subprocess.run([*NO_NETWORK, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603


def _environment(folder: Path) -> dict[str, str]:
    """Bare: no keys, no tokens, no home."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return kept | threads | {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def _limit(limits: Limits) -> None:
    most = {
        resource.RLIMIT_AS: limits.memory_gibibytes * 2**30,
        resource.RLIMIT_FSIZE: limits.file_gibibytes * 2**30,
        resource.RLIMIT_CPU: 4 * limits.seconds,
        resource.RLIMIT_CORE: 0,
    }
    for what, amount in most.items():
        resource.setrlimit(what, (amount, amount))
