//! ModernBERT, and its decoder: a gated feed-forward layer, windows on two layers of three, norms without biases.
//!
//! ```text
//! embed → norm → L × [ norm → q, k, v → attend → Wo ] [ norm → Wi (both halves) → Wo ] → norm (→ dense → norm → head)
//! ```
//!
//! The first layer has no norm before its attention. `local_attention` is a window to both sides, so a decoder's is half
//! of it. The layer before the decoder's head runs where a token is sampled; the reference implementation runs it for
//! every token.

use super::parts::{Heads, head, layer_masks, layer_norm, mlp, projection, table, tied};
use super::task::{Task, everywhere, for_each_token, for_sequence};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["modernbert", "modernbert-decoder"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let encodes = c.model_type() == "modernbert";
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let half = half_window(c)?;
    let every = match c.has("layer_types") {
        true => 3,
        false => c.size_or("global_attn_every_n_layers", 3)?,
    };
    let masks = layer_masks(c, half, |layer| !layer.is_multiple_of(every))?;
    let mask = |layer| match masks(layer) {
        Mask::Sliding { window: half } if encodes => Mask::Around { before: half, after: half },
        Mask::Causal if encodes => Mask::Full,
        causal => causal,
    };
    let bias = c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    let norm_bias = c.flag("norm_bias", false)?;
    let norm = |module| layer_norm(module, d, norm_bias);

    let mut model = Builder::new(c)?;
    model.once(
        "embedding",
        [table("model.embeddings.tok_embeddings", vocab, d), norm("model.embeddings.norm")],
    );
    model.layers(layers, |layer| {
        let project = |module, to| -> Op { projection(module, d, to).bias(bias).into() };
        let mut ops = Vec::new();
        if layer > 0 {
            ops.push(norm("attn_norm"));
        }
        if encodes {
            ops.push(project("attn.Wqkv", 3 * d));
        } else {
            let apart = ["attn.q_proj", "attn.k_proj", "attn.v_proj"];
            ops.extend(apart.map(|module| project(module, d)));
        }
        ops.extend([
            heads.attend_in("attn", mask(layer)),
            project("attn.Wo", d),
            norm("mlp_norm"),
            mlp("mlp.Wi", d, 2 * f).bias(mlp_bias).into(),
            mlp("mlp.Wo", f, d).bias(mlp_bias).into(),
        ]);
        Ok(ops)
    })?;
    let mut last = vec![norm("model.final_norm")];
    let dense_bias = c.flag("classifier_bias", false)?;
    let predict = || -> Result<[Op; 3]> {
        let dense = Linear::new("lm_head.dense", Component::Head, d, d).bias(dense_bias);
        let decoder = head(d, vocab, tied(c, true)?).bias(c.flag("decoder_bias", true)?);
        Ok([dense.sampled().into(), norm("lm_head.norm"), decoder.into()])
    };
    let task = if encodes { Some(Task::of(c)?) } else { None };
    match task {
        None => last.extend(predict()?),
        Some(Task::Embed) => {}
        Some(Task::Predict) => last.extend(everywhere(predict()?)),
        Some(Task::ClassifySequence(labels)) => {
            // Over the first token, or over the mean of all.
            c.text("classifier_pooling")?;
            last.push(for_sequence("head.dense", d, d).bias(dense_bias).into());
            last.push(norm("head.norm"));
            last.push(for_sequence("classifier", d, labels).into());
        }
        Some(Task::ClassifyTokens(labels)) => {
            last.push(for_each_token("head.dense", d, d).bias(dense_bias).into());
            last.push(norm("head.norm"));
            last.push(for_each_token("classifier", d, labels).into());
        }
        Some(task @ Task::PreTrain) => return task.unknown(c),
    }
    model.head(last)?;
    model.finish()
}

/// How far a token of a layer that slides sees, to either side.
fn half_window(c: &Config) -> Result<Option<u64>> {
    // Made of the other one.
    c.raw("sliding_window");
    let Some(both_sides) = c.maybe_or("local_attention", 128)? else { return Ok(None) };
    if both_sides < 2 {
        let fact = format!("is {both_sides}, of which half is no window");
        return Err(c.contradiction("local_attention", &fact));
    }
    Ok(Some(both_sides / 2))
}
