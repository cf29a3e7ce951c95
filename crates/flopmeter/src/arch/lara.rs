//! Lara Mini: gated delta nets, attention in a window and attention to everything by turns, experts in every layer.
//!
//! ```text
//! embed → L × [ norm → (in → convolution → delta rule → gated norm → out, or q, k, v → norms of q, k → attend → out) ]
//!             [ norm → router → k of E × (gate, up → down) + shared (gate, up → down) ] → norm → head
//! ```
//!
//! The delta nets are Qwen3.5's. Of five layers the first and third recur, the fourth attends to everything, the others
//! slide, unless `layer_types` says otherwise.

use super::feed_forward::FeedForward;
use super::parts::{
    Heads, decoder, head_norms, one_each, pre_normed, rms_norm, tied, uncounted_kind, with_norms,
};
use super::qwen_moe::SHARED;
use super::qwen_next::separate;
use super::recurrent::Delta;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["lara_mini"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 4, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let delta = Delta {
        key_heads: c.size_or("linear_num_key_heads", 8)?,
        value_heads: c.size_or("linear_num_value_heads", 16)?,
        key: c.size_or("linear_key_head_dim", 128)?,
        value: c.size_or("linear_value_head_dim", 128)?,
        kernel: c.size_or("linear_conv_kernel_dim", 4)?,
    }
    .checked(c)?;
    let mut ffn = FeedForward::all_sparse(c, "num_experts")?;
    ffn.shared = c.size("shared_expert_intermediate_size")?;
    ffn.shared_names = SHARED;
    let layers = layers(c)?;
    let net = separate(d, &delta);
    let mut each = layers.iter().cycle();
    decoder(c, d, tied(c, true)?, rms_norm("model.norm", d), |_| {
        let mixer = match each.next().copied().flatten() {
            Some(mask) => with_norms(heads.attention(d, bias, bias, mask), head_norms(&heads)),
            None => net.clone(),
        };
        Ok(pre_normed(d, mixer, ffn.layer(true, d, false)))
    })
}

/// What each layer sees, `None` where it recurs; of layers that no list names, the pattern of five.
fn layers(c: &Config) -> Result<Vec<Option<Mask>>> {
    const KEY: &str = "layer_types";
    let window = Mask::Sliding { window: c.size_or("sliding_window", 512)? };
    let Some(kinds) = c.texts(KEY)? else {
        return Ok(vec![None, Some(window), None, Some(Mask::Causal), Some(window)]);
    };
    let layers = c.size("num_hidden_layers")?;
    one_each(c, KEY, &kinds, layers)?;
    let kind = |kind: &str| match kind {
        "linear_attention" => Ok(None),
        "sliding_attention" => Ok(Some(window)),
        "full_attention" => Ok(Some(Mask::Causal)),
        other => Err(uncounted_kind(c, KEY, other)),
    };
    kinds.into_iter().map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, windows};

    fn small(more: &str) -> String {
        format!(
            r#"{{"model_type": "lara_mini", "hidden_size": 64, "num_hidden_layers": 10, "num_attention_heads": 4,
                "num_key_value_heads": 2, "head_dim": 16, "num_experts": 8, "num_experts_per_tok": 2,
                "moe_intermediate_size": 32, "shared_expert_intermediate_size": 24, "vocab_size": 100,
                "sliding_window": 8{more}}}"#
        )
    }

    #[test]
    fn of_five_layers_two_slide_and_one_sees_everything() {
        let found = windows(&model(&small("")));
        let of = |window| -> u64 {
            found.iter().filter(|(of, _)| *of == window).map(|(_, count)| count).sum()
        };
        assert_eq!((of(Some(8)), of(None)), (4, 2));
    }

    #[test]
    fn a_list_names_every_layer() {
        assert_eq!(
            fact(&small(r#", "layer_types": ["full_attention"]"#)),
            "`layer_types`: has 1 entries for 10 layers"
        );
    }
}
