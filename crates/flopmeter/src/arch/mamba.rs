//! Mamba, Falcon-Mamba and Mamba-2: nothing but recurrent layers.
//!
//! ```text
//! embed → L × [ norm → in → convolution → scan → out ] → norm → head
//! ```
//!
//! `model` counts the scan token by token; `torch` counts Mamba's read-out only, and Mamba-2 in padded
//! chunks: [`RecurrentKind::by_reference`](crate::op::RecurrentKind::by_reference).

use super::parts::{decoder, rms_norm, tied};
use super::recurrent::{Dual, MIXER, Selective, rank, width};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["mamba", "falcon_mamba", "mamba2"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.model_type() == "mamba2" { second(c) } else { first(c) }
}

fn first(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    // Falcon-Mamba states a width that is not `expand` times the model's, and is built with it.
    let inner = match c.maybe("intermediate_size")? {
        Some(inner) => {
            let _overruled = c.raw("expand");
            inner
        }
        None => width(c, "expand", c.size_or("expand", 2)?, d)?,
    };
    let block = Selective {
        hidden: d,
        width: inner,
        state: c.size("state_size")?,
        rank: rank(c, "time_step_rank", d)?,
        kernel: c.size_or("conv_kernel", 4)?,
        bias: c.flag("use_bias", false)?,
        conv_bias: c.flag("use_conv_bias", true)?,
    };
    note_other_names(c);
    decoder(c, d, tied(c, true)?, rms_norm("backbone.norm_f", d), |_| {
        let mut ops = vec![rms_norm("norm", d)];
        ops.extend(block.ops(MIXER));
        Ok(ops)
    })
}

fn second(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let inner = width(c, "expand", c.size_or("expand", 2)?, d)?;
    let (heads, head) = (c.size("num_heads")?, c.size("head_dim")?);
    if heads * head != inner {
        let fact = format!("{heads} heads of {head} do not make up the width {inner}");
        return Err(c.contradiction("num_heads", &fact).hint("check `expand` and `hidden_size`"));
    }
    let bias = c.flag("use_bias", false)?;
    let block = Dual {
        hidden: d,
        heads,
        head,
        groups: c.size_or("n_groups", 8)?,
        state: c.size("state_size")?,
        chunk: c.size_or("chunk_size", 256)?,
        kernel: c.size_or("conv_kernel", 4)?,
        conv_bias: c.flag("use_conv_bias", true)?,
        in_bias: bias,
        out_bias: bias,
        normed: true,
    }
    .checked(c, "n_groups")?;
    // Of no use to Mamba-2.
    for key in ["time_step_rank", "intermediate_size"] {
        c.raw(key);
    }
    note_other_names(c);
    decoder(c, d, tied(c, false)?, rms_norm("backbone.norm_f", d), |_| {
        let mut ops = vec![rms_norm("norm", d)];
        ops.extend(block.ops(MIXER));
        Ok(ops)
    })
}

