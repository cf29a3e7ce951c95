"""A run of a module under PyTorch's counter: what it saw, and what it did not."""

from __future__ import annotations

import inspect
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from ..integrations import recomputed
from .components import component_of, name_of
from .operations import may_multiply

# How attention is run, and what PyTorch's counter makes of it.
ATTENTION = {
    "eager": "two batched products of whole score matrices",
    "sdpa": "fused, by a formula of whole score matrices, whatever the mask leaves out",
    "flex_attention": "fused, by a formula of whole score matrices, whatever the mask leaves out",
}


class Run:
    """What PyTorch's counter saw of a run, and what it did not."""

    def __init__(self, module: Any, base: Any, settings: Mapping[str, Any]) -> None:
        self.module = module
        self.counts: Counter[str] = Counter()
        self.unseen: Counter[tuple[str, str]] = Counter()
        self.attention: str | None = getattr(base.config, "_attn_implementation", None)
        self.experts: str | None = getattr(base.config, "_experts_implementation", None)
        self.recomputed = recomputed(base) if base.training else None
        self.is_adapted = base is not module
        self.is_frozen = "freeze" not in settings and any(not it.requires_grad for it in module.parameters())
        self.is_backward = False
        # Whether attention computes its scores again on the way back.
        self.is_fused = False
        head = base.get_output_embeddings() if hasattr(base, "get_output_embeddings") else None
        self.has_head = head is not None
        names = [(path, name_of(path, part, head)) for path, part in module.named_modules()]
        # All of an encoder that a decoder attends to is one component; in other models it is what layers stand in.
        has_decoder = getattr(base.config, "is_encoder_decoder", False)
        self.names = {path: "layers" if name == "encoder" and not has_decoder else name for path, name in names}

    def watched(self, torch: Any, given: dict[str, Any], backward: bool) -> None:
        """Runs the module once, and leaves gradients and random states as they were."""
        counting = import_module("torch.utils.flop_counter").FlopCounterMode
        # Without it a kernel that has no formula does not run at all.
        skipping = "skip_unsupported" in inspect.signature(counting).parameters
        counter = counting(display=False, **({"skip_unsupported": True} if skipping else {}))
        gradients = [(parameter, parameter.grad) for parameter in self.module.parameters()]
        devices = {parameter.device for parameter, _ in gradients if parameter.device.type == "cuda"}
        with warnings.catch_warnings(), torch.random.fork_rng(devices=devices), torch.set_grad_enabled(backward):
            warnings.simplefilter("ignore")
            try:
                # Those that are there would be added to, in place.
                self.module.zero_grad(set_to_none=True)
                with counter, self._watching(counter):
                    output = self.module(**given)
                    if backward:
                        self.is_backward = True
                        loss: Any = sum(tensor.float().sum() for tensor in _differentiable(torch, output))
                        loss.backward()
            finally:
                for parameter, gradient in gradients:
                    parameter.grad = gradient
        assert self.counts.total() == counter.get_total_flops()
        for kernel, calls in getattr(counter, "get_unsupported_ops", Counter)().items():
            self.unseen[(kernel, "other")] += calls

    def _watching(self, counter: Any) -> Any:
        """A mode inside the counter's, which sees an operation first, and what the counter adds for it."""

        def dispatched(_mode: Any, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            before = counter.get_total_flops()
            result = operation(*args, **(kwargs or {}))
            self._saw(str(operation), args, counter.get_total_flops() - before, counter.mod_tracker.parents)
            return result

        mode = import_module("torch.utils._python_dispatch").TorchDispatchMode
        members = {"__torch_dispatch__": dispatched, "supports_higher_order_operators": True}
        return type("Watching", (mode,), members)()

    def _saw(self, operation: str, args: Any, flops: int, parents: Iterable[str]) -> None:
        library, _, overloaded = operation.partition(".")
        kind = overloaded.partition(".")[0]
        # The longest path is the innermost module; it begins with the class of the outermost.
        path = max(parents, key=lambda name: name.count(".")).split(".")[1:]
        names = [self.names.get(".".join(path[: end + 1]), part) for end, part in enumerate(path)]
        # Autograd tells well what belongs to which module on the way forward only.
        component = "backward" if self.is_backward else component_of(names, kind)
        self.is_fused |= self.is_backward and "attention" in kind and flops > 0
        if flops:
            self.counts[component] += flops
        elif may_multiply(library, kind, args):
            self.unseen[(f"{library}.{kind}", component)] += 1

    def why(self, component: str, difference: int, convention: str) -> str | None:
        """Why the counts of a component differ."""
        if difference == 0:
            return None
        if convention != "torch":
            return f"`{convention}` is another way of counting; PyTorch's counter is `torch`"
        unseen = [name for name, place in self.unseen if place == component]
        if unseen and difference < 0:
            return f"no formula for {', '.join(f'`{name}`' for name in unseen)}"
        if component == "head" and not self.has_head:
            return "the module has no output head"
        if self.is_adapted:
            return "adapters run as well, and the configuration is that of the model without"
        if component == "backward" and self.recomputed is not None:
            return "checkpointed layers are computed again only as far as a gradient asks"
        if component == "backward" and self.is_frozen:
            return "some parameters are frozen; `freeze` says how many layers are"
        if difference < 0:
            return "seen by neither: a kernel that is launched past PyTorch's dispatcher, or a fault to report"
        return "not explained; please report it"

    def notes(self) -> Iterable[str]:
        """What to know of the counts beside the differences."""
        if self.attention is not None:
            unknown = "an implementation of its own; what of it the counter sees is what is above"
            yield f"attention ran as `{self.attention}`: {ATTENTION.get(self.attention, unknown)}"
        if self.experts is not None and "moe.experts" in {*self.counts, *(place for _, place in self.unseen)}:
            yield f"experts ran as `{self.experts}`"
        for (name, component), calls in self.unseen.items():
            yield f"`{name}` ran {calls} times in {component}, and PyTorch's counter has no formula for it"


def _differentiable(torch: Any, output: Any) -> list[Any]:
    """The tensors that a module returned and that have a gradient."""
    values = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else [output]
    return [value for value in values if isinstance(value, torch.Tensor) and value.requires_grad]
