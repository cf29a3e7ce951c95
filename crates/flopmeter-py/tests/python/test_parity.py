"""Every golden of the core, through Python, in all digits."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import flopmeter
from flopmeter import Model

GOLDENS = Path(__file__).parents[3] / "flopmeter" / "tests"
CASES = sorted((GOLDENS / "cases").glob("*.toml"))
RECORDED = sorted(
    path for path in (GOLDENS / "recorded").glob("*.json") if path.stem not in ("parameters", "mappings")
)
TRAINED = json.loads((GOLDENS / "recorded" / "training" / "steps.json").read_text())


def numbers(value: Any) -> Any:
    """Infinities and NaN, as the recordings write them, for JSON has no form for them."""
    if isinstance(value, dict):
        if set(value) == {"__float__"}:
            return float(value["__float__"])
        return {key: numbers(item) for key, item in value.items()}
    return [numbers(item) for item in value] if isinstance(value, list) else value


def test_the_goldens_are_there() -> None:
    assert len(CASES) > 70
    assert len(RECORDED) > 500


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_cases_by_hand(path: Path, tmp_path: Path) -> None:
    case = tomllib.loads(path.read_text())
    expected = case["expect"]
    options: dict[str, Any] = {}
    if "adapter" in case:
        (tmp_path / "adapter_config.json").write_text(json.dumps(case["adapter"]))
        options["adapter"] = tmp_path
    if "config" in case:
        model = Model.from_config(case["config"], **options)
    else:
        model = Model(case["model"], **options)
    work = case["workload"]
    request: dict[str, Any] = {
        "sequences": [
            (it["prompt"], it["generate"], it.get("cached", 0), it.get("count", 1)) for it in work["sequences"]
        ],
        "kv_cache": work.get("kv_cache", True),
        "decoder_prompt": work.get("decoder_prompt"),
        "images": work.get("images", []),
        "audio": work.get("audio", []),
    }
    counted = {**request, "convention": case["convention"]}
    if "draft" in case:
        draft = case["draft"]
        counted |= {
            "draft": Model(draft["model"]),
            "draft_tokens": draft["tokens"],
            "acceptance": draft["acceptance"],
        }
    flops = model.flops(**counted)
    found = {"total": flops.total, "prefill": flops.prefill, "decode": flops.decode, **flops.components}
    assert {name: found.get(name, 0) for name in expected.get("flops", {})} == expected.get("flops", {})
    if "parameters" in expected:
        assert model.parameters.total == expected["parameters"]
    bytes_ = model.bytes(**request).to_dict()
    for name, value in expected.get("bytes", {}).items():
        assert bytes_[name] == value, name
    if "utilization" in expected:
        holds(flops, expected["utilization"], model)
    if "speculation" in expected:
        spent = flops.to_dict()["speculation"]
        both = {"steps": spent["steps"], "drafted": spent["drafted_tokens"], **spent["flops"]}
        both |= {f"decode_{way}": spent["bytes"]["decode"][way] for way in ("read", "written")}
        for name, value in expected["speculation"].items():
            assert both[name] == pytest.approx(value, rel=1e-12) if isinstance(value, float) else both[name] == value


def holds(flops: flopmeter.Flops, expected: dict[str, Any], model: Model) -> None:
    dtype = flops.utilization("NVIDIA H100 80GB HBM3", 1.0).to_dict()["device"]["dtype"]
    device = flopmeter.Device.custom({dtype: expected["peak"]}, expected["bandwidth"])
    measured = flops.utilization(device, expected["seconds"], devices=expected["devices"])
    for name in ("mfu", "mbu", "ideal_seconds"):
        if name in expected:
            assert getattr(measured, name) == pytest.approx(expected[name], rel=1e-12), name
    if "bound" in expected:
        assert measured.bound == expected["bound"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recordings_of_pytorchs_counter(path: Path) -> None:
    recording = numbers(json.loads(path.read_text()))
    model = Model.from_config(recording["config"])
    for run in recording["runs"]:
        source = run.get("source")
        for step in run["passes"]:
            past, new, batch = step["past"], step["new"], run["batch"]
            counted = []
            # An encoder has run before its decoder's first pass, and a request begins with it.
            if past == 0 or source is None:
                request = (past + new, 1, past, batch) if source is None else (source, 1, 0, batch)
                prompt = None if source is None else past + new
                flops = model.flops(sequences=[request], decoder_prompt=prompt, convention="torch")
                counted.append((flops.prefill, flops.components))
            if new == 1 and past > 0:
                # The one decode step after a prompt that is wholly cached.
                request = (past, 2, past, batch) if source is None else (source, 2, 0, batch)
                prompt = None if source is None else past
                flops = model.flops(sequences=[request], decoder_prompt=prompt, convention="torch")
                counted.append((flops.decode, flops.components if source is None else None))
            for total, components in counted:
                assert total == step["total"], step
                if components is not None and "components" in step:
                    found = {name: components.get(name, 0) for name in step["components"]}
                    assert found == step["components"], step


@pytest.mark.parametrize("name", sorted(TRAINED["trained"]))
def test_recordings_of_steps(name: str) -> None:
    run = TRAINED["trained"][name]
    recording = json.loads((GOLDENS / "recorded" / f"{name}.json").read_text())
    model = Model.from_config(numbers(recording["config"]))
    step = {"sequence": run.get("sequence", 23), "batch": 2, "target": run.get("target"), "convention": "torch"}
    try:
        flops = model.train_step(**step)
    except flopmeter.Error:
        return  # The core's test holds which these are.
    assert flops.forward == run["forward"]
    assert flops.input_gradients + flops.weight_gradients == run["backward"]
    assert flops.total == run["forward"] + run["backward"]


def test_the_readmes_request() -> None:
    """The arithmetic is in the margin of `llama-3.1-8b.request-1024-256.toml`."""
    flops = Model("meta-llama/Llama-3.1-8B").flops(prompt=1024, generate=256)
    assert flops.total == 18_551_238_819_840
    assert flops.total == sum(flops.components.values()) == flops.prefill + flops.decode
