"""Folders of submissions: what an author may say, which are refused, and those of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest
from submitted_strategies import code

from lossbench.config import ConfigError
from lossbench.submissions.checking import check_in_sandbox
from lossbench.submissions.folder import (
    META,
    STRATEGY,
    Submission,
    create_submission,
    protocols_in,
    record_faults,
    submissions,
)
from lossbench.submissions.reviews import review, reviewers_of

REPOSITORY = Path(__file__).parents[3]


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
        ('name = "last"\nsecret = 1', "secret: no such setting"),
        (f'name = "last"\nsummary = "{"x" * 300}"', "summary: String should have at most 200 characters"),
    ],
)
def test_what_an_author_may_not_say_is_refused(meta: str, fault: str, submission: Submission) -> None:
    rest = '\ntitle = "t"\nauthors = ["a"]\npaper = "p"\nlicense = "l"\n'
    (submission.folder / META).write_text(meta + rest, encoding="utf-8")
    with pytest.raises(ConfigError, match=fault):
        Submission.read(submission.folder)


def test_a_file_of_version_0_1_names_its_licence(submission: Submission) -> None:
    text = (submission.folder / META).read_text(encoding="utf-8")
    assert 'license = "Apache-2.0"' in text
    (submission.folder / META).write_text(text.replace("license", "licence"), encoding="utf-8")
    assert Submission.read(submission.folder).meta == submission.meta
    (submission.folder / META).write_text(text + 'licence = "MIT"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="licence: no such setting; did you mean license"):
        Submission.read(submission.folder)


def test_a_submission_may_not_take_the_name_of_a_strategy_that_is_here(tmp_path: Path) -> None:
    file = tmp_path / STRATEGY
    file.write_text(code(), encoding="utf-8")
    for name in ("random", "full-pool"):
        with pytest.raises(ConfigError, match=f"Lossbench has a strategy named '{name}'"):
            Submission.read(create_submission(file, name, tmp_path / "submissions"))


def test_every_submission_of_the_repository_is_sound() -> None:
    entries, damages = submissions(REPOSITORY / "leaderboard/submissions")
    assert damages == []
    assert len(entries) >= 2
    for entry in entries:
        assert record_faults(entry, protocols_in(REPOSITORY / "configs/tasks")) == []
        assert review(entry, reviewers_of(entry)).faults == ()


def test_the_smallest_complete_example_of_the_guide_is_submitted() -> None:
    own = (REPOSITORY / "leaderboard/submissions/confidence-ratio/strategy.py").read_text(encoding="utf-8")
    body = own[own.index("    name: ClassVar") :].strip()
    guide = (REPOSITORY / "docs/guides/strategy.md").read_text(encoding="utf-8")
    assert body.replace("confidence-ratio", "top-two-ratio") in guide


@pytest.mark.slow
@pytest.mark.parametrize(
    "folder", sorted((REPOSITORY / "leaderboard/submissions").iterdir()), ids=lambda each: each.name
)
def test_every_submission_of_the_repository_keeps_the_contract(folder: Path) -> None:
    results = check_in_sandbox(folder / STRATEGY, Submission.read(folder).meta.parameters)
    assert [verdict for verdict in results.verdicts if verdict[2]] == []
