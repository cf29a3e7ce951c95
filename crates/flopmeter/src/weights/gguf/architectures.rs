//! The one list: each architecture of GGUF, the `model_type` that it is, and where its config's keys are.
//!
//! A number that a tensor shows is taken from the tensor: not every converter states it right.

mod own;
mod parts;

use super::keys::Key::{self, *};
use super::names::Own;
use own::*;
pub(super) use parts::USUAL;
use parts::*;

/// A row of the list.
#[derive(Debug)]
pub(super) struct Architecture {
    /// `general.architecture`.
    pub name: &'static str,
    /// A tensor that tells its files from those of the next rows of the same name.
    pub with: Option<&'static str>,
    pub model_type: &'static str,
    pub keys: &'static [&'static [Key]],
    /// What it groups otherwise than most.
    pub own: Own,
}

/// The row of a name, of those that a file's tensors allow.
pub(super) fn find(name: &str, has: impl Fn(&str) -> bool) -> Option<&'static Architecture> {
    ALL.iter().find(|row| row.name == name && row.with.is_none_or(&has))
}

/// Names and types of all rows.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALL.iter().map(|row| (row.name, row.model_type))
}

const fn row(
    name: &'static str,
    model_type: &'static str,
    keys: &'static [&'static [Key]],
) -> Architecture {
    Architecture { name, with: None, model_type, keys, own: &[] }
}

impl Architecture {
    const fn with(self, tensor: &'static str) -> Self {
        Self { with: Some(tensor), ..self }
    }

    const fn own(self, own: Own) -> Self {
        Self { own, ..self }
    }
}

