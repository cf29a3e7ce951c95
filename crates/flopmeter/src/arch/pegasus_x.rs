//! PEGASUS-X (arXiv:2208.04347): an encoder of blocks that see themselves, with vectors beside that see all of them and
//! are seen by all; and BART's decoder without biases in attention.
//!
//! ```text
//! beside   G vectors → L × [ the same layers ]
//! encoder  embed → L × [ norm → q, k, v → attend to its block and the vectors → out ] [ norm → fc1 → fc2 ] → norm
//! decoder  embed → L × [ as BART's ] → norm → head
//! ```
//!
//! In every other layer blocks begin half a block later. `torch` counts a text that is filled up to whole blocks, in those
//! layers with half a block before and behind. What the vectors attend to is counted with the text's attention.

use super::bart::layer::Layer as BartLayer;
use super::parts::{Heads, head, layer_norm, mlp, projection, shared_table, table, tied};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Local, Op, Pieces};
use crate::passes::Mask;
use crate::stack::Reads;

pub(super) const MODEL_TYPES: &[&str] = &["pegasus_x"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if !super::bart::is_whole(c)? {
        return Err(c.contradiction("architectures", "names no class of an encoder and a decoder"));
    }
    let d = c.size("d_model")?;
    let vocab = c.size("vocab_size")?;
    let layers = c.size("encoder_layers")?;
    let encoder = Encoder::read(c, d)?;
    // Sines are computed.
    c.raw("max_position_embeddings");
    let decoder = BartLayer::read(c, d, "decoder_attention_heads", "decoder_ffn_dim")?;
    let mut model = Builder::new(c)?;
    let path = "model.encoder.layers";
    let beside = Reads::Window(encoder.beside);
    model.stack(("beside the text", path), Component::Encoder, beside, |model| {
        model.once("vectors", [table("embed_global", encoder.beside, d)]);
        model.layers(layers, |_| Ok(encoder.of_vectors()))
    })?;
    model.stack(("encoder", path), Component::Encoder, Reads::Prompt, |model| {
        model.once("embedding", [table("shared", vocab, d)]);
        model.layers(layers, |layer| Ok(encoder.layer(layer)))?;
        model.once("norm", [layer_norm("layer_norm", d, true)]);
        Ok(())
    })?;
    model.once("embedding", [shared_table("embed_tokens", vocab, d)]);
    model.layers(c.size("decoder_layers")?, |_| Ok(decoder.decoding(Mask::Causal, None)))?;
    let last = [layer_norm("layer_norm", d, true), head(d, vocab, tied(c, true)?).into()];
    model.head(last)?;
    model.finish()
}

struct Encoder {
    d: u64,
    heads: Heads,
    f: u64,
    block: u64,
    /// Vectors beside the text.
    beside: u64,
    /// Whether every other layer is staggered.
    staggers: bool,
}

impl Encoder {
    fn read(c: &Config, d: u64) -> Result<Self> {
        let block = c.size_or("block_size", 512)?;
        let staggers = c.flag("stagger_local_blocks", true)?;
        if staggers && !block.is_multiple_of(2) {
            let fact = format!("is {block}, of which there is no half");
            return Err(c.contradiction("block_size", &fact));
        }
        Ok(Self {
            d,
            heads: Heads::equal(c, d, &["encoder_attention_heads"])?,
            f: c.size("encoder_ffn_dim")?,
            block,
            beside: c.size_or("num_global_tokens", 32)?,
            staggers,
        })
    }

    /// Matrices of attention, and of the feed-forward half.
    fn matrices(&self) -> ([Linear; 4], [Linear; 2]) {
        let square = |module| projection(module, self.d, self.d);
        let attention =
            ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"];
        let up = mlp("fc1", self.d, self.f).bias(true);
        (attention.map(square), [up, mlp("fc2", self.f, self.d).bias(true)])
    }

    /// A layer over the vectors beside the text, whose weights are the text's.
    fn of_vectors(&self) -> Vec<Op> {
        let (attention, feed_forward) = self.matrices();
        let again = |linear: Linear| linear.bias(false).sharing_weights(true).into();
        attention.into_iter().chain(feed_forward).map(again).collect()
    }

    fn layer(&self, index: u64) -> Vec<Op> {
        let Self { d, heads, block, beside, .. } = *self;
        let staggered = self.staggers && index % 2 == 1;
        let more = if staggered { block } else { 0 };
        let (attention, feed_forward) = self.matrices();
        let [q, k, v, out] = attention.map(|linear| Op::from(linear.filled(block, more)));
        let [up, down] = feed_forward.map(|linear| Op::from(linear.filled(block, 0)));
        let pieces = Pieces::Blocks { block, beside, staggered };
        vec![
            layer_norm("self_attn_layer_norm", d, true),
            layer_norm("global_self_attn_layer_norm", d, true),
            q,
            k,
            v,
            Local { module: "self_attn", heads: heads.query, dim: heads.dim, pieces }.into(),
            out,
            layer_norm("final_layer_norm", d, true),
            up,
            down,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    const BASE: &str = r#"{"model_type": "pegasus_x", "d_model": 768, "encoder_layers": 12, "decoder_layers": 12,
        "encoder_attention_heads": 12, "decoder_attention_heads": 12, "encoder_ffn_dim": 3072,
        "decoder_ffn_dim": 3072, "vocab_size": 96103, "num_global_tokens": 128, "block_size": 512}"#;

    #[test]
    fn pegasus_x_base_has_the_parameters_of_its_sizes() {
        // Tables of 96,103 and 128; layers of 4·768², 2·768·3072 + 3072 + 768, three norms; those of the decoder have
        // attention twice; two last norms.
        let (attention, mlp): (u128, u128) = (4 * 768 * 768, 4_722_432);
        let layers = 12 * (attention + mlp + 3 * 1536) + 12 * (2 * attention + mlp + 3 * 1536);
        let base = model(BASE);
        let total = 96_231 * 768 + layers + 2 * 1536;
        assert_eq!(base.parameters().total, total);
        assert_eq!(base.parameters().active, total);
        // "272M" in its paper.
        assert_eq!((total + 500_000) / 1_000_000, 272);
    }

    #[test]
    fn half_a_block_is_whole() {
        assert_eq!(
            fact(&BASE.replace("512", "511")),
            "`block_size`: is 511, of which there is no half"
        );
    }
}
