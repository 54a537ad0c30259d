"""`submission verify --sign` and what `submission check` says of a badge."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result, the_line
from signed_submissions import NAME, new_key, private_file, public_line, signed_place

from leaderboard.schema.badges import FILE, Badge, digest, signed, write_badge
from leaderboard.schema.signatures import Signer, signature_fault
from lossbench.submissions.exchange import Verdicts
from lossbench.submissions.folder import RECORDS, REPLAY, STRATEGY, Submission
from lossbench.submissions.reviews import VOID, review
from lossbench.submissions.verification import Verifier


@pytest.mark.slow
def test_a_verifier_signs_what_it_writes(submission: Submission, protocols: Path, tmp_path: Path) -> None:
    for path in (submission.folder / RECORDS).rglob("*.json"):
        path.unlink()  # it fails without a rerun
    (tmp_path / "ada.pub").write_bytes(public_line(new_key(1)))
    badge = Verifier("ada", protocols, submission.folder, signer=Signer("ada", new_key(1))).badge(submission)
    assert (badge.state, badge.who) == ("failed", "ada")
    fields = json.loads((submission.folder / FILE).read_bytes())
    assert fields["signature"] == badge.signature
    assert signature_fault(fields, tmp_path) is None
    assert signature_fault(fields | {"faults": []}, tmp_path) is not None


def edited(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | fields), encoding="utf-8")


def raised(folder: Path, *rooms: str) -> None:
    for path in (each for room in rooms for each in (folder / room).rglob("*-s0.json")):
        rounds = json.loads(path.read_bytes())["rounds"]
        rounds[-1]["metrics"]["accuracy"] = 0.999
        edited(path, rounds=rounds)


def refreshed(folder: Path) -> None:
    edited(folder / FILE, digest=digest(folder))


SPOILED: dict[str, Callable[[Path], object]] = {
    "score raised": lambda folder: raised(folder, RECORDS),
    "score raised, digest refreshed": lambda folder: (raised(folder, RECORDS), refreshed(folder)),
    "both raised, digest refreshed": lambda folder: (raised(folder, RECORDS, REPLAY), refreshed(folder)),
    "rerun raised": lambda folder: raised(folder, REPLAY),
    "reruns removed": lambda folder: (shutil.rmtree(folder / REPLAY), refreshed(folder)),
    "a record removed": lambda folder: next((folder / RECORDS).rglob("*-s1.json")).unlink(),
    "other code": lambda folder: (folder / STRATEGY).write_text("", encoding="utf-8"),
    "another day": lambda folder: edited(folder / FILE, when="2020-01-01"),
    "another reviewer": lambda folder: edited(folder / FILE, who="bob"),
    "signed by a stranger": lambda folder: write_badge(
        signed(Badge.model_validate_json((folder / FILE).read_bytes()), Signer("ada", new_key(7))), folder
    ),
    "no signature": lambda folder: edited(folder / FILE, signature=""),
    "a failure made a success": lambda folder: edited(folder / FILE, notes=["all is well"]),
}


@pytest.mark.slow  # it is rerun
def test_what_a_reviewer_has_verified_and_signed_cannot_be_changed(
    submission: Submission, protocols: Path, tmp_path: Path
) -> None:
    reviewers = tmp_path / "reviewers"
    reviewers.mkdir()
    for seed, name in ((1, "ada"), (2, "bob")):
        (reviewers / f"{name}.pub").write_bytes(public_line(new_key(seed)))
    badge = Verifier("ada", protocols, submission.folder, signer=Signer("ada", new_key(1))).badge(submission)
    assert (badge.state, badge.faults) == ("verified", ())
    assert review(submission, reviewers).badge.state == "verified"
    for name, spoil in SPOILED.items():
        copy = tmp_path / "copies" / name / submission.folder.name
        shutil.copytree(submission.folder, copy)
        spoil(copy)
        found = review(Submission.read(copy), reviewers)
        assert found.badge.state == "self-reported", name
        assert found.badge.notes[0].startswith(VOID), name


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--who", "ada"), r"is not that of .*reviewers/ada\.pub; put its public part there, or name its owner"),
        ((), r"is not that of .*reviewers/NAME\.pub; put its public part there, or name its owner with --who"),
    ],
)
def test_a_key_that_is_no_reviewers_is_refused_before_anything_runs(
    words: tuple[str, ...], line: str, lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    place = signed_place(tmp_path)
    before = place.badge_file.read_bytes()
    (tmp_path / "key").write_bytes(private_file(new_key(9)))
    verify = ("submission", "verify", place.folder, "--sign", tmp_path / "key", *words)
    said = the_line(lossbench_cli(*verify))
    assert re.search(line, said), said
    assert place.badge_file.read_bytes() == before
    (tmp_path / "key").unlink()
    assert the_line(lossbench_cli(*verify)).endswith("--sign takes the file of an OpenSSH private key")


def test_check_names_the_state_of_the_badge_and_its_faults(
    lossbench_cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = signed_place(tmp_path)
    verdicts = Verdicts(name=NAME, verdicts=(("it picks", "pose", ""),))
    monkeypatch.setattr("lossbench.submissions.checking.check_in_sandbox", lambda *_: verdicts)
    result = lossbench_cli("submission", "check", place.folder)
    assert (result.code, result.output.splitlines()[-2]) == (0, "badge: verified"), result.output
    place.edit_badge(who="bob")
    result = lossbench_cli("submission", "check", place.folder)
    assert result.code == 1
    assert "to mend: the badge does not count: its signature is not one that bob made" in result.output
    for path in (place.folder / RECORDS).rglob("*.json"):
        path.unlink()
    assert (
        f"to mend: there are no records in {place.folder / RECORDS}"
        in lossbench_cli("submission", "check", place.folder).output
    )
