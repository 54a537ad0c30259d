"""What the cases share: imports that are made before a clock runs, and a tiny protocol that was run once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from hostile_cases.case import files
from hostile_cases.protocols import SWEEP, VALID
from launching import Launcher


@pytest.fixture(scope="session", autouse=True)
def _imported() -> None:
    """Imports take longer than the cases, and what breaks off an import breaks all that follows."""
    import lossbench.publishing.report
    import lossbench.running.loop
    import lossbench.submissions.verification  # noqa: F401 - here and below


@pytest.fixture(scope="session")
def warm(shared: Path) -> Path:
    """A folder in which the tiny protocol was run once: its scenes, its models, and the record as `undisturbed.json`."""
    from lossbench.config_files import read_sweep
    from lossbench.paths import Paths
    from lossbench.running.executors.local import Local
    from lossbench.running.jobs import NullSink, jobs
    from lossbench.running.sweep import run_sweep

    folder = shared / "warm"
    with FileLock(shared / "warm.lock"):
        if not folder.exists():
            made = shared / "warming"
            files({"tasks/tiny.toml": VALID, "sweeps/tiny.toml": SWEEP})(made)
            paths = Paths(made, made / "out")
            (record,) = run_sweep(jobs(*read_sweep(made / "sweeps/tiny.toml")), paths, Local(1), NullSink())
            record.rename(made / "undisturbed.json")
            shutil.rmtree(made / "out/records")
            made.rename(folder)
    return folder


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """It ends with the tests of a module, and with it all that it started."""
    path = Path(__file__).with_name("launcher.py")
    process = subprocess.Popen([sys.executable, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield Launcher(process)
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for each in family:
        each.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
