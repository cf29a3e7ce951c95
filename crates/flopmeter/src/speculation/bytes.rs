//! Bytes of decoding with a draft.
//!
//! The weights of both models are read in every pass of theirs, once for the whole batch; each pass reads the cache
//! in sight and writes the new tokens', rejected ones too. The sequences of a batch are taken to accept alike, so
//! that they step together and leave as they end. That changes no FLOPs, for expectations add up; sequences that
//! accept apart would go on longer in all, and read the weights for fewer at a time.

use super::drafting::{Cuts, Run};
use super::pieces::{Expected, Piece};
use super::{Speculation, drafted_for};
use crate::bytes::{Bytes, Traffic};
use crate::error::Result;
use crate::model::{Model, too_large};
use crate::passes::Passes;
use crate::workload::Workload;

/// Which of a step's passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Drafting,
    Verifying,
}

/// Sequences that step together, at offsets `from..to`.
pub(super) struct Stretch {
    pub from: u64,
    pub to: u64,
    /// Their runs, and how many there are of each.
    pub members: Vec<(Run, u64)>,
}

impl Stretch {
    /// The member that lasts longest, whose steps are the batch's.
    pub fn longest(&self) -> Option<&Run> {
        self.members.iter().map(|(run, _)| run).max_by_key(|run| run.tokens)
    }
}

impl Speculation {
    /// Bytes that a workload holds and moves with this draft.
    ///
    /// Weights and caches are those of both models.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`](crate::ErrorKind::Workload) without a KV cache,
    /// [`ErrorKind::Overflow`](crate::ErrorKind::Overflow) if a count does not fit 128 bits.
    pub fn bytes(&self, target: &Model, workload: &Workload) -> Result<Bytes> {
        self.check(target, workload)?;
        let mut sum = target.bytes(workload)?;
        sum.decode = self.decode_bytes(target, workload).ok_or_else(too_large)?;
        let draft = self.draft();
        let (stored, used) = (self.draft.stored(), self.draft.used(self.draft_tokens()));
        let add = |sum: &mut u128, bytes: u128, times: u64| {
            let more = bytes.checked_mul(times.into());
            *sum = more.and_then(|more| sum.checked_add(more)).ok_or_else(too_large)?;
            Ok(())
        };
        let alone = draft.bytes(&Workload::request(0, 0))?;
        add(&mut sum.weights, alone.weights, stored)?;
        add(&mut sum.kv_cache_per_token, alone.kv_cache_per_token, used)?;
        if let Some(prompts) = self.prompts(workload)? {
            let prefill = draft.bytes(&prompts)?.prefill;
            add(&mut sum.prefill.read, prefill.read, used)?;
            add(&mut sum.prefill.written, prefill.written, used)?;
        }
        // A draft never computes the last token that the target does.
        if let Some(held) = drafted_for(workload, |sequence| sequence.generate - 1)? {
            add(&mut sum.kv_cache, draft.bytes(&held)?.kv_cache, used)?;
        }
        Ok(sum)
    }

    fn decode_bytes(&self, target: &Model, workload: &Workload) -> Option<Traffic> {
        let [mut read, mut written] = [Expected::default(); 2];
        for sequence in workload.sequences() {
            let run = self.run(workload, sequence);
            for side in [Side::Drafting, Side::Verifying] {
                let model = self.model(side, target);
                let [seen, new] = run.over_steps(model, &|offset| {
                    model.cache_bits_moved(self.passes(side, &run, offset))
                })?;
                read.add_times(seen, sequence.count.into())?;
                written.add_times(new, sequence.count.into())?;
            }
            let draft = self.draft();
            let [late] = self.draft.over_late_tokens(&run, &|offset| {
                let past = (run.prompt + offset).saturating_sub(1);
                let token = Passes::Decode { past, count: 1 };
                Some([draft.cache_bits(|mask| token.written(mask))?])
            })?;
            written.add_times(late, sequence.count.into())?;
        }
        for stretch in self.stretches(workload) {
            let Some(longest) = stretch.longest() else { continue };
            for side in [Side::Drafting, Side::Verifying] {
                let model = self.model(side, target);
                let [mut passes, mut tokens] = [Expected::default(); 2];
                let cost = |offset| self.passes_and_tokens(side, &stretch, longest, offset);
                let cuts = self.cuts(target, &stretch);
                cuts.pieces(stretch.from, stretch.to, &cost, &mut |piece: Piece<2>| {
                    let moments = longest.starts.moments(piece.from, piece.to)?;
                    passes.add_steps(&piece, 0, moments)?;
                    tokens.add_steps(&piece, 1, moments)
                })?;
                let whole = model.sums.dense_bits.checked_add(model.sums.sampled_bits)?;
                read.add_times(passes, whole)?;
                read.add_times(tokens, model.sums.looked_up_bits)?;
                let each = if passes.value() > 0.0 { tokens.value() / passes.value() } else { 0.0 };
                for routed in &model.sums.experts {
                    let distinct = routed.experts.distinct(each);
                    read.rest += passes.value() * distinct * routed.bits as f64;
                }
            }
        }
        Some(Traffic { read: read.bytes()?, written: written.bytes()? })
    }

    /// The model whose passes are on a side.
    pub(super) fn model<'m>(&'m self, side: Side, target: &'m Model) -> &'m Model {
        match side {
            Side::Drafting => self.draft(),
            Side::Verifying => target,
        }
    }

    /// The passes of a side in one step.
    pub(super) fn passes(&self, side: Side, run: &Run, offset: u64) -> Passes {
        match side {
            Side::Drafting => self.draft.passes(run, offset),
            Side::Verifying => run.verification(offset),
        }
    }

    /// Passes of a side in one step of a batch, and tokens in them.
    pub(super) fn passes_and_tokens(
        &self,
        side: Side,
        stretch: &Stretch,
        longest: &Run,
        offset: u64,
    ) -> Option<[u128; 2]> {
        let passes = self.passes(side, longest, offset).count();
        let tokens = stretch.members.iter().try_fold(0_u128, |sum, (run, count)| {
            let tokens = self.passes(side, run, offset).tokens()?;
            sum.checked_add(tokens.checked_mul((*count).into())?)
        })?;
        Some([passes.into(), tokens])
    }

    /// The stretches of the decode phase, in order: sequences leave as they end.
    pub(super) fn stretches(&self, workload: &Workload) -> Vec<Stretch> {
        let runs: Vec<(Run, u64)> = workload
            .sequences()
            .iter()
            .map(|sequence| (self.run(workload, sequence), sequence.count))
            .collect();
        let mut ends: Vec<u64> =
            runs.iter().map(|(run, _)| run.tokens).filter(|end| *end > 0).collect();
        ends.sort_unstable();
        ends.dedup();
        let mut from = 0;
        let stretch = |to: u64| Stretch {
            from: std::mem::replace(&mut from, to),
            to,
            members: runs.iter().filter(|(run, _)| run.tokens >= to).copied().collect(),
        };
        ends.into_iter().map(stretch).collect()
    }

    /// Where costs of a stretch may turn.
    pub(super) fn cuts(&self, target: &Model, stretch: &Stretch) -> Cuts {
        let of = |(run, _): &(Run, u64)| run.cuts(target).and(run.cuts(self.draft()));
        stretch.members.iter().map(of).reduce(Cuts::and).unwrap_or_default()
    }
}
