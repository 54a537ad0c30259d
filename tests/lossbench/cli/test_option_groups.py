"""Tests of options that a command takes as one parameter."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from lossbench.cli.option_groups import with_option_groups

Width = Annotated[int, typer.Option("--width", help="Of the box.")]
Names = Annotated[list[str] | None, typer.Option("--name", help="Repeatable.")]


class Box(NamedTuple):
    """Options: a box."""

    width: Width = 3
    name: Names = None


class Labels(NamedTuple):
    """Options: another group, with a field that Box has."""

    name: Names = None


def said(*words: str) -> str:
    app = typer.Typer()

    @app.command()
    @with_option_groups
    def show(place: str, *, box: Box, needed: Annotated[int, typer.Option("--needed")], last: bool = False) -> None:
        typer.echo(f"{place} {box!r} {needed} {last}")

    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_a_command_gets_its_options_as_tuples() -> None:
    words = ("here", "--needed", "1", "--width", "5", "--name", "a", "--name", "b", "--last")
    assert said(*words) == "here Box(width=5, name=['a', 'b']) 1 True"


def test_options_that_are_not_given_have_the_defaults_of_the_tuple() -> None:
    assert said("here", "--needed", "1") == "here Box(width=3, name=None) 1 False"


def test_the_help_shows_options_where_their_group_stands() -> None:
    text = said("--help")
    places = [text.index(option) for option in ("--width", "--name", "--needed", "--last")]
    assert places == sorted(places)
    assert "--box" not in text


def test_an_option_that_two_groups_have_is_refused() -> None:
    def twice(box: Box, labels: Labels) -> None: ...

    with pytest.raises(TypeError, match="twice has two options name"):
        with_option_groups(twice)
