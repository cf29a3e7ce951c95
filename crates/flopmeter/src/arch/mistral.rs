//! Mistral: Llama's block without any bias, and a window.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend, in a window → out ] [ norm → gate, up → down ] → norm → head
//! ```
//!
//! A window that is stated holds for every layer unless `layer_types` says which.

use super::parts::{Heads, decoder, gated_mlp, layer_masks, pre_normed, rms_norm, text_part, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["mistral", "ministral", "ministral3", "mistral3"];

pub(super) fn build(c: &Config) -> Result<Model> {
    // Ministral 3 comes with images, too: its wrapper is of type `mistral3`, in some files `ministral3`.
    if c.model_type() == "mistral3" || c.has("text_config") {
        return text_part(c, "mistral", text);
    }
    text(c)
}

fn text(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let (heads, window) = match c.model_type() {
        "ministral3" => (Heads::read_or(c, d, 8, Some(128))?, c.maybe("sliding_window")?),
        _ => (Heads::read_or(c, d, 8, None)?, c.maybe_or("sliding_window", 4096)?),
    };
    let masks = layer_masks(c, window, |_| true)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, false, false, masks(layer));
        Ok(pre_normed(d, attention, gated_mlp(d, f, false)))
    })
}
