"""A sweep's rows are what single requests and steps are, and what hand and data sheet say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pandas
import polars
import pyarrow
import pytest

import flopmeter
from flopmeter import Model, errors

from test_errors import LLAMA

L40S = "NVIDIA L40S"
# One request of Llama 3.1 8B: 1024 tokens, 256 generated. By hand in the core's cases.
REQUEST = 18_551_238_819_840


def test_rows_are_every_combination_in_order() -> None:
    swept = flopmeter.sweep("llama3.1:8b", [512, 1024], 256, batch=range(1, 4))
    assert len(swept) == 6
    assert swept["prompt"] == [512] * 3 + [1024] * 3
    assert swept["batch"] == [1, 2, 3] * 2
    assert swept["flops"][3:] == [REQUEST, 2 * REQUEST, 3 * REQUEST]
    model = Model("llama3.1:8b")
    for row in zip(*(swept[name] for name in ("prompt", "batch", "flops", "weights_bytes", "memory_bytes")), strict=True):
        prompt, batch, flops, weights, memory = row
        one = model.flops(prompt, 256, batch=batch)
        assert flops == one.total and weights == one.bytes.weights
        assert memory == one.bytes.weights + one.bytes.kv_cache
    # No device is known, and so no time.
    assert swept["seconds"] == swept["mfu"] == swept["fits"] == [None] * 6


def test_numbers_are_given_in_several_ways() -> None:
    model = Model.from_config(LLAMA)
    for batch in ("1..4x2", [1, 2, 4], (1, 2, 4), numpy.array([1, 2, 4])):
        assert flopmeter.sweep(model, 10, batch=batch)["batch"] == [1, 2, 4]  # type: ignore[arg-type]
    assert flopmeter.sweep(model, range(10, 0, -5))["prompt"] == [10, 5]
    assert flopmeter.sweep(model, numpy.int64(7))["prompt"] == [7]
    # A range is not written out.
    with pytest.raises(errors.WorkloadError, match="at most"):
        flopmeter.sweep(model, range(0, 2**63))
    with pytest.raises(errors.WorkloadError, match="at most 1000000 are held"):
        flopmeter.sweep(model, range(1_000_001))


def test_devices_make_times(llama: Model = Model("llama3.1:8b")) -> None:
    swept = flopmeter.sweep(llama, 1024, 256, device=[L40S, flopmeter.Device("NVIDIA H100 80GB HBM3")])
    assert swept["device"] == ["nvidia-l40s-48gb", "nvidia-h100-sxm-80gb"]
    for name, seconds, mfu in zip(swept["device"], swept["seconds"], swept["mfu"], strict=True):
        ideal = llama.flops(1024, 256).roofline(name).ideal_seconds
        assert seconds == pytest.approx(ideal, rel=1e-12)
        assert mfu == pytest.approx(REQUEST / (ideal * flopmeter.Device(name).peak("bf16")), rel=1e-12)
    own = flopmeter.Device.custom({"bf16": 1e12}, 1e12, 10**12)
    # Every token of the answer reads all weights; the prompt is bound by compute.
    assert flopmeter.sweep(llama, 1024, 1, device=own)["prefill_seconds"] == [llama.flops(1024).total / 1e12]
    described = flopmeter.sweep(llama, 1024, 1, peak={"bf16": 1e12}, bandwidth=1e12)
    assert described["prefill_seconds"] == [llama.flops(1024).total / 1e12]


def test_the_best_row_is_chosen_within_limits() -> None:
    swept = flopmeter.sweep(
        "llama3.1:8b", 1024, 256, batch="1..256x4", device=L40S, best="throughput", limit={"tpot": 0.03}
    )
    keeps = [seconds <= 0.03 for seconds in swept["seconds_per_token"]]
    assert swept["within_limits"] == keeps and 0 < sum(keeps) < len(keeps)
    fitting = zip(swept["tokens_per_second"], swept["fits"], swept["within_limits"], strict=True)
    most = max(rate for rate, fits, within in fitting if fits and within)
    best = swept.best
    assert best is not None and best["tokens_per_second"] == most
    assert swept["best"].index(True) == swept["batch"].index(best["batch"])
    assert flopmeter.sweep("llama3.1:8b", 1024, device=L40S, best="mfu", limit={"latency": 1e-9}).best is None
    assert flopmeter.sweep("llama3.1:8b", 1024, device=L40S).best is None


def test_steps_and_ranks() -> None:
    model = Model.from_config(LLAMA)
    swept = flopmeter.sweep(model, sequence=10, batch=4, recompute=["none", "full"], tp=[1, 2, 3], dp=2, zero=[0, 3])
    assert swept["recompute"] == ["none", "full"] * 4 and swept["tp"] == [1] * 4 + [2] * 4
    # Three ranks cannot share four heads.
    assert any("4 of 12 combinations cannot be cut" in note for note in swept.notes)
    for at, (tp, zero, recompute) in enumerate(zip(swept["tp"], swept["zero"], swept["recompute"], strict=True)):
        step = model.train_step(10, 4, recompute=recompute, tp=tp, dp=2, zero=zero)
        (rank,) = step.ranks
        assert swept["flops"][at] == step.total and swept["executed_flops"][at] == step.executed
        assert swept["rank_flops"][at] == rank.executed
        assert swept["memory_bytes"][at] == rank.memory.total
        assert swept["sent_bytes"][at] == sum(it.bytes for it in rank.sent)


def test_of_an_adapted_model_the_adapter_is_trained(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]})
    )
    adapted = Model("llama3.1:8b", adapter=tmp_path)
    swept = flopmeter.sweep(adapted, sequence=[512, 1024], batch=2)
    steps = [adapted.train_step(sequence=length, batch=2) for length in (512, 1024)]
    assert swept["flops"] == [step.total for step in steps]
    # Gradients of weights are the adapter's alone: 32 layers of two of rank 8, 4096 + 4096 and 4096 + 1024 wide, in 16 bits.
    assert swept["gradients_bytes"] == [32 * 8 * (4096 + 4096 + 4096 + 1024) * 2] * 2
    assert swept["flops"][1] < flopmeter.sweep("llama3.1:8b", sequence=1024, batch=2)["flops"][0]


def test_conventions_go_side_by_side() -> None:
    swept = flopmeter.sweep("llama3.1:8b", sequence=8192, convention="all")
    model = Model("llama3.1:8b")
    steps = [it.id for it in flopmeter.conventions() if it.steps]
    assert set(swept["convention"]) <= set(steps) and len(swept) > 10
    for name, flops in zip(swept["convention"], swept["flops"], strict=True):
        assert model.train_step(8192, convention=name).total == flops


def test_frames_take_it_by_arrow() -> None:
    swept = flopmeter.sweep("llama3.1:8b", [1024, 2048], 256, device=L40S)
    columns = swept.to_dict()
    assert list(columns) == swept.columns
    for table in (pyarrow.table(swept).to_pydict(), polars.DataFrame(swept).to_dict(as_series=False)):
        assert {name: list(values) for name, values in table.items()} == columns
    assert pandas.DataFrame(columns)["flops"].tolist() == columns["flops"]
    schema = pyarrow.table(swept).schema
    assert schema.field("flops").type == pyarrow.uint64() and schema.field("mfu").type == pyarrow.float64()
    # What is not known has a type all the same.
    assert pyarrow.table(flopmeter.sweep("llama3.1:8b", 1024)).schema.field("fits").type == pyarrow.bool_()
    wide = flopmeter.sweep(Model.from_config(LLAMA), 2**40)
    assert wide["flops"][0] > 2**64
    with pytest.raises(errors.CountOverflowError, match="64 bits cannot hold"):
        pyarrow.table(wide)


def test_many_rows_keep_their_order() -> None:
    """More than a block of them, each counted by any thread."""
    model = Model.from_config(LLAMA)
    swept = flopmeter.sweep(model, range(1, 5001), batch=[1, 2], device=[L40S, "NVIDIA L4"])
    assert swept["prompt"] == [prompt for _ in range(2) for prompt in range(1, 5001) for _ in range(2)]
    assert swept["device"] == ["nvidia-l40s-48gb"] * 10_000 + ["nvidia-l4-24gb"] * 10_000
    counted = flopmeter.flops_array(model, numpy.arange(1, 5001), 1)
    assert swept["flops"][:10_000:2] == counted.tolist()


def test_a_sweep_is_shown() -> None:
    swept = flopmeter.sweep("llama3.1:8b", range(1, 101), device=L40S)
    assert repr(swept) == f"<flopmeter.Sweep of 100 rows and {len(swept.columns)} columns>"
    assert swept._repr_html_().count("<tr>") == 21
    # What is the same in all rows stands above them.
    assert "device nvidia-l40s-48gb, dtype bf16, devices 1, generate 1, batch 1; convention model" in str(swept)
    assert "100 rows, the first 20 of them" in str(swept) and "\x1b" not in str(swept)


@pytest.mark.parametrize(
    ("kind", "fact", "keywords"),
    [
        (TypeError, "either `prompt`, for requests, or `sequence`", {}),
        (TypeError, "either `prompt`, for requests, or `sequence`", {"prompt": 1, "sequence": 1}),
        (TypeError, "`zero`: is of steps of training", {"prompt": 1, "zero": 1}),
        (TypeError, "`dcp`: is of requests", {"sequence": 1, "dcp": 1}),
        (TypeError, "`generate`: is of requests", {"sequence": 1, "generate": 1}),
        (TypeError, "'batches', did you mean 'batch'", {"prompt": 1, "batches": 1}),
        (TypeError, "`batch`: is of type float", {"prompt": 1, "batch": [1.5]}),
        (TypeError, "`device`: is of type int", {"prompt": 1, "device": 7}),
        (errors.WorkloadError, "`batch`: has no value", {"prompt": 1, "batch": []}),
        (errors.WorkloadError, "`prompt`: is an empty range", {"prompt": range(3, 3)}),
        (errors.WorkloadError, "`prompt`: is -1", {"prompt": [-1]}),
        (errors.WorkloadError, "`prompt`: not a number", {"prompt": "many"}),
        (errors.WorkloadError, "nothing is called `speed`", {"prompt": 1, "device": L40S, "best": "speed"}),
        (errors.WorkloadError, "above zero", {"prompt": 1, "device": L40S, "limit": {"latency": -1}}),
        (errors.WorkloadError, "is of requests", {"sequence": 1, "device": L40S, "best": "tpot"}),
        (errors.PeakError, "is missing", {"prompt": 1, "best": "mfu"}),
        (errors.DeviceError, "no device", {"prompt": 1, "device": "NVIDIA L400"}),
        (errors.DtypeError, "b16", {"prompt": 1, "dtype": "b16"}),
        (errors.ConventionError, "palms", {"prompt": 1, "convention": "palms"}),
        (errors.ParallelismError, "heads", {"prompt": 1, "tp": 3}),
        (KeyError, "no such column", {"prompt": 1}),
    ],
)
def test_bad_input(kind: type[Exception], fact: str, keywords: dict[str, Any]) -> None:
    with pytest.raises(kind, match=fact):
        flopmeter.sweep(Model.from_config(LLAMA), **keywords)["nothing"]
    with pytest.raises(TypeError, match="`model`: is of type int"):
        flopmeter.sweep(7, 1)  # type: ignore[arg-type]
