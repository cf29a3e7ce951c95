//! GPT, GPT-2 (GPT-SW3 is one), and GPT-BigCode (StarCoder, SantaCoder), which is GPT-2 with one head of keys and values for all.
//!
//! ```text
//! embed + positions → L × [ norm → qkv → attend → out ] [ norm → fc → proj ] → norm → head
//! ```
//!
//! Every product of a layer has a bias. The first GPT norms behind each half and has no last norm; its reference
//! implementation keeps no cache.

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["gpt-sw3", "gpt2", "gpt_bigcode", "openai-gpt"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.flag("add_cross_attention", false)? {
        return Err(c
            .contradiction("add_cross_attention", "is true, and cross-attention is not counted")
            .hint("without an encoder the layers of cross-attention are unused: say false"));
    }
    let d = c.size_of(&["n_embd", "hidden_size"])?;
    let heads = heads(c, d)?;
    let first = c.model_type() == "openai-gpt";
    // Absent or null means four times the width, which the first has in any case.
    let f = if first { 4 * d } else { c.size_or("n_inner", 4 * d)? };
    let layers = c.size_of(&["n_layer", "num_hidden_layers"])?;
    let vocab = c.size("vocab_size")?;
    let positions = match c.maybe("max_position_embeddings")? {
        Some(positions) => positions,
        None => c.size_or("n_positions", if first { 512 } else { 1024 })?,
    };

    let mut model = Builder::new(c)?;
    if first {
        model.keep_no_cache();
    }
    model.once(
        "embedding",
        [table("transformer.wte", vocab, d), table("transformer.wpe", positions, d)],
    );
    model.layers(layers, |_| {
        Ok(vec![
            layer_norm("ln_1", d, true),
            projection("attn.c_attn", d, heads.fused_width()).bias(true).into(),
            heads.attend_in("attn", Mask::Causal),
            projection("attn.c_proj", d, d).bias(true).into(),
            layer_norm("ln_2", d, true),
            mlp("mlp.c_fc", d, f).bias(true).into(),
            mlp("mlp.c_proj", f, d).bias(true).into(),
        ])
    })?;
    let norm = (!first).then(|| layer_norm("transformer.ln_f", d, true));
    let head = head(d, vocab, tied(c, true)?);
    model.head(norm.into_iter().chain([head.into()]))?;
    model.finish()
}

/// GPT-BigCode states with `multi_query` whether all heads share one head of keys and values.
fn heads(c: &Config, d: u64) -> Result<Heads> {
    let heads = Heads::equal(c, d, &["n_head", "num_attention_heads"])?;
    if c.model_type() != "gpt_bigcode" {
        return Ok(heads);
    }
    let kv = if c.flag_or("multi_query", true)? { 1 } else { heads.query };
    // Newer files save what follows from `multi_query` as well.
    if let Some(stated) = c.maybe("num_key_value_heads")?
        && stated != kv
    {
        c.note(format!(
            "`num_key_value_heads` is {stated}, but the reference implementation of `gpt_bigcode` \
             takes {kv}, as `multi_query` says"
        ));
    }
    heads.sharing(c, "multi_query", kv)
}

#[cfg(test)]
mod tests {
    #[test]
    fn without_a_cache_the_reference_computes_every_pass_anew() {
        use crate::{Convention, Workload};
        let gpt = super::super::testing::model(
            r#"{"model_type": "openai-gpt", "n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 10,
                "n_positions": 16, "dtype": "bfloat16", "tie_word_embeddings": true}"#,
        );
        let of = |convention| gpt.flops(&Workload::request(3, 3), &convention).expect("a count");
        // A token: 2·(4 + 8)·8² and, by the reference, a head of 2·8·10. Scores and values 4·8 a pair.
        let (layer, head) = (2 * 12 * 64, 2 * 80);
        assert_eq!(of(Convention::MODEL).total, 5 * layer + 3 * head + (1 + 2 + 3 + 4 + 5) * 32);
        // Passes of 3, 4 and 5 tokens.
        let torch = of(Convention::TORCH);
        assert_eq!(torch.total, 12 * (layer + head) + (9 + 16 + 25) * 32);
        assert_eq!(torch.prefill.total(), Some(3 * (layer + head) + 9 * 32));
        assert!(
            gpt.notes().iter().any(|note| note.contains("keeps no cache")),
            "{:?}",
            gpt.notes()
        );
        let explained =
            gpt.explain(&Workload::request(3, 3), &Convention::TORCH).expect("sections");
        let lines = explained.iter().flat_map(|section| &section.lines);
        assert_eq!(lines.filter_map(|line| line.flops).sum::<u128>(), torch.total);
    }

    use super::super::testing::{fact, model, parameters};

    const GPT2: &str = r#"{"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12,
        "n_positions": 1024, "vocab_size": 50257}"#;

    #[test]
    fn published_totals() {
        // Embeddings (50257 + 1024)·768 = 39_383_808. A layer: norms 2·1536, qkv 768·2304 + 2304,
        // out 768·768 + 768, mlp 768·3072 + 3072 and 3072·768 + 768: 7_087_872. Last norm 1536.
        assert_eq!(parameters(GPT2), 39_383_808 + 12 * 7_087_872 + 1536);
        assert_eq!(parameters(GPT2), 124_439_808);
        let starcoder = r#"{"model_type": "gpt_bigcode", "n_embd": 6144, "n_head": 48, "n_layer": 40,
            "n_inner": 24576, "n_positions": 8192, "multi_query": true, "vocab_size": 49152}"#;
        // WizardCoder adds one token, a row of 6144: 15_517_462_528.
        assert_eq!(parameters(starcoder), 15_517_456_384);
    }

    #[test]
    fn what_contradicts_itself_is_an_error() {
        assert_eq!(
            fact(&GPT2.replace(r#""n_head": 12"#, r#""n_head": 11"#)),
            "`n_head`: 11 heads do not divide the width 768 evenly"
        );
        assert_eq!(
            fact(&GPT2.replace(r#""n_head""#, r#""add_cross_attention": true, "n_head""#)),
            "`add_cross_attention`: is true, and cross-attention is not counted"
        );
    }

    #[test]
    fn multi_query_decides_over_key_value_heads() {
        let grouped = GPT2
            .replace("gpt2", "gpt_bigcode")
            .replace(r#""n_head""#, r#""multi_query": true, "num_key_value_heads": 4, "n_head""#);
        let model = model(&grouped);
        // A key and a value of 64 for 12 heads become those of one, weights and biases.
        assert_eq!(model.parameters().total, 124_439_808 - 12 * 2 * 11 * 64 * (768 + 1));
        assert!(model.notes().iter().any(|note| note.contains("`multi_query` says")));
    }
}
