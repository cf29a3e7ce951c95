"""Which component an operation belongs to: by the names of the modules that it runs in."""

from __future__ import annotations

from typing import Any

SCORES = "attention.scores + attention.values"
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


def name_of(path: str, part: Any, head: Any) -> str:
    """What a module is called; the output head, or what its class tells, where that is more."""
    if part is head:
        return "lm_head"
    name = path.rpartition(".")[2]
    told = MIXERS if name == "mixer" else CLASSES
    return next((meant for word, meant in told.items() if word in type(part).__name__), name)
