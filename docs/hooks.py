"""Hooks of mkdocs: pages that are made from the code, when the site is built."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer import Context
from typer.cli import get_docs_for_click
from typer.main import get_command

from lossbench.cli.main import app
from lossbench.publishing.reference import PROTOCOLS, STRATEGIES_FOLDER, reference_pages

COMMANDS = "reference/commands.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the made pages to the navigation, below Reference."""
    pages = reference_pages()
    (reference,) = (each["Reference"] for each in config.nav if "Reference" in each)
    reference.insert(2, {"Commands": COMMANDS})
    for title, folder in (("Strategies", STRATEGIES_FOLDER), ("Protocols", PROTOCOLS)):
        reference.append({title: [path for path in pages if path.startswith(folder)]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages."""
    for path, text in {**reference_pages(), COMMANDS: commands()}.items():
        files.append(File.generated(config, path, content=text))
    return files


def commands() -> str:
    """The help of every command."""
    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=Context(command, info_name="lossbench"), name="lossbench")
    head, *rest = text.split("Examples:\n")
    for part in rest:
        examples, heading, after = part.strip().partition("\n\n\n")
        head += f"Examples:\n\n```bash\n{examples.strip()}\n```\n\n{heading and after.strip()}\n\n"
    return head.replace("# `lossbench`", "# Commands", 1)
