//! Names of tensors → the module of a layer.

use std::fmt;

/// A module: its layer, if it is in one, and its name below it. Modules outside layers come first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    layer: Option<u64>,
    module: String,
}

/// What a tensor is of its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Weight,
    Bias,
}

/// What lists of layers are called.
const LISTS: [&str; 4] = ["layers", "h", "blocks", "block"];
/// Buffers that files keep though they are no parameters.
const BUFFERS: [&str; 3] = ["inv_freq", "masked_bias", "rotary_emb"];

impl Key {
    /// The module of an op.
    pub fn new(layer: Option<u64>, module: &str) -> Self {
        let module = match layer {
            Some(_) => module,
            // Outside layers prefixes differ from file to file: `model.norm`, `language_model.model.norm`.
            None => module.rsplit('.').next().unwrap_or(module),
        };
        Self { layer, module: module.to_owned() }
    }

    /// Whether files of a format have it among their metadata, not among their tensors.
    pub fn is_in_metadata(&self) -> bool {
        self.module == super::gguf::names::IN_METADATA
    }

    /// The module of a tensor; `None` for a buffer.
    pub fn of(name: &str) -> Option<(Self, Role)> {
        let mut parts: Vec<&str> = name.split('.').collect();
        let buffer = parts.iter().any(|part| BUFFERS.contains(part));
        // GPT-2 keeps its mask as `attn.bias`, which is no bias of a projection.
        if buffer || matches!(parts[..], [.., "attn" | "attention", "bias"]) {
            return None;
        }
        let role = match parts.last() {
            Some(&"weight") => {
                parts.pop();
                Role::Weight
            }
            Some(&"bias") => {
                parts.pop();
                Role::Bias
            }
            _ => Role::Weight,
        };
        let layer = parts.windows(2).position(|pair| {
            LISTS.contains(&pair[0])
                && !pair[1].is_empty()
                && pair[1].bytes().all(|b| b.is_ascii_digit())
        });
        let towers = ["vision", "visual", "image", "audio"];
        let other_tower = |parts: &[&str]| {
            parts.iter().any(|part| towers.iter().any(|tower| part.contains(tower)))
        };
        match layer {
            Some(at) if !other_tower(&parts[..at]) => {
                let index = parts[at + 1].parse().ok()?;
                let mut module = Vec::with_capacity(parts.len());
                for (place, part) in parts.iter().enumerate().skip(at + 2) {
                    let expert =
                        parts[place - 1] == "experts" && part.bytes().all(|b| b.is_ascii_digit());
                    if !expert {
                        module.push(*part);
                    }
                }
                Some((Self { layer: Some(index), module: module.join(".") }, role))
            }
            Some(_) => Some((Self { layer: None, module: name.to_owned() }, role)),
            None if other_tower(&parts) => {
                Some((Self { layer: None, module: name.to_owned() }, role))
            }
            None => Some((Self::new(None, &parts.join(".")), role)),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(layer) => write!(f, "layers.{layer}.{}", self.module),
            None => f.write_str(&self.module),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Role};

    #[test]
    fn names_lead_to_modules() {
        let cases = [
            ("model.layers.3.mlp.up_proj.weight", Some(3), "mlp.up_proj"),
            ("language_model.model.layers.3.mlp.up_proj.weight", Some(3), "mlp.up_proj"),
            ("transformer.h.11.attn.c_attn.weight", Some(11), "attn.c_attn"),
            ("model.layers.0.mlp.experts.255.up_proj.weight", Some(0), "mlp.experts.up_proj"),
            ("model.norm.weight", None, "norm"),
            ("lm_head.weight", None, "lm_head"),
            ("model.layers.0.self_attn.sinks", Some(0), "self_attn.sinks"),
            (
                "vision_tower.layers.0.mlp.up_proj.weight",
                None,
                "vision_tower.layers.0.mlp.up_proj.weight",
            ),
        ];
        for (name, layer, module) in cases {
            let key = Key { layer, module: module.to_owned() };
            assert_eq!(Key::of(name), Some((key, Role::Weight)), "{name}");
        }
        assert_eq!(Key::of("h.0.attn.bias"), None);
        assert_eq!(Key::of("model.layers.0.self_attn.rotary_emb.inv_freq"), None);
        assert_eq!(Key::of("h.0.attn.c_attn.bias").map(|(_, role)| role), Some(Role::Bias));
        // A layer's number that fits no integer is none.
        assert_eq!(Key::of("layers.99999999999999999999.a.weight"), None);
    }
}
