"""Files of submitted strategies, and a submission with honest records."""

from __future__ import annotations

HEAD = """
from typing import ClassVar
from strategies import Context, Selection, Strategy

class Last(Strategy):
    name: ClassVar[str] = "last"
    paper: ClassVar[str] = "none"
"""


def strategy_file(select: str, *, before: str = "", members: str = "") -> str:
    """A strategy of the name `last`.

    Args:
        select: statements of its `select`.
        before: statements at the top of the file.
        members: further members of the class.
    """
    body = "\n".join(f"        {line}" for line in select.splitlines())
    more = "\n".join(f"    {line}" for line in members.splitlines())
    return f"{before}\n{HEAD}{more}\n    def select(self, ctx: Context) -> Selection:\n{body}\n"


HONEST = "return Selection(ctx.candidates[-ctx.budget:])"
