//! Names of tensors → the module of a layer.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A module: its layer, if it is in one, and its name below it. Modules outside layers come first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub layer: Option<u64>,
    /// Its name below the layer, which many layers have.
    pub module: Arc<str>,
}

/// Where a tensor belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'n> {
    pub layer: Option<u64>,
    pub module: Cow<'n, str>,
    pub role: Role,
    /// Whether it is of what sees or hears.
    pub of_other_part: bool,
}

/// What a tensor is of its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Weight,
    Bias,
}

const ACTIVATION: &str = "act_fn";
/// Words of what sees or hears; of 64 letters at most together.
const OTHER_PARTS: [&str; 8] =
    ["vision", "visual", "image", "audio", "speech", "multi_modal", "mm_", "embed_tokens_extend"];
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
        Self { layer, module: module.into() }
    }

    /// Whether files of a format have it among their metadata, not among their tensors.
    pub fn is_in_metadata(&self) -> bool {
        &*self.module == super::gguf::names::IN_METADATA
    }

    /// Other names that the module goes by.
    pub fn aliases(&self) -> impl Iterator<Item = Self> + '_ {
        let table = if self.layer.is_some() { ALIASES } else { ALIASES_OUTSIDE };
        table.iter().filter_map(|(module, alias)| {
            let rest = self.module.strip_prefix(module)?;
            let whole = rest.is_empty() || rest.starts_with('.');
            whole.then(|| Self { layer: self.layer, module: format!("{alias}{rest}").into() })
        })
    }
}

impl<'n> Place<'n> {
    /// The place of a tensor; `None` for a buffer.
    pub fn of(name: &'n str) -> Option<Self> {
        let (stem, role) = role(name);
        // Where the name before the layer ends, the layer's number, and where its name below begins.
        let mut layer = None;
        // Where the module ends, if not with the name, which is with its activation.
        let mut end = None;
        // What is kept of the name below where experts have numbers, and where what is to be kept begins.
        let (mut kept, mut kept_from) = (String::new(), 0);
        let (mut before, mut before_from) = ("", 0);
        for (from, part) in parts(stem) {
            if is_buffer(part) {
                return None;
            }
            let to = from + part.len();
            if end.is_some() {
                // The numbers of an activation: two are parameters, two are not.
                if matches!(part, "beta" | "eps") {
                    return None;
                }
            } else if part == ACTIVATION {
                end = Some(to);
            } else if layer.is_some() {
                if before == "experts" && is_expert(part) {
                    kept.reserve(stem.len());
                    kept.push_str(&stem[kept_from..from - 1]);
                    kept_from = to;
                }
            } else if is_number(part) && is_list(before) {
                layer = Some((&name[..before_from], part));
                kept_from = (to + 1).min(stem.len());
            }
            (before, before_from) = (part, from);
        }
        // GPT-2 keeps its mask as `attn.bias`, which is no bias of a projection.
        if role == Role::Bias && matches!(before, "attn" | "attention") {
            return None;
        }
        if has_other_part(layer.map_or(name, |(before, _)| before)) {
            return Some(Self { layer: None, module: name.into(), role, of_other_part: true });
        }
        let rest = &stem[kept_from..end.unwrap_or(stem.len())];
        let (layer, module) = match layer {
            None => (None, if end.is_some() { ACTIVATION } else { before }.into()),
            Some((_, number)) if kept.is_empty() => (Some(number.parse().ok()?), rest.into()),
            Some((_, number)) => (Some(number.parse().ok()?), (kept + rest).into()),
        };
        Some(Self { layer, module, role, of_other_part: false })
    }
}

/// A name without what says which of its module's tensors it is, and that.
fn role(name: &str) -> (&str, Role) {
    for (end, role) in [("weight", Role::Weight), ("bias", Role::Bias)] {
        match name.strip_suffix(end) {
            Some("") => return ("", role),
            Some(rest) if rest.ends_with('.') => return (&rest[..rest.len() - 1], role),
            _ => {}
        }
    }
    (name, Role::Weight)
}

/// What lies between the dots of a name, each with the byte where it begins.
fn parts(name: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let from = next?;
        let dot = name.as_bytes()[from..].iter().position(|byte| *byte == b'.');
        let to = dot.map_or(name.len(), |length| from + length);
        next = dot.map(|_| to + 1);
        Some((from, &name[from..to]))
    })
}

/// Whether a part below `experts` is one's number; in Switch Transformers and NLLB it is `expert_7`.
fn is_expert(part: &str) -> bool {
    is_number(part.strip_prefix("expert_").unwrap_or(part))
}

/// What lists of layers are called.
fn is_list(part: &str) -> bool {
    matches!(part, "layers" | "layer" | "h" | "blocks" | "block")
}

