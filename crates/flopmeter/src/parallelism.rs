//! A model over several devices: what each rank computes, holds, reads and sends.
//!
//! ```text
//! data       whole replicas, each with its share of the sequences
//! context    the tokens of each sequence
//! tensor     heads and inner widths of every layer, and the vocabulary
//! pipeline   layers, one stretch of them (or several, interleaved) a stage
//! expert     the experts of a layer, over the ranks of all replicas
//! ```
//!
//! A rank's work is a [`Model`] of its own, whose ops are the whole's ops cut to its share: it counts itself. Ranks that
//! are alike are one kind with its number, so that a count does not grow with the devices.

mod adapters;
mod attention;
mod busiest;
mod context;
mod cutter;
mod decode;
mod exchange;
mod experts;
mod feed_forward;
mod kept;
mod plan;
mod product;
mod recurrent;
mod share;
mod size;
mod stages;
mod step;
mod vocabulary;

pub use busiest::{Busiest, BusiestStep};
pub use exchange::{Collective, Transfer};
pub use plan::Parallelism;
pub use share::StepMemory;
pub(crate) use size::pieces;
pub use step::{StepRank, StepSplit};

use crate::bytes::{Bytes, Traffic};
use crate::convention::{Convention, Rule};
use crate::cost::Flops;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, too_large};
use crate::op::Op;
use crate::passes::Mask;
use crate::workload::Workload;
use exchange::Exchange;
use plan::Purpose;
use std::collections::BTreeSet;

/// A model that is cut.
#[derive(Debug, Clone)]
pub struct Split {
    parallelism: Parallelism,
    stages: Vec<Stage>,
    replicated: BTreeSet<&'static str>,
    padding: u64,
}

/// Stages that are alike.
#[derive(Debug, Clone)]
struct Stage {
    name: String,
    /// How many of them there are.
    count: u64,
    model: Model,
    /// The same where tensor ranks share the cache by tokens, if they do.
    sharing: Option<Model>,
    exchange: Exchange,
}

/// Ranks that are alike, and what one of them does.
#[derive(Debug, Clone)]
pub struct Rank<'s> {
    /// Which they are: `every rank`, or the stage and its layers.
    pub name: &'s str,
    /// Which of those that share a prompt they are, the first and the last, from 1, where these are not all alike: a
    /// window is full for later tokens alone.
    pub context: Option<[u64; 2]>,
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
        self.split_staged(parallelism, &[])
    }

    /// The same with the layers of each stage as they are given; of interleaved stages those of each stretch, the first
    /// stretches of all stages first. The first and the last may have none.
    ///
    /// # Errors
    ///
    /// As [`split`](Self::split), and [`ErrorKind::Parallelism`] for numbers that are not the stages' or do not sum to
    /// the model's layers.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Builtin, Convention, Parallelism, Workload};
    ///
    /// let v3 = Builtin::find("deepseek-ai/DeepSeek-V3")?.model()?;
    /// let plan = Parallelism { pipeline: 4, ..Parallelism::NONE };
    /// let split = v3.split_staged(&plan, &[16, 15, 15, 15])?;
    /// let ranks = split.ranks(&Workload::request(1024, 256), &Convention::MODEL)?;
    /// assert_eq!(ranks[0].name, "stage 1 of 4, layers 0–15");
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn split_staged(&self, parallelism: &Parallelism, stages: &[u64]) -> Result<Split> {
        if parallelism.zero > 0 {
            return Err(Error::new(ErrorKind::Parallelism, "zero", "is of training")
                .hint("`split_step` takes it, and the command `train`"));
        }
        self.divided(parallelism, stages, Purpose::Inference)
    }

    fn divided(&self, parallelism: &Parallelism, given: &[u64], purpose: Purpose) -> Result<Split> {
        parallelism.check()?;
        if parallelism.context > 1 {
            context::check(self)?;
        }
        if parallelism.decode_context > 1 {
            decode::check(self, parallelism, purpose)?;
        }
        let mut cutter = cutter::Cutter::new(self, parallelism, purpose)?;
        let mut stages: Vec<Stage> = Vec::new();
        for members in stages::members(self, parallelism, given)? {
            let stage = cutter.stage(self, &members)?;
            match stages.last_mut().filter(|last| last.is_like(&stage)) {
                Some(last) => last.count += 1,
                None => stages.push(stage),
            }
        }
        stages::name(&mut stages, parallelism);
        let (replicated, padding) = (cutter.replicated, cutter.padding);
        Ok(Split { parallelism: *parallelism, stages, replicated, padding })
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

    /// Whether equal pieces of a prompt, the one as far from its first token as the other from its last, are as much
    /// work whichever they are.
    fn is_balanced(&self) -> bool {
        let balanced = |op: &Op| match op {
            Op::Attention(op) => op.mask == Mask::Causal,
            Op::Latent(_) | Op::Indexer(_) => false,
            _ => true,
        };
        self.model.groups().iter().flat_map(|group| &group.ops).all(balanced)
    }
}

impl Stage {
    /// Bytes of a rank. A prompt is attended to by ranks that each make its keys and values: only what is kept is shared.
    fn bytes(&self, share: &Workload) -> Result<Bytes> {
        let whole = self.model.bytes(share)?;
        let Some(sharing) = &self.sharing else { return Ok(whole) };
        let shared = sharing.bytes(share)?;
        let prefill = Traffic { read: whole.prefill.read, ..shared.prefill };
        Ok(Bytes { prefill, ..shared })
    }
}

