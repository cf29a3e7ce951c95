//! What stands behind an encoder that is the whole model: the class that `architectures` names decides.

use crate::component::Component;
use crate::config::Config;
use crate::error::{Result, shown};
use crate::model::labels;
use crate::op::{Linear, Op, Rows};
use crate::passes::Mask;

/// What an encoder's output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Nothing more (`…Model`): it is pooled, if the class has a pooler.
    Embed,
    /// A token at every position (`…ForMaskedLM`, `…LMHeadModel`).
    Predict,
    /// What the class was trained with first (`…ForPreTraining`).
    PreTrain,
    /// One of so many labels for the sequence.
    ClassifySequence(u64),
    /// One of so many labels for each token: entities, or where an answer begins and ends.
    ClassifyTokens(u64),
}

impl Task {
    /// The task of the class that the config names; `…Model` where it names none, which is noted.
    pub fn of(c: &Config) -> Result<Self> {
        let named = c.texts("architectures")?.unwrap_or_default();
        let Some(class) = named.first() else {
            c.note(format!(
                "`architectures` is absent: the encoder of `{}` is counted without a head",
                c.model_type()
            ));
            return Ok(Self::Embed);
        };
        let of = |end: &str| class.ends_with(end);
        Ok(match () {
            () if of("ForMaskedLM") || of("LMHeadModel") => Self::Predict,
            () if of("Model") || of("Encoder") => Self::Embed,
            () if of("ForPreTraining") => Self::PreTrain,
            () if of("ForSequenceClassification") => Self::ClassifySequence(labels(c)?),
            () if of("ForTokenClassification") => Self::ClassifyTokens(labels(c)?),
            () if of("ForQuestionAnswering") || of("ForQuestionAnsweringSimple") => {
                Self::ClassifyTokens(2)
            }
            () => {
                let fact = format!("names `{}`, whose head is not counted", shown(class));
                return Err(c
                    .contradiction("architectures", &fact)
                    .hint("an encoder without a head is a class that ends with Model"));
            }
        })
    }

    /// The error of a class that lacks this task.
    pub fn unknown<T>(self, c: &Config) -> Result<T> {
        let fact = format!("has a task that is not counted of `{}`: {self:?}", c.model_type());
        Err(c.contradiction("architectures", &fact))
    }
}

/// What is before a token, itself included, nothing of which a later pass reads.
pub(super) const BEFORE: Mask = Mask::Around { before: u64::MAX, after: 0 };

/// A layer of a head that runs over every position.
pub(super) fn for_each_token(module: &'static str, from: u64, to: u64) -> Linear {
    Linear::new(module, Component::Head, from, to).bias(true)
}

/// A layer of a head that runs once for a sequence, over what stands for it.
pub(super) fn for_sequence(module: &'static str, from: u64, to: u64) -> Linear {
    for_each_token(module, from, to).once_a_pass()
}

/// Two layers over the first token: one as wide as the model, and one for the labels.
pub(super) fn classify(dense: &'static str, out: &'static str, d: u64, labels: u64) -> [Op; 2] {
    [for_sequence(dense, d, d).into(), for_sequence(out, d, labels).into()]
}

/// The head of a decoder over every position, as an encoder's is: nothing is sampled.
pub(super) fn everywhere(ops: impl IntoIterator<Item = Op>) -> impl Iterator<Item = Op> {
    ops.into_iter().map(|op| match op {
        Op::Linear(linear) if linear.rows == Rows::Sampled => {
            Op::Linear(Linear { rows: Rows::All, ..linear })
        }
        other => other,
    })
}
