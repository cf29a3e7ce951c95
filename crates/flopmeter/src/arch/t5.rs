//! T5 and its kin: an encoder and a decoder that attends to it, with a table of distances instead of positions.
//!
//! ```text
//! encoder  embed → L × [ norm → q, k, v → attend to all → o ] [ norm → wi (or wi_0, wi_1) → wo ] → norm
//! decoder  embed → L × [ norm → q, k, v → attend → o ]
//!              [ norm → q, k and v of the encoder's output → attend to it → o ] [ norm → wi → wo ] → norm → head
//! ```
//!
//! The class ties the head to the table whatever the config says, and unties it again where a checkpoint has a head of its
//! own, as those have whose config says so. Heads are `d_kv` wide, whatever the width. Only the first layer of either side has a table of distances, of UMT5
//! every one. In layers of Switch Transformers one expert of many is the feed-forward layer. The encoder alone is `T5EncoderModel`, as image generators
//! use it, and labels tokens. A class that labels a text reads it on both sides.

use super::bart::{labelling, task};
use super::experts;
use super::parts::{Heads, head, mlp, projection, rms_norm, shared_table, table, tied, vector};
use super::task::{BEFORE, for_each_token};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::labels;
use crate::model::{Builder, Model};
use crate::op::{Experts, Op};
use crate::passes::Mask;
use crate::stack::Reads;

pub(super) const MODEL_TYPES: &[&str] = &["mt5", "switch_transformers", "t5", "umt5"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let encoder_alone = encoder_alone(c)?;
    let stack = Stack::read(c)?;
    let layers = c.size("num_layers")?;
    let decoder_layers = c.size_or("num_decoder_layers", layers)?;
    let (vocab, d) = (c.size("vocab_size")?, stack.d);
    let task = task(c)?;
    let mut model = Builder::new(c)?;
    if encoder_alone {
        stack.encoder(c, &mut model, vocab, layers)?;
        c.raw("num_sparse_decoder_layers");
        model.head(token_labels(c, d)?)?;
        return model.finish();
    }
    let sparse = sparse_layers(c, decoder_layers, "num_sparse_decoder_layers")?;
    model.stack(("encoder", "encoder.block"), Component::Encoder, Reads::Prompt, |model| {
        stack.encoder(c, model, vocab, layers)
    })?;
    model.once("embedding", [shared_table("embed_tokens", vocab, d)]);
    let mask = if task.is_some() { BEFORE } else { Mask::Causal };
    model.layers(decoder_layers, |layer| {
        let mut ops = stack.self_attention(layer, mask);
        ops.extend(stack.cross_attention());
        ops.extend(stack.feed_forward(DECODER_MLP, sparse(layer)));
        Ok(ops)
    })?;
    let mut last = vec![rms_norm("final_layer_norm", d)];
    match task {
        Some(task) => last.extend(labelling(task, d)),
        None => last.push(head(d, vocab, tied(c, true)?).into()),
    }
    model.head(last)?;
    model.finish()
}

/// Labels of each token, of the class that has the encoder for it.
fn token_labels(c: &Config, d: u64) -> Result<Option<Op>> {
    let named = c.texts("architectures")?.unwrap_or_default();
    Ok(match named.iter().any(|name| name.ends_with("ForTokenClassification")) {
        true => Some(for_each_token("classifier", d, labels(c)?).into()),
        false => None,
    })
}

/// Whether the config's class is the encoder without a decoder.
pub(super) fn encoder_alone(c: &Config) -> Result<bool> {
    let named = c.texts("architectures")?.unwrap_or_default();
    let ends =
        |name: &&str| name.ends_with("EncoderModel") || name.ends_with("ForTokenClassification");
    Ok(named.iter().any(ends))
}

/// Which layers of a side have experts: none but in Switch Transformers.
fn sparse_layers(c: &Config, layers: u64, key: &'static str) -> Result<impl Fn(u64) -> bool> {
    let step = match c.model_type() {
        "switch_transformers" => match c.count_or(key, 3)? {
            0 => layers,
            sparse => layers / sparse,
        },
        _ => 0,
    };
    Ok(move |layer: u64| step == 1 || (step > 1 && layer % step == 1))
}

