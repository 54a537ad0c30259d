"""Files of a round's stores that workers or a Ray cluster make are those of one process, whoever is killed."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from photo_folders import CLASSES, SMALL_MODEL, photograph
from ray_clusters import cluster
from run_processes import SECONDS, ended, wait_for
from shards import tar_shard

pytestmark = pytest.mark.slow  # pools of several files of rows, scored in processes of their own
COUNT, LABELED = 4_500, 30
SCORES, FEATURES = 3, 3
"""Files of rows."""
FROZEN = """
[task.model]
kind = "timm"
name = "tf_efficientnet_lite0"
weights = "package"
pixels = 32
freeze = true
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool in a tar shard, labels, and settings."""
    found = tmp_path_factory.mktemp("pool")
    members = {}
    for number in range(COUNT):
        content = io.BytesIO()
        photograph(number, 24).save(content, "BMP")
        members[f"{number:05}.bmp"] = content.getvalue()
    tar_shard(found / "photos.tar", members)
    rows = [f"{number:05}.bmp,{CLASSES[number % 2]}" for number in range(LABELED)]
    (found / "labels.csv").write_text("\n".join(["path,label", *rows, ""]), encoding="utf-8")
    (found / "small.toml").write_text(SMALL_MODEL, encoding="utf-8")
    (found / "frozen.toml").write_text(FROZEN, encoding="utf-8")
    return found


PROGRAM = """
from tasks import shards
write = shards._write
shards._write = lambda folder, *rest: (print("wrote", folder.parent.name, flush=True), write(folder, *rest))[1]
from lossbench.cli.entry import main
main()
"""
"""Says which files of stores the command's own process makes."""
TRAINED = ("--labeled", "labels.csv", "--settings", "small.toml", "--strategy", "margin")
FIRST = ("--settings", "frozen.toml", "--strategy", "core-set")


def start(folder: Path, name: str, *words: str, cache: str = "") -> subprocess.Popen[str]:
    """A command `pick` in the folder, with a cache of its own."""
    common = ("--unlabeled", "photos.tar", "--kind", "classification", "--classes", ",".join(CLASSES), "--budget", "5")
    command = [sys.executable, "-c", PROGRAM, "pick", *common, *words]
    command += ["--out", f"{name}-round", "--cache", cache or f"{name}-cache"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def files(folder: Path, name: str) -> list[str]:
    """The files of all stores of a command, without squares; their names hold their digests."""
    return sorted(str(path.relative_to(folder / f"{name}-cache")) for path in made(folder, name))


def made(folder: Path, name: str) -> list[Path]:
    return sorted(
        path for store in ("scores", "features") for path in (folder / f"{name}-cache" / store).glob("*/*.npy")
    )


@pytest.fixture(scope="module")
def alone(folder: Path) -> Path:
    """The folder, in which one process has made the rounds `alone` and `alone-first`."""
    ended(start(folder, "alone", *TRAINED))
    ended(start(folder, "alone-first", *FIRST))
    assert (len(files(folder, "alone")), len(files(folder, "alone-first"))) == (SCORES, FEATURES)
    return folder


def same(folder: Path, name: str, other: str = "alone") -> bool:
    """Whether two rounds have the same stores, and the same picks."""
    assert files(folder, name) == files(folder, other)
    return (folder / f"{name}-round/picks.csv").read_bytes() == (folder / f"{other}-round/picks.csv").read_bytes()


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that make files for a command; the fork server and the tracker of resources do not.

    The command itself is watched by the process that was started, of which it is a child.
    """
    (command,) = psutil.Process(process.pid).children()
    return [each for each in command.children(recursive=True) if each.ppid() != command.pid]


def check_features(folder: Path, name: str, *words: str) -> None:
    """Make a first round of which others make the features: they are those of one process."""
    output = ended(start(folder, name, *FIRST, *words))
    assert [line for line in output.splitlines() if line.startswith("wrote")] == ["wrote squares"], output
    assert same(folder, name, "alone-first")


def test_workers_make_the_features_of_one_process(alone: Path) -> None:
    check_features(alone, "features", "--workers", "2")


def test_scores_outlive_a_worker(alone: Path, started: list[subprocess.Popen[str]]) -> None:
    process = start(alone, "worker", *TRAINED, "--workers", "2")
    started.append(process)
    wait_for(lambda: list((alone / "worker-cache/scores").glob("*/*.lock")), process)
    workers(process)[0].send_signal(signal.SIGKILL)
    output = ended(process)
    assert "of the scores: its worker was ended by SIGKILL" in output, output
    assert same(alone, "worker")


def test_scores_go_on_after_a_kill_and_a_damaged_file_is_made_again(
    alone: Path, started: list[subprocess.Popen[str]]
) -> None:
    process = start(alone, "killed", *TRAINED, "--workers", "2")
    started.append(process)
    wait_for(lambda: made(alone, "killed"), process)
    left = workers(process)
    process.kill()
    assert not psutil.wait_procs(left, timeout=60)[1], "workers end with their command"
    before = {path: path.stat().st_mtime_ns for path in made(alone, "killed")}
    damaged = min(before)
    os.truncate(damaged, damaged.stat().st_size - 4)
    output = ended(start(alone, "killed", *TRAINED, "--workers", "2"))
    assert same(alone, "killed")
    assert all(path.stat().st_mtime_ns == before[path] for path in before if path != damaged)
    assert damaged.stat().st_mtime_ns != before[damaged]
    assert "Picks: killed-round/picks.csv" in output


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Ray leaves pipes of its nodes open
def test_a_cluster_gives_the_same_files_and_outlives_an_actor(
    alone: Path, started: list[subprocess.Popen[str]]
) -> None:
    def actors() -> list[psutil.Process]:
        found = psutil.Process().children(recursive=True)
        return [each for each in found if "MapWorker(MapBatches(Actor))" in " ".join(each.cmdline())]

    with cluster() as nodes:
        nodes.add_node()
        check_features(alone, "spread", "--cluster", nodes.address)
        process = start(alone, "cluster", *TRAINED, "--cluster", nodes.address)
        started.append(process)
        wait_for(lambda: list((alone / "cluster-cache/scores").glob("*/*.lock")), process)
        actors()[0].send_signal(signal.SIGKILL)
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert same(alone, "cluster")
