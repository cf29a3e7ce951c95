"""Bad input gets the core's text, in Python's exceptions."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

import flopmeter
from flopmeter import Device, Model, errors

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 100,
    "torch_dtype": "bfloat16",
}


@pytest.fixture
def llama() -> Model:
    return Model.from_config(LLAMA)


def test_every_kind_is_an_error_and_a_value_error() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__]
    assert len(kinds) == 22
    for kind in kinds:
        assert issubclass(kind, flopmeter.Error) and issubclass(kind, ValueError)
        assert kind.__doc__


def test_place_fact_and_hints_stand_by_themselves() -> None:
    with pytest.raises(errors.ConfigError) as caught:
        Model.from_config({**LLAMA, "hidden_size": None, "num_attention_heads": 0})
    error = caught.value
    assert error.place and error.fact and isinstance(error.hints, tuple)
    assert str(error).startswith(f"{error.place}: {error.fact}")


def test_an_ambiguous_device_lists_its_candidates() -> None:
    with pytest.raises(errors.AmbiguousError) as caught:
        Device("H100")
    assert any("nvidia-h100-sxm-80gb" in candidate for candidate in caught.value.candidates)


def test_the_texts_speak_python(llama: Model) -> None:
    def text(call: Callable[[], object]) -> str:
        with pytest.raises(flopmeter.Error) as caught:
            call()
        error = caught.value
        assert not any("--" in part for part in (str(error), error.place, error.fact, *error.hints))
        return str(error)

    assert text(lambda: llama.train_step(8, accumulate=0)).startswith("`accumulate`: is 0")
    assert "give one with `adapter`" in text(lambda: Model("gpt2", merged=True))
    assert text(lambda: llama.flops(8, tp=2).utilization("t4", 1.0, devices=3)).startswith("`devices`: is 3")
    assert "`Device.custom({" in text(lambda: Device("nobody's GPU"))
    assert "`flopmeter.conventions()`" in text(lambda: llama.flops(8, convention="lightning"))
    assert text(lambda: flopmeter.sweep(llama, 8, best="mfu")).startswith("`device`: is missing")


def test_python_has_a_word_for_each_that_a_shared_text_says() -> None:
    crates = Path(__file__).parents[3]
    known = re.findall(r'\(\s*"`?(--[a-z-]+|flopmeter [a-z]+)', (crates / "flopmeter-py/src/words.rs").read_text(encoding="utf-8"))
    # Those of another program, and what Python never asks for.
    others = {"--revision", "--include", "--all", "--explain"}
    for crate in ("flopmeter", "flopmeter-report", "flopmeter-source"):
        for path in (crates / crate / "src").rglob("*.rs"):
            lines = path.read_text(encoding="utf-8").partition("#[cfg(test)]")[0].splitlines()
            for line in lines:
                if not line.lstrip().startswith("//"):
                    for said in re.findall(r"--[a-z][a-z-]+|(?<=`)flopmeter [a-z]+(?=`)", line):
                        assert said in known or said in others, f"{path}: {line}"


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (errors.ModelError, lambda: Model("nobody-knows-this-model")),
        (errors.ArchitectureError, lambda: Model.from_config({**LLAMA, "model_type": "lama"})),
        (errors.DeviceError, lambda: Device("NVIDIA H1000")),
        (errors.ConventionError, lambda: Model.from_config(LLAMA).flops(1, convention="palms")),
        (errors.DtypeError, lambda: Model.from_config(LLAMA, dtype="b16")),
        (errors.WorkloadError, lambda: Model.from_config(LLAMA).flops(8, cached=9)),
        (errors.WorkloadError, lambda: Model.from_config(LLAMA).flops(-1)),
        (errors.WorkloadError, lambda: Model.from_config(LLAMA).flops(2**64)),
        (errors.WorkloadError, lambda: Model.from_config(LLAMA).flops(8, batch=-3)),
        (errors.CountOverflowError, lambda: Model.from_config(LLAMA).flops(2**64 - 1, batch=2**64 - 1)),
        (errors.MeasurementError, lambda: Model.from_config(LLAMA).flops(8).utilization("NVIDIA A100-SXM4-80GB", 0.0)),
        (errors.MeasurementError, lambda: Model.from_config(LLAMA).flops(8).utilization("NVIDIA L4", float("nan"))),
        (errors.PeakError, lambda: Device("NVIDIA L4").peak("fp4")),
        (TypeError, lambda: Model.from_config(LLAMA).flops(8.0)),
        (TypeError, lambda: Model.from_config(LLAMA).flops("8")),
        (TypeError, lambda: Model.from_config(LLAMA).flops(True)),
        (TypeError, lambda: Model.from_config(LLAMA).flops()),
        (TypeError, lambda: Model.from_config(LLAMA).flops(8, sequences=[(8, 1)])),
        (TypeError, lambda: Model.from_config(LLAMA).flops(8, promt=9)),
        (TypeError, lambda: Model.from_config(LLAMA).flops(8, kv_cache="no")),
        (TypeError, lambda: Model.from_config(LLAMA).flops(8, tp=2, sp=2)),
        (TypeError, lambda: Model.from_config(LLAMA).train_step(8, flash="False")),
        (TypeError, lambda: Model.from_config(LLAMA).flops(8).plot(8)),
        (TypeError, lambda: Model.from_config(LLAMA).flops(8).plot([8.0])),
        (errors.WorkloadError, lambda: Model.from_config(LLAMA).flops(8).plot([-8])),
        (errors.WorkloadError, lambda: Model.from_config(LLAMA).flops(8).plot([])),
        (errors.WorkloadError, lambda: Model.from_config(LLAMA).flops(8).roofline("NVIDIA L4").plot([])),
        (errors.WorkloadError, lambda: Model.from_config(LLAMA).train_step(packed=[])),
        (errors.ParallelismError, lambda: Model.from_config(LLAMA).train_step(8, zero=4)),
        (errors.ParallelismError, lambda: Model.from_config(LLAMA).train_step(8, tp=3)),
        (TypeError, lambda: Model.from_config(object())),
        (TypeError, lambda: Model.from_config([1, 2])),
        (TypeError, lambda: Model.from_config(LLAMA).train_step()),
        (TypeError, lambda: Model.from_config(LLAMA).flops(8).utilization(7, 1.0)),
    ],
)
def test_bad_input(kind, call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value)


def test_the_texts_name_the_argument(llama: Model) -> None:
    with pytest.raises(errors.WorkloadError, match="`prompt`: is -1, and at least 0 is counted"):
        llama.flops(-1)
    with pytest.raises(errors.WorkloadError, match="`cached`: is more than 18446744073709551615"):
        llama.flops(8, cached=2**64)
    with pytest.raises(TypeError, match="`generate`: is of type float"):
        llama.flops(8, 1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`kv_cache`: is of type str; give True or False"):
        llama.flops(8, kv_cache="no")  # type: ignore[call-overload]
    with pytest.raises(errors.WorkloadError, match="`lengths`: is -8, and at least 0 is counted"):
        llama.flops(8).plot([-8])
    with pytest.raises(errors.WorkloadError, match="packed: has no document"):
        llama.train_step(packed=[])


@pytest.mark.parametrize(
    ("call", "keyword", "meant"),
    [
        (lambda llama: llama.flops(promt=8), "promt", "prompt"),
        (lambda llama: llama.flops(8, 1, cashed=4), "cashed", "cached"),
        (lambda llama: llama.explain(8, conventions="torch"), "conventions", "convention"),
        (lambda llama: llama.bytes(8, batches=2), "batches", "batch"),
        (lambda llama: llama.bytes(8, convention="torch"), "convention", None),
        (lambda llama: llama.train_step(8, recompte="full"), "recompte", "recompute"),
        (lambda llama: llama.train_step(8, generate=3), "generate", None),
        (lambda llama: flopmeter.utilization(llama, "NVIDIA L4", 1.0, 8, cache=3), "cache", "cached"),
    ],
)
def test_an_unknown_keyword_is_named(llama: Model, call, keyword: str, meant: str | None) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TypeError) as caught:
        call(llama)
    offered = f", did you mean '{meant}'?" if meant else ""
    assert str(caught.value) == f"unexpected keyword argument '{keyword}'{offered}"


def test_a_value_of_another_type_names_its_keyword(llama: Model) -> None:
    for keywords in ({"images": [(3,)]}, {"audio": ["x"]}, {"sequences": [7]}, {"sequences": 7}, {"convention": 1}):
        lengths = {} if "sequences" in keywords else {"prompt": 8}
        with pytest.raises(TypeError, match=f"`{next(iter(keywords))}`: "):
            llama.flops(**lengths, **keywords)  # type: ignore[arg-type]
    with pytest.raises(errors.WorkloadError, match="`width`: is -1"):
        llama.flops(8, images=[(-1, 2)])


def test_numpys_integers_are_integers(llama: Model) -> None:
    assert llama.flops(numpy.int32(8), numpy.uint64(2)).total == llama.flops(8, 2).total


def test_counts_are_of_any_size(llama: Model) -> None:
    # 2^40 tokens, whose pairs alone are 2^79: scores and values take 2·4·16 FLOPs a pair each, in 2 layers.
    flops = llama.flops(2**40)
    pairs = 2**40 * (2**40 + 1) // 2
    assert flops.components["attention.scores"] == 2 * 4 * 16 * 2 * pairs > 2**80


def test_results_do_not_change(llama: Model) -> None:
    flops = llama.flops(8)
    with pytest.raises(AttributeError):
        flops.total = 1  # type: ignore[misc]
    flops.components["mlp"] = 0
    assert flops.components["mlp"] > 0


def test_a_model_goes_to_another_process() -> None:
    for model in (Model("llama3.1:8b", dtype="fp8"), Model.from_config(LLAMA)):
        again = pickle.loads(pickle.dumps(model))
        assert again.flops(100, 10).total == model.flops(100, 10).total
        assert again.bytes(100).weights == model.bytes(100).weights


def test_a_device_goes_to_another_process() -> None:
    listed, custom = Device("NVIDIA H100 80GB HBM3"), Device.custom({"bf16": 1e12, "fp8": 2e12}, 3e11, 2**40)
    for device in (listed, custom):
        again = pickle.loads(pickle.dumps(device))
        assert again == device
        assert (again.id, again.peaks, again.bandwidth) == (device.id, device.peaks, device.bandwidth)
        assert again.memory_bytes == device.memory_bytes


def test_an_error_comes_back_from_another_process() -> None:
    with pytest.raises(errors.AmbiguousError) as caught:
        Device("H100")
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is errors.AmbiguousError and str(again) == str(caught.value)
    for part in ("place", "fact", "hints", "candidates"):
        assert getattr(again, part) == getattr(caught.value, part)
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert pickle.loads(pickle.dumps(kind)) is kind