/// The modules of a feed-forward layer: its norm, what widens (alone or gated), what narrows, and those of experts.
pub(super) type MlpNames = [&'static str; 8];

pub(super) const ENCODER_MLP: MlpNames = [
    "layer.1.layer_norm",
    "layer.1.DenseReluDense.wi",
    "layer.1.DenseReluDense.wi_0",
    "layer.1.DenseReluDense.wi_1",
    "layer.1.DenseReluDense.wo",
    "layer.1.mlp.router.classifier",
    "layer.1.mlp.experts.wi",
    "layer.1.mlp.experts.wo",
];

pub(super) const DECODER_MLP: MlpNames = [
    "layer.2.layer_norm",
    "layer.2.DenseReluDense.wi",
    "layer.2.DenseReluDense.wi_0",
    "layer.2.DenseReluDense.wi_1",
    "layer.2.DenseReluDense.wo",
    "layer.2.mlp.router.classifier",
    "layer.2.mlp.experts.wi",
    "layer.2.mlp.experts.wo",
];

/// The sizes that both sides have.
#[derive(Clone, Copy)]
pub(super) struct Stack {
    pub d: u64,
    pub heads: Heads,
    f: u64,
    gated: bool,
    pub buckets: u64,
    /// Whether every layer has a table of distances.
    all_have_tables: bool,
    /// Those of sparse layers.
    experts: Experts,
    router_bias: bool,
}

impl Stack {
    pub fn read(c: &Config) -> Result<Self> {
        let heads = c.size_of(&["num_heads", "num_attention_heads"])?;
        let dim = c.size_or("d_kv", 64)?;
        let switches = c.model_type() == "switch_transformers";
        c.raw("relative_attention_max_distance");
        Ok(Self {
            d: c.size("d_model")?,
            heads: Heads { query: heads, kv: heads, dim },
            f: c.size("d_ff")?,
            gated: !switches && gates(c)?,
            buckets: c.size_or("relative_attention_num_buckets", 32)?,
            all_have_tables: c.model_type() == "umt5",
            experts: Experts::routed(1, if switches { c.size_or("num_experts", 8)? } else { 1 }),
            router_bias: switches && c.flag("router_bias", false)?,
        })
    }

    fn encoder(&self, c: &Config, model: &mut Builder<'_>, vocab: u64, layers: u64) -> Result<()> {
        let sparse = sparse_layers(c, layers, "num_sparse_encoder_layers")?;
        model.once("embedding", [table("shared", vocab, self.d)]);
        model.layers(layers, |layer| {
            let mut ops = self.self_attention(layer, Mask::Full);
            ops.extend(self.feed_forward(ENCODER_MLP, sparse(layer)));
            Ok(ops)
        })?;
        model.once("norm", [rms_norm("final_layer_norm", self.d)]);
        Ok(())
    }

    pub fn self_attention(&self, layer: u64, mask: Mask) -> Vec<Op> {
        let (d, inner) = (self.d, self.heads.query_width());
        let mut ops = vec![
            rms_norm("layer.0.layer_norm", d),
            projection("layer.0.SelfAttention.q", d, inner).into(),
            projection("layer.0.SelfAttention.k", d, inner).into(),
            projection("layer.0.SelfAttention.v", d, inner).into(),
            self.heads.attend_in("layer.0.SelfAttention", mask),
            projection("layer.0.SelfAttention.o", inner, d).into(),
        ];
        if layer == 0 || self.all_have_tables {
            let module = "layer.0.SelfAttention.relative_attention_bias";
            // Every pass makes of all of it what its positions are apart.
            ops.push(vector(module, self.buckets * self.heads.query));
        }
        ops
    }

    pub fn cross_attention(&self) -> [Op; 6] {
        let (d, inner) = (self.d, self.heads.query_width());
        [
            rms_norm("layer.1.layer_norm", d),
            projection("layer.1.EncDecAttention.q", d, inner).into(),
            projection("layer.1.EncDecAttention.k", d, inner).of_source().into(),
            projection("layer.1.EncDecAttention.v", d, inner).of_source().into(),
            self.heads.attend_across("layer.1.EncDecAttention"),
            projection("layer.1.EncDecAttention.o", inner, d).into(),
        ]
    }

    pub fn feed_forward(&self, names: MlpNames, sparse: bool) -> Vec<Op> {
        let [norm, wi, wi_0, wi_1, wo, router, expert_wi, expert_wo] = names;
        let mut ops = vec![rms_norm(norm, self.d)];
        if sparse {
            let expert = |module, from, to| experts::expert(module, from, to, self.experts).into();
            let router = experts::router(router, self.d, self.experts).bias(self.router_bias);
            ops.extend([
                router.into(),
                expert(expert_wi, self.d, self.f),
                expert(expert_wo, self.f, self.d),
            ]);
            return ops;
        }
        let up = if self.gated { vec![wi_0, wi_1] } else { vec![wi] };
        ops.extend(up.into_iter().map(|module| Op::from(mlp(module, self.d, self.f))));
        ops.push(mlp(wo, self.f, self.d).into());
        ops
    }
}

/// Whether the feed-forward layer is gated.
fn gates(c: &Config) -> Result<bool> {
    // T5's class has relu, and LongT5's; those after them gate.
    let default = if matches!(c.model_type(), "t5" | "longt5") { "relu" } else { "gated-gelu" };
    let activation = match c.text("feed_forward_proj")? {
        Some(activation) => activation,
        None => {
            c.note_default("feed_forward_proj", default);
            default
        }
    };
    // Files of FLAN's name the activation alone, and say here that it gates.
    c.flag("is_gated_act", activation.starts_with("gated-"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{model, parameters};

    const T5_SMALL: &str = r#"{"model_type": "t5", "d_model": 512, "d_kv": 64, "d_ff": 2048,
        "num_layers": 6, "num_heads": 8, "vocab_size": 32128, "tie_word_embeddings": true,
        "feed_forward_proj": "relu", "relative_attention_num_buckets": 32}"#;

    #[test]
    fn t5_small_has_its_published_parameters() {
        // Embedding 32,128·512. A half of attention: 4·512² + 512. A feed-forward half: 2·512·2048 + 512.
        // 18 attentions, 12 feed-forward layers, two last norms, two tables of 32·8.
        let attention: u128 = 4 * 512 * 512 + 512;
        let mlp = 2 * 512 * 2048 + 512;
        let all = 32_128 * 512 + 18 * attention + 12 * mlp + 2 * 512 + 2 * 32 * 8;
        assert_eq!(parameters(T5_SMALL), all);
        assert_eq!(parameters(T5_SMALL), 60_506_624);
    }

    #[test]
    fn the_encoder_alone_generates_nothing() {
        let encoder = T5_SMALL.replacen('{', r#"{"architectures": ["T5EncoderModel"], "#, 1);
        let encoder = model(&encoder);
        assert!(encoder.encodes_only() && encoder.stacks().is_empty());
        let attention: u128 = 4 * 512 * 512 + 512;
        let mlp = 2 * 512 * 2048 + 512;
        assert_eq!(encoder.parameters().total, 32_128 * 512 + 6 * (attention + mlp) + 512 + 32 * 8);
        let request = crate::Workload::request(10, 2);
        let error = encoder.bytes(&request).expect_err("it does not generate").to_string();
        assert!(error.starts_with("generate: is 2, and an encoder generates nothing"), "{error}");
    }

    #[test]
    fn a_class_that_labels_tokens_is_the_encoder() {
        let told = r#"{"num_labels": 9, "architectures": ["T5ForTokenClassification"], "#;
        let labels = parameters(&T5_SMALL.replacen('{', told, 1));
        let encoder =
            parameters(&T5_SMALL.replacen('{', r#"{"architectures": ["T5EncoderModel"], "#, 1));
        assert_eq!(labels, encoder + 513 * 9);
        // The whole reads the text again where it labels all of it.
        let told = r#"{"num_labels": 9, "architectures": ["T5ForSequenceClassification"], "#;
        let labels = parameters(&T5_SMALL.replacen('{', told, 1));
        assert_eq!(labels, 60_506_624 + 513 * 512 + 513 * 9);
    }
}
