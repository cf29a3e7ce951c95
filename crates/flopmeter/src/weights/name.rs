//! Names of tensors → the module of a layer.

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
    pub module: &'n str,
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
    /// The place of a tensor; `None` for a buffer. A module whose name is not written in one piece is written to `kept`.
    pub fn of(name: &'n str, kept: &'n mut String) -> Option<Self> {
        kept.clear();
        let (stem, role) = role(name);
        // Where the name before the layer ends, and where the layer's number is.
        let mut layer = None;
        // Where the module ends, if not with the name, which is with its activation.
        let mut end = None;
        // Where the name below begins, or what of it is not kept yet: experts have numbers, which are left out.
        let mut kept_from = 0;
        let (mut before, mut before_from) = (&b""[..], 0);
        for (from, part) in parts(stem.as_bytes()) {
            if is_buffer(part) {
                return None;
            }
            let to = from + part.len();
            if end.is_some() {
                // The numbers of an activation: two are parameters, two are not.
                if matches!(part, b"beta" | b"eps") {
                    return None;
                }
            } else if part == ACTIVATION.as_bytes() {
                end = Some(to);
            } else if layer.is_some() {
                if before == b"experts" && is_expert(part) {
                    kept.push_str(&stem[kept_from..from - 1]);
                    kept_from = to;
                }
            } else if is_list(before) && is_number(part) {
                layer = Some((before_from, from, to));
                kept_from = (to + 1).min(stem.len());
            }
            (before, before_from) = (part, from);
        }
        // GPT-2 keeps its mask as `attn.bias`, which is no bias of a projection.
        if role == Role::Bias && matches!(before, b"attn" | b"attention") {
            return None;
        }
        if has_other_part(layer.map_or(name, |(before, ..)| &name[..before])) {
            return Some(Self { layer: None, module: name, role, of_other_part: true });
        }
        let rest = &stem[kept_from..end.unwrap_or(stem.len())];
        let (layer, module) = match layer {
            None => (None, if end.is_some() { ACTIVATION } else { &stem[before_from..] }),
            Some((_, from, to)) if kept.is_empty() => (Some(stem[from..to].parse().ok()?), rest),
            Some((_, from, to)) => {
                kept.push_str(rest);
                (Some(stem[from..to].parse().ok()?), &**kept)
            }
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
fn parts(name: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    // Dots are looked for eight bytes at a time: those of the eight before `ahead` that were not passed yet.
    let (mut next, mut ahead, mut dots) = (Some(0), 0, 0_u64);
    std::iter::from_fn(move || {
        let from = next?;
        while dots == 0 && ahead < name.len() {
            dots = dots_of(&name[ahead..]);
            ahead += 8;
        }
        let to = match dots {
            0 => name.len(),
            _ => ahead - 8 + dots.trailing_zeros() as usize / 8,
        };
        next = (dots != 0).then_some(to + 1);
        dots &= dots.wrapping_sub(1);
        Some((from, &name[from..to]))
    })
}

/// The dots of the first eight bytes, each as the highest bit of its byte.
fn dots_of(bytes: &[u8]) -> u64 {
    const HIGHEST: u64 = u64::from_le_bytes([0x80; 8]);
    let eight = bytes.first_chunk().copied().unwrap_or_else(|| {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        eight
    });
    // No byte carries into the next, so that each is told apart.
    let others = u64::from_le_bytes(eight) ^ u64::from_le_bytes([b'.'; 8]);
    !(((others & !HIGHEST) + !HIGHEST) | others) & HIGHEST
}

/// Whether a part below `experts` is one's number; in Switch Transformers and NLLB it is `expert_7`.
fn is_expert(part: &[u8]) -> bool {
    is_number(part.strip_prefix(b"expert_").unwrap_or(part))
}

/// What lists of layers are called.
fn is_list(part: &[u8]) -> bool {
    matches!(part, b"layers" | b"layer" | b"h" | b"blocks" | b"block")
}

/// Buffers that files keep though they are no parameters.
fn is_buffer(part: &[u8]) -> bool {
    matches!(
        part,
        b"final_logits_bias"
            | b"inv_freq"
            | b"masked_bias"
            | b"rotary_emb"
            | b"diagonal_decay"
            | b"key_decay"
            | b"query_decay"
            | b"slope_rate"
    )
}

fn is_number(part: &[u8]) -> bool {
    !part.is_empty() && part.iter().all(u8::is_ascii_digit)
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
    use super::{Place, Role, parts};
    use proptest::prelude::*;

    /// The layer, the module and the role of a tensor, and whether it is of another part.
    fn of(name: &str) -> Option<(Option<u64>, String, Role, bool)> {
        Place::of(name, &mut String::new())
            .map(|it| (it.layer, it.module.to_owned(), it.role, it.of_other_part))
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

    proptest! {
        #[test]
        fn parts_are_what_dots_separate(name in "[.a/é\u{ae}]{0,30}") {
            let split: Vec<&[u8]> = name.as_bytes().split(|byte| *byte == b'.').collect();
            let found: Vec<&[u8]> = parts(name.as_bytes()).map(|(_, part)| part).collect();
            prop_assert_eq!(found, split);
            for (from, part) in parts(name.as_bytes()) {
                prop_assert!(name.as_bytes()[from..].starts_with(part));
            }
        }
    }
}
