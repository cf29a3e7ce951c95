//! What ranks do in a step of training: FLOPs, memory, gradients that are exchanged.

use super::exchange::{Collective, Transfer};
use super::kept::Kept;
use super::{Parallelism, Purpose, Split, Stage};
use crate::convention::Convention;
use crate::convention::Rule;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, too_large};
use crate::op::Op;
use crate::training::{Recompute, Step, Training, TrainingFlops, learns};

/// A model that is cut to be trained.
#[derive(Debug, Clone)]
pub struct StepSplit {
    split: Split,
    shares: Vec<Share>,
}

/// What a stage's ranks train and keep.
#[derive(Debug, Clone)]
struct Share {
    training: Training,
    /// Parameters of a rank that are trained: those of experts apart, for they have other replicas.
    trained: Parameters,
    weight_bytes: Parameters,
    kept: Option<Kept>,
    /// The first of the stages of this kind, from 0.
    first: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Parameters {
    dense: u128,
    experts: u128,
}

/// Ranks that are alike, and what one of them does in a step.
#[derive(Debug, Clone)]
pub struct StepRank<'s> {
    /// Which they are: `every rank`, or the stage and its layers.
    pub name: &'s str,
    /// How many there are.
    pub count: u64,
    /// What of the model one has.
    pub model: &'s Model,
    /// FLOPs of one.
    pub flops: TrainingFlops,
    /// Bytes that one holds.
    pub memory: StepMemory,
    /// What one sends to others in a step, forward and backward.
    pub transfers: Vec<Transfer>,
}

/// Bytes that a rank holds in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepMemory {
    /// Weights as stored.
    pub weights: u128,
    /// Gradients of what is trained, in 16 bits.
    pub gradients: u128,
    /// Adam's states in mixed precision: weights, momentum and variance in 32 bits each, 12 bytes a parameter
    /// (Rajbhandari et al., arXiv:1910.02054, section 3.1).
    pub optimizer: u128,
    /// What is kept for the backward pass, `None` where it is not known of an op. Of stages that are alike the first,
    /// which keeps the most.
    pub activations: Option<u128>,
}

impl StepMemory {
    /// All of it, `None` if activations are not known.
    pub fn total(&self) -> Option<u128> {
        let held = self.weights.checked_add(self.gradients)?.checked_add(self.optimizer)?;
        held.checked_add(self.activations?)
    }
}

impl Model {
    /// The model cut to be trained by a plan, for steps of these settings.
    ///
    /// # Errors
    ///
    /// As [`split`](Self::split) and [`training`](Self::training); [`ErrorKind::Parallelism`] for layers that predict
    /// further tokens, which are on no stage.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Builtin, Convention, Parallelism, Step};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-2-7b-hf")?.model()?;
    /// let plan = Parallelism { data: 64, zero: 3, ..Parallelism::NONE };
    /// let step = Step::new(4096, 64)?;
    /// let split = llama.split_step(&plan, &step, &Convention::MODEL)?;
    /// let rank = &split.ranks(&step, 1)?[0];
    /// // 16 bytes a parameter, over 64 ranks.
    /// let held = rank.memory.weights + rank.memory.gradients + rank.memory.optimizer;
    /// assert_eq!(held, 16 * 6_738_415_616 / 64);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn split_step(
        &self,
        plan: &Parallelism,
        step: &Step,
        convention: &Convention,
    ) -> Result<StepSplit> {
        let wrong = |place: &str, fact: &str| Error::new(ErrorKind::Parallelism, place, fact);
        if step.predicts_further() {
            return Err(wrong("mtp", "is of layers that are on no stage")
                .hint("leave them out, or the parallel sizes"));
        }
        let rule = convention.rule()?;
        if rule == Rule::PerParameter {
            return Err(convention.error("knows no parts of a model that a rank could have"));
        }
        // Forward, backward, and forward again where layers are computed again whole.
        let passes = if step.recompute() == Recompute::Full { 3 } else { 2 };
        let split = self.divided(plan, Purpose::Training, passes)?;
        let mut first = 0;
        let mut shares = Vec::with_capacity(split.stages.len());
        for stage in &split.stages {
            shares.push(Share::of(stage, (first, self.width()), plan, step, convention)?);
            first += stage.count;
        }
        Ok(StepSplit { split, shares })
    }
}

