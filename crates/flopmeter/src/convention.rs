//! Named rules of counting. Every output names the one it used.

mod published;
mod shape;

pub(crate) use published::Published;
pub(crate) use shape::Shape;

use crate::error::{Error, ErrorKind, Result, shown};
use std::str::FromStr;

/// A rule of counting: what a FLOP figure includes.
///
/// # Example
///
/// ```
/// use flopmeter::Convention;
/// assert_eq!("torch".parse::<Convention>()?, Convention::TORCH);
/// assert!("6nd?".parse::<Convention>().is_err());
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convention {
    /// The name on the command line and in every output.
    pub id: &'static str,
    /// What it counts, in a sentence.
    pub counts: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    pub(crate) kind: Kind,
}

/// Whether it walks a model or is a formula over a few of its sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rule(Rule),
    Published(Published),
}

/// How the products of a model are counted, one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Needed,
    ByReference,
    PerParameter,
}

impl Convention {
    /// What the work needs.
    pub const MODEL: Self = Self {
        id: "model",
        counts: "Every matrix product that the result depends on: visible pairs only, routed experts only, \
                 the head where a token is sampled, latent attention in its cheaper exact form.",
        source: "flopmeter's DESIGN.md",
        kind: Kind::Rule(Rule::Needed),
    };

    /// What PyTorch's counter counts.
    pub const TORCH: Self = Self {
        id: "torch",
        counts: "What torch.utils.flop_counter counts while transformers runs the config with eager \
                 attention: whole score matrices, the head on every position, latents expanded anew in \
                 every pass.",
        source: "PyTorch FlopCounterMode over transformers, versions in tests/recorded",
        kind: Kind::Rule(Rule::ByReference),
    };

    /// Two FLOPs a parameter and token.
    pub const TWO_PT: Self = Self {
        id: "2pt",
        counts: "2·P·T: P the size that the model's name states (for a bare config its exact total), T the \
                 tokens of prompt and answer; without a KV cache P·T·(T + 1). No attention, no routing.",
        source: "OpenJarvis, telemetry module `flops`",
        kind: Kind::Rule(Rule::PerParameter),
    };

    /// Every convention, the default first.
    pub const ALL: &[Self] = &[
        Self::MODEL,
        Self::TORCH,
        Self::TWO_PT,
        published::PALM,
        published::KAPLAN,
        published::CHINCHILLA,
        published::MEGATRON_2021,
        published::MEGATRON_2022,
        published::NANOGPT,
        published::LLM_FOUNDRY,
    ];

    /// Those that count requests of inference.
    pub fn of_requests() -> impl Iterator<Item = &'static Self> {
        Self::ALL.iter().filter(|convention| convention.counts_requests())
    }

    /// The rule by which products are counted one by one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Convention`] for a published formula, which knows none of them.
    pub(crate) fn rule(&self) -> Result<Rule> {
        match self.kind {
            Kind::Rule(rule) => Ok(rule),
            Kind::Published(_) => Err(self
                .error("is a formula for a step of training, and counts no product by itself")
                .hint("`flopmeter train` takes it; `model` and `torch` count requests")),
        }
    }

    /// Whether it is a published formula over a few sizes of a model.
    pub fn is_formula(&self) -> bool {
        matches!(self.kind, Kind::Published(_))
    }

    /// Whether it counts requests of inference.
    pub fn counts_requests(&self) -> bool {
        !self.is_formula()
    }

    /// Whether it counts steps of training.
    pub fn counts_steps(&self) -> bool {
        true
    }

    pub(crate) fn error(&self, fact: &str) -> Error {
        Error::new(ErrorKind::Convention, format!("`{}`", self.id), fact)
    }
}

impl FromStr for Convention {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|convention| convention.id == name).copied().ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|convention| convention.id).collect();
            Error::new(ErrorKind::Convention, format!("`{}`", shown(name)), "is no convention")
                .hint(format!("known: {}", names.join(", ")))
        })
    }
}
