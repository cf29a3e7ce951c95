"""Which operations are products, by their names."""

from __future__ import annotations

import re
from typing import Any

# Words in the name of an operation that multiplies matrices, and the libraries whose other operations do not.
PRODUCTS = frozenset("mm bmm addmm baddbmm addbmm matmul mv addmv dot linear gemm einsum attn attention lstm gru rnn".split())
LIBRARIES = frozenset("aten prim prims profiler rngprims c10d _c10d_functional higher_order inductor".split())


def may_multiply(library: str, kind: str, args: Any) -> bool:
    """Whether an operation that PyTorch's counter has no formula for may be one of those it counts."""
    tensors = [arg for arg in args if hasattr(arg, "numel")]
    if not tensors or any(tensor.numel() == 0 for tensor in tensors):
        return False
    words = kind.lower().split("_")
    multiplies = any(word in PRODUCTS or re.fullmatch(r"conv(\d+d)?|convolution", word) for word in words)
    is_own = library not in LIBRARIES and sum(tensor.is_floating_point() for tensor in tensors) > 1
    return multiplies or is_own
