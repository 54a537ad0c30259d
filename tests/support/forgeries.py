"""Forgeries of a signed badge, by name: how each is made, and what has to be said about it."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from signed_submissions import REPOSITORY, Place, new_key, public_line

from leaderboard.schema.badges import Badge

OTHER = "information-density"


def raise_score(content: dict[str, Any]) -> None:
    content["rounds"][-1]["metrics"]["accuracy"] = 0.999


def score(place: Place, *rooms: str) -> None:
    for room in rooms:
        place.change(place.record(room), raise_score)


def unsigned(place: Place) -> None:
    place.edit_badge(signature="")


def swap(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def copied_signature(place: Place) -> None:
    """A signature that the reviewer made for another submission."""
    other = Place(place.root / "elsewhere")
    shutil.copytree(place.folder, other.folder)
    other.folder.joinpath("strategy.py").write_text("# other code\n", encoding="utf-8")
    other.sign()
    place.edit_badge(signature=json.loads(other.badge_file.read_bytes())["signature"])


def copied_badge(place: Place) -> None:
    """Another submission with this one's badge and reruns."""
    other = place.root / "submissions" / OTHER
    shutil.copytree(REPOSITORY / "leaderboard/submissions" / OTHER, other)
    for name in ("verification.json", "replay"):
        shutil.move(place.folder / name, other / name)


def signed_by_a_stranger(place: Place) -> None:
    score(place, "records", "replay")
    place.sign("ada", new_key(9))


def signed_as(who: str) -> Callable[[Place], None]:
    return lambda place: place.sign(who, new_key(9))


def signed_for_another_purpose(place: Place) -> None:
    fields = json.loads(place.badge_file.read_bytes())
    del fields["signature"]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    place.edit_badge(signature=base64.b64encode(new_key(1).sign(text)).decode())


def ada_is(content: Callable[[], bytes]) -> Callable[[Place], object]:
    return lambda place: (place.reviewers / "ada.pub").write_bytes(content())


def rsa() -> bytes:
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


def linked_key(place: Place) -> None:
    (place.root / "mine.pub").write_bytes(public_line(new_key(1)))
    (place.reviewers / "ada.pub").unlink()
    (place.reviewers / "ada.pub").symlink_to(place.root / "mine.pub")


def written(content: str) -> Callable[[Place], object]:
    return lambda place: place.badge_file.write_text(content, encoding="utf-8")


def halved(place: Place) -> None:
    place.badge_file.write_bytes(place.badge_file.read_bytes()[:300])


def state_twice(place: Place) -> None:
    text = place.badge_file.read_text(encoding="utf-8")
    place.badge_file.write_text(text.replace("{", '{"state": "replayed",', 1), encoding="utf-8")


def instead(make: Callable[[Path], object]) -> Callable[[Place], None]:
    def replace(place: Place) -> None:
        place.badge_file.unlink()
        make(place.badge_file)

    return replace


def honestly_signed(change: Callable[[Place], object]) -> Callable[[Place], None]:
    """A change that the reviewer has signed without a look."""

    def changed(place: Place) -> None:
        change(place)
        place.sign()

    return changed


def drop_rerun(place: Place) -> None:
    place.record("replay", seed=1).unlink()


def unnamed_rerun(place: Place) -> None:
    place.change(place.badge_file, lambda content: content["replayed"].pop())


def more_claimed(place: Place) -> None:
    place.change(place.badge_file, lambda content: content["replayed"].append(["cifar10-mini", "shared", 0]))


def other_machine(place: Place) -> None:
    for path in (place.folder / "replay").rglob("*.json"):
        place.change(path, lambda content: content["machine"].update(processor="Other"))


def other_picks(place: Place) -> None:
    def change(content: dict[str, Any]) -> None:
        first, second = content["rounds"][0], content["rounds"][1]
        first["picked"], second["picked"] = second["picked"], first["picked"]

    place.change(place.record("replay"), change)
    other_machine(place)
    place.edit_badge(machine=json.loads(place.record("replay").read_bytes())["machine"])


