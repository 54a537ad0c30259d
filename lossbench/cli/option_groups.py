"""Options that belong together: a command takes them as one parameter."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_type_hints


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer has to see it: every field of its option groups is an option of its own.

    An option group is a parameter whose type is a `NamedTuple`, whose fields are annotated as options. They stand in the
    help where the group stands among the parameters. The command gets the tuple.

    Raises:
        TypeError: two groups, or a group and a parameter, have a name in common.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if isinstance(kind, type) and hasattr(kind, "_fields")}
    options: dict[str, inspect.Parameter] = {}
    for parameter in inspect.signature(command).parameters.values():
        for option in _options(parameter, hints[parameter.name], groups.get(parameter.name)):
            if option.name in options:
                msg = f"{command.__name__} has two options {option.name}"
                raise TypeError(msg)
            options[option.name] = option

    @wraps(command)
    def command_of_options(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field: given.pop(field) for field in group._fields})
        command(**given)

    read_by_typer: Any = command_of_options
    read_by_typer.__signature__ = inspect.Signature(list(options.values()))
    read_by_typer.__annotations__ = {name: option.annotation for name, option in options.items()}
    return command_of_options


def _options(parameter: inspect.Parameter, hint: Any, group: Any) -> list[inspect.Parameter]:
    """The parameters that stand in the place of one; by name alone, so that one without a default may follow others."""
    if group is None:
        return [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint)]
    fields, defaults = get_type_hints(group, include_extras=True), group._field_defaults
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults.get(name, inspect.Parameter.empty),
            annotation=fields[name],
        )
        for name in group._fields
    ]
