//! What an architecture groups otherwise than most.

use crate::weights::gguf::names::{IN_METADATA, Own};

/// The norm before the feed-forward layer, or after attention, under the latter's name.
pub(super) const POST: Own = &[("post_attention_layernorm", "post_attention_norm")];
/// Gate and up matrices of experts, which are one in the reference implementation.
pub(super) const FUSED_EXPERTS: Own = &[("ffn_gate_exps", "ffn_up_exps")];
pub(super) const GPT_OSS: Own =
    &[("post_attention_layernorm", "post_attention_norm"), ("ffn_gate_exps", "ffn_up_exps")];
/// So are those of what every token runs through, with experts beside it or without.
pub(super) const GRANITE: Own = &[
    ("ffn_gate_exps", "ffn_up_exps"),
    ("ffn_gate_shexp", "ffn_up_shexp"),
    ("ffn_gate", "ffn_up_shexp"),
    ("ffn_up", "ffn_up_shexp"),
    ("ffn_down", "ffn_down_shexp"),
];
pub(super) const GEMMA3N: Own = &[
    ("post_attention_layernorm", "post_attention_norm"),
    ("altup_projections", "altup_proj"),
    ("altup_unembed_projections", "altup_unembd_proj"),
    ("embed_tokens_per_layer", "per_layer_token_embd"),
    ("per_layer_model_projection", "per_layer_model_proj"),
    ("per_layer_projection_norm", "per_layer_proj_norm"),
    ("per_layer_input_gate", "inp_gate"),
    ("per_layer_projection", "proj"),
    ("post_per_layer_input_norm", "post_norm"),
    ("laurel.linear_left", "laurel_l"),
    ("laurel.linear_right", "laurel_r"),
    ("laurel.post_laurel_norm", "laurel_post_norm"),
    ("altup.router_norm", "altup_router_norm"),
    ("altup.modality_router", "altup_router"),
    ("altup.prediction_coefs", "altup_predict_coef"),
    ("altup.correction_coefs", "altup_correct_coef"),
    ("altup.correct_output_scale", "altup_correct_scale"),
];
pub(super) const GEMMA4: Own = &[
    ("post_attention_layernorm", "post_attention_norm"),
    ("post_feedforward_layernorm_1", "post_ffw_norm_1"),
    ("post_feedforward_layernorm_2", "post_ffw_norm_2"),
    ("pre_feedforward_layernorm_2", "pre_ffw_norm_2"),
    ("embed_tokens_per_layer", "per_layer_token_embd"),
    ("per_layer_model_projection", "per_layer_model_proj"),
    ("per_layer_projection_norm", "per_layer_proj_norm"),
    ("per_layer_input_gate", "inp_gate"),
    ("per_layer_projection", "proj"),
    ("post_per_layer_input_norm", "post_norm"),
    ("layer_scalar", "layer_output_scale"),
    ("experts.gate_up_proj", "ffn_gate_up_exps"),
    ("experts.down_proj", "ffn_down_exps"),
    ("router.proj", "ffn_gate_inp"),
    ("router.scale", "ffn_gate_inp.scale"),
    ("router.per_expert_scale", "ffn_down_exps.scale"),
];
/// Queries, keys, values and gate in one.
pub(super) const QWEN3_NEXT: Own =
    &[("post_attention_layernorm", "post_attention_norm"), ("attn_gate", "attn_qkv")];
/// Its activation's numbers stand among the metadata.
pub(super) const APERTUS: Own = &[("mlp.act_fn", IN_METADATA)];
pub(super) const QWEN3_5: Own = &[("post_attention_layernorm", "post_attention_norm")];
