//! Bamba: Mamba-2's block in most layers, attention in a few; and Falcon-H1: both side by side in every one.
//!
//! ```text
//! bamba      embed → L × [ norm → (in → convolution → scan → out, or q, k, v → attend → out) ] [ norm → gate, up → down ] → norm → head
//! falcon_h1  embed → L × [ norm → (in → convolution → scan → out) + (q, k, v → attend → out) ] [ norm → gate, up → down ] → norm → head
//! ```
//!
//! `model` counts the scan token by token; `torch` counts it in padded chunks:
//! [`RecurrentKind::by_reference`](crate::op::RecurrentKind::by_reference).

use super::parts::{Heads, decoder, mlp, one_at_most, rms_norm, tied};
use super::recurrent::{Dual, MAMBA};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["bamba", "falcon_h1"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.model_type() == "bamba" { bamba(c) } else { falcon(c) }
}

fn bamba(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let ffn = feed_forward(c, d)?;
    let heads = Heads::read_or(c, d, 8, None)?;
    let bias = c.flag("attention_bias", false)?;
    let attends = c.counts("attn_layer_indices")?.unwrap_or_default();
    let layers = c.size("num_hidden_layers")?;
    one_at_most(c, "attn_layer_indices", &attends, layers)?;
    let mamba = Dual::read(c, d, None)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.final_layernorm", d), |layer| {
        let mixer = if attends.contains(&layer) {
            heads.attention(d, bias, bias, Mask::Causal)
        } else {
            mamba.ops(MAMBA)
        };
        Ok(layer_of(d, mixer, &ffn))
    })
}

fn falcon(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let ffn = feed_forward(c, d)?;
    let heads = Heads::read_or(c, d, 8, None)?;
    let bias = c.flag("attention_bias", false)?;
    // Null means `mamba_expand` times the model's width.
    let inner = c.maybe_or("mamba_d_ssm", 1024)?;
    let mamba = Dual {
        out_bias: c.flag("projectors_bias", false)?,
        normed: c.flag("mamba_rms_norm", false)?,
        ..Dual::read(c, d, inner)?
    };
    // Factors that activations are scaled with, one for each piece of the projection.
    c.raw("ssm_multipliers");
    decoder(c, d, tied(c, false)?, rms_norm("model.final_layernorm", d), |_| {
        let mut mixer = mamba.ops(MAMBA);
        mixer.extend(heads.attention(d, bias, bias, Mask::Causal));
        Ok(layer_of(d, mixer, &ffn))
    })
}

fn feed_forward(c: &Config, d: u64) -> Result<[Op; 3]> {
    let f = c.size("intermediate_size")?;
    let bias = c.flag("mlp_bias", false)?;
    Ok([
        mlp("feed_forward.gate_proj", d, f).bias(bias).into(),
        mlp("feed_forward.up_proj", d, f).bias(bias).into(),
        mlp("feed_forward.down_proj", f, d).bias(bias).into(),
    ])
}

fn layer_of(d: u64, mixer: Vec<Op>, ffn: &[Op; 3]) -> Vec<Op> {
    let mut ops = vec![rms_norm("input_layernorm", d)];
    ops.extend(mixer);
    ops.push(rms_norm("pre_ff_layernorm", d));
    ops.extend(ffn.iter().cloned());
    ops
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};

    /// Bamba-9B.
    const BAMBA: &str = r#"{"model_type": "bamba", "attention_bias": false,
        "attn_layer_indices": [9, 18, 27], "hidden_size": 4096, "intermediate_size": 14336,
        "mamba_chunk_size": 256, "mamba_conv_bias": true, "mamba_d_conv": 4, "mamba_d_head": 64,
        "mamba_d_state": 128, "mamba_expand": 2, "mamba_n_groups": 1, "mamba_n_heads": 128,
        "mamba_proj_bias": false, "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 8, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 128256}"#;

    #[test]
    fn bamba_has_as_many_parameters_as_published() {
        // Mamba-2: in 4096·(8192 + 8448 + 128), convolution 8448·5, 3·128, norm 8192, out
        // 8192·4096. Attention 2·4096·(4096 + 1024). Feed-forward 3·4096·14336, norms 2·4096.
        let mamba: u128 = 4096 * 16_768 + 8448 * 5 + 384 + 8192 + 8192 * 4096;
        let attention: u128 = 2 * 4096 * (4096 + 1024);
        let rest: u128 = 3 * 4096 * 14_336 + 2 * 4096;
        let total = 29 * mamba + 3 * attention + 32 * rest + 2 * 128_256 * 4096 + 4096;
        assert_eq!(total / 10_000_000, 978); // 9.78 billion in its card
        assert_eq!(parameters(BAMBA), total);
        let model = model(BAMBA);
        let repeats: Vec<u64> = model.groups().iter().map(|group| group.repeat).collect();
        assert_eq!(repeats, [1, 29, 3, 1]);
        assert!(model.unread().is_empty());
        assert!(model.notes().iter().all(|note| note.contains("is absent")), "{:?}", model.notes());
    }

    #[test]
    fn heads_make_up_the_width() {
        assert_eq!(
            fact(&BAMBA.replace("\"mamba_d_head\": 64", "\"mamba_d_head\": 32")),
            "`mamba_n_heads`: 128 heads do not make up the width 8192"
        );
        assert_eq!(
            parameters(&BAMBA.replace("_head\": 64", "_head\": \"auto\"")),
            parameters(BAMBA)
        );
    }
}