impl Share {
    fn of(
        stage: &Stage,
        (first, hidden): (u64, u64),
        plan: &Parallelism,
        step: &Step,
        convention: &Convention,
    ) -> Result<Self> {
        let model = &stage.model;
        let learns = learns(model, step);
        let [mut trained, mut bits] = [Parameters::default(); 2];
        let mut sums = || -> Option<()> {
            let stacks = model.stacks().iter().flat_map(|stack| stack.groups());
            for group in stacks.chain(model.groups()) {
                let outside = group.layers.is_empty().then_some(None);
                let layers = group.layers.iter().map(|layer| Some(*layer)).chain(outside);
                let repeat = layers.clone().count() as u64;
                for op in &group.ops {
                    bits.add(op, op.stored_bits(), repeat)?;
                    let learning = layers.clone().filter(|layer| learns(*layer, op)).count();
                    trained.add(op, op.parameters(), learning as u64)?;
                }
            }
            Some(())
        };
        sums().ok_or_else(too_large)?;
        Ok(Self {
            training: model.training(step, convention)?,
            trained,
            weight_bytes: Parameters {
                dense: bits.dense.div_ceil(8),
                experts: bits.experts.div_ceil(8),
            },
            kept: Kept::of(model, hidden, plan, step),
            first,
        })
    }
}

impl Parameters {
    fn add(&mut self, op: &Op, count: u128, repeat: u64) -> Option<()> {
        let routed = matches!(op, Op::Linear(op) if op.experts.is_some());
        let sum = if routed { &mut self.experts } else { &mut self.dense };
        *sum = sum.checked_add(count.checked_mul(repeat.into())?)?;
        Some(())
    }

    /// A rank's part where replicas have one each, rounded up.
    fn sharded(self, [dense, experts]: [u64; 2]) -> Option<u128> {
        let dense = self.dense.div_ceil(dense.into());
        dense.checked_add(self.experts.div_ceil(experts.into()))
    }
}

impl StepSplit {
    /// The cut model.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The share of a step's time in which a stage waits for others, where all stages take as long:
    /// (p − 1) ÷ (v·m) of the time that it works (Narayanan et al., arXiv:2104.04473, section 2.2).
    ///
    /// ```
    /// use flopmeter::{Builtin, Convention, Parallelism, Step};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-2-7b-hf")?.model()?;
    /// let plan = Parallelism { pipeline: 4, virtual_stages: 2, ..Parallelism::NONE };
    /// let split = llama.split_step(&plan, &Step::new(4096, 8)?, &Convention::MODEL)?;
    /// assert_eq!(split.bubble(8), 3.0 / 16.0);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn bubble(&self, micro_batches: u64) -> f64 {
        let plan = &self.split.parallelism;
        (plan.pipeline - 1) as f64 / (plan.virtual_stages as f64 * micro_batches as f64)
    }

    /// What the ranks of each kind do in a step of so many micro-batches, the first stage first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Parallelism`] if the rows cannot be shared evenly among replicas and micro-batches, and as
    /// [`Training::flops`].
    pub fn ranks(&self, step: &Step, micro_batches: u64) -> Result<Vec<StepRank<'_>>> {
        let plan = &self.split.parallelism;
        let share = step.share(plan.data)?;
        super::size::share(
            "micro-batches",
            "rows of a replica",
            share.rows(),
            micro_batches.max(1),
        )?;
        let stages = self.split.stages.iter().zip(&self.shares);
        stages.map(|(stage, of)| self.rank(stage, of, &share, micro_batches.max(1))).collect()
    }

    fn rank<'s>(
        &self,
        stage: &'s Stage,
        of: &Share,
        step: &Step,
        micro_batches: u64,
    ) -> Result<StepRank<'s>> {
        let plan = &self.split.parallelism;
        let count = stage.count.checked_mul(plan.data * plan.tensor).ok_or_else(too_large)?;
        let forward = step.forward(true).ok_or_else(too_large)?;
        let requests = stage.model.requests(&forward, Rule::Needed)?;
        let exchanged = || {
            let mut sent = stage.exchange.transfers(&requests, self.split.element_bits)?;
            of.exchange(plan, micro_batches, &mut sent)?;
            Some(sent)
        };
        Ok(StepRank {
            name: &stage.name,
            count,
            model: &stage.model,
            flops: of.training.flops(step)?,
            memory: of.memory(plan, step, micro_batches).ok_or_else(too_large)?,
            transfers: exchanged().ok_or_else(too_large)?,
        })
    }

    /// The most rows of a step, over all replicas and micro-batches, with which every rank's memory holds what it has to;
    /// 0 if not one for each, `None` where activations are not known.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`] if a sum does not fit.
    pub fn largest_batch(
        &self,
        step: &Step,
        micro_batches: u64,
        memory_bytes: u128,
    ) -> Result<Option<u64>> {
        let plan = &self.split.parallelism;
        let mut most: u64 = 1 << 40;
        for of in &self.shares {
            let one = step.with_rows(micro_batches);
            let memory = of.memory(plan, &one, micro_batches).ok_or_else(too_large)?;
            let Some(activations) = memory.activations else { return Ok(None) };
            let rest = memory.total().ok_or_else(too_large)? - activations;
            let left = memory_bytes.saturating_sub(rest);
            let rows = if rest > memory_bytes { 0 } else { left / activations.max(1) };
            most = most.min(u64::try_from(rows).unwrap_or(most));
        }
        Ok(most.checked_mul(plan.data).and_then(|rows| rows.checked_mul(micro_batches)))
    }
}

