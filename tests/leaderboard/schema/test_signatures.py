"""Signatures of badges: what is signed, which keys are taken, and that OpenSSH's own keys work."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from signed_submissions import new_key, private_file, public_line

from leaderboard.schema.badges import Badge, read_badge, signed, write_badge
from leaderboard.schema.records import RecordError
from leaderboard.schema.signatures import (
    KeyFileError,
    Signer,
    read_private_key,
    read_public_key,
    reviewer_faults,
    signature_fault,
    signed_text,
    signer,
)


def nobody() -> str | None:
    return None


@pytest.fixture
def reviewers(tmp_path: Path) -> Path:
    folder = tmp_path / "reviewers"
    folder.mkdir()
    (folder / "ada.pub").write_bytes(public_line(new_key(1)) + b" ada@example.org\n")
    return folder


def test_what_is_signed_are_all_fields_but_the_signature_in_one_form() -> None:
    text = signed_text({"who": "é", "signature": "x", "replayed": [["a", "shared", 0]]})
    assert text == b'lossbench badge, format 1\n{"replayed":[["a","shared",0]],"who":"\\u00e9"}'


def test_a_signed_badge_is_read_back_and_holds_its_signature(reviewers: Path, tmp_path: Path) -> None:
    badge = signed(Badge(state="verified", notes=("é",)), Signer("ada", new_key(1)))
    write_badge(badge, tmp_path)
    assert read_badge(tmp_path) == badge
    fields = json.loads((tmp_path / "verification.json").read_bytes())
    assert signature_fault(fields, reviewers) is None
    assert signature_fault(dict(reversed(fields.items())), reviewers) is None, "the order of fields says nothing"
    assert signature_fault(fields, tmp_path / "none") == f"there is no key of ada in {tmp_path / 'none'}"


def test_an_unsigned_badge_is_written_as_before(tmp_path: Path) -> None:
    write_badge(Badge(), tmp_path)
    assert "signature" not in json.loads((tmp_path / "verification.json").read_bytes())


def test_no_badge_is_none_and_a_forged_state_is_no_badge(tmp_path: Path) -> None:
    assert read_badge(tmp_path) is None
    (tmp_path / "verification.json").write_text('{"state": "certified"}', encoding="utf-8")
    with pytest.raises(RecordError, match=r"verification\.json: not a badge \(state: Input should be"):
        read_badge(tmp_path)


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="no OpenSSH here")
@pytest.mark.parametrize("passphrase", ["", "correct horse"])
def test_keys_of_openssh_sign_and_verify(passphrase: str, reviewers: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", key], check=True)
    shutil.copy(key.with_suffix(".pub"), reviewers / "eve.pub")
    own = signer(read_private_key(key, lambda: passphrase), None, reviewers)
    assert own.name == "eve"
    badge = signed(Badge(state="replayed", who="somebody"), own)
    assert badge.who == "eve"
    assert signature_fault(badge.model_dump(mode="json"), reviewers) is None


def test_the_passphrase_is_asked_for_once_and_only_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(private_file(new_key(1)))
    encrypted = new_key(1).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"secret"))
    (tmp_path / "locked").write_bytes(encrypted)
    asked: list[str] = []

    def ask() -> str:
        asked.append("once")
        return "secret"

    assert read_private_key(tmp_path / "plain", ask).private_bytes_raw() == bytes([1]) * 32
    assert asked == []
    assert read_private_key(tmp_path / "locked", ask).private_bytes_raw() == bytes([1]) * 32
    assert asked == ["once"]
    with pytest.raises(KeyFileError, match="has a passphrase, which is asked for on a terminal only"):
        read_private_key(tmp_path / "locked", nobody)
    with pytest.raises(KeyFileError, match="is the passphrase right"):
        read_private_key(tmp_path / "locked", lambda: "guess")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory; --sign takes the file of an OpenSSH private key"),
        (b"", "cannot be read as an OpenSSH private key"),
        (public_line(new_key(1)), "cannot be read as an OpenSSH private key"),
        (private_file(new_key(1))[:200], "cannot be read as an OpenSSH private key"),
        (private_file(generate_private_key(public_exponent=65537, key_size=2048)), "is not a key of type ed25519"),
    ],
    ids=["missing", "empty", "public", "cut", "rsa"],
)
def test_what_is_no_private_key_is_named(content: bytes | None, reason: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(KeyFileError, match=reason) as caught:
        read_private_key(tmp_path / "key", nobody)
    assert "\n" not in str(caught.value)


def test_a_key_signs_for_its_owner_alone(reviewers: Path) -> None:
    assert signer(new_key(1), None, reviewers).name == "ada"
    assert signer(new_key(1), "ada", reviewers).name == "ada"
    (reviewers / "bob.pub").write_bytes(public_line(new_key(2)))
    with pytest.raises(KeyFileError, match=r"is not that of .*bob\.pub; put its public part there"):
        signer(new_key(1), "bob", reviewers)
    with pytest.raises(KeyFileError, match=r"is not that of .*NAME\.pub"):
        signer(new_key(3), None, reviewers)


def test_what_is_wrong_among_the_keys_of_reviewers_is_named(reviewers: Path, tmp_path: Path) -> None:
    assert reviewer_faults(tmp_path / "none") == []
    (reviewers / "README.md").write_text("# Reviewers\n", encoding="utf-8")
    assert reviewer_faults(reviewers) == []
    assert read_public_key(reviewers / "ada.pub").public_bytes_raw() == new_key(1).public_key().public_bytes_raw()
    (reviewers / "Eve Smith.pub").write_bytes(public_line(new_key(2)))
    (reviewers / "bob.pub").write_text("ssh-rsa AAAA\n", encoding="utf-8")
    assert [Path(line.split(".pub")[0]).name for line in reviewer_faults(reviewers)] == ["Eve Smith", "bob"]


def test_the_repository_ships_keys_that_can_be_read() -> None:
    assert reviewer_faults(Path(__file__).parents[3] / "leaderboard/reviewers") == []
