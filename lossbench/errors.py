"""The base class of faults that a user can mend. Every package may import it; it imports nothing."""


class LossbenchError(ValueError):
    """A fault of input or of this machine: one line that says what is wrong, where, and what to do."""
