"""Files of strategies and of kinds of task: faults while they load, and while they select."""

from __future__ import annotations

from collections.abc import Iterator

from hostile_cases.case import Case, files
from hostile_cases.protocols import SWEEP, VALID

WORDS = ("run", "sweeps/tiny.toml", "--strategy", "mine.py", "--workers", "1", "--out", "{}/out")
MEASURE = ("measure", "selection", "tasks/tiny.toml", "--strategy", "mine.py", "--pool", "20", "--out", "{}/out")
LEAVES = ("out/cache/*/*", "out/cache/*/*/*", "out/cache/*", "out/models/*", "out/records/*/*.json", "mine.py")
"""Whole files: scenes, models, and records of finished rounds."""
HEAD = """
from typing import ClassVar
import numpy as np, torch
from strategies import Context, Selection, Strategy
"""
CLASS = """
class Mine(Strategy):
    name: ClassVar[str] = {name!r}
    paper: ClassVar[str] = "none"

    def select(self, ctx: Context) -> Selection:
        {body}
"""
BAD_NAMES = (
    "",
    "Mine",
    "mi ne",
    "../mine",
    "random",
    "full-pool",
    "m" * 61,
    "mi\nne",
    "\uff4dine",
    "-mine",
    "mine.py",
    1,
)
LOADING = {
    "a syntax error": ("def f(:\n", ("mine.py", "line 1")),
    "an indentation error": ("class A:\npass\n", ("mine.py", "line 2")),
    "a missing package": ("import no_such_package\n", ("mine.py", "no_such_package")),
    "a relative import": ("from . import other\n", ("mine.py", "import")),
    "a missing sibling": ("from missing_sibling import x\n", ("mine.py", "missing_sibling")),
    "a missing name": ("from strategies import NoSuch\n", ("mine.py", "NoSuch")),
    "an exception": ("raise RuntimeError('sorry')\n", ("mine.py", "sorry")),
    "an exception of two lines": ("raise RuntimeError('first\\nsecond')\n", ("mine.py", "first second")),
    "an exception without words": ("raise RuntimeError\n", ("mine.py", "RuntimeError")),
    "a division by zero": ("1 / 0\n", ("mine.py", "division")),
    "an unknown name": ("nowhere\n", ("mine.py", "nowhere")),
    "sys.exit": ("import sys; sys.exit(0)\n", ("mine.py", "exit")),
    "sys.exit with words": ("import sys; sys.exit('bye')\n", ("mine.py", "exit")),
    "endless recursion": ("def f(): f()\nf()\n", ("mine.py", "recursion")),
    "deep brackets": ("(" * 9999 + ")" * 9999, ("mine.py",)),
    "a NUL byte": ("x = 1\0\n", ("mine.py", "null")),
    "binary": (bytes(range(128, 256)), ("mine.py",)),
    "UTF-16": ((HEAD + CLASS).encode("utf-16"), ("mine.py",)),
    "an unknown encoding": ("# coding: no-such\n", ("mine.py", "encoding")),
    "nothing": ("", ("mine.py", "0 strateg")),
    "no strategy": ("class A: ...\n", ("mine.py", "0 strateg")),
    "a strategy without select": (HEAD + "class A(Strategy):\n    name: ClassVar[str] = 'a'\n", ("mine.py",)),
    "a strategy without name": (HEAD + "class A(Strategy):\n    def select(self, ctx): ...\n", ("mine.py", "name")),
    "two strategies": (
        HEAD + CLASS.format(name="a", body="...") + CLASS.replace("Mine", "B").format(name="b", body="..."),
        ("mine.py", "2 strateg"),
    ),
    "a bad field": (HEAD + "class A(Strategy):\n    size: NoSuch = 1\n    def select(self, ctx): ...\n", ("mine.py",)),
    "a field without default": (
        HEAD + CLASS.format(name="mine", body="...") + "\n    size: int\n",
        ("size",),
    ),
    "a default that does not fit": (
        HEAD
        + "from pydantic import Field\n"
        + CLASS.format(name="mine", body="...")
        + "\n    model_config = {'validate_default': True}\n    size: int = Field(0, ge=1)\n",
        ("size",),
    ),
}
SELECTING: dict[str, tuple[str, tuple[str, ...]]] = {
    "an exception": ("raise RuntimeError('sorry')", ("mine.py", "line 11", "sorry")),
    "an exception of two lines": ("raise ValueError('first\\nsecond')", ("mine.py", "first second")),
    "a KeyError": ("return {}['no-key']", ("mine.py", "no-key")),
    "a StopIteration": ("return next(iter(()))", ("mine.py", "StopIteration")),
    "an OSError": ("open('/no/such/file')", ("mine.py", "no/such/file")),
    "a MemoryError": ("raise MemoryError", ("mine.py", "MemoryError")),
    "a large allocation": ("return torch.zeros(10**15)", ("mine.py", "memory")),
    "endless recursion": ("return self.select(ctx)", ("mine.py", "recursion")),
    "an assertion": ("assert False", ("mine.py", "AssertionError")),
    "not implemented": ("raise NotImplementedError", ("mine.py", "NotImplementedError")),
    "a Lossbench error": ("from strategies import SelectionError; raise SelectionError('sorry')", ("sorry",)),
    "a pydantic error": ("return Mine(no_such=1)", ("mine.py", "no_such")),
    "sys.exit(0)": ("import sys; sys.exit(0)", ("mine.py", "exit")),
    "sys.exit with words": ("import sys; sys.exit('bye')", ("mine.py", "exit")),
    "quit()": ("raise SystemExit", ("mine.py", "exit")),
    "an attribute that is not there": ("return ctx.no_such", ("mine.py", "no_such")),
    "labels of candidates": ("return ctx.oracle.losses(ctx.candidates)", ("mine.py",)),
    "a change of itself": ("self.size = 3", ("mine.py",)),
    "nothing": ("pass", ("mine", "Selection")),
    "a list": ("return ctx.candidates[:ctx.budget].tolist()", ("mine", "Selection")),
    "an array": ("return ctx.candidates[:ctx.budget]", ("mine", "Selection")),
    "a tensor": ("return torch.from_numpy(ctx.candidates[:ctx.budget])", ("mine", "Selection")),
    "a tuple": ("return tuple(ctx.candidates[:ctx.budget])", ("mine", "Selection")),
    "a text": ("return 'all'", ("mine", "Selection")),
    "a class": ("return Selection", ("mine", "Selection")),
    "a generator": ("return (each for each in ctx.candidates)", ("mine", "Selection")),
    "ids that are None": ("return Selection(None)", ("mine", "ids")),
    "ids that are text": ("return Selection(list('abcdef'))", ("mine", "ids")),
    "ids that are objects": ("return Selection([object()] * 6)", ("mine", "ids")),
    "ids that are floats": ("return Selection(ctx.candidates[:ctx.budget].astype(float))", ("mine", "ids")),
    "ids that are bools": ("return Selection(np.ones(6, bool))", ("mine", "ids")),
    "ids in two dimensions": ("return Selection(ctx.candidates[:ctx.budget][None])", ("mine", "ids")),
    "ragged ids": ("return Selection([[1, 2], [3]])", ("mine", "ids")),
    "no ids": ("return Selection(ctx.candidates[:0])", ("mine", "0 ids")),
    "too few ids": ("return Selection(ctx.candidates[:ctx.budget - 1])", ("mine", "5 ids")),
    "too many ids": ("return Selection(ctx.candidates[:ctx.budget + 1])", ("mine", "7 ids")),
    "an id twice": ("return Selection(np.repeat(ctx.candidates[:3], 2))", ("mine", "twice")),
    "labeled ids": ("return Selection(ctx.labeled[:ctx.budget])", ("mine", "labeled")),
    "indices in place of ids": ("return Selection(np.setdiff1d(np.arange(60), ctx.candidates)[:6])", ("mine",)),
    "foreign ids": ("return Selection(np.arange(100, 106))", ("mine", "no candidates")),
    "negative ids": ("return Selection(-ctx.candidates[:ctx.budget] - 1)", ("mine", "no candidates")),
    "huge ids": ("return Selection(np.arange(6, dtype=np.uint64) + np.uint64(2**63 + 9))", ("mine", "no candidates")),
    "scores that are NaN": (
        "return Selection(ctx.candidates[:ctx.budget], torch.full((ctx.budget,), float('nan')))",
        ("mine", "score"),
    ),
    "scores of another number": ("return Selection(ctx.candidates[:ctx.budget], torch.zeros(2))", ("mine", "score")),
    "scores that are text": ("return Selection(ctx.candidates[:ctx.budget], 'high')", ("mine", "score")),
    "scores in two dimensions": (
        "return Selection(ctx.candidates[:ctx.budget], torch.zeros(ctx.budget, 2))",
        ("mine", "score"),
    ),
}
PROPERTIES = {
    "committee_size": ("0", "-1", "1.5", "'three'", "1 / 0"),
    "dropout": ("-0.5", "1.5", "'high'", "1 / 0"),
}
KINDS = {
    "a syntax error": ("def f(:\n", ("kind.py", "line 1")),
    "a missing package": ("import no_such_package\n", ("kind.py", "no_such_package")),
    "an exception": ("raise RuntimeError('sorry')\n", ("kind.py", "sorry")),
    "sys.exit": ("import sys; sys.exit(0)\n", ("kind.py", "exit")),
    "nothing": ("", ("kind.py", "0 kinds")),
    "no kind": ("class A: ...\n", ("kind.py", "0 kinds")),
    "a NUL byte": ("x = 1\0\n", ("kind.py", "null")),
    "binary": (bytes(range(128, 256)), ("kind.py",)),
}


