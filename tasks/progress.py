"""Reports of long preparations, such as what a frozen trunk gives for every image, to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


def report(text: str) -> None:
    """Say what is being prepared, and how far it is, in a few words; nothing happens where nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(text)


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Within the block, reports go to this function."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
