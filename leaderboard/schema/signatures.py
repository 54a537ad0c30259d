"""Signatures of badges: Ed25519, with OpenSSH keys. The public keys of reviewers lie in a folder, one file `NAME.pub` each."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key
from pydantic import JsonValue

from leaderboard.schema.records import read_bytes
from lossbench.errors import LossbenchError

PURPOSE = b"lossbench badge, format 1\n"
"""Begins every signed text, so that a signature made for something else is never one of a badge."""
SIGNATURE = "signature"
"""The field of a badge that is not signed: the signature itself."""
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
HOW_TO_MAKE = "make one with `ssh-keygen -t ed25519`"


class KeyFileError(LossbenchError):
    """A key cannot be used. The message names its file and a remedy."""


@dataclass(frozen=True)
class Signer:
    """A reviewer with a private key."""

    name: str
    key: Ed25519PrivateKey

    def signature(self, fields: dict[str, JsonValue]) -> str:
        """The signature of a badge's fields, as base64 text."""
        return base64.b64encode(self.key.sign(signed_text(fields))).decode("ascii")


def signed_text(fields: dict[str, JsonValue]) -> bytes:
    """What is signed of a badge: all its fields but the signature, as JSON with sorted keys and without spaces."""
    rest = {name: value for name, value in fields.items() if name != SIGNATURE}
    return PURPOSE + json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def signature_fault(fields: dict[str, JsonValue], reviewers: Path) -> str | None:
    """Why the signature of a badge does not count; None if a reviewer has signed exactly these fields.

    Args:
        fields: the badge, as its file holds it.
        reviewers: the folder of public keys; it may be missing.
    """
    who, signature = fields.get("who"), fields.get(SIGNATURE)
    if not isinstance(signature, str) or not signature:
        return "it is not signed"
    if not isinstance(who, str) or not NAME.fullmatch(who):
        return "its `who` is not the name of a reviewer's key"
    if not (reviewers / f"{who}.pub").exists():
        return f"there is no key of {who} in {reviewers}"
    try:
        read_public_key(reviewers / f"{who}.pub").verify(
            base64.b64decode(signature, validate=True), signed_text(fields)
        )
    except KeyFileError as error:
        return str(error)
    except (InvalidSignature, binascii.Error):
        return f"its signature is not one that {who} made for this content"
    return None


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read a reviewer's public key: one line that begins with `ssh-ed25519`.

    Raises:
        KeyFileError: the file is not such a key.
    """
    try:
        lines = read_bytes(path).splitlines()
        key = load_ssh_public_key(lines[0]) if len(lines) == 1 else None
    except (OSError, ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PublicKey):
        return key
    msg = f"{path} is not the public part of one OpenSSH key of type ed25519; {HOW_TO_MAKE}"
    raise KeyFileError(msg)


def read_private_key(path: Path, passphrase: Callable[[], str | None]) -> Ed25519PrivateKey:
    """Read a private key.

    Args:
        path: file of an OpenSSH private key.
        passphrase: asks for it; called only for an encrypted key. None if there is nobody to ask.

    Raises:
        KeyFileError: the file is not such a key, or the passphrase is missing or wrong.
    """
    try:
        content = path.read_bytes()
        try:
            key = load_ssh_private_key(content, None)
        except TypeError:  # what the library raises for an encrypted key
            given = passphrase()
            if not given:
                msg = f"{path} has a passphrase, which is asked for on a terminal only; sign there"
                raise KeyFileError(msg) from None
            key = load_ssh_private_key(content, given.encode())
    except OSError as error:
        msg = f"{path}: {error.strerror}; --sign takes the file of an OpenSSH private key"
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = f"{path} cannot be read as an OpenSSH private key ({error}); is the passphrase right?"
    else:
        if isinstance(key, Ed25519PrivateKey):
            return key
        msg = f"{path} is not a key of type ed25519; {HOW_TO_MAKE}"
    raise KeyFileError(msg)


def signer(key: Ed25519PrivateKey, who: str | None, reviewers: Path) -> Signer:
    """The reviewer whose public key belongs to a private key.

    Args:
        key: the private key.
        who: the reviewer's name; None for the name of the file that holds the public key.
        reviewers: the folder of public keys.

    Raises:
        KeyFileError: the public key is not in the folder, or is another reviewer's.
    """
    own = key.public_key().public_bytes_raw()
    names = [
        path.stem
        for path in sorted(reviewers.glob("*.pub"))
        if NAME.fullmatch(path.stem) and read_public_key(path).public_bytes_raw() == own
    ]
    if who in names or (who is None and names):
        return Signer(who or names[0], key)
    file = reviewers / f"{who or 'NAME'}.pub"
    msg = f"the key to sign with is not that of {file}; put its public part there, or name its owner with --who"
    raise KeyFileError(msg)


def reviewer_faults(reviewers: Path) -> list[str]:
    """What is wrong with the files in a folder of reviewers' keys; the folder may be missing."""
    faults: list[str] = []
    for path in sorted(reviewers.glob("*.pub")):
        try:
            read_public_key(path)
        except KeyFileError as error:
            faults.append(str(error))
        if not NAME.fullmatch(path.stem):
            faults.append(f"{path}: name it after the reviewer, in lower-case letters, digits and hyphens")
    return faults