def rerun_of_another(place: Place) -> None:
    place.change(place.record("replay"), lambda content: content.update(strategy="margin"))


def edited(field: str) -> Callable[[Place], None]:
    """The badge with another value in one field, after it was signed."""
    values: dict[str, object] = {
        "state": "replayed",
        "when": "2030-01-01",
        "who": "bob",
        "machine": None,
        "commit": "0" * 40,
        "replayed": [["scenes-pose", "shared", 0]],
        "faults": ["none"],
        "notes": [],
        "signature": base64.b64encode(bytes(64)).decode(),
        "digest": "0" * 64,
    }
    return lambda place: place.edit_badge(**{field: values[field]})


def authors(place: Place) -> None:
    file = place.folder / "meta.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("Lossbench", "Me"), encoding="utf-8")


def added_record(place: Place) -> None:
    path = place.record("records", seed=7)
    path.write_bytes(place.record("records").read_bytes())
    place.change(path, lambda content: content.update(seed=7))


def then(*steps: Callable[[Place], object]) -> Callable[[Place], None]:
    def all_of_them(place: Place) -> None:
        for step in steps:
            step(place)

    return all_of_them


def records_raised(place: Place) -> None:
    score(place, "records")


def both_raised(place: Place) -> None:
    score(place, "records", "replay")


def refreshed(place: Place) -> None:
    place.refresh_digest()


def the_reviewer(place: Place) -> None:
    place.edit_badge(who="The Reviewer")


def no_reruns(place: Place) -> None:
    shutil.rmtree(place.folder / "replay")


