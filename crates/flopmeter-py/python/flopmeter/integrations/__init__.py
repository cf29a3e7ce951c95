"""Adapters for other people's training loops, each of which imports its own when it is imported itself.

What they have in common is here: what a module tells of the products that it runs, of what in it is trained, and of what
it computes again.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .. import errors
from ..errors import refusal

__all__: list[str] = []


def dtype_of(module: Any, autocast: str | None) -> str:
    """The dtype of a module's products: that of autocast, else of its weights.

    Products of 32-bit floats run in what PyTorch was told to take for them.
    """
    if autocast is not None:
        return autocast
    dtype = str(next(module.parameters()).dtype)
    if dtype != "torch.float32":
        return dtype
    torch = import_module("torch")
    return {"highest": "fp32", "high": "tf32", "medium": "bf16"}[str(torch.get_float32_matmul_precision())]


def all_trained(module: Any) -> None:
    """Refuses a module of which some is frozen, and whose gradients cost nothing: its configuration does not say so."""
    frozen = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
    if frozen:
        fact = f"{len(frozen)} parameters, such as `{frozen[0]}`, are not trained"
        hints = ["give `freeze`, how many of the lowest layers are not", "or give `model`, with its adapter"]
        raise refusal(errors.WorkloadError, type(module).__name__, fact, *hints)


def recomputed(module: Any) -> str | None:
    """What of a module of transformers is computed again on the way back, as `Model.train_step` takes it; None is nothing."""
    parts = [part for part in module.modules() if hasattr(part, "gradient_checkpointing")]
    layers = [part for part in parts if any(kind.__name__ == "GradientCheckpointingLayer" for kind in type(part).__mro__)]
    again = sum(bool(part.gradient_checkpointing) for part in layers or parts)
    if again == 0:
        return None
    # Every n-th layer may be, and where it is not all of them it is so many.
    return str(again) if again < len(layers) else "full"
