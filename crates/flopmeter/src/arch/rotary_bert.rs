//! BERTs with rotary positions: Nomic's, GTE and Jina embeddings v3.
//!
//! ```text
//! embed + segments → norm → L × [ q, k, v → attend to all → o → norm ] [ gate, up → down → norm ] (→ pool or head)
//! ```
//!
//! Nomic's layers have no biases. Jina's feed-forward layer is plain, and its model ends with a pooler.

use super::bert::{decoder_head, transform};
use super::parts::{Heads, head, layer_norm, mlp, table, tied};
use super::task::{Task, classify, everywhere, for_each_token, for_sequence};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["gte", "jina_embeddings_v3", "nomic_bert"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let [gte, jina] = ["gte", "jina_embeddings_v3"].map(|name| c.model_type() == name);
    // Files of Nomic's spell the sizes as GPT-2's do.
    let d = c.size_of(&["hidden_size", "n_embd"])?;
    let f = c.size_of(&["intermediate_size", "n_inner"])?;
    let heads = c.size_of(&["num_attention_heads", "n_head"])?;
    let heads = Heads::checked(c, d, heads, heads, c.maybe("head_dim")?)?;
    let layers = c.size_of(&["num_hidden_layers", "n_layer"])?;
    let vocab = c.size("vocab_size")?;
    let segments = c.count_or("type_vocab_size", if gte || jina { 1 } else { 2 })?;
    let bias = gte || jina;

    let mut model = Builder::new(c)?;
    let mut first = vec![table("embeddings.word_embeddings", vocab, d)];
    if segments > 0 {
        first.push(table("embeddings.token_type_embeddings", segments, d));
    }
    first.push(layer_norm("embeddings.LayerNorm", d, true));
    model.once("embedding", first);
    model.layers(layers, |_| {
        let mut ops = heads.attention(d, bias, bias, Mask::Full);
        ops.push(layer_norm("post_attention_layernorm", d, true));
        if jina {
            ops.push(mlp("mlp.fc1", d, f).bias(true).into());
            ops.push(mlp("mlp.fc2", f, d).bias(true).into());
        } else {
            ops.push(mlp("mlp.gate_proj", d, f).into());
            ops.push(mlp("mlp.up_proj", d, f).into());
            ops.push(mlp("mlp.down_proj", f, d).bias(gte).into());
        }
        ops.push(layer_norm("post_mlp_layernorm", d, true));
        Ok(ops)
    })?;
    let last: Vec<Op> = match Task::of(c)? {
        Task::Embed if jina => vec![for_sequence("pooler.dense", d, d).into()],
        Task::Embed => vec![],
        Task::Predict => {
            let tied = tied(c, true)?;
            // GTE's one bias is the head's own.
            let head: Vec<Op> = match gte {
                true => vec![head(d, vocab, tied).bias(true).into()],
                false => decoder_head(d, vocab, tied).into(),
            };
            everywhere(transform(d, d).into_iter().chain(head)).collect()
        }
        Task::ClassifySequence(labels) => match jina {
            true => classify("classifier.dense", "classifier.out_proj", d, labels).into(),
            false => classify("pooler.dense", "classifier", d, labels).into(),
        },
        Task::ClassifyTokens(labels) => vec![for_each_token("classifier", d, labels).into()],
        task @ Task::PreTrain => return task.unknown(c),
    };
    model.head(last)?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::parameters;

    #[test]
    fn nomic_embed_text_has_its_published_137_million() {
        let text = r#"{"model_type": "nomic_bert", "n_embd": 768, "n_layer": 12, "n_head": 12,
            "n_inner": 3072, "vocab_size": 30528, "type_vocab_size": 2, "architectures": ["NomicBertModel"]}"#;
        // 30,530·768 and a norm of 1536. A layer: 4·768² + 3·768·3072, two norms of 1536.
        let layer: u128 = 4 * 768 * 768 + 3 * 768 * 3072 + 2 * 1536;
        assert_eq!(parameters(text), 30_530 * 768 + 1536 + 12 * layer);
        assert_eq!((parameters(text) + 500_000) / 1_000_000, 137);
    }
}
