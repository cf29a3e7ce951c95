"""`docs/reference/python.md` is written by this test from stubs and docstrings. A stale page fails; ``UPDATE=1`` rewrites it::

    UPDATE=1 cargo test -p flopmeter-py

Its examples are run as the README's are.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import os
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import flopmeter

PACKAGE = Path(__file__).parents[2]
PAGE = PACKAGE.parents[1] / "docs" / "reference" / "python.md"
WRITTEN = """<!-- Written by crates/flopmeter-py/tests/python/test_reference.py. Do not edit: change what it describes, then
     UPDATE=1 cargo test -p flopmeter-py -->
"""
STUB = ast.parse((PACKAGE / "python/flopmeter/_flopmeter.pyi").read_text(encoding="utf-8"))
STUBS: dict[str, Any] = {it.name: it for it in STUB.body if isinstance(it, ast.FunctionDef | ast.ClassDef)}


def test_the_page_is_what_is_there() -> None:
    text = "\n".join(page()).rstrip() + "\n"
    if os.environ.get("UPDATE") == "1":
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, "docs/reference/python.md is stale (UPDATE=1 rewrites it)"


def page() -> Iterator[str]:
    yield WRITTEN
    yield "# The Python package\n"
    yield from paragraphs(flopmeter)
    public = [name for name in flopmeter.__all__ if callable(getattr(flopmeter, name))]
    classes = [name for name in public if inspect.isclass(getattr(flopmeter, name)) and name != "Error"]
    functions = [name for name in public if not inspect.isclass(getattr(flopmeter, name))]
    yield "## Functions\n"
    for name in functions:
        yield f"### `{name}{signature(name, getattr(flopmeter, name), STUBS.get(name))}`\n"
        yield from paragraphs(getattr(flopmeter, name))
    yield "## Classes\n"
    for name in classes:
        yield from described(name, getattr(flopmeter, name))
    yield "## Keywords\n"
    yield "What a signature takes as `**` of one of these. None is as if it were left out.\n"
    for stub in STUBS.values():
        if isinstance(stub, ast.ClassDef) and stub.name.startswith("_"):
            yield from keywords(stub)
    yield "## Errors\n"
    yield "All are in `flopmeter.errors`, and each is a `flopmeter.Error`, which is a `ValueError`, with `place`, `fact`, `hints`"
    yield "and `candidates`. A value of a type that is never taken is a `TypeError`.\n"
    yield from table(["error", "when"], ([f"`{it}`", doc(getattr(flopmeter.errors, it))] for it in flopmeter.errors.__all__))
    yield "## Tables\n"
    yield "`MODEL_PARAMS_B` and `GPU_PEAK_TFLOPS_BF16` are dicts: the billions of parameters that a name states, and dense BF16"
    yield "peaks in TFLOP/s, as the three functions of `flopmeter.flops` take them."


def described(name: str, kind: type) -> Iterator[str]:
    """A class: what makes it, its properties, its methods."""
    stub = STUBS.get(name)
    yield f"### {name}\n"
    yield from paragraphs(kind)
    stubs = {it.name: it for it in stub.body if isinstance(it, ast.FunctionDef)} if stub else {}
    # A native class has its own in any order.
    own = {it: vars(kind)[it] for it in (stubs or vars(kind)) if not it.startswith("_")}
    if "__new__" in stubs:
        yield f"`{name}{signature(name, kind, stubs['__new__'])}` makes one.\n"
    elif "__init__" in vars(kind) and not dataclasses.is_dataclass(kind):
        yield f"`{name}{signature(name, vars(kind)['__init__'], None)}` makes one.\n"
    # What a dataclass holds has a type, and no value.
    held = {it: of for it, of in getattr(kind, "__annotations__", {}).items() if not it.startswith("_")}
    shown = [[f"`{it}`", f"`{of}`", ""] for it, of in held.items()]
    for it, value in own.items():
        if isinstance(value, property):
            shown.append([f"`{it}`", f"`{value.fget.__annotations__['return']}`", doc(value)])
        elif inspect.isgetsetdescriptor(value):
            shown.append([f"`{it}`", f"`{ast.unparse(stubs[it].returns)}`", doc(value)])
    if shown:
        yield from table(["property", "type", "what it is"], shown)
    for it in own:
        method = getattr(kind, it)
        if inspect.isroutine(method):
            yield f"#### `{it}{signature(it, method, stubs.get(it))}`\n"
            yield from paragraphs(method)


def signature(name: str, function: Any, stub: Any) -> str:
    """What it takes, by its stub, or of what is written in Python as it says itself."""
    if stub is None:
        stub = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    arguments, returns = ast.unparse(stub.args), ast.unparse(stub.returns)
    arguments = re.sub(r"^(self|cls)(, |$)", "", arguments)
    arguments = re.sub(r"Unpack\[(\w+)\]", r"\1", arguments)
    return f"({arguments})" if stub.name in ("__new__", "__init__") else f"({arguments}) -> {returns}"


def keywords(stub: ast.ClassDef) -> Iterator[str]:
    bases = [base.id for base in stub.bases if isinstance(base, ast.Name) and base.id != "TypedDict"]
    of = f" With those of {' and '.join(f'`{base}`' for base in bases)}." if bases else ""
    yield f"### {stub.name}\n"
    yield f"{ast.get_docstring(stub)}{of}\n"
    fields = [it for it in stub.body if isinstance(it, ast.AnnAssign)]
    yield from table(["keyword", "type"], ([f"`{ast.unparse(it.target)}`", f"`{ast.unparse(it.annotation)}`"] for it in fields))


def doc(thing: Any) -> str:
    """A docstring in a line."""
    return " ".join((inspect.getdoc(thing) or "").split())


def paragraphs(thing: Any) -> Iterator[str]:
    """A docstring, its examples in fences."""
    for paragraph in (inspect.getdoc(thing) or "").split("\n\n"):
        if paragraph.startswith(">>>"):
            # An empty line tells the last result from the fence.
            yield f"```python\n{paragraph}\n\n```\n"
        elif paragraph:
            yield f"{paragraph}\n"


def table(names: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    lines = [names, ["---"] * len(names), *rows]
    yield "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in lines) + "\n"


def test_everything_is_described() -> None:
    """Whatever a user can call or read says what it is."""
    for name in flopmeter.__all__:
        thing = getattr(flopmeter, name)
        if callable(thing):
            assert doc(thing), name
        if inspect.isclass(thing) and name in STUBS:
            for it, value in vars(thing).items():
                if not it.startswith("_"):
                    assert doc(value), f"{name}.{it}"
