"""`submission verify --sign` and what `submission check` says of a badge."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result, the_line
from signed_submissions import NAME, new_key, private_file, public_line, signed_place

from leaderboard.schema.badges import FILE
from leaderboard.schema.signatures import Signer, signature_fault
from lossbench.submissions.folder import RECORDS, Submission
from lossbench.submissions.verification import Verdicts, Verifier


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
    monkeypatch.setattr("lossbench.submissions.verification.check_in_sandbox", lambda *_: verdicts)
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
