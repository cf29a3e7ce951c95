//! Names of tensors in a GGUF file, and of the modules that reference implementations have for them.
//!
//! Several modules may be one tensor here, and several tensors one module; both belong to a group then,
//! which bears the name of one of the tensors.

use crate::weights::name::{Key, Place, Role};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A name, and the group that it belongs to.
pub(super) type Own = &'static [(&'static str, &'static str)];

/// The group of parameters that files have among their metadata.
pub(in crate::weights) const IN_METADATA: &str = "";

/// How one file's tensors are named.
#[derive(Debug, Clone, Copy)]
pub(in crate::weights) struct Names {
    /// What one architecture groups otherwise.
    pub(super) own: Own,
    /// How many layers a pass runs through; those that predict further tokens come after them.
    pub(super) layers: u64,
}

impl Names {
    /// The module of a tensor; `None` for one that is none of the model's parameters.
    pub fn of_tensor<'n>(&self, name: &'n str) -> Option<Place<'n>> {
        const OTHERS: [&str; 5] = ["rope_f", "v.", "mm.", "a.", "s."];
        if OTHERS.iter().any(|start| name.starts_with(start)) {
            return None;
        }
        let inside = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
        let (layer, name) = match inside {
            None => (None, name),
            Some((layer, name)) => {
                (Some(layer.parse().ok().filter(|layer| *layer < self.layers)?), name)
            }
        };
        let (module, role) = match name.rsplit_once('.') {
            Some((module, "weight")) => (module, Role::Weight),
            Some((module, "bias")) => (module, Role::Bias),
            // Factors beside what is stored in blocks, if no parameters go by the name.
            Some((_, "scale" | "input_scale"))
                if self.own.iter().all(|(_, group)| *group != name) =>
            {
                return None;
            }
            _ => (name, Role::Weight),
        };
        let module = if layer.is_some() { module } else { last(module) };
        let module = self.group(layer.is_some(), module);
        Some(Place { layer, module, role, of_other_part: false })
    }

    /// The module of an op.
    pub fn of_op(&self, layer: Option<u64>, module: &str) -> Key {
        let module = if layer.is_some() { module } else { last(module) };
        Key::new(layer, self.group(layer.is_some(), module))
    }

    /// The group of a module, or the module itself where it is in none.
    fn group<'n>(&self, inside: bool, module: &'n str) -> &'n str {
        static GROUPS: LazyLock<[HashMap<&str, &str, RandomState>; 2]> =
            LazyLock::new(|| [groups(OUTSIDE), groups(INSIDE)]);
        let own = self.own.iter().find(|(name, _)| *name == module).map(|(_, group)| *group);
        own.or_else(|| GROUPS[usize::from(inside)].get(module).copied()).unwrap_or(module)
    }
}

/// Outside layers prefixes differ.
fn last(module: &str) -> &str {
    module.rsplit('.').next().unwrap_or(module)
}

fn groups(
    table: &[(&'static str, &[&'static str])],
) -> HashMap<&'static str, &'static str, RandomState> {
    // Of two groups the first has a module.
    let pairs = table.iter().rev();
    pairs.flat_map(|(group, modules)| modules.iter().map(|module| (*module, *group))).collect()
}

/// A module's name, or a group's, if it is one of those here.
pub(in crate::weights) fn known(module: &str) -> Option<&'static str> {
    let tables = OUTSIDE.iter().chain(INSIDE);
    let mut names =
        tables.flat_map(|(group, modules)| modules.iter().chain(std::iter::once(group)));
    names.find(|name| **name == module).copied()
}

/// Groups outside layers.
#[rustfmt::skip]
const OUTSIDE: &[(&str, &[&str])] = &[
    ("token_embd", &["embed_tokens", "embed_in", "embeddings", "word_embeddings", "wte"]),
    ("position_embd", &["wpe"]),
    ("token_embd_norm", &["embedding_norm", "word_embeddings_layernorm"]),
    ("output_norm", &["norm", "final_layer_norm", "final_layernorm", "layer_norm", "ln_f", "norm_f"]),
    ("output", &["lm_head"]),
];

