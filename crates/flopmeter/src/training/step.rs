//! What is asked of a step: rows of tokens, what is trained, what is kept for the backward pass.

use crate::error::{Error, ErrorKind, Result, shown};
use crate::model::Model;
use crate::workload::{Sequence, Workload};
use std::str::FromStr;

/// The most documents of a row.
const MOST_DOCUMENTS: usize = 1 << 20;

/// One step of an optimiser: equal rows of tokens, over all devices and all micro-batches.
///
/// # Example
///
/// ```
/// use flopmeter::{Recompute, Step};
///
/// let step = Step::new(8192, 1024)?.recomputing(Recompute::Full);
/// assert_eq!(step.tokens(), Some(8192 * 1024));
/// // Three documents in a row, none of which sees another.
/// let packed = Step::packed(&[812, 4096, 3284], 16)?;
/// assert_eq!(packed.tokens(), Some(8192 * 16));
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Lengths of the documents of a row, equal ones together with their number.
    documents: Vec<(u64, u64)>,
    rows: u64,
    target: Option<u64>,
    frozen: Frozen,
    recompute: Recompute,
    recomputes_scores: bool,
    drops_out: bool,
    predicts_further: bool,
    reference_forwards: u64,
    rollout: Option<Sequence>,
}

/// What is not trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Frozen {
    /// Everything is.
    #[default]
    Nothing,
    /// The embedding and so many of the lowest layers, whose inputs need no gradient either.
    Below(u64),
    /// All but the adapter. Gradients still pass through every layer (PEFT's `enable_input_require_grads`, which
    /// training with recomputation asks for).
    Base,
}

impl Frozen {
    /// What a step of a model leaves as it is: of one with an adapter beside its weights all but the adapter, whatever else
    /// was asked for; of others so many of the lowest layers.
    ///
    /// ```
    /// # use flopmeter::{Builtin, Frozen};
    /// let llama = Builtin::find("llama3.1:8b")?.model()?;
    /// assert_eq!(Frozen::of(&llama, Some(4)), Frozen::Below(4));
    /// assert_eq!(Frozen::of(&llama, None), Frozen::Nothing);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn of(model: &Model, lowest: Option<u64>) -> Self {
        match lowest {
            _ if model.has_adapter() => Self::Base,
            Some(layers) => Self::Below(layers),
            None => Self::Nothing,
        }
    }
}

/// What is not kept from the forward pass and computed again in the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recompute {
    /// Everything is kept.
    #[default]
    Nothing,
    /// Scores and values of attention (Korthikanti et al., arXiv:2205.05198, section 5).
    Selective,
    /// Every layer whole; the head is not (Chen et al., arXiv:1604.06174).
    Full,
    /// So many layers whole, from the first on.
    Layers(u64),
}

/// Reads `none`, `selective`, `full` or a number of layers.
///
/// ```
/// use flopmeter::Recompute;
/// assert_eq!("full".parse::<Recompute>()?, Recompute::Full);
/// assert_eq!("12".parse::<Recompute>()?, Recompute::Layers(12));
/// assert!("some".parse::<Recompute>().is_err());
/// # Ok::<(), flopmeter::Error>(())
/// ```
impl FromStr for Recompute {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "none" => Self::Nothing,
            "selective" => Self::Selective,
            "full" => Self::Full,
            number => Self::Layers(number.parse().map_err(|_| {
                let place = format!("`{}`", shown(number));
                Error::new(ErrorKind::Workload, place, Self::FORM)
            })?),
        })
    }
}

impl Recompute {
    /// What a text is not that names none.
    const FORM: &str = "not none, selective, full or a number of layers";
}

impl Step {
    /// `rows` rows of one document of `length` tokens each.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] if a length or the number of rows is 0.
    pub fn new(length: u64, rows: u64) -> Result<Self> {
        Self::packed(&[length], rows)
    }

