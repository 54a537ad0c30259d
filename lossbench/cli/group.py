"""Groups of commands."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from lossbench.words import suggestion


class Group(TyperGroup):
    """A group of commands. It shows its help where no command is given, and answers a typo with close names."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments; `--help` where there are none."""
        return super().parse_args(ctx, args or ([] if ctx.resilient_parsing else ["--help"]))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first argument names."""
        if args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"no command {args[0]!r}; {suggestion(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


def group(text: str) -> typer.Typer:
    """A group with this help text. Its help is plain: boxes and colors take three times as long to show."""
    return typer.Typer(
        cls=Group, help=text, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=False
    )
