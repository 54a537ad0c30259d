"""The base class of errors that a user can correct. Every package may import this module; it imports nothing."""


class LossbenchError(ValueError):
    """An error in input or environment. The message is one line: what is wrong, where, and what to do."""
