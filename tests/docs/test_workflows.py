"""The workflows of GitHub, as far as they can be run without it: the YAML, every command line, and publishing to a branch."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import Result

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github/workflows/leaderboard.yml"


def jobs() -> dict[str, Any]:
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]


def scripts(job: str) -> dict[str, str]:
    return {step["name"]: step["run"] for step in jobs()[job]["steps"] if "run" in step}


EVERY = [(job, name) for job in jobs() for name in scripts(job)]


def bash(script: str, folder: Path, **variables: str) -> str:
    """Run a step as GitHub does."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)} | variables
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(("job", "name"), EVERY, ids=[" ".join(each) for each in EVERY])
def test_every_step_is_a_script_without_expressions_of_strangers(job: str, name: str, tmp_path: Path) -> None:
    script = scripts(job)[name]
    subprocess.run(["bash", "-n", "-c", script], check=True)
    assert "${{" not in script, "what a stranger writes must not become code: pass it in `env`"


def test_code_of_strangers_runs_without_rights() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in workflow["jobs"]["check"]
    assert "secrets" not in WORKFLOW.read_text(encoding="utf-8")
    assert "pull_request_target" not in workflow[True], "`on` is the truth value in YAML 1.1"


def test_every_command_of_lossbench_exists(lossbench_cli: Any) -> None:
    called = {
        (words[0], words[1], tuple(word for word in words[2:] if word.startswith("--")))
        for job, name in EVERY
        for line in scripts(job)[name].splitlines()
        if (found := re.search(r"uv run lossbench (.*)", line)) and (words := found[1].split())
    }
    assert {words[:2] for words in called} == {
        ("leaderboard", "check"),
        ("leaderboard", "build"),
        ("submission", "check"),
        ("submission", "verify"),
    }
    for group, command, options in called:
        result: Result = lossbench_cli(group, command, "--help")
        assert result.code == 0
        assert all(option in result.output for option in options), (group, command, options)


def test_changed_submissions_are_named_once(tmp_path: Path) -> None:
    for name in ("one", "two", "old"):
        (tmp_path / f"leaderboard/submissions/{name}").mkdir(parents=True)
        (tmp_path / f"leaderboard/submissions/{name}/strategy.py").write_text("a")
    commit = "git add --all && git -c user.name=a -c user.email=b commit -qm x"
    bash(f"git init -q . && {commit}", tmp_path)
    for name in ("one/strategy.py", "one/meta.toml", "two/meta.toml"):
        (tmp_path / "leaderboard/submissions" / name).write_text("b")
    (tmp_path / "leaderboard/submissions/old/strategy.py").unlink()
    bash(commit, tmp_path)
    assert bash(scripts("check")["Name the submissions that were changed"], tmp_path, BASE="HEAD~1") == "one\ntwo\n"


def test_the_page_is_published_to_a_branch_that_keeps_snapshots(tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    bash("git init -q --bare .", tmp_path / "remote")
    for text in ("first", "second"):
        clone = tmp_path / text
        clone.mkdir()
        bash("git init -q . && git -c user.name=a -c user.email=b commit -q --allow-empty -m x", clone)
        bash(f"git remote add origin {tmp_path / 'remote'}", clone)
        bash(scripts("publish")["Fetch the page before"], clone)
        page = clone / "runs/page"
        assert (page / "snapshots/2026-01-02/index.html").is_file() == (text == "second")
        (page / "index.html").write_text(text)
        (page / "snapshots/2026-01-02").mkdir(parents=True, exist_ok=True)
        (page / "snapshots/2026-01-02/index.html").write_text("old")
        bash(scripts("publish")["Publish it"], clone)
    assert bash("git show pages:index.html", tmp_path / "remote") == "second"
    assert bash("git show pages:snapshots/2026-01-02/index.html", tmp_path / "remote") == "old"
