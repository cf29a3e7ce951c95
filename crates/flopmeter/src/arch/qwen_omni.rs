//! Qwen2.5-Omni and Qwen3-Omni: the text part of the thinker, which is Qwen's decoder.
//!
//! ```text
//! image, video → vision tower ┐            not counted
//! sound → audio tower ────────┤
//! text → embed ───────────────┴→ layers → norm → head ─→ talker → sound      not counted
//! ```
//!
//! What an image costs beyond its tokens is left out, and so is what speaks; notes say so.

use super::parts::{note_other_parts, text_part};
use super::qwen_vl::{qwen2, qwen3_moe};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] =
    &["qwen2_5_omni", "qwen2_5_omni_thinker", "qwen3_omni_moe", "qwen3_omni_moe_thinker"];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "qwen2_5_omni" => whole(c, "qwen2_5_omni_thinker"),
        "qwen3_omni_moe" => whole(c, "qwen3_omni_moe_thinker"),
        _ => thinker(c),
    }
}

fn whole(c: &Config, model_type: &str) -> Result<Model> {
    let part = c.part_of_whole("thinker_config", model_type)?.ok_or_else(|| {
        c.contradiction("thinker_config", "is missing")
            .hint("a config of this type keeps there what thinks")
    })?;
    let model = thinker(&part)?;
    note_other_parts(c);
    Ok(model.part_of(c))
}

fn thinker(c: &Config) -> Result<Model> {
    match c.model_type() {
        "qwen2_5_omni_thinker" => text_part(c, "qwen2_5_omni_text", |part| qwen2(part, 4, 28)),
        _ => text_part(c, "qwen3_omni_moe_text", |part| qwen3_moe(part, 4)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model};

    const TEXT: &str = r#"{"hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "intermediate_size": 18944, "vocab_size": 152064, "use_sliding_window": false,
        "sliding_window": 32768, "max_window_layers": 28, "tie_word_embeddings": false}"#;

    #[test]
    fn the_thinker_of_a_whole_is_a_thinker_alone() {
        // As in Qwen2-7B: 2·152,064·3584
        // + 28·(2·3584² + 2·3584·512 + 3584 + 2·512 + 3·3584·18,944 + 2·3584) + 3584.
        let thinker = format!(
            r#"{{"model_type": "qwen2_5_omni_thinker", "audio_config": {{}}, "text_config": {TEXT}}}"#
        );
        let whole = format!(
            r#"{{"model_type": "qwen2_5_omni", "talker_config": {{"hidden_size": 896}}, "thinker_config": {thinker}}}"#
        );
        // The tower that hears, of its class's sizes: convolutions of 3·128·1280 and 3·1280², 32 layers of
        // 4·1280² + 3·1280, 2·1280·5120 + 5120 + 1280 and two norms; a norm, a matrix of 1280·3584, two vectors.
        let convolutions = 3 * 128 * 1280 + 1280 + 3 * 1280 * 1280 + 1280;
        let layer = 4 * 1280 * 1280 + 3 * 1280 + 2 * 1280 * 5120 + 5120 + 1280 + 4 * 1280;
        let tower = convolutions + 32 * layer + 2 * 1280 + 1280 * 3584 + 3584 + 2 * 3584;
        for config in [&thinker, &whole] {
            let parameters = model(config).parameters();
            assert_eq!(
                (parameters.active, parameters.total),
                (7_615_616_512, 7_615_616_512 + tower)
            );
        }
        let left_out = "only the text part is counted, without `talker_config`".to_owned();
        assert!(model(&whole).notes().contains(&left_out));
    }

    #[test]
    fn a_whole_without_a_thinker_is_an_error() {
        assert_eq!(
            error(r#"{"model_type": "qwen3_omni_moe"}"#),
            "`thinker_config`: is missing; a config of this type keeps there what thinks"
        );
    }
}
