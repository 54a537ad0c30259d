"""Random changes of valid records, TOML, XML and JSON: each is read, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_cases import pose_files, voc_files
from hostile_cases.protocols import DETECTION, POSE, VALID
from hostile_cases.records import committed
from hostile_cases.toml_text import document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leaderboard.schema.records import read_record
from lossbench.config_files import read_protocol
from lossbench.errors import LossbenchError
from tasks.datasets import mpii, voc

PIECES = (
    b"",
    b"-",
    b"0",
    b"9" * 400,
    b"\0",
    b"\xff",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b"<",
    b">",
    b"&",
    b"e999",
    b"nan",
    b"null",
    b"true",
    b"\n",
    b".",
    b",",
)
"""What may stand in the place of a few bytes."""
Change = tuple[float, int, bytes]
CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES) | st.binary(max_size=4)),
    min_size=1,
    max_size=4,
)


def changed(content: bytes, changes: list[Change]) -> bytes:
    """The content, with a few bytes replaced at each of these places."""
    for share, length, piece in changes:
        place = round(share * len(content))
        content = content[:place] + piece + content[place + length :]
    return content


def _pose(path: Path) -> object:
    return mpii.load_list(path.parent, path, center_shift=0.0, need_head=True, frame=1.25)


READERS: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "record": ("random-shared-s0.json", json.dumps(committed()[0]).encode(), read_record),
    "classification": ("tiny.toml", VALID.encode(), read_protocol),
    "detection": ("tiny.toml", document(DETECTION).encode(), read_protocol),
    "pose": ("tiny.toml", document(POSE).encode(), read_protocol),
    "VOC": (
        "a.xml",
        voc_files.xml(voc_files.annotation()).encode(),
        lambda path: voc.read_objects(path, ("cat", "car")),
    ),
    "MPII": ("mpii.json", json.dumps(pose_files.people(2)).encode(), _pose),
}


def read_or_refused(folder: Path, name: str, content: bytes) -> None:
    """Read a content. What is refused is refused in one line."""
    file, _, read = READERS[name]
    path = folder / file
    path.write_bytes(content)
    refusal = "read"
    try:
        read(path)
    except LossbenchError as error:
        refusal = str(error)
    assert 0 < len(refusal) < 2000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images that annotations name."""
    made = tmp_path_factory.mktemp("changed")
    for number in range(2):
        (made / f"{number}.jpg").write_bytes(voc_files.JPEG)
    return made


@pytest.mark.parametrize("name", READERS)
def test_what_is_not_changed_is_read(name: str, folder: Path) -> None:
    file, content, read = READERS[name]
    (folder / file).write_bytes(content)
    assert read(folder / file)


def _quiet(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@pytest.mark.parametrize("name", READERS)
@_quiet(60)
@given(changes=CHANGES)
def test_a_few_changes_are_read_or_refused(name: str, folder: Path, changes: list[Change]) -> None:
    read_or_refused(folder, name, changed(READERS[name][1], changes))


@pytest.mark.slow  # thousands of contents
@pytest.mark.parametrize("name", READERS)
@_quiet(1500)
@given(changes=CHANGES)
def test_many_changes_are_read_or_refused(name: str, folder: Path, changes: list[Change]) -> None:
    read_or_refused(folder, name, changed(READERS[name][1], changes))
