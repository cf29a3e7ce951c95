//! Gemma: Llama's block with a head that is the embedding table. Gemma 2 norms what comes out of each half
//! too and slides on every other layer; Gemma 3 norms queries and keys and slides on five layers in six.
//!
//! ```text
//! gemma    embed → L × [ norm → q, k, v → attend → out ] [ norm → gate, up → down ] → norm → head
//! gemma2   embed → L × [ norm → q, k, v → attend → out → norm ] [ norm → gate, up → down → norm ] → norm → head
//! gemma3   the same, with norms of q, k before attention
//! ```
//!
//! VaultGemma is Gemma 2 without the norms of what comes out. Gemma 3's larger sizes see images too: `gemma3` has SigLIP's
//! tower. So has PaliGemma, before Gemma or Gemma 2, whose prompts are seen whole by each of their tokens.

use super::parts::{
    Heads, decoder, decoder_of, gated_mlp, head, head_norms, layer_interval, layer_masks,
    pre_normed, rms_norm, text_part, tied, with_norms,
};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::model::Model;
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] =
    &["gemma", "gemma2", "gemma3_text", "gemma3", "paligemma", "vaultgemma"];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "gemma" => causal(c).and_then(|()| gemma(c)),
        "gemma2" | "vaultgemma" => causal(c).and_then(|()| gemma2(c)),
        "paligemma" => text_part(c, "gemma", paligemma),
        "gemma3" => text_part(c, "gemma3_text", gemma3),
        _ => gemma3(c),
    }
}

/// The text part of PaliGemma, which sees a prompt whole where no key says otherwise.
fn paligemma(c: &Config) -> Result<Model> {
    // How many vectors an image has is the tower's.
    c.raw("num_image_tokens");
    let whole = c.flag("use_bidirectional_attention", true)?;
    let model = match c.model_type() {
        "gemma" => gemma(c),
        "gemma2" => gemma2(c),
        other => {
            let fact = format!("\"{}\" is not counted yet as a part of PaliGemma", shown(other));
            Err(Error::new(ErrorKind::Architecture, "`text_config.model_type`", fact)
                .hint("gemma and gemma2 are"))
        }
    }?;
    Ok(if whole { model.seeing_prompt_whole() } else { model })
}

fn gemma(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 16, Some(256))?;
    let bias = c.flag("attention_bias", false)?;
    decoder(c, d, tied(c, true)?, rms_norm("model.norm", d), |_| {
        let attention = heads.attention(d, bias, bias, Mask::Causal);
        Ok(pre_normed(d, attention, gated_mlp(d, f, false)))
    })
}

fn gemma2(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 4, Some(256))?;
    let bias = c.flag("attention_bias", false)?;
    let window = c.maybe_or("sliding_window", 4096)?;
    let masks = layer_masks(c, window, |layer| layer.is_multiple_of(2))?;
    decoder(c, d, tied(c, true)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, bias, bias, masks(layer));
        Ok(match c.model_type() {
            "vaultgemma" => pre_normed(d, attention, gated_mlp(d, f, false)),
            _ => normed_around(d, attention, f),
        })
    })
}

fn gemma3(c: &Config) -> Result<Model> {
    causal(c)?;
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    // Published files leave out what the class has by itself: heads, vocabulary.
    let query = c.size_or("num_attention_heads", 8)?;
    let kv = c.size_or("num_key_value_heads", 4)?;
    let heads = Heads::checked(c, d, query, kv, Some(c.size_or("head_dim", 256)?))?;
    let vocab = c.size_or("vocab_size", 262_208)?;
    let bias = c.flag("attention_bias", false)?;
    let window = c.maybe_or("sliding_window", 4096)?;
    let every = ["sliding_window_pattern", "_sliding_window_pattern"];
    let every = layer_interval(c, window, &every, 6)?;
    let masks = layer_masks(c, window, |layer| !(layer + 1).is_multiple_of(every))?;
    let head = head(d, vocab, tied(c, true)?);
    decoder_of(c, vocab, d, head, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, bias, bias, masks(layer));
        Ok(normed_around(d, with_norms(attention, head_norms(&heads)), f))
    })
}

