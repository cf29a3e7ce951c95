"""Stubs say what is there, and the examples are typed by them."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import flopmeter

PACKAGE = Path(__file__).parents[2]
# Spark is too heavy to be installed for a test.
HEAVY = [] if importlib.util.find_spec("pyspark") else ["spark_function"]
EXAMPLES = sorted(path for path in (PACKAGE / "examples").glob("*.py") if path.stem not in HEAVY)
MYPY = [sys.executable, "-m", "mypy", "--config-file", "../../pyproject.toml", "--cache-dir", os.devnull]
STUBTEST = [sys.executable, "-m", "mypy.stubtest", "flopmeter._flopmeter", "--ignore-disjoint-bases"]


def clean(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stubs_are_what_is_there() -> None:
    clean(STUBTEST)


def test_the_stubs_keywords_are_taken() -> None:
    """A keyword that is None is one that is not given."""
    stub = ast.parse((PACKAGE / "python/flopmeter/_flopmeter.pyi").read_text())
    keywords = {
        node.name: [item.target.id for item in node.body if isinstance(item, ast.AnnAssign)]  # type: ignore[union-attr]
        for node in stub.body
        if isinstance(node, ast.ClassDef) and node.name in ("_Sizes", "_Work", "_Request", "_Step")
    }
    assert [len(names) for names in keywords.values()] == [10, 5, 3, 12]
    model = flopmeter.Model("llama3.1:8b")
    sizes, work, request, step = (dict.fromkeys(names) for names in keywords.values())
    named = dict.fromkeys(("cached", "batch"))
    assert model.bytes(8, 2, **named, **work).read == model.bytes(8, 2).read  # type: ignore[arg-type]
    named["convention"] = None
    assert model.flops(8, 2, **named, **work, **request, **sizes).total == model.flops(8, 2).total  # type: ignore[arg-type]
    assert model.train_step(8, 2, **step, **sizes).total == model.train_step(8, 2).total  # type: ignore[arg-type]


def test_mypy() -> None:
    clean([*MYPY, "-p", "flopmeter"])
    clean([*MYPY, *map(str, EXAMPLES)])


def test_pyright() -> None:
    clean([sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *map(str, EXAMPLES)])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(path: Path) -> None:
    clean([sys.executable, str(path)])


def modules() -> list[str]:
    found = pkgutil.walk_packages(flopmeter.__path__, "flopmeter.")
    return ["flopmeter", *(it.name for it in found if "integrations." not in it.name)]


@pytest.mark.parametrize("name", modules())
def test_docs_run(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
