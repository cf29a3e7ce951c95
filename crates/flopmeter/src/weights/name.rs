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
const LISTS: [&str; 5] = ["layers", "layer", "h", "blocks", "block"];
/// Buffers that files keep though they are no parameters.
const BUFFERS: [&str; 8] = [
    "final_logits_bias",
    "inv_freq",
    "masked_bias",
    "rotary_emb",
    "diagonal_decay",
    "key_decay",
    "query_decay",
    "slope_rate",
];
/// Words in the names of what sees or hears, and of what makes tokens of that.
const OTHER_PARTS: [&str; 8] =
    ["vision", "visual", "image", "audio", "speech", "multi_modal", "mm_", "embed_tokens_extend"];
/// The bytes that these begin with: few of a name need a second look.
const BEGINS_OTHER_PART: [bool; 256] = {
    let mut begins = [false; 256];
    let mut at = 0;
    while at < OTHER_PARTS.len() {
        begins[OTHER_PARTS[at].as_bytes()[0] as usize] = true;
        at += 1;
    }
    begins
};
/// Modules of a layer, and what published files call them that were written by other code. The rest of
/// a name stays.
const ALIASES: &[(&str, &str)] = &[
    ("mlp.experts.gate_proj", "block_sparse_moe.experts.w1"),
    ("mlp.experts.up_proj", "block_sparse_moe.experts.w3"),
    ("mlp.experts.down_proj", "block_sparse_moe.experts.w2"),
    ("mlp.gate.e_score_correction_bias", "mlp.e_score_correction_bias"),
    ("mlp.gate.e_score_correction_bias", "moe.router.expert_bias"),
    ("mlp.e_score_correction_bias", "mlp.expert_bias"),
    ("mlp.gate", "mlp.router.gate"),
    ("mlp.shared_experts", "mlp.shared_mlp"),
    ("mlp", "block_sparse_moe"),
    ("post_self_attn_layernorm", "post_attn_norm"),
    ("post_mlp_layernorm", "post_ffn_norm"),
];
/// The same outside layers: heads, which have only a bias where they are tied, and their biases.
const ALIASES_OUTSIDE: &[(&str, &str)] = &[
    ("bias", "predictions"),
    ("bias", "generator_lm_head"),
    ("bias", "decoder"),
    ("bias", "output"),
    ("bias", "lm_head"),
    ("lm_head", "generator_lm_head"),
    ("lm_head", "decoder"),
    ("lm_head", "output"),
    ("layer_norm", "LayerNorm"),
];

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

    pub fn layer(&self) -> Option<u64> {
        self.layer
    }

    /// Its name below the layer.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// Other names that the module goes by.
    pub fn aliases(&self) -> impl Iterator<Item = Self> + '_ {
        let table = if self.layer.is_some() { ALIASES } else { ALIASES_OUTSIDE };
        table.iter().filter_map(|(module, alias)| {
            let rest = self.module.strip_prefix(module)?;
            let whole = rest.is_empty() || rest.starts_with('.');
            whole.then(|| Self { layer: self.layer, module: format!("{alias}{rest}") })
        })
    }

    /// Whether it belongs to what sees or hears.
    pub fn is_other_part(&self) -> bool {
        self.layer.is_none() && has_other_part(&self.module)
    }

    /// The module of a tensor; `None` for a buffer.
    pub fn of(name: &str) -> Option<(Self, Role)> {
        let mut parts = parts(name);
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
        let before_layer = match layer {
            Some(at) => &name[..parts[..at].iter().map(|part| part.len() + 1).sum()],
            None => name,
        };
        let of_other_part = has_other_part(before_layer);
        // The numbers of an activation: two are parameters, two are not.
        if let Some(at) = parts.iter().position(|part| *part == "act_fn") {
            if parts[at + 1..].iter().any(|part| ["beta", "eps"].contains(part)) {
                return None;
            }
            parts.truncate(at + 1);
        }
        match layer {
            _ if of_other_part => Some((Self { layer: None, module: name.to_owned() }, role)),
            Some(at) => {
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
            None => Some((Self::new(None, parts.last().unwrap_or(&"")), role)),
        }
    }
}

/// What lies between the dots of a name. A header may have thousands of names of hundreds of dots, for which
/// `str::split` takes five times as long.
fn parts(name: &str) -> Vec<&str> {
    let mut parts = Vec::with_capacity(16);
    let mut from = 0;
    for (at, byte) in name.bytes().enumerate() {
        if byte == b'.' {
            parts.push(&name[from..at]);
            from = at + 1;
        }
    }
    parts.push(&name[from..]);
    parts
}

/// Whether a name has a word of what sees or hears, in one walk over it.
fn has_other_part(name: &str) -> bool {
    let name = name.as_bytes();
    name.iter().enumerate().any(|(at, byte)| {
        BEGINS_OTHER_PART[usize::from(*byte)]
            && OTHER_PARTS.iter().any(|word| name[at..].starts_with(word.as_bytes()))
    })
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
    fn names_of_hostile_headers_lead_to_modules() {
        let (dots, letters, below) = (".".repeat(1000), "v".repeat(1000), ["c"; 400].join("."));
        let of = |name: &str| Key::of(name).map(|(key, _)| key);
        let outside = |module: &str| Some(Key { layer: None, module: module.to_owned() });
        assert_eq!(of(&format!("{dots}0")), outside("0"));
        assert_eq!(of(&format!("{below}.weight")), outside("c"));
        assert_eq!(of(&letters), outside(&letters));
        assert_eq!(of("weight"), outside(""));
        let inside = Some(Key { layer: Some(7), module: below.clone() });
        assert_eq!(of(&format!("{dots}layers.7.{below}")), inside);
        // Begun over and over, and there once.
        for name in [format!("{letters}ision.0"), format!("x{dots}mm_multi_moda")] {
            let key = of(&name).expect("a module");
            assert!(key.is_other_part(), "{name}");
            assert_eq!(key.module(), name);
        }
        assert!(!of(&format!("{letters}_multi_moda")).expect("a module").is_other_part());
    }

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