    /// `rows` rows that each hold the same documents.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] if there is none, a length or the number of rows is 0, or there are more than 2^20
    /// documents in a row.
    pub fn packed(lengths: &[u64], rows: u64) -> Result<Self> {
        let wrong = |place: &str, fact: &str| Error::new(ErrorKind::Workload, place, fact);
        if rows == 0 {
            return Err(wrong("batch", "is 0").hint("a step has at least one sequence"));
        }
        if lengths.is_empty() {
            return Err(wrong("packed", "has no document"));
        }
        if lengths.contains(&0) {
            return Err(wrong("sequence", "is 0").hint("a sequence has at least one token"));
        }
        if lengths.len() > MOST_DOCUMENTS {
            return Err(wrong("packed", "has more than 2^20 documents"));
        }
        let mut lengths = lengths.to_vec();
        lengths.sort_unstable();
        let documents = lengths.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len() as u64));
        Ok(Self {
            documents: documents.collect(),
            rows,
            target: None,
            frozen: Frozen::Nothing,
            recompute: Recompute::Nothing,
            recomputes_scores: false,
            drops_out: false,
            predicts_further: false,
            reference_forwards: 0,
            rollout: None,
        })
    }

    /// The same step of an encoder-decoder whose decoder has `tokens` for each document, which the encoder reads.
    #[must_use]
    pub fn with_target(mut self, tokens: u64) -> Self {
        self.target = Some(tokens);
        self
    }

    /// The same step with less of the model trained.
    #[must_use]
    pub fn freezing(mut self, frozen: Frozen) -> Self {
        self.frozen = frozen;
        self
    }

    /// The same step with less kept from the forward pass.
    #[must_use]
    pub fn recomputing(mut self, recompute: Recompute) -> Self {
        self.recompute = recompute;
        self
    }

    /// The same step with attention that never stores its scores and multiplies queries with keys once more in the
    /// backward pass (Dao et al., arXiv:2205.14135, algorithm 4).
    #[must_use]
    pub fn recomputing_scores(mut self) -> Self {
        self.recomputes_scores = true;
        self
    }

    /// The same step with dropout, of attention's probabilities and after each half of a layer: no FLOP, but masks that
    /// are kept for the backward pass.
    #[must_use]
    pub fn dropping_out(mut self) -> Self {
        self.drops_out = true;
        self
    }

    /// The same step with other rows, all of them alike.
    pub(crate) fn with_rows(&self, rows: u64) -> Self {
        let rollout = self.rollout.map(|rollout| Sequence { count: rows, ..rollout });
        Self { rows, rollout, ..self.clone() }
    }

    /// What one of some replicas has of it.
    pub(crate) fn share(&self, replicas: u64) -> Result<Self> {
        if !self.rows.is_multiple_of(replicas) {
            let fact = format!("{} sequences cannot be shared evenly by {replicas}", self.rows);
            let nearest = self.rows.div_ceil(replicas).saturating_mul(replicas);
            return Err(Error::new(ErrorKind::Parallelism, "data", fact)
                .hint(format!("a batch of {nearest} can")));
        }
        Ok(self.with_rows(self.rows / replicas))
    }

    /// The same step with the layers that predict further tokens, each with its head and a loss of its own.
    #[must_use]
    pub fn predicting_further(mut self) -> Self {
        self.predicts_further = true;
        self
    }

    /// The same step without them.
    pub(crate) fn predicting_no_further(mut self) -> Self {
        self.predicts_further = false;
        self
    }

    /// The same step with so many forward passes over its tokens that have no gradient: one of a reference model for
    /// DPO (the chosen and the rejected answer are rows of their own), the reference's and the old policy's for GRPO.
    #[must_use]
    pub fn with_reference_forwards(mut self, passes: u64) -> Self {
        self.reference_forwards = passes;
        self
    }

    /// The same step after each row was generated: a prompt and the answer to it, with a KV cache.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] if the two have another length than a row.
    pub fn with_rollout(mut self, prompt: u64, generate: u64) -> Result<Self> {
        let row = self.row_tokens();
        if prompt.checked_add(generate) != row {
            let fact =
                format!("is {prompt}:{generate}, and a row has {} tokens", row.unwrap_or(u64::MAX));
            return Err(Error::new(ErrorKind::Workload, "rollout", fact)
                .hint("prompt and answer together are the sequence that is trained on"));
        }
        self.rollout = Some(Sequence { prompt, cached: 0, generate, count: self.rows });
        Ok(self)
    }

    /// The same step of the layers of a model that predict further tokens, without passes beside it. They are above all
    /// that is frozen; their head is the model's, and frozen with the embedding where it is that table.
    pub(crate) fn of_further_layers(self, model: &Model) -> Self {
        let frozen = match self.frozen {
            Frozen::Below(_) if model.ops().any(|(op, _)| op.is_tied_head()) => Frozen::Below(0),
            Frozen::Below(_) => Frozen::Nothing,
            other => other,
        };
        Self { frozen, predicts_further: false, reference_forwards: 0, rollout: None, ..self }
    }

    /// Documents of a row, by length, with how many of them there are.
    pub fn documents(&self) -> &[(u64, u64)] {
        &self.documents
    }

    /// Rows of the step.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What is not trained.
    pub fn frozen(&self) -> Frozen {
        self.frozen
    }

    /// What is computed again.
    pub fn recompute(&self) -> Recompute {
        self.recompute
    }

    /// Tokens of the decoder beside an encoder.
    pub fn target(&self) -> Option<u64> {
        self.target
    }

    /// Whether the backward pass computes the scores of attention again.
    pub fn recomputes_scores(&self) -> bool {
        self.recomputes_scores
    }

    /// Whether there is dropout.
    pub fn drops_out(&self) -> bool {
        self.drops_out
    }

    /// Whether layers that predict further tokens are trained.
    pub fn predicts_further(&self) -> bool {
        self.predicts_further
    }

    /// Tokens of the prompt and of the answer, where each row is generated first.
    pub fn rollout_lengths(&self) -> Option<(u64, u64)> {
        self.rollout.map(|Sequence { prompt, generate, .. }| (prompt, generate))
    }

    /// Forward passes without a gradient.
    pub fn reference_forwards(&self) -> u64 {
        self.reference_forwards
    }

    /// Tokens of a row, `None` if they do not fit.
    pub fn row_tokens(&self) -> Option<u64> {
        self.documents
            .iter()
            .try_fold(0_u64, |sum, (length, count)| sum.checked_add(length.checked_mul(*count)?))
    }

    /// Tokens of the step, `None` if they do not fit.
    pub fn tokens(&self) -> Option<u64> {
        self.row_tokens()?.checked_mul(self.rows)
    }

    /// Its forward pass: documents that do not see each other, or rows whole, as an implementation runs them that
    /// masks the scores of one document with another.
    pub(crate) fn forward(&self, rows_whole: bool) -> Option<Workload> {
        let sequence = |prompt: u64, count: u64| Sequence { prompt, cached: 0, generate: 0, count };
        let sequences = if rows_whole {
            vec![sequence(self.row_tokens()?, self.rows)]
        } else {
            let one = |&(length, count): &(u64, u64)| {
                Some(sequence(length, self.rows.checked_mul(count)?))
            };
            self.documents.iter().map(one).collect::<Option<_>>()?
        };
        let workload = Workload::batch(sequences).ok()?.scored();
        Some(match self.target {
            Some(tokens) => workload.with_decoder_prompt(tokens),
            None => workload,
        })
    }

    /// What generated its rows.
    pub(crate) fn rollout(&self) -> Option<Workload> {
        Workload::batch(vec![self.rollout?]).ok()
    }
}
