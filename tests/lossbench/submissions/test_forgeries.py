"""Forged badges: each kind is shown as self-reported, and the reason is given."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result
from forgeries import FORGERIES, other_picks, records_raised, refreshed, the_reviewer, then
from signed_submissions import NAME, REPOSITORY, Place, new_key, signed_place

from leaderboard.schema.badges import Badge, digest
from lossbench.submissions.folder import submissions
from lossbench.submissions.reviews import review, reviewers_of


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return signed_place(tmp_path)


def shown(root: Path) -> list[tuple[Badge, str]]:
    """Every badge below a folder of submissions as it is shown, with all that is said about it."""
    entries, damages = submissions(root / "submissions")
    reviews = [review(entry, reviewers_of(entry)) for entry in entries]
    lines = [" ".join((*one.faults, *one.badge.notes)) for one in reviews]
    return [*((one.badge, line) for one, line in zip(reviews, lines, strict=True)), (Badge(), " ".join(damages))]


def test_an_honest_badge_is_shown_as_it_is(place: Place) -> None:
    assert len(FORGERIES) >= 60
    given = review(place.submission, place.reviewers)
    assert given.faults == ()
    assert (given.badge.state, given.badge.who, len(given.badge.replayed)) == ("verified", "ada", 6)


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_badge_is_shown_as_self_reported_with_the_reason(name: str, place: Place) -> None:
    forge, reason = FORGERIES[name]
    forge(place)
    found = shown(place.root)
    assert {badge.state for badge, _ in found} == {"self-reported"}
    said = " ".join(line for _, line in found)
    assert said.strip()
    assert reason in said
    assert "\n" not in said


def test_a_rerun_that_agrees_only_within_an_interval_is_no_verification_but_a_replay(place: Place) -> None:
    other_picks(place)
    place.edit_badge(state="replayed")
    place.sign("bob", new_key(2))
    given = review(place.submission, place.reviewers)
    assert (given.badge.state, given.badge.who, given.faults) == ("replayed", "bob", ())


def test_a_failure_needs_no_signature(place: Place) -> None:
    place.refresh_digest(state="failed", faults=["the rerun failed"], signature="")
    given = review(place.submission, place.reviewers)
    assert (given.badge.state, given.faults) == ("failed", ())


def test_an_unsigned_badge_of_version_0_1_is_a_claim_and_no_fault(tmp_path: Path) -> None:
    (submission,) = (one for one in submissions(REPOSITORY / "leaderboard/submissions")[0] if one.meta.name == NAME)
    given = review(submission, tmp_path)
    assert given.faults == ()
    assert given.summary == "self-reported (the badge does not count: it says verified, by founders, and is not signed)"


def test_a_submission_without_a_badge_says_nothing(place: Place) -> None:
    place.badge_file.unlink()
    given = review(place.submission, place.reviewers)
    assert (given.summary, given.faults) == ("self-reported", ())


def test_the_digest_covers_every_file_that_is_judged(place: Place) -> None:
    before = digest(place.folder)
    files = [path for path in place.folder.rglob("*") if path.is_file() and path != place.badge_file]
    assert len(files) == 14
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        assert digest(place.folder) != before, path
        path.write_bytes(content)
    assert digest(place.folder) == before


@pytest.fixture
def judged(place: Place) -> tuple[Path, str, Path]:
    """A record of random beside the submission, and the words of commands that read both."""
    records = place.root / "records/scenes-classification"
    records.mkdir(parents=True)
    shutil.copy(REPOSITORY / "leaderboard/records/test/scenes-classification/random-shared-s0.json", records)
    return records.parent, "--submissions", place.folder.parent


def badges_shown(lossbench_cli: Callable[..., Result], judged: tuple[Path, str, Path], place: Place) -> set[str]:
    """The badges of the submission on its page, and on the first page, whose script draws what its data say."""
    page = place.root / "page"
    assert lossbench_cli("leaderboard", "build", *judged, "--out", page).code == 0
    first, own = ((page / name).read_text(encoding="utf-8") for name in ("index.html", f"strategies/{NAME}.html"))
    data = re.search(r'<script type="application/json" id="board-data">(.*?)</script>', first, re.DOTALL)
    assert data
    return {json.loads(data[1])["strategies"][NAME]["badge"], *re.findall(r'class="badge ([a-z-]+)"', own)}


@pytest.mark.slow
def test_check_and_page_show_what_a_forged_badge_is_worth(
    lossbench_cli: Callable[..., Result], place: Place, judged: tuple[Path, str, Path]
) -> None:
    result = lossbench_cli("leaderboard", "check", *judged)
    assert (result.code, result.output) == (0, f"{NAME}: verified\n7 records are sound.\n")
    then(records_raised, refreshed, the_reviewer)(place)
    result = lossbench_cli("leaderboard", "check", *judged)
    assert result.code == 1
    fault = f"{place.folder}: the badge does not count: scenes-classification, shared, seed 0: the rerun"
    assert fault in result.output
    assert badges_shown(lossbench_cli, judged, place) == {"self-reported"}


@pytest.mark.slow  # another page
def test_the_page_shows_a_badge_that_counts(
    lossbench_cli: Callable[..., Result], place: Place, judged: tuple[Path, str, Path]
) -> None:
    assert badges_shown(lossbench_cli, judged, place) == {"verified"}
