"""Conventions: what they are, why two differ, and which of them a published table was made by."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow
import pytest

import flopmeter
from flopmeter import Model, errors

from test_errors import LLAMA

PUBLISHED = Path(__file__).parents[3] / "flopmeter" / "tests" / "published"
TABLES = sorted(PUBLISHED.glob("*.csv"))
# A token takes 6 · 6,607,077,376 for weights and 6 · 32 · 4096 · 4097 for pairs; · 3100 ÷ 312e12 = 42.59 %.
MFU = (6 * 6_607_077_376 + 6 * 32 * 4096 * 4097) * 3100 / 312e12
LLAMA_2: dict[str, Any] = {
    "model": "llama2:7b",
    "seq_len": 4096,
    "devices": 1,
    "peak": 312e12,
    "throughput": 3100,
    "unit": "tokens/s",
}


def test_each_convention_counts_what_it_says() -> None:
    model = Model.from_config(LLAMA)
    conventions = flopmeter.conventions()
    assert conventions[0].id == "model" and len({it.id for it in conventions}) == len(conventions) > 15
    for it in conventions:
        assert it.counts and it.source and str(it) == it.id and it.id in repr(it)
        assert it.to_dict() == {name: getattr(it, name) for name in ("id", "requests", "steps", "counts", "source")}
        for counts, counted in ((it.requests, model.flops), (it.steps, model.train_step)):
            if counts:
                assert counted(8, convention=it.id).convention == it.id
            else:
                with pytest.raises(errors.ConventionError):
                    counted(8, convention=it.id)


def test_all_conventions_are_a_sweep() -> None:
    model = Model.from_config(LLAMA)
    for call in (lambda: model.flops(8, convention="all"), lambda: model.train_step(8, convention="all")):
        with pytest.raises(errors.ConventionError, match="one is taken at a time") as caught:
            call()
        assert "flopmeter.sweep" in caught.value.hints[0]
    swept = flopmeter.sweep(model, 8, 3, convention="all")
    assert len(swept) == len(set(swept["convention"])) > 5
    for name, flops in zip(swept["convention"], swept["flops"], strict=True):
        assert flops == model.flops(8, 3, convention=name).total


def test_a_difference_is_explained_term_by_term() -> None:
    found = flopmeter.compare("megatron", "torchtitan", "meta-llama/Llama-3.1-8B", sequence=8192)
    # Half of the square more, in scores and in values, forward and twice backward: 32 layers 4096 wide.
    square = 3 * 2 * 2 * 32 * 4096 * (8192 * 8192 // 2)
    assert found.terms[0].flops == square == 52_776_558_133_248
    assert "full square" in found.terms[0].counts and "half the square" in found.terms[0].instead_of
    assert sum(term.flops for term in found.terms) == found.difference == found.flops[1] - found.flops[0]
    assert found.conventions == ("megatron", "torchtitan")
    model = Model("meta-llama/Llama-3.1-8B")
    assert found.flops == tuple(model.train_step(8192, convention=name).total for name in found.conventions)
    assert found.ratio == pytest.approx(found.flops[1] / found.flops[0], rel=1e-15)
    assert found.to_dict()["difference"] == found.difference
    assert "+52,776,558,133,248" in str(found) and found._repr_html_().count("<table>") == 2
    assert repr(found.terms[0]).startswith("Term(flops=+52776558133248, counts='the full square")


def test_requests_are_compared_too() -> None:
    model = Model.from_config(LLAMA)
    found = flopmeter.compare("model", "torch", model, prompt=10, generate=3, batch=2)
    assert found.flops == tuple(model.flops(10, 3, batch=2, convention=name).total for name in ("model", "torch"))
    same = flopmeter.compare("model", "model", model, packed=[3, 5])
    assert same.terms == [] and same.difference == 0
    for work in ({}, {"prompt": 1, "sequence": 1}, {"generate": 2}, {"sequence": 1, "cached": 1}, {"packed": [1], "sequence": 1}):
        with pytest.raises(TypeError, match="give `prompt`"):
            flopmeter.compare("model", "torch", model, **work)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="did you mean 'sequence'"):
        flopmeter.compare("model", "torch", model, sequences=1)  # type: ignore[call-arg]
    with pytest.raises(errors.ConventionError):
        flopmeter.compare("model", "torches", model, prompt=1)
    with pytest.raises(errors.ConventionError):
        flopmeter.compare("megatron", "vllm", model, prompt=1)


def test_the_tables_are_there() -> None:
    assert len(TABLES) > 15


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_published_table_is_the_same_by_every_way(path: Path) -> None:
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    audit = flopmeter.audit(path)
    assert len(audit) == len(rows) == sum(audit.verdicts.values())
    for given, found in zip(rows, audit.rows, strict=True):
        if (named := given["convention"]) and not given.get("lacks"):
            # A claim without a time is held against its own TFLOP/s ÷ peak.
            fit = found["division"] if named == "division" else found["figures"][named]
            assert (fit["verdict"] == "reproduces") == (not given.get("why")), (given["row"], fit)
    frame = polars.DataFrame(rows)
    for table in (rows, frame, frame.to_arrow(), pandas.DataFrame(rows), str(path)):
        again = flopmeter.audit(table)
        assert again.verdicts == audit.verdicts and again.conventions == audit.conventions
        assert [{**row, "line": 0} for row in again.rows] == [{**row, "line": 0} for row in audit.rows]


def test_figures_are_numbers_or_text() -> None:
    for claimed in ({"mfu": "42.6 %"}, {"mfu": 0.426}, {"mfu_pct": 42.6}, {"mfu": 0.426, "hfu": None}):
        row = {**LLAMA_2, **claimed}
        # A second row in which something is missing makes floats of a frame's integers.
        rows = [row, {**row, "devices": None}]
        frame = pandas.DataFrame(rows)
        for table in ([row], rows, frame, polars.DataFrame(rows), pyarrow.Table.from_pylist(rows), duckdb.from_df(frame)):
            audit = flopmeter.audit(table)
            assert audit.rows[0]["verdict"] == "reproduces" and "model" in audit.rows[0]["best"], (claimed, type(table))
            assert audit.rows[0]["figures"]["model"]["mfu"] == pytest.approx(MFU, rel=1e-12)
            assert [row["verdict"] for row in audit.rows[1:]] == ["unknown"] * (len(audit) - 1)


def test_an_audit_is_shown() -> None:
    audit = flopmeter.audit([{**LLAMA_2, "mfu": 0.426, "colour": "red"}])
    assert repr(audit) == "<flopmeter.Audit of 1 rows: 1 reproduce, 0 within rounding, 0 differ, 0 unknown>"
    assert "llama2:7b" in str(audit) and "<table>" in audit._repr_html_()
    assert audit.notes == ["columns not read: `colour`"]
    assert audit.to_dict()["verdicts"] == audit.verdicts


@pytest.mark.parametrize(
    ("kind", "fact", "table"),
    [
        (errors.TableError, "names no column", []),
        (errors.TableError, "names no column", [{"colour": "red"}]),
        (errors.TableError, "line 1, column `seq_len`", [{**LLAMA_2, "mfu": 0.4, "seq_len": -4}]),
        (errors.TableError, "no text and no number", pyarrow.table({"model": [{"a": 1}], "seq_len": [1], "mfu": [0.4]})),
        (errors.TableError, "nowhere.csv", "nowhere.csv"),
        (TypeError, "a row of type int", [7]),
        (TypeError, "`table`: is of type int", 7),
    ],
)
def test_bad_tables(kind: type[Exception], fact: str, table: Any) -> None:
    with pytest.raises(kind, match=fact):
        flopmeter.audit(table)
