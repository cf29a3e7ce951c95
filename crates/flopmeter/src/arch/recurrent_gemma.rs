//! RecurrentGemma (Griffin, arXiv:2402.19427): real-gated linear recurrent units, and attention within a
//! window in every third layer.
//!
//! ```text
//! embed → L × [ norm → (y, x → convolution → gates → unit, · y → out, or q, k, v → attend → out) ]
//!             [ norm → gate, up → down ] → norm → head
//! ```
//!
//! The two gates of a unit are products within blocks, one for each head. `model` counts the unit by
//! [`RecurrentKind::needed`](crate::op::RecurrentKind::needed); `torch` does not see it, and begins the
//! convolution anew in every pass: [`RecurrentKind::by_reference`](crate::op::RecurrentKind::by_reference).

use super::parts::projection as attention_projection;
use super::parts::{Heads, decoder, mlp, rms_norm, tied, uncounted_kind, vector};
use super::recurrent::projection;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Convolution, Op, Padding, Recurrent, RecurrentKind};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["recurrent_gemma"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let kv = c.size_or("num_key_value_heads", heads.query)?;
    let heads = heads.sharing(c, "num_key_value_heads", kv)?;
    // It follows from the two above.
    let _derived = c.raw("head_dim");
    let attends = attending(c)?;
    let attention = attention(c, d, &heads)?;
    let unit = unit(c, d, heads.query)?;
    // Of the width that files state, which is that of gate and up together.
    let stated = c.size("intermediate_size")?;
    let inner = stated / 2;
    if inner == 0 {
        return Err(c.contradiction("intermediate_size", "is 1, and half of it is no width"));
    }
    decoder(c, d, tied(c, true)?, rms_norm("model.final_norm", d), |layer| {
        let mut ops = vec![rms_norm("temporal_pre_norm", d)];
        ops.extend(if attends(layer) { attention.clone() } else { unit.clone() });
        ops.extend([
            rms_norm("channel_pre_norm", d),
            mlp("mlp_block.gate_proj", d, inner).bias(true).into(),
            mlp("mlp_block.up_proj", d, inner).bias(true).into(),
            mlp("mlp_block.down_proj", inner, d).bias(true).into(),
        ]);
        Ok(ops)
    })
}

/// Which layers attend: `block_types` over and over, which older files call `_block_types`.
fn attending(c: &Config) -> Result<impl Fn(u64) -> bool> {
    let older = c.texts("_block_types")?;
    let listed = match c.texts("block_types")? {
        Some(listed) => Some(listed),
        None => older,
    };
    let kinds = listed.unwrap_or_else(|| {
        c.note_default("block_types", "two recurrent layers and one that attends by turns");
        vec!["recurrent", "recurrent", "attention"]
    });
    let attends = kinds.iter().map(|kind| match *kind {
        "recurrent" => Ok(false),
        "attention" => Ok(true),
        other => Err(uncounted_kind(c, "block_types", other)),
    });
    let attends = attends.collect::<Result<Vec<bool>>>()?;
    if attends.is_empty() {
        return Err(c.contradiction("block_types", "is empty"));
    }
    let period = attends.len() as u64;
    Ok(move |layer: u64| {
        usize::try_from(layer % period).is_ok_and(|at| attends.get(at) == Some(&true))
    })
}

fn attention(c: &Config, d: u64, heads: &Heads) -> Result<Vec<Op>> {
    let bias = c.flag("attention_bias", false)?;
    let window = c.size_or("attention_window_size", 2048)?;
    let (q, kv) = (heads.query_width(), heads.kv_width());
    Ok(vec![
        attention_projection("temporal_block.q_proj", d, q).bias(bias).into(),
        attention_projection("temporal_block.k_proj", d, kv).bias(bias).into(),
        attention_projection("temporal_block.v_proj", d, kv).bias(bias).into(),
        heads.attend_in("temporal_block", Mask::Sliding { window }),
        attention_projection("temporal_block.o_proj", q, d).bias(true).into(),
    ])
}

fn unit(c: &Config, d: u64, heads: u64) -> Result<Vec<Op>> {
    let width = c.size_or("lru_width", d)?;
    if !width.is_multiple_of(heads) {
        let fact = format!("is {width}, which {heads} heads do not divide evenly");
        return Err(c.contradiction("lru_width", &fact));
    }
    let block = width / heads;
    let kernel = c.size_or("conv1d_width", 4)?;
    let convolution =
        Convolution { bias: true, padding: Padding::Anew, ..Convolution::new(width, kernel) };
    Ok(vec![
        projection("temporal_block.linear_y", d, width).bias(true).into(),
        projection("temporal_block.linear_x", d, width).bias(true).into(),
        Recurrent::new("temporal_block.conv_1d", RecurrentKind::Convolution(convolution)).into(),
        projection("temporal_block.rg_lru.input_gate", block, width).bias(true).into(),
        projection("temporal_block.rg_lru.recurrent_gate", block, width).bias(true).into(),
        vector("temporal_block.rg_lru.recurrent_param", width),
        Recurrent::new("temporal_block.rg_lru", RecurrentKind::Gated { channels: width }).into(),
        projection("temporal_block.linear_out", width, d).bias(true).into(),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};

    /// RecurrentGemma-2B as on the Hub.
    const GEMMA: &str = r#"{"model_type": "recurrent_gemma", "attention_bias": false,
        "_block_types": ["recurrent", "recurrent", "attention"], "attention_window_size": 2048,
        "conv1d_width": 4, "head_dim": 256, "hidden_size": 2560, "intermediate_size": 15360,
        "lru_width": 2560, "num_attention_heads": 10, "num_hidden_layers": 26,
        "num_key_value_heads": 1, "vocab_size": 256000, "dtype": "bfloat16"}"#;

    #[test]
    fn recurrent_gemma_has_as_many_parameters_as_published() {
        // A unit: y, x, out 3·(2560·2560 + 2560), convolution 5·2560, gates 2·(2560·256 + 2560), decay 2560.
        let unit: u128 = 3 * (2560 * 2560 + 2560) + 5 * 2560 + 2 * (2560 * 256 + 2560) + 2560;
        // Attention: q and out 2·2560·2560, k and v 2·2560·256, a bias of out.
        let attention: u128 = 2 * 2560 * 2560 + 2 * 2560 * 256 + 2560;
        // Both norms, gate and up 2·(2560·7680 + 7680), down 7680·2560 + 2560.
        let rest: u128 = 2 * 2560 + 2 * (2560 * 7680 + 7680) + 7680 * 2560 + 2560;
        let total = 18 * unit + 8 * attention + 26 * rest + 256_000 * 2560 + 2560;
        // 2.7 billion in arXiv:2404.07839, table 1, of which 0.7 are embeddings.
        assert_eq!(total / 100_000_000, 26);
        assert_eq!(parameters(GEMMA), total);
        assert!(model(GEMMA).unread().is_empty());
    }

    #[test]
    fn kinds_that_nobody_knows_are_an_error() {
        assert_eq!(
            fact(&GEMMA.replace("[\"recurrent\", ", "[\"convolution\", ")),
            "`block_types`: has a layer of a kind that is not counted: \"convolution\""
        );
        assert_eq!(
            fact(&GEMMA.replace("lru_width\": 2560", "lru_width\": 2561")),
            "`lru_width`: is 2561, which 10 heads do not divide evenly"
        );
    }
}
