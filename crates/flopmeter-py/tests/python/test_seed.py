"""The three functions that flopmeter grew from, as the page that describes them has them."""

from __future__ import annotations

import inspect
import sys

import pytest

import flopmeter
from flopmeter import flops


def test_module_stands_in_for_the_seeds() -> None:
    sys.modules["openjarvis.telemetry.flops"] = flops
    try:
        from openjarvis.telemetry.flops import (  # type: ignore[import-not-found]
            GPU_PEAK_TFLOPS_BF16,
            MODEL_PARAMS_B,
            compute_mfu,
            estimate_flops,
            estimate_flops_no_kv_cache,
        )

        # 2 · 8e9 · (100 + 50), and 2 · 8e9 a token.
        assert estimate_flops("qwen3:8b", 100, 50) == (2.4e12, 1.6e10)
        assert estimate_flops(model="qwen3:8b", input_tokens=100, output_tokens=50) == (2.4e12, 1.6e10)
        # 8e9 · 150 · 151, and that ÷ 150.
        assert estimate_flops_no_kv_cache("qwen3:8b", input_tokens=100, output_tokens=50) == (1.812e14, 1.208e12)
        # Half of 989 TFLOP/s for a second, in percent.
        assert compute_mfu(flops=494.5e12, duration_s=1.0, gpu_name="NVIDIA H100 80GB HBM3") == 50.0
        assert compute_mfu(494.5e12, 1.0, "H100", num_gpus=2) == 25.0
        assert isinstance(GPU_PEAK_TFLOPS_BF16, dict) and GPU_PEAK_TFLOPS_BF16["H100"] == 989.0
        assert isinstance(MODEL_PARAMS_B, dict) and MODEL_PARAMS_B["qwen3:8b"] == 8.0
    finally:
        del sys.modules["openjarvis.telemetry.flops"]


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda: flops.estimate_flops("nobody-knows-this", 10, 10), (0.0, 0.0)),
        (lambda: flops.estimate_flops("qwen3:8b", 0, 0), (0.0, 0.0)),
        (lambda: flops.estimate_flops_no_kv_cache("nobody-knows-this", 10, 10), (0.0, 0.0)),
        (lambda: flops.estimate_flops_no_kv_cache("qwen3:8b", 0, 0), (0.0, 0.0)),
        (lambda: flops.compute_mfu(1e12, 1.0, "nobody's GPU"), 0.0),
        (lambda: flops.compute_mfu(1e12, 0.0, "H100"), 0.0),
        (lambda: flops.compute_mfu(1e12, -1.0, "H100"), 0.0),
        (lambda: flops.compute_mfu(1e12, 1.0, "H100", 0), 0.0),
    ],
)
def test_what_is_not_known_is_zero_here_alone(call, answer) -> None:  # type: ignore[no-untyped-def]
    found = call()
    assert found == answer
    assert type(found) is type(answer)


def test_whole_words_and_the_longest_wins() -> None:
    for gpu, tflops in [("NVIDIA L40S", 362.0), ("NVIDIA L4", 121.0), ("A100", 312.0), ("H200", 989.0)]:
        assert flops.compute_mfu(tflops * 1e12, 1.0, gpu) == 100.0
    assert flops.estimate_flops("qwen3:32b", 1, 0)[1] == 6.4e10


def test_names_and_defaults_are_the_seeds() -> None:
    assert list(inspect.signature(flops.estimate_flops).parameters) == ["model", "input_tokens", "output_tokens"]
    mfu = inspect.signature(flops.compute_mfu).parameters
    assert list(mfu) == ["flops", "duration_s", "gpu_name", "num_gpus"]
    assert mfu["num_gpus"].default == 1
    assert flopmeter.estimate_flops is flops.estimate_flops
