//! One error type: where, what, and what next.

use std::fmt;

/// The result of anything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Why flopmeter gives no number.
///
/// Displayed on one line as `place: fact; hint`. Programs branch on
/// [`kind`](Error::kind), never on the text.
///
/// # Example
///
/// ```
/// use flopmeter::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Config, "`hidden_size`", "is missing")
///     .hint("give the model's whole config.json");
/// assert_eq!(error.kind(), ErrorKind::Config);
/// assert_eq!(error.to_string(), "`hidden_size`: is missing; give the model's whole config.json");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Facts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    kind: ErrorKind,
    place: String,
    fact: String,
    hints: Vec<String>,
    candidates: Vec<String>,
}

impl Error {
    /// An error of a kind, at a place, stating a fact.
    pub fn new(kind: ErrorKind, place: impl Into<String>, fact: impl Into<String>) -> Self {
        Self(Box::new(Facts {
            kind,
            place: place.into(),
            fact: fact.into(),
            hints: Vec::new(),
            candidates: Vec::new(),
        }))
    }

    /// The same error with one more thing to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// The same error with what the caller may have meant, one line each.
    #[must_use]
    pub fn candidates(mut self, candidates: impl IntoIterator<Item = String>) -> Self {
        self.0.candidates.extend(candidates);
        self
    }

    /// The same error seen from further out: `outer` is put before the place.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.0.place = format!("{outer}: {}", self.0.place);
        self
    }

    /// What sort of error it is, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where it is: a config key, a device name, an option.
    pub fn place(&self) -> &str {
        &self.0.place
    }

    /// What is the case there.
    pub fn fact(&self) -> &str {
        &self.0.fact
    }

    /// What to try.
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// What the caller may have meant, where several things answer to a name.
    pub fn candidate_list(&self) -> &[String] {
        &self.0.candidates
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.place, self.0.fact)?;
        for hint in &self.0.hints {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// What sort of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not the JSON object that a config.json is.
    Syntax,
    /// A key of the config is missing, of the wrong type, out of range, or contradicts another.
    Config,
    /// The config's `model_type` is none that flopmeter counts.
    Architecture,
    /// The config's `quantization_config` is of a kind whose widths flopmeter does not know.
    Quantization,
    /// An adapter is of a kind that is not counted, or means no module of the model.
    Adapter,
    /// No built-in model has this name.
    Model,
    /// Where a model is looked for, something is missing: a repository, a revision, a file that another one
    /// names.
    Place,
    /// The Hub cannot be reached, or what answers is not the Hub.
    Network,
    /// The Hub keeps a repository from whoever asks: it is gated, or the token is not valid.
    Access,
    /// A header of weights is not what its format says, or files of weights contradict each other.
    Weights,
    /// The request contradicts itself: more cached than prompt, an empty batch.
    Workload,
    /// A draft of no token or of too many, or an acceptance that is no probability.
    Speculation,
    /// A size that the work cannot be cut by, or work of which it is not known how ranks share it.
    Parallelism,
    /// No convention has this name, or it does not apply.
    Convention,
    /// No dtype has this name.
    Dtype,
    /// No device has this name.
    Device,
    /// Several devices, a share of one, or several files answer to this name.
    Ambiguous,
    /// The device has no figure for what was asked: a dtype's peak, a bandwidth, a memory size.
    Peak,
    /// A table of claimed figures lacks a column, or a cell is not what its column holds.
    Table,
    /// A measured time, a peak or a bandwidth is zero, negative or not a number.
    Measurement,
    /// A count does not fit 128 bits, or a ratio or a time a float.
    Overflow,
}

impl ErrorKind {
    /// Every kind, with the sentence that the reference prints for it.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Syntax, "The text is not the JSON object that a config.json is."),
        (
            Self::Config,
            "A key of the config is missing, of the wrong type, out of range, or contradicts another.",
        ),
        (Self::Architecture, "The config's `model_type` is none that flopmeter counts."),
        (
            Self::Quantization,
            "The config's `quantization_config` is of a kind whose widths flopmeter does not know.",
        ),
        (
            Self::Adapter,
            "An adapter is of a kind that is not counted, or means no module of the model.",
        ),
        (Self::Model, "No built-in model has this name."),
        (
            Self::Place,
            "Where a model is looked for, something is missing: a repository, a revision, a file that another \
             one names.",
        ),
        (Self::Network, "The Hub cannot be reached, or what answers is not the Hub."),
        (
            Self::Access,
            "The Hub keeps a repository from whoever asks: it is gated, or the token is not valid.",
        ),
        (
            Self::Weights,
            "A header of weights is not what its format says, or files of weights contradict each other.",
        ),
        (
            Self::Workload,
            "The request contradicts itself: more cached than prompt, an empty batch.",
        ),
        (
            Self::Speculation,
            "A draft of no token or of too many, or an acceptance that is no probability.",
        ),
        (
            Self::Parallelism,
            "A size that the work cannot be cut by, or work of which it is not known how ranks share it.",
        ),
        (Self::Convention, "No convention has this name, or it does not apply."),
        (Self::Dtype, "No dtype has this name."),
        (Self::Device, "No device has this name."),
        (Self::Ambiguous, "Several devices, a share of one, or several files answer to this name."),
        (
            Self::Peak,
            "The device has no figure for what was asked: a dtype's peak, a bandwidth, a memory size.",
        ),
        (
            Self::Table,
            "A table of claimed figures lacks a column, or a cell is not what its column holds.",
        ),
        (
            Self::Measurement,
            "A measured time, a peak or a bandwidth is zero, negative or not a number.",
        ),
        (Self::Overflow, "A count does not fit 128 bits, or a ratio or a time a float."),
    ];
}

/// What serde_json says is wrong, without the place: its words may quote a stranger's, so they are made fit to stand in
/// a one-line message as well.
pub(crate) fn cause(error: &serde_json::Error) -> String {
    const LONGEST: usize = 240;
    let text = error.to_string();
    let cause = text.rsplit_once(" at line ").map_or(&*text, |(cause, _)| cause);
    let mut out = String::new();
    for c in cause.chars().take(LONGEST) {
        match c {
            '\'' | '"' | '\\' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    if cause.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// A stranger's text, fit to stand in a one-line message: shortened, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut out: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out.replace("\\'", "'").replace("\\\"", "\"")
}
