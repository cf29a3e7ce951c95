"""What results look like: repr, HTML, dicts that equal the command's JSON, plots."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flopmeter
from flopmeter import Device, Model

H100 = "NVIDIA H100 80GB HBM3"


@pytest.fixture(scope="module")
def measured() -> flopmeter.Utilization:
    return flopmeter.utilization(Model("meta-llama/Llama-3.1-8B"), H100, 2.1, prompt=1024, generate=256)


def test_ratios_are_those_of_the_readme(measured: flopmeter.Utilization) -> None:
    # 18.551 TFLOP ÷ (2.1 s · 989.5 TFLOP/s)
    assert measured.mfu == pytest.approx(18_551_238_819_840 / (2.1 * 989.5e12), rel=1e-12)
    assert measured.bound == "memory"
    assert measured.fits is True
    assert measured.flops == 18_551_238_819_840


def test_a_dict_has_the_contracts_keys(measured: flopmeter.Utilization) -> None:
    facts = measured.to_dict()
    assert facts["model"]["parameters"]["total"] == 8_030_261_248
    assert facts["flops"]["total"] == sum(facts["flops"]["components"].values())
    assert facts["utilization"]["mfu"] == measured.mfu
    assert facts["device"]["id"] == "nvidia-h100-sxm-80gb"
    assert json.loads(json.dumps(facts)) == facts


def test_every_result_is_shown(measured: flopmeter.Utilization) -> None:
    model = Model("meta-llama/Llama-3.1-8B")
    step = model.train_step(8192, 32, recompute="full")
    results = [model.flops(1024, 256), measured, step, step.utilization(H100, 5.9, devices=8), measured.explain()]
    for result in results:
        html = result._repr_html_()
        assert html.startswith("<div") and html.count("<table>") == html.count("</table>") > 0
        assert repr(result) and "\x1b" not in str(result)
        assert isinstance(result.to_dict(), dict)
    assert "18,551,238,819,840" in str(results[0])
    assert "13,492,863,098,683,392" in str(step)  # As the README's session has it.


def said(result: Any) -> list[str]:
    """Every note of a result, wherever it has them."""

    def of(fact: Any) -> list[str]:
        if isinstance(fact, dict):
            return [*fact.get("notes", []), *(note for value in fact.values() for note in of(value))]
        return [note for value in fact for note in of(value)] if isinstance(fact, list) else []

    shown = [text for text in str(result).splitlines() if text.startswith("note")]
    return [*getattr(result, "notes", []), *of(result.to_dict()), *shown, result._repr_html_()]


def test_notes_speak_python() -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "vocab_size": 100,
    }
    silent = Model.from_config(config)
    ollama = Model("llama3.1:8b")
    slow = Device.custom({"bf16": 1e12})
    assert any("(see `dtype`)" in note for note in silent.notes)
    assert any("(see `dtype`)" in note for note in ollama.notes)
    results: list[Any] = [
        silent.flops(8),
        silent.flops(8).utilization(slow, 1.0),
        silent.flops(8).explain(),
        silent.train_step(8),
        silent.train_step(8).utilization(slow, 1.0),
        ollama.flops(8, tp=2),
        flopmeter.compare("model", "torch", silent, prompt=8),
        flopmeter.audit([{"model": "llama3.1:8b", "sequence": 8, "batch": row, "mfu": 0.5} for row in range(1, 40)]),
    ]
    assert any("(see `bandwidth`)" in note for note in said(results[1]))
    assert any("is in `rows`" in note for note in said(results[-1]))
    for result in results:
        notes = said(result)
        assert len(notes) > 1
        assert not [note for note in notes if re.search(r"--[a-z]", note)]


def test_no_model_has_a_note_that_names_an_option() -> None:
    rows = (Path(__file__).parents[4] / "crates/flopmeter/data/models.jsonl").read_text(encoding="utf-8").splitlines()
    names = [name for row in map(json.loads, rows) for name in (row["id"], *row.get("ollama", []))]
    assert len(names) > 605
    noted = {note for name in names for note in Model(name).notes}
    assert any("`dtype`" in note for note in noted)
    assert not [note for note in noted if re.search(r"--[a-z]", note)]


def test_an_explanation_has_the_arithmetic() -> None:
    explained = Model("meta-llama/Llama-3.1-8B").explain(1024, 256)
    lines = [line for _, lines in explained.sections for line in lines]
    assert explained.total == 18_551_238_819_840
    assert any("14336" in numbers for _, _, numbers, _ in lines)


def test_plots_are_matplotlibs_or_svg(measured: flopmeter.Utilization, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    figure = measured.plot()
    assert [axis.get_xscale() for axis in figure.axes] == ["log"]
    assert len(Model("llama3.1:8b").flops(100).plot(theme="dark").axes) == 2
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.close("all")
    assert measured.plot() and len(pyplot.get_fignums()) == 1
    # A notebook shows the figure that a cell returns, and every open one besides.
    pyplot.close("all")
    monkeypatch.setattr(pyplot, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    assert measured.plot() and pyplot.get_fignums() == []
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    chart = measured.plot()
    assert isinstance(chart, flopmeter.Chart)
    assert chart._repr_svg_().startswith("<svg")
    assert chart.png()[:4] == b"\x89PNG"
    with pytest.raises(flopmeter.Error, match="light nor dark"):
        measured.plot(theme="blue")


def test_an_import_reads_no_other_library() -> None:
    code = "import sys, flopmeter; print(sorted({'numpy', 'torch', 'pyarrow', 'pandas', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_fork_counts_on() -> None:
    multiprocessing = pytest.importorskip("multiprocessing")
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork here")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        totals = pool.map(_total, [Model("llama3.1:8b")] * 4)
    assert totals == [18_551_238_819_840] * 4


def _total(model: Model) -> int:
    return model.flops(1024, 256).total
