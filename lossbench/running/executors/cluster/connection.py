"""The way to a Ray cluster, and one line where there is none."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from lossbench.config import ConfigError
from lossbench.running.executors.cluster.signals import HeldSignals

AUTO = "auto"
"""Stands for the cluster of this machine, or of the variable RAY_ADDRESS."""
SECONDS_TO_ANSWER = 4.0
"""How long a cluster may take to answer, twice."""


def required() -> None:
    """Check that Ray is installed.

    Raises:
        ConfigError: it is not.
    """
    if find_spec("ray") is None:
        msg = "--cluster needs Ray, which is not installed; `uv sync --extra cluster` installs it"
        raise ConfigError(msg)


@contextmanager
def connected(address: str) -> Iterator[tuple[Any, Callable[[], None]]]:
    """Ray, connected to a cluster while the block runs, and what lets Ctrl-C through, which otherwise waits.

    At the end of the block, what the cluster still does for this process is ended.

    Args:
        address: `auto`, or HOST:PORT.

    Raises:
        ConfigError: nobody answers there, or with another version of Ray or Python, or this machine is no node of it.
    """
    required()
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # else workers are `uv run` in a copy of this folder
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as later versions of Ray do; else it warns
    ray = import_module("ray")
    place = _found(address)
    _check_answer(place, place if address == AUTO else address)
    worker: Any = import_module("ray._private.worker")
    worker.listen_error_messages = lambda *_: None  # prints to standard output
    with HeldSignals() as signals:
        try:
            ray.init(place, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except (RuntimeError, ConnectionError, ValueError, OSError) as error:
            msg = f"--cluster {address}: {_first_sentence(error)}; run the command on a node of the cluster"
            raise ConfigError(msg) from None
        signals.hold()  # Ray has put a handler of its own in place
        try:
            yield ray, signals.let_through
        finally:
            ray.shutdown()


def _found(address: str) -> str:
    """HOST:PORT of an address.

    Raises:
        ConfigError: it is none, or there is no cluster to find.
    """
    services: ModuleType = import_module("ray._private.services")
    wanted = os.environ.get("RAY_ADDRESS", "") if address == AUTO else address
    if "://" in wanted:
        msg = f"--cluster {wanted}: HOST:PORT is wanted; run the command on a node of the cluster, or as a Ray job"
        raise ConfigError(msg)
    try:
        place = services.canonicalize_bootstrap_address(address)
    except (ValueError, ConnectionError, OSError) as error:
        if address != AUTO:
            msg = f"--cluster {address}: auto or HOST:PORT is wanted ({_first_sentence(error)})"
            raise ConfigError(msg) from None
        place = None
    if place is None:
        msg = (
            "--cluster auto: no Ray cluster runs on this machine; start one (`ray start --head`), or give its HOST:PORT"
        )
        raise ConfigError(msg)
    return place


def _check_answer(place: str, given: str) -> None:
    """Check that a cluster answers. Ray itself waits for minutes.

    Args:
        place: HOST:PORT.
        given: the same, as the user wrote it.

    Raises:
        ConfigError: nobody answers, or something else than Ray.
    """
    host, _, port = place.rpartition(":")
    msg = f"no Ray cluster answers at {given}; check the address, and that `ray status` works on this machine"
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
    except (OSError, ValueError, OverflowError):
        raise ConfigError(msg) from None
    answered = threading.Event()
    threading.Thread(target=_ask, args=(place, answered), daemon=True).start()
    if not answered.wait(SECONDS_TO_ANSWER):
        raise ConfigError(msg)


def _ask(place: str, answered: threading.Event) -> None:
    raylet = import_module("ray._raylet")
    try:
        raylet.GcsClient(address=place)
    except import_module("ray.exceptions").RpcError:
        return
    answered.set()


def _first_sentence(error: BaseException) -> str:
    """The start of a message of Ray, which may go over many lines."""
    words = " ".join(str(error).split())
    return words.split(". ", maxsplit=1)[0].rstrip(".") or type(error).__name__
