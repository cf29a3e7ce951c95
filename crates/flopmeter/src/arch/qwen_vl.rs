//! Qwen2-VL, Qwen2.5-VL, Qwen3-VL and Qwen3-VL-MoE: Qwen's decoders, and towers that see images. Of Cosmos 3 the text
//! part is counted.
//!
//! ```text
//! image → vision tower → merger ───────┐
//! text → embed ────────────────────────┴→ layers → norm → head
//! ```
//!
//! The first two keep the text part's keys beside `vision_config` in published files, and in `text_config` in newer ones.
//!
//! A window that Qwen3's text part states, and published files state none, is what the reference
//! implementation cuts its cache to: `model` takes it for what a token sees.

use super::parts::{Heads, decoder, gated_mlp, head_norms, layer_masks, pre_normed};
use super::parts::{rms_norm, text_part, tied, with_norms};
use super::qwen_moe::FeedForward;
use super::tower::with_towers;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] =
    &["cosmos3_omni", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "qwen3_vl_moe"];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "cosmos3_omni" | "qwen3_vl" => text_part(c, "qwen3_vl_text", qwen3),
        "qwen3_vl_moe" => text_part(c, "qwen3_vl_moe_text", |part| qwen3_moe(part, 16)),
        _ if c.has("text_config") => text_part(c, "qwen2_vl_text", of_qwen2_vl),
        _ => with_towers(c, of_qwen2_vl(c)?),
    }
}

fn of_qwen2_vl(c: &Config) -> Result<Model> {
    qwen2(c, 8, 80)
}

/// Qwen2's decoder of a class that has `kv` heads of keys and values and slides from `first_sliding` on, where no
/// key says it.
pub(super) fn qwen2(c: &Config, kv: u64, first_sliding: u64) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, kv, None)?;
    let window = if c.flag("use_sliding_window", false)? {
        c.maybe_or("sliding_window", 4096)?
    } else {
        let _switched_off = c.raw("sliding_window");
        None
    };
    let first = if window.is_some() && !c.has("layer_types") {
        c.count_or("max_window_layers", first_sliding)?
    } else {
        0
    };
    let masks = layer_masks(c, window, |layer| layer >= first)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, true, false, masks(layer));
        Ok(pre_normed(d, attention, gated_mlp(d, f, false)))
    })
}

/// The window of every layer.
fn window(c: &Config) -> Result<Mask> {
    Ok(c.maybe("sliding_window")?.map_or(Mask::Causal, |window| Mask::Sliding { window }))
}

fn qwen3(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 32, Some(128))?;
    let mask = window(c)?;
    let bias = c.flag("attention_bias", false)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let attention = heads.attention(d, bias, bias, mask);
        Ok(pre_normed(d, with_norms(attention, head_norms(&heads)), gated_mlp(d, f, false)))
    })
}

/// Qwen3's mixture of a class that has `kv` heads of keys and values where no key says it.
pub(super) fn qwen3_moe(c: &Config, kv: u64) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, kv, None)?;
    let mask = window(c)?;
    let bias = c.flag("attention_bias", false)?;
    let ffn = FeedForward::read(c)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, bias, bias, mask);
        Ok(pre_normed(d, with_norms(attention, head_norms(&heads)), ffn.layer(layer, d)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;

    const TOWER: &str = r#""vision_config": {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420,
        "num_heads": 16, "in_chans": 3, "out_hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2,
        "spatial_patch_size": 14, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31],
        "tokens_per_second": 2, "temporal_patch_size": 2}"#;

    const SIZES: &str = r#""hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "intermediate_size": 18944, "vocab_size": 152064,
        "use_sliding_window": false, "sliding_window": 32768, "max_window_layers": 28"#;

    #[test]
    fn a_text_part_beside_the_vision_config_is_one_in_a_config_of_its_own() {
        // As in Qwen2-7B: 2·152,064·3584
        // + 28·(2·3584² + 2·3584·512 + 3584 + 2·512 + 3·3584·18,944 + 2·3584) + 3584.
        let flat = format!(
            r#"{{"model_type": "qwen2_5_vl", "torch_dtype": "bfloat16", {TOWER}, {SIZES}}}"#
        );
        let nested = format!(
            r#"{{"model_type": "qwen2_5_vl", "torch_dtype": "bfloat16", {TOWER}, "text_config": {{{SIZES}}}}}"#
        );
        for config in [flat, nested] {
            let model = model(&config);
            // The tower: patches 3·2·14²·1280, 32·(4·1280² + 4·1280 + 3·1280·3420 + 2·3420 + 1280 + 2·1280); a merger
            // of 1280 + 5120² + 5120 + 5120·3584 + 3584.
            let tower: u128 = 1_505_280 + 32 * 19_702_200 + 44_574_464;
            assert_eq!(model.parameters().total, 7_615_616_512 + tower);
            // As published.
            assert_eq!(model.parameters().total, 8_292_166_656);
            assert!(model.unread().is_empty(), "{:?}", model.unread());
        }
    }
}
