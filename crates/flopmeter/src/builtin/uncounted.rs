//! Names that are known and not built in, each with the reason.

/// A model that is asked for by name, and of which no row can be made.
#[derive(Debug)]
pub struct Uncounted {
    /// Its id on the Hub.
    pub id: &'static str,
    /// Tags under which Ollama has it.
    pub ollama: &'static [&'static str],
    /// Why no row can be made: it ends the hint "it is known: …".
    pub reason: &'static str,
}

impl Uncounted {
    /// Whether a name means it, in any case.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let mut names = std::iter::once(&self.id).chain(self.ollama);
        names.any(|known| known.eq_ignore_ascii_case(name))
    }
}

const fn of(id: &'static str, ollama: &'static [&'static str], reason: &'static str) -> Uncounted {
    Uncounted { id, ollama, reason }
}

/// By id.
pub(super) const UNCOUNTED: &[Uncounted] = &[
    of(
        "LGAI-EXAONE/EXAONE-Deep-32B",
        &["exaone-deep:32b"],
        "no public copy of its config was found outside the Hub; `flopmeter` reads it from there",
    ),
    of(
        "meta-llama/Llama-3.2-90B-Vision-Instruct",
        &["llama3.2-vision:90b"],
        "its config is gated on the Hub, and no public copy of it was found; `flopmeter` reads it with a token",
    ),
    of(
        "moonshotai/Kimi-K3",
        &[],
        "no code of it is public, and its config does not say what its latent experts and its attention over \
         layers multiply",
    ),
    of(
        "nvidia/Llama-3_3-Nemotron-Super-49B-v1",
        &[],
        "a search gave each of its layers a shape of its own, in keys that only its own code reads; give its weights",
    ),
    of(
        "Qwen/Qwen3-Omni-30B-A3B-Instruct",
        &[],
        "the public copy of its config was filled in with defaults that contradict it (28 heads in a width of 2048); \
         `flopmeter` reads its own from the Hub",
    ),
    of(
        "RWKV/rwkv-5-world-3b",
        &[],
        "its type `rwkv5` runs code of its own, and nothing recorded could be compared with a count",
    ),
    of(
        "stepfun-ai/Step-3.7-Flash-FP8",
        &[],
        "the public copy of its config leaves out how many heads its windowed layers have",
    ),
    of(
        "xai-org/grok-1",
        &[],
        "it was released as a checkpoint of JAX, without a config.json; its published shape is that of no type here",
    ),
];
