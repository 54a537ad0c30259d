"""Pages of the documentation that are made when its site is built: one for each strategy, and the protocols' files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from lossbench.config import Protocol
from lossbench.config_files import config_files, read_protocol
from lossbench.paths import shipped
from lossbench.publishing.parameters import parameters
from lossbench.publishing.reproduction import markdown
from strategies import STRATEGIES, Strategy

STRATEGIES_FOLDER, PROTOCOLS = "reference/strategies/", "reference/protocols/"
COSTS = "N candidates, L labeled images, K picks, D numbers in an embedding, C categories, T passes, G groups"


def reference_pages() -> dict[str, str]:
    """The Markdown of all made pages, by their paths below `docs/`."""
    return dict(_strategy_pages()) | dict(_protocol_pages())


def _strategy_pages() -> Iterator[tuple[str, str]]:
    yield f"{STRATEGIES_FOLDER}index.md", _strategies_index()
    for each in STRATEGIES:
        yield f"{STRATEGIES_FOLDER}{each.name}.md", strategy_page(each)


def _strategies_index() -> str:
    rows = [(f"[{each.name}]({each.name}.md)", each.kind, _first_sentence(each), each.paper) for each in STRATEGIES]
    table = "\n".join(markdown([("strategy", "kind", "what it picks", "paper"), *rows]))
    return f"# Strategies\n\nMade from the files in `strategies/`. [Strategies compared](../../strategies.md) has their costs side by side.\n\n{table}\n"


def _first_sentence(strategy: type[Strategy]) -> str:
    return " ".join((strategy.__doc__ or "").split("\n\n")[0].split())


def strategy_page(strategy: type[Strategy]) -> str:
    """What a strategy's class says: its docstring, what it reads, what it costs, its hyper-parameters and its code."""
    facts = {
        "Paper": strategy.paper,
        "Kind": strategy.kind,
        "Reads": strategy().needs,
        "Operations after the forward pass": strategy.cost,
        "Can pick before anything is labeled": "yes" if strategy.cold_start else "no",
        "Ranked": "no: it reads labels of candidates" if strategy.cheats else "yes",
    }
    docstring = _directive(strategy, members=False, inherited_members=False)
    rows = [(f"`{each.name}`", f"`{each.default}`", each.meaning) for each in parameters(strategy)]
    return "\n\n".join(
        (
            f"# {strategy.name}",
            docstring,
            "\n".join(f"- {name}: {value}" for name, value in facts.items()),
            f"The letters: {COSTS}.",
            "## Hyper-parameters",
            "\n".join(markdown([("name", "default", "meaning"), *rows])) if rows else "None.",
            "## Code",
            f'```python title="{strategy.__module__.replace(".", "/")}.py"\n--8<-- "{strategy.__module__.replace(".", "/")}.py"\n```\n',
        )
    )


def _directive(strategy: type[Strategy], **options: object) -> str:
    """What mkdocstrings replaces by a class's docstring and members."""
    given = {"show_root_heading": False, "show_root_toc_entry": False, "show_labels": False, "inherited_members": True}
    lines = (f"      {name}: {json.dumps(value)}" for name, value in {**given, **options}.items())
    return "\n".join((f"::: {strategy.__module__}.{strategy.__qualname__}", "    options:", *lines))


def _protocol_pages() -> Iterator[tuple[str, str]]:
    folders = sorted(folder for folder in (shipped("configs") / "tasks").iterdir() if folder.is_dir())
    yield f"{PROTOCOLS}index.md", _protocols_index(folders)
    for folder in folders:
        yield f"{PROTOCOLS}{folder.name}.md", _protocol_page(folder)


def _protocols_index(folders: list[Path]) -> str:
    rows = [("protocol", "version", "kind", "labels", "what it is")]
    for folder in folders:
        for path in config_files(folder):
            protocol = read_protocol(path)
            link = f"[{protocol.name}]({folder.name}.md#{protocol.name})"
            rows.append((link, str(protocol.version), protocol.task.kind, _labels(protocol), _comment(path)))
    return (
        "# Protocols\n\nA protocol is a file of `configs/tasks/`: data, model, training and budget, with a name and a version. "
        "These pages show the files as they are. A file with a `base` gives only what differs.\n\n"
        + "\n".join(markdown(rows))
        + "\n"
    )


def _labels(protocol: Protocol) -> str:
    first, last = protocol.budget.labeled[0], protocol.budget.labeled[-1]
    return f"{first:,} to {last:,} in {protocol.budget.rounds} rounds"


def _comment(path: Path) -> str:
    """The first line of a file, which says what it is."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else ""


def _protocol_page(folder: Path) -> str:
    files = (
        f"## {path.stem}\n\n```toml\n{path.read_text(encoding='utf-8').strip()}\n```" for path in config_files(folder)
    )
    return "\n\n".join((f"# Protocols: {folder.name}", *files)) + "\n"
