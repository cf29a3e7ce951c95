"""PyTorch's counter beside ours, on small modules of transformers. What PyTorch counts is the authority."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import flopmeter

WHY = "is not installed: nothing is compared with PyTorch's counter"
torch = pytest.importorskip("torch", reason=f"PyTorch {WHY}")
transformers = pytest.importorskip("transformers", reason=f"transformers {WHY}")

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
}
SCORES = "attention.scores + attention.values"
BATCH, SEQUENCE = 2, 24
TOKENS = BATCH * SEQUENCE
# By hand: queries and outputs are 64 × 64, keys and values 64 × 32; each of four heads of 16 has a square of scores.
LLAMA = {
    "attention.projections": 2 * 2 * TOKENS * (2 * 64 * 64 + 2 * 64 * 32),
    SCORES: 2 * 2 * 2 * BATCH * 4 * SEQUENCE * SEQUENCE * 16,
    "mlp": 2 * 2 * TOKENS * 3 * 64 * 128,
    "head": 2 * TOKENS * 64 * 1000,
}
EXPERTS = 2 * 2 * TOKENS * 2 * 3 * 64 * 128


def module(model_type: str, attention: str = "eager", experts: str = "eager", device: str = "cpu", **settings: Any) -> Any:
    config = transformers.AutoConfig.for_model(model_type, **{**SMALL, **settings})
    with torch.device(device):
        made = transformers.AutoModelForCausalLM.from_config(
            config, attn_implementation=attention, experts_implementation=experts, dtype=torch.float32
        )
    return made.eval()


def verified(made: Any, **settings: Any) -> flopmeter.Verification:
    return flopmeter.verify(made, **{"batch": BATCH, "sequence": SEQUENCE, **settings})


def counts(verification: flopmeter.Verification) -> dict[str, tuple[int, int]]:
    return {part.component: (part.ours, part.counted) for part in verification.parts}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_both_are_the_same_integers(attention: str, device: str) -> None:
    verification = verified(module("llama", attention, device=device))
    assert counts(verification) == {component: (flops, flops) for component, flops in LLAMA.items()}
    assert verification.equal and verification.difference == 0
    assert verification.ours == verification.counted == sum(LLAMA.values())
    assert verification.attention == attention and f"`{attention}`" in verification.notes[0]


def test_the_total_is_that_of_the_counter() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    made = module("llama")
    tokens = torch.zeros((BATCH, SEQUENCE), dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        made(input_ids=tokens).logits.sum().backward()
    verification = flopmeter.verify(made, {"input_ids": tokens}, backward=True)
    assert verification.counted == counter.get_total_flops()
    assert verification.equal


@pytest.mark.parametrize(("attention", "again"), [("eager", 0), ("sdpa", LLAMA[SCORES] // 2)])
def test_a_fused_backward_computes_its_scores_again(attention: str, again: int) -> None:
    verification = verified(module("llama", attention), backward=True)
    back = 2 * sum(LLAMA.values()) + again
    assert counts(verification)["backward"] == (back, back)


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("gpt2", {"n_embd": 64, "n_head": 4, "n_layer": 2}),
        ("qwen3", {"head_dim": 16}),
        ("mixtral", {"num_local_experts": 4}),
        ("gemma3_text", {"head_dim": 16, "sliding_window": 7}),
        ("mamba2", {"num_heads": 8, "head_dim": 16, "state_size": 16, "n_groups": 2, "chunk_size": 8}),
    ],
)
def test_other_architectures_agree_by_component(model_type: str, settings: dict[str, Any]) -> None:
    verification = verified(module(model_type, **settings), backward=True)
    assert verification.equal, str(verification)
    assert verification.counted > 0 and not verification.unseen


def test_an_encoder_agrees() -> None:
    config = transformers.AutoConfig.for_model("bert", **SMALL)
    made = transformers.AutoModelForMaskedLM.from_config(config, attn_implementation="eager").eval()
    verification = verified(made, backward=True)
    assert verification.equal, str(verification)


def test_an_encoder_and_its_decoder_agree() -> None:
    config = transformers.AutoConfig.for_model("t5", d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, vocab_size=1000)
    made = transformers.AutoModelForSeq2SeqLM.from_config(config, attn_implementation="eager").eval()
    verification = verified(made)
    assert verification.equal, str(verification)
    assert counts(verification)["encoder"][1] > 0


def test_operations_without_a_formula_are_named() -> None:
    verification = verified(module("mixtral", "eager", "grouped_mm", num_local_experts=4), backward=True)
    assert {(it.operation, it.component, it.calls) for it in verification.unseen} == {
        ("aten._grouped_mm", "moe.experts", 4),  # two in each layer
        ("aten._grouped_mm", "backward", 8),
    }
    parts = {part.component: part for part in verification.parts}
    assert (parts["moe.experts"].ours, parts["moe.experts"].counted) == (EXPERTS, 0)
    assert parts["moe.experts"].why == "no formula for `aten._grouped_mm`"
    assert parts["backward"].difference == -2 * EXPERTS
    assert parts["attention.projections"].difference == 0 and parts["attention.projections"].why is None
    assert not verification.equal and verification.experts == "grouped_mm"


def test_an_operation_of_somebodys_own_is_named() -> None:
    library = torch.library.Library("flopmeter_test", "DEF")
    library.define("fused(Tensor x, Tensor weight) -> Tensor")
    library.impl("fused", lambda x, weight: x @ weight.t(), "CompositeExplicitAutograd")
    made = module("llama")
    made.model.layers[0].mlp.forward = lambda x: torch.ops.flopmeter_test.fused(x, torch.eye(64))
    verification = verified(made)
    (unseen,) = verification.unseen
    assert (unseen.operation, unseen.component, unseen.calls) == ("flopmeter_test.fused", "mlp", 1)
    parts = {part.component: part for part in verification.parts}
    assert parts["mlp"].difference == -LLAMA["mlp"] // 2


def test_a_product_with_a_vector_is_named() -> None:
    class Weighted(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self, made: Any) -> None:
            super().__init__()
            self.made, self.config, self.weights = made, made.config, torch.nn.Parameter(torch.ones(1000))

        def forward(self, **given: Any) -> Any:
            output = self.made(**given)
            return output.logits[0] @ self.weights

    verification = verified(Weighted(module("llama")))
    assert [(it.operation, it.calls) for it in verification.unseen] == [("aten.mv", 1)]


def test_another_convention_differs_and_says_so() -> None:
    verification = verified(module("llama"), convention="model")
    parts = {part.component: part for part in verification.parts}
    # Of a square of 24 by 24 scores 24 · 25 / 2 are visible, and one position of a prompt is sampled.
    assert parts[SCORES].ours * 576 == LLAMA[SCORES] * 300
    assert parts["head"].ours * SEQUENCE == LLAMA["head"]
    assert "`model` is another way of counting" in str(parts["head"].why)
    trained = verified(module("llama"), convention="model", backward=True)
    assert [part.component for part in trained.parts] == ["forward", "backward"]


def test_a_module_without_a_head_says_so() -> None:
    config = transformers.AutoConfig.for_model("llama", **SMALL)
    made = transformers.AutoModel.from_config(config, attn_implementation="eager").eval()
    parts = {part.component: part for part in verified(made).parts}
    assert (parts["head"].counted, parts["head"].why) == (0, "the module has no output head")


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_layers_run_again(reentrant: bool) -> None:
    made = module("llama")
    made.gradient_checkpointing_enable({"use_reentrant": reentrant})
    part = verified(made.train(), backward=True).parts[-1]
    layers = sum(LLAMA.values()) - LLAMA["head"]
    assert part.ours == 2 * sum(LLAMA.values()) + layers
    # The form that is not reentrant stops before the last product of each layer, whose result no gradient needs.
    assert part.difference == (0 if reentrant else -2 * 2 * TOKENS * 64 * 128)
    assert reentrant or "only as far as a gradient asks" in str(part.why)


def test_frozen_parameters_are_named_until_they_are_said() -> None:
    made = module("llama")
    made.model.embed_tokens.requires_grad_(False)
    made.model.layers[0].requires_grad_(False)
    part = verified(made, backward=True).parts[-1]
    assert "frozen" in str(part.why)
    assert verified(made, backward=True, freeze=1).equal


def test_it_leaves_gradients_and_random_numbers_as_they_were() -> None:
    made = module("llama", attention_dropout=0.5).train()
    kept = torch.ones_like(made.lm_head.weight)
    made.lm_head.weight.grad = kept
    state = torch.random.get_rng_state()
    verified(made, backward=True)
    assert made.lm_head.weight.grad is kept and bool((kept == 1).all())
    assert made.model.norm.weight.grad is None and made.training
    assert torch.equal(torch.random.get_rng_state(), state)


def test_it_is_shown_as_text_as_a_table_and_as_a_dict() -> None:
    verification = verified(module("mixtral", "eager", "grouped_mm", num_local_experts=4))
    text = str(verification)
    assert repr(verification) == text
    assert f"{EXPERTS:,}" in text
    assert "note: `aten._grouped_mm` ran 4 times in moe.experts" in text
    assert "<th>FLOPs</th>" in verification._repr_html_() and f"<td>{EXPERTS:,}</td>" in verification._repr_html_()
    shown = verification.to_dict()
    assert shown["equal"] is False and shown["difference"] == -EXPERTS
    assert shown["unseen"][0] == {"operation": "aten._grouped_mm", "component": "moe.experts", "calls": 4}


@pytest.mark.parametrize(
    ("text", "made", "inputs"),
    [
        ("is of type Linear", lambda: torch.nn.Linear(2, 2), None),
        ("is of type str", lambda: "llama", None),
        ("neither `input_ids`", lambda: module("llama"), {"pixel_values": 1}),
        ("a whole prompt", lambda: module("llama"), {"input_ids": torch.zeros(1, 2), "past_key_values": 1}),
    ],
)
def test_what_cannot_be_run_or_counted_is_a_type_error(text: str, made: Any, inputs: Any) -> None:
    with pytest.raises(TypeError, match=text):
        flopmeter.verify(made(), inputs)


def test_without_pytorch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="pip install torch"):
        flopmeter.verify(object())
