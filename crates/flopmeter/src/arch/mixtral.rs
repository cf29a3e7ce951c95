//! Mixtral and its kin: Llama's attention, and experts in every layer.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → router → k of E × (gate, up → down) ] → norm → head
//! ```
//!
//! Phi-3.5-MoE has norms with biases, and may have them in attention and the head. Granite keeps the
//! gate and up matrices of an expert in one, and may have an MLP that every token runs through beside
//! them; three layers in four of `granitemoe_swa` slide, and its heads have sinks. Experts are
//! `intermediate_size` wide.

use super::experts::{self, Names};
use super::parts::{
    Heads, decoder, decoder_of, head, layer_masks, layer_norm, pre_normed, rms_norm, tied, vector,
};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Experts, Linear};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] =
    &["mixtral", "phimoe", "granitemoe", "granitemoeshared", "granitemoe_swa"];

/// What the checkpoints of Mixtral, Phi-3.5-MoE and MiniMax-M2 call a layer's matrices.
pub(super) const BLOCK_SPARSE: Names = [
    "block_sparse_moe.gate",
    "block_sparse_moe.experts.w1",
    "block_sparse_moe.experts.w3",
    "block_sparse_moe.experts.w2",
];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let experts = experts::read(c, "num_local_experts", "num_experts_per_tok")?;
    match c.model_type() {
        "phimoe" => phi(c, d, f, experts),
        "granitemoe" | "granitemoeshared" | "granitemoe_swa" => granite(c, d, f, experts),
        _ => mixtral(c, d, f, experts),
    }
}

fn mixtral(c: &Config, d: u64, f: u64, experts: Experts) -> Result<Model> {
    let heads = Heads::read_or(c, d, 8, None)?;
    let mask = window(c)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let attention = heads.attention(d, false, false, mask);
        Ok(pre_normed(d, attention, experts::mixture(BLOCK_SPARSE, d, f, experts)))
    })
}

fn phi(c: &Config, d: u64, f: u64, experts: Experts) -> Result<Model> {
    let heads = Heads::read_or(c, d, 8, None)?;
    let bias = c.flag("attention_bias", false)?;
    let vocab = c.size("vocab_size")?;
    let head = head(d, vocab, tied(c, false)?).bias(c.flag("lm_head_bias", false)?);
    let mask = window(c)?;
    let norm = |module| layer_norm(module, d, true);
    decoder_of(c, vocab, d, head, norm("model.norm"), |_| {
        let mut ops = vec![norm("input_layernorm")];
        ops.extend(heads.attention(d, bias, bias, mask));
        ops.push(norm("post_attention_layernorm"));
        ops.extend(experts::mixture(BLOCK_SPARSE, d, f, experts));
        Ok(ops)
    })
}

fn granite(c: &Config, d: u64, f: u64, experts: Experts) -> Result<Model> {
    let heads = Heads::read(c, d)?;
    let bias = c.flag("attention_bias", false)?;
    let slides = c.model_type() == "granitemoe_swa";
    let shared = match c.model_type() {
        "granitemoe" => 0,
        _ => c.count_or("shared_intermediate_size", 0)?,
    };
    let window = if slides { c.maybe_or("sliding_window", 128)? } else { None };
    let masks = layer_masks(c, window, |layer| slides && !layer.is_multiple_of(4))?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let mut attention = heads.attention(d, bias, bias, masks(layer));
        if slides {
            attention.push(vector("self_attn.sinks", heads.query));
        }
        let mut mixture = vec![
            experts::router("block_sparse_moe.router.layer", d, experts).into(),
            experts::expert("block_sparse_moe.input_linear", d, 2 * f, experts).into(),
            experts::expert("block_sparse_moe.output_linear", f, d, experts).into(),
        ];
        if shared > 0 {
            let matrix = |module, from, to| Linear::new(module, Component::MoeShared, from, to);
            mixture.push(matrix("shared_mlp.input_linear", d, 2 * shared).into());
            mixture.push(matrix("shared_mlp.output_linear", shared, d).into());
        }
        Ok(pre_normed(d, attention, mixture))
    })
}

/// A window that is stated holds for every layer.
fn window(c: &Config) -> Result<Mask> {
    Ok(c.maybe("sliding_window")?.map_or(Mask::Causal, |window| Mask::Sliding { window }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters, windows};

    /// Mixtral-8x7B-v0.1.
    const MIXTRAL: &str = r#"{"model_type": "mixtral", "hidden_size": 4096,
        "intermediate_size": 14336, "num_attention_heads": 32, "num_experts_per_tok": 2,
        "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 8,
        "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "vocab_size": 32000}"#;

    #[test]
    fn mixtral_has_as_many_parameters_as_published() {
        // A layer: attention 2·4096·(4096 + 1024) = 41,943,040, router 4096·8 = 32,768, experts
        // 8·3·4096·14336 = 1,409,286,144, norms 2·4096. 32 of them, 2·32000·4096 and a norm.
        let mixtral = model(MIXTRAL);
        assert_eq!(mixtral.parameters().total, 46_702_792_704);
        // Six experts of a layer are not used: 32·6·3·4096·14336 = 33,822,867,456 less.
        assert_eq!(mixtral.parameters().active, 46_702_792_704 - 33_822_867_456);
        assert!(mixtral.unread().is_empty());
        let shared = "`head_dim` is absent; the reference implementation of `mixtral` takes 128";
        assert_eq!(mixtral.notes(), [shared]);
    }

    #[test]
    fn the_spelling_that_newer_libraries_use_is_the_same() {
        assert_eq!(
            parameters(&MIXTRAL.replace("num_local_experts", "num_experts")),
            46_702_792_704
        );
    }

    #[test]
    fn more_experts_than_there_are_is_an_fact() {
        assert_eq!(
            fact(&MIXTRAL.replace("per_tok\": 2", "per_tok\": 9")),
            "`num_experts_per_tok`: is 9, but there are 8 experts"
        );
        assert_eq!(
            fact(&MIXTRAL.replace("num_local_experts", "experts")),
            "`num_local_experts`: is missing"
        );
    }

    #[test]
    fn granite_may_have_an_mlp_beside_its_experts() {
        // 2·(4·64² + 64·4 + 4·3·64·32 + 2·64) + 100·64 + 64, the head 100·64 more, and beside the
        // experts 3·64·48 a layer.
        let plain = r#"{"model_type": "granitemoeshared", "hidden_size": 64, "intermediate_size": 32,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_local_experts": 4,
            "num_experts_per_tok": 2, "vocab_size": 100, "shared_intermediate_size": 0}"#;
        let least = 2 * (4 * 64 * 64 + 64 * 4 + 4 * 3 * 64 * 32 + 2 * 64) + 2 * 100 * 64 + 64;
        assert_eq!(parameters(plain), least);
        let shared = plain.replace("_size\": 0", "_size\": 48");
        assert_eq!(parameters(&shared), least + 2 * 3 * 64 * 48);
        // A sink for each head.
        let sliding = shared.replace("granitemoeshared", "granitemoe_swa");
        assert_eq!(parameters(&sliding), least + 2 * (3 * 64 * 48 + 4));
        assert_eq!(windows(&model(&sliding)), [(None, 1), (Some(128), 1)]);
    }
}