def strategy(name: str, code: str | bytes, wanted: tuple[str, ...], words: tuple[str, ...] = WORDS) -> Case:
    """A strategy's file that is run on the tiny protocol."""
    contents = {"tasks/tiny.toml": VALID, "sweeps/tiny.toml": SWEEP, "mine.py": code}
    return Case(name, files(contents), words, wanted, may_leave=LEAVES, warm=True)


def loading() -> Iterator[Case]:
    """Files that cannot be loaded."""
    for name, (code, wanted) in LOADING.items():
        yield strategy(f"a strategy file with {name}", code, wanted)
    for name in BAD_NAMES:
        code = HEAD + CLASS.format(name=name, body="...")
        yield strategy(f"a strategy called {name!r:.20}", code, ("mine.py", "Mine"))
    for name in ("a syntax error", "a missing package", "an exception", "nothing", "sys.exit"):
        code, wanted = LOADING[name]
        create = ("submission", "create", "mine.py", "--submissions", "{}/submissions", "--out", "{}/out")
        yield strategy(f"submission create, {name}", code, wanted, create)
        if name != "nothing":
            yield strategy(f"measure selection, {name}", code, wanted, MEASURE)
    for name, (code, wanted) in KINDS.items():
        contents = {"tasks/tiny.toml": VALID, "kind.py": code}
        words = ("list", "protocols", "tasks", "--kind-file", "kind.py")
        yield Case(f"a kind file with {name}", files(contents), words, wanted)


def selecting() -> Iterator[Case]:
    """Faults of `select`, which a run meets after its first training."""
    for name, (body, wanted) in SELECTING.items():
        yield strategy(f"select: {name}", HEAD + CLASS.format(name="mine", body=body), wanted)
    for attribute, values in PROPERTIES.items():
        for value in values:
            code = HEAD + CLASS.format(name="mine", body="return ctx.pick(torch.arange(6))")
            code += f"\n    @property\n    def {attribute}(self):\n        return {value}\n"
            yield strategy(f"{attribute} = {value}", code, ("mine",))
    code = HEAD + CLASS.format(name="mine", body="return ctx.pick(torch.arange(6))")
    code += "\n    def auxiliary(self, objective):\n        return {}\n"
    for value in ("3", "'module'", "1 / 0", "torch.nn.Linear(2, 2)"):
        yield strategy(f"auxiliary = {value}", code.format(value), ("mine",))


CASES = (*loading(), *selecting())
