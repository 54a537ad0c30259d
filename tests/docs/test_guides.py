"""Every code block of the README and of the guides works."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from command_line import Result
from guide_folders import FOLDERS
from tiny_models import LAST_STEPS

from tasks import kinds
from tasks.models import outside

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/guides/*.md", "docs/labeling.md")
BLOCK = re.compile(r"^( *)```(?:{ \.)?([a-z]*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
"""Groups: indentation, language, text. Blocks that show a file say `{ .python }`, so that ruff does not format their one line."""
SNIPPET = re.compile(r'--8<-- "([^"]+)"')
FILE = re.compile(r"# (\S+\.(?:py|toml))(?::|$)", re.MULTILINE)
COMMAND, SCRIPT = "uv run lossbench ", "uv run python "

SKIPPED = {
    "pip install uv && uv sync --compile-bytecode": "installs",
    "uv sync --extra pretrained": "installs",
    "uv run pytest": "it is running",
    "uv run lossbench submission create top_two_ratio.py": "makes all runs on the rendered scenes; tests/lossbench/cli/test_cli_submission.py",
    "uv run lossbench submission check leaderboard/submissions/top-two-ratio": "what `create` makes; tests/lossbench/cli/test_cli_submission.py",
    "uv run lossbench submission verify top-two-ratio --who me": "repeats them; tests/lossbench/submissions",
    "uv run lossbench pick --unlabeled 'shards/pool-{000..099}.tar' --labeled export.json --strategy margin --budget 1000 --out round-3 --workers 8": (
        "a hundred shards; tests/lossbench/labeling/test_makers.py"
    ),
    "uv run lossbench pick --unlabeled s3://bucket/pool --labeled export.json --strategy margin --budget 1000 --out round-3": (
        "a network; tests/lossbench/labeling/test_round_on_shards.py"
    ),
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=$PWD label-studio start": (
        "a server; tests/lossbench/labeling/test_label_studio.py"
    ),
}
"""Commands that are not run here, and why, or where they are."""
RUN_ELSEWHERE = {"pack_cifar10.py"}
"""Scripts of docs/gpu.md, whose commands tests/docs/test_gpu_runbook.py runs."""
NARROWED = {
    "uv run lossbench run quickstart": "--protocol quickstart-classification --strategy random",
}
"""Commands of which a part is run, and the options that choose it."""
PARSED = {"mmdet": "downloads weights", "resnet50": "downloads weights"}
"""TOML that is read but not run, by a word in it, and why."""


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The name of the file that it shows, which its first line gives."""
        found = FILE.match(self.text)
        return found[1] if found else None

    @property
    def commands(self) -> list[str]:
        """The commands of a block of bash, without comments."""
        lines = [line.partition("   #")[0].strip() for line in self.text.splitlines() if not line.startswith("#")]
        return [command.strip() for line in lines for command in _apart(line) if command.strip()]


def _apart(line: str) -> list[str]:
    """The commands of a line; an installation stays one."""
    head, _, last = line.rpartition(" && ")
    return [head, last]


def pages() -> list[str]:
    return [str(path.relative_to(ROOT)) for pattern in PAGES for path in sorted(ROOT.glob(pattern))]


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page; one that shows a file of the repository is left out, since that file is at hand."""
    for indent, language, text in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        shown = "\n".join(line.removeprefix(indent) for line in text.splitlines())
        if not SNIPPET.fullmatch(shown):
            yield Block(language, f"{shown}\n")


def all_commands() -> list[str]:
    return [each for page in pages() for block in blocks(page) if block.language == "bash" for each in block.commands]


@pytest.mark.parametrize("page", pages())
def test_every_block_says_what_it_is(page: str) -> None:
    for language, text in blocks(page):
        assert language in {"bash", "python", "toml", "text"}, text
        if language == "toml":
            tomllib.loads(text)


def test_every_command_runs_or_says_why_not() -> None:
    strange = [
        each
        for each in all_commands()
        if each not in SKIPPED and not each.startswith(COMMAND) and not each.startswith(SCRIPT)
    ]
    assert strange == []
    assert {*SKIPPED, *NARROWED} - set(all_commands()) == set(), "these stand in no guide"


def test_every_toml_is_used_or_says_why_not() -> None:
    unused = []
    for page in pages():
        commands = " ".join(each for block in blocks(page) if block.language == "bash" for each in block.commands)
        toml = [block for block in blocks(page) if block.language == "toml"]
        unused += [
            block.text
            for block in toml
            if not (block.file and block.file in commands) and not any(word in block.text for word in PARSED)
        ]
    assert unused == []


def test_every_example_is_run_by_a_guide() -> None:
    scripts = {path.name for path in (ROOT / "examples").glob("*.py") if "__main__" in path.read_text()} - RUN_ELSEWHERE
    assert len(scripts) == 3
    run = {Path(each.removeprefix(SCRIPT)).name for each in all_commands() if each.startswith(SCRIPT)}
    assert run == scripts
    shown = " ".join((ROOT / page).read_text(encoding="utf-8") for page in pages())
    assert {name for name in scripts if f'--8<-- "examples/{name}"' not in shown} == set()


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in pages() if list(blocks(page))])
def test_the_blocks_of_a_page_run_in_their_order(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lossbench_cli: Callable[..., Result]
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    FOLDERS.get(page, lambda _: None)(tmp_path)
    monkeypatch.chdir(tmp_path)
    for module in (kinds, outside):  # what a page loads from files is forgotten after it
        monkeypatch.setattr(module, "_loaded", {})
    names: dict[str, Any] = {}
    for block in blocks(page):
        if block.file:
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.text, page, "exec"), names)
        elif block.language == "bash":
            for command in block.commands:
                run(command, lossbench_cli)
    if page == "README.md":
        assert [one.labeled for one in names["record"].rounds] == [100, 200, 300]
        assert names["board"].standings("scenes-classification")["strategy"].tolist() == ["margin"]
        assert "mark" in names["chart"].to_json()


def run(command: str, lossbench_cli: Callable[..., Result]) -> None:
    """Run a command in this process."""
    if command in SKIPPED:
        return
    if command.startswith(SCRIPT):
        words = shlex.split(command.removeprefix(SCRIPT))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", words)
            runpy.run_path(words[0], run_name="__main__")
        return
    words = shlex.split(f"{command.removeprefix(COMMAND)} {NARROWED.get(command, '')}")
    done = lossbench_cli(*words)
    assert done.code == 0, f"{command}\n{done.errors}"


@pytest.mark.parametrize("kind", ["segmentation", "pose", "detection"])
def test_the_last_steps_of_an_own_model_are_those_that_are_tested(kind: str) -> None:
    network, head = LAST_STEPS[kind]
    shown = (ROOT / "docs/guides/model.md").read_text(encoding="utf-8")
    step = network.removeprefix("first, second, ") if head else 'TappedModel(network, taps=["0", "1"])'
    assert f"`{step}`" in shown
