"""Strategies that attack their verification: whatever they do in their own process, the record is of their picks alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from attacking_strategies import HONEST, strategy_file

from leaderboard.schema.badges import Badge
from leaderboard.schema.records import read_record, record_path
from lossbench.config import ConfigError
from lossbench.submissions.checking import check_in_sandbox
from lossbench.submissions.comparison import differences
from lossbench.submissions.exchange import Declaration, Verdicts, read_answer
from lossbench.submissions.folder import REPLAY, Submission, add_records, create_submission
from lossbench.submissions.sandbox import Limits, SandboxError, files_can_be_hidden, run_python
from lossbench.submissions.verification import Verifier
from tasks.outside.files import Source

hides_files = pytest.mark.skipif(not files_can_be_hidden(), reason="this platform has no Landlock")

EVALUATION = """
import lossbench.running.loop as loop
loop.evaluate = lambda *_: {"accuracy": 1.0, "balanced accuracy": 1.0, "loss": 0.0}
import tasks.classification.task as task
task.ClassificationTask.metrics = lambda *_: {"accuracy": 1.0}
"""
WEIGHTS = """
import torch
with torch.no_grad():
    for learner in ctx.committee:
        for value in learner.model.parameters():
            value.zero_()
torch.manual_seed(5)
torch.set_num_threads(2)
"""
WRITING = """
import json, pathlib
import leaderboard.schema.records as records
def forged(record, path):
    path.write_text("{}")
records.write_record = records.write_whole = forged
dumps = json.dumps
json.dumps = lambda value, **more: dumps(value | {"metrics": {"accuracy": 1.0}} if isinstance(value, dict) else value, **more)
"""
TIMING = """
import tasks.training.clock as clock
clock.Clock.selection = lambda self: {"forward": 0.0, "pick": 0.0, "score": 0.0}
"""
THREADS = """
import threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
"""
CHILD = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
"""
HARMLESS = strategy_file(THREADS + CHILD + WEIGHTS + HONEST, before=EVALUATION + TIMING)
"""It picks as the honest strategy does; its attacks change nothing."""
REFUSED = {
    "json": (strategy_file(HONEST, before=WRITING), "left no valid answer"),
    "exit": (strategy_file("import sys\nsys.exit(0)"), "it ends the program (SystemExit: 0)"),
    "hard exit": (strategy_file("import os\nos._exit(0)"), "ended without an answer"),
    "kill": (
        strategy_file("import os, signal\nos.kill(os.getppid(), 9)\nos.kill(os.getpid(), 9)"),
        "last on tiny, round 0",
    ),
    "fifo": (strategy_file("import os\nos.mkfifo('answer.json')\nos._exit(0)"), "left no valid answer"),
    "huge": (strategy_file("import os\nopen('answer.json', 'w').truncate(2**31)\nos._exit(0)"), "left no valid answer"),
    "labeled": (
        strategy_file(
            "import strategies, os, json\n"
            """
answer = {"ids": ctx.labeled[: ctx.budget].tolist(), "forward": 0, "score": 0, "pick": 0}
open("answer.json", "w").write(json.dumps(answer))
os._exit(0)"""
        ),
        "6 ids that are labeled already",
    ),
    "negative": (
        strategy_file(
            'import os\nopen(\'answer.json\', \'w\').write(\'{"ids": [-1], "forward": 0, "score": 0, "pick": 0}\')\nos._exit(0)'
        ),
        "left no valid answer",
    ),
    "never": (
        strategy_file(
            'import os\nopen(\'answer.json\', \'w\').write(\'{"ids": [1], "forward": 0, "score": -5, "pick": 0}\')\nos._exit(0)'
        ),
        "left no valid answer",
    ),
    "error": (strategy_file("raise RuntimeError('no luck')"), "no luck"),
    "import": (strategy_file(HONEST, before="import nowhere_to_be_found"), "nowhere_to_be_found"),
}


@pytest.fixture
def submitted(reported_by_workers: list[Path], tmp_path: Path) -> Callable[[str], Submission]:
    """Makes a submission of a file, with the records of the honest strategy."""

    def make(content: str) -> Submission:
        file = tmp_path / "mine.py"
        file.write_text(content, encoding="utf-8")
        folder = create_submission(file, "last", tmp_path / "submissions")
        add_records(reported_by_workers, folder)
        digest = Source(file, file.read_bytes()).digest
        for path in (folder / "records").rglob("*.json"):
            table = json.loads(path.read_text(encoding="utf-8"))
            table["fingerprints"]["strategy"] = digest
            path.write_text(json.dumps(table), encoding="utf-8")
        return Submission.read(folder)

    return make


