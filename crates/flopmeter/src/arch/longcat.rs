//! LongCat-Flash (arXiv:2509.01322): two latent attentions and two feed-forward layers a layer, and experts beside
//! them of which some do nothing.
//!
//! ```text
//! embed → L × [ norm → latent attention ] [ norm → gate, up → down, and from here router → k of E + Z ─┐ ]
//!             [ norm → latent attention ] [ norm → gate, up → down ] + experts (gate, up → down) ◄─────┘ → norm → head
//! ```
//!
//! Of a token's `moe_topk` experts those among the `zero_expert_num` return what they are given, so how many
//! products it takes depends on the token. Both conventions count the share of the others, E of E + Z, which is
//! what the model's training holds it to on average (section 2.1.2: 8 of 12), and a note says between which
//! numbers it moves.

use super::deepseek::{LatentAttention, LatentDefaults};
use super::experts::{correction, expert};
use super::parts::{decoder, mlp, note_prediction_layers, rms_norm, tied};
use super::recurrent::width;
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Experts, Linear, Op};

pub(super) const MODEL_TYPES: &[&str] = &["longcat_flash"];

const LATENT: LatentDefaults =
    LatentDefaults { nope: 128, rope: 64, value: Some(128), rank: 512, query_rank: Some(1536) };

pub(super) fn build(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let latent = LatentAttention::read_or(c, d, &LATENT)?;
    if latent.query_rank.is_none() {
        return Err(c.contradiction("q_lora_rank", "is null, but queries are always compressed"));
    }
    let inner = c.size_of(&["ffn_hidden_size", "intermediate_size"])?;
    let experts = mixture(c, d)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let mut ops = Vec::new();
        for [before, after, gate, up, down] in HALVES {
            ops.push(rms_norm(before, d));
            ops.extend(latent.ops());
            ops.extend([
                rms_norm(after, d),
                mlp(gate, d, inner).into(),
                mlp(up, d, inner).into(),
                mlp(down, inner, d).into(),
            ]);
        }
        ops.extend(experts.clone());
        Ok(ops)
    })
}

/// Norms and dense matrices of a layer's two halves.
const HALVES: [[&str; 5]; 2] = [
    [
        "input_layernorm.0",
        "post_attention_layernorm.0",
        "mlps.0.gate_proj",
        "mlps.0.up_proj",
        "mlps.0.down_proj",
    ],
    [
        "input_layernorm.1",
        "post_attention_layernorm.1",
        "mlps.1.gate_proj",
        "mlps.1.up_proj",
        "mlps.1.down_proj",
    ],
];

fn mixture(c: &Config, d: u64) -> Result<Vec<Op>> {
    let chosen = c.size_of(&["moe_topk", "num_experts_per_tok"])?;
    let total = c.size_of(&["n_routed_experts", "num_local_experts"])?;
    let zero = c.count_or("zero_expert_num", 256)?;
    let all = total + zero;
    width(c, "n_routed_experts", d, 1)?;
    if chosen > all {
        let fact = format!("is {chosen}, but there are {all} experts");
        return Err(c.contradiction("moe_topk", &fact));
    }
    let experts = Experts::routed(share(c, chosen, total, zero), total);
    let inner = c.size_of(&["expert_ffn_hidden_size", "moe_intermediate_size"])?;
    let bias = c.flag("router_bias", false)?;
    let [gate, up, down] =
        ["mlp.experts.gate_proj", "mlp.experts.up_proj", "mlp.experts.down_proj"];
    let router = Linear::new("mlp.router.classifier", Component::MoeRouter, d, all);
    Ok(vec![
        router.bias(bias).into(),
        correction("mlp.router.e_score_correction_bias", Experts::routed(chosen, all)),
        expert(gate, d, inner, experts).into(),
        expert(up, d, inner, experts).into(),
        expert(down, inner, d, experts).into(),
    ])
}

/// How many of the chosen experts do something, to the nearest whole number; noted if that is not all.
fn share(c: &Config, chosen: u64, total: u64, zero: u64) -> u64 {
    if zero == 0 {
        return chosen;
    }
    let all = total + zero;
    let share = ((2 * chosen * total + all) / (2 * all)).max(1);
    let (least, most) = (chosen.saturating_sub(zero), chosen.min(total));
    c.note(format!(
        "a token runs through {least} to {most} experts, which depends on it; {share} are counted, the share that \
         {total} of {all} have of the {chosen} chosen"
    ));
    share
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// LongCat-Flash-Chat.
    const LONGCAT: &str = r#"{"model_type": "longcat_flash", "attention_bias": false,
        "ffn_hidden_size": 12288, "hidden_size": 6144, "kv_lora_rank": 512, "num_layers": 28,
        "expert_ffn_hidden_size": 2048, "moe_topk": 12, "n_routed_experts": 512, "zero_expert_num": 256,
        "zero_expert_type": "identity", "num_attention_heads": 64, "q_lora_rank": 1536,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 131072,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#;

    #[test]
    fn longcat_has_as_many_parameters_as_published() {
        let d: u128 = 6144;
        // Latent attention: q_a, norm, q_b 1536·64·192, kv_a d·576, norm, kv_b 512·64·256, out 8192·d.
        let latent = d * 1536 + 1536 + 1536 * 12_288 + d * 576 + 512 + 512 * 16_384 + 8192 * d;
        let half = latent + 2 * d + 3 * d * 12_288;
        let expert = 3 * d * 2048;
        let total = 28 * (2 * half + d * 768 + 512 * expert) + 2 * 131_072 * d + d;
        // 560 billion, of which 18.6 to 31.3 are active, 27 on average (arXiv:2509.01322, abstract).
        assert_eq!(total / 1_000_000_000, 560);
        let longcat = model(LONGCAT);
        assert_eq!(longcat.parameters().total, total);
        assert_eq!(longcat.parameters().active, total - 28 * 504 * expert);
        assert!(longcat.unread().is_empty());
        assert_eq!(
            longcat.notes(),
            [
                "a token runs through 0 to 12 experts, which depends on it; 8 are counted, the share that 512 of \
              768 have of the 12 chosen"
            ]
        );
    }

    #[test]
    fn more_cannot_be_chosen_than_there_are() {
        assert_eq!(
            fact(&LONGCAT.replace("topk\": 12", "topk\": 800")),
            "`moe_topk`: is 800, but there are 768 experts"
        );
    }
}
