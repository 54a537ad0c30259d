"""Errors in code from outside the repository: one line that says where in which file, not a traceback of Lossbench."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from types import FrameType

from lossbench.errors import LossbenchError

PREFIX = "outside_"
"""How the names of modules begin that are made from files from outside."""
MOST_CHARACTERS = 500
"""Of an error's own message."""


class OutsideError(LossbenchError):
    """Code from outside the repository raised an error. The message is one line: file, line, error, what is wanted."""


@contextmanager
def blaming_file(path: Path, module: str) -> Iterator[None]:
    """Turn every error in the block into an `OutsideError` that names the file, and where in it.

    Args:
        path: of the file whose code the block runs.
        module: name of the module that is made from it.
    """
    try:
        yield
    except OutsideError:
        raise
    except BaseException as error:
        if _passes(error):
            raise
        if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith("<"):
            place = f"{error.filename}, line {error.lineno}"
        else:
            place = place_of(error) or str(path)
        advice = ""
        if isinstance(error, ModuleNotFoundError) and error.name:
            missing = error.name.removeprefix(f"{module}.").partition(".")[0]
            advice = f"; install it, or put {missing}.py beside the file"
        text = f"{place}: {_described(error)}{advice}".replace(f"{module}.", "")
        raise OutsideError(text) from error


@contextmanager
def blaming_outside() -> Iterator[None]:
    """Turn errors that come from, or through, code from outside into an `OutsideError`; others pass.

    A `LossbenchError` passes, too: it is one line already.
    """
    try:
        yield
    except LossbenchError:
        raise
    except BaseException as error:
        place = place_of(error)
        if place is None or _passes(error):
            raise
        msg = f"{place}: {_described(error)}"
        raise OutsideError(msg) from error


@contextmanager
def blaming_config(path: Path) -> Iterator[None]:
    """Turn errors in the block into an `OutsideError` that names a config, which is code; a `LossbenchError` passes.

    Args:
        path: of the config that the block runs, or builds a model of.
    """
    try:
        yield
    except LossbenchError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:
        lines = [
            line
            for frame, line in traceback.walk_tb(error.__traceback__)
            if Path(frame.f_code.co_filename) == path.absolute()
        ]
        if isinstance(error, SyntaxError) and error.lineno:
            lines = [error.lineno]
        place = f"{path}, line {lines[-1]}" if lines else str(path)
        msg = f"{place}: {_described(_missing_module(error) or error)}; correct this config, or name another"
        raise OutsideError(msg) from error


def _missing_module(error: BaseException | None) -> ModuleNotFoundError | None:
    """The missing package because of which an error was raised; None if there is none. mmengine hides it behind its own error."""
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__ or error.__context__
    return error


def _passes(error: BaseException) -> bool:
    """Whether it is the handler of a signal that stops this process, and not the code that was running."""
    if isinstance(error, Exception | SystemExit | GeneratorExit):
        return False
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return isinstance(error, KeyboardInterrupt) or not _is_outside(frame)


def _is_outside(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(PREFIX)


def place_of(error: BaseException) -> str | None:
    """The last line of outside code that the error came through; None if it came through none."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if _is_outside(frame):
            function = frame.f_code.co_name
            return f"{frame.f_code.co_filename}, line {line}" + ("" if function == "<module>" else f", in {function}")
    return None


def _text(error: BaseException) -> str:
    """An error's own message; empty where its class cannot give one."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - code from outside
        return ""


def _described(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, SystemExit):
        return f"it ends the program (SystemExit: {error.code})"
    text = error.msg if isinstance(error, SyntaxError) else " ".join(_text(error).split())
    if isinstance(error, AttributeError) and error.name and error.obj is not None:
        with suppress(Exception):  # an object from outside may not list its names
            text += f"; did you mean {get_close_matches(error.name, dir(error.obj), 1)[0]}?"
    return f"{name}: {text[:MOST_CHARACTERS]}" if text else name