STALE, NOT_HIS = "have changed since the verification", "its signature is not one that ada made for this content"
DIFFERS = "differs in metrics of round"
NO_KEY = "is not the public part of one OpenSSH key of type ed25519"
FORGERIES: dict[str, tuple[Callable[[Place], object], str]] = {
    "score raised": (records_raised, STALE),
    "score raised, digest made again, unsigned": (then(records_raised, unsigned, refreshed, the_reviewer), DIFFERS),
    "score raised, digest made again, old signature": (then(records_raised, refreshed), NOT_HIS),
    "score raised there and in the rerun": (then(both_raised, unsigned, refreshed), "is not signed"),
    "score raised there and in the rerun, old signature": (then(both_raised, refreshed), NOT_HIS),
    "score raised, signed by a stranger as ada": (signed_by_a_stranger, NOT_HIS),
    "score of the rerun raised": (lambda place: score(place, "replay"), STALE),
    "unsigned": (unsigned, "is not signed"),
    "signed by a reviewer who is unknown": (signed_as("eve"), "there is no key of eve in"),
    "signed by a reviewer's name in capitals": (signed_as("ADA"), "is not the name of a reviewer's key"),
    "signed by a path": (signed_as("../mine"), "is not the name of a reviewer's key"),
    "signed by nobody": (signed_as(""), "is not the name of a reviewer's key"),
    "signature of another submission": (copied_signature, NOT_HIS),
    "signature made for another purpose": (signed_for_another_purpose, NOT_HIS),
    "signature cut": (lambda place: place.edit_badge(signature="AAAA"), NOT_HIS),
    "signature no base64": (lambda place: place.edit_badge(signature="?" * 88), NOT_HIS),
    "signature empty text": (lambda place: place.edit_badge(signature=" "), NOT_HIS),
    "key retired": (lambda place: (place.reviewers / "ada.pub").unlink(), "there is no key of ada in"),
    "key exchanged": (ada_is(lambda: public_line(new_key(3))), NOT_HIS),
    "key no key": (ada_is(lambda: b"ssh-ed25519 AAAA"), NO_KEY),
    "key empty": (ada_is(lambda: b""), NO_KEY),
    "key of type RSA": (ada_is(rsa), NO_KEY),
    "two keys in one file": (ada_is(lambda: public_line(new_key(3)) + b"\n" + public_line(new_key(1))), NO_KEY),
    "key a link": (linked_key, NO_KEY),
    **{f"edited after signing: {field}": (edited(field), "") for field in Badge.model_fields},
    "field added": (lambda place: place.edit_badge(stars=5), "stars: Extra inputs are not permitted"),
    "field dropped": (lambda place: place.change(place.badge_file, lambda content: content.pop("when")), NOT_HIS),
    "state unknown": (lambda place: place.edit_badge(state="certified"), "state: Input should be"),
    "seed a truth value": (lambda place: place.edit_badge(replayed=[["a", "shared", True]]), "valid integer"),
    "state twice": (state_twice, "duplicate key 'state'"),
    "truncated": (halved, "verification.json: not a badge (file: "),
    "empty": (written(""), "verification.json: not a badge (file: "),
    "no JSON": (written("verified by ada"), "verification.json: not a badge (file: "),
    "a list": (written("[]"), "verification.json: not a badge (file: "),
    "not a number": (written('{"state": NaN}'), "NaN is not a finite number"),
    "nested deeply": (written("[" * 100_000), "verification.json: not a badge (file: "),
    "a folder": (instead(Path.mkdir), "Is a directory"),
    "a pipe": (instead(os.mkfifo), "not a regular file"),
    "a link": (instead(lambda path: path.symlink_to("/etc/hostname")), "is a link; replace it by a file"),
    "a link to nothing": (instead(lambda path: path.symlink_to("nowhere")), "is a link; replace it by a file"),
    "reruns elsewhere, by a link": (
        then(no_reruns, lambda place: (place.folder / "replay").symlink_to(place.folder / "records")),
        "is a link; replace it by a file",
    ),
    "code changed": (lambda place: (place.folder / "strategy.py").write_text("", encoding="utf-8"), STALE),
    "authors changed": (authors, STALE),
    "record added": (added_record, STALE),
    "record deleted": (lambda place: place.record("records").unlink(), STALE),
    "reruns deleted": (no_reruns, STALE),
    "reruns swapped": (
        then(lambda place: swap(place.record("replay"), place.record("replay", seed=1)), unsigned, refreshed),
        "its name must be",
    ),
    "reruns of another kind of task": (
        then(lambda place: swap(place.record("replay"), place.record("replay", "pose")), unsigned, refreshed),
        "its folder must be",
    ),
    "no reruns, signed": (honestly_signed(no_reruns), "replay holds no rerun of scenes-classification, shared, seed 0"),
    "no reruns, unsigned": (then(no_reruns, refreshed, unsigned), "replay holds no rerun of"),
    "a rerun missing, signed": (
        honestly_signed(drop_rerun),
        "replay holds no rerun of scenes-classification, shared, s",
    ),
    "a rerun not named, signed": (honestly_signed(unnamed_rerun), "which the badge does not name"),
    "more claimed than rerun, signed": (
        honestly_signed(more_claimed),
        "holds no rerun of cifar10-mini, shared, seed 0",
    ),
    "nothing claimed, signed": (honestly_signed(lambda place: place.edit_badge(replayed=[])), "it names no rerun"),
    "faults named, signed": (
        honestly_signed(lambda place: place.edit_badge(faults=["x"])),
        "verified and names faults",
    ),
    "another machine, signed": (honestly_signed(other_machine), "was made on another machine than the badge names"),
    "other picks than verified, signed": (honestly_signed(other_picks), "replay differs from records"),
    "score raised, signed": (honestly_signed(records_raised), DIFFERS),
    "record deleted, signed": (
        honestly_signed(lambda place: place.record("records").unlink()),
        "records holds no record of scenes-classification, shared, seed 0",
    ),
    "rerun damaged, signed": (
        honestly_signed(lambda place: place.record("replay").write_text("{", encoding="utf-8")),
        "not a valid record",
    ),
    "rerun of another strategy, signed": (honestly_signed(rerun_of_another), "a record of margin in the submission of"),
    "badge and reruns of another submission": (copied_badge, STALE),
}
