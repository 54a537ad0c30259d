"""Whether configs that run as Python code are loaded from anywhere, or from the packages that ship them alone."""

from __future__ import annotations

_trusted = False


def trust_configs(wanted: bool) -> None:
    """Load configs from anywhere in this process, or again from the packages alone."""
    global _trusted  # noqa: PLW0603 - of the process, as the loaded kinds of task are
    _trusted = wanted


def configs_trusted() -> bool:
    """Whether configs are loaded from anywhere."""
    return _trusted
