//! What is gone through.

use super::{Goal, Values};
use flopmeter::device::Device;
use flopmeter::{Dtype, Recompute};
use flopmeter_source::Source;
use std::sync::Arc;

/// What is gone through: an axis for each that has several values.
#[derive(Debug, Clone)]
pub struct Ranges {
    /// The model.
    pub source: Arc<Source>,
    /// Tokens of the prompt, of requests.
    pub prompt: Option<Values>,
    /// Tokens that are generated.
    pub generate: Values,
    /// Tokens of a sequence: steps of training, not requests.
    pub sequence: Option<Values>,
    /// What a step computes again.
    pub recompute: Vec<Recompute>,
    /// Batches whose gradients add up.
    pub accumulate: Option<Values>,
    /// Whether attention computes its scores again.
    pub flash: bool,
    /// Sequences that run together.
    pub batch: Values,
    /// Names of conventions, or [`ALL`](crate::ALL).
    pub conventions: Vec<String>,
    /// Dtypes of products and weights, if not as stored.
    pub dtypes: Vec<String>,
    /// The dtype of the KV cache, likewise.
    pub kv_dtype: Option<String>,
    /// What it may run on.
    pub devices: Vec<Device>,
    /// How many of them; with parallel sizes, the numbers that are kept.
    pub counts: Option<Values>,
    /// Dense peaks in FLOP/s that overrule those of the devices, or describe one.
    pub peak: Vec<(Dtype, f64)>,
    /// Bytes a second, likewise.
    pub bandwidth: Option<f64>,
    /// How it is cut.
    pub sizes: Sizes,
    /// By what the best row is chosen.
    pub best: Option<Goal>,
    /// What a row has to keep.
    pub limits: Vec<(Goal, f64)>,
}

/// Parallel sizes, each an axis of its own.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the fields are those of `Parallelism`")]
pub struct Sizes {
    pub tensor: Option<Values>,
    pub pipeline: Option<Values>,
    pub data: Option<Values>,
    pub context: Option<Values>,
    pub decode_context: Option<Values>,
    pub expert: Option<Values>,
    pub expert_tensor: Option<Values>,
    pub virtual_stages: Option<Values>,
    pub zero: Option<Values>,
    /// Whether tensor ranks, where there are several, share the tokens as well.
    pub sequence: bool,
}

impl Ranges {
    /// One request of no tokens, to be given ranges.
    pub fn of(source: Arc<Source>) -> Self {
        Self {
            source,
            prompt: None,
            generate: Values::one(1),
            sequence: None,
            recompute: vec![Recompute::Nothing],
            accumulate: None,
            flash: false,
            batch: Values::one(1),
            conventions: vec![flopmeter::Convention::MODEL.id.to_owned()],
            dtypes: Vec::new(),
            kv_dtype: None,
            devices: Vec::new(),
            counts: None,
            peak: Vec::new(),
            bandwidth: None,
            sizes: Sizes::default(),
            best: None,
            limits: Vec::new(),
        }
    }
}
