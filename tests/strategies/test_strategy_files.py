"""Files of strategies from outside: what is wrong in them is one line, and modules beside them belong to them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench.errors import LossbenchError
from strategies import load_strategy
from strategies.loading import resolved
from tasks.outside.files import Source, read_source

HEAD = "from typing import ClassVar\nfrom strategies import Context, Selection, Strategy\n"
BODY = (
    'class Mine(Strategy):\n    name: ClassVar[str] = "mine"\n    paper: ClassVar[str] = "none"\n    share: float = 0.5\n'
    "    def select(self, ctx: Context) -> Selection:\n        return Selection(ctx.candidates[: ctx.budget])\n"
)


def file(folder: Path, head: str = HEAD, body: str = BODY, **siblings: str) -> Path:
    for name, code in siblings.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    (folder / "mine.py").write_text(head + body, encoding="utf-8")
    return folder / "mine.py"


def source(path: Path) -> Source:
    found = resolved(str(path))
    assert isinstance(found, Source)
    return found


FAULTS: dict[str, tuple[dict[str, str], str]] = {
    "syntax": ({"body": BODY + "    def (:\n"}, r"mine\.py, line 9: SyntaxError: invalid syntax"),
    "indentation": ({"body": BODY + "  x = 1\n"}, r"mine\.py, line 9: IndentationError: unindent does not match"),
    "null byte": ({"body": "x = '\0'\n"}, r"mine\.py: SyntaxError: source code .* null bytes"),
    "missing package": (
        {"head": "import not_installed\n" + HEAD},
        r"mine\.py, line 1: ModuleNotFoundError: No module named 'not_installed'; install it, or put not_installed\.py beside",
    ),
    "missing sibling": (
        {"head": "from .gone import x\n" + HEAD},
        r"mine\.py, line 1: ModuleNotFoundError: No module named 'gone'; install it, or put gone\.py beside the file$",
    ),
    "above the folder": (
        {"head": "from ..a import b\n" + HEAD},
        r"mine\.py, line 1: ImportError: attempted relative import",
    ),
    "error": ({"head": HEAD + "1 / 0\n"}, r"mine\.py, line 3: ZeroDivisionError: division by zero$"),
    "error of many lines": ({"head": HEAD + "raise OSError('a\\nb')\n"}, r"mine\.py, line 3: OSError: a b$"),
    "end of the program": (
        {"head": HEAD + "raise SystemExit(0)\n"},
        r"mine\.py, line 3: it ends the program \(SystemExit: 0\)$",
    ),
    "syntax of a sibling": ({"head": "import other\n" + HEAD, "other": "def f(:\n"}, r"other\.py, line 1: SyntaxError"),
    "error of a sibling": (
        {"head": "import other\n" + HEAD, "other": "def f():\n    {}['key']\nf()\n"},
        r"other\.py, line 2, in f: KeyError: 'key'$",
    ),
    "no strategy": ({"body": ""}, r"mine\.py defines 0 strategies"),
    "a field without a type": (
        {"body": BODY.replace("share: float", "share")},
        r"mine\.py, line 3: PydanticUserError: A non-an",
    ),
    "an unknown type": ({"body": BODY.replace("float", "Nothing")}, r"mine\.py: `Mine` is not fully defined"),
    "error when it is made": (
        {"body": BODY + "    def model_post_init(self, _):\n        raise KeyError\n"},
        r"mine\.py, line 10, in model_post_init: KeyError$",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_file_is_one_line_with_file_and_line(name: str, tmp_path: Path) -> None:
    parts, wanted = FAULTS[name]
    with pytest.raises(LossbenchError) as caught:
        load_strategy(str(file(tmp_path, **parts)))
    text = str(caught.value)
    assert re.search(wanted, text), text
    assert text.startswith(str(tmp_path))
    assert "\n" not in text


@pytest.mark.parametrize(
    ("line", "use"),
    [
        ("import other", "other.VALUE"),
        ("import sys, other as short", "short.VALUE"),
        ("from other import VALUE", "VALUE"),
        ("from . import other", "other.VALUE"),
        ("from .other import VALUE as value", "value"),
    ],
)
def test_modules_beside_a_file_are_imported(line: str, use: str, tmp_path: Path) -> None:
    body = BODY.replace("share: float = 0.5", f"share: float = {use}")
    path = file(
        tmp_path, f"{line}\n{HEAD}", body, other="from third import HALF\nVALUE = HALF / 2\n", third="HALF = 0.5\n"
    )
    assert vars(load_strategy(str(path)))["share"] == 0.25
    assert [each.name for each in source(path).siblings] == ["other", "third"]
    assert not {"other", "third"} & sys.modules.keys(), "two files may have siblings of one name"
    assert str(tmp_path) not in sys.path


def test_a_module_that_is_imported_late_is_the_one_that_was_read(tmp_path: Path) -> None:
    body = BODY.replace("        return", "        from other import VALUE\n        return VALUE or")
    strategy = load_strategy(str(file(tmp_path, body=body, other="VALUE = 'as read'\n")))
    (tmp_path / "other.py").write_text("VALUE = 'changed'\n")
    assert strategy.select(None) == "as read"


def test_the_hash_covers_modules_beside_a_file(tmp_path: Path) -> None:
    path = file(tmp_path, "import other\n" + HEAD, other="VALUE = 1\n", unused="VALUE = 1\n")
    digests = [source(path).digest]
    for name in ("other", "unused"):
        (tmp_path / f"{name}.py").write_text("VALUE = 2\n")
        digests.append(source(path).digest)
    assert digests[0] != digests[1] == digests[2]
    assert len({source(path).module_name, read_source(file(tmp_path)).module_name}) == 2


def test_the_hash_of_a_file_without_siblings_is_that_of_its_content(tmp_path: Path) -> None:
    path = file(tmp_path, unused="VALUE = 1\n")
    found = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    assert source(path).digest == found.split()[0]


def test_what_is_installed_comes_before_a_module_beside_a_file(tmp_path: Path) -> None:
    path = file(tmp_path, "import random, numpy, tasks\n" + HEAD, random="1 / 0\n", numpy="1 / 0\n", tasks="1 / 0\n")
    assert source(path).siblings == ()
    load_strategy(str(path))
