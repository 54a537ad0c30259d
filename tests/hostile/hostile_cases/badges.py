"""Submissions whose badge, reruns, code or statements were changed after a reviewer has signed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hostile_cases.case import FOUND_FAULTS, Case, files
from hostile_cases.protocols import short
from hostile_cases.records import REPOSITORY, whole
from hostile_cases.toml_text import ABSENT

NAME, PROTOCOL = "confidence-ratio", "scenes-classification"
FOLDER = f"submissions/{NAME}"
BADGE = "verification.json"
CHECK = ("leaderboard", "check", "{}/records")
RUN = f"{PROTOCOL}/{NAME}-shared-s0.json"
"""One of the two runs of the submission, below `records` and below `replay`."""
OWNER, STRANGER = bytes(32), bytes(31) + b"\1"
"""Seeds of two private keys: that of the reviewer `owner`, and one that is in no folder of reviewers."""
Change = Callable[[Path], object]
FIELDS: dict[str, tuple[object, ...]] = {
    "state": ("failed", "replayed", "gold", "", "Verified", 1, None, ["verified"], True),
    "when": ("2030-01-01", 1, None, "x" * 500),
    "who": ("", "nobody", "Owner", "../owner", "owner\0", 1, None, "x" * 500),
    "machine": (None, {}, 1, [], {"processor": "x"}),
    "commit": ("0" * 40, 1, None, "x" * 500),
    "digest": ("", "0" * 64, 1, None, ["0"]),
    "replayed": (
        [],
        None,
        1,
        [[PROTOCOL, "shared", 0]],
        [[PROTOCOL, "shared", 0]] * 2000,
        [[PROTOCOL, "shared", 0], [PROTOCOL, "shared", 1], [PROTOCOL, "shared", 2]],
        [["scenes-pose", "shared", 0], ["scenes-pose", "shared", 1]],
        [[PROTOCOL, "native", 0], [PROTOCOL, "native", 1]],
        [[PROTOCOL, "shared"]],
        [["../x", "shared", 0]],
    ),
    "faults": (None, "none", [1], ["x"] * 200),
    "notes": (None, "none", [1], ["x"] * 200, ["equal bit for bit"]),
    "signature": (None, 1, "A" * 88, "not base64", "x" * 500, "AA=="),
    "surprise": (1,),
}


def key(seed: bytes) -> Any:
    """A private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed)


def sign(folder: Path, seed: bytes = OWNER, **changes: object) -> None:
    """Write a badge of this content, with the digest of the folder as it is now, and sign it."""
    from leaderboard.schema.badges import Badge, digest, signed
    from leaderboard.schema.signatures import Signer

    template = json.loads((REPOSITORY / "leaderboard/submissions" / NAME / BADGE).read_text(encoding="utf-8"))
    replayed = [[PROTOCOL, "shared", 0], [PROTOCOL, "shared", 1]]
    fields = template | {"state": "verified", "replayed": replayed, "digest": digest(folder), "notes": []} | changes
    badge = signed(Badge.model_validate(fields), Signer("owner", key(seed)))
    (folder / BADGE).write_text(badge.model_dump_json(), encoding="utf-8")


