//! Keys that several architectures share.

use crate::weights::gguf::keys::Key::{self, *};

/// Heads of grouped queries.
pub(super) const HEADS: &[Key] =
    &[Number("num_attention_heads", "attention.head_count"), KvHeads, HeadDim];
/// Heads that share the model's width.
pub(super) const EQUAL_HEADS: &[Key] = &[Number("num_attention_heads", "attention.head_count")];
pub(super) const DENSE: &[Key] = &[Width("intermediate_size", "ffn_down", "feed_forward_length")];
pub(super) const ROUTED: &[Key] =
    &[Number("num_experts", "expert_count"), Number("num_experts_per_tok", "expert_used_count")];
pub(super) const EXPERTS: &[Key] = &[
    Number("num_experts", "expert_count"),
    Number("num_experts_per_tok", "expert_used_count"),
    Columns("moe_intermediate_size", "ffn_down_exps"),
];
/// Experts in place of every dense layer, and stated as those would be.
pub(super) const ONLY_EXPERTS: &[Key] = &[
    Number("num_experts", "expert_count"),
    Number("num_experts_per_tok", "expert_used_count"),
    Columns("intermediate_size", "ffn_down_exps"),
];
pub(super) const SHARED_WIDTH: &[Key] =
    &[Columns("shared_expert_intermediate_size", "ffn_down_shexp")];
pub(super) const SHARED_NUMBER: &[Key] =
    &[Times("n_shared_experts", "ffn_down_shexp", "ffn_down_exps")];
pub(super) const DENSE_FIRST: &[Key] = &[Before("first_k_dense_replace", "ffn_gate_inp")];
pub(super) const ATTENTION_BIAS: &[Key] = &[Has("attention_bias", "attn_q.bias")];
pub(super) const BIASES: &[Key] =
    &[Has("attention_bias", "attn_q.bias"), Has("mlp_bias", "ffn_up.bias")];
pub(super) const USE_BIAS: &[Key] = &[Has("use_bias", "attn_q.bias")];
pub(super) const WINDOW: &[Key] = &[OrNull("sliding_window", "attention.sliding_window")];
pub(super) const PREDICTING: &[Key] = &[Number("num_nextn_predict_layers", "nextn_predict_layers")];
pub(super) const QWEN_MOE: &[Key] = &[Fixed("decoder_sparse_step", 1)];
pub(super) const DEEPSEEK: &[&[Key]] =
    &[&[Latent], DENSE, EXPERTS, SHARED_NUMBER, DENSE_FIRST, BIAS_OF_LATENT];
pub(super) const BIAS_OF_LATENT: &[Key] = &[Has("attention_bias", "attn_kv_a_mqa.bias")];
pub(super) const INDEXER: &[Key] = &[
    Number("index_topk", "attention.indexer.top_k"),
    Number("index_n_heads", "attention.indexer.head_count"),
    Number("index_head_dim", "attention.indexer.key_length"),
    Kinds("indexer_types", &[("indexer.attn_k", "full")], "shared"),
];
/// Mamba-2, as hybrids state it.
pub(super) const HYBRID: &[Key] = &[
    Number("mamba_n_heads", "ssm.time_step_rank"),
    Quotient("mamba_d_head", "ssm.inner_size", "ssm.time_step_rank"),
    Number("mamba_n_groups", "ssm.group_count"),
    Number("mamba_d_state", "ssm.state_size"),
    Number("mamba_d_conv", "ssm.conv_kernel"),
    Has("mamba_conv_bias", "ssm_conv1d.bias"),
    Has("mamba_proj_bias", "ssm_in.bias"),
];
pub(super) const MAMBA: &[Key] = &[
    Number("state_size", "ssm.state_size"),
    Number("conv_kernel", "ssm.conv_kernel"),
    Quotient("expand", "ssm.inner_size", "embedding_length"),
    Has("use_bias", "ssm_in.bias"),
    Has("use_conv_bias", "ssm_conv1d.bias"),
];
pub(super) const DELTA: &[Key] = &[
    Kinds("layer_types", &[("ssm_a", "linear_attention")], "full_attention"),
    Number("linear_num_key_heads", "ssm.group_count"),
    Number("linear_num_value_heads", "ssm.time_step_rank"),
    Number("linear_key_head_dim", "ssm.state_size"),
    Quotient("linear_value_head_dim", "ssm.inner_size", "ssm.time_step_rank"),
    Number("linear_conv_kernel_dim", "ssm.conv_kernel"),
];
pub(super) const SHORT_CONVOLUTIONS: &[Key] = &[
    Kinds("layer_types", &[("shortconv.in_proj", "conv")], "full_attention"),
    Number("conv_L_cache", "shortconv.l_cache"),
    Has("conv_bias", "shortconv.conv.bias"),
];
pub(super) const NEMOTRON_H: &[Key] = &[
    Kinds(
        "layers_block_type",
        &[("ssm_a", "mamba"), ("attn_q", "attention"), ("ffn_gate_inp", "moe")],
        "mlp",
    ),
    Number("mamba_num_heads", "ssm.time_step_rank"),
    Quotient("mamba_head_dim", "ssm.inner_size", "ssm.time_step_rank"),
    Number("n_groups", "ssm.group_count"),
    Number("ssm_state_size", "ssm.state_size"),
    Number("conv_kernel", "ssm.conv_kernel"),
    Has("use_conv_bias", "ssm_conv1d.bias"),
    Has("use_bias", "ssm_in.bias"),
    Columns("moe_shared_expert_intermediate_size", "ffn_down_shexp"),
    Rows("moe_latent_size", "ffn_latent_down"),
];
/// What most architectures have, for those that no row is for.
pub(in crate::weights::gguf) const USUAL: &[&[Key]] = &[HEADS, ROUTED, WINDOW, &[Sliding]];
