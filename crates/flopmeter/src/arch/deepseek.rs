//! DeepSeek-V2, V3, R1, Kimi-K2, Mistral Small 4, Sarvam-105B, A.X K1 and GLM-4.7-Flash: attention over a compressed cache, and many
//! small experts.
//!
//! ```text
//! embed → L × [ norm → queries, latent → attend → out ] [ norm → feed-forward ] → norm → head
//! queries       q, or q_a → norm → q_b where they are compressed too
//! latent        kv_a → norm → one vector and one rotary key a token, which is all that is cached
//! attend        kv_b makes each head's keys and values from the vectors (see `op::Latent`)
//! feed-forward  dense in the first layers, then router → k of E × (gate, up → down) + shared (gate, up → down)
//! ```
//!
//! V3's router has a correction for each expert. It is a buffer: stored and read, and no parameter.
//! A.X K1 norms what its experts return. It and GLM-4.7-Flash may list which layers are dense.

use super::experts::DenseFirst;
use super::feed_forward::{CORRECTION, FeedForward, one_dense_layer, sparse_layers};
use super::parts::{
    Heads, decoder, note_prediction_layers, pre_normed, projection, rms_norm, tied,
};
use super::prediction::with_prediction_layers;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Latent, Op};

pub(super) const MODEL_TYPES: &[&str] =
    &["axk1", "deepseek_v2", "deepseek_v3", "glm4_moe_lite", "kimi_k2", "mistral4", "sarvam_mla"];

pub(super) fn build(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    if matches!(c.model_type(), "axk1" | "glm4_moe_lite") {
        return listed(c);
    }
    let d = c.size("hidden_size")?;
    let v2 = c.model_type() == "deepseek_v2";
    let class = match c.model_type() {
        "mistral4" => &MISTRAL,
        "sarvam_mla" => &SARVAM,
        _ => &DEEPSEEK,
    };
    let attention = LatentAttention::read_or(c, d, class)?;
    let mlp_bias = v2 && c.flag("mlp_bias", false)?;
    let ffn = match c.model_type() {
        "deepseek_v2" => DenseFirst::read(c, 0, 2)?,
        "mistral4" => DenseFirst::read(c, 0, 1)?,
        "sarvam_mla" => DenseFirst::read(c, 1, 1)?.corrected(),
        _ => DenseFirst::read(c, 3, 1)?.corrected(),
    };
    let layer = |layer| pre_normed(d, attention.ops(), ffn.layer(layer, d, mlp_bias));
    let model = decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |at| Ok(layer(at)))?;
    with_prediction_layers(c, model, d, layer(u64::MAX))
}

/// The types whose layers are dense or not as `mlp_layer_types` says.
fn listed(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let axk1 = c.model_type() == "axk1";
    let attention = LatentAttention::read_or(c, d, if axk1 { &DEEPSEEK } else { &GLM_FLASH })?;
    let ffn = FeedForward::read(c, "n_routed_experts")?
        .sharing(c, "n_shared_experts", 1)?
        .corrected(CORRECTION);
    let (first, every) = if axk1 {
        // Older keys, which its class takes for 1 without a word where they are absent.
        let first = c.count("first_k_dense_replace")?.unwrap_or(1);
        (first, c.maybe("moe_layer_freq")?.unwrap_or(1))
    } else {
        one_dense_layer(c)?;
        (1, 1)
    };
    let sparse = sparse_layers(c, |layer| layer >= first && layer.is_multiple_of(every))?;
    let layer = |sparse: bool| {
        let mut ffn = ffn.layer(sparse, d, false);
        if axk1 && sparse {
            ffn.push(rms_norm("post_mlp_layernorm", d));
        }
        pre_normed(d, attention.ops(), ffn)
    };
    let model =
        decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |at| Ok(layer(sparse(at))))?;
    if axk1 { Ok(model) } else { with_prediction_layers(c, model, d, layer(true)) }
}

/// The widths that a class takes where its configs have none.
pub(super) struct LatentDefaults {
    /// Of a key's part that comes from the latent.
    pub nope: u64,
    /// Of a key's rotary part.
    pub rope: u64,
    /// Of a value; without one, the heads share the model's width.
    pub value: Option<u64>,
    /// Of the latent.
    pub rank: u64,
    /// Of compressed queries; without one, they are not.
    pub query_rank: Option<u64>,
}

pub(super) const DEEPSEEK: LatentDefaults =
    LatentDefaults { nope: 128, rope: 64, value: Some(128), rank: 512, query_rank: Some(1536) };
const MISTRAL: LatentDefaults =
    LatentDefaults { nope: 64, rope: 64, value: Some(128), rank: 256, query_rank: Some(1024) };
const SARVAM: LatentDefaults = LatentDefaults { query_rank: None, ..DEEPSEEK };
const GLM_FLASH: LatentDefaults =
    LatentDefaults { nope: 192, rope: 64, value: Some(256), rank: 512, query_rank: Some(768) };

/// Multi-head latent attention with its projections.
#[derive(Debug, Clone, Copy)]
pub(super) struct LatentAttention {
    pub hidden: u64,
    /// Width that queries are compressed to, if they are.
    pub query_rank: Option<u64>,
    pub latent: Latent,
    /// Whether the projections at both ends have biases.
    bias: bool,
}

impl LatentAttention {
    pub(super) fn read(c: &Config, hidden: u64) -> Result<Self> {
        Self::read_or(c, hidden, &DEEPSEEK)
    }