/// Names that the first files give the same sizes, and that the reference implementation does not read.
fn note_other_names(c: &Config) {
    for key in ["d_model", "d_inner", "n_layer"] {
        c.raw(key);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};
    use crate::{Component, Convention, Workload};

    #[test]
    fn mamba_has_as_many_parameters_as_published() {
        // Mamba-2.8B, width 5120. A layer: in 2560·10240, convolution 5120·5, x_proj 5120·192, dt
        // 160·5120 + 5120, A 5120·16, D 5120, out 5120·2560, norm 2560: 41,259,520. 64 of them,
        // 50280·2560 and a norm.
        let layer: u128 = 2560 * 10240
            + 5120 * 5
            + 5120 * 192
            + 160 * 5120
            + 5120
            + 5120 * 16
            + 5120
            + 5120 * 2560
            + 2560;
        assert_eq!(64 * layer + 50_280 * 2560 + 2560, 2_768_345_600);
        let mamba = r#"{"model_type": "mamba", "hidden_size": 2560, "num_hidden_layers": 64,
            "state_size": 16, "conv_kernel": 4, "expand": 2, "time_step_rank": 160,
            "tie_word_embeddings": true, "vocab_size": 50280}"#;
        assert_eq!(parameters(mamba), 2_768_345_600);
        // A sixteenth of the width.
        assert_eq!(parameters(&mamba.replace("160", "\"auto\"")), 2_768_345_600);
    }

    #[test]
    fn a_stated_width_overrules_expansion() {
        let falcon = r#"{"model_type": "falcon_mamba", "hidden_size": 4096, "num_hidden_layers": 64,
            "intermediate_size": 8192, "expand": 16, "state_size": 16, "conv_kernel": 4,
            "time_step_rank": 256, "tie_word_embeddings": false, "vocab_size": 65024}"#;
        // Falcon-Mamba-7B: 7.27 billion in its card.
        assert_eq!(parameters(falcon) / 10_000_000, 727);
        assert!(model(falcon).unread().is_empty());
    }

    #[test]
    fn a_state_is_read_and_written_once_a_pass_whatever_the_length() {
        let small = model(
            r#"{"model_type": "mamba", "hidden_size": 4, "num_hidden_layers": 1, "state_size": 3,
                "time_step_rank": 1, "vocab_size": 10, "torch_dtype": "bfloat16"}"#,
        );
        // Width 8. A token: in 2·4·16 = 128, convolution 2·8·4 = 64, x_proj 2·8·7 = 112, dt_proj
        // 2·1·8 = 16, scan 5·8·3 = 120, out 2·8·4 = 64. Head, thrice sampled, 2·4·10 = 80.
        let work = Workload::request(5, 3);
        let flops = small.flops(&work, &Convention::MODEL).expect("it fits");
        assert_eq!(flops.total, 7 * (128 + 64 + 112 + 16 + 120 + 64) + 3 * 80);
        assert_eq!(flops.components()[Component::Recurrent], 7 * 504);
        // Three inputs of the convolution and a state of 3 for each of 8 channels, 2 bytes each.
        let bytes = small.bytes(&work).expect("it fits");
        assert_eq!((bytes.kv_cache, bytes.kv_cache_per_token), (96, 0));
        assert_eq!((bytes.prefill.written, bytes.decode.written), (96, 2 * 96));
        // Without a cache nothing is kept between passes.
        let anew =
            small.bytes(&work.without_kv_cache().expect("nothing is cached")).expect("it fits");
        assert_eq!((anew.kv_cache, anew.written()), (0, 0));
    }

    const MAMBA2: &str = r#"{"model_type": "mamba2", "hidden_size": 4096, "num_hidden_layers": 64,
        "num_heads": 128, "head_dim": 64, "n_groups": 8, "state_size": 128, "conv_kernel": 4,
        "expand": 2, "chunk_size": 256, "time_step_limit": [0.0, Infinity],
        "tie_word_embeddings": false, "vocab_size": 32768}"#;

    #[test]
    fn mamba_2_has_as_many_parameters_as_published() {
        // Mamba-Codestral-7B, width 8192. A layer: in 4096·(8192 + 10240 + 128), convolution
        // 10240·5, time step, A, D 3·128, norm 8192, out 8192·4096, norm 4096. 64 of them,
        // 2·32768·4096 and a norm.
        let layer: u128 = 4096 * 18_560 + 10_240 * 5 + 384 + 8192 + 8192 * 4096 + 4096;
        assert_eq!(64 * layer + 2 * 32_768 * 4096 + 4096, 7_285_403_648);
        assert_eq!(parameters(MAMBA2), 7_285_403_648);
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        assert_eq!(
            fact(&MAMBA2.replace("\"head_dim\": 64", "\"head_dim\": 63")),
            "`num_heads`: 128 heads of 63 do not make up the width 8192"
        );
        assert_eq!(
            fact(&MAMBA2.replace("\"n_groups\": 8", "\"n_groups\": 7")),
            "`n_groups`: 128 heads do not fall into 7 groups"
        );
        assert_eq!(fact(&MAMBA2.replace("state_size", "state")), "`state_size`: is missing");
        assert!(
            fact(&MAMBA2.replace("\"expand\": 2", "\"expand\": 16777216"))
                .contains("the largest that is believed is 16777216")
        );
    }
}
