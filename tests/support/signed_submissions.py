"""A submission whose badge a reviewer has signed, for tests that forge it; nothing is run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from leaderboard.schema.badges import FILE, Badge, digest, signed, write_badge
from leaderboard.schema.signatures import Signer
from lossbench.submissions.folder import Submission

REPOSITORY = Path(__file__).parents[2]
NAME = "confidence-ratio"


def new_key(seed: int) -> Ed25519PrivateKey:
    """The same key for the same seed."""
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def public_line(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


def private_file(key: Any) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


@dataclass(frozen=True)
class Place:
    """A folder `submissions` with one submission, and the keys of the reviewers `ada` and `bob` beside it."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "submissions" / NAME

    @property
    def badge_file(self) -> Path:
        return self.folder / FILE

    @property
    def reviewers(self) -> Path:
        return self.root / "reviewers"

    @property
    def submission(self) -> Submission:
        return Submission.read(self.folder)

    def record(self, room: str, kind: str = "classification", seed: int = 0) -> Path:
        return self.folder / room / f"scenes-{kind}" / f"{NAME}-shared-s{seed}.json"

    def change(self, path: Path, how: Callable[[dict[str, Any]], object]) -> None:
        """Change a JSON file."""
        content = json.loads(path.read_bytes())
        how(content)
        path.write_text(json.dumps(content), encoding="utf-8")

    def edit_badge(self, **fields: object) -> None:
        """Other fields in the badge; its signature stays."""
        self.change(self.badge_file, lambda content: content.update(fields))

    def refresh_digest(self, **fields: object) -> None:
        """Make the digest that of the changed folder, and change other fields, too."""
        self.edit_badge(digest=digest(self.folder), **fields)

    def sign(self, who: str = "ada", key: Ed25519PrivateKey | None = None) -> None:
        """Sign the badge as it is, with the digest of the folder as it is."""
        fields = json.loads(self.badge_file.read_bytes()) | {"digest": digest(self.folder)}
        fields.pop("signature", None)
        badge = Badge.model_validate_json(json.dumps(fields))
        write_badge(signed(badge, Signer(who, key or new_key(1))), self.folder)


def signed_place(root: Path) -> Place:
    """A copy of the repository's smallest example, signed by the reviewer `ada`."""
    place = Place(root)
    shutil.copytree(REPOSITORY / "leaderboard/submissions" / NAME, place.folder)
    place.reviewers.mkdir()
    for seed, who in ((1, "ada"), (2, "bob")):
        (place.reviewers / f"{who}.pub").write_bytes(public_line(new_key(seed)) + b"\n")
    place.sign()
    return place
