"""What an LLM costs in FLOPs and bytes, exactly, from its config; and how well the hardware does it.

>>> import flopmeter
>>> llama = flopmeter.Model("meta-llama/Llama-3.1-8B")
>>> flops = llama.flops(prompt=1024, generate=256)
>>> flops.total
18551238819840
>>> measured = flops.utilization("NVIDIA H100 80GB HBM3", seconds=2.1)
>>> f"MFU {measured.mfu:.1%}, MBU {measured.mbu:.1%}, bound by {measured.bound}"
'MFU 0.9%, MBU 55.2%, bound by memory'
"""

from __future__ import annotations

from . import errors, flops
from ._flopmeter import (
    Audit,
    Bytes,
    Chart,
    Comparison,
    Convention,
    Device,
    Error,
    Explanation,
    Flops,
    Model,
    Parallelism,
    Parameters,
    Rank,
    StepFlops,
    StepMemory,
    StepRank,
    StepUtilization,
    Sweep,
    Term,
    Transfer,
    Utilization,
    __version__,
    compare,
    conventions,
    devices,
    sweep,
)
from .flops import (
    GPU_PEAK_TFLOPS_BF16,
    MODEL_PARAMS_B,
    compute_mfu,
    estimate_flops,
    estimate_flops_no_kv_cache,
)

# As typing has it, whose import would take longer than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .arrays import flops_array, utilization_array
    from ._audit import audit
    from ._meter import MfuMeter
    from ._usage import Usage, usage
    from ._verify import Verification, verify

__all__ = [
    "Audit",
    "Bytes",
    "Chart",
    "Comparison",
    "Convention",
    "Device",
    "Error",
    "Explanation",
    "Flops",
    "GPU_PEAK_TFLOPS_BF16",
    "MODEL_PARAMS_B",
    "MfuMeter",
    "Model",
    "Parallelism",
    "Parameters",
    "Rank",
    "StepFlops",
    "StepMemory",
    "StepRank",
    "StepUtilization",
    "Sweep",
    "Term",
    "Transfer",
    "Usage",
    "Utilization",
    "Verification",
    "__version__",
    "audit",
    "compare",
    "compute_mfu",
    "conventions",
    "devices",
    "errors",
    "estimate_flops",
    "estimate_flops_no_kv_cache",
    "flops",
    "flops_array",
    "sweep",
    "usage",
    "utilization",
    "utilization_array",
    "verify",
]

# Where the rest is, which is read when it is first asked for: an import costs a training loop nothing.
_LATER = {
    "MfuMeter": "_meter",
    "Usage": "_usage",
    "Verification": "_verify",
    "audit": "_audit",
    "flops_array": "arrays",
    "usage": "_usage",
    "utilization_array": "arrays",
    "verify": "_verify",
}


def utilization(
    model: Model,
    device: Device | str,
    seconds: float,
    prompt: int,
    generate: int = 1,
    *,
    devices: int = 1,
    **request: Any,
) -> Utilization:
    """MFU, MBU and the roofline of a request that some devices took ``seconds`` for.

    The same as ``model.flops(prompt, generate, ...).utilization(device, seconds, devices=devices)``; ``request`` is what
    `Model.flops` takes besides the lengths.
    """
    return model.flops(prompt, generate, **request).utilization(device, seconds, devices=devices)


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_LATER[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
