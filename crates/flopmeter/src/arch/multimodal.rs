//! Models that see images and whose text part is a model of its own: that part is counted.
//!
//! ```text
//! image → vision tower → projector ┐            not counted
//! text → embed ────────────────────┴→ layers → norm → head
//! ```
//!
//! What an image costs beyond its tokens is left out, and a note says so.

use super::parts::text_part;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &[
    "aya_vision",
    "emu3",
    "fuyu",
    "got_ocr2",
    "internvl",
    "kimi_k25",
    "llava",
    "llava_next",
    "llava_next_video",
    "llava_onevision",
    "mistral3",
    "vipllava",
];

pub(super) fn build(c: &Config) -> Result<Model> {
    // What the classes take a text part for that names no type.
    let model_type = match c.model_type() {
        "aya_vision" => "cohere2",
        "emu3" => "emu3_text_model",
        "fuyu" => "persimmon",
        "got_ocr2" | "internvl" | "llava_onevision" => "qwen2",
        "kimi_k25" => "kimi_k2",
        "mistral3" => "mistral",
        _ => "llama",
    };
    text_part(c, model_type, super::build)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model};

    #[test]
    fn mistral_small_3_1_24b_counts_its_text_part() {
        // 2·131,072·5120 + 40·(2·5120·4096 + 2·5120·1024 + 3·5120·32,768 + 2·5120) + 5120
        let model = model(
            r#"{"model_type": "mistral3", "vision_config": {}, "spatial_merge_size": 2,
                "text_config": {"hidden_size": 5120, "num_hidden_layers": 40, "head_dim": 128,
                    "num_attention_heads": 32, "num_key_value_heads": 8, "model_type": "mistral",
                    "intermediate_size": 32768, "vocab_size": 131072, "sliding_window": null}}"#,
        );
        assert_eq!(model.parameters().total, 23_572_403_200);
        assert_eq!(model.model_type(), "mistral");
        assert!(model.unread().is_empty());
    }

    #[test]
    fn a_head_is_tied_as_the_whole_says_it_and_in_llava_as_either_does() {
        let parameters = |whole: &str, tied: bool, part_tied: bool| {
            let config = format!(
                r#"{{"model_type": "{whole}", "tie_word_embeddings": {tied},
                    "text_config": {{"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1,
                        "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 10,
                        "tie_word_embeddings": {part_tied}}}}}"#
            );
            model(&config).parameters().total
        };
        // Embedding 80, layer 4·64 + 3·64 + 2·8, norm 8; the head 80 more.
        let (tied, untied) = (552, 632);
        assert_eq!(parameters("mistral3", true, false), tied);
        assert_eq!(parameters("mistral3", false, true), untied);
        assert_eq!(parameters("llava", false, true), tied);
        assert_eq!(parameters("llava", false, false), untied);
    }

    #[test]
    fn a_part_that_is_not_stated_whole_is_refused() {
        // LLaVA-1.5 leaves the sizes of its text part to a default.
        assert_eq!(
            error(r#"{"model_type": "llava", "text_config": {"vocab_size": 32064}}"#),
            "`text_config.hidden_size`: is missing; a config of type `llama` states it"
        );
        assert_eq!(
            error(r#"{"model_type": "internvl", "text_config": []}"#),
            "`text_config`: is a list, not an object"
        );
    }
}
