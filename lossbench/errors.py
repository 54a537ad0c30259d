"""The base class of errors that a user can correct. Every package may import this module; it imports nothing of them."""

from typing import ClassVar


class LossbenchError(ValueError):
    """An error in input or environment. The message is one line: what is wrong, where, and what to do."""

    exit_code: ClassVar[int] = 2
    """Of the command line."""
