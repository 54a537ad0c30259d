"""Runs a Python module that can open only the files that it needs, where the kernel has Landlock (Linux 5.13 or later).

`python -m lossbench.submissions.confinement MODULE ARGUMENT...`

The module may read the interpreter, its libraries and the code of Lossbench, and read and write its working directory.
All other files cannot be opened: data sets, caches, records, keys of the user. Names and sizes of files stay visible, and
Landlock knows no right to change modes and times, so that a file of the user can be made unreadable or readable by all.
Landlock also keeps it from reading the memory of processes outside. On x86-64 and ARM64 it can make no Unix socket to talk to
services of the machine, as no network namespace covers those with a path. Processes that it starts are bound in the same way.

The limits begin before anything else is imported, because they do not bind threads that are running already.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, equal on all architectures that Python supports (linux/unistd.h)."""
VERSION_FLAG, PATH_BENEATH, NO_NEW_PRIVILEGES, SET_FILTER, FILTER_MODE = 1, 1, 38, 22, 2
"""Constants of linux/landlock.h, linux/prctl.h and linux/seccomp.h."""
EXECUTE, WRITE_FILE, READ_FILE, READ_DIRECTORY, MAKE_SYMBOLIC_LINK, REFER, TRUNCATE, IOCTL = (
    1 << bit for bit in (0, 1, 2, 3, 12, 13, 14, 15)
)
"""Rights of linux/landlock.h; those between bit 3 and 12 make and remove entries of a folder."""
READ = EXECUTE | READ_FILE | READ_DIRECTORY
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL
"""Rights that a single file can have."""
SCOPES = 3
"""No signals to processes outside, and no abstract sockets of theirs."""
SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/sys/devices/system",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/filesystems",
    "/dev/random",
    "/dev/urandom",
    *(
        f"/etc/{name}"
        for name in ("ld.so.cache", "localtime", "passwd", "group", "nsswitch.conf", "mime.types", "fonts")
    ),
)
"""What Python and its libraries read of the system."""
BOARD = tuple(f"leaderboard/{name}" for name in ("__init__.py", "schema", "scoring"))
"""What Lossbench's code imports of the leaderboard, whose folder also holds records and submissions."""
WRITABLE_SYSTEM = ("/proc/self", "/dev/null", "/dev/zero")


class _Machine(NamedTuple):
    """Numbers by which a filter knows a processor and its system calls (linux/audit.h, asm/unistd.h)."""

    architecture: int
    socket: int
    socket_pair: int


MACHINES = {"x86_64": _Machine(0xC000003E, 41, 53), "aarch64": _Machine(0xC00000B7, 198, 199)}
SET_UP_RING, FIRST_X32 = 425, 0x40000000
"""The system call by which rings of `io_uring` begin, which open sockets, too; and where the numbers of x86-64's second table begin."""
UNIX, DATAGRAM, KIND_OF_SOCKET = 1, 2, 0xF
"""AF_UNIX, SOCK_DGRAM, and the bits of a socket's type that are no flags."""
LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
"""Instructions of a filter (linux/bpf_common.h)."""
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16
"""Where they lie in what a filter sees of a system call (linux/seccomp.h)."""
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("then", ctypes.c_uint8),
        ("otherwise", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_version() -> int:
    """The version of the kernel's Landlock; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, _libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION_FLAG)))


def confine(readable: Sequence[Path], writable: Sequence[Path]) -> None:
    """Let this process open only files below these paths. It cannot be undone.

    Args:
        readable: files and folders that it may read; those that do not exist are left out.
        writable: folders in which it may read, write and make files.

    Raises:
        OSError: the kernel refuses; on a kernel without Landlock, always.
    """
    version = landlock_version()
    handled = _rights(version)
    ruleset = _Ruleset(handled, 0, SCOPES if version >= 6 else 0)  # noqa: PLR2004 - scopes came with version 6
    rules = _called("landlock", CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(ctypes.sizeof(ruleset)), 0)
    try:
        for path in readable:
            _allow(rules, path, READ & handled)
        for path in writable:
            _allow(rules, path, handled & ~MAKE_SYMBOLIC_LINK)
        _allow(rules, _packages(), READ_DIRECTORY)  # Python lists it when it looks for a package
        _control("landlock", NO_NEW_PRIVILEGES, 1)
        _called("landlock", RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def without_unix_sockets() -> None:
    """Let this process make no Unix socket; connected pairs of streams stay possible. It cannot be undone.

    Nothing happens on processors whose numbers are not in `MACHINES`. A socket of a pair of datagrams could send to any address.

    Raises:
        OSError: the kernel refuses.
    """
    machine = MACHINES.get(platform.machine())
    if machine is None:
        return
    steps = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (EQUAL, 0, 11, machine.architecture),  # jumps count the steps that are left out: to the refusal
        (LOAD, 0, 0, NUMBER_AT),
        (AT_LEAST, 9, 0, FIRST_X32),
        (EQUAL, 8, 0, SET_UP_RING),
        (EQUAL, 2, 0, machine.socket),
        (EQUAL, 3, 0, machine.socket_pair),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, ARGUMENTS_AT),
        (EQUAL, 3, 4, UNIX),
        (LOAD, 0, 0, ARGUMENTS_AT + 8),
        (AND, 0, 0, KIND_OF_SOCKET),
        (EQUAL, 0, 1, DATAGRAM),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    instructions = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
    program = _Filter(len(steps), instructions)
    _control("seccomp", NO_NEW_PRIVILEGES, 1)
    _control("seccomp", SET_FILTER, FILTER_MODE, ctypes.addressof(program))


def python_files() -> list[Path]:
    """The interpreter, its libraries, and the code of Lossbench; not the records beside it, nor what else lies in a clone."""
    root = _packages()
    folders = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent]
    folders += [Path(each) for each in sys.path if each and Path(each).resolve() != root]
    folders += [root / name for name in ("lossnet", "tasks", "strategies", "lossbench", *BOARD)]
    folders += [Path(each) for each in os.environ.get("LD_LIBRARY_PATH", "").split(":") if each]
    return [*folders, *map(Path, SYSTEM)]


def _packages() -> Path:
    """The folder that holds the packages of Lossbench."""
    return Path(__file__).resolve().parents[2]


def _rights(version: int) -> int:
    """All rights that a version of Landlock knows; a right that is not named here would stay unlimited."""
    known = MAKE_SYMBOLIC_LINK * 2 - 1
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL)):
        known |= right if version >= since else 0
    return known


def _allow(rules: int, path: Path, rights: int) -> None:
    """Add a rule. The path stays open, or the kernel could forget the entry of /proc to which the rule is bound."""
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EACCES}:
            return
        raise
    beneath = _PathBeneath(rights if path.is_dir() else rights & OF_FILES, parent)
    _called(str(path), ADD_RULE, rules, PATH_BENEATH, ctypes.byref(beneath), 0)


def _called(what: str, *arguments: object) -> int:
    """The result of a system call.

    Raises:
        OSError: it failed.
    """
    result = _libc().syscall(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)
    return result


def _control(what: str, *arguments: int) -> None:
    """Call prctl.

    Raises:
        OSError: it failed.
    """
    padded = [*arguments, 0, 0, 0, 0][:5]
    if _libc().prctl(padded[0], *(ctypes.c_ulong(value) for value in padded[1:])):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Confine this process where that is possible, and run a module as the main program."""
    module, *arguments = sys.argv[1:]
    if landlock_version():
        confine(python_files(), [Path.cwd(), *map(Path, WRITABLE_SYSTEM)])
        without_unix_sockets()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
