"""PyTorch's FLOP counter on a live module, and flopmeter's count beside it.

::

    from transformers import AutoModelForCausalLM
    import flopmeter

    model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen3-0.6B")
    flopmeter.verify(model, sequence=512)

It is for when two numbers disagree: it says where they do, by component, and why, as far as that can be seen: which
operations ran that the counter has no formula for, how attention and experts were run, what is frozen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from .._flopmeter import Model
from .._meter import model_of
from .components import SCORES
from .inputs import rows_of_tokens, shape_of
from .result import Part, Unseen, Verification
from .run import Run

__all__ = ["Part", "Unseen", "Verification", "verify"]


def verify(
    module: Any,
    inputs: Mapping[str, Any] | None = None,
    *,
    batch: int = 1,
    sequence: int = 128,
    backward: bool = False,
    convention: str = "torch",
    **settings: Any,
) -> Verification:
    """Runs a module of transformers under PyTorch's FLOP counter, and counts its configuration.

    It runs once, where it is and as it is; on the meta device nothing is computed. Without ``inputs``, the keywords of its
    ``forward``, it reads ``batch`` rows of ``sequence`` tokens. With ``backward`` the gradients of the sum of what it
    returns are computed as well, and thrown away. ``settings`` are those of `Model.flops`, such as ``images``, and with
    ``backward`` those of `Model.train_step`, such as ``freeze``.

    By the convention ``"torch"`` both counts are the same integers where attention and experts run as ``eager``.
    """
    torch = _torch()
    base = module.get_base_model() if hasattr(module, "peft_config") else module
    config = getattr(base, "config", None)
    if not isinstance(module, torch.nn.Module) or config is None or not hasattr(config, "to_dict"):
        raise TypeError(f"`module`: is of type {type(module).__name__}; give a module with a configuration of transformers")
    given = rows_of_tokens(torch, base, batch, sequence) if inputs is None else dict(inputs)
    rows, length = shape_of(given)
    model = model_of(base)
    run = Run(module, base, settings)
    run.watched(torch, given, backward)
    ours = _ours(model, run, rows, length, backward, convention, settings)
    counts = run.counts if "forward" not in ours else _by_pass(run.counts)
    ours, counts = _told_apart(ours, counts)
    parts = [
        Part(name, ours.get(name, 0), counts[name], run.why(name, counts[name] - ours.get(name, 0), convention))
        for name in [*ours, *(name for name in counts if name not in ours)]
    ]
    return Verification(
        model=f"{type(base).__name__} ({model.model_type}), batch {rows}, sequence {length}",
        convention=convention,
        parts=tuple(parts),
        unseen=tuple(Unseen(*named, calls) for named, calls in run.unseen.items()),
        attention=run.attention,
        experts=run.experts,
        notes=tuple(run.notes()),
    )


def _ours(
    model: Model, run: Run, rows: int, length: int, backward: bool, convention: str, settings: dict[str, Any]
) -> dict[str, int]:
    """FLOPs by component, and those of the backward pass as a whole."""
    if not backward:
        return _merged(model.flops(length, 1, batch=rows, convention=convention, **settings).components)
    if run.recomputed is not None:
        settings = {"recompute": run.recomputed, **settings}
    if run.is_fused:
        settings = {"flash": True, **settings}
    step = model.train_step(length, rows, convention=convention, **settings)
    back = step.executed - step.forward
    if convention != "torch":
        # A forward pass of training needs the head at every position, that of a request at one.
        return {"forward": step.forward, "backward": back}
    return {**_merged(model.flops(length, 1, batch=rows, convention=convention).components), "backward": back}


def _merged(components: Mapping[str, int]) -> dict[str, int]:
    """Scores and values as one: a fused attention is one operation."""
    merged: Counter[str] = Counter()
    for name, count in components.items():
        merged[SCORES if name in ("attention.scores", "attention.values") else name] += count
    return dict(merged)


def _by_pass(counts: Counter[str]) -> Counter[str]:
    return Counter({"forward": counts.total() - counts["backward"], "backward": counts["backward"]})


def _told_apart(ours: dict[str, int], counts: Counter[str]) -> tuple[dict[str, int], Counter[str]]:
    """Both, with those components as one that differ although their sums do not: names did not tell which is which."""
    names = [*ours, *(name for name in counts if name not in ours)]
    mixed = [name for name in names if ours.get(name, 0) != counts[name] and name != "backward"]
    total = sum(counts[name] for name in mixed)
    if len(mixed) < 2 or total != sum(ours.get(name, 0) for name in mixed):
        return ours, counts
    kept = [name for name in names if name not in mixed]
    one = " + ".join(name for name in mixed if name != "other")
    return (
        {**{name: ours[name] for name in kept if name in ours}, one: total},
        Counter({**{name: counts[name] for name in kept}, one: total}),
    )


def _torch() -> Any:
    try:
        return import_module("torch")
    except ModuleNotFoundError as error:
        raise ImportError("verify runs PyTorch's FLOP counter, and PyTorch is not installed: `pip install torch`") from error