/// A layer with norms before and after each half.
fn normed_around(d: u64, attention: Vec<Op>, f: u64) -> Vec<Op> {
    let mut ops = vec![rms_norm("input_layernorm", d)];
    ops.extend(attention);
    ops.push(rms_norm("post_attention_layernorm", d));
    ops.push(rms_norm("pre_feedforward_layernorm", d));
    ops.extend(gated_mlp(d, f, false));
    ops.push(rms_norm("post_feedforward_layernorm", d));
    ops
}

/// Embedding models made of Gemma see what follows, too.
fn causal(c: &Config) -> Result<()> {
    if c.flag("use_bidirectional_attention", false)? {
        return Err(Error::new(
            ErrorKind::Architecture,
            "`use_bidirectional_attention`",
            "is true; only causal attention of this type is counted",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model, windows};
    use crate::image::Image;
    use crate::{Component, Convention, Workload};

    #[test]
    fn a_prompt_of_paligemma_is_seen_whole_by_each_of_its_tokens() {
        let model = model(
            r#"{"model_type": "paligemma", "projection_dim": 16,
                "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 16,
                    "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                    "image_size": 8, "patch_size": 4, "vision_use_head": false},
                "text_config": {"model_type": "gemma", "hidden_size": 16, "num_hidden_layers": 3,
                    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
                    "intermediate_size": 16, "vocab_size": 32}}"#,
        );
        // (8 ÷ 4)² vectors of an image.
        let request = Workload::request(5, 3);
        let request = request.with_images(vec![Image::new(3, 7).expect("an image")]);
        let request = request.expect("a request");
        let flops = model.flops(&request, &Convention::MODEL).expect("a count");
        // 2·2·8 a pair, in 3 layers: 9 tokens see 9 each; then the tenth sees 10 and the eleventh 11.
        assert_eq!(flops.prefill[Component::AttentionScores], 2 * 2 * 8 * 3 * 81);
        assert_eq!(flops.decode[Component::AttentionScores], 2 * 2 * 8 * 3 * (10 + 11));
        let without_cache = request.without_kv_cache().expect("nothing is cached");
        let flops = model.flops(&without_cache, &Convention::MODEL).expect("a count");
        assert_eq!(
            flops.decode[Component::AttentionScores],
            2 * 2 * 8 * 3 * (81 + 10 + 81 + 10 + 11)
        );
        let cached = crate::Sequence { prompt: 9, cached: 4, generate: 1, count: 1 };
        let cached = Workload::batch(vec![cached]).expect("a request");
        let error = model.flops(&cached, &Convention::MODEL).expect_err("a prompt in two parts");
        assert!(error.to_string().contains("this model sees a prompt whole"), "{error}");
    }

    #[test]
    fn gemma_2b_has_its_published_parameters() {
        // 256,000·2048 + 18·(2·2048·2048 + 2·2048·256 + 3·2048·16,384 + 2·2048) + 2048
        let model = model(
            r#"{"model_type": "gemma", "hidden_size": 2048, "num_hidden_layers": 18, "head_dim": 256,
                "num_attention_heads": 8, "num_key_value_heads": 1, "intermediate_size": 16384,
                "vocab_size": 256000}"#,
        );
        assert_eq!(model.parameters().total, 2_506_172_416);
    }

    #[test]
    fn gemma_2_9b_has_its_published_parameters() {
        // 256,000·3584 + 42·(2·3584·4096 + 2·3584·2048 + 3·3584·14,336 + 4·3584) + 3584
        let model = model(
            r#"{"model_type": "gemma2", "hidden_size": 3584, "num_hidden_layers": 42, "head_dim": 256,
                "num_attention_heads": 16, "num_key_value_heads": 8, "intermediate_size": 14336,
                "vocab_size": 256000, "sliding_window": 4096}"#,
        );
        assert_eq!(model.parameters().total, 9_241_705_984);
        assert_eq!(windows(&model), [(Some(4096), 21), (None, 21)]);
    }

    /// As published: what the class has by itself is left out.
    const GEMMA_3_4B: &str = r#""text_config": {"hidden_size": 2560, "intermediate_size": 10240,
        "model_type": "gemma3_text", "num_hidden_layers": 34, "sliding_window": 1024}"#;

    #[test]
    fn gemma_3_4b_has_its_published_parameters_with_and_without_its_tower() {
        // 262,208·2560
        // + 34·(2·2560·2048 + 2·2560·1024 + 2·256 + 3·2560·10,240 + 4·2560) + 2560
        let config = format!(
            r#"{{"model_type": "gemma3", {GEMMA_3_4B}, "torch_dtype": "float16",
                "vision_config": {{"hidden_size": 1152, "image_size": 896, "intermediate_size": 4304,
                    "model_type": "siglip_vision_model", "num_attention_heads": 16,
                    "num_hidden_layers": 27, "patch_size": 14, "vision_use_head": false}}}}"#
        );
        // The tower: patches 3·14²·1152 + 1152, positions 64²·1152, 27·(4·(1152² + 1152) + 2·1152·4304 + 4304 + 1152
        // + 4·1152), a norm of 2·1152; 1152·2560 + 1152 to the text's width.
        let tower: u128 = 678_528 + 4_718_592 + 27 * 15_239_504 + 2_304 + 2_950_272;
        let model = model(&config);
        assert_eq!(model.parameters().total, 3_880_263_168 + tower);
        // As published.
        assert_eq!(model.parameters().total, 4_300_079_472);
        assert_eq!(model.parameters().active, 3_880_263_168);
        assert_eq!(model.model_type(), "gemma3");
        let unseen = model_without_tower();
        assert_eq!(unseen.parameters().total, 3_880_263_168);
        assert_eq!(unseen.model_type(), "gemma3_text");
        let [heads, .., last] = unseen.notes() else { panic!("notes") };
        assert!(heads.starts_with("`text_config.num_attention_heads` is absent"), "{heads}");
        assert_eq!(last, "`vision_config` is absent: only the text part is counted");
        assert_eq!(windows(&unseen), [(Some(1024), 29), (None, 5)]);
        assert_eq!(model.quantization().dtype.to_string(), "fp16");
    }

    fn model_without_tower() -> crate::Model {
        model(&format!(r#"{{"model_type": "gemma3", {GEMMA_3_4B}, "torch_dtype": "float16"}}"#))
    }

    #[test]
    fn what_a_vision_tower_keeps_whole_the_text_part_does_not() {
        let stored = |kept: &str| {
            let config = format!(
                r#"{{"model_type": "gemma3", {GEMMA_3_4B}, "dtype": "bfloat16",
                    "quantization_config": {{"quant_method": "fp8",
                        "modules_to_not_convert": ["{kept}.layers.0.self_attn.q_proj"]}}}}"#
            );
            let model = model(&config);
            model.ops().map(|(op, repeat)| op.stored_bits() * u128::from(repeat)).sum::<u128>()
        };
        // Of one matrix, 8 bits more an element and no scale of 32.
        let (text, vision) = (stored("language_model.model"), stored("vision_tower.encoder"));
        assert_eq!(text - vision, 8 * 2560 * 2048 - 32);
    }

    #[test]
    fn a_part_that_is_missing_or_sees_what_follows_is_refused() {
        assert_eq!(
            error(r#"{"model_type": "gemma3"}"#),
            "`text_config`: is missing; a multimodal config keeps its text part there"
        );
        assert_eq!(
            error(r#"{"model_type": "gemma3", "text_config": {"hidden_size": 0}}"#),
            "`text_config.hidden_size`: is 0, which is no size; \
             a size is a whole number from 1 to 16777216"
        );
        assert_eq!(
            error(r#"{"model_type": "gemma3_text", "use_bidirectional_attention": true}"#),
            "`use_bidirectional_attention`: is true; only causal attention of this type is counted"
        );
    }
}
