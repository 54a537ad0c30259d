"""Submissions: what is checked without running them, what a rerun finds, and what a stranger's code cannot reach."""

from __future__ import annotations

import hashlib
import json
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_configs import TASK

from leaderboard.schema.badges import Badge, read_badge
from leaderboard.schema.records import RecordError, read_record, record_path, write_record
from lossbench.config import ConfigError
from lossbench.submissions.comparison import compare, differences
from lossbench.submissions.folder import (
    META,
    RECORDS,
    REPLAY,
    STRATEGY,
    Submission,
    add_records,
    create_submission,
    record_faults,
    submissions,
)
from lossbench.submissions.rerun import run
from lossbench.submissions.sandbox import Limits, SandboxError, network_can_be_cut, run_python
from lossbench.submissions.verification import Verifier, check_in_sandbox

REPOSITORY = Path(__file__).parents[3]
CODE = """
from typing import ClassVar
from strategies.base import Context, Selection, Strategy

class Last(Strategy):
    '''Picks the last candidates.'''
    name: ClassVar[str] = "last"
    paper: ClassVar[str] = "none"

    def select(self, ctx: Context) -> Selection:
        {harm}
        return Selection(ctx.candidates[-ctx.budget:])
"""


def code(harm: str = "pass") -> str:
    return CODE.replace("{harm}", harm)


