//! The decoders of MusicGen on their own (`…ForCausalLM`): tokens of several codebooks are looked up and added up, and
//! each codebook has a head.
//!
//! ```text
//! codebooks × embed → L × [ norm → q, k, v → attend → out ] [ norm → fc1 → fc2 ] → norm → codebooks × head
//! ```
//!
//! Positions are sines, computed and not stored. Layers of the first hold cross-attention as well, which nothing passes
//! where there is no encoder: its weights are stored, and take part in nothing. A step makes one token of every codebook,
//! and counts as one token. Configs of the whole, with its encoders of text and sound, are refused.

use super::bart::is_whole;
use super::parts::{Heads, layer_norm, mlp, note_other_parts, projection, table};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["musicgen", "musicgen_melody"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if is_whole(c)? {
        return Err(c
            .contradiction("model_type", "is that of a model with encoders of text and sound; only its decoder on its own is counted")
            .hint("a decoder alone names a class that ends with ForCausalLM in `architectures`"));
    }
    let decoder = c.part("decoder")?;
    let model = build_decoder(&decoder, c.model_type() == "musicgen")?;
    note_other_parts(c);
    c.note("the decoder is counted alone, without the encoders of text and sound".into());
    Ok(model.part_of(c))
}

fn build_decoder(c: &Config, attends_to_text: bool) -> Result<Model> {
    let d = c.size_or("hidden_size", 1024)?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = c.size_or("ffn_dim", 4096)?;
    let layers = c.size_or("num_hidden_layers", 24)?;
    let vocab = c.size_or("vocab_size", 2048)?;
    let codebooks = c.size_or("num_codebooks", 4)?;
    if codebooks > MOST_CODEBOOKS {
        let fact = format!("is {codebooks}; the most that is believed is {MOST_CODEBOOKS}");
        return Err(c.contradiction("num_codebooks", &fact));
    }
    let codebooks = 0..codebooks;

    let mut model = Builder::new(c)?;
    // One row more, for what pads.
    model.once(
        "embedding",
        codebooks.clone().map(|_| table("model.decoder.embed_tokens", vocab + 1, d)),
    );
    model.layers(layers, |_| {
        let square = |module| -> Op { projection(module, d, d).into() };
        let mut ops = vec![
            square("self_attn.q_proj"),
            square("self_attn.k_proj"),
            square("self_attn.v_proj"),
            heads.attend(Mask::Causal),
            square("self_attn.out_proj"),
            layer_norm("self_attn_layer_norm", d, true),
        ];
        if attends_to_text {
            let cross = [
                "encoder_attn.q_proj",
                "encoder_attn.k_proj",
                "encoder_attn.v_proj",
                "encoder_attn.out_proj",
            ];
            let cross = cross.map(square).into_iter().chain([layer_norm(
                "encoder_attn_layer_norm",
                d,
                true,
            )]);
            ops.extend(cross.map(|op| Op::Idle(Box::new(op))));
        }
        ops.extend([
            mlp("fc1", d, f).into(),
            mlp("fc2", f, d).into(),
            layer_norm("final_layer_norm", d, true),
        ]);
        Ok(ops)
    })?;
    let mut last = vec![layer_norm("model.decoder.layer_norm", d, true)];
    let head = Linear::new("lm_heads", Component::Head, d, vocab).sampled();
    last.extend(codebooks.map(|_| Op::from(head)));
    model.head(last)?;
    model.finish()
}

/// EnCodec has 32 at its highest rate.
const MOST_CODEBOOKS: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    fn small(kind: &str, architecture: &str) -> String {
        format!(
            r#"{{"model_type": "{kind}", "is_encoder_decoder": true, "architectures": ["{architecture}"],
                "decoder": {{"hidden_size": 60, "num_attention_heads": 6, "num_hidden_layers": 3, "ffn_dim": 92,
                    "vocab_size": 131, "num_codebooks": 4}}}}"#
        )
    }

    #[test]
    fn every_codebook_has_a_table_and_a_head() {
        // 4·132·60 + 3·(4·60² + 2·60·92 + 4·60) + 2·60 + 4·60·131; cross-attention 3·(4·60² + 2·60) more.
        let own = 4 * 132 * 60 + 3 * (4 * 3600 + 2 * 60 * 92 + 240) + 120 + 4 * 60 * 131;
        let melody = model(&small("musicgen_melody", "MusicgenMelodyForCausalLM")).parameters();
        assert_eq!((melody.total, melody.active), (own, own));
        let musicgen = model(&small("musicgen", "MusicgenForCausalLM")).parameters();
        assert_eq!((musicgen.total, musicgen.active), (own + 3 * (4 * 3600 + 120), own));
    }

    #[test]
    fn the_whole_is_refused_and_so_are_a_million_codebooks() {
        let whole = small("musicgen", "MusicgenForConditionalGeneration");
        assert!(fact(&whole).contains("only its decoder on its own is counted"));
        let many = small("musicgen", "MusicgenForCausalLM")
            .replace("codebooks\": 4", "codebooks\": 1000000");
        assert!(fact(&many).contains("the most that is believed is 1024"));
    }
}
