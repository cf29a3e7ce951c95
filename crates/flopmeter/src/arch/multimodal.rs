//! Models that see images, or hear, and whose text part is a model of its own; of some the towers are counted too
//! (`vision`, `audio`).
//!
//! ```text
//! image → vision tower → projector ┐
//! sound → audio tower → projector ─┤
//! text → embed ────────────────────┴→ layers → norm → head
//! ```
//!
//! Where it is not, what an image or a sound costs beyond its tokens is left out, and a note says so.

use super::parts::text_part;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &[
    "apertus1p5",
    "aria",
    "audioflamingo3",
    "aya_vision",
    "blip-2",
    "cohere2_vision",
    "cohere_compass",
    "cosmos3_edge",
    "deepseek_vl",
    "deepseek_vl_hybrid",
    "emu3",
    "ernie4_5_vl_moe",
    "exaone4_5",
    "fast_vlm",
    "fun_asr_nano",
    "fuyu",
    "glm46v",
    "glm4v",
    "glm4v_moe",
    "glm_ocr",
    "glmasr",
    "glmga",
    "got_ocr2",
    "granite4_vision",
    "granite_docling",
    "granite_speech",
    "granite_speech_plus",
    "hunyuan_vl",
    "hyperclovax_vision_v2",
    "idefics2",
    "idefics3",
    "internvl",
    "janus",
    "kimi_k25",
    "lfm2_vl",
    "lfm3_vl",
    "lighton_ocr",
    "llava",
    "llava_next",
    "llava_next_video",
    "llava_onevision",
    "minicpm_ocr",
    "minicpmv4_6",
    "minicpmv4_7",
    "mistral3",
    "moss_transcribe_diarize",
    "musicflamingo",
    "nemo_speechlm",
    "nemotron_h_omni",
    "omniasr",
    "ovis2",
    "paddleocr_vl",
    "perception_lm",
    "pp_chart2table",
    "qianfan_ocr",
    "qwen2_audio",
    "qwen3_asr",
    "shieldgemma2",
    "smolvlm",
    "vibevoice_asr",
    "video_llama_3",
    "video_llava",
    "vipllava",
    "voxtral",
];

pub(super) fn build(c: &Config) -> Result<Model> {
    if let Some(text) = c.text_part("")?
        && matches!(text.model_type(), "t5" | "bart")
    {
        let fact = format!(
            "is of the type `{}`, an encoder and a decoder, which is not counted behind a tower",
            text.model_type()
        );
        return Err(c.contradiction("text_config", &fact));
    }
    text_part(c, text_type(c.model_type()), super::build)
}

/// What a class takes a text part for that names no type.
fn text_type(whole: &str) -> &'static str {
    match whole {
        "apertus1p5" => "apertus1p5_text",
        "aria" => "aria_text",
        "aya_vision" | "cohere2_vision" => "cohere2",
        "blip-2" => "opt",
        "cohere_compass" => "cohere_compass_text",
        "cosmos3_edge" => "cosmos3_edge_text",
        "emu3" => "emu3_text_model",
        "ernie4_5_vl_moe" => "ernie4_5_vl_moe_text",
        "exaone4_5" => "exaone4",
        "audioflamingo3" | "fast_vlm" | "got_ocr2" | "internvl" | "llava_onevision"
        | "musicflamingo" | "ovis2" | "pp_chart2table" | "qwen2_audio" | "vibevoice_asr"
        | "video_llama_3" => "qwen2",
        "fun_asr_nano"
        | "lighton_ocr"
        | "moss_transcribe_diarize"
        | "qianfan_ocr"
        | "qwen3_asr" => "qwen3",
        "fuyu" => "persimmon",
        "glm46v" | "glm4v" | "glmga" => "glm4v_text",
        "glm4v_moe" => "glm4v_moe_text",
        "glm_ocr" => "glm_ocr_text",
        "granite4_vision" => "granite4_vision_text",
        "granite_docling" => "granite_docling_text",
        "granite_speech" | "granite_speech_plus" => "granite",
        "hunyuan_vl" => "hunyuan_vl_text",
        "hyperclovax_vision_v2" => "hyperclovax",
        "idefics2" | "mistral3" => "mistral",
        "kimi_k25" => "kimi_k2",
        "lfm2_vl" => "lfm2",
        "lfm3_vl" => "lfm3",
        "minicpm_ocr" | "minicpmv4_6" | "minicpmv4_7" => "qwen3_5_text",
        "nemo_speechlm" | "nemotron_h_omni" => "nemotron_h",
        "paddleocr_vl" => "paddleocr_vl_text",
        "shieldgemma2" => "gemma3_text",
        _ => "llama",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model};

    #[test]
    fn mistral_small_3_1_24b_has_its_published_parameters() {
        // 2·131,072·5120 + 40·(2·5120·4096 + 2·5120·1024 + 3·5120·32,768 + 2·5120) + 5120
        let model = model(
            r#"{"model_type": "mistral3", "spatial_merge_size": 2,
                "vision_config": {"head_dim": 64, "hidden_size": 1024, "image_size": 1540,
                    "intermediate_size": 4096, "model_type": "pixtral", "num_attention_heads": 16,
                    "num_hidden_layers": 24, "patch_size": 14},
                "text_config": {"hidden_size": 5120, "num_hidden_layers": 40, "head_dim": 128,
                    "num_attention_heads": 32, "num_key_value_heads": 8, "model_type": "mistral",
                    "intermediate_size": 32768, "vocab_size": 131072, "sliding_window": null}}"#,
        );
        // The tower: patches 3·14²·1024, a norm, 24·(4·1024² + 3·1024·4096 + 2·1024); the projector: a norm,
        // 4·1024·1024, 1024·5120 and 5120².
        let tower: u128 =
            602_112 + 1024 + 24 * 16_779_264 + 1024 + 4_194_304 + 5_242_880 + 26_214_400;
        assert_eq!(model.parameters().total, 23_572_403_200 + tower);
        // As published.
        assert_eq!(model.parameters().total, 24_011_361_280);
        assert_eq!(model.parameters().active, 23_572_403_200);
        assert_eq!(model.model_type(), "mistral3");
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
