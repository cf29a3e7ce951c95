//! Step-3.5 and 3.7 Flash: gated attention that slides in most layers, with more heads there, and experts beside one
//! that every token takes.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → attend · gate → out ] [ norm → feed-forward ] → norm → head
//! feed-forward  dense in the first layers, then router → k of E × (gate, up → down) + shared (gate, up → down)
//! ```
//!
//! The gate is one number for each head. Of layers that predict further tokens there are several, of one kind; lists of
//! layers may have entries for them behind the others.

use super::experts::{self, IN_MLP, SHARED_IN_MLP};
use super::feed_forward::{CORRECTION, FeedForward};
use super::parts::{
    Heads, decoder, head_norms, layer_masks_of, note_prediction_layers, one_each, pre_normed,
    projection, rms_norm, text_part, tied, with_norms,
};
use super::prediction::with_prediction_layers;
use crate::config::Config;
use crate::error::{Result, shown};
use crate::model::Model;
use crate::passes::Mask;
use serde_json::Value;

pub(super) const MODEL_TYPES: &[&str] = &["step3p5", "step3p7"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.model_type() == "step3p7" {
        return text_part(c, "step3p5", build);
    }
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let predicted = c.count("num_nextn_predict_layers")?.unwrap_or(0);
    let kv = c.size_of_or(&["num_key_value_heads", "num_attention_groups"], 8)?;
    let query = c.size("num_attention_heads")?;
    let dim = c.size_or("head_dim", 128)?;
    let full = Heads::checked(c, d, query, kv, Some(dim))?;
    let sliding = Heads::checked(c, d, sliding_heads(c, query)?, kv, Some(dim))?;
    let kinds = own(c, "layer_types", layers, predicted)?;
    let window = c.maybe("sliding_window")?;
    let masks = layer_masks_of(c, layers, kinds, window, |_| false)?;
    let sparse = sparse_layers(c, layers, predicted)?;
    let ffn = feed_forward(c)?;
    let qkv_bias = c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    let layer = |mask, sparse| {
        let heads = if mask == Mask::Causal { full } else { sliding };
        let attention = heads.attention(d, qkv_bias, qkv_bias, mask);
        let mut attention = with_norms(attention, head_norms(&heads));
        attention.push(projection("self_attn.g_proj", d, heads.query).into());
        pre_normed(d, attention, ffn.layer(sparse, d, mlp_bias))
    };
    let model = decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |at| {
        Ok(layer(masks(at), sparse(at)))
    })?;
    let kind = |key, own: &'static str| further(c, key, own, layers, predicted);
    let attends = kind("mtp_layer_types", "layer_types")?;
    // Published files list the layers that have experts, and none of these is among them.
    let experts = kind("mtp_mlp_layer_types", "mlp_layer_types")?.unwrap_or("dense");
    let mask = match (attends, window) {
        (Some("full_attention"), _) => Mask::Causal,
        (Some("sliding_attention"), Some(window)) => Mask::Sliding { window },
        _ => return Ok(model),
    };
    with_prediction_layers(c, model, d, layer(mask, experts == "sparse"))
}

/// The one kind that layers which predict further tokens are of, in a list of their own or behind the others'.
fn further<'c>(
    c: &'c Config,
    key: &'static str,
    own: &'static str,
    layers: u64,
    predicted: u64,
) -> Result<Option<&'c str>> {
    let listed = match c.texts(key)? {
        Some(listed) => Some(listed),
        None => c.texts(own)?.filter(|all| all.len() as u64 == layers.saturating_add(predicted)),
    };
    let Some(listed) = listed else { return Ok(None) };
    let behind = listed.len().saturating_sub(usize::try_from(predicted).unwrap_or(0));
    let kinds = &listed[behind..];
    let alike = kinds.windows(2).all(|two| two[0] == two[1]);
    Ok(kinds.first().copied().filter(|_| alike))
}

/// Query heads of layers that slide.
fn sliding_heads(c: &Config, query: u64) -> Result<u64> {
    if let Some(stated) = c.maybe("num_sliding_attention_heads")? {
        return Ok(stated);
    }
    match c.child("attention_other_setting")? {
        // Files say again there what is the same in all layers.
        Some(other) => {
            let stated = other.size_or("num_attention_heads", query)?;
            for key in ["attention_type", "num_attention_groups", "head_dim", "true_head_dim"] {
                other.raw(key);
            }
            c.adopt(&other);
            Ok(stated)
        }
        None => c.size_or("num_sliding_attention_heads", query),
    }
}

fn feed_forward(c: &Config) -> Result<FeedForward> {
    let ffn = FeedForward {
        experts: experts::read(c, "moe_num_experts", "moe_top_k")?,
        dense: c.size("intermediate_size")?,
        expert: c.size("moe_intermediate_size")?,
        shared: c.size_of_or(&["share_expert_dim", "share_expert_dims"], 1280)?,
        correction: None,
        names: IN_MLP,
        shared_names: SHARED_IN_MLP,
    };
    Ok(ffn.corrected(CORRECTION))
}

/// A list of one entry a layer, without those of the layers that predict further tokens.
fn own<'c>(
    c: &'c Config,
    key: &'static str,
    layers: u64,
    predicted: u64,
) -> Result<Option<Vec<&'c str>>> {
    let mut listed = c.texts(key)?;
    if let (Some(kinds), Ok(own)) = (&mut listed, usize::try_from(layers))
        && kinds.len() as u64 == layers.saturating_add(predicted)
    {
        kinds.truncate(own);
    }
    Ok(listed)
}

