"""How many cores and threads a process takes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tasks.cores import own_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux")
def test_cores_that_a_scheduler_withholds_are_not_counted() -> None:
    """As SLURM and `taskset` do."""
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); from tasks.cores import own_cores, threads_for"
    said = subprocess.check_output([sys.executable, "-c", f"{code}; print(own_cores(), threads_for(8))"], text=True)
    assert said.split() == ["1", "1"]
    assert own_cores() == len(os.sched_getaffinity(0))
