//! ConvBERT (arXiv:2008.02496): half of attention's heads give way to a convolution whose kernel each token makes.
//!
//! ```text
//! embed + positions + segments → norm (→ project) → L × [ q, k, v → attend to all ∥ convolve → out → norm ]
//!                                                        [ up → down → norm ] (→ dense → norm → head)
//! convolve  keys of a window · q → a kernel for each head → times the window of what is projected
//! ```
//!
//! Everything of the convolution is `recurrent`. Feed-forward layers may run in groups of their inputs.

use super::bert::embeddings;
use super::parts::{Heads, head, layer_norm, mlp, projection, tied, vector};
use super::recurrent::width;
use super::task::{Task, classify, everywhere, for_each_token};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op, Product};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["convbert"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.flag("add_cross_attention", false)? {
        return Err(
            c.contradiction("add_cross_attention", "is true, and cross-attention is not counted")
        );
    }
    let d = c.size("hidden_size")?;
    let e = c.size_or("embedding_size", 768)?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let embeddings = embeddings(c, vocab, 512, e)?;
    let layer = layer(c, d)?;

    let mut model = Builder::new(c)?;
    let mut first = embeddings.to_vec();
    if e != d {
        let project = Linear::new("embeddings_project", Component::EmbeddingProjections, e, d);
        first.push(project.bias(true).into());
    }
    model.once("embedding", first);
    model.layers(layers, |_| Ok(layer.clone()))?;
    let last = match Task::of(c)? {
        Task::Embed => vec![],
        Task::Predict => {
            let dense = Linear::new("generator_predictions.dense", Component::Head, d, e);
            everywhere([
                dense.bias(true).sampled().into(),
                layer_norm("generator_predictions.LayerNorm", e, true),
                head(e, vocab, tied(c, true)?).bias(true).into(),
            ])
            .collect()
        }
        Task::ClassifySequence(labels) => {
            classify("classifier.dense", "classifier.out_proj", d, labels).into()
        }
        Task::ClassifyTokens(labels) => vec![for_each_token("classifier", d, labels).into()],
        task @ Task::PreTrain => return task.unknown(c),
    };
    model.head(last)?;
    model.finish()
}

fn layer(c: &Config, d: u64) -> Result<Vec<Op>> {
    let heads = heads(c, d)?;
    let all = heads.query_width();
    let kernel = c.size_or("conv_kernel_size", 9)?;
    if kernel.is_multiple_of(2) {
        let fact = format!("is {kernel}; around a position there is an odd number of them");
        return Err(c.contradiction("conv_kernel_size", &fact));
    }
    let kernels = width(c, "conv_kernel_size", heads.query, kernel)?;
    let f = c.size("intermediate_size")?;
    let groups = c.size_or("num_groups", 1)?;
    if !d.is_multiple_of(groups) || !f.is_multiple_of(groups) {
        let fact = format!("is {groups}, which does not divide {d} and {f} evenly");
        return Err(c.contradiction("num_groups", &fact));
    }
    let convolves = |module, from, to| Linear::new(module, Component::Recurrent, from, to);
    Ok(vec![
        projection("attention.self.query", d, all).bias(true).into(),
        projection("attention.self.key", d, all).bias(true).into(),
        projection("attention.self.value", d, all).bias(true).into(),
        convolves("attention.self.key_conv_attn_layer.depthwise", kernel, d).into(),
        convolves("attention.self.key_conv_attn_layer.pointwise", d, all).into(),
        vector("attention.self.key_conv_attn_layer.bias", all),
        convolves("attention.self.conv_kernel_layer", all, kernels).bias(true).into(),
        convolves("attention.self.conv_out_layer", d, all).bias(true).into(),
        Op::Product(Product {
            module: "attention.self.conv_out",
            component: Component::Recurrent,
            from: kernel,
            to: all,
        }),
        heads.attend_in("attention.self", Mask::Full),
        projection("attention.output.dense", d, d).bias(true).into(),
        layer_norm("attention.output.LayerNorm", d, true),
        mlp("intermediate.dense", d / groups, f).bias(true).into(),
        mlp("output.dense", f / groups, d).bias(true).into(),
        layer_norm("output.LayerNorm", d, true),
    ])
}

/// The heads that attend: a share of those that are stated, on half of the width.
fn heads(c: &Config, d: u64) -> Result<Heads> {
    let stated = c.size("num_attention_heads")?;
    let query = (stated / c.size_or("head_ratio", 2)?).max(1);
    if !d.is_multiple_of(2 * query) {
        let fact = format!("{query} heads do not divide half of the width {d} evenly");
        return Err(c.contradiction("num_attention_heads", &fact).hint("check `head_ratio`"));
    }
    Ok(Heads { query, kv: query, dim: d / query / 2 })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const BASE: &str = r#"{"model_type": "convbert", "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30522, "embedding_size": 768,
        "max_position_embeddings": 512, "architectures": ["ConvBertModel"]}"#;

    #[test]
    fn conv_bert_base_has_its_published_parameters() {
        // (30,522 + 512 + 2)·768 + 1536. A layer: q, k, v 768·384 + 384; the convolution 9·768 + 768·384 + 384, 384·54
        // + 54, 768·384 + 384; out 768² + 768; 2·768·3072 + 3072 + 768; two norms of 1536.
        let narrow: u128 = 768 * 384 + 384;
        let convolution = 9 * 768 + narrow + 384 * 54 + 54 + narrow;
        let layer = 3 * narrow + convolution + 590_592 + 4_722_432 + 2 * 1536;
        assert_eq!(parameters(BASE), 31_036 * 768 + 1536 + 12 * layer);
        // "106M" in table 3 of the paper.
        assert_eq!((31_036 * 768 + 1536 + 12 * layer) / 1_000_000, 105);
    }

    #[test]
    fn a_kernel_is_around_its_token() {
        let other = BASE.replacen('{', r#"{"conv_kernel_size": 4, "#, 1);
        assert_eq!(
            fact(&other),
            "`conv_kernel_size`: is 4; around a position there is an odd number of them"
        );
    }
}