@pytest.fixture(scope="module")
def protocols(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny task of rendered scenes."""
    folder = tmp_path_factory.mktemp("configs") / "tasks"
    folder.mkdir()
    (folder / "tiny.toml").write_text(TASK, encoding="utf-8")
    return folder


def wanted(protocols: Path, folder: Path, seed: int) -> dict[str, object]:
    """A run of the honest strategy."""
    (folder / STRATEGY).write_text(code(), encoding="utf-8")
    what = {"protocols": [str(protocols / "tiny.toml")], "strategy": str(folder / STRATEGY), "parameters": {}}
    return what | {"seed": seed, "track": "shared", "data": str(folder), "out": str(folder)}


def records_in(folder: Path) -> list[Path]:
    return [record_path(folder / "records", "tiny", "shared", "last", seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def reported(protocols: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two honest runs."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        run(wanted(protocols, folder, seed))
    return records_in(folder)


@pytest.fixture(scope="module")
def reported_from_the_sandbox(protocols: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same, each made by a process like the one that reruns it: on other instructions bits may differ."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        what = json.dumps(wanted(protocols, folder, seed))
        run_python(["-m", "lossbench.submissions.rerun", "run", what], folder)
    return records_in(folder)


@pytest.fixture
def submission(request: pytest.FixtureRequest, tmp_path: Path) -> Submission:
    """An honest submission; a test may spoil it. Slow tests rerun it."""
    slow = request.node.get_closest_marker("slow")
    files = request.getfixturevalue("reported_from_the_sandbox" if slow else "reported")
    file = tmp_path / STRATEGY
    file.write_text(code(), encoding="utf-8")
    folder = create_submission(file, "last", tmp_path / "submissions")
    add_records(files, folder)
    return Submission.read(folder)


def verified(submission: Submission, protocols: Path) -> Badge:
    return Verifier("me", protocols, submission.folder).badge(submission)


def spoil(submission: Submission, change: Callable[[dict], None], seed: int = 0) -> Path:
    """Change a reported record."""
    path = record_path(submission.folder / RECORDS, "tiny", "shared", "last", seed)
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def pretend(submission: Submission, content: str) -> None:
    """Other code, and records that claim to be of it."""
    submission.strategy_file.write_text(content, encoding="utf-8")
    digest = hashlib.sha256(content.encode()).hexdigest()
    for seed in (0, 1):
        spoil(submission, lambda record: record["fingerprints"].update(strategy=digest), seed)


@pytest.mark.slow
def test_an_honest_submission_is_verified_and_the_rerun_is_kept(submission: Submission, protocols: Path) -> None:
    badge = verified(submission, protocols)
    assert badge == read_badge(submission.folder)
    assert (badge.state, badge.faults, badge.who) == ("verified", (), "me")
    assert badge.notes == tuple(f"tiny, shared, seed {seed}: the rerun is equal bit for bit" for seed in (0, 1))
    assert badge.replayed == (("tiny", "shared", 0), ("tiny", "shared", 1))
    kept = read_record(record_path(submission.folder / REPLAY, "tiny", "shared", "last", 0))
    assert badge.machine == kept.machine
    (own,) = (each for each in submission.records().records if each.seed == 0)
    assert differences(own, kept) == []


def swap_picks(content: dict) -> None:
    """Two images that were not picked in the first round for two that were."""
    first, second = content["rounds"][0], content["rounds"][1]
    first["picked"], second["picked"] = second["picked"], first["picked"]


def raise_score(content: dict) -> None:
    content["rounds"][-1]["metrics"]["accuracy"] += 0.01


def change_config(content: dict) -> None:
    content["config"]["task"]["recipe"]["epochs"] += 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (swap_picks, "the rerun on the same kind of machine differs in picked of round 0"),
        (raise_score, "the rerun on the same kind of machine differs in metrics of round 2"),
        (change_config, "tiny"),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_tampered_record_is_caught(
    change: Callable[[dict], None], fault: str, seed: int, submission: Submission, protocols: Path
) -> None:
    spoil(submission, change, seed)
    badge = verified(submission, protocols)
    assert badge.state == "failed"
    assert any(fault in line for line in badge.faults)


@pytest.mark.slow
def test_a_rerun_on_another_machine_says_how_far_it_agrees(submission: Submission, protocols: Path) -> None:
    for seed in (0, 1):
        spoil(submission, lambda content: content["machine"].update(processor="Other"), seed)
        spoil(submission, lambda content: content["rounds"][1]["metrics"].update(accuracy=0.5), seed)
    badge = verified(submission, protocols)
    assert badge.state == "replayed"
    assert "100 % of the picks are the same" in badge.notes[0]
    assert "on Other, cpu, 1 thread" in badge.notes[0]


def test_a_score_outside_of_the_reported_seeds_fails_on_another_machine(submission: Submission) -> None:
    reported = submission.records().records
    other = [
        each.model_copy(update={"machine": each.machine.model_copy(update={"processor": "Other"})}) for each in reported
    ]
    rounds = tuple(
        one.model_copy(update={"metrics": one.metrics | {"accuracy": 0.9 + 0.001 * place}})
        for place, one in enumerate(other[0].rounds)
    )
    raised = [other[0].model_copy(update={"rounds": rounds}), other[1].model_copy(update={"rounds": rounds})]
    comparison = compare(reported[0], raised)
    assert "the area lies outside the interval of the submitted seeds" in comparison.faults[0]
    assert not comparison.exact


def drop_round(content: dict) -> None:
    content["rounds"].pop()


def raise_protocol(content: dict) -> None:
    content["version"] = 9


def pick_less(content: dict) -> None:
    content["rounds"][0]["picked"].pop()


def label_more(content: dict) -> None:
    for one in content["rounds"]:
        one["labeled"] += 1


def measure_validation(content: dict) -> None:
    content["split"] = "validation"


def be_a_reference(content: dict) -> None:
    content["reference"] = True


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (drop_round, "2 of 3 rounds"),
        (raise_protocol, "follows version 9 of the protocol; the current version is 1"),
        (pick_less, "picked images per round; the protocol has"),
        (label_more, "label counts"),
        (measure_validation, "its name must be last-shared-s0-validation.json"),
        (be_a_reference, "the record is of a reference method"),
    ],
)
def test_what_a_record_cannot_be_is_seen_without_running_it(
    change: Callable[[dict], None], fault: str, submission: Submission, protocols: Path
) -> None:
    for seed in (0, 1):
        spoil(submission, change, seed)
    assert fault in " ".join(record_faults(submission, protocols))


def test_records_of_other_code_are_refused(submission: Submission, protocols: Path) -> None:
    assert record_faults(submission, protocols) == []
    submission.strategy_file.write_text(code() + "# better now\n", encoding="utf-8")
    assert "made with code that differs from the submitted strategy.py" in record_faults(submission, protocols)[0]


def test_records_of_another_strategy_are_refused(submission: Submission, protocols: Path) -> None:
    record = submission.records().records[0].model_copy(update={"strategy": "random"})
    write_record(record, record_path(submission.folder / RECORDS, "tiny", "shared", "random", 0))
    assert "the record is of strategy random, not of last" in " ".join(record_faults(submission, protocols))


@pytest.mark.slow
def test_a_strategy_that_is_not_a_function_of_its_seed_fails(submission: Submission, protocols: Path) -> None:
    harm = "import os; return Selection(__import__('numpy').random.default_rng(int.from_bytes(os.urandom(4), 'big'))"
    pretend(submission, code(f"{harm}.choice(ctx.candidates, ctx.budget, replace=False))"))
    badge = verified(submission, protocols)
    assert badge.state == "failed"
    assert "two runs under seed 0 differ in" in badge.faults[0]


@pytest.mark.slow
def test_code_that_fails_is_named(submission: Submission, protocols: Path) -> None:
    pretend(submission, code("raise RuntimeError('no luck')"))
    badge = verified(submission, protocols)
    assert badge.state == "failed"
    assert "no luck" in badge.faults[0]


def test_a_submission_without_records_of_the_scenes_fails(submission: Submission, protocols: Path) -> None:
    for path in (submission.folder / RECORDS).rglob("*.json"):
        path.unlink()
    assert verified(submission, protocols).faults == (
        "no record of tiny, shared, seed 0; run `lossbench submission create`",
        "no record of tiny, shared, seed 1; run `lossbench submission create`",
        "no record of tiny",
    )


def test_one_seed_elsewhere_says_that_it_allows_no_comparison(submission: Submission) -> None:
    (first, _) = submission.records().records
    there = first.model_copy(update={"machine": first.machine.model_copy(update={"processor": "Other"})})
    rounds = (*there.rounds[:-1], there.rounds[-1].model_copy(update={"metrics": {"accuracy": 0.1}}))
    comparison = compare(first, [there.model_copy(update={"rounds": rounds})])
    assert (comparison.faults, comparison.exact) == ((), False)
    changed = first.model_copy(update={"rounds": rounds})
    assert compare(first, [changed]).faults
    assert not compare(first, [changed], deterministic=False).faults


@pytest.mark.parametrize(("task", "fault"), [("nonsense", "no task 'nonsense'"), ("tiny", "no data in")])
def test_the_verifiers_own_mistakes_fail_nobody(task: str, fault: str, submission: Submission, protocols: Path) -> None:
    with pytest.raises(ConfigError, match=fault):
        Verifier("me", protocols, submission.folder / "none", (task,)).badge(submission)
    assert not (submission.folder / "verification.json").exists()


@pytest.mark.slow
def test_a_badge_is_void_when_code_or_records_change(submission: Submission, protocols: Path) -> None:
    assert verified(submission, protocols).state == "verified"
    spoil(submission, raise_score)
    badge = read_badge(submission.folder)
    assert badge.state == "self-reported"
    assert "have changed since" in badge.notes[0]


def test_a_submission_holds_no_links(submission: Submission) -> None:
    (submission.folder / ".verification.json.part").symlink_to(submission.strategy_file)
    with pytest.raises(ConfigError, match="is a link; replace it by a file"):
        Submission.read(submission.folder)


def test_a_broken_submission_is_named_and_the_others_are_read(submission: Submission) -> None:
    folder = submission.folder.parent
    for name, meta in (("empty", None), ("deep", "a = " + "[" * 5000), ("wide", "a = " + "9" * 9000)):
        (folder / name).mkdir()
        (folder / name / STRATEGY).write_text("", encoding="utf-8")
        if meta:
            (folder / name / META).write_text(meta, encoding="utf-8")
    entries, damages = submissions(folder)
    assert [entry.meta.name for entry in entries] == ["last"]
    assert len(damages) == 3


@pytest.mark.parametrize(
    ("meta", "fault"),
    [
        ('name = "other"', "differs from the folder's name"),
        ('name = "../last"', "name: String should match pattern"),
        ("name = 1\nname = 2", "is not TOML"),
        ('name = "last"\nsecret = 1', "secret: Extra inputs are not permitted"),
        (f'name = "last"\nsummary = "{"x" * 300}"', "summary: String should have at most 200 characters"),
    ],
)
def test_what_an_author_may_not_say_is_refused(meta: str, fault: str, submission: Submission) -> None:
    rest = '\ntitle = "t"\nauthors = ["a"]\npaper = "p"\nlicence = "l"\n'
    (submission.folder / META).write_text(meta + rest, encoding="utf-8")
    with pytest.raises(ConfigError, match=fault):
        Submission.read(submission.folder)


def test_a_submission_may_not_take_the_name_of_a_strategy_that_is_here(tmp_path: Path) -> None:
    file = tmp_path / STRATEGY
    file.write_text(code(), encoding="utf-8")
    for name in ("random", "full-pool"):
        with pytest.raises(ConfigError, match=f"Lossbench has a strategy named '{name}'"):
            Submission.read(create_submission(file, name, tmp_path / "submissions"))


def test_a_forged_badge_is_no_badge(tmp_path: Path) -> None:
    (tmp_path / "verification.json").write_text('{"state": "certified"}', encoding="utf-8")
    with pytest.raises(RecordError, match="not a badge"):
        read_badge(tmp_path)


def sandboxed(tmp_path: Path, script: str, **limits: int) -> str:
    return run_python(["-c", textwrap.dedent(script)], tmp_path, Limits(**limits))


def test_the_sandbox_gives_what_was_printed(tmp_path: Path) -> None:
    assert sandboxed(tmp_path, "print('é', __import__('os').getcwd())") == f"é {tmp_path}\n"


def test_the_sandbox_ends_what_takes_too_long_and_all_that_it_started(tmp_path: Path) -> None:
    script = """
        import subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3); open('late', 'w')"])
        time.sleep(60)
    """
    started = time.monotonic()
    with pytest.raises(SandboxError, match="longer than 1 s"):
        sandboxed(tmp_path, script, seconds=1)
    assert time.monotonic() - started < 40  # it would sleep for 60 s
    time.sleep(3)
    assert not (tmp_path / "late").exists()


def test_the_sandbox_limits_memory_and_files(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="MemoryError"):
        sandboxed(tmp_path, "bytearray(2**31)", memory_gibibytes=1)
    with pytest.raises(SandboxError):
        sandboxed(tmp_path, "f = open('big', 'wb'); f.truncate(2**31)", file_gibibytes=1)


def test_the_sandbox_passes_no_secrets_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    assert "abc" not in sandboxed(tmp_path, "import os; print(dict(os.environ))")


@pytest.mark.skipif(not network_can_be_cut(), reason="this platform cannot cut the network")
def test_the_sandbox_has_no_network(tmp_path: Path) -> None:
    script = "import socket; print(sorted(name for _, name in socket.if_nameindex()))"
    assert sandboxed(tmp_path, script).strip() == "['lo']"


@pytest.mark.slow
def test_a_check_names_what_is_to_be_mended(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(code("return Selection(ctx.candidates[: ctx.budget - 1])"), encoding="utf-8")
    results = check_in_sandbox(file)
    assert results.name == "last"
    faults = {(name, kind): fault for name, kind, fault in results.verdicts if fault}
    assert "returned 5 ids; the budget is 6" in faults["selection is valid", "pose"]
    assert {kind for _, kind, _ in results.verdicts} == {"classification", "detection", "pose"}


def test_every_submission_of_the_repository_is_sound() -> None:
    entries, damages = submissions(REPOSITORY / "leaderboard/submissions")
    assert damages == []
    assert len(entries) >= 2
    for entry in entries:
        assert record_faults(entry, REPOSITORY / "configs/tasks") == []
        assert read_badge(entry.folder).state != "failed"


def test_the_smallest_complete_example_of_the_readme_is_submitted() -> None:
    own = (REPOSITORY / "leaderboard/submissions/confidence-ratio/strategy.py").read_text(encoding="utf-8")
    body = own[own.index("    name: ClassVar") :].strip()
    assert body in (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_strategy_that_cheats_cannot_be_submitted(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(code().replace("    paper:", "    cheats: ClassVar[bool] = True\n    paper:"), encoding="utf-8")
    assert "the true losses of candidates" in check_in_sandbox(file).verdicts[-1][2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "folder", sorted((REPOSITORY / "leaderboard/submissions").iterdir()), ids=lambda each: each.name
)
def test_every_submission_of_the_repository_keeps_the_contract(folder: Path) -> None:
    results = check_in_sandbox(folder / STRATEGY, Submission.read(folder).meta.parameters)
    assert [verdict for verdict in results.verdicts if verdict[2]] == []