impl Split {
    /// A model as it is, on one rank.
    fn whole(model: Model) -> Self {
        let name = "every rank".into();
        let exchange = Exchange::new(16);
        Self {
            parallelism: Parallelism::NONE,
            stages: vec![Stage { name, count: 1, model, sharing: None, exchange }],
            replicated: BTreeSet::new(),
            padding: 0,
        }
    }

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
    /// [`ErrorKind::Parallelism`] if the sequences or the tokens of a prompt cannot be shared evenly,
    /// [`ErrorKind::Convention`] for a convention that knows no parts of a model, and as [`Model::flops`].
    pub fn ranks(&self, workload: &Workload, convention: &Convention) -> Result<Vec<Rank<'_>>> {
        check_parts(&self.parallelism, convention)?;
        let share = workload.share(self.parallelism.data)?;
        let mut ranks = Vec::new();
        for stage in &self.stages {
            self.add_ranks(stage, &share, convention, &mut ranks)?;
        }
        Ok(ranks)
    }

    /// Adds the kinds of ranks that a stage has: one, or some where those that share a prompt are unlike.
    fn add_ranks<'s>(
        &self,
        stage: &'s Stage,
        share: &Workload,
        convention: &Convention,
        kinds: &mut Vec<Rank<'s>>,
    ) -> Result<()> {
        let context = self.parallelism.context;
        if context == 1 {
            kinds.push(self.rank(stage, share, convention)?);
            return Ok(());
        }
        let whole = stage.bytes(share)?;
        let from = kinds.len();
        for at in 1..=(if stage.is_balanced() { 1 } else { context }) {
            let mut rank = self.rank(stage, &share.piece(at - 1, context)?, convention)?;
            // Every rank caches what all of them have made.
            let prefill = Traffic { written: whole.prefill.written, ..rank.bytes.prefill };
            rank.bytes = Bytes { prefill, ..whole };
            match kinds[from..].last_mut() {
                Some(last) if last.flops == rank.flops && last.bytes == rank.bytes => {
                    last.context = last.context.map(|[first, _]| [first, at]);
                }
                _ => kinds.push(Rank { context: Some([at, at]), ..rank }),
            }
        }
        let alike = kinds.len() == from + 1;
        for kind in &mut kinds[from..] {
            let [first, last] = if alike { [1, context] } else { kind.context.unwrap_or([1; 2]) };
            kind.count = kind.count.checked_mul(last - first + 1).ok_or_else(too_large)?;
            kind.context = (!alike).then_some([first, last]);
        }
        Ok(())
    }

    /// One of the ranks that have this work, as if it were the only one of its replica that shares a prompt.
    fn rank<'s>(
        &self,
        stage: &'s Stage,
        share: &Workload,
        convention: &Convention,
    ) -> Result<Rank<'s>> {
        let ranks = self.parallelism.data * self.parallelism.tensor;
        let requests = stage.model.requests(share, Rule::Needed)?;
        let transfers = stage.exchange.transfers(&requests, 1);
        Ok(Rank {
            name: &stage.name,
            context: None,
            count: ranks.checked_mul(stage.count).ok_or_else(too_large)?,
            model: &stage.model,
            flops: stage.model.flops(share, convention)?,
            bytes: stage.bytes(share)?,
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
        if of_replica.alone_times(1).is_none() {
            return Ok(None);
        }
        let most = size::largest(|times| self.hold(of_replica.alone_times(times), memory_bytes))?;
        Ok(most.checked_mul(self.parallelism.data))
    }

    /// The most tokens that each of a workload's sequences may have, its answer included, for weights and cache to be
    /// held likewise: 0 if none, `None` for sequences of several kinds and where tokens take no memory.
    ///
    /// # Errors
    ///
    /// As [`ranks`](Self::ranks).
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Builtin, Parallelism, Workload};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-3.1-8B")?.model()?;
    /// let split = llama.split(&Parallelism { tensor: 8, ..Parallelism::NONE })?;
    /// // 32 layers of a key and a value of 128 elements in 16 bits: 16,384 bytes a token.
    /// let one = split.largest_context(&Workload::request(1024, 1), 80_000_000_000)?;
    /// let two = split.largest_context(&Workload::request(1024, 1), 80_000_000_000 + 16_384)?;
    /// assert_eq!(one.map(|tokens| tokens + 1), two);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn largest_context(&self, workload: &Workload, memory_bytes: u128) -> Result<Option<u64>> {
        let of_replica = workload.share(self.parallelism.data)?;
        let [sequence] = of_replica.sequences() else { return Ok(None) };
        let of = |prompt| of_replica.alone_prompted(prompt);
        if !self.hold(of(0), memory_bytes)? {
            return Ok(Some(0));
        }
        let prompt = size::largest(|prompt| self.hold(of(prompt), memory_bytes))?;
        Ok((prompt < size::LARGEST).then(|| prompt.saturating_add(sequence.generate)))
    }

    /// Whether every rank's memory holds weights and cache of a workload.
    fn hold(&self, workload: Option<Workload>, memory_bytes: u128) -> Result<bool> {
        let Some(workload) = workload else { return Ok(false) };
        for stage in &self.stages {
            if !stage.bytes(&workload)?.fit_in(memory_bytes, 1) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// An error for a convention that knows no parts of a model that ranks could have.
fn check_parts(plan: &Parallelism, convention: &Convention) -> Result<()> {
    match convention.rule()? {
        Rule::PerParameter => {
            Err(convention.error("knows no parts of a model that a rank could have"))
        }
        Rule::ByReference if plan.context > 1 => Err(convention
            .error("knows no ranks that share a sequence")
            .hint("`model` counts them")),
        _ => Ok(()),
    }
}
