"""Whether configs that run as Python code are loaded from anywhere, or from the packages that ship them alone."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from tasks.errors import DataError

_trusted = False


def trust_configs(wanted: bool) -> None:
    """Load configs from anywhere in this process, or again from the packages alone."""
    global _trusted  # noqa: PLW0603 - of the process, as the loaded kinds of task are
    _trusted = wanted


def configs_trusted() -> bool:
    """Whether configs are loaded from anywhere."""
    return _trusted


def trusted_config(given: str, shipped: Path, package: str) -> Path:
    """The file of a config that runs as Python code: one that a package ships, or any other if configs are trusted.

    Args:
        given: path of the config, relative to those that are shipped, or of any file.
        shipped: the folder of the package's configs.
        package: its name.

    Raises:
        DataError: there is no such file, or it lies elsewhere and such configs are not trusted.
    """
    path, inside = Path(given), Path(os.path.normpath(shipped / given))
    if configs_trusted() and path.is_file():
        return path
    if inside.is_file() and inside.is_relative_to(os.path.normpath(shipped)):
        return inside
    if path.is_file():
        msg = f"{path}: an {package} config runs as Python code, and {package} does not ship this one; give --trust-config if you trust it"
        raise DataError(msg)
    names = [str(each.relative_to(shipped)) for each in shipped.rglob(f"*{path.suffix or '.py'}")]
    close = ", ".join(difflib.get_close_matches(given, names, 3)) or f"see {shipped}"
    msg = f"no {package} config {given!r}: no such file, and {package} ships none; close names: {close}"
    raise DataError(msg)
