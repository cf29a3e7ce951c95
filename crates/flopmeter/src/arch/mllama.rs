//! Llama 3.2 Vision: Llama's layers, and among them layers that attend to an image.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → gate, up → down ] → norm → head
//!         and some of [ norm → q → attend to the image's k, v → out ] [ norm → gate, up → down ]
//! ```
//!
//! Text alone passes the layers of cross-attention by, their feed-forward half included: their weights are stored, and
//! take part where there is an image. The embedding has eight rows that the head lacks.

use super::parts::projection;
use super::parts::{Heads, gated_mlp, head, pre_normed, rms_norm, table, text_part, tied, vector};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Attention, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["mllama", "mllama_text_model"];

/// Rows of the embedding for what stands for an image.
const IMAGE_ROWS: u64 = 8;

/// The layers of cross-attention that the class has.
const CROSS: [u64; 8] = [3, 8, 13, 18, 23, 28, 33, 38];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "mllama" => text_part(c, "mllama_text_model", text),
        _ => text(c),
    }
}

fn text(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let kv = c.size_or("num_key_value_heads", 8)?;
    let heads = heads.sharing(c, "num_key_value_heads", kv)?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let cross = match c.counts("cross_attention_layers")? {
        Some(listed) => listed,
        None => {
            c.note_default("cross_attention_layers", "8 layers, the fourth and every fifth after");
            CROSS.to_vec()
        }
    };
    let mut attends_to_image = vec![false; usize::try_from(layers.min(1 << 16)).unwrap_or(0)];
    for layer in cross {
        if let Some(at) = usize::try_from(layer).ok().and_then(|at| attends_to_image.get_mut(at)) {
            *at = true;
        }
    }

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("model.embed_tokens", vocab + IMAGE_ROWS, d)]);
    model.layers(layers, |layer| {
        let mlp = gated_mlp(d, f, false);
        let to_image =
            usize::try_from(layer).is_ok_and(|at| attends_to_image.get(at) == Some(&true));
        if !to_image {
            return Ok(pre_normed(d, heads.attention(d, false, false, Mask::Causal), mlp));
        }
        let mut ops = pre_normed(d, cross_attention(d, heads), mlp);
        ops.extend([vector("cross_attn_attn_gate", 1), vector("cross_attn_mlp_gate", 1)]);
        Ok(ops.into_iter().map(|op| Op::Idle(Box::new(op))).collect())
    })?;
    model.head([rms_norm("model.norm", d), head(d, vocab, tied(c, false)?).into()])?;
    model.finish()
}

/// The matrices and norms of attention to an image.
fn cross_attention(d: u64, heads: Heads) -> Vec<Op> {
    let (query, kv) = (heads.query_width(), heads.kv_width());
    let to_image =
        Attention::new("cross_attn", heads.query, heads.kv, heads.dim, heads.dim, Mask::Full);
    vec![
        projection("cross_attn.q_proj", d, query).into(),
        projection("cross_attn.k_proj", d, kv).of_source().into(),
        projection("cross_attn.v_proj", d, kv).of_source().into(),
        rms_norm("cross_attn.q_norm", heads.dim),
        rms_norm("cross_attn.k_norm", heads.dim),
        Op::Cross(to_image),
        projection("cross_attn.o_proj", query, d).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    const TEXT: &str = r#""model_type": "mllama_text_model", "hidden_size": 4096,
        "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 14336, "vocab_size": 128256,
        "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38]"#;

    const TOWER: &str = r#""vision_config": {"attention_heads": 16, "hidden_size": 1280, "image_size": 560,
        "intermediate_layers_indices": [3, 7, 15, 23, 30], "intermediate_size": 5120, "max_num_tiles": 4,
        "num_channels": 3, "num_global_layers": 8, "num_hidden_layers": 32, "patch_size": 14,
        "vision_output_dim": 7680}"#;

    #[test]
    fn llama_3_2_11b_vision_runs_text_through_what_llama_3_1_8b_has() {
        let config = format!(r#"{{"model_type": "mllama", {TOWER}, "text_config": {{{TEXT}}}}}"#);
        let mllama = model(&config);
        // Llama-3.1-8B's 8,030,261,248 and eight rows; eight layers more, with norms of 128, two gates.
        let layer: u128 =
            2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14_336 + 2 * 4096 + 2 * 128 + 2;
        let active = 8_030_261_248 + 8 * 4096;
        assert_eq!(mllama.parameters().active, active);
        // Patches 3·14²·1280 and a class, positions 1 + 1601·1280 and of tiles 9·4·1601·1280, twice 9·4·1280 + 1 for
        // tiles, norms 4·1280; 40·(4·1280² + 2·1280·5120 + 5120 + 1280 + 4·1280), two gates for 8 of them; 7680·4096 +
        // 4096 to the text's width.
        let tower: u128 = 753_920
            + 2_049_281
            + 73_774_080
            + 2 * 46_081
            + 5_120
            + 40 * 19_672_320
            + 16
            + 31_461_376;
        assert_eq!(mllama.parameters().total, active + 8 * layer + tower);
        // As published.
        assert_eq!(mllama.parameters().total, 10_670_220_835);
        let bytes = mllama.bytes(&crate::Workload::request(1, 1)).expect("bytes");
        // What is passed by is not read: less than half of all that is stored, the embedding aside.
        assert_eq!(bytes.kv_cache_per_token, 32 * 2 * 8 * 128 * 2);
        assert!(bytes.prefill.read < 2 * active);
    }

    #[test]
    fn a_list_of_layers_that_is_none_is_an_error() {
        let config = format!("{{{TEXT}}}").replace("[3, 8", "[-3, 8");
        assert!(fact(&config).starts_with("`cross_attention_layers`"));
    }
}