    /// The same of a class with other defaults.
    pub(super) fn read_or(c: &Config, hidden: u64, class: &LatentDefaults) -> Result<Self> {
        let heads = c.size("num_attention_heads")?;
        // Keys and values are made for every head; files state their number all the same.
        if let Some(kv) = c.maybe("num_key_value_heads")?.filter(|kv| *kv != heads) {
            return Err(c
                .contradiction(
                    "num_key_value_heads",
                    &format!("is {kv}, but all {heads} heads share one latent"),
                )
                .hint("take it out, or check `num_attention_heads`"));
        }
        let nope = c.size_or("qk_nope_head_dim", class.nope)?;
        let rope = c.size_or("qk_rope_head_dim", class.rope)?;
        // Both follow from the two above.
        let _derived = (c.raw("qk_head_dim"), c.raw("head_dim"));
        let rank = c.size_or("kv_lora_rank", class.rank)?;
        let value = match class.value {
            Some(value) => c.size_or("v_head_dim", value)?,
            None => Heads::checked(c, hidden, heads, heads, c.maybe("v_head_dim")?)?.dim,
        };
        Ok(Self {
            hidden,
            query_rank: match class.query_rank {
                Some(rank) => c.maybe_or("q_lora_rank", rank)?,
                None => c.maybe("q_lora_rank")?,
            },
            latent: Latent::new("self_attn", heads, rank, nope, rope, value),
            bias: c.flag("attention_bias", false)?,
        })
    }

    pub(super) fn ops(&self) -> Vec<Op> {
        let Self { hidden, bias, latent: Latent { heads, rank, nope, rope, value, .. }, .. } =
            *self;
        let queries = heads * (nope + rope);
        let mut ops: Vec<Op> = match self.query_rank {
            Some(rank) => vec![
                projection("self_attn.q_a_proj", hidden, rank).bias(bias).into(),
                rms_norm("self_attn.q_a_layernorm", rank),
                projection("self_attn.q_b_proj", rank, queries).into(),
            ],
            None => vec![projection("self_attn.q_proj", hidden, queries).into()],
        };
        ops.extend([
            projection("self_attn.kv_a_proj_with_mqa", hidden, rank + rope).bias(bias).into(),
            rms_norm("self_attn.kv_a_layernorm", rank),
            self.latent.into(),
            projection("self_attn.o_proj", heads * value, hidden).bias(bias).into(),
        ]);
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};

    /// DeepSeek-V3 without its further prediction layer.
    const V3: &str = r#"{"model_type": "deepseek_v3", "attention_bias": false,
        "first_k_dense_replace": 3, "hidden_size": 7168, "intermediate_size": 18432,
        "kv_lora_rank": 512, "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_group": 8,
        "n_routed_experts": 256, "n_shared_experts": 1, "num_attention_heads": 128,
        "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128,
        "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16", "v_head_dim": 128,
        "vocab_size": 129280}"#;

    #[test]
    fn v3_has_as_many_parameters_as_published() {
        // Attention: q_a 7168·1536, norm 1536, q_b 1536·128·192, kv_a 7168·576, norm 512,
        // kv_b 512·128·256, out 128·128·7168: 187,107,328. 61 of them with two norms of 7168.
        // Dense 3·(3·7168·18432), others 58·(7168·256 + 257·3·7168·2048), 2·129280·7168, a norm.
        let attention: u128 = 187_107_328 + 2 * 7168;
        let dense: u128 = 3 * 7168 * 18_432;
        let routed: u128 = 7168 * 256 + 257 * 3 * 7168 * 2048;
        let total = 61 * attention + 3 * dense + 58 * routed + 2 * 129_280 * 7168 + 7168;
        // The published 671,026,419,200 are these and 58·256 corrections.
        assert_eq!(total, 671_026_419_200 - 58 * 256);
        let v3 = model(V3);
        assert_eq!(v3.parameters().total, total);
        // 37B in the paper (arXiv:2412.19437): 8 of 256 experts.
        assert_eq!(v3.parameters().active, total - 58 * 248 * 3 * 7168 * 2048);
        assert!(v3.unread().is_empty() && v3.notes().is_empty());
    }

    #[test]
    fn null_means_that_queries_are_not_compressed_and_absence_the_default() {
        let null = V3.replace("\"q_lora_rank\": 1536", "\"q_lora_rank\": null");
        let (lora, plain) = (7168 * 1536 + 1536 + 1536 * 128 * 192, 7168 * 128 * 192);
        assert_eq!(parameters(&null), parameters(V3) - 61 * lora + 61 * plain);
        let absent = model(&V3.replace("q_lora_rank", "no_rank"));
        assert_eq!(absent.parameters().total, parameters(V3));
        assert_eq!(
            absent.notes(),
            ["`q_lora_rank` is absent; the reference implementation of `deepseek_v3` takes 1536"]
        );
    }

    #[test]
    fn what_latent_attention_cannot_have_is_an_fact() {
        let grouped = V3.replace("value_heads\": 128", "value_heads\": 8");
        assert!(fact(&grouped).starts_with("`num_key_value_heads`: is 8, but all 128 heads"));
        let turns = V3.replace("layer_freq\": 1", "layer_freq\": 2");
        assert_eq!(fact(&turns), "`moe_layer_freq`: is 2; only 1 is counted");
    }

    #[test]
    fn a_multimodal_config_needs_its_language_model() {
        assert_eq!(
            fact(r#"{"model_type": "kimi_k25", "vision_config": {}}"#),
            "`text_config`: is missing"
        );
        let whole = format!(r#"{{"model_type": "kimi_k25", "text_config": {V3}}}"#);
        assert_eq!(parameters(&whole), parameters(V3));
    }
}