/// Ranks that have the same dense weights, and the same experts.
fn replicas(plan: &Parallelism) -> [u64; 2] {
    [plan.data, plan.data * plan.tensor / (plan.expert * plan.expert_tensor())]
}

impl Share {
    fn memory(&self, plan: &Parallelism, step: &Step, micro_batches: u64) -> Option<StepMemory> {
        let sharded = |from: u64| if plan.zero >= from { replicas(plan) } else { [1, 1] };
        let bytes = |of: Parameters, each: u128| {
            Some(Parameters {
                dense: of.dense.checked_mul(each)?,
                experts: of.experts.checked_mul(each)?,
            })
        };
        let activations = match self.kept {
            Some(kept) => Some(self.activations(&kept, plan, step, micro_batches)?),
            None => None,
        };
        Some(StepMemory {
            weights: self.weight_bytes.sharded(sharded(3))?,
            gradients: bytes(self.trained, 2)?.sharded(sharded(2))?,
            optimizer: bytes(self.trained, 12)?.sharded(sharded(1))?,
            activations,
        })
    }

    /// Of the micro-batches that are under way at once on the first of these stages.
    fn activations(
        &self,
        kept: &Kept,
        plan: &Parallelism,
        step: &Step,
        micro_batches: u64,
    ) -> Option<u128> {
        let tokens = u128::from(step.row_tokens()?);
        let rows = u128::from(step.rows() / micro_batches);
        let [under_way, of] = under_way(plan, self.first, micro_batches).map(u128::from);
        let layers = kept.token.checked_mul(tokens)?;
        let layers = layers.checked_add(kept.square.checked_mul(tokens.checked_mul(tokens)?)?)?;
        let layers = layers.checked_mul(rows)?.checked_mul(under_way)?.div_ceil(of);
        layers.checked_add(kept.outside.checked_mul(tokens)?.checked_mul(rows)?)
    }

    /// What replicas exchange of gradients and weights (Rajbhandari et al., arXiv:1910.02054, section 7): all gradients are
    /// added up; or a part of them each, and the weights gathered that come of it; or weights gathered forward and
    /// backward, and gradients added up, for each micro-batch.
    fn exchange(
        &self,
        plan: &Parallelism,
        micro_batches: u64,
        sent: &mut Vec<Transfer>,
    ) -> Option<()> {
        let [dense, experts] = replicas(plan);
        let kinds = [
            (dense, self.trained.dense, self.weight_bytes.dense, ["gradients", "weights"]),
            (
                experts,
                self.trained.experts,
                self.weight_bytes.experts,
                ["gradients of experts", "weights of experts"],
            ),
        ];
        for (ranks, trained, weights, [gradients, gathered]) in kinds {
            let changed = trained.checked_mul(2)?;
            let times = u128::from(micro_batches);
            let by = match plan.zero {
                0 => [
                    (Collective::AllReduce, gradients, changed),
                    (Collective::AllGather, gathered, 0),
                ],
                1 | 2 => [
                    (Collective::ReduceScatter, gradients, changed),
                    (Collective::AllGather, gathered, changed),
                ],
                _ => [
                    (Collective::ReduceScatter, gradients, changed.checked_mul(times)?),
                    (Collective::AllGather, gathered, weights.checked_mul(2 * times)?),
                ],
            };
            for (collective, of, bytes) in by {
                let bytes = collective.sent(bytes, ranks)?;
                if bytes > 0 {
                    sent.push(Transfer { collective, of, ranks, sent: [bytes, 0] });
                }
            }
        }
        Some(())
    }
}

/// Micro-batches whose activations a stage keeps at once, a numerator and a denominator: of one that runs forward and
/// backward by turns as many as there are stages from it on; of interleaved ones Megatron's warm-up and one more.
fn under_way(plan: &Parallelism, stage: u64, micro_batches: u64) -> [u64; 2] {
    let Parallelism { pipeline, virtual_stages, .. } = *plan;
    let after = pipeline - 1 - stage.min(pipeline - 1);
    if virtual_stages == 1 {
        return [(after + 1).min(micro_batches), 1];
    }
    let chunks = 2 * after + (virtual_stages - 1) * pipeline + 1;
    [chunks.min(micro_batches.saturating_mul(virtual_stages)), virtual_stages]
}
