"""Times of imports, calls and columns, beside what Python and NumPy take for the same in the same run.

    python crates/flopmeter-py/benches/calls.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from typing import Any

import numpy

import flopmeter

ROWS = 2_000_000


def seeds_estimate(model: str, input_tokens: int, output_tokens: int) -> tuple[float, float]:
    """The seed's formula, as plain Python has it: the name looked up exactly, then by the known name that it begins with."""
    billions = flopmeter.MODEL_PARAMS_B.get(model)
    if billions is None:
        for name, size in flopmeter.MODEL_PARAMS_B.items():
            if model.startswith(name):
                billions = size
                break
        else:
            return 0.0, 0.0
    tokens = input_tokens + output_tokens
    per_token = 2.0 * billions * 1e9
    return per_token * tokens, per_token if tokens else 0.0


def main() -> None:
    bare = median(lambda: run("pass"))
    loaded = median(lambda: run("import flopmeter"))
    line("import flopmeter, above bare Python", 1e3 * (loaded - bare), "ms")
    each("the seed in Python, exact name", lambda: seeds_estimate("qwen3:8b", 1000, 100))
    each("estimate_flops, exact name", lambda: flopmeter.estimate_flops("qwen3:8b", 1000, 100))
    each("the seed in Python, longer name", lambda: seeds_estimate("mixtral-8x7b-instruct", 1000, 100))
    each("estimate_flops, longer name", lambda: flopmeter.estimate_flops("mixtral-8x7b-instruct", 1000, 100))
    llama = flopmeter.Model("meta-llama/Llama-3.1-8B")
    each("Model.flops, Llama-3.1-8B", lambda: llama.flops(1024, 256))
    five: dict[str, Any] = {"prompt": 1024, "generate": 256, "cached": 512, "batch": 8, "convention": "model"}
    each("Model.flops, five keywords", lambda: llama.flops(**five))
    deepseek = flopmeter.Model("deepseek-ai/DeepSeek-V3")
    each("Model.flops, DeepSeek-V3", lambda: deepseek.flops(1024, 256))
    random = numpy.random.default_rng(1)
    prompt, generate = (random.integers(1, most, ROWS).astype(numpy.uint64) for most in (8192, 1024))
    cached = prompt // 2
    columns("2·P·T in NumPy, floats", lambda: 2 * 8.0e9 * (prompt + generate))
    columns("exact in NumPy, 64 bits", lambda: by_numpy(prompt, generate, cached))
    same = flopmeter.flops_array(llama, prompt, generate, cached) == by_numpy(prompt, generate, cached)
    assert same.all(), "two ways to count differ"
    for name in ("meta-llama/Llama-3.1-8B", "google/gemma-3-27b-it", "deepseek-ai/DeepSeek-V3"):
        model = flopmeter.Model(name)
        columns(f"flops_array, {name}", lambda: flopmeter.flops_array(model, prompt, generate, cached))


def by_numpy(prompt: Any, generate: Any, cached: Any) -> Any:
    """Llama-3.1-8B, whose tokens see all before them: 2·6,979,321,856 a token through the layers, 2·4096·128256 a sampled
    one through the head, 4·32·128·32 a pair."""
    new = prompt - cached + generate - 1
    end = prompt + generate - 1
    pairs = (end * (end + 1) - cached * (cached + 1)) // 2
    return 2 * 6_979_321_856 * new + 2 * 4096 * 128_256 * generate + 4 * 32 * 128 * 32 * pairs


def run(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def median(of: Callable[[], float]) -> float:
    return statistics.median(of() for _ in range(21))


def each(name: str, call: Callable[[], object]) -> None:
    timer = timeit.Timer(call)
    count, _ = timer.autorange()
    line(name, 1e9 * min(timer.repeat(5, count)) / count, "ns")


def columns(name: str, call: Callable[[], object]) -> None:
    seconds = min(timeit.repeat(call, repeat=5, number=1))
    line(name, ROWS / seconds / 1e6, "M rows/s")


def line(name: str, value: float, unit: str) -> None:
    print(f"{name:45} {value:10.1f} {unit}")


if __name__ == "__main__":
    main()