def verified(submission: Submission, protocols: Path) -> Badge:
    return Verifier("me", protocols, submission.folder).badge(submission)


@pytest.mark.slow
def test_attacks_on_its_own_process_change_nothing(submitted: Callable[[str], Submission], protocols: Path) -> None:
    submission = submitted(HARMLESS)
    badge = verified(submission, protocols)
    assert (badge.state, badge.faults) == ("verified", ())
    for own in submission.records().records:
        kept = read_record(record_path(submission.folder / REPLAY, "tiny", "shared", "last", own.seed))
        assert differences(own, kept) == []
        assert kept.rounds[0].seconds.fit > 0
        assert kept.rounds[-1].metrics["accuracy"] < 1


@pytest.mark.slow
@pytest.mark.parametrize("attack", REFUSED)
def test_an_answer_that_is_none_fails_the_verification(
    attack: str, submitted: Callable[[str], Submission], protocols: Path
) -> None:
    content, fault = REFUSED[attack]
    submission = submitted(content)
    (submission.folder / REPLAY).mkdir()
    (submission.folder / REPLAY / "earlier.json").write_text("{}", encoding="utf-8")
    badge = verified(submission, protocols)
    assert badge.state == "failed"
    assert fault in badge.faults[0]
    assert [path.name for path in (submission.folder / REPLAY).iterdir()] == ["earlier.json"]


def scores_raised(submission: Submission) -> None:
    for path in (submission.folder / "records").rglob("*.json"):
        table = json.loads(path.read_text(encoding="utf-8"))
        table["rounds"][-1]["metrics"]["accuracy"] = 0.999
        path.write_text(json.dumps(table), encoding="utf-8")


@pytest.mark.slow
def test_a_score_that_only_its_own_process_would_give_is_caught(
    submitted: Callable[[str], Submission], protocols: Path
) -> None:
    submission = submitted(HARMLESS)
    scores_raised(submission)
    badge = verified(submission, protocols)
    assert badge.state == "failed"
    assert "differs in metrics of round 2" in badge.faults[0]
    kept = read_record(record_path(submission.folder / REPLAY, "tiny", "shared", "last", 0))
    assert kept.rounds[-1].metrics["accuracy"] < 0.9


READER = """
import glob, os, pathlib
found = []
for place in {places!r}:
    for path in glob.glob(place, recursive=True):
        try:
            found.append(open(path, 'rb').read(1))
        except OSError:
            pass
for place in ("../left-behind", {target!r}):
    try:
        open(place, "w").write("x")
    except OSError:
        pass
if found:
    raise RuntimeError("could read " + str(len(found)))
"""


@hides_files
@pytest.mark.slow
def test_files_outside_can_be_neither_read_nor_written(
    submitted: Callable[[str], Submission], protocols: Path, tmp_path: Path
) -> None:
    labels, target = tmp_path / "labels.txt", tmp_path / "written.txt"
    labels.write_text("cat", encoding="utf-8")
    places = [
        str(labels),
        "/tmp/lossbench-*/cache/**/*",
        "/tmp/lossbench-*/models/*",
        "/proc/1/environ",
        f"/proc/{os.getpid()}/mem",
    ]
    submission = submitted(strategy_file(READER.format(places=places, target=str(target)) + HONEST))
    badge = verified(submission, protocols)
    assert (badge.state, badge.faults) == ("verified", ())
    assert not target.exists()