def submission(folder: Path) -> Path:
    """Two runs, their reruns, which are equal, and the badge of the reviewer `owner`; beside them records of the board."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    files(whole())(folder)
    place = folder / FOLDER
    source = REPOSITORY / "leaderboard/submissions" / NAME
    shutil.copytree(source / "records" / PROTOCOL, place / "records" / PROTOCOL)
    shutil.copytree(source / "records" / PROTOCOL, place / "replay" / PROTOCOL)
    for name in ("strategy.py", "meta.toml"):
        shutil.copyfile(source / name, place / name)
    machine = json.loads((place / "replay" / RUN).read_text(encoding="utf-8"))["machine"]
    sign(place, machine=machine)
    public = key(OWNER).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    (folder / "reviewers").mkdir()
    (folder / "reviewers/owner.pub").write_bytes(public + b" owner\n")
    return place


def after(change: Change) -> Callable[[Path], object]:
    """Makes a signed submission, then changes it."""

    def make(folder: Path) -> None:
        place = submission(folder)
        change(place)

    return make


def caught(name: str, change: Change, *wanted: str) -> Case:
    """A change that the check finds."""
    return Case(f"badge {name}", after(change), CHECK, (NAME, *wanted), FOUND_FAULTS, printed=True)


def edited(path: str, edit: Callable[[dict[str, Any]], object]) -> Change:
    """Changes a JSON file of the submission."""

    def change(place: Path) -> None:
        table = json.loads((place / path).read_text(encoding="utf-8"))
        edit(table)
        (place / path).write_text(json.dumps(table), encoding="utf-8")

    return change


def put(field: str, value: object) -> Callable[[dict[str, Any]], object]:
    """Sets or removes a field."""
    return lambda table: table.pop(field) if value is ABSENT else table.update({field: value})


def better(table: dict[str, Any]) -> None:
    """A record with a higher score."""
    table["rounds"][2]["metrics"]["accuracy"] = 0.999


def resigned(*changes: Change, seed: bytes = OWNER, **fields: object) -> Change:
    """Changes the submission and signs it again, with the right digest."""

    def change(place: Path) -> None:
        machine = json.loads((place / BADGE).read_text(encoding="utf-8"))["machine"]
        for each in changes:
            each(place)
        sign(place, seed, **({"machine": machine} | fields))

    return change


def removed(path: str) -> Change:
    """Removes a file or a folder."""
    return lambda place: shutil.rmtree(place / path) if (place / path).is_dir() else (place / path).unlink()


def written(path: str, content: str | bytes) -> Change:
    """Replaces a file."""
    return lambda place: files({path: content})(place)


def fields() -> Iterator[Case]:
    """Every field of a signed badge, changed."""
    for field, values in FIELDS.items():
        for value in values:
            yield caught(f"{field} = {short(value)}", edited(BADGE, put(field, value)))
        if field not in {"state", "surprise", "signature", "faults", "notes"}:
            yield caught(f"without {field}", edited(BADGE, put(field, ABSENT)))


def forms() -> Iterator[Case]:
    """Files that are no badge."""
    for name, content in (
        ("empty", ""),
        ("blank", " "),
        ("cut", '{"state": "verif'),
        ("null", "null"),
        ("a list", "[]"),
        ("a text", '"verified"'),
        ("a number", "1"),
        ("TOML", 'state = "verified"'),
        ("binary", bytes(range(256))),
        ("zeros", bytes(999)),
        ("UTF-16", '{"state": "verified"}'.encode("utf-16")),
        ("deep", "[" * 100_000 + "]" * 100_000),
        ("with a long integer", f'{{"state": {"9" * 5000}}}'),
        ("with a key twice", '{"state": "failed", "state": "verified"}'),
        ("with NaN", '{"state": NaN}'),
        ("of 65 MiB", '{"state": "verified"}' + " " * (65 << 20)),
    ):
        yield caught(f"that is {name}", written(BADGE, content), BADGE)


def forged() -> Iterator[Case]:
    """What is changed behind a badge, with and without signing again."""
    record, rerun = f"records/{RUN}", f"replay/{RUN}"
    changes: dict[str, tuple[Change, ...]] = {
        "a better record": (edited(record, better),),
        "a better rerun": (edited(rerun, better),),
        "a record without rerun": (removed(rerun),),
        "a rerun without record": (removed(record),),
        "no reruns": (removed("replay"),),
        "other picks": (edited(record, lambda table: table["rounds"][0]["picked"].reverse()),),
        "a rerun of another seed": (edited(rerun, put("seed", 1)),),
        "a rerun on another machine": (edited(rerun, lambda table: table["machine"].update(threads=2)),),
        "a rerun of other code": (edited(rerun, lambda table: table["fingerprints"].update(strategy="0" * 64)),),
        "a damaged rerun": (written(rerun, "{"),),
        "an empty rerun": (written(rerun, ""),),
        "a rerun that is not complete": (edited(rerun, lambda table: table["rounds"].pop()),),
        "a rerun of no round": (edited(rerun, put("rounds", [])),),
    }
    for name, steps in changes.items():
        yield caught(f"over {name}", steps[0])
        yield caught(f"over {name}, signed by its reviewer", resigned(*steps))
        yield caught(f"over {name}, signed by a stranger", resigned(*steps, seed=STRANGER))
    both = (edited(record, better), edited(rerun, better))
    yield caught("over a better record and rerun", lambda place: [each(place) for each in both])
    yield caught("over a better record and rerun, signed by a stranger", resigned(*both, seed=STRANGER))
    code = "strategy.py"
    yield caught("over other code", lambda place: (place / code).write_text((place / code).read_text() + "\n# other\n"))
    yield caught("over other statements", lambda place: (place / "meta.toml").write_text('name = "x"'))
    yield caught("that names a fault", resigned(faults=["a fault"]))
    yield caught("that names no rerun", resigned(replayed=[]))
    yield caught("that names one rerun of two", resigned(replayed=[[PROTOCOL, "shared", 0]]))
    yield caught("without a machine", resigned(machine=None))


def keys() -> Iterator[Case]:
    """Folders of reviewers that do not hold the key of the badge."""
    public = "../../reviewers/owner.pub"
    for name, change in (
        ("missing", removed(public)),
        ("empty", written(public, "")),
        ("of another type", written(public, "ssh-rsa AAAAB3NzaC1yc2E= owner")),
        ("that is no key", written(public, "ssh-ed25519 AAAA owner")),
        ("binary", written(public, bytes(range(256)))),
        ("two lines", lambda place: (place / public).write_bytes((place / public).read_bytes() * 2)),
        ("a link", lambda place: ((place / public).rename(place / "../../key"), (place / public).symlink_to("../key"))),
    ):
        yield caught(f"whose key is {name}", change)


def unsigned() -> Iterator[Case]:
    """Badges that nobody signed: no fault, and shown as what their author says."""
    for state in ("verified", "replayed"):

        def change(place: Path, state: str = state) -> None:
            edited(BADGE, lambda table: (table.update(state=state), table.pop("signature")))(place)

        make = after(change)
        wanted = (f"{NAME}: self-reported", "not signed")
        yield Case(f"badge {state}, not signed", make, CHECK, wanted, code=0, printed=True)
        forged = after(lambda place, change=change: (edited(f"records/{RUN}", better)(place), change(place)))
        yield Case(f"badge {state}, forged and not signed", forged, CHECK, (NAME,), FOUND_FAULTS, printed=True)


def submissions() -> Iterator[Case]:
    """Submissions as folders: what is missing, and what does not belong."""
    for name, change, wanted in (
        ("without code", removed("strategy.py"), "strategy.py"),
        ("without statements", removed("meta.toml"), "meta.toml"),
        ("without records", removed("records"), "records"),
        ("with statements that are no TOML", written("meta.toml", "{"), "TOML"),
        ("with empty statements", written("meta.toml", ""), "meta.toml"),
        ("with binary statements", written("meta.toml", bytes(range(256))), "TOML"),
        ("with deep statements", written("meta.toml", f"a = {'[' * 99_999}{']' * 99_999}"), "TOML"),
        ("with a long integer", written("meta.toml", f"a = {'9' * 5000}"), "TOML"),
        ("with a link", lambda place: (place / "link").symlink_to("/etc/hostname"), "link"),
        ("with a link to a folder", lambda place: (place / "records/more").symlink_to("/etc"), "link"),
        ("with a foreign record", _foreign, "random"),
        ("with a damaged record", written(f"records/{RUN}", "{"), RUN),
        (
            "with code that is a folder",
            lambda place: (removed("strategy.py")(place), (place / "strategy.py").mkdir()),
            "",
        ),
        ("in a folder of another name", lambda place: place.rename(place.parent / "other"), "other"),
        ("of a taken name", _taken, "random"),
    ):
        yield Case(f"submission {name}", after(change), CHECK, (wanted,), FOUND_FAULTS, printed=True)
    values: dict[str, tuple[object, ...]] = {
        "name": ("other", "", "Confidence", 1),
        "authors": ([], "me", [1]),
        "title": (1, "x" * 300),
        "deterministic": ("maybe", 2),
        "parameters": (1, {"no_such": 1}),
        "paper": (1,),
        "license": (1,),
        "surprise": (1,),
    }
    for field, others in values.items():
        for value in others:
            change = _stated(field, value)
            wanted = (NAME, "" if field == "parameters" else field)
            yield Case(f"meta {field} = {short(value)}", after(change), CHECK, wanted, FOUND_FAULTS, printed=True)


def _stated(field: str, value: object) -> Change:
    from hostile_cases.toml_text import document

    base = {"name": NAME, "title": "t", "authors": ["a"], "paper": "none", "license": "MIT"}
    return written("meta.toml", document(base | {field: value}))


def _foreign(place: Path) -> None:
    record = place.parents[1] / f"records/{PROTOCOL}/random-shared-s0.json"
    shutil.copyfile(record, place / f"records/{PROTOCOL}/r.json")


def _taken(place: Path) -> None:
    meta = (place / "meta.toml").read_text().replace(NAME, "random")
    files({"random/strategy.py": "", "random/meta.toml": meta})(place.parent)


CASES = (*fields(), *forms(), *forged(), *keys(), *unsigned(), *submissions())
