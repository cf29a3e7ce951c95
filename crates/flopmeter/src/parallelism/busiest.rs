//! The most that any rank of a cut model does: by which plans are compared.

use super::exchange::Transfer;
use super::share::StepMemory;
use super::{Rank, Split, StepSplit};
use crate::bytes::{Bytes, Traffic};
use crate::convention::Convention;
use crate::error::{Error, Result};
use crate::model::too_large;
use crate::training::Step;
use crate::utilization::{Hardware, Ideal};
use crate::workload::{Phase, Workload};

/// The most that one of the ranks computes, holds and sends for a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Busiest {
    /// FLOPs of the rank that has most of them.
    pub flops: u128,
    /// Weights of the rank that holds most, in bytes.
    pub weights: u128,
    /// Its cache at its largest, in bytes.
    pub kv_cache: u128,
    /// Bytes that the rank sends that sends most, in each phase.
    pub sent: [u128; 2],
}

/// The most that one of the ranks computes, holds and sends in a step of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BusiestStep {
    /// FLOPs that the rank executes that executes most.
    pub executed: u128,
    /// What the rank holds that holds most, or one of which it is not known what its activations are.
    pub memory: StepMemory,
    /// Bytes that the rank sends that sends most.
    pub sent: u128,
    /// The time that the busiest stage waits for others, as a part of the time that it works: every micro-batch passes
    /// through all stages, and one of them overlaps with nothing (Narayanan et al., arXiv:2104.04473, section 2.2).
    pub bubble: f64,
}

impl Busiest {
    /// Bytes that the rank holds that holds most.
    pub fn held(&self) -> u128 {
        self.weights.saturating_add(self.kv_cache)
    }
}

impl Split {
    /// The most that any rank does for a workload.
    ///
    /// # Errors
    ///
    /// As [`ranks`](Self::ranks).
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Builtin, Convention, Parallelism, Sequence, Workload};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-3.1-8B")?.model()?;
    /// let requests = Workload::batch(vec![Sequence { count: 8, ..Sequence::new(1024, 256) }])?;
    /// let plan = Parallelism { tensor: 4, data: 2, ..Parallelism::NONE };
    /// let busiest = llama.split(&plan)?.busiest(&requests, &Convention::MODEL)?;
    /// // 8 devices, each with an eighth of the work.
    /// assert_eq!(busiest.flops * 8, llama.flops(&requests, &Convention::MODEL)?.total);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn busiest(&self, workload: &Workload, convention: &Convention) -> Result<Busiest> {
        Ok(busiest(&self.ranks(workload, convention)?))
    }

    /// The same, and the bytes that all ranks together hold and move.
    pub(crate) fn busiest_and_all(
        &self,
        workload: &Workload,
        convention: &Convention,
    ) -> Result<(Busiest, Bytes)> {
        let ranks = self.ranks(workload, convention)?;
        let all = |of: &dyn Fn(&Bytes) -> u128| {
            let sum = ranks.iter().try_fold(0_u128, |sum, rank| {
                sum.checked_add(of(&rank.bytes).checked_mul(rank.count.into())?)
            });
            sum.ok_or_else(too_large)
        };
        let traffic = |of: &dyn Fn(&Bytes) -> Traffic| {
            Ok::<_, Error>(Traffic {
                read: all(&|bytes| of(bytes).read)?,
                written: all(&|bytes| of(bytes).written)?,
            })
        };
        let bytes = Bytes {
            weights: all(&|bytes| bytes.weights)?,
            kv_cache_per_token: all(&|bytes| bytes.kv_cache_per_token)?,
            kv_cache: all(&|bytes| bytes.kv_cache)?,
            prefill: traffic(&|bytes| bytes.prefill)?,
            decode: traffic(&|bytes| bytes.decode)?,
        };
        Ok((busiest(&ranks), bytes))
    }

    /// The shortest time of each phase, links left out; `None` if no bandwidth is known.
    ///
    /// No phase is shorter than what the busiest rank takes for it. Nor is the decode phase than what its passes take
    /// through all stages one after another, for a token is made from the one before; that is counted of one sequence,
    /// because others may be on the other stages meanwhile.
    pub(crate) fn ideal(
        &self,
        workload: &Workload,
        hardware: &Hardware,
    ) -> Result<Option<[Ideal; 2]>> {
        let one = Hardware { count: 1, ..*hardware };
        let plan = &self.parallelism;
        if plan.context > 1 || plan.decode_context > 1 {
            return self.ideal_of_sums(workload, &one);
        }
        let share = workload.share(self.parallelism.data)?;
        let single = share.alone_times(1).filter(|_| self.parallelism.pipeline > 1);
        let nothing = Ideal { seconds: 0.0, compute_seconds: 0.0 };
        let (mut longest, mut through) = ([nothing; 2], nothing);
        for stage in &self.stages {
            for (longest, phase) in longest.iter_mut().zip(Phase::ALL) {
                let Some(ideal) = stage.model.ideal(&share, phase, &one)? else { return Ok(None) };
                *longest = longer(*longest, ideal);
            }
            let Some(single) = &single else { continue };
            if let Some(ideal) = stage.model.ideal(single, Phase::Decode, &one)? {
                through = through.and(ideal.scaled(stage.count as f64));
            }
        }
        longest[1] = longer(longest[1], through);
        Ok(Some(longest))
    }
}