/// Which layers have experts: as `mlp_layer_types` lists them, or as published files do, by number.
fn sparse_layers(c: &Config, layers: u64, predicted: u64) -> Result<impl Fn(u64) -> bool> {
    const KEY: &str = "mlp_layer_types";
    let sparse: Option<Vec<u64>> = match own(c, KEY, layers, predicted)? {
        Some(kinds) => {
            one_each(c, KEY, &kinds, layers)?;
            if let Some(other) = kinds.iter().find(|kind| !["dense", "sparse"].contains(kind)) {
                let fact = format!("has a layer that is neither: \"{}\"", shown(other));
                return Err(c.contradiction(KEY, &fact));
            }
            let layers = (0..layers).zip(kinds).filter(|(_, kind)| *kind == "sparse");
            Some(layers.map(|(at, _)| at).collect())
        }
        None => by_number(c)?.map(|mut layers| {
            layers.sort_unstable();
            layers
        }),
    };
    // Without a list all but the first three; nobody knows how many a stranger's are.
    Ok(move |layer: u64| {
        sparse.as_ref().map_or(layer >= 3, |sparse| sparse.binary_search(&layer).is_ok())
    })
}

/// `moe_layers_enum`: numbers of the layers that have experts, in a list or between commas.
fn by_number(c: &Config) -> Result<Option<Vec<u64>>> {
    const KEY: &str = "moe_layers_enum";
    let Some(Value::String(numbers)) = c.raw(KEY) else { return c.counts(KEY) };
    let numbers = numbers.split(',').map(str::trim).filter(|number| !number.is_empty());
    numbers
        .map(|number| {
            number.parse().map_err(|_| {
                let fact = format!("has \"{}\", which is no number of a layer", shown(number));
                c.contradiction(KEY, &fact)
            })
        })
        .collect::<Result<Vec<u64>>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, windows};
    use crate::Speculation;

    /// Step-3.5-Flash as on the Hub: 45 layers of which every fourth is full, and three that predict.
    fn flash() -> String {
        let kinds: Vec<&str> = (0..48)
            .map(|at| if at % 4 == 0 { r#""full_attention""# } else { r#""sliding_attention""# })
            .collect();
        let sparse: Vec<String> = (3..45).map(|at| at.to_string()).collect();
        format!(
            r#"{{"model_type": "step3p5", "hidden_size": 4096, "intermediate_size": 11264, "num_hidden_layers": 45,
                "vocab_size": 128896, "num_attention_heads": 64, "num_attention_groups": 8, "head_dim": 128,
                "moe_num_experts": 288, "moe_top_k": 8, "moe_intermediate_size": 1280, "share_expert_dim": 1280,
                "moe_layers_enum": "{}", "layer_types": [{}], "sliding_window": 512,
                "attention_other_setting": {{"attention_type": "sliding_attention", "num_attention_heads": 96,
                    "num_attention_groups": 8, "head_dim": 128}},
                "num_nextn_predict_layers": 3, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}}"#,
            sparse.join(","),
            kinds.join(", ")
        )
    }

    #[test]
    fn step_3_5_flash_has_the_parameters_that_are_published() {
        let d: u128 = 4096;
        // Of h heads: q and out 2·d·128·h, k and v 2·d·1024, a gate d·h, norms of 2·128 and 2·d.
        let attention = |heads: u128| 2 * d * 128 * heads + 2 * d * 1024 + d * heads + 256 + 2 * d;
        let dense = 3 * d * 11_264;
        let sparse = d * 288 + 289 * 3 * d * 1280;
        let total = 12 * attention(64) + 33 * attention(96) + 3 * dense + 42 * sparse;
        let total = total + 2 * 128_896 * d + d;
        let step = model(&flash());
        assert_eq!(step.parameters().total, total);
        // "196B" and "11B active per token": the active ones without the embedding and the head.
        assert_eq!(total / 1_000_000_000, 196);
        let active = step.parameters().active;
        assert_eq!(active, total - 42 * 280 * 3 * d * 1280);
        assert_eq!((active - 2 * 128_896 * d) / 1_000_000_000, 10);
        let slides = windows(&step);
        let sliding: u64 =
            slides.iter().filter(|(window, _)| window.is_some()).map(|(_, n)| n).sum();
        assert_eq!(sliding, 33);
        assert!(step.unread().is_empty(), "{:?}", step.unread());
        // Three more that slide and are dense.
        let speculation = Speculation::with_prediction_layers(&step, 3, 0.8).expect("layers");
        let further = attention(96) + dense + 2 * d * d + 3 * d;
        assert_eq!(speculation.draft().parameters().total, further);
    }

    #[test]
    fn layers_that_nobody_lists_take_no_room() {
        let config = r#"{"model_type": "step3p5", "hidden_size": 64, "intermediate_size": 96, "vocab_size": 100,
            "num_attention_heads": 4, "num_attention_groups": 2, "moe_num_experts": 8, "moe_top_k": 2,
            "moe_intermediate_size": 32, "num_hidden_layers": LAYERS}"#;
        assert!(model(&config.replace("LAYERS", "5")).parameters().total > 0);
        let many = fact(&config.replace("LAYERS", "18446744073709551615"));
        assert!(many.contains("`num_hidden_layers`"), "{many}");
    }

    #[test]
    fn lists_are_as_long_as_there_are_layers() {
        assert_eq!(
            fact(&flash().replace("layers\": 45", "layers\": 44")),
            "`layer_types`: has 48 entries for 44 layers"
        );
        assert_eq!(
            fact(&flash().replace("\"3,4,", "\"three,4,")),
            "`moe_layers_enum`: has \"three\", which is no number of a layer"
        );
    }
}
