//! Into how many parts the work is cut.

use super::size;
use crate::error::{Error, ErrorKind, Result};
use crate::training::Recompute;

/// Into how many parts the work is cut, and how.
///
/// # Example
///
/// ```
/// use flopmeter::Parallelism;
///
/// let plan = Parallelism { tensor: 8, pipeline: 2, ..Parallelism::NONE };
/// assert_eq!(plan.devices(), Some(16));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parallelism {
    /// Replicas, which share the sequences.
    pub data: u64,
    /// Ranks that share the tokens of each sequence: of 2·n equal pieces the one as far from the first as the other is
    /// from the last, so that all have as many pairs (Llama Team, arXiv:2407.21783, section 3.3.2). To gradients and
    /// ZeRO they are replicas. Of a request they share the prompt; what is generated after it each of them computes.
    pub context: u64,
    /// Ranks that share every layer.
    pub tensor: u64,
    /// Of the tensor ranks those that share by tokens what they would each keep whole of a request's cache: KV heads that
    /// are fewer than ranks, or latents (vLLM's decode context parallelism). They add no devices.
    pub decode_context: u64,
    /// Whether the tensor ranks share the tokens between their products as well (Korthikanti et al., arXiv:2205.05198,
    /// section 4.2.2): an all-reduce is then a reduce-scatter and an all-gather.
    pub sequence: bool,
    /// What replicas do not hold each for themselves in a step of training (Rajbhandari et al., arXiv:1910.02054): 0
    /// nothing, 1 the optimizer's states, 2 gradients as well, 3 weights as well, which is FSDP.
    pub zero: u64,
    /// Stages, which share the layers.
    pub pipeline: u64,
    /// Stretches of layers that each stage has (Narayanan et al., arXiv:2104.04473, section 2.2).
    pub virtual_stages: u64,
    /// Groups of ranks, each with its share of the experts.
    pub expert: u64,
    /// Ranks that share an expert; `None` is those that share a layer, or one where experts are shared out.
    pub expert_tensor: Option<u64>,
}

/// What a model is cut for: engines of either kind differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// As vLLM does it.
    Inference,
    /// As Megatron does it, some layers being computed again.
    Training(Recompute),
}

impl Parallelism {
    /// One device.
    pub const NONE: Self = Self {
        data: 1,
        context: 1,
        tensor: 1,
        decode_context: 1,
        sequence: false,
        zero: 0,
        pipeline: 1,
        virtual_stages: 1,
        expert: 1,
        expert_tensor: None,
    };

    /// Devices that it takes, `None` if they do not fit. Experts are spread over those of the replicas.
    pub fn devices(&self) -> Option<u64> {
        let replicas = self.data.checked_mul(self.context)?;
        replicas.checked_mul(self.tensor)?.checked_mul(self.pipeline)
    }

    /// Ranks that share an expert.
    pub fn expert_tensor(&self) -> u64 {
        self.expert_tensor.unwrap_or(if self.expert > 1 { 1 } else { self.tensor })
    }

    /// Ranks of a stage. The sizes have been checked: they fit.
    pub(super) fn ranks(&self) -> u64 {
        self.data * self.context * self.tensor
    }

    /// Whether tokens are sent to where their experts are: elsewhere all tensor ranks have them, and add up what their
    /// experts make of them.
    pub(super) fn dispatches(&self) -> bool {
        self.expert > 1 && (self.sequence || self.expert * self.expert_tensor() > self.tensor)
    }

    pub(super) fn check(&self) -> Result<()> {
        let sizes = [
            ("data", self.data, size::MOST),
            ("context", self.context, size::MOST_CONTEXT),
            ("tensor", self.tensor, size::MOST),
            ("decode context", self.decode_context, size::MOST),
            ("pipeline", self.pipeline, size::MOST),
            ("virtual stages", self.virtual_stages, size::MOST),
            ("expert", self.expert, size::MOST),
            ("expert tensor", self.expert_tensor(), size::MOST),
        ];
        for (place, size, most) in sizes {
            if size == 0 || size > most {
                return Err(Error::new(ErrorKind::Parallelism, place, format!("is {size}"))
                    .hint(format!("a size is 1 at least and {most} at most")));
            }
        }
        if self.zero > 3 {
            let fact = format!("is {}", self.zero);
            return Err(Error::new(ErrorKind::Parallelism, "zero", fact).hint("stages are 0 to 3"));
        }
        if self.sequence && self.tensor == 1 {
            let fact = "has no tensor ranks that could share the tokens";
            return Err(Error::new(ErrorKind::Parallelism, "sequence", fact));
        }
        if self.virtual_stages > 1 && self.pipeline == 1 {
            let fact = "are of stages, and there is one";
            return Err(Error::new(ErrorKind::Parallelism, "virtual stages", fact));
        }
        size::share("expert tensor", "tensor ranks", self.tensor, self.expert_tensor())?;
        let spread = self.expert * self.expert_tensor();
        size::share("expert", "ranks of a stage", self.ranks(), spread).map(|_| ())
    }
}

impl Purpose {
    /// How often a batch goes through a layer, forward, backward and forward again.
    pub fn passes(self, layer: Option<u64>) -> u64 {
        let again = match self {
            Self::Inference => return 1,
            Self::Training(Recompute::Full) => layer.is_some(),
            Self::Training(Recompute::Layers(count)) => layer.is_some_and(|layer| layer < count),
            Self::Training(Recompute::Nothing | Recompute::Selective) => false,
        };
        2 + u64::from(again)
    }

    /// How often it goes through the attention of a layer.
    pub fn passes_of_attention(self, layer: Option<u64>) -> u64 {
        self.passes(layer) + u64::from(self == Self::Training(Recompute::Selective))
    }
}
