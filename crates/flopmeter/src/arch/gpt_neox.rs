//! GPT-NeoX (Pythia, Dolly, RedPajama-INCITE) and Persimmon: a fused projection, an ungated feed-forward
//! layer, two norms and biases throughout.
//!
//! ```text
//! embed → L × [ norm → qkv → (norms of q and k) → attend → out ] [ norm → up → down ] → norm → head
//! ```
//!
//! The Japanese GPT-NeoX states its feed-forward width as a multiple of the model's, and has one bias. Whether
//! the two halves run side by side (`use_parallel_residual`) changes no count.

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["gpt_neox", "gpt_neox_japanese", "persimmon"];

/// What the two call their parts.
struct Names {
    embedding: &'static str,
    attention: [&'static str; 3],
    norm: &'static str,
}

const GPT_NEOX: Names = Names {
    embedding: "gpt_neox.embed_in",
    attention: ["attention.query_key_value", "attention", "attention.dense"],
    norm: "gpt_neox.final_layer_norm",
};

const PERSIMMON: Names = Names {
    embedding: "model.embed_tokens",
    attention: ["self_attn.query_key_value", "self_attn", "self_attn.dense"],
    norm: "model.final_layernorm",
};

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.model_type() == "gpt_neox_japanese" {
        return japanese(c);
    }
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = c.size("intermediate_size")?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let (names, bias, norms) = match c.model_type() {
        "persimmon" => (PERSIMMON, true, c.flag("qk_layernorm", true)?),
        _ => (GPT_NEOX, c.flag("attention_bias", true)?, false),
    };

    let mut model = Builder::new(c)?;
    model.once("embedding", [table(names.embedding, vocab, d)]);
    model.layers(layers, |_| {
        let [qkv, attention, out] = names.attention;
        let mut ops = vec![
            layer_norm("input_layernorm", d, true),
            projection(qkv, d, 3 * d).bias(bias).into(),
        ];
        if norms {
            // One for all heads.
            ops.push(layer_norm("self_attn.q_layernorm", heads.dim, true));
            ops.push(layer_norm("self_attn.k_layernorm", heads.dim, true));
        }
        ops.extend([
            heads.attend_in(attention, Mask::Causal),
            projection(out, d, d).bias(bias).into(),
            layer_norm("post_attention_layernorm", d, true),
            mlp("mlp.dense_h_to_4h", d, f).bias(true).into(),
            mlp("mlp.dense_4h_to_h", f, d).bias(true).into(),
        ]);
        Ok(ops)
    })?;
    let tied = tied(c, false)?;
    model.head([layer_norm(names.norm, d, true), head(d, vocab, tied).into()])?;
    model.finish()
}

/// Without biases but one: what attention of the last layer puts out.
fn japanese(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = d * c.size_or("intermediate_multiple_size", 4)?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("gpt_neox_japanese.embed_in", vocab, d)]);
    model.layers(layers, |layer| {
        let [qkv, attention, out] = GPT_NEOX.attention;
        Ok(vec![
            layer_norm("input_layernorm", d, true),
            projection(qkv, d, 3 * d).into(),
            heads.attend_in(attention, Mask::Causal),
            projection(out, d, d).bias(layer + 1 == layers).into(),
            layer_norm("post_attention_layernorm", d, true),
            mlp("mlp.dense_h_to_4h", d, f).into(),
            mlp("mlp.dense_4h_to_h", f, d).into(),
        ])
    })?;
    let norm = layer_norm("gpt_neox_japanese.final_layer_norm", d, true);
    model.head([norm, head(d, vocab, tied(c, true)?).into()])?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const PYTHIA_160M: &str = r#"{"model_type": "gpt_neox", "hidden_size": 768,
        "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "vocab_size": 50304}"#;

    #[test]
    fn published_totals() {
        // Embedding and head 2·50304·768 = 77_266_944. A layer: norms 2·1536, qkv 768·2304 + 2304,
        // out 768·768 + 768, mlp 2·768·3072 + 3072 + 768: 7_087_872. Last norm 1536.
        assert_eq!(parameters(PYTHIA_160M), 77_266_944 + 12 * 7_087_872 + 1536);
        assert_eq!(parameters(PYTHIA_160M), 162_322_944);
        let persimmon = r#"{"model_type": "persimmon", "hidden_size": 4096, "num_hidden_layers": 36,
            "num_attention_heads": 64, "intermediate_size": 16384, "vocab_size": 262144}"#;
        assert_eq!(parameters(persimmon), 9_397_175_296);
    }

    #[test]
    fn gpt_neox_japanese_2_7b_has_a_bias_in_its_last_layer() {
        // 32,000·2560 + 32·(12·2560² + 2·5120) + 2560 + 5120
        let japanese = r#"{"model_type": "gpt_neox_japanese", "hidden_size": 2560,
            "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32000}"#;
        assert_eq!(parameters(japanese), 2_598_837_760);
    }

    #[test]
    fn heads_must_divide_the_width() {
        assert_eq!(
            fact(&PYTHIA_160M.replace(r#"_heads": 12"#, r#"_heads": 7"#)),
            "`num_attention_heads`: 7 heads do not divide the width 768 evenly"
        );
    }
}