@pytest.mark.slow
def test_where_files_are_open_the_badge_says_so(
    submitted: Callable[[str], Submission], protocols: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lossbench.submissions.verification.files_can_be_hidden", lambda: False)
    monkeypatch.setattr(Verifier, "_planned", lambda *_: ([], []))
    badge = verified(submitted(strategy_file(HONEST)), protocols)
    assert "no Landlock" in badge.notes[0]
    assert badge.state == "self-reported", "nothing was repeated"


@pytest.mark.slow
def test_what_changes_while_it_is_verified_is_not_signed(
    submitted: Callable[[str], Submission], protocols: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = submitted(strategy_file(HONEST))

    def planned(*_: object) -> tuple[list[object], list[str]]:
        meta = submission.folder / "meta.toml"
        meta.write_text(meta.read_text(encoding="utf-8").replace("your name", "another"), encoding="utf-8")
        return [], []

    monkeypatch.setattr(Verifier, "_planned", planned)
    badge = verified(submission, protocols)
    assert (badge.state, badge.faults) == (
        "failed",
        ("its code, `meta.toml` or records changed while it was verified",),
    )


@pytest.mark.parametrize("who", ["", " ", "a\nb", "x" * 201, "me ", "\x1b[31mme"])
def test_who_is_checked_before_anything_runs(who: str, protocols: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("raise RuntimeError", encoding="utf-8")
    submission = Submission.read(create_submission(file, "last", tmp_path / "submissions"))
    with pytest.raises(ConfigError, match="--who"):
        Verifier(who, protocols, submission.folder).badge(submission)
    assert not (submission.folder / "verification.json").exists()


def test_a_declaration_is_validated(tmp_path: Path) -> None:
    for content in ('{"committee_size": 1000}', "[]", "{", '{"name": "../x"}'):
        (tmp_path / "answer.json").write_text(content, encoding="utf-8")
        with pytest.raises(SandboxError, match="left no valid answer"):
            read_answer(Declaration, tmp_path)


def test_what_a_strategys_process_says_cannot_paint_over_the_terminal(tmp_path: Path) -> None:
    said = {"name": "mine", "verdicts": [["it picks", "pose", "\x1b[2Kverified\n::error::"]]}
    (tmp_path / "answer.json").write_text(json.dumps(said), encoding="utf-8")
    assert read_answer(Verdicts, tmp_path).verdicts[0][2] == r"\x1b[2Kverified\n::error::"
    with pytest.raises(SandboxError, match=r"ended with exit code 3: \\x1b\[2K verified$"):
        run_python(["-c", "import sys; print('\\x1b[2K verified'); sys.exit(3)"], tmp_path, Limits(seconds=60))


@pytest.mark.slow
def test_a_check_that_never_ends_is_ended_and_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(strategy_file("while True:\n    pass"), encoding="utf-8")
    line = file.read_text(encoding="utf-8").splitlines().index("            pass")
    with pytest.raises(
        SandboxError, match=rf"a check took longer than 20 s, in line {line}|{line + 1} of strategy.py; --limit"
    ):
        check_in_sandbox(file, seconds=20)


@pytest.mark.slow
def test_a_check_in_which_the_strategy_exits_names_the_fault(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(strategy_file("import sys\nsys.exit(0)"), encoding="utf-8")
    faults = {fault for _, _, fault in check_in_sandbox(file).verdicts}
    assert any("line" in fault and "it ends the program (SystemExit: 0)" in fault for fault in faults), faults


FORGED = """
import os, pathlib
if pathlib.Path("timeout.txt").exists():
    pathlib.Path("answer.json").write_text('{"name": "last", "verdicts": []}')
    os._exit(0)
"""
DEADLY = {
    "an exit": (strategy_file("import os\nos._exit(0)"), "ended without an answer"),
    "an exit after forged verdicts": (
        FORGED + strategy_file(HONEST),
        "the strategy's process ended before 32 of 32 checks, such as global generators are unchanged on classification",
    ),
    "an error in smoke": (
        strategy_file(HONEST, members="@classmethod\ndef smoke(cls):\n    return 1 / 0"),
        "in smoke: ZeroDivisionError: division by zero",
    ),
    "smoke that gives a number": (
        strategy_file(HONEST, members="@classmethod\ndef smoke(cls):\n    return 3"),
        "last: `smoke` returned 3; a strategy is wanted",
    ),
    "an error in auxiliary": (
        strategy_file(HONEST, members="def auxiliary(self, objective):\n    return 1 / 0"),
        "in auxiliary: ZeroDivisionError: division by zero",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DEADLY)
def test_a_check_that_ends_early_says_why_in_one_line(name: str, tmp_path: Path) -> None:
    content, wanted = DEADLY[name]
    file = tmp_path / "mine.py"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(SandboxError) as caught:
        check_in_sandbox(file, seconds=300)
    assert wanted in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)
