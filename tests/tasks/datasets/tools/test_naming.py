"""Which image of a folder a label means."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.datasets.tools.naming import ImageNames

Form = Literal["NFC", "NFD"]


def of(*names: str) -> ImageNames:
    return ImageNames({name: PurePosixPath(name).stem for name in names})


def scanned(file: str, names: Sequence[str]) -> list[str]:
    """The rule, name by name: the same path, or the longest end that the two paths share whole."""
    if file in names:
        return [file]
    parts = file.replace("\\", "/").split("/")
    shared: dict[str, int] = {}
    for name in names:
        *folders, last = name.split("/")
        length = min(len(folders) + 1, len(parts))
        ends = ([*folders, key][-length:] for key in (last, PurePosixPath(last).stem))
        if parts[-length:] in ends:
            shared[name] = length
    return [name for name, length in shared.items() if length == max(shared.values())]


FOLDERS = st.lists(st.sampled_from("abc"), max_size=3)
FILES = st.sampled_from(["1.jpg", "1.png", "1.jpg.png", "2.jpg", "a.jpg"])
LABELS = st.sampled_from(["1.jpg", "1.png", "1", "1.jpg.png", "a", "a.jpg", "3.jpg"])


@settings(deadline=None, max_examples=500)
@given(
    st.lists(st.tuples(FOLDERS, FILES), min_size=1, max_size=12),
    st.tuples(st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=4), LABELS),
    st.sampled_from("/\\"),
)
def test_indices_give_what_a_scan_gives(
    paths: list[tuple[list[str], str]], label: tuple[list[str], str], slash: str
) -> None:
    names = list(dict.fromkeys("/".join([*folders, file]) for folders, file in paths))
    file = slash.join([*label[0], label[1]])
    assert sorted(of(*names).meant(file)) == sorted(scanned(file, names))


@pytest.mark.parametrize("label", ["photos/{}/image.jpg", "{}/image", "{}/image.jpg"])
def test_equal_base_names_take_no_scan(label: str) -> None:
    names = of(*(f"{place:06}/image.jpg" for place in range(20_000)))
    start = time.process_time()
    for place in range(2_000):
        assert names.meant(label.format(f"{place:06}")) == [f"{place:06}/image.jpg"]
    assert time.process_time() - start < 10  # a scan for each label takes more than half a minute


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        ("0123abcd-a.jpg", ["s1/a.jpg"]),
        ("images/0123abcd-a.jpg", ["s1/a.jpg"]),
        ("../../label-studio/media/upload/1/0123abcd-a.jpg", ["s1/a.jpg"]),
        ("/data/upload/1/0123abcd-a.jpg", ["s1/a.jpg"]),
        ("0123abcd-a", ["s1/a.jpg"]),
        ("0123abcd-b.jpg", ["s1/b.jpg", "s2/b.jpg"]),
        ("89abcdef-c.jpg", ["89abcdef-c.jpg"]),  # the image has this name itself
        ("photos/89abcdef-c.jpg", ["89abcdef-c.jpg"]),
        ("0123ABCD-a.jpg", []),
        ("0123abc-a.jpg", []),
        ("0123abcd-", []),
    ],
)
def test_what_label_studio_puts_before_an_upload_may_be_missing(label: str, wanted: list[str]) -> None:
    assert of("s1/a.jpg", "s1/b.jpg", "s2/b.jpg", "89abcdef-c.jpg", "c.jpg").meant(label) == wanted


@pytest.mark.parametrize("label", ["é/ü.jpg", "photos/é/ü.jpg", "é/ü", "ü.jpg", "0123abcd-ü.jpg"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_accents_may_be_written_apart(form: Form, written: Form, label: str) -> None:
    name = unicodedata.normalize(form, "é/ü.jpg")
    assert of(name, "u.jpg").meant(unicodedata.normalize(written, label)) == [name]


def test_names_that_differ_in_their_unicode_form_alone_are_two() -> None:
    forms: tuple[Form, Form] = ("NFC", "NFD")
    both = [unicodedata.normalize(form, "é.jpg") for form in forms]
    assert [of(*both).meant(name) for name in both] == [[name] for name in both]
    assert of(*both).meant("photos/" + both[0]) == both


def test_images_below_a_folder_have_their_paths_and_not_hidden_ones(tmp_path: Path) -> None:
    for name in ("a.JPG", "s/b.png", "s/c.txt", "._a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = ImageNames.below(tmp_path)
    assert [names.at("a"), names.at("s/b"), names.at("b"), names.at("s/c"), names.at("._a")] == [
        ["a.JPG"],
        ["s/b.png"],
        [],
        [],
        [],
    ]
