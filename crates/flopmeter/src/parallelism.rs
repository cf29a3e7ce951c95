//! A model over several devices: what each rank computes, holds, reads and sends.
//!
//! ```text
//! data       whole replicas, each with its share of the sequences
//! tensor     heads and inner widths of every layer, and the vocabulary
//! pipeline   layers, one stretch of them (or several, interleaved) a stage
//! expert     the experts of a layer, over the ranks of all replicas
//! ```
//!
//! A rank's work is a [`Model`] of its own, whose ops are the whole's ops cut to its share: it counts itself. Ranks that
//! are alike are one kind with its number, so that a count does not grow with the devices.

mod exchange;
mod kept;
mod layer;
mod size;
mod stages;
mod step;

pub use exchange::{Collective, Transfer};
pub use step::{StepMemory, StepRank, StepSplit};

use crate::bytes::Bytes;
use crate::convention::{Convention, Rule};
use crate::cost::Flops;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, too_large};
use crate::workload::Workload;
use exchange::Exchange;
use std::collections::BTreeSet;

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
    /// Ranks that share every layer.
    pub tensor: u64,
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
enum Purpose {
    /// vLLM's: a vocabulary that is cut is padded to a multiple of 64, and layers that are left over go to the stages
    /// before the last.
    Inference,
    /// Megatron's: the vocabulary is padded to a multiple of 128 times the tensor ranks.
    Training,
}

/// A model that is cut.
#[derive(Debug, Clone)]
pub struct Split {
    parallelism: Parallelism,
    stages: Vec<Stage>,
    replicated: BTreeSet<&'static str>,
    padding: u64,
    element_bits: u64,
}

/// Stages that are alike.
#[derive(Debug, Clone)]
struct Stage {
    name: String,
    /// How many of them there are.
    count: u64,
    model: Model,
    exchange: Exchange,
}

/// Ranks that are alike, and what one of them does.
#[derive(Debug, Clone)]
pub struct Rank<'s> {
    /// Which they are: `every rank`, or the stage and its layers.
    pub name: &'s str,
    /// How many there are.
    pub count: u64,
    /// What of the model one has.
    pub model: &'s Model,
    /// FLOPs of one.
    pub flops: Flops,
    /// Bytes that one holds and moves in its own memory.
    pub bytes: Bytes,
    /// What one sends to others.
    pub transfers: Vec<Transfer>,
}

impl Parallelism {
    /// One device.
    pub const NONE: Self = Self {
        data: 1,
        tensor: 1,
        sequence: false,
        zero: 0,
        pipeline: 1,
        virtual_stages: 1,
        expert: 1,
        expert_tensor: None,
    };

    /// Devices that it takes, `None` if they do not fit. Experts are spread over those of the replicas.
    pub fn devices(&self) -> Option<u64> {
        self.data.checked_mul(self.tensor)?.checked_mul(self.pipeline)
    }

    /// Ranks that share an expert.
    pub fn expert_tensor(&self) -> u64 {
        self.expert_tensor.unwrap_or(if self.expert > 1 { 1 } else { self.tensor })
    }

    /// Whether tokens are sent to where their experts are: elsewhere all tensor ranks have them, and add up what their
    /// experts make of them.
    fn dispatches(&self) -> bool {
        self.expert > 1 && (self.sequence || self.expert * self.expert_tensor() > self.tensor)
    }

