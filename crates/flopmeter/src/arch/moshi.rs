//! Moshi: Llama's block in a window, gate and up in one matrix. What is counted is the language model that
//! makes one token a step: neither the depth decoder, which makes that step's audio codes of it, nor the codec.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend, in a window → out ] [ norm → fc1 → fc2 ] → norm → head
//! ```
//!
//! `ffn_dim` is the width of `fc1`: of gate and up together.

use super::parts::tied;
use super::parts::{Heads, head, mlp, note_other_parts, pre_normed, projection, rms_norm, table};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["moshi"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("ffn_dim")?;
    if !f.is_multiple_of(2) {
        let fact = format!("is {f}, which gate and up do not share evenly");
        return Err(c.contradiction("ffn_dim", &fact));
    }
    let heads = Heads::read(c, d)?;
    let (q, kv) = (heads.query_width(), heads.kv_width());
    let mask = Mask::Sliding { window: c.size_or("sliding_window", 3000)? };
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    // Sizes of what makes and reads audio codes.
    let _audio = (c.raw("num_codebooks"), c.raw("audio_vocab_size"));
    note_other_parts(c);

    let mut model = Builder::new(c)?;
    // One row more, for the token before the first.
    model.once("embedding", [table("model.embed_tokens", vocab + 1, d)]);
    model.layers(layers, |_| {
        let attention = vec![
            projection("self_attn.q_proj.linear", d, q).into(),
            projection("self_attn.k_proj.linear", d, kv).into(),
            projection("self_attn.v_proj.linear", d, kv).into(),
            heads.attend(mask),
            projection("self_attn.o_proj.linear", q, d).into(),
        ];
        Ok(pre_normed(
            d,
            attention,
            vec![mlp("mlp.fc1", d, f).into(), mlp("mlp.fc2", f / 2, d).into()],
        ))
    })?;
    model.head([rms_norm("model.norm", d), head(d, vocab, tied(c, false)?).into()])?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    const MOSHI: &str = r#"{"model_type": "moshi", "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "ffn_dim": 22528, "vocab_size": 32000, "sliding_window": 3000,
        "depth_decoder_config": {}, "dtype": "bfloat16"}"#;

    #[test]
    fn moshi_7b_has_the_parameters_of_its_language_model() {
        // 64,001·4096 + 32·(4·4096² + 4096·22,528 + 11,264·4096 + 2·4096) + 4096
        let layer: u128 = 4 * 4096 * 4096 + 4096 * 22_528 + 11_264 * 4096 + 2 * 4096;
        let moshi = model(MOSHI);
        assert_eq!(moshi.parameters().total, 64_001 * 4096 + 32 * layer + 4096);
        let left_out = "only the text part is counted, without `depth_decoder_config`";
        assert!(moshi.notes().iter().any(|note| note == left_out), "{:?}", moshi.notes());
    }

    #[test]
    fn an_odd_width_is_an_error() {
        assert_eq!(
            fact(&MOSHI.replace("22528", "22529")),
            "`ffn_dim`: is 22529, which gate and up do not share evenly"
        );
    }
}
