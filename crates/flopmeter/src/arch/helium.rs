//! Helium: Llama's block whose output projection is a square of the model's width.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → gate, up → down ] → norm → head
//! ```

use super::parts::{Heads, decoder, gated_mlp, pre_normed, projection, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["helium"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 20, Some(128))?;
    if heads.query_width() != d {
        let fact = format!("{} heads of {} do not make the width {d}", heads.query, heads.dim);
        return Err(c.contradiction("head_dim", &fact).hint("check `num_attention_heads`"));
    }
    let (kv, bias) = (heads.kv_width(), c.flag("attention_bias", false)?);
    let mlp_bias = c.flag("mlp_bias", false)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let attention = vec![
            projection("self_attn.q_proj", d, d).bias(bias).into(),
            projection("self_attn.k_proj", d, kv).bias(bias).into(),
            projection("self_attn.v_proj", d, kv).bias(bias).into(),
            heads.attend(Mask::Causal),
            // It has no bias even where the others have.
            projection("self_attn.o_proj", d, d).into(),
        ];
        Ok(pre_normed(d, attention, gated_mlp(d, f, mlp_bias)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, parameters};

    const HELIUM_2B: &str = r#"{"model_type": "helium", "hidden_size": 2560, "head_dim": 128,
        "num_hidden_layers": 24, "num_attention_heads": 20, "num_key_value_heads": 20,
        "intermediate_size": 7040, "vocab_size": 48000}"#;

    #[test]
    fn helium_1_2b_has_the_parameters_of_its_matrices() {
        // 2·48,000·2560 + 24·(4·2560² + 3·2560·7040 + 2·2560) + 2560
        assert_eq!(parameters(HELIUM_2B), 2_172_643_840);
    }

    #[test]
    fn heads_that_do_not_make_the_width_are_refused() {
        assert_eq!(
            error(&HELIUM_2B.replace(r#"head_dim": 128"#, r#"head_dim": 64"#)),
            "`head_dim`: 20 heads of 64 do not make the width 2560; check `num_attention_heads`"
        );
    }
}