#[rustfmt::skip]
const ALL: &[Architecture] = &[
    row("afmoe", "afmoe", &[HEADS, DENSE, EXPERTS, ATTENTION_BIAS, WINDOW, &[
        Number("num_shared_experts", "expert_shared_count"),
        Before("num_dense_layers", "ffn_gate_inp"),
        Fixed("global_attn_every_n_layers", 4),
    ]]).own(POST),
    row("apertus", "apertus", &[HEADS, DENSE, ATTENTION_BIAS]).own(APERTUS),
    row("arcee", "arcee", &[HEADS, DENSE, BIASES]),
    row("baichuan", "llama", &[HEADS, DENSE, BIASES]),
    row("bitnet", "bitnet", &[HEADS, DENSE, ATTENTION_BIAS]),
    row("bloom", "bloom", &[EQUAL_HEADS]),
    row("chatglm", "glm", &[HEADS, DENSE, ATTENTION_BIAS]),
    row("cohere2", "cohere2", &[HEADS, DENSE, ATTENTION_BIAS, WINDOW, &[Fixed("sliding_window_pattern", 4)]]),
    row("command-r", "cohere", &[HEADS, DENSE, ATTENTION_BIAS, &[Has("use_qk_norm", "attn_q_norm")]]),
    row("dbrx", "dbrx", &[EQUAL_HEADS, &[
        Number("attn_config.kv_n_heads", "attention.head_count_kv"),
        Number("ffn_config.moe_num_experts", "expert_count"),
        Number("ffn_config.moe_top_k", "expert_used_count"),
        Columns("ffn_config.ffn_hidden_size", "ffn_down_exps"),
    ]]),
    row("deepseek2", "deepseek_v3", DEEPSEEK).with("exp_probs_b.bias"),
    row("deepseek2", "deepseek_v2", DEEPSEEK).with("ffn_gate_inp"),
    row("deepseek2", "youtu", &[&[Latent], DENSE, BIAS_OF_LATENT]),
    row("dots1", "dots1", &[HEADS, DENSE, EXPERTS, SHARED_NUMBER, DENSE_FIRST, ATTENTION_BIAS, WINDOW]),
    row("ernie4_5", "ernie4_5", &[HEADS, DENSE, USE_BIAS]),
    row("ernie4_5-moe", "ernie4_5_moe", &[HEADS, DENSE, EXPERTS, USE_BIAS, &[
        Times("moe_num_shared_experts", "ffn_down_shexp", "ffn_down_exps"),
        Before("moe_layer_start_index", "ffn_gate_inp"),
        Last("moe_layer_end_index", "ffn_gate_inp"),
        Number("moe_layer_interval", "interleave_moe_layer_step"),
    ]]),
    row("exaone", "llama", &[HEADS, DENSE, BIASES]),
    row("exaone-moe", "exaone_moe", &[HEADS, DENSE, EXPERTS, WINDOW, PREDICTING, &[Sliding,
        Times("num_shared_experts", "ffn_down_shexp", "ffn_down_exps"),
        Kinds("mlp_layer_types", &[("ffn_gate_inp", "sparse")], "dense"),
    ]]),
    row("exaone4", "exaone4", &[HEADS, DENSE, WINDOW, &[Sliding]]).own(POST),
    row("falcon", "falcon", &[EQUAL_HEADS, &[
        Number("num_kv_heads", "attention.head_count_kv"),
        Width("ffn_hidden_size", "ffn_down", "feed_forward_length"),
        Has("bias", "attn_qkv.bias"),
        Always("new_decoder_architecture", true),
        Lacks("parallel_attn", "ffn_norm"),
        Either("num_ln_in_parallel_attn", "attn_norm_2", 2, 1),
    ]]),
    row("falcon-h1", "falcon_h1", &[HEADS, DENSE, BIASES, HYBRID, &[
        Number("mamba_d_ssm", "ssm.inner_size"),
        Fixed("mamba_expand", 2),
        Has("mamba_rms_norm", "ssm_norm"),
        Has("projectors_bias", "ssm_out.bias"),
    ]]),
    row("gemma", "gemma", &[HEADS, DENSE, ATTENTION_BIAS]),
    row("gemma2", "gemma2", &[HEADS, DENSE, ATTENTION_BIAS, WINDOW]).own(POST),
    row("gemma3", "gemma3_text", &[HEADS, DENSE, ATTENTION_BIAS, WINDOW, &[Fixed("sliding_window_pattern", 6), Sliding]]).own(POST),
    row("gemma3n", "gemma3n_text", &[HEADS, ATTENTION_BIAS, WINDOW, &[Sliding,
        EveryColumns("intermediate_size", "ffn_down"),
        Number("altup_num_inputs", "altup.num_inputs"),
        Rows("laurel_rank", "laurel_l"),
        Number("hidden_size_per_layer_input", "embedding_length_per_layer_input"),
        Rows("vocab_size_per_layer_input", "per_layer_token_embd"),
        Number("num_kv_shared_layers", "attention.shared_kv_layers"),
    ]]).own(GEMMA3N),
    row("gemma4", "gemma4_text", &[DENSE, ATTENTION_BIAS, WINDOW, &[Sliding, LocalHeads,
        LacksBeside("attention_k_eq_v", "attn_k", "attn_v"),
        Grows("use_double_wide_mlp", "ffn_down"),
        Number("num_kv_shared_layers", "attention.shared_kv_layers"),
        Number("hidden_size_per_layer_input", "embedding_length_per_layer_input"),
        Rows("vocab_size_per_layer_input", "per_layer_token_embd"),
        Has("enable_moe_block", "ffn_gate_inp"),
        Number("num_experts", "expert_count"),
        Number("top_k_experts", "expert_used_count"),
        Columns("moe_intermediate_size", "ffn_down_exps"),
    ]]).own(GEMMA4),
    row("glm-dsa", "glm_moe_dsa", &[&[Latent], DENSE, EXPERTS, SHARED_NUMBER, DENSE_FIRST, BIAS_OF_LATENT, INDEXER, PREDICTING]),
    row("glm4", "glm4", &[HEADS, DENSE, ATTENTION_BIAS]),
    row("glm4moe", "glm4_moe", &[HEADS, DENSE, EXPERTS, SHARED_NUMBER, DENSE_FIRST, ATTENTION_BIAS, PREDICTING, &[
        Has("use_qk_norm", "attn_q_norm"),
    ]]).own(POST),
    row("gpt-oss", "gpt_oss", &[HEADS, ONLY_EXPERTS, ATTENTION_BIAS, WINDOW]).own(GPT_OSS),
    row("gpt2", "gpt2", &[EQUAL_HEADS, &[Columns("n_inner", "ffn_down"), Rows("n_positions", "position_embd")]]),
    row("gptneox", "gpt_neox", &[EQUAL_HEADS, DENSE, &[Has("attention_bias", "attn_qkv.bias")]]),
    row("granite", "granite", &[HEADS, DENSE, BIASES]),
    row("granitehybrid", "granitemoehybrid", &[HEADS, ONLY_EXPERTS, ATTENTION_BIAS, HYBRID, &[
        Kinds("layer_types", &[("ssm_in", "mamba")], "attention"),
        Columns("shared_intermediate_size", "ffn_down_shexp"),
        Quotient("mamba_expand", "ssm.inner_size", "embedding_length"),
        Number("num_local_experts", "expert_count"),
    ]]).with("ffn_gate_inp").own(GRANITE),
    row("granitehybrid", "bamba", &[HEADS, DENSE, BIASES, HYBRID, &[
        Layers("attn_layer_indices", "attn_q"),
        Quotient("mamba_expand", "ssm.inner_size", "embedding_length"),
    ]]).with("ffn_gate.bias"),
    row("granitehybrid", "granitemoehybrid", &[HEADS, ATTENTION_BIAS, HYBRID, &[
        Kinds("layer_types", &[("ssm_in", "mamba")], "attention"),
        Columns("shared_intermediate_size", "ffn_down"),
        Quotient("mamba_expand", "ssm.inner_size", "embedding_length"),
        Fixed("num_local_experts", 0),
    ]]).own(GRANITE),
    row("granitemoe", "granitemoeshared", &[HEADS, ONLY_EXPERTS, ATTENTION_BIAS, &[
        Columns("shared_intermediate_size", "ffn_down_shexp"),
    ]]).with("ffn_down_shexp").own(GRANITE),
    row("granitemoe", "granitemoe", &[HEADS, ONLY_EXPERTS, ATTENTION_BIAS]).own(GRANITE),
    row("hunyuan-dense", "hunyuan_v1_dense", &[HEADS, DENSE, ATTENTION_BIAS]),
    row("hunyuan-moe", "hunyuan_v1_moe", &[HEADS, ONLY_EXPERTS, ATTENTION_BIAS]),
    row("internlm2", "llama", &[HEADS, DENSE, BIASES]),
    row("jais2", "jais2", &[HEADS, DENSE, BIASES]),
    row("jamba", "jamba", &[HEADS, DENSE, ROUTED, &[
        Period("attn_layer_period", "attn_layer_offset", "attn_q"),
        Period("expert_layer_period", "expert_layer_offset", "ffn_gate_inp"),
        Number("mamba_d_state", "ssm.state_size"),
        Number("mamba_dt_rank", "ssm.time_step_rank"),
        Number("mamba_d_conv", "ssm.conv_kernel"),
        Quotient("mamba_expand", "ssm.inner_size", "embedding_length"),
        Has("mamba_conv_bias", "ssm_conv1d.bias"),
        Has("mamba_proj_bias", "ssm_in.bias"),
    ]]),
    row("lfm2", "lfm2", &[HEADS, DENSE, SHORT_CONVOLUTIONS, &[
        Always("block_auto_adjust_ff_dim", false),
        Fixed("block_multiple_of", 256),
    ]]),
    row("lfm2moe", "lfm2_moe", &[HEADS, DENSE, EXPERTS, SHORT_CONVOLUTIONS, &[
        Before("num_dense_layers", "ffn_gate_inp"),
        Has("use_expert_bias", "exp_probs_b.bias"),
    ]]),
    row("llama", "mixtral", &[HEADS, ONLY_EXPERTS]).with("ffn_gate_inp"),
    row("llama", "llama", &[HEADS, DENSE, BIASES]),
    row("llama4", "llama4_text", &[HEADS, ROUTED, ATTENTION_BIAS, &[
        Number("num_local_experts", "expert_count"),
        Columns("intermediate_size", "ffn_down_exps"),
        Width("intermediate_size_mlp", "ffn_down", "feed_forward_length"),
        Number("interleave_moe_layer_step", "interleave_moe_layer_step"),
        Fixed("attention_chunk_size", 8192),
        Fixed("no_rope_layer_interval", 4),
    ]]).own(FUSED_EXPERTS),
    row("mamba", "falcon_mamba", &[MAMBA, &[Number("time_step_rank", "ssm.time_step_rank")]]).with("ssm.dt_b_c_rms"),
    row("mamba", "mamba", &[MAMBA, &[Number("time_step_rank", "ssm.time_step_rank")]]),
    row("mamba2", "mamba2", &[MAMBA, &[
        Number("num_heads", "ssm.time_step_rank"),
        Quotient("head_dim", "ssm.inner_size", "ssm.time_step_rank"),
        Number("n_groups", "ssm.group_count"),
    ]]),
    row("mimo2", "mimo_v2_flash", &[DENSE, EXPERTS, WINDOW, &[Sliding,
        Number("num_attention_heads", "attention.head_count"),
        Least("num_key_value_heads", "attention.head_count_kv"),
        Number("head_dim", "attention.key_length"),
        Number("v_head_dim", "attention.value_length"),
        Kinds("mlp_layer_types", &[("ffn_gate_inp", "sparse")], "dense"),
    ]]),
    row("minicpm", "llama", &[HEADS, DENSE, BIASES]),
    row("minicpm3", "minicpm3", &[&[Latent], DENSE, BIAS_OF_LATENT]),
    row("minimax-m2", "minimax_m2", &[HEADS, ONLY_EXPERTS]),
    row("mistral3", "ministral3", &[HEADS, DENSE, WINDOW]),
    row("mpt", "mpt", &[EQUAL_HEADS, &[Fixed("expansion_ratio", 4)]]),
    row("nemotron", "nemotron", &[HEADS, DENSE, BIASES]),
    row("nemotron_h", "nemotron_h", &[HEADS, DENSE, NEMOTRON_H, &[Has("mlp_bias", "ffn_up.bias")]]),
    row("nemotron_h_moe", "nemotron_h", &[HEADS, DENSE, EXPERTS, NEMOTRON_H, &[Has("mlp_bias", "ffn_up_shexp.bias")]]),
    row("olmo", "olmo", &[HEADS, DENSE, ATTENTION_BIAS]),
    row("olmo2", "olmo3", &[HEADS, DENSE, ATTENTION_BIAS, WINDOW, &[Sliding]]).with("attention.sliding_window").own(POST),
    row("olmo2", "olmo2", &[HEADS, DENSE, ATTENTION_BIAS]).own(POST),
    row("olmoe", "olmoe", &[HEADS, ONLY_EXPERTS, ATTENTION_BIAS]),
    row("phi2", "phi", &[HEADS, DENSE]),
    row("phi3", "phi3", &[HEADS, DENSE, WINDOW]),
    row("phimoe", "phimoe", &[HEADS, ONLY_EXPERTS, ATTENTION_BIAS, WINDOW, &[Has("lm_head_bias", "output.bias")]]),
    row("qwen2", "qwen2", &[HEADS, DENSE]),
    row("qwen2moe", "qwen2_moe", &[HEADS, DENSE, EXPERTS, SHARED_WIDTH, QWEN_MOE]),
    row("qwen2vl", "qwen2", &[HEADS, DENSE]),
    row("qwen3", "qwen3", &[HEADS, DENSE, ATTENTION_BIAS]),
    row("qwen35", "qwen3_5_text", &[HEADS, DENSE, DELTA, ATTENTION_BIAS]).own(QWEN3_5),
    row("qwen35moe", "qwen3_5_moe_text", &[HEADS, EXPERTS, SHARED_WIDTH, DELTA, ATTENTION_BIAS]).own(QWEN3_5),
    row("qwen3moe", "qwen3_moe", &[HEADS, DENSE, EXPERTS, QWEN_MOE, ATTENTION_BIAS]),
    row("qwen3next", "qwen3_next", &[HEADS, DENSE, EXPERTS, SHARED_WIDTH, DELTA, ATTENTION_BIAS, QWEN_MOE]).own(QWEN3_NEXT),
    row("qwen3vl", "qwen3", &[HEADS, DENSE, ATTENTION_BIAS]),
    row("qwen3vlmoe", "qwen3_moe", &[HEADS, DENSE, EXPERTS, QWEN_MOE, ATTENTION_BIAS]),
    row("seed_oss", "seed_oss", &[HEADS, DENSE, ATTENTION_BIAS, &[Has("attention_out_bias", "attn_output.bias")]]).own(POST),
    row("smollm3", "smollm3", &[HEADS, DENSE, BIASES]),
    row("stablelm", "stablelm", &[EQUAL_HEADS, DENSE, &[
        KvHeads,
        Has("use_qkv_bias", "attn_q.bias"),
        Has("qk_layernorm", "attn_q_norm"),
        Lacks("use_parallel_residual", "ffn_norm"),
    ]]),
    row("starcoder", "gpt_bigcode", &[EQUAL_HEADS, &[
        Columns("n_inner", "ffn_down"),
        Rows("n_positions", "position_embd"),
        Shares("multi_query", "attn_qkv"),
    ]]),
    row("starcoder2", "starcoder2", &[HEADS, DENSE, USE_BIAS, WINDOW]),
    row("xverse", "llama", &[HEADS, DENSE, BIASES]),
];
