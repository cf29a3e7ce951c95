//! ERNIE 4.5 VL's text part: experts for text, and beside them experts for images, which text never meets.
//!
//! ```text
//! image → vision tower → resampler ┐            not counted
//! text → embed ────────────────────┴→ L × [ norm → q, k, v → attend → out ] [ norm → feed-forward ] → norm → head
//! feed-forward  dense in the first layer, then router + correction → k of E × (gate, up → down)
//!               + shared (gate, up → down)
//! ```
//!
//! `moe_intermediate_size` lists the width of text's experts and that of images'. The shared ones are as wide as
//! text's. What is there for images is stored and takes part in nothing.

use super::experts::{self, Names, SHARED_IN_MLP};
use super::feed_forward::sparse_layers;
use super::parts::{Heads, decoder, gated_mlp, pre_normed, rms_norm, tied, vector};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["ernie4_5_vl_moe_text"];

const OF_TEXT: Names = [
    "mlp.text_moe.gate",
    "mlp.text_moe.experts.gate_proj",
    "mlp.text_moe.experts.up_proj",
    "mlp.text_moe.experts.down_proj",
];

const OF_IMAGES: Names = [
    "mlp.vision_moe.gate",
    "mlp.vision_moe.experts.gate_proj",
    "mlp.vision_moe.experts.up_proj",
    "mlp.vision_moe.experts.down_proj",
];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 4, None)?;
    let f = c.size("intermediate_size")?;
    let bias = c.flag("use_bias", false)?;
    let experts = experts::read(c, "moe_num_experts", "moe_k")?;
    let [text, images] = widths(c)?;
    let shared = text * c.count_or("moe_num_shared_experts", 2)?;
    let sparse = sparse_layers(c, |layer| layer > 0)?;
    decoder(c, d, tied(c, true)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, bias, bias, Mask::Causal);
        if !sparse(layer) {
            return Ok(pre_normed(d, attention, gated_mlp(d, f, bias)));
        }
        let mut mlp = experts::mixture(OF_TEXT, d, text, experts);
        mlp.push(vector("mlp.text_moe.gate.moe_statics.e_score_correction_bias", experts.total));
        let mut idle = experts::mixture(OF_IMAGES, d, images, experts);
        idle.push(vector("mlp.vision_moe.gate.moe_statics.e_score_correction_bias", experts.total));
        mlp.extend(idle.into_iter().map(|op| Op::Idle(Box::new(op))));
        if shared > 0 {
            mlp.extend(experts::shared(SHARED_IN_MLP, d, shared, bias));
        }
        Ok(pre_normed(d, attention, mlp))
    })
}

/// Widths of an expert for text and of one for images.
fn widths(c: &Config) -> Result<[u64; 2]> {
    const KEY: &str = "moe_intermediate_size";
    let Some(listed) = c.counts(KEY)? else {
        c.note_default(KEY, "1536 and 512");
        return Ok([1536, 512]);
    };
    match listed[..] {
        [text @ 1..=MOST, images @ 1..=MOST] => Ok([text, images]),
        _ => Err(c
            .contradiction(KEY, "is not a list of two sizes")
            .hint("the first is the width of an expert for text, the second of one for images")),
    }
}

/// The widest that an expert is believed to be.
const MOST: u64 = 1 << 24;

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// ERNIE-4.5-VL-28B-A3B.
    const ERNIE: &str = r#"{"model_type": "ernie4_5_vl_moe_text", "hidden_size": 2560, "intermediate_size": 12288,
        "moe_intermediate_size": [1536, 512], "moe_k": 6, "moe_num_experts": 64, "moe_num_shared_experts": 2,
        "num_attention_heads": 20, "num_hidden_layers": 28, "num_key_value_heads": 4, "tie_word_embeddings": true,
        "use_bias": false, "vocab_size": 103424}"#;

    #[test]
    fn experts_for_images_are_stored_and_take_part_in_nothing() {
        let ernie = model(ERNIE).parameters();
        // 27 layers of a router of 2560·64, 64 corrections and 64 experts of 3·2560·512; k = 6 of 64 of text's run.
        let images = 27 * (2560 * 64 + 64 + 64 * 3 * 2560 * 512);
        let resting = 27 * 58 * 3 * 2560 * 1536;
        assert_eq!(ernie.total - ernie.active, images + resting);
        // With its vision tower it is the 28 of its name.
        assert_eq!(ernie.total / 1_000_000_000, 28);
        assert_eq!(ernie.active / 1_000_000_000, 3);
    }

    #[test]
    fn one_width_is_an_error() {
        let fact_of = |widths: &str| fact(&ERNIE.replace("[1536, 512]", widths));
        for widths in ["[1536]", "[1536, 0]", "[1536, 512, 7]", "[1536, 99999999]"] {
            assert_eq!(
                fact_of(widths),
                "`moe_intermediate_size`: is not a list of two sizes",
                "{widths}"
            );
        }
    }
}