/// Buffers that files keep though they are no parameters.
fn is_buffer(part: &str) -> bool {
    matches!(
        part,
        "final_logits_bias"
            | "inv_freq"
            | "masked_bias"
            | "rotary_emb"
            | "diagonal_decay"
            | "key_decay"
            | "query_decay"
            | "slope_rate"
    )
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// The letters of all words, one after the other, a bit each.
struct Letters {
    /// Where each byte stands.
    of: [u64; 256],
    /// Where words begin, and where they end.
    first: u64,
    last: u64,
}

const LETTERS: Letters = {
    let (mut letters, mut bit, mut word) = (Letters { of: [0; 256], first: 0, last: 0 }, 0, 0);
    while word < OTHER_PARTS.len() {
        let bytes = OTHER_PARTS[word].as_bytes();
        letters.first |= 1 << bit;
        let mut at = 0;
        while at < bytes.len() {
            letters.of[bytes[at] as usize] |= 1 << bit;
            (at, bit) = (at + 1, bit + 1);
        }
        letters.last |= 1 << (bit - 1);
        word += 1;
    }
    letters
};

/// Whether a name has a word of what sees or hears. All words are looked for at once (Baeza-Yates and Gonnet, "A New
/// Approach to Text Searching", 1992), so that no name takes longer than another of its length.
fn has_other_part(name: &str) -> bool {
    const { assert!(LETTERS.last.count_ones() as usize == OTHER_PARTS.len()) };
    static OF: [u64; 256] = LETTERS.of;
    // A bit is set where a word's letters up to this one have just been read.
    let (mut read, mut ended) = (0, 0);
    for byte in name.bytes() {
        read = ((read << 1) | LETTERS.first) & OF[usize::from(byte)];
        ended |= read & LETTERS.last;
    }
    ended != 0
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
    use super::{Place, Role};

    /// The layer, the module and the role of a tensor, and whether it is of another part.
    fn of(name: &str) -> Option<(Option<u64>, String, Role, bool)> {
        Place::of(name).map(|it| (it.layer, it.module.into_owned(), it.role, it.of_other_part))
    }

    fn weight(layer: Option<u64>, module: &str) -> Option<(Option<u64>, String, Role, bool)> {
        Some((layer, module.to_owned(), Role::Weight, false))
    }

    #[test]
    fn names_of_hostile_headers_lead_to_modules() {
        let (dots, letters, below) = (".".repeat(1000), "v".repeat(1000), ["c"; 400].join("."));
        assert_eq!(of(&format!("{dots}0")), weight(None, "0"));
        assert_eq!(of(&format!("{below}.weight")), weight(None, "c"));
        assert_eq!(of(&letters), weight(None, &letters));
        assert_eq!(of("weight"), weight(None, ""));
        assert_eq!(of("layers.3"), weight(Some(3), ""));
        assert_eq!(of(&format!("{dots}layers.7.{below}")), weight(Some(7), &below));
        // Begun over and over, and there once.
        for name in [format!("{letters}ision.0"), format!("x{dots}mm_multi_moda")] {
            assert_eq!(of(&name), Some((None, name.clone(), Role::Weight, true)));
        }
        let name = format!("{letters}_multi_moda");
        assert_eq!(of(&name), weight(None, &name));
    }

    #[test]
    fn what_sees_or_hears_is_told_by_its_words() {
        for word in [
            "vision",
            "visual",
            "image",
            "audio",
            "speech",
            "multi_modal",
            "mm_",
            "embed_tokens_extend",
        ] {
            for name in [format!("{word}.a"), format!("x{word}y.layers.1.a"), format!("a.b{word}")]
            {
                assert_eq!(
                    of(&name).map(|(layer, .., other)| (layer, other)),
                    Some((None, true)),
                    "{name}"
                );
            }
            let name = format!("layers.1.{word}");
            assert_eq!(of(&name), weight(Some(1), word));
            let cut = &word[..word.len() - 1];
            assert_eq!(of(cut), weight(None, cut));
        }
    }

    #[test]
    fn names_lead_to_modules() {
        let cases = [
            ("model.layers.3.mlp.up_proj.weight", Some(3), "mlp.up_proj"),
            ("language_model.model.layers.3.mlp.up_proj.weight", Some(3), "mlp.up_proj"),
            ("transformer.h.11.attn.c_attn.weight", Some(11), "attn.c_attn"),
            ("model.layers.0.mlp.experts.255.up_proj.weight", Some(0), "mlp.experts.up_proj"),
            ("model.layers.0.experts.7.experts.1.2.weight", Some(0), "experts.experts.2"),
            ("model.layers.0.mlp.experts.gate.weight", Some(0), "mlp.experts.gate"),
            ("model.layers.0.mlp.experts.7", Some(0), "mlp.experts"),
            (
                "encoder.block.1.layer.1.mlp.experts.expert_2047.wi.weight",
                Some(1),
                "layer.1.mlp.experts.wi",
            ),
            ("layers.0.ffn.experts.expert_12.fc1.weight", Some(0), "ffn.experts.fc1"),
            ("layers.0.ffn.experts.expert_.fc1.weight", Some(0), "ffn.experts.expert_.fc1"),
            ("layers.0.ffn.expert_12.fc1.weight", Some(0), "ffn.expert_12.fc1"),
            ("layers.0.experts.3.act_fn.experts.4.weight", Some(0), "experts.act_fn"),
            ("layers.1.layers.2.mlp.0.weight", Some(1), "layers.2.mlp.0"),
            ("layers.1.mlp.act_fn.alpha_p", Some(1), "mlp.act_fn"),
            ("act_fn.layers.1.alpha_p", None, "act_fn"),
            ("model.norm.weight", None, "norm"),
            ("lm_head.weight", None, "lm_head"),
            ("model.layers.0.self_attn.sinks", Some(0), "self_attn.sinks"),
        ];
        for (name, layer, module) in cases {
            assert_eq!(of(name), weight(layer, module), "{name}");
        }
        let name = "vision_tower.layers.0.mlp.up_proj.weight";
        assert_eq!(of(name), Some((None, name.to_owned(), Role::Weight, true)));
        for none in
            ["h.0.attn.bias", "model.layers.0.self_attn.rotary_emb.inv_freq", "layers.0.act_fn.eps"]
        {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(of("h.0.attn.c_attn.bias").map(|(.., role, _)| role), Some(Role::Bias));
        // A layer's number that fits no integer is none.
        assert_eq!(of("layers.99999999999999999999.a.weight"), None);
    }
}