/// Groups of a layer.
#[rustfmt::skip]
const INSIDE: &[(&str, &[&str])] = &[
    ("attn_norm", &["input_layernorm", "attention_layernorm", "operator_norm", "norm", "norm_1",
        "norm_attn_norm.norm_1", "ln_1", "ln_mlp"]),
    ("attn_norm_2", &["ln_attn"]),
    ("attn_output_norm", &["norm_attn_norm.norm_2"]),
    ("attn_q", &["self_attn.q_proj", "attn.q_proj", "mixer.q_proj"]),
    ("attn_k", &["self_attn.k_proj", "attn.k_proj", "mixer.k_proj"]),
    ("attn_v", &["self_attn.v_proj", "attn.v_proj", "mixer.v_proj"]),
    ("attn_qkv", &["self_attn.qkv_proj", "self_attention.query_key_value", "attention.query_key_value",
        "attn.c_attn", "attn.Wqkv", "norm_attn_norm.attn.Wqkv", "linear_attn.in_proj_qkv",
        "linear_attn.in_proj_qkvz"]),
    ("attn_output", &["self_attn.o_proj", "self_attn.out_proj", "self_attn.dense", "self_attention.dense",
        "attention.dense", "attn.c_proj", "attn.out_proj", "norm_attn_norm.attn.out_proj", "mixer.o_proj"]),
    ("attn_q_norm", &["self_attn.q_norm", "self_attn.q_layernorm", "self_attn.q_layernorm.norms",
        "self_attn.query_layernorm"]),
    ("attn_k_norm", &["self_attn.k_norm", "self_attn.k_layernorm", "self_attn.k_layernorm.norms",
        "self_attn.key_layernorm"]),
    ("attn_gate", &["self_attn.gate_proj", "linear_attn.in_proj_z"]),
    ("attn_sinks", &["self_attn.sinks"]),
    ("attn_sub_norm", &["self_attn.attn_sub_norm"]),
    ("attn_q_a", &["self_attn.q_a_proj"]),
    ("attn_q_a_norm", &["self_attn.q_a_layernorm"]),
    ("attn_q_b", &["self_attn.q_b_proj"]),
    ("attn_kv_a_mqa", &["self_attn.kv_a_proj_with_mqa"]),
    ("attn_kv_a_norm", &["self_attn.kv_a_layernorm"]),
    ("attn_kv_b", &["self_attn.kv_b_proj", "attn_k_b", "attn_v_b"]),
    ("indexer.k_norm", &["self_attn.indexer.k_norm"]),
    ("indexer.proj", &["self_attn.indexer.weights_proj"]),
    ("indexer.attn_k", &["self_attn.indexer.wk"]),
    ("indexer.attn_q_b", &["self_attn.indexer.wq_b"]),
    ("post_attention_norm", &["post_self_attn_layernorm"]),
    ("ffn_norm", &["post_attention_layernorm", "feedforward_layernorm", "pre_feedforward_layernorm",
        "pre_ff_layernorm", "pre_mlp_layernorm", "norm_2", "ln_2"]),
    ("post_ffw_norm", &["post_feedforward_layernorm", "post_mlp_layernorm"]),
    ("ffn_gate", &["mlp.gate_proj", "feed_forward.gate_proj", "feed_forward.w1"]),
    ("ffn_up", &["mlp.up_proj", "mlp.gate_up_proj", "mlp.c_fc", "mlp.fc1", "mlp.dense_h_to_4h",
        "feed_forward.up_proj", "feed_forward.w3", "ffn.up_proj", "mixer.up_proj"]),
    ("ffn_down", &["mlp.down_proj", "mlp.c_proj", "mlp.fc2", "mlp.dense_4h_to_h", "feed_forward.down_proj",
        "feed_forward.w2", "ffn.down_proj", "mixer.down_proj"]),
    ("ffn_sub_norm", &["mlp.ffn_sub_norm"]),
    ("ffn_gate_inp", &["mlp.gate", "mlp.gate.wg", "mlp.router", "mlp.router.gate", "block_sparse_moe.gate",
        "block_sparse_moe.router.layer", "feed_forward.gate", "feed_forward.router", "ffn.router.layer",
        "mixer.gate"]),
    ("exp_probs_b", &["mlp.expert_bias", "mlp.gate.e_score_correction_bias",
        "mlp.moe_statics.e_score_correction_bias", "block_sparse_moe.e_score_correction_bias",
        "feed_forward.expert_bias", "mixer.gate.e_score_correction_bias"]),
    ("ffn_gate_exps", &["mlp.experts.gate_proj", "block_sparse_moe.experts.w1",
        "feed_forward.experts.gate_proj", "feed_forward.experts.w1", "ffn.experts.mlp.w1"]),
    ("ffn_up_exps", &["mlp.experts.up_proj", "mlp.experts.gate_up_proj", "block_sparse_moe.experts.w3",
        "block_sparse_moe.input_linear", "feed_forward.experts.up_proj",
        "feed_forward.experts.gate_up_proj", "feed_forward.experts.w3", "ffn.experts.mlp.v1",
        "mixer.experts.up_proj"]),
    ("ffn_down_exps", &["mlp.experts.down_proj", "block_sparse_moe.experts.w2",
        "block_sparse_moe.output_linear", "feed_forward.experts.down_proj", "feed_forward.experts.w2",
        "ffn.experts.mlp.w2", "mixer.experts.down_proj"]),
    ("ffn_gate_inp_shexp", &["mlp.shared_expert_gate"]),
    ("ffn_gate_shexp", &["mlp.shared_expert.gate_proj", "mlp.shared_experts.gate_proj",
        "mlp.shared_mlp.gate_proj", "feed_forward.shared_expert.gate_proj"]),
    ("ffn_up_shexp", &["mlp.shared_expert.up_proj", "mlp.shared_experts.up_proj", "mlp.shared_mlp.up_proj",
        "feed_forward.shared_expert.up_proj", "mixer.shared_experts.up_proj", "shared_mlp.input_linear"]),
    ("ffn_down_shexp", &["mlp.shared_expert.down_proj", "mlp.shared_experts.down_proj",
        "mlp.shared_mlp.down_proj", "feed_forward.shared_expert.down_proj",
        "mixer.shared_experts.down_proj", "shared_mlp.output_linear"]),
    ("ffn_latent_down", &["mixer.fc1_latent_proj"]),
    ("ffn_latent_up", &["mixer.fc2_latent_proj"]),
    ("ssm_in", &["mamba.in_proj", "mixer.in_proj"]),
    ("ssm_conv1d", &["mamba.conv1d", "mixer.conv1d", "linear_attn.conv1d"]),
    ("ssm_x", &["mamba.x_proj", "mixer.x_proj"]),
    ("ssm_dt", &["mamba.dt_proj", "mamba.dt_bias", "mixer.dt_proj", "mixer.dt_bias", "linear_attn.dt_bias"]),
    ("ssm_a", &["mamba.A_log", "mixer.A_log", "linear_attn.A_log"]),
    ("ssm_d", &["mamba.D", "mixer.D"]),
    ("ssm_norm", &["mamba.norm", "mixer.norm", "linear_attn.norm"]),
    ("ssm_dt_norm", &["mamba.dt_layernorm"]),
    ("ssm_b_norm", &["mamba.b_layernorm"]),
    ("ssm_c_norm", &["mamba.c_layernorm"]),
    ("ssm_out", &["mamba.out_proj", "mixer.out_proj", "linear_attn.out_proj"]),
    ("ssm_ba", &["linear_attn.in_proj_ba"]),
    ("ssm_alpha", &["linear_attn.in_proj_a"]),
    ("ssm_beta", &["linear_attn.in_proj_b"]),
    ("shortconv.conv", &["conv.conv"]),
    ("shortconv.in_proj", &["conv.in_proj"]),
    ("shortconv.out_proj", &["conv.out_proj"]),
];
