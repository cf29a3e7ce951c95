//! EXAONE 4: norms after each half and of each head's queries and keys; three layers in four may slide.
//!
//! ```text
//! embed → L × [ q, k, v → norms of q, k → attend → out → norm ] [ gate, up → down → norm ] → norm → head
//! ```

use super::parts::{Heads, decoder, gated_mlp, head_norms, layer_masks, post_normed};
use super::parts::{rms_norm, tied, with_norms};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use serde_json::Value;

pub(super) const MODEL_TYPES: &[&str] = &["exaone4"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 32, None)?;
    let slides = sliding_layers(c)?;
    let masks = layer_masks(c, c.maybe_or("sliding_window", 4096)?, slides)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, false, false, masks(layer));
        let attention = with_norms(attention, head_norms(&heads));
        Ok(post_normed(d, attention, gated_mlp(d, f, false)))
    })
}

/// `sliding_window_pattern`: every which layer is global, or the layers spelled out, L for local and G
/// for global, over and over; the last layer of a spelled pattern is global in any case.
fn sliding_layers(c: &Config) -> Result<impl Fn(u64) -> bool> {
    let layers = c.size("num_hidden_layers")?;
    let pattern = match c.raw("sliding_window_pattern") {
        Some(Value::String(letters)) => {
            let local: Option<Vec<bool>> = letters
                .chars()
                .map(|letter| match letter {
                    'L' => Some(true),
                    'G' => Some(false),
                    _ => None,
                })
                .collect();
            let local = local.filter(|local| !local.is_empty()).ok_or_else(|| {
                c.contradiction("sliding_window_pattern", "is not made of the letters L and G")
            })?;
            Pattern::Spelled(local)
        }
        // Absent, the class has one global layer in four; 0 is what it saves where none slides.
        _ => Pattern::GlobalEvery(c.count("sliding_window_pattern")?.unwrap_or(4)),
    };
    Ok(move |layer: u64| match &pattern {
        Pattern::GlobalEvery(0) => false,
        Pattern::GlobalEvery(every) => (layer + 1) % every != 0,
        Pattern::Spelled(local) => {
            layer + 1 < layers && local[(layer % local.len() as u64) as usize]
        }
    })
}

enum Pattern {
    GlobalEvery(u64),
    Spelled(Vec<bool>),
}
