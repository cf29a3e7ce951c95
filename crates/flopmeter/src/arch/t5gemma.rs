//! T5Gemma: Gemma 2's layers as an encoder, and again as a decoder that attends to it.
//!
//! ```text
//! encoder  embed → L × [ norm → q, k, v → attend to all → o → norm ] [ norm → gate, up → down → norm ] → norm
//! decoder  embed → L × [ norm → q, k, v → attend → o → norm ]
//!              [ norm → q, k and v of the encoder's output → attend to it → o → norm ]
//!              [ norm → gate, up → down → norm ] → norm → head
//! ```
//!
//! Every other layer slides: the encoder's sees as far behind it as before it. Both sides have a config and a table of
//! their own, and may differ in width.

use super::parts::{Heads, gated_mlp, head, layer_masks, projection, rms_norm, table, tied};
use crate::component::Component;
use crate::config::Config;
use crate::error::{Result, shown};
use crate::model::{Builder, Model};
use crate::op::Op;
use crate::passes::Mask;
use crate::stack::Reads;

pub(super) const MODEL_TYPES: &[&str] = &["t5gemma"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let named = c.texts("architectures")?.unwrap_or_default();
    if let Some(other) = named.iter().find(|name| !name.ends_with("ForConditionalGeneration")) {
        let fact = format!("names `{}`, which is not counted", shown(other));
        return Err(c
            .contradiction("architectures", &fact)
            .hint("the whole is a class that ends with ForConditionalGeneration"));
    }
    // Both sides state it.
    c.raw("vocab_size");
    let [encoder, decoder] = [c.part("encoder")?, c.part("decoder")?];
    let (reads, writes) = (Side::read(&encoder)?, Side::read(&decoder)?);
    let masks = masks(&encoder)?;
    let mut model = Builder::new(c)?;
    model.stack(
        ("encoder", "model.encoder.layers"),
        Component::Encoder,
        Reads::Prompt,
        |model| {
            model.once("embedding", [table("embed_tokens", reads.vocab, reads.d)]);
            model.layers(reads.layers, |layer| {
                let mask = match masks(layer) {
                    Mask::Sliding { window } => Mask::Around { before: window, after: window },
                    _ => Mask::Full,
                };
                Ok([reads.self_attention(mask), reads.feed_forward()].concat())
            })?;
            model.once("norm", [rms_norm("norm", reads.d)]);
            Ok(())
        },
    )?;
    let masks = self::masks(&decoder)?;
    model.once("embedding", [table("embed_tokens", writes.vocab, writes.d)]);
    model.layers(writes.layers, |layer| {
        let attention = writes.self_attention(masks(layer));
        Ok([attention, writes.cross_attention(reads.d), writes.feed_forward()].concat())
    })?;
    let head = head(writes.d, writes.vocab, tied(c, true)?);
    model.head([rms_norm("norm", writes.d), head.into()])?;
    Ok(model.finish()?.part_of(&encoder).part_of(&decoder))
}

/// What each layer of a side slides over.
fn masks(c: &Config) -> Result<impl Fn(u64) -> Mask> {
    let window = c.maybe_or("sliding_window", 4096)?;
    layer_masks(c, window, |layer| layer.is_multiple_of(2))
}

/// The sizes of one side.
#[derive(Clone, Copy)]
struct Side {
    d: u64,
    heads: Heads,
    f: u64,
    layers: u64,
    vocab: u64,
    bias: bool,
}

impl Side {
    fn read(c: &Config) -> Result<Self> {
        let d = c.size("hidden_size")?;
        // Keys of a head that is tied, and of what the decoder attends to: both are the whole's to say.
        c.raw("tie_word_embeddings");
        c.raw("cross_attention_hidden_size");
        Ok(Self {
            d,
            heads: Heads::read_or(c, d, 4, Some(256))?,
            f: c.size("intermediate_size")?,
            layers: c.size("num_hidden_layers")?,
            vocab: c.size("vocab_size")?,
            bias: c.flag("attention_bias", false)?,
        })
    }

    fn self_attention(&self, mask: Mask) -> Vec<Op> {
        let mut ops = vec![rms_norm("pre_self_attn_layernorm", self.d)];
        ops.extend(self.heads.attention(self.d, self.bias, self.bias, mask));
        ops.push(rms_norm("post_self_attn_layernorm", self.d));
        ops
    }

    /// Attention to an encoder's output of a width of its own.
    fn cross_attention(&self, source: u64) -> Vec<Op> {
        let (q, kv) = (self.heads.query_width(), self.heads.kv_width());
        let project = |module, from, to| projection(module, from, to).bias(self.bias);
        vec![
            rms_norm("pre_cross_attn_layernorm", self.d),
            project("cross_attn.q_proj", self.d, q).into(),
            project("cross_attn.k_proj", source, kv).of_source().into(),
            project("cross_attn.v_proj", source, kv).of_source().into(),
            self.heads.attend_across("cross_attn"),
            project("cross_attn.o_proj", q, self.d).into(),
            rms_norm("post_cross_attn_layernorm", self.d),
        ]
    }

    fn feed_forward(&self) -> Vec<Op> {
        let mut ops = vec![rms_norm("pre_feedforward_layernorm", self.d)];
        ops.extend(gated_mlp(self.d, self.f, false));
        ops.push(rms_norm("post_feedforward_layernorm", self.d));
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    /// T5Gemma's 2B-2B.
    fn two_billion() -> String {
        let side = r#"{"model_type": "t5_gemma_module", "hidden_size": 2304, "intermediate_size": 9216,
            "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
            "vocab_size": 256000, "sliding_window": 4096}"#;
        format!(
            r#"{{"model_type": "t5gemma", "encoder": {side}, "decoder": {side}, "vocab_size": 256000}}"#
        )
    }

    #[test]
    fn both_sides_are_gemma_2_2b_and_the_decoder_attends_beside() {
        // Gemma-2-2b has 2,614,341,888 parameters, its table tied. The decoder has more in each layer: q and o
        // 2304·2048, k and v 2304·1024, two norms.
        let cross: u128 = 26 * (2 * 2304 * 2048 + 2 * 2304 * 1024 + 2 * 2304);
        assert_eq!(parameters(&two_billion()), 2 * 2_614_341_888 + cross);
    }

    #[test]
    fn a_side_that_is_missing() {
        assert_eq!(fact(r#"{"model_type": "t5gemma"}"#), "`encoder`: is missing");
    }
}
