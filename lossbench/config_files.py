"""Task protocols and sweeps, read from TOML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lossbench.config import EVERY, NAME, ConfigError, Protocol, Sweep, validated
from lossbench.files import LARGEST_TOML, UnfitFileError, merged, parsed_toml, read_regular, shown
from lossbench.paths import shipped
from lossbench.words import suggestion


def read_protocol(reference: Path | str) -> Protocol:
    """Read a task protocol.

    Args:
        reference: the path of a file, or the name of one of Lossbench's protocols, such as `cifar10-mini`.

    Raises:
        ConfigError: the file is missing or invalid.
    """
    path = _find(reference, "tasks")
    table = _read_toml(path)
    if isinstance(base := table.get("base"), str):
        if not re.fullmatch(NAME, base):
            msg = f"{path}: base: String should match pattern '{NAME}' (given: {shown(base)})"
            raise ConfigError(msg)
        if base == path.stem:
            msg = f"{path}: the base {base!r} is the file itself; name another protocol"
            raise ConfigError(msg)
        base_table = _read_toml(protocol_file(_tasks_folder(path), base))
        if "base" in base_table:
            msg = f"{path}: the base {base!r} itself has the base {base_table['base']!r}; use that one as base"
            raise ConfigError(msg)
        if "version" in table:
            msg = f"{path}: a protocol with a base has the version of its base; remove `version`, and rename the file when it changes"
            raise ConfigError(msg)
        table = merged(base_table, table)
    protocol = validated(Protocol, table, path)
    if protocol.name != path.stem:
        msg = f"{path}: the name {protocol.name!r} differs from the file's name {path.stem!r}; make them equal"
        raise ConfigError(msg)
    return protocol


def read_sweep(reference: Path | str) -> tuple[Sweep, tuple[Protocol, ...]]:
    """Read a sweep and its protocols. A protocol's file is read as a sweep of the strategy random under seed 0.

    Args:
        reference: the path of a sweep or a protocol, or the name of one of Lossbench's, such as `quickstart`.

    Raises:
        ConfigError: a file is missing or invalid.
    """
    path = _find(reference, "sweeps", "tasks")
    table = _read_toml(path)
    if table.keys() & {"task", "base"}:
        protocol = read_protocol(path)
        return Sweep(protocols=(protocol.name,), strategies=("random",), seeds=(0,)), (protocol,)
    sweep = validated(Sweep, table, path)
    _check_names(sweep, path)
    return sweep, tuple(_protocol_of(path, name) for name in sweep.protocols)


def _protocol_of(sweep: Path, name: str) -> Protocol:
    """A protocol that a sweep names: in the folder `tasks` beside its folder, beside the sweep itself, or one of Lossbench's."""
    own, file_name = sweep.resolve(), f"{name}.toml"
    places = [*(own.parent.parent / "tasks").rglob(file_name), own.parent / file_name]
    for path in (*places, *shipped("configs/tasks").rglob(file_name)):
        if path.is_file() and path != own:
            return read_protocol(path)
    msg = f"{sweep}: no protocol {name}: neither {file_name} beside it or in ../tasks, nor one that `lossbench list protocols` shows"
    raise ConfigError(msg)


def _check_names(sweep: Sweep, path: Path) -> None:
    """Raise a ConfigError if a sweep has parameters or contrasts of strategies that it does not run."""
    if EVERY in (names := set(sweep.strategies)):
        return
    unused = set(sweep.parameters) - names
    if unused:
        msg = f"{path}: parameters for {min(unused)!r}, which is not one of the sweep's strategies"
        raise ConfigError(msg)
    unknown = {name for pair in sweep.contrasts for name in pair} - names
    if unknown:
        msg = f"{path}: a contrast with {min(unknown)!r}, which is not one of the sweep's strategies"
        raise ConfigError(msg)


def protocol_file(folder: Path, name: str) -> Path:
    """The path of a protocol's file.

    Args:
        folder: searched first, with all folders in it; then Lossbench's protocols are searched.
        name: of the protocol.

    Returns:
        The path of the file; if there is none, the path that it would have in the folder.
    """
    file_name = f"{Path(name).name}.toml"
    paths = [*folder.rglob(file_name), *shipped("configs/tasks").rglob(file_name)]
    return paths[0] if paths else folder / file_name


def config_files(folder: Path) -> list[Path]:
    """All configuration files in a folder and below it, sorted by name."""
    return sorted(folder.rglob("*.toml"), key=lambda path: path.stem)


def _find(reference: Path | str, *folders: str) -> Path:
    """The path of a configuration.

    Args:
        reference: a path, or the name of one of Lossbench's configurations.
        *folders: the folders below Lossbench's `configs` in which to look for a name; the first has precedence.

    Raises:
        ConfigError: Lossbench has no configuration of this name.
    """
    path = Path(reference)
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return path
    known = {file.stem: file for folder in reversed(folders) for file in config_files(shipped(f"configs/{folder}"))}
    if path.name in known:
        return known[path.name]
    msg = f"no configuration {path.name!r} (a file needs its path, such as mine.toml); {suggestion(path.name, known)}"
    raise ConfigError(msg)


def _tasks_folder(path: Path) -> Path:
    """The folder in which to look for the base of a protocol's file: the nearest parent named `tasks`, or its own folder."""
    return next((folder for folder in path.resolve().parents if folder.name == "tasks"), path.parent)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return parsed_toml(read_regular(path, LARGEST_TOML))
    except FileNotFoundError:
        pattern = "**/*.toml" if path.parent.name == "tasks" else "*.toml"  # below may be a whole home directory
        names = ", ".join(sorted(file.stem for file in path.parent.glob(pattern) if file.name != "pyproject.toml"))
        msg = f"no configuration {path}" + (f"; beside it there are {names}" if names else "")
    except (UnfitFileError, OSError) as error:
        msg = f"{path} cannot be read: {error.strerror if isinstance(error, OSError) else error}"
    except ValueError as error:
        msg = f"{path} is not TOML: {error}"
    raise ConfigError(msg)
