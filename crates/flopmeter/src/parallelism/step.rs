//! What ranks do in a step of training.

use super::busiest::fullest;
use super::exchange::Transfer;
use super::plan::Purpose;
use super::share::{Ends, Share, StepMemory};
use super::{Parallelism, Split, Stage, check_parts, size};
use crate::convention::{Convention, Rule};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, too_large};
use crate::training::{Step, TrainingFlops};
use std::borrow::Cow;

/// A model that is cut to be trained.
#[derive(Debug, Clone)]
pub struct StepSplit {
    split: Split,
    shares: Vec<Share>,
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

impl Model {
    /// The model cut to be trained by a plan, for steps of these settings. Layers that predict further tokens are on the
    /// last stage, with a copy of the embedding.
    ///
    /// # Errors
    ///
    /// As [`split`](Self::split) and [`training`](Self::training).
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
        self.split_step_staged(plan, &[], step, convention)
    }

    /// The same with the layers of each stage as they are given, as [`split_staged`](Self::split_staged) takes them.
    ///
    /// # Errors
    ///
    /// As [`split_step`](Self::split_step) and [`split_staged`](Self::split_staged).
    pub fn split_step_staged(
        &self,
        plan: &Parallelism,
        stages: &[u64],
        step: &Step,
        convention: &Convention,
    ) -> Result<StepSplit> {
        if plan.context > 1 && step.rollout_lengths().is_some() {
            let fact = "is not known here for answers that are generated first";
            return Err(Error::new(ErrorKind::Parallelism, "context", fact));
        }
        check_parts(plan, convention)?;
        let whole = self.trained_in(step);
        let split = whole.divided(plan, stages, Purpose::Training(step.recompute()))?;
        let ends = Ends::of(&whole, plan);
        let mut first = 0;
        let mut shares = Vec::with_capacity(split.stages.len());
        for stage in &split.stages {
            shares.push(Share::of(stage, first, (&ends, plan), step, convention)?);
            first += stage.count;
        }
        Ok(StepSplit { split, shares })
    }
}

impl Model {
    /// The model as a step trains it on devices of which it is not said how they share it: one rank that has all of it, as
    /// it is.
    ///
    /// # Errors
    ///
    /// As [`split_step`](Self::split_step).
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Builtin, Convention, Step};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-2-7b-hf")?.model()?;
    /// let step = Step::new(4096, 1)?;
    /// let memory = llama.whole_step(&step, &Convention::MODEL)?.memory(&step, 1)?;
    /// // Two bytes a weight and a gradient, 12 of the optimizer.
    /// assert_eq!(memory.weights + memory.gradients + memory.optimizer, 16 * 6_738_415_616);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn whole_step(&self, step: &Step, convention: &Convention) -> Result<StepSplit> {
        let plan = Parallelism::NONE;
        check_parts(&plan, convention)?;
        let whole = self.trained_in(step).into_owned();
        let ends = Ends::of(&whole, &plan);
        let split = Split::whole(whole);
        let share = Share::of(&split.stages[0], 0, (&ends, &plan), step, convention)?;
        Ok(StepSplit { split, shares: vec![share] })
    }

    /// With the layers that predict further tokens, where the step trains them.
    fn trained_in(&self, step: &Step) -> Cow<'_, Self> {
        match step.predicts_further() {
            true => Cow::Borrowed(self),
            false => Cow::Owned(self.clone().without_prediction()),
        }
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
    /// [`ErrorKind::Parallelism`] if the rows cannot be shared evenly among replicas and micro-batches, or their
    /// documents among the ranks that share a sequence; and as
    /// [`Training::flops`](crate::Training::flops).
    pub fn ranks(&self, step: &Step, micro_batches: u64) -> Result<Vec<StepRank<'_>>> {
        let (share, micro_batches) = (self.share(step, micro_batches)?, micro_batches.max(1));
        let stages = self.split.stages.iter().zip(&self.shares);
        stages.map(|(stage, of)| self.rank(stage, of, &share, micro_batches)).collect()
    }

    fn rank<'s>(
        &self,
        stage: &'s Stage,
        of: &Share,
        step: &Step,
        micro_batches: u64,
    ) -> Result<StepRank<'s>> {
        let plan = &self.split.parallelism;
        let count = stage.count.checked_mul(plan.ranks()).ok_or_else(too_large)?;
        let forward = step.forward(true).ok_or_else(too_large)?;
        let requests = stage.model.requests(&forward, Rule::Needed)?;
        let exchanged = || {
            let mut sent = stage.exchange.transfers(&requests, plan.context)?;
            of.exchange(plan, micro_batches, &mut sent)?;
            Some(sent)
        };
        Ok(StepRank {
            name: &stage.name,
            count,
            model: &stage.model,
            flops: of.training.flops(step)?.of_each(plan.context),
            memory: of.memory(plan, step, micro_batches).ok_or_else(too_large)?,
            transfers: exchanged().ok_or_else(too_large)?,
        })
    }

    /// What the rank holds that holds most, in a step of so many micro-batches; where it is not known of one what its
    /// activations are, what that one does.
    ///
    /// # Errors
    ///
    /// As [`ranks`](Self::ranks).
    pub fn memory(&self, step: &Step, micro_batches: u64) -> Result<StepMemory> {
        let plan = &self.split.parallelism;
        let share = self.share(step, micro_batches)?;
        let of = |of: &Share| of.memory(plan, &share, micro_batches.max(1)).ok_or_else(too_large);
        let memories = self.shares.iter().map(of).collect::<Result<Vec<_>>>()?;
        fullest(memories.into_iter()).ok_or_else(too_large)
    }

    /// What a replica has of a step.
    fn share(&self, step: &Step, micro_batches: u64) -> Result<Step> {
        let plan = &self.split.parallelism;
        let share = step.share(plan.data)?;
        let parts = micro_batches.max(1);
        size::share("micro-batches", "rows of a replica", share.rows(), parts)?;
        for (length, _) in step.documents() {
            size::pieces(*length, plan.context)?;
        }
        Ok(share)
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
