//! RWKV-4: a weighted sum of all values before, kept as a numerator and a denominator for each channel.
//!
//! ```text
//! embed → norm → L × [ norm → shift → key, value, receptance → weighted sum · receptance → output ]
//!                    [ norm → shift → key → value, · receptance ] → norm → head
//! ```
//!
//! A shift mixes a token with the one before. `model` counts it and the sum, see
//! [`RecurrentKind::needed`](crate::op::RecurrentKind::needed); `torch` counts neither, for both are carried
//! out element by element. The first half of a layer counts under `recurrent`, the second under `mlp`.

use super::parts::{decoder_of, head, layer_norm, mlp, tied, vector};
use super::recurrent::projection;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Recurrent, RecurrentKind};

pub(super) const MODEL_TYPES: &[&str] = &["rwkv"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let width = c.size_or("attention_hidden_size", d)?;
    let inner = c.size_or("intermediate_size", 4 * d)?;
    let shift =
        |module, mixes| Recurrent::new(module, RecurrentKind::Shift { channels: d, mixes }).into();
    let layer = vec![
        layer_norm("ln1", d, true),
        shift("attention.time_shift", 3),
        projection("attention.key", d, width).into(),
        projection("attention.value", d, width).into(),
        projection("attention.receptance", d, width).into(),
        vector("attention.time_decay", width),
        vector("attention.time_first", width),
        Recurrent::new("attention", RecurrentKind::Weighted { channels: width }).into(),
        projection("attention.output", width, d).into(),
        layer_norm("ln2", d, true),
        shift("feed_forward.time_shift", 2),
        mlp("feed_forward.key", d, inner).into(),
        mlp("feed_forward.value", inner, d).into(),
        mlp("feed_forward.receptance", d, d).into(),
    ];
    let vocab = c.size("vocab_size")?;
    let tied = tied(c, false)?;
    decoder_of(c, vocab, d, head(d, vocab, tied), layer_norm("rwkv.ln_out", d, true), |index| {
        let mut ops = layer.clone();
        if index == 0 {
            ops.insert(0, layer_norm("pre_ln", d, true));
        }
        Ok(ops)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{model, parameters};
    use crate::{Component, Convention, Workload};

    /// RWKV-4-7B.
    const RWKV: &str = r#"{"model_type": "rwkv", "hidden_size": 4096, "num_hidden_layers": 32,
        "attention_hidden_size": 4096, "intermediate_size": 16384, "context_length": 1024,
        "vocab_size": 50277, "tie_word_embeddings": false, "dtype": "bfloat16"}"#;

    #[test]
    fn rwkv_has_as_many_parameters_as_its_paper_says() {
        // arXiv:2305.13048, appendix B: 2·V·D + 13·D²·L + D·(11·L + 4).
        let (d, layers, vocab) = (4096_u128, 32, 50_277);
        let published = 2 * vocab * d + 13 * d * d * layers + d * (11 * layers + 4);
        assert_eq!(parameters(RWKV), published);
        assert!(model(RWKV).unread().is_empty() && model(RWKV).notes().is_empty());
    }

    #[test]
    fn the_state_is_counted_by_the_algorithm_and_not_by_the_counter() {
        let rwkv = model(RWKV);
        let recurrent = |convention| {
            rwkv.flops(&Workload::request(1, 1), &convention).unwrap().prefill[Component::Recurrent]
        };
        let linear = 32 * 4 * 2 * 4096 * 4096;
        assert_eq!(recurrent(Convention::TORCH), linear);
        // Nine for the weighted sum, and five mixes of two products and a sum, as a convolution's.
        assert_eq!(recurrent(Convention::MODEL), linear + 32 * 4096 * (9 + 5 * 4));
    }
}
