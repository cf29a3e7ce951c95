//! EuroBERT: Llama's layers, of which each token sees all.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend to all → o ] [ norm → gate, up → down ] → norm (→ head)
//! ```

use super::parts::{Heads, gated_mlp, head, pre_normed, rms_norm, table, tied};
use super::task::{Task, classify, everywhere, for_each_token};
use crate::config::Config;
use crate::error::{Result, shown};
use crate::model::{Builder, Model};
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["eurobert"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read(c, d)?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let bias = c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("embed_tokens", vocab, d)]);
    model.layers(layers, |_| {
        let attention = heads.attention(d, bias, bias, Mask::Full);
        Ok(pre_normed(d, attention, gated_mlp(d, f, mlp_bias)))
    })?;
    let mut last = vec![rms_norm("norm", d)];
    last.extend::<Vec<Op>>(match Task::of(c)? {
        Task::Embed => vec![],
        Task::Predict => {
            // Its bias is the feed-forward layers'.
            everywhere([head(d, vocab, tied(c, false)?).bias(mlp_bias).into()]).collect()
        }
        Task::ClassifySequence(labels) => sequence(c, d, labels)?,
        Task::ClassifyTokens(labels) => vec![for_each_token("classifier", d, labels).into()],
        task @ Task::PreTrain => return task.unknown(c),
    });
    model.head(last)?;
    model.finish()
}

/// A head over what stands for the sequence, the first token or the mean of all; or over all of them, whose answers are
/// joined afterwards (`late`).
fn sequence(c: &Config, d: u64, labels: u64) -> Result<Vec<Op>> {
    Ok(match c.text("classifier_pooling")? {
        Some("bos" | "mean") => classify("dense", "classifier", d, labels).into(),
        Some("late") | None => vec![
            for_each_token("dense", d, d).into(),
            for_each_token("classifier", d, labels).into(),
        ],
        Some(other) => {
            let fact = format!("is \"{}\", which is not counted", shown(other));
            return Err(c.contradiction("classifier_pooling", &fact));
        }
    })
}
