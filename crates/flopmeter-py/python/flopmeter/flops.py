"""Three functions that flopmeter grew from, under their own names and with their own results.

They are OpenJarvis' telemetry module ``flops``, and stand in for it::

    import sys
    import flopmeter

    sys.modules["openjarvis.telemetry.flops"] = flopmeter.flops

An unknown model or GPU gives 0.0, and MFU is in percent. Nothing else in flopmeter answers an unknown with zero.
"""

from ._flopmeter import (
    GPU_PEAK_TFLOPS_BF16,
    MODEL_PARAMS_B,
    compute_mfu,
    estimate_flops,
    estimate_flops_no_kv_cache,
)

__all__ = [
    "GPU_PEAK_TFLOPS_BF16",
    "MODEL_PARAMS_B",
    "compute_mfu",
    "estimate_flops",
    "estimate_flops_no_kv_cache",
]