    fn check(&self) -> Result<()> {
        let sizes = [
            ("data", self.data),
            ("tensor", self.tensor),
            ("pipeline", self.pipeline),
            ("virtual stages", self.virtual_stages),
            ("expert", self.expert),
            ("expert tensor", self.expert_tensor()),
        ];
        for (place, size) in sizes {
            if size == 0 || size > size::MOST {
                return Err(Error::new(ErrorKind::Parallelism, place, format!("is {size}"))
                    .hint(format!("a size is 1 at least and {} at most", size::MOST)));
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
        let ranks = self.data * self.tensor;
        let spread = self.expert * self.expert_tensor();
        size::share("expert", "ranks of a stage", ranks, spread).map(|_| ())
    }
}

impl Model {
    /// The model cut for a plan, ready to be counted.
    ///
    /// What is not cut is [`replicated`](Split::replicated): routers, norms, latent attention's projections before its
    /// heads, the layers of a tower or an encoder. KV heads are replicated where there are fewer of them than ranks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Parallelism`] for sizes that cannot be cut so, with the nearest that can, and for layers of which it
    /// is not known how ranks share them; [`ErrorKind::Overflow`] if a sum does not fit.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Builtin, Convention, Parallelism, Workload};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-3.1-8B")?.model()?;
    /// let plan = Parallelism { tensor: 8, ..Parallelism::NONE };
    /// let split = llama.split(&plan)?;
    /// let request = Workload::request(1024, 256);
    /// let ranks = split.ranks(&request, &Convention::MODEL)?;
    /// // 32 heads, 8 KV heads, 14,336 and 128,256 are all multiples of 8: each has an eighth.
    /// assert_eq!(ranks[0].count, 8);
    /// assert_eq!(ranks[0].flops.total * 8, llama.flops(&request, &Convention::MODEL)?.total);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn split(&self, parallelism: &Parallelism) -> Result<Split> {
        if parallelism.zero > 0 {
            return Err(Error::new(ErrorKind::Parallelism, "zero", "is of training")
                .hint("`split_step` takes it, and the command `train`"));
        }
        self.divided(parallelism, Purpose::Inference, 1)
    }

    /// The model cut for passes that go through its layers so often.
    fn divided(&self, parallelism: &Parallelism, purpose: Purpose, passes: u64) -> Result<Split> {
        parallelism.check()?;
        let mut cutter = layer::Cutter::new(self, parallelism, purpose, passes)?;
        let mut stages: Vec<Stage> = Vec::new();
        for members in stages::members(self, parallelism)? {
            let stage = cutter.stage(self, &members)?;
            match stages.last_mut().filter(|last| last.is_like(&stage)) {
                Some(last) => last.count += 1,
                None => stages.push(stage),
            }
        }
        stages::name(&mut stages, parallelism);
        Ok(Split {
            parallelism: *parallelism,
            stages,
            replicated: cutter.replicated,
            padding: cutter.padding,
            element_bits: self.quantization().compute.bits().max(16),
        })
    }
}

impl Stage {
    /// Whether another does the same, each layer of it.
    fn is_like(&self, other: &Self) -> bool {
        let groups = |stage: &Self| {
            let groups = stage.model.groups().iter().filter(|group| !group.ops.is_empty());
            groups.map(|group| (group.repeat, group.ops.clone())).collect::<Vec<_>>()
        };
        let before = |stage: &Self| stage.model.stacks().iter().any(|it| !it.groups().is_empty());
        !before(self) && !before(other) && groups(self) == groups(other)
    }
}

impl Split {
    /// The plan.
    pub fn parallelism(&self) -> &Parallelism {
        &self.parallelism
    }

    /// Modules that every tensor rank has whole, norms left out.
    pub fn replicated(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.replicated.iter().copied()
    }

    /// Rows that the vocabulary is padded by, so that it can be cut.
    pub fn vocabulary_padding(&self) -> u64 {
        self.padding
    }

    /// What the ranks of each kind do for a workload, the first stage first.
    ///
    /// Sequences are shared out evenly among the replicas, and what is routed evenly among the experts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Parallelism`] if the sequences cannot be shared evenly, [`ErrorKind::Convention`] for a convention
    /// that knows no parts of a model, and as [`Model::flops`].
    pub fn ranks(&self, workload: &Workload, convention: &Convention) -> Result<Vec<Rank<'_>>> {
        if convention.rule()? == Rule::PerParameter {
            return Err(convention.error("knows no parts of a model that a rank could have"));
        }
        let share = workload.share(self.parallelism.data)?;
        self.stages.iter().map(|stage| self.rank(stage, &share, convention)).collect()
    }

    fn rank<'s>(
        &self,
        stage: &'s Stage,
        share: &Workload,
        convention: &Convention,
    ) -> Result<Rank<'s>> {
        let ranks = self.parallelism.data.checked_mul(self.parallelism.tensor);
        let count = ranks.and_then(|ranks| ranks.checked_mul(stage.count));
        let requests = stage.model.requests(share, Rule::Needed)?;
        let transfers = stage.exchange.transfers(&requests, self.element_bits);
        Ok(Rank {
            name: &stage.name,
            count: count.ok_or_else(too_large)?,
            model: &stage.model,
            flops: stage.model.flops(share, convention)?,
            bytes: stage.model.bytes(share)?,
            transfers: transfers.ok_or_else(too_large)?,
        })
    }

    /// The most sequences of a workload's kind, over all replicas, whose weights and cache every rank's memory holds;
    /// activations are left out: 0 if not one for each replica, `None` for sequences of several kinds.
    ///
    /// # Errors
    ///
    /// As [`ranks`](Self::ranks).
    pub fn largest_batch(&self, workload: &Workload, memory_bytes: u128) -> Result<Option<u64>> {
        let of_replica = workload.share(self.parallelism.data)?;
        let fits = |times: u64| -> Result<bool> {
            let Some(many) = of_replica.alone_times(times) else { return Ok(false) };
            for stage in &self.stages {
                if !stage.model.bytes(&many)?.fit_in(memory_bytes, 1) {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        if of_replica.alone_times(1).is_none() {
            return Ok(None);
        }
        Ok(size::largest(fits)?.checked_mul(self.parallelism.data))
    }
}
