//! Metadata → the config.json that says the same, and names of tensors → those of a checkpoint.

use super::{Header, Value};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::weights::{Tensor, Weights};
use serde_json::{Map, json};
use std::sync::Arc;

/// `general.architecture` and the `model_type` that it is.
const ARCHITECTURES: &[(&str, &str)] = &[
    ("llama", "llama"),
    ("qwen2", "qwen2"),
    ("qwen3", "qwen3"),
    ("qwen3moe", "qwen3_moe"),
    ("gemma", "gemma"),
    ("gemma2", "gemma2"),
    ("gemma3", "gemma3_text"),
    ("phi3", "phi3"),
];

/// Modules outside layers.
const OUTSIDE: &[(&str, &str)] =
    &[("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

/// Modules of a layer, where no architecture calls them otherwise.
const INSIDE: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_qkv", "self_attn.qkv_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("ffn_gate_inp", "mlp.gate"),
    ("ffn_gate_exps", "mlp.experts.gate_proj"),
    ("ffn_up_exps", "mlp.experts.up_proj"),
    ("ffn_down_exps", "mlp.experts.down_proj"),
];

/// Those that one type calls otherwise.
const OTHERWISE: &[(&[&str], &str, &str)] = &[
    (&["gemma2", "gemma3_text"], "post_attention_norm", "post_attention_layernorm"),
    (&["gemma2", "gemma3_text"], "ffn_norm", "pre_feedforward_layernorm"),
    (&["gemma2", "gemma3_text"], "post_ffw_norm", "post_feedforward_layernorm"),
    (&["phi3"], "ffn_up", "mlp.gate_up_proj"),
    (&["mixtral"], "ffn_gate_inp", "block_sparse_moe.gate"),
    (&["mixtral"], "ffn_gate_exps", "block_sparse_moe.experts.w1"),
    (&["mixtral"], "ffn_up_exps", "block_sparse_moe.experts.w3"),
    (&["mixtral"], "ffn_down_exps", "block_sparse_moe.experts.w2"),
];

impl Header {
    /// The config that the metadata says, with the tensors of all of the model's files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Architecture`] for an architecture that is not read, [`ErrorKind::Config`] for a size
    /// that is missing or a list, [`ErrorKind::Weights`] for a table of tokens that is missing.
    pub fn config(&self, tensors: Vec<Tensor>) -> Result<Config> {
        let name = self.text("general.architecture").ok_or_else(|| {
            Error::new(ErrorKind::Architecture, "key `general.architecture`", "is missing")
        })?;
        let known = ARCHITECTURES.iter().find(|(known, _)| *known == name);
        let &(_, mut model_type) = known.ok_or_else(|| {
            let all: Vec<&str> = ARCHITECTURES.iter().map(|(known, _)| *known).collect();
            let fact = format!("\"{}\" is not read from GGUF yet", shown(name));
            Error::new(ErrorKind::Architecture, "key `general.architecture`", fact)
                .hint(format!("read are: {}; or give the model's config.json", all.join(", ")))
        })?;
        let number = |key: &str| self.size(&format!("{name}.{key}"));
        let experts = number("expert_count")?.filter(|count| *count > 0);
        if model_type == "llama" && experts.is_some() {
            model_type = "mixtral";
        }
        let find = |name: &str| tensors.iter().find(|tensor| tensor.name == name);
        let embedding = find("token_embd.weight").ok_or_else(|| {
            Error::new(ErrorKind::Weights, "tensor `token_embd.weight`", "is missing")
                .hint("give the first of the model's files")
        })?;
        let heads = number("attention.head_count")?;
        let mut config = Map::new();
        let mut set = |key: &str, value: Option<u64>| {
            if let Some(value) = value {
                config.insert(key.into(), value.into());
            }
        };
        set("vocab_size", embedding.shape.first().copied());
        set("hidden_size", number("embedding_length")?);
        set("num_hidden_layers", number("block_count")?);
        set("intermediate_size", number("feed_forward_length")?);
        set("num_attention_heads", heads);
        set("num_key_value_heads", number("attention.head_count_kv")?.or(heads));
        set("head_dim", number("attention.key_length")?);
        if model_type != "llama" && !model_type.starts_with("qwen") {
            set("sliding_window", number("attention.sliding_window")?);
        }
        set("num_local_experts", experts.filter(|_| model_type == "mixtral"));
        set("num_experts", experts.filter(|_| model_type == "qwen3_moe"));
        if experts.is_some() {
            set("num_experts_per_tok", number("expert_used_count")?);
            set("moe_intermediate_size", number("expert_feed_forward_length")?);
        }
        let object = json!({
            "model_type": model_type,
            "torch_dtype": "float16",
            "tie_word_embeddings": find("output.weight").is_none(),
        });
        config.extend(object.as_object().cloned().unwrap_or_default());
        if model_type == "llama" && find("blk.0.attn_q.bias").is_some() {
            config.insert("attention_bias".into(), true.into());
        }
        let weights = Weights::renamed(tensors, |name| renamed(model_type, name))?;
        Ok(Config::from_value(config.into())?.with_weights(Arc::new(weights)))
    }

    /// A size, also where it is a list of equal ones, one a layer.
    fn size(&self, key: &str) -> Result<Option<u64>> {
        match self.keys.get(key) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(*number)),
            Some(Value::Numbers(list)) if list.windows(2).all(|pair| pair[0] == pair[1]) => {
                Ok(list.first().copied())
            }
            Some(_) => {
                let place = format!("key `{}`", shown(key));
                Err(Error::new(ErrorKind::Config, place, "is not one size for all layers")
                    .hint("give the model's config.json"))
            }
        }
    }
}

/// What a checkpoint calls a tensor; `None` for one that is no parameter.
fn renamed(model_type: &str, name: &str) -> Option<String> {
    if name.starts_with("rope_f") {
        return None;
    }
    let (module, end) = name.rsplit_once('.').unwrap_or((name, "weight"));
    let known = |table: &[(&str, &'static str)], module: &str| {
        table.iter().find(|(known, _)| *known == module).map(|(_, name)| *name)
    };
    let Some((layer, module)) = module.strip_prefix("blk.").and_then(|rest| rest.split_once('.'))
    else {
        return Some(
            known(OUTSIDE, module).map_or(name.into(), |module| format!("{module}.{end}")),
        );
    };
    let otherwise = OTHERWISE
        .iter()
        .find(|(types, known, _)| types.contains(&model_type) && *known == module)
        .map(|(_, _, name)| *name);
    let module = otherwise.or_else(|| known(INSIDE, module)).unwrap_or(module);
    Some(format!("model.layers.{layer}.{module}.{end}"))
}
