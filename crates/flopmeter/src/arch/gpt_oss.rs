//! gpt-oss: windows in every second layer, a sink for each head, experts with biases.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend + sinks → out ] [ norm → router → k of E × (gate and up → down) ] → norm → head
//! ```

use super::experts;
use super::parts::{Heads, decoder, layer_masks, pre_normed, rms_norm, tied, vector};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["gpt_oss"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 8, Some(64))?;
    let f = c.size("intermediate_size")?;
    let bias = c.flag("attention_bias", true)?;
    let experts = experts::read(c, "num_local_experts", "num_experts_per_tok")?;
    // Every second layer, the first included, unless `layer_types` says which.
    let window = c.maybe_or("sliding_window", 128)?;
    let masks = layer_masks(c, window, |layer| layer.is_multiple_of(2))?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let mut attention = heads.attention(d, bias, bias, masks(layer));
        attention.push(vector("self_attn.sinks", heads.query));
        let mixture = vec![
            experts::router("mlp.router", d, experts).bias(true).into(),
            experts::expert("mlp.experts.gate_up_proj", d, 2 * f, experts).bias(true).into(),
            experts::expert("mlp.experts.down_proj", f, d, experts).bias(true).into(),
        ];
        Ok(pre_normed(d, attention, mixture))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// gpt-oss-20b, which states its `layer_types` as the rule gives them.
    const SMALL: &str = r#"{"model_type": "gpt_oss", "attention_bias": true,
        "experts_per_token": 4, "head_dim": 64, "hidden_size": 2880, "intermediate_size": 2880,
        "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 24,
        "num_key_value_heads": 8, "num_local_experts": 32, "sliding_window": 128,
        "tie_word_embeddings": false, "vocab_size": 201088}"#;

    #[test]
    fn the_small_one_has_as_many_parameters_as_published() {
        // Attention 2·2880·(4096 + 512) + 4096 + 2·512 + 2880 and 64 sinks: 26,550,144; router
        // 32·2881; experts 32·(5760·2881 + 2880·2881); norms 2·2880. 24 of them, 2·201088·2880, a norm.
        let attention: u128 = 26_550_144;
        let experts: u128 = 32 * (5760 * 2881 + 2880 * 2881);
        let layer = attention + 32 * 2881 + experts + 2 * 2880;
        assert_eq!(24 * layer + 2 * 201_088 * 2880 + 2880, 20_914_757_184);
        let small = model(SMALL);
        assert_eq!(small.parameters().total, 20_914_757_184);
        // 3.6B in its model card, which leaves the embedding out.
        let unembedded = small.parameters().active - small.parameters().embedding;
        assert_eq!(unembedded, 3_608_307_264);
        assert!(small.unread().is_empty());
    }

    #[test]
    fn every_second_layer_slides() {
        let small = model(SMALL);
        let repeats: Vec<u64> = small.groups().iter().map(|group| group.repeat).collect();
        assert_eq!(repeats, [1, 12, 12, 1]);
    }

    #[test]
    fn two_spellings_that_disagree_are_an_fact() {
        let torn = SMALL.replace("experts_per_token\": 4", "experts_per_token\": 2");
        assert_eq!(
            fact(&torn),
            "`num_experts_per_tok`: is 4, but `experts_per_token`, another name of it, is 2"
        );
    }

    #[test]
    fn a_sliding_layer_needs_a_window() {
        let no_window = SMALL
            .replace(
                "\"sliding_window\": 128",
                "\"sliding_window\": null, \"layer_types\": [\"sliding_attention\"]",
            )
            .replace("layers\": 24", "layers\": 1");
        assert!(fact(&no_window).starts_with("`layer_types`: has sliding layers, but no window"));
    }
}
