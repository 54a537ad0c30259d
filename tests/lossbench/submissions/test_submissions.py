"""Submissions: what is checked without running them, and what a rerun finds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from submitted_strategies import code
from tiny_tasks import KINDS

from leaderboard.schema.badges import Badge, read_badge
from leaderboard.schema.records import Record, read_record, record_path, write_record
from lossbench.config import ConfigError
from lossbench.submissions.checking import check_in_sandbox
from lossbench.submissions.comparison import compare, differences
from lossbench.submissions.folder import RECORDS, REPLAY, Submission, protocols_in, record_faults
from lossbench.submissions.reviews import review, reviewers_of
from lossbench.submissions.verification import Verifier


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
def test_an_honest_submission_is_verified_until_its_records_change(submission: Submission, protocols: Path) -> None:
    badge = verified(submission, protocols)
    assert badge == read_badge(submission.folder)
    assert (badge.state, badge.faults, badge.who) == ("verified", (), "me")
    assert badge.notes == tuple(f"tiny, shared, seed {seed}: the rerun is equal bit for bit" for seed in (0, 1))
    assert badge.replayed == (("tiny", "shared", 0), ("tiny", "shared", 1))
    kept = read_record(record_path(submission.folder / REPLAY, "tiny", "shared", "last", 0))
    assert badge.machine == kept.machine
    (own,) = (each for each in submission.records().records if each.seed == 0)
    assert differences(own, kept) == []
    spoil(submission, raise_score, 0)
    void = review(submission, reviewers_of(submission)).badge
    assert void.state == "self-reported"
    assert "have changed since" in void.notes[0]


def reorder_picks(content: dict) -> None:
    """Picks that could be made, in another order than the strategy's."""
    content["rounds"][0]["picked"].reverse()


def raise_score(content: dict) -> None:
    content["rounds"][-1]["metrics"]["accuracy"] += 0.01


def change_config(content: dict) -> None:
    content["config"]["task"]["recipe"]["epochs"] += 1


@pytest.mark.slow
def test_tampered_records_are_caught(submission: Submission, protocols: Path) -> None:
    spoil(submission, reorder_picks, 0)
    spoil(submission, raise_score, 1)
    badge = verified(submission, protocols)
    assert badge.state == "failed"
    differs = "the rerun on the same kind of machine differs in"
    assert [line.partition(differs)[2] for line in badge.faults if differs in line] == [
        " picked of round 0",
        " metrics of round 2",
    ]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_record_of_another_protocol_fails_before_any_rerun(
    seed: int, submission: Submission, protocols: Path
) -> None:
    spoil(submission, change_config, seed)
    badge = verified(submission, protocols)
    assert badge.state == "failed"
    assert any("tiny" in line for line in badge.faults)


@pytest.mark.slow
def test_a_rerun_on_another_machine_says_how_far_it_agrees(submission: Submission, protocols: Path) -> None:
    for seed in (0, 1):
        spoil(submission, lambda content: content["machine"].update(processor="Other"), seed)
        spoil(submission, lambda content: content["rounds"][1]["metrics"].update(accuracy=0.5), seed)
    badge = verified(submission, protocols)
    assert badge.state == "replayed"
    assert "100 % of the picks are the same" in badge.notes[0]
    assert "on Other, cpu, 1 thread" in badge.notes[0]


def scored(record: Record, *accuracies: float) -> Record:
    """A record with other scores, made on another machine."""
    rounds = tuple(
        each.model_copy(update={"metrics": each.metrics | {"accuracy": accuracy}})
        for each, accuracy in zip(record.rounds, accuracies, strict=True)
    )
    machine = record.machine.model_copy(update={"processor": "Other"})
    return record.model_copy(update={"rounds": rounds, "machine": machine})


def test_on_another_machine_areas_differ_as_runs_of_random_do(submission: Submission) -> None:
    (run, *_) = submission.records().records
    count = len(run.rounds)
    mine = scored(run, *[0.5] * count).model_copy(update={"machine": run.machine})
    random = [
        scored(run, *[value] * count).model_copy(update={"seed": seed}) for seed, value in enumerate((0.4, 0.5, 0.6))
    ]
    # Their standard deviation is .1; t(.995, 2) is 9.925, times the root of 2: areas may differ by 1.404.
    assert not compare(mine, [scored(run, *[1.90] * count)], random).faults
    comparison = compare(mine, [scored(run, *[1.91] * count)], random)
    assert "the areas differ by more than 1.4036; two seeds differ by less in 99 of 100 cases" in comparison.faults[0]
    assert not comparison.exact
    assert not compare(mine, [scored(run, *[9.0] * count)]).faults, "nothing is known of how much runs differ"


def test_settings_and_label_counts_are_compared_on_every_machine(submission: Submission) -> None:
    (run, *_) = submission.records().records
    other = run.model_copy(update={"machine": run.machine.model_copy(update={"processor": "Other"})})
    hotter = other.model_copy(update={"strategy_config": {"temperature": 9.0}})
    assert "other settings: strategy_config" in compare(run, [hotter], deterministic=False).faults[0]
    shorter = other.model_copy(update={"rounds": other.rounds[:-1]})
    assert "other settings: the number of rounds" in compare(run, [shorter]).faults[0]
    picked = other.model_copy(update={"first": (1, 2)})
    assert "other settings: first" in compare(run, [picked]).faults[0]
    assert not compare(run.model_copy(update={"first": (3, 4)}), [picked]).faults, "a strategy picked them"
    pretrained = {"fingerprints": other.fingerprints | {"trunk": "trained there"}}
    assert compare(run, [other.model_copy(update=pretrained)]).exact


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
    assert fault in " ".join(record_faults(submission, protocols_in(protocols)))


def test_records_of_other_code_are_refused(submission: Submission, protocols: Path) -> None:
    assert record_faults(submission, protocols_in(protocols)) == []
    submission.strategy_file.write_text(code() + "# better now\n", encoding="utf-8")
    assert (
        "made with code that differs from the submitted strategy.py"
        in record_faults(submission, protocols_in(protocols))[0]
    )


def test_records_of_another_strategy_are_refused(submission: Submission, protocols: Path) -> None:
    record = submission.records().records[0].model_copy(update={"strategy": "random"})
    write_record(record, record_path(submission.folder / RECORDS, "tiny", "shared", "random", 0))
    assert "the record is of strategy random, not of last" in " ".join(
        record_faults(submission, protocols_in(protocols))
    )


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
        f"there are no records in {submission.folder / RECORDS}; run `lossbench submission create`",
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
def test_a_check_names_what_is_to_be_mended(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(code("return Selection(ctx.candidates[: ctx.budget - 1])"), encoding="utf-8")
    results = check_in_sandbox(file)
    assert results.name == "last"
    faults = {(name, kind): fault for name, kind, fault in results.verdicts if fault}
    assert "returned 5 ids; the budget is 6" in faults["selection is valid", "pose"]
    assert {kind for _, kind, _ in results.verdicts} == set(KINDS)


@pytest.mark.slow
def test_a_strategy_that_cheats_cannot_be_submitted(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(code().replace("    paper:", "    cheats: ClassVar[bool] = True\n    paper:"), encoding="utf-8")
    assert "the true losses of candidates" in check_in_sandbox(file).verdicts[-1][2]
