//! HRM-Text: two stacks of layers, a fast one that runs several times for each run of the slow one.
//!
//! ```text
//! embed → H cycles × [ L cycles × low stack → norm, high stack → norm ] → head
//! layer   [ norm → q, k, v → attend → · gate → out ] [ norm → gate, up → down ]
//! ```
//!
//! Norms have no parameters. Every run of a layer reads its weights again and keeps keys and values of its own. Saved
//! configs state the number of layers in `num_layers_per_stack`, and in `num_hidden_layers` that of runs; older ones have
//! in the latter what is a stack's.

use super::parts::{Heads, again, gated_mlp, head, projection, table, tied, vector};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["hrm_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let query = c.size("num_attention_heads")?;
    let heads = Heads::checked(c, d, query, query, c.maybe_or("head_dim", 128)?)?;
    let bias = c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    let vocab = c.size("vocab_size")?;
    let (stack, runs) = layers(c)?;
    if c.flag("prefix_lm", true)? {
        c.note("instructions, whose tokens may see what follows them (`prefix_lm`), are counted as causal".into());
    }

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("model.embed_tokens", vocab, d), vector("model.z_L_init", d)]);
    let mut ops = heads.attention(d, bias, bias, Mask::Causal);
    ops.push(projection("self_attn.gate_proj", d, heads.query_width()).bias(bias).into());
    ops.extend(gated_mlp(d, f, mlp_bias));
    let more = again(ops.clone());
    // Both stacks once, then what runs again.
    model.layers(runs, |run| Ok(if run < 2 * stack { ops.clone() } else { more.clone() }))?;
    model.head([head(d, vocab, tied(c, false)?).into()])?;
    model.finish()
}

/// Layers of a stack, and runs of layers in a pass.
fn layers(c: &Config) -> Result<(u64, u64)> {
    let low = c.size_or("L_cycles", 3)?;
    let high = c.size_or("H_cycles", 2)?;
    // All three are at most 2^24.
    let times = u128::from(high) * (u128::from(low) + 1);
    let stated = c.size("num_hidden_layers")?;
    let stack = match c.maybe("num_layers_per_stack")? {
        None => stated,
        Some(stack) if u128::from(stack) * times == u128::from(stated) => stack,
        Some(stack) => {
            let fact = format!("is {stated}, but {stack} layers a stack run {times} times");
            return Err(c
                .contradiction("num_hidden_layers", &fact)
                .hint("where `num_layers_per_stack` is stated, this is the number of their runs"));
        }
    };
    let runs = u128::from(stack) * times;
    // Too many are refused where layers are made.
    Ok((stack, u64::try_from(runs).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// HRM-Text-1B, as its older files have it.
    const HRM: &str = r#"{"model_type": "hrm_text", "hidden_size": 1536, "intermediate_size": 4096,
        "num_hidden_layers": 16, "num_attention_heads": 12, "head_dim": 128, "vocab_size": 151808,
        "H_cycles": 2, "L_cycles": 3, "tie_word_embeddings": false"#;

    #[test]
    fn hrm_text_1b_has_the_parameters_of_both_stacks_and_the_cache_of_all_runs() {
        let older = model(&format!("{HRM}, \"dtype\": \"bfloat16\"}}"));
        // 2·16·(5·1536² + 3·1536·4096), 2·151,808·1536 and a state of 1536: 1.45 billion.
        let layer: u128 = 5 * 1536 * 1536 + 3 * 1536 * 4096;
        assert_eq!(older.parameters().total, 32 * layer + 2 * 151_808 * 1536 + 1536);
        // 128 runs, each a key and a value of 1536, two bytes.
        let bytes = older.bytes(&crate::Workload::request(1, 1)).expect("bytes");
        assert_eq!(bytes.kv_cache_per_token, 128 * 2 * 1536 * 2);
        let saved = HRM.replace("layers\": 16", "layers\": 128, \"num_layers_per_stack\": 16");
        assert_eq!(model(&format!("{saved}}}")).parameters(), older.parameters());
    }

    #[test]
    fn runs_and_layers_agree() {
        let more = ", \"num_layers_per_stack\": 16}";
        assert_eq!(
            fact(&format!("{HRM}{more}")),
            "`num_hidden_layers`: is 16, but 16 layers a stack run 8 times"
        );
        let hostile = HRM.replace("\"H_cycles\": 2", "\"H_cycles\": 16777216");
        assert!(fact(&format!("{hostile}}}")).contains("most that is believed"));
    }
}
