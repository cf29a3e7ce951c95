//! Llama and every `model_type` that has its block: grouped queries, a gated feed-forward layer, two norms.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → gate, up → down ] → norm → head
//! ```
//!
//! They differ in which matrices have a bias.

use super::parts::{Heads, decoder, gated_mlp, pre_normed, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["llama", "granite", "seed_oss", "ernie4_5"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = match c.model_type() {
        "seed_oss" => Heads::read_or(c, d, 8, Some(128))?,
        "ernie4_5" => Heads::read_or(c, d, 2, Some(128))?,
        _ => Heads::read(c, d)?,
    };
    let bias = Biases::read(c)?;
    let tied = tied(c, c.model_type() == "ernie4_5")?;
    decoder(c, d, tied, rms_norm("model.norm", d), |_| {
        let attention = heads.attention(d, bias.qkv, bias.out, Mask::Causal);
        Ok(pre_normed(d, attention, gated_mlp(d, f, bias.mlp)))
    })
}

/// Which matrices have one.
struct Biases {
    qkv: bool,
    out: bool,
    mlp: bool,
}

impl Biases {
    fn read(c: &Config) -> Result<Self> {
        if c.model_type() == "ernie4_5" {
            let all = c.flag("use_bias", false)?;
            return Ok(Self { qkv: all, out: all, mlp: all });
        }
        let seed = c.model_type() == "seed_oss";
        let qkv = c.flag("attention_bias", seed)?;
        let out = if seed { c.flag("attention_out_bias", false)? } else { qkv };
        Ok(Self { qkv, out, mlp: c.flag("mlp_bias", false)? })
    }
}
