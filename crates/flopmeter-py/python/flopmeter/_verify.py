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

import inspect
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from html import escape
from importlib import import_module
from typing import Any

from ._flopmeter import Model
from .integrations import recomputed
from ._meter import model_of

__all__ = ["Part", "Unseen", "Verification", "verify"]


@dataclass(frozen=True)
class Part:
    """A component, as flopmeter and as PyTorch count it, and why the two differ, where they do."""

    component: str
    ours: int
    counted: int
    why: str | None = None

    @property
    def difference(self) -> int:
        """What PyTorch's counter has more, or less where it is negative."""
        return self.counted - self.ours


@dataclass(frozen=True)
class Unseen:
    """An operation that PyTorch's counter has no formula for, though its name is that of a product, or somebody's own."""

    operation: str
    component: str
    calls: int


@dataclass(frozen=True, repr=False)
class Verification:
    """Both counts, by component. ``attention`` and ``experts`` are how transformers ran them."""

    model: str
    convention: str
    parts: tuple[Part, ...]
    unseen: tuple[Unseen, ...]
    attention: str | None
    experts: str | None
    notes: tuple[str, ...]

    @property
    def ours(self) -> int:
        """FLOPs by flopmeter."""
        return sum(part.ours for part in self.parts)

    @property
    def counted(self) -> int:
        """FLOPs by PyTorch's counter."""
        return sum(part.counted for part in self.parts)

    @property
    def difference(self) -> int:
        """What PyTorch's counter has more, or less where it is negative."""
        return self.counted - self.ours

    @property
    def equal(self) -> bool:
        """Whether all components are the same integers."""
        return all(part.difference == 0 for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict."""
        totals = {"ours": self.ours, "counted": self.counted, "difference": self.difference, "equal": self.equal}
        return {**asdict(self), **totals}

    def _table(self) -> list[tuple[str, str, str, str, str]]:
        rows = [("FLOPs", "flopmeter", "PyTorch", "difference", "why")]
        for part in [*self.parts, Part("total", self.ours, self.counted)]:
            difference = f"{part.difference:+,}" if part.difference else "none"
            rows.append((part.component, f"{part.ours:,}", f"{part.counted:,}", difference, part.why or ""))
        return rows

    def __str__(self) -> str:
        rows = self._table()
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        name, *numbers = widths
        lines = [
            "  ".join([row[0].ljust(name), *map(str.rjust, row[1:4], numbers), row[4]]).rstrip() for row in rows
        ]
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([f"{self.model}; convention {self.convention}", "", *lines, *notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self._table())
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        notes = "".join(f"<p>note: {escape(note)}</p>" for note in self.notes)
        caption = escape(f"{self.model}; convention {self.convention}")
        head = head.replace("td>", "th>")
        return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


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
    given = _inputs(torch, base, batch, sequence) if inputs is None else dict(inputs)
    rows, length = _shape(given)
    model = model_of(base)
    run = _Run(module, base, settings)
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
    model: Model, run: _Run, rows: int, length: int, backward: bool, convention: str, settings: dict[str, Any]
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


class _Run:
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
        names = [(path, _name(path, part, head)) for path, part in module.named_modules()]
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
        elif _may_multiply(library, kind, args):
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


SCORES = "attention.scores + attention.values"
# How attention is run, and what PyTorch's counter makes of it.
ATTENTION = {
    "eager": "two batched products of whole score matrices",
    "sdpa": "fused, by a formula of whole score matrices, whatever the mask leaves out",
    "flex_attention": "fused, by a formula of whole score matrices, whatever the mask leaves out",
}
# Names of modules that tell what runs in them: the first that has one in the path is it.
COMPONENTS = {
    "audio": "audio_tower audio_encoder audio_model",
    "vision": "visual vision_tower vision_model vision_encoder image_encoder multi_modal_projector vision_projection embed_vision",
    "encoder": "encoder",
    "head": "lm_head embed_out output_projection cls score classifier qa_outputs pooler predictions generator_predictions",
    "embedding.projections": "project_in project_out per_layer_model_projection per_layer_input_gate per_layer_projection"
    " embed_proj embedding_hidden_mapping_in embeddings_project",
    "connections": "attn_hc ffn_hc hc_head attn_hyper_connection mlp_hyper_connection hyper_connection_mixer",
    "recurrent": "mamba linear_attn mlstm_layer recurrent conv",
    "moe.shared": "shared_expert shared_experts shared_mlp shared_expert_gate",
    "moe.router": "router gate",
    "attention.projections": "self_attn attn attention self_attention self encoder_attn cross_attn SelfAttention EncDecAttention",
    "moe.experts": "experts input_linear output_linear",
    "mlp": "mlp ffn feed_forward fc1 fc2 intermediate output linear DenseReluDense",
}
NAMES = {component: frozenset(names.split()) for component, names in COMPONENTS.items()}
# Parts of the name of a class that tell what is not told by what it is called, and what they tell.
CLASSES = {
    "DeltaAttention": "recurrent",
    "Lightning": "recurrent",
    "RecurrentBlock": "recurrent",
    "RwkvSelfAttention": "recurrent",
    "MultiHeadAttention": "self_attn",
    "TransformerFFN": "mlp",
}
# The same for what is called a mixer.
MIXERS = {"Attention": "self_attn", "MLP": "mlp", "MoE": "moe", "": "recurrent"}
# Words in the name of an operation that multiplies matrices, and the libraries whose other operations do not.
PRODUCTS = frozenset("mm bmm addmm baddbmm addbmm matmul mv addmv dot linear gemm einsum attn attention lstm gru rnn".split())
LIBRARIES = frozenset("aten prim prims profiler rngprims c10d _c10d_functional higher_order inductor".split())


def component_of(names: list[str], operation: str) -> str:
    """The component that an operation belongs to which runs in the last of nested modules."""
    for component, known in NAMES.items():
        if known.isdisjoint(names):
            continue
        if component != "attention.projections":
            return component
        # What attention does itself, beside its linear layers.
        is_own = names[-1] in known | {"indexer"} and operation not in ("mm", "addmm", "linear", "convolution")
        return SCORES if is_own else component
    return "other"


def _may_multiply(library: str, kind: str, args: Any) -> bool:
    tensors = [arg for arg in args if hasattr(arg, "numel")]
    if not tensors or any(tensor.numel() == 0 for tensor in tensors):
        return False
    words = kind.lower().split("_")
    multiplies = any(word in PRODUCTS or re.fullmatch(r"conv(\d+d)?|convolution", word) for word in words)
    is_own = library not in LIBRARIES and sum(tensor.is_floating_point() for tensor in tensors) > 1
    return multiplies or is_own


def _name(path: str, part: Any, head: Any) -> str:
    """What a module is called; the output head, or what its class tells, where that is more."""
    if part is head:
        return "lm_head"
    name = path.rpartition(".")[2]
    told = MIXERS if name == "mixer" else CLASSES
    return next((meant for word, meant in told.items() if word in type(part).__name__), name)


def _inputs(torch: Any, module: Any, batch: int, sequence: int) -> dict[str, Any]:
    """Rows of tokens for a module that reads them."""
    name = getattr(module, "main_input_name", "input_ids")
    if name != "input_ids":
        raise TypeError(f"`inputs`: {type(module).__name__} reads `{name}`; give what its `forward` takes")
    text = module.config.get_text_config()
    device = next(module.parameters()).device
    tokens = torch.arange(batch * sequence, device=device).remainder(text.vocab_size).view(batch, sequence)
    if module.config.is_encoder_decoder:
        return {"input_ids": tokens, "decoder_input_ids": tokens[:, :1]}
    return {"input_ids": tokens}


def _shape(given: Mapping[str, Any]) -> tuple[int, int]:
    """Rows and tokens of what a module reads."""
    if given.get("past_key_values") is not None:
        raise TypeError("`inputs`: go on from a cache; a whole prompt is counted")
    for name in ("input_ids", "inputs_embeds", "decoder_input_ids"):
        shape: Any = getattr(given.get(name), "shape", ())
        if len(shape) >= 2:
            return int(shape[0]), int(shape[1])
    raise TypeError(f"`inputs`: have neither `input_ids` nor `inputs_embeds`, but {', '.join(given) or 'nothing'}")


def _differentiable(torch: Any, output: Any) -> list[Any]:
    """The tensors that a module returned and that have a gradient."""
    values = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else [output]
    return [value for value in values if isinstance(value, torch.Tensor) and value.requires_grad]


def _torch() -> Any:
    try:
        return import_module("torch")
    except ModuleNotFoundError as error:
        raise ImportError("verify runs PyTorch's FLOP counter, and PyTorch is not installed: `pip install torch`") from error
