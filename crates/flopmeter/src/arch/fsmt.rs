//! FSMT, fairseq's translators of WMT19: BART's layers, and two vocabularies in two tables.
//!
//! ```text
//! encoder  embed + positions → L × [ q, k, v → attend to all → out, norm ] [ fc1 → fc2, norm ]
//! decoder  the same with attention to what the encoder gives → head
//! ```
//!
//! Sines of positions are stored, and more rows of them than there are positions.

use super::bart::{is_whole, layer::Layer};
use super::parts::{head, table, tied};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;
use crate::stack::Reads;

pub(super) const MODEL_TYPES: &[&str] = &["fsmt"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if !is_whole(c)? {
        return Err(c.contradiction("architectures", "names no class of an encoder and a decoder"));
    }
    let d = c.size("d_model")?;
    let (source, target) = (c.size("src_vocab_size")?, c.size("tgt_vocab_size")?);
    let positions = c.size_or("max_position_embeddings", 1024)?;
    // The row of what fills up, and one more.
    let rows = positions + c.count("pad_token_id")?.unwrap_or(1) + 1;
    let encoder = Layer::read(c, d, "encoder_attention_heads", "encoder_ffn_dim")?;
    let decoder = Layer::read(c, d, "decoder_attention_heads", "decoder_ffn_dim")?;
    let mut model = Builder::new(c)?;
    let path = ("encoder", "model.encoder.layers");
    model.stack(path, Component::Encoder, Reads::Prompt, |model| {
        model.once(
            "embedding",
            [
                table("model.encoder.embed_tokens", source, d),
                table("model.encoder.embed_positions", rows, d),
            ],
        );
        model.layers(c.size("encoder_layers")?, |_| Ok(encoder.encoding(None)))
    })?;
    model.once(
        "embedding",
        [
            table("model.decoder.embed_tokens", target, d),
            table("model.decoder.embed_positions", rows, d),
        ],
    );
    model.layers(c.size("decoder_layers")?, |_| Ok(decoder.decoding(Mask::Causal, None)))?;
    model.head([head(d, target, tied(c, false)?).into()])?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::parameters;

    #[test]
    fn wmt19_en_de_has_the_parameters_of_its_sizes() {
        let en_de = r#"{"model_type": "fsmt", "d_model": 1024, "encoder_layers": 6, "decoder_layers": 6,
            "encoder_attention_heads": 16, "decoder_attention_heads": 16, "encoder_ffn_dim": 8192,
            "decoder_ffn_dim": 8192, "src_vocab_size": 42024, "tgt_vocab_size": 42024, "pad_token_id": 1,
            "max_position_embeddings": 1024, "tie_word_embeddings": false}"#;
        let (attention, mlp): (u128, u128) =
            (4 * (1024 * 1024 + 1024), 2 * 1024 * 8192 + 8192 + 1024);
        let layers = 6 * (attention + mlp + 2 * 2048) + 6 * (2 * attention + mlp + 3 * 2048);
        assert_eq!(parameters(en_de), 3 * 42_024 * 1024 + 2 * 1026 * 1024 + layers);
    }
}
