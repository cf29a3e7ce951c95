//! Requests that are exactly alike.

/// One request, or several that are exactly alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// Tokens of the prompt, cached ones included.
    pub prompt: u64,
    /// Tokens of the prompt whose keys and values are in the cache already.
    pub cached: u64,
    /// Tokens that are generated.
    pub generate: u64,
    /// How many such requests there are.
    pub count: u64,
}

impl Sequence {
    /// A request of `prompt` tokens that generates `generate`.
    pub const fn new(prompt: u64, generate: u64) -> Self {
        Self { prompt, cached: 0, generate, count: 1 }
    }

    /// Passes after the one over the prompt: the last token is never fed back.
    pub(crate) const fn steps(&self) -> u64 {
        self.generate.saturating_sub(1)
    }

    /// Whether the pass over the prompt samples: one that is cached to its end runs none.
    pub(crate) const fn samples_first(&self) -> bool {
        self.generate > 0 && self.prompt > self.cached
    }

    /// One past its last position; `None` if that has no number of 64 bits: a count would be wrong.
    pub(crate) fn end(&self) -> Option<u64> {
        self.prompt.checked_add(self.generate)
    }
}