impl Split {
    /// The same where ranks share sequences, of which passes are no whole ones: the longer of all products and all bytes of
    /// a phase.
    fn ideal_of_sums(&self, workload: &Workload, one: &Hardware) -> Result<Option<[Ideal; 2]>> {
        let Some(bytes_per_second) = one.bytes_per_second() else { return Ok(None) };
        let mut longest = [Ideal { seconds: 0.0, compute_seconds: 0.0 }; 2];
        for rank in self.ranks(workload, &Convention::MODEL)? {
            let traffic = [rank.bytes.prefill, rank.bytes.decode];
            for ((longest, phase), moved) in longest.iter_mut().zip(Phase::ALL).zip(traffic) {
                let flops = rank.flops.phase(phase).total().ok_or_else(too_large)? as f64;
                let moved = moved.read.saturating_add(moved.written) as f64;
                let compute = flops / one.flops_per_second();
                let seconds = compute.max(moved / bytes_per_second);
                let compute_seconds = if compute < seconds { 0.0 } else { seconds };
                *longest = longer(*longest, Ideal { seconds, compute_seconds });
            }
        }
        Ok(Some(longest))
    }
}

fn longer(one: Ideal, other: Ideal) -> Ideal {
    if other.seconds > one.seconds { other } else { one }
}

fn busiest(ranks: &[Rank<'_>]) -> Busiest {
    let most = |of: &dyn Fn(&Rank<'_>) -> u128| ranks.iter().map(of).max().unwrap_or(0);
    let fullest = ranks.iter().map(|rank| rank.bytes).max_by_key(Bytes::held);
    Busiest {
        flops: most(&|rank| rank.flops.total),
        weights: fullest.map_or(0, |bytes| bytes.weights),
        kv_cache: fullest.map_or(0, |bytes| bytes.kv_cache),
        sent: [0, 1].map(|phase| most(&|rank| sent(&rank.transfers, phase))),
    }
}

impl StepSplit {
    /// The most that any rank does in a step of so many micro-batches.
    ///
    /// # Errors
    ///
    /// As [`ranks`](Self::ranks).
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Builtin, Convention, Parallelism, Step};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-2-7b-hf")?.model()?;
    /// let step = Step::new(4096, 64)?;
    /// let plan = Parallelism { data: 64, zero: 3, ..Parallelism::NONE };
    /// let busiest = llama.split_step(&plan, &step, &Convention::MODEL)?.busiest(&step, 1)?;
    /// assert_eq!(busiest.bubble, 0.0);
    /// assert_eq!(busiest.memory.optimizer, 12 * 6_738_415_616 / 64);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn busiest(&self, step: &Step, micro_batches: u64) -> Result<BusiestStep> {
        let plan = self.split().parallelism;
        let ranks = self.ranks(step, micro_batches)?;
        let executed = ranks.iter().map(|rank| rank.flops.executed).max().unwrap_or(0);
        let of_stage = plan.ranks() as f64;
        let all = ranks.iter().map(|it| it.flops.executed as f64 * (it.count as f64 / of_stage));
        let others = all.sum::<f64>() - executed as f64;
        let shares = plan.virtual_stages as f64 * micro_batches.max(1) as f64;
        Ok(BusiestStep {
            executed,
            memory: fullest(ranks.iter().map(|rank| rank.memory)).ok_or_else(too_large)?,
            sent: ranks.iter().map(|rank| sent(&rank.transfers, 0)).max().unwrap_or(0),
            bubble: if executed > 0 { others.max(0.0) / shares / executed as f64 } else { 0.0 },
        })
    }
}

/// The most that a rank holds, or what is not known of one.
pub(super) fn fullest(memories: impl Iterator<Item = StepMemory> + Clone) -> Option<StepMemory> {
    let unknown = memories.clone().find(|memory| memory.total().is_none());
    unknown.or_else(|| memories.max_by_key(StepMemory::total))
}

fn sent(transfers: &[Transfer], phase: usize) -> u128 {
    transfers.iter().fold(0, |sum, it| sum.saturating_add(it.sent[phase]))
}
