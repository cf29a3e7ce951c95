//! Named rules of counting. Every output names the one it used.

mod applied;
mod counting;
mod explained;
mod formula;
mod published;
mod shape;

pub(crate) use applied::Applied;
pub(crate) use formula::Formula;

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
    counted: Counted,
    pub(crate) kind: Kind,
}

/// What a convention counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Both,
    Requests,
    Steps,
}

/// Whether it walks a model or is a formula over a few of its sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rule(Rule),
    Published(Formula),
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
        counted: Counted::Both,
        kind: Kind::Rule(Rule::Needed),
    };

    /// What PyTorch's counter counts.
    pub const TORCH: Self = Self {
        id: "torch",
        counts: "What torch.utils.flop_counter counts while transformers runs the config with eager \
                 attention: whole score matrices, the head on every position, latents expanded anew in \
                 every pass.",
        source: "PyTorch FlopCounterMode over transformers, versions in tests/recorded",
        counted: Counted::Both,
        kind: Kind::Rule(Rule::ByReference),
    };

    /// Two FLOPs a parameter and token.
    pub const TWO_PT: Self = Self {
        id: "2pt",
        counts: "2·P·T: P the size that the model's name states (for a bare config its exact total), T the \
                 tokens of prompt and answer; without a KV cache P·T·(T + 1). No attention, no routing.",
        source: "OpenJarvis, telemetry module `flops`",
        counted: Counted::Both,
        kind: Kind::Rule(Rule::PerParameter),
    };

    /// What Lightning's throughput counts: PyTorch's counter.
    const LIGHTNING: Self = Self {
        id: "lightning",
        counts: "What PyTorch's counter counts of a forward and backward pass, as `torch`. What is computed again is counted \
                 as well where it happens: with recomputation its figure is what is executed.",
        source: "Lightning-AI/pytorch-lightning, lightning/fabric/utilities/throughput.py, measure_flops",
        counted: Counted::Steps,
        kind: Kind::Rule(Rule::ByReference),
    };

    /// OpenJarvis' name for two FLOPs a parameter and token.
    const OPENJARVIS: Self = Self {
        id: "openjarvis",
        counts: "2·P·T, as `2pt`.",
        counted: Counted::Requests,
        ..Self::TWO_PT
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
        published::MEGATRON,
        published::NEMO,
        published::MAXTEXT,
        published::MAXTEXT_2024,
        published::TORCHTITAN,
        Self::LIGHTNING,
        published::NANOGPT,
        published::LLM_FOUNDRY,
        published::LLM_ANALYSIS,
        published::VERL,
        published::VLLM,
        published::SGLANG,
        Self::OPENJARVIS,
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
                .error("is a formula over a few sizes, and counts no product by itself")
                .hint("`model` and `torch` count product by product")),
        }
    }

    /// Whether it counts product by product, and so what each part of a model costs.
    pub fn counts_products(&self) -> bool {
        matches!(self.kind, Kind::Rule(Rule::Needed | Rule::ByReference))
    }

    /// Whether it is a published formula over a few sizes of a model.
    pub fn is_formula(&self) -> bool {
        matches!(self.kind, Kind::Published(_))
    }

    /// Whether it counts requests of inference.
    pub fn counts_requests(&self) -> bool {
        self.counted != Counted::Steps
    }

    /// The same for the passes that a step is made of, whatever it is asked about: a rule counts products, of which each
    /// pass has its own.
    pub(crate) fn of_passes(&self) -> Self {
        match self.kind {
            Kind::Rule(_) => Self { counted: Counted::Both, ..*self },
            Kind::Published(_) => *self,
        }
    }

    /// An error for a convention that counts no requests.
    pub(crate) fn check_requests(&self) -> Result<()> {
        match self.counts_requests() {
            true => Ok(()),
            false => Err(self.error("does not apply: it counts steps of training").hint(
                "`flopmeter train` takes it; `flopmeter conventions` says which count requests",
            )),
        }
    }

    /// Whether it counts steps of training.
    pub fn counts_steps(&self) -> bool {
        self.counted != Counted::Requests
    }

    /// The formula that it is, or that it is but for what it counts besides.
    pub(crate) fn formula(&self) -> Formula {
        match self.kind {
            Kind::Rule(Rule::Needed) => Formula::MODEL,
            Kind::Rule(Rule::ByReference) => Formula::TORCH,
            Kind::Rule(Rule::PerParameter) => {
                Formula { size: formula::Size::Nominal, ..Formula::PER_PARAMETER }
            }
            Kind::Published(formula) => formula,
        }
    }

    /// A formula between two conventions.
    pub(crate) fn between(formula: Formula) -> Self {
        Self {
            id: "between",
            counts: "",
            source: "",
            counted: Counted::Both,
            kind: Kind::Published(formula),
        }
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
