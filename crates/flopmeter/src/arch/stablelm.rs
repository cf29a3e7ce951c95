//! StableLM: Llama's block with layer norms, a norm of its own for each head, or one norm for both halves.
//!
//! ```text
//! embed → L × [ norm → q, k, v → (norms of q and k) → attend → out ] [ (norm) → gate, up → down ]
//!     → norm → head
//! ```

use super::parts::{Heads, gated_mlp, head, layer_norm, projection, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["stablelm"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let kv = c.size_or("num_key_value_heads", 32)?;
    let heads = heads.sharing(c, "num_key_value_heads", kv)?;
    let f = c.size("intermediate_size")?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    // The two halves run side by side from one norm.
    let parallel = c.flag("use_parallel_residual", false)?;
    let bias = c.flag("use_qkv_bias", false)?;
    let norms = c.flag("qk_layernorm", false)?;

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("model.embed_tokens", vocab, d)]);
    model.layers(layers, |_| {
        let mut ops = vec![layer_norm("input_layernorm", d, true)];
        ops.extend(attention(heads, d, bias, norms));
        if !parallel {
            ops.push(layer_norm("post_attention_layernorm", d, true));
        }
        ops.extend(gated_mlp(d, f, false));
        Ok(ops)
    })?;
    let tied = tied(c, false)?;
    model.head([layer_norm("model.norm", d, true), head(d, vocab, tied).into()])?;
    model.finish()
}

fn attention(heads: Heads, d: u64, bias: bool, norms: bool) -> Vec<Op> {
    let kv = heads.kv_width();
    let mut ops = vec![
        projection("self_attn.q_proj", d, d).bias(bias).into(),
        projection("self_attn.k_proj", d, kv).bias(bias).into(),
        projection("self_attn.v_proj", d, kv).bias(bias).into(),
    ];
    if norms {
        // A norm for each head, together as wide as all of them, without biases.
        ops.push(layer_norm("self_attn.q_layernorm.norms", d, false));
        ops.push(layer_norm("self_attn.k_layernorm.norms", kv, false));
    }
    ops.push(heads.attend(Mask::Causal));
    ops.push(projection("self_attn.o_proj", d, d).into());
    ops
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model, parameters};

    const STABLELM_3B: &str = r#"{"model_type": "stablelm", "hidden_size": 2560,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
        "intermediate_size": 6912, "use_qkv_bias": false, "vocab_size": 50304}"#;

    #[test]
    fn published_total() {
        // Embedding and head 2·50304·2560 = 257_556_480. A layer: norms 2·5120, attention 4·2560²,
        // mlp 3·2560·6912: 79_308_800. Last norm 5120.
        assert_eq!(parameters(STABLELM_3B), 257_556_480 + 32 * 79_308_800 + 5120);
        assert_eq!(parameters(STABLELM_3B), 2_795_443_200);
    }

    #[test]
    fn absent_kv_heads_are_those_of_the_class() {
        let absent = STABLELM_3B.replace(r#""num_key_value_heads": 32,"#, "");
        let model = model(&absent);
        assert_eq!(model.parameters().total, 2_795_443_200);
        assert!(model.notes().iter().any(|note| note.contains("`num_key_value_heads` is absent")));
        assert_eq!(
            error(&absent.replace(r#"heads": 32"#, r#"heads": 40"#)),
            "`num_attention_heads`: 40 query heads cannot share 32 key/value heads evenly; \
             `num_key_value_heads` is absent, for which the reference implementation takes 32: state it"
        );
    }
}
