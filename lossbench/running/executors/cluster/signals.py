"""Ctrl-C and SIGTERM while Ray works."""

from __future__ import annotations

import os
import signal
from types import TracebackType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class HeldSignals:
    """In its block Ctrl-C and SIGTERM wait until they are let through; a second one ends this process at once.

    Calls of Ray turn what a handler raises in them into a `SystemError`.
    """

    def __init__(self) -> None:
        self._arrived: int | None = None
        self._handlers = {number: signal.getsignal(number) for number in SIGNALS}

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if kind is None:
            self.let_through()

    def hold(self) -> None:
        """Hold signals back, also after somebody else has set handlers."""
        for number in SIGNALS:
            signal.signal(number, self._note)

    def let_through(self) -> None:
        """Call the handler that was there before, if a signal has arrived."""
        if self._arrived is not None:
            number, self._arrived = self._arrived, None
            handler = self._handlers[signal.Signals(number)]
            if callable(handler):
                handler(number, None)

    def _note(self, number: int, _: object) -> None:
        if self._arrived is not None:
            os._exit(128 + number)
        self._arrived = number
