"""The command `lossbench`. Heavy imports stand in the commands that need them, so that --help answers at once."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer

from lossbench.cli.commands import data, leaderboard, listing, measure, submission
from lossbench.cli.commands.diagnose import diagnose
from lossbench.cli.commands.pick import EXAMPLES as PICK_EXAMPLES
from lossbench.cli.commands.pick import pick
from lossbench.cli.commands.run import EXAMPLES, run
from lossbench.cli.group import group
from lossbench.cli.output import complain, same_command, say
from lossbench.processes import launched

USER_FAULT = 2
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
RESUMABLE = ({"run"}, {"submission", "create"}, {"pick", "--oracle"})
"""Words of commands that keep the rounds that they have finished."""

app = group(
    "Lossbench: active-learning strategies on classification, detection, pose and segmentation, around one loss module."
)
app.command(epilog=EXAMPLES)(run)
app.command(epilog=PICK_EXAMPLES)(pick)
app.add_typer(listing.app, name="list")
app.add_typer(data.app, name="data")
app.add_typer(measure.app, name="measure")
app.command()(diagnose)
app.add_typer(submission.app, name="submission")
app.add_typer(leaderboard.app, name="leaderboard")


class Stopped(BaseException):
    """Ctrl-C or SIGTERM."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        """Of the signal."""


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"lossbench {version('lossbench')}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Lossbench: active-learning strategies on classification, detection, pose and segmentation, around one loss module."""


def main() -> NoReturn:
    """Run the command of `sys.argv`. What the user can mend ends in one line and the error's exit code, mostly 2."""
    try:
        with _stoppable():
            status = app(prog_name="lossbench", standalone_mode=False) or 0
    except (Stopped, KeyboardInterrupt) as stop:
        complain(how_to_go_on())
        status = 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)
    except Exception as error:
        line = _mendable(error)
        if line is None:
            raise
        complain(line)
        status = getattr(error, "exit_code", USER_FAULT)
    sys.exit(status)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise `Stopped`, whose handling ends workers; a second one ends this process at once."""

    def stop(number: int, _: object) -> NoReturn:
        for signal_number in STOP_SIGNALS:
            signal.signal(signal_number, lambda again, _: os._exit(128 + again))
        raise Stopped(number)

    handlers: dict[signal.Signals, Any] = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield
    except BaseException:
        if launched() is not None:  # torchrun ends all processes when one has failed; the line is said first
            handlers = dict.fromkeys(STOP_SIGNALS, signal.SIG_IGN)
        raise
    finally:
        for signal_number, handler in handlers.items():
            signal.signal(signal_number, handler)


def how_to_go_on() -> str:
    """The line about a command that was stopped."""
    words = {word.partition("=")[0] for word in sys.argv[1:]}
    if not any(command <= words for command in RESUMABLE):
        return "stopped"
    return f"stopped; finished rounds are kept. To go on: {same_command()}"


def _mendable(error: Exception) -> str | None:
    """One line on a fault of input or machine; None for a fault of the program."""
    from lossbench.errors import LossbenchError

    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        hint = f" (see `{context.command_path} --help`)" if context else ""
        return f"{error.format_message().rstrip('.')}{hint}"
    faults: tuple[type[Exception], ...] = (LossbenchError, OSError)
    if "torch" in sys.modules:
        from lossnet import TapError

        faults += (TapError,)
    if isinstance(error, OSError) and error.filename is not None:
        return _file_fault(error)
    if isinstance(error, faults):
        return " ".join(str(error).split())
    if shortage := _out_of_memory(error):
        return f"not enough memory: {shortage}; use less of it, or a machine with more"
    return None


def _file_fault(error: OSError) -> str:
    """One line on a file or folder that the system refused, and what to do."""
    remedies = {
        (errno.EACCES, errno.EPERM, errno.EROFS): "choose another place, or change its permissions",
        (errno.ENOTDIR, errno.EEXIST, errno.EISDIR): "choose another place, or move away what is there",
        (errno.ENOSPC, errno.EDQUOT): "make room, or choose another place",
        (errno.ENAMETOOLONG, errno.ELOOP): "choose another name",
    }
    remedy = next((text for numbers, text in remedies.items() if error.errno in numbers), "check the path")
    return f"{os.fsdecode(error.filename)}: {(error.strerror or type(error).__name__).lower()}; {remedy}"


def _out_of_memory(error: Exception) -> str:
    """What could not be allocated, if this is why the error was raised; torch raises a plain RuntimeError."""
    words = " ".join(str(error).split())
    short = ("can't allocate memory", "out of memory", "not enough memory", "Insufficient memory")
    if isinstance(error, MemoryError):
        return words or "an allocation failed"
    named = type(error).__name__ in {"RuntimeError", "OutOfMemoryError", "AcceleratorError", "error"}
    return words if named and any(phrase in words for phrase in short) else ""
