//! ERNIE 4.5 with experts: a run of layers has them, some shared by every token.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → feed-forward ] → norm → head
//! feed-forward, of experts router + correction → k of E × (gate, up → down) + shared (gate, up → down)
//!               dense      gate, up → down
//! ```
//!
//! `use_bias` gives a bias to every matrix but the router and the routed experts.

use super::experts::{self, IN_MLP, SHARED_IN_MLP};
use super::parts::{
    Heads, decoder_of, gated_mlp, head, note_prediction_layers, pre_normed, rms_norm, tied, vector,
};
use super::prediction::{ERNIE, with_layers};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;
use serde_json::Value;

pub(super) const MODEL_TYPES: &[&str] = &["ernie4_5_moe"];

pub(super) fn build(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 4, None)?;
    let f = c.size("intermediate_size")?;
    let expert = c.size("moe_intermediate_size")?;
    let bias = c.flag("use_bias", false)?;
    let vocab = c.size("vocab_size")?;
    let head = head(d, vocab, tied(c, true)?).bias(bias);
    let experts = experts::read(c, "moe_num_experts", "moe_k")?;
    let shared = c.count_or("moe_num_shared_experts", 2)?;
    let first = c.count_or("moe_layer_start_index", 1)?;
    let last = last_layer_of_experts(c)?;
    let interval = c.size_or("moe_layer_interval", 1)?;
    let attention = || heads.attention(d, bias, bias, Mask::Causal);
    let model = decoder_of(c, vocab, d, head, rms_norm("model.norm", d), |layer| {
        let attention = attention();
        if !(layer + 1).is_multiple_of(interval) || layer < first || layer > last {
            return Ok(pre_normed(d, attention, gated_mlp(d, f, bias)));
        }
        let mut mlp = experts::mixture(IN_MLP, d, expert, experts);
        mlp.push(vector("mlp.moe_statics.e_score_correction_bias", experts.total));
        if shared > 0 {
            mlp.extend(experts::shared(SHARED_IN_MLP, d, shared * expert, bias));
        }
        Ok(pre_normed(d, attention, mlp))
    })?;
    let count = c.count("num_nextn_predict_layers")?;
    let further = pre_normed(d, attention(), gated_mlp(d, f, bias));
    with_layers(c, model, d, count, &ERNIE, further)
}

/// `moe_layer_end_index`; −1, the class's default, means the last layer.
fn last_layer_of_experts(c: &Config) -> Result<u64> {
    const KEY: &str = "moe_layer_end_index";
    if c.raw(KEY).and_then(Value::as_i64) == Some(-1) {
        return Ok(u64::MAX);
    }
    if let Some(last) = c.count(KEY)? {
        return Ok(last);
    }
    c.note_default(KEY, "-1");
    Ok(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};

    /// ERNIE-4.5-21B-A3B.
    const ERNIE: &str = r#"{"model_type": "ernie4_5_moe", "hidden_size": 2560,
        "intermediate_size": 12288, "moe_intermediate_size": 1536, "moe_k": 6,
        "moe_layer_end_index": -1, "moe_layer_interval": 1, "moe_layer_start_index": 1,
        "moe_num_experts": 64, "moe_num_shared_experts": 2, "num_attention_heads": 20,
        "num_hidden_layers": 28, "num_key_value_heads": 4, "tie_word_embeddings": true,
        "torch_dtype": "bfloat16", "use_bias": false, "vocab_size": 103424}"#;

    #[test]
    fn ernie_has_the_parameters_that_its_name_states() {
        // Attention 2·2560·(2560 + 512) and two norms, 28 times; one dense layer of 3·2560·12288;
        // 27 of 2560·64 + 64 + 66·3·2560·1536; 103424·2560 and a norm: 21.8 billion.
        let attention: u128 = 2 * 2560 * 3072 + 2 * 2560;
        let routed: u128 = 2560 * 64 + 64 + 66 * 3 * 2560 * 1536;
        let total = 28 * attention + 3 * 2560 * 12_288 + 27 * routed + 103_424 * 2560 + 2560;
        let ernie = model(ERNIE);
        assert_eq!(total, 21_825_437_888);
        assert_eq!(ernie.parameters().total, total);
        assert!(ernie.unread().is_empty());
        let shared =
            "`head_dim` is absent; the reference implementation of `ernie4_5_moe` takes 128";
        assert_eq!(ernie.notes(), [shared]);
    }

    #[test]
    fn the_last_layer_of_experts_is_stated_or_the_last() {
        let stated = ERNIE.replace("end_index\": -1", "end_index\": 27");
        assert_eq!(parameters(&stated), parameters(ERNIE));
        let never = ERNIE.replace("end_index\": -1", "end_index\": -2");
        assert!(fact(&never).starts_with("`moe_layer_end_index`: is -2"));
    }
}
