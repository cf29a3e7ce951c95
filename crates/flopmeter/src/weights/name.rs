//! Names of tensors → the module of a layer.

use memchr::memchr_iter;
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
const SHORTEST_BUFFER: usize = "inv_freq".len();
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
        let mut parts = split(name);
        let buffer =
            parts.iter().any(|part| part.len() >= SHORTEST_BUFFER && BUFFERS.contains(part));
        // GPT-2 keeps its mask as `attn.bias`, which is no bias of a projection.
        if buffer || matches!(parts[..], [.., "attn" | "attention", "bias"]) {
            return None;
        }
        let role = match parts.last() {
            Some(&"bias") => Role::Bias,
            _ => Role::Weight,
        };
        if let Some(&("weight" | "bias")) = parts.last() {
            parts.pop();
        }
        // The numbers of an activation: two are parameters, two are not.
        if let Some(at) = parts.iter().position(|part| *part == "act_fn") {
            if parts[at + 1..].iter().any(|part| ["beta", "eps"].contains(part)) {
                return None;
            }
            parts.truncate(at + 1);
        }
        let layer =
            parts.windows(2).position(|pair| is_number(pair[1]) && LISTS.contains(&pair[0]));
        let before_layer = match layer {
            Some(at) => &name[..length(&parts[..at])],
            None => name,
        };
        if has_other_part(before_layer) {
            return Some(Self { layer: None, module: name.into(), role, of_other_part: true });
        }
        let (layer, module) = match layer {
            None => (None, (*parts.last().unwrap_or(&"")).into()),
            Some(at) => (Some(parts[at + 1].parse().ok()?), below(name, &parts, at + 2)),
        };
        Some(Self { layer, module, role, of_other_part: false })
    }
}

/// The parts of a name from one on, without the numbers of experts; lent where they are side by side.
fn below<'n>(name: &'n str, parts: &[&'n str], from: usize) -> Cow<'n, str> {
    let (above, parts) = parts.split_at(from);
    let is_expert = |at: &usize| *at > 0 && parts[at - 1] == "experts" && is_number(parts[*at]);
    if (0..parts.len()).any(|at| is_expert(&at)) {
        let kept = (0..parts.len()).filter(|at| !is_expert(at)).map(|at| parts[at]);
        return kept.collect::<Vec<_>>().join(".").into();
    }
    let from = length(above);
    name.get(from..(from + length(parts)).saturating_sub(1)).unwrap_or_default().into()
}

/// The bytes of parts, a dot after each.
fn length(parts: &[&str]) -> usize {
    parts.iter().map(|part| part.len() + 1).sum()
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// What lies between the dots of a name.
fn split(name: &str) -> Vec<&str> {
    let (mut parts, mut from) = (Vec::with_capacity(16), 0);
    for dot in memchr_iter(b'.', name.as_bytes()) {
        parts.push(&name[from..dot]);
        from = dot + 1;
    }
    parts.push(&name[from..]);
    parts
}

/// Whether a name has a word of what sees or hears.
fn has_other_part(name: &str) -> bool {
    let name = name.as_bytes();
    (0..name.len()).any(|at| begins_other_part(&name[at..]))
}

/// Two letters are looked at first: a header may be full of those that begin words.
fn begins_other_part(name: &[u8]) -> bool {
    let begins = |word: &str| name.starts_with(word.as_bytes());
    match name {
        [b'v', b'i', ..] => begins("vision") || begins("visual"),
        [b'i', b'm', ..] => begins("image"),
        [b'a', b'u', ..] => begins("audio"),
        [b's', b'p', ..] => begins("speech"),
        [b'm', b'u', ..] => begins("multi_modal"),
        [b'm', b'm', ..] => begins("mm_"),
        [b'e', b'm', ..] => begins("embed_tokens_extend"),
        _ => false,
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
