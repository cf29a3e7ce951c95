//! OPT: a learned table of positions, biases throughout, an embedding that may be narrower than the model.
//!
//! ```text
//! embed (→ project in) + positions → L × [ norm → q, k, v → attend → out ] [ norm → fc1 → fc2 ]
//!     → norm (→ project out) → head
//! ```

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied, vector};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["opt"];

/// Rows that stand before the first position in the table of positions.
const POSITION_OFFSET: u64 = 2;

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = c.size("ffn_dim")?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    // Absent or null means the model's width.
    let embedding = c.size_or("word_embed_proj_dim", d)?;
    let positions = c.size_or("max_position_embeddings", 2048)? + POSITION_OFFSET;
    let bias = c.flag("enable_bias", true)?;
    let affine = c.flag("layer_norm_elementwise_affine", true)?;
    let norm = |module| if affine { layer_norm(module, d, true) } else { vector(module, 0) };
    // Where the norms stand behind their halves (OPT-350M), the last layer ends with one already.
    let last_norm =
        c.flag("do_layer_norm_before", true)? && !c.flag("_remove_final_layer_norm", false)?;

    let mut model = Builder::new(c)?;
    let mut first = vec![
        table("model.decoder.embed_tokens", vocab, embedding),
        table("model.decoder.embed_positions", positions, d),
    ];
    if embedding != d {
        first.push(resize("model.decoder.project_in", embedding, d).into());
    }
    model.once("embedding", first);
    model.layers(layers, |_| {
        Ok(vec![
            norm("self_attn_layer_norm"),
            projection("self_attn.q_proj", d, d).bias(bias).into(),
            projection("self_attn.k_proj", d, d).bias(bias).into(),
            projection("self_attn.v_proj", d, d).bias(bias).into(),
            heads.attend(Mask::Causal),
            projection("self_attn.out_proj", d, d).bias(bias).into(),
            norm("final_layer_norm"),
            mlp("fc1", d, f).bias(bias).into(),
            mlp("fc2", f, d).bias(bias).into(),
        ])
    })?;
    let mut last: Vec<Op> = Vec::new();
    if last_norm {
        last.push(norm("model.decoder.final_layer_norm"));
    }
    if embedding != d {
        last.push(resize("model.decoder.project_out", d, embedding).sampled().into());
    }
    last.push(head(embedding, vocab, tied(c, true)?).into());
    model.head(last)?;
    model.finish()
}

/// A projection between the width of the embedding and the model's.
fn resize(module: &'static str, from: u64, to: u64) -> Linear {
    Linear::new(module, Component::EmbeddingProjections, from, to)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const OPT_125M: &str = r#"{"model_type": "opt", "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "ffn_dim": 3072, "vocab_size": 50272,
        "max_position_embeddings": 2048, "word_embed_proj_dim": 768}"#;

    #[test]
    fn published_totals() {
        // Embedding 50272·768 and positions (2048 + 2)·768: 40_183_296. A layer: norms 2·1536,
        // products 12·768², biases 9·768: 7_087_872. Last norm 1536.
        assert_eq!(parameters(OPT_125M), 40_183_296 + 12 * 7_087_872 + 1536);
        assert_eq!(parameters(OPT_125M), 125_239_296);
        // OPT-350M: an embedding of 512, norms behind, no last norm.
        let opt_350m = r#"{"model_type": "opt", "hidden_size": 1024, "num_hidden_layers": 24,
            "num_attention_heads": 16, "ffn_dim": 4096, "vocab_size": 50272,
            "max_position_embeddings": 2048, "word_embed_proj_dim": 512,
            "do_layer_norm_before": false}"#;
        // 50272·512 + 2050·1024 + 2·512·1024 + 24·(4·1024 + 12·1024² + 9·1024)
        assert_eq!(parameters(opt_350m), 331_196_416);
    }

    #[test]
    fn missing_sizes_are_errors() {
        assert_eq!(fact(&OPT_125M.replace("ffn_dim", "ffn")), "`ffn_dim`: is missing");
        assert_eq!(
            fact(&OPT_125M.replace(r#"proj_dim": 768"#, r#"proj_dim": 0"#)),
            "`word_embed_proj_dim`: is 0, which is no size"
        );
    }
}
