//! GIT: BERT's layers as a decoder of captions, after the positions of an image. What is counted is the text.
//!
//! ```text
//! image → vision encoder → projection ┐                                       not counted
//! text → embed + positions → norm ────┴→ L × [ as in BERT ] → head
//! ```
//!
//! What an image costs beyond its tokens is left out, and a note says so.

use super::bert::layer;
use super::parts::{Heads, head, layer_norm, note_other_parts, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["git"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = c.size("intermediate_size")?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let positions = c.size_or("max_position_embeddings", 1024)?;
    note_other_parts(c);
    // Frames of a video: each has a vector that is added to its image.
    c.raw("num_image_with_embedding");

    let mut model = Builder::new(c)?;
    model.once(
        "embedding",
        [
            table("git.embeddings.word_embeddings", vocab, d),
            table("git.embeddings.position_embeddings", positions, d),
            layer_norm("git.embeddings.LayerNorm", d, true),
        ],
    );
    model.layers(layers, |_| Ok(layer(heads, d, f, Mask::Causal)))?;
    model.head([head(d, vocab, tied(c, false)?).bias(true).into()])?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;

    #[test]
    fn git_base_counts_its_text_part() {
        // (30,522 + 1024)·768 + 1536 + 6·(4·(768² + 768) + 2·768·3072 + 3072 + 768 + 2·1536) + 30,522·769
        let git = model(
            r#"{"model_type": "git", "hidden_size": 768, "num_hidden_layers": 6, "num_attention_heads": 12,
                "intermediate_size": 3072, "vocab_size": 30522, "max_position_embeddings": 1024,
                "vision_config": {"hidden_size": 768}, "tie_word_embeddings": false}"#,
        );
        let layer: u128 = 4 * 590_592 + 2 * 768 * 3072 + 3072 + 768 + 2 * 1536;
        assert_eq!(git.parameters().total, 31_546 * 768 + 1536 + 6 * layer + 30_522 * 769);
        let left_out = "only the text part is counted, without `vision_config`";
        assert!(git.notes().iter().any(|note| note == left_out), "{:?}", git.notes());
    }
}
