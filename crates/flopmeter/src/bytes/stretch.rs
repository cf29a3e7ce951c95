//! Passes of a batch that the same sequences run.

use crate::exact::times;
use crate::passes::{Mask, Passes};
use crate::workload::{Phase, Run, Workload};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// The most passes before which a chunk begins in some sequence. Where there are more, chunks are no turn.
const MOST_CHUNKS: u64 = 1 << 14;

/// Passes `from..to` of a phase, counted from its first, that the same sequences run together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch<'m> {
    pub from: u64,
    pub to: u64,
    members: &'m [Member],
}

/// Sequences that run the same passes, and how many.
#[derive(Debug, Clone, Copy)]
struct Member {
    count: u128,
    /// Of the whole phase.
    run: Run,
}

impl Stretch<'_> {
    /// Visits the stretches of a phase, in order; `None` as soon as `visit` says so, or a sum does not fit.
    ///
    /// A stretch ends where a sequence has generated its last token and leaves the batch, and where one *turns*: fills a
    /// window of these masks, or begins a chunk. Between two turns what a sequence sees grows by the same amount from
    /// pass to pass and with each position before it, so sequences that turned alike are, in every sum, as many in the
    /// middle of them. A stretch has such ones as its members: the cost of all stretches grows with the number of
    /// sequences, and not with its square. Without a KV cache it does: there every sequence stands for itself, for
    /// pairs grow with the square of what is before.
    pub fn visit(
        workload: &Workload,
        phase: Phase,
        masks: &[Mask],
        mut visit: impl FnMut(Stretch<'_>) -> Option<()>,
    ) -> Option<()> {
        let mut sequences: Vec<Member> = Vec::new();
        for (sequence, source) in workload.with_sources() {
            let run = workload.run(sequence, source, phase);
            if run.passes.count() > 0 {
                sequences.push(Member { count: sequence.count.into(), run });
            }
        }
        if phase == Phase::Prefill {
            let all = Stretch { from: 0, to: 1, members: &sequences };
            return if sequences.is_empty() { Some(()) } else { visit(all) };
        }
        let mut batch = Batch { turns: Turns::of(&sequences, masks), alike: BTreeMap::new() };
        let mut turns = BinaryHeap::new();
        for (at, member) in sequences.iter().enumerate() {
            turns.push(Reverse((batch.enter(member, 0)?, at)));
        }
        let mut from = 0;
        while let Some(Reverse((to, at))) = turns.pop() {
            if to > from {
                visit(Stretch { from, to, members: &batch.members()? })?;
                from = to;
            }
            batch.leave(&sequences[at], to - 1);
            if to < sequences[at].run.passes.count() {
                turns.push(Reverse((batch.enter(&sequences[at], to)?, at)));
            }
        }
        Some(())
    }

    /// Sequences that are alike and how many, with their passes within the stretch.
    pub fn members(&self) -> impl Iterator<Item = (u128, Run)> {
        let (from, to) = (self.from, self.to);
        self.members.iter().map(move |Member { count, run }| {
            let (passes, sampled) = (run.passes.slice(from, to), run.sampled.min(to - from));
            (*count, Run { passes, sampled, ..*run })
        })
    }

    /// Passes `from..to`, counted as this stretch's are.
    pub fn part(self, from: u64, to: u64) -> Self {
        Self { from, to, ..self }
    }
}

/// When sequences turn, by what their tokens see.
struct Turns<'w> {
    masks: &'w [Mask],
    /// Positions after which entries and blocks begin anew, those of all masks together.
    step: u64,
    at_chunks: bool,
}

/// What sequences have in common whose costs are on one line: what is left of the positions before them in whole steps,
/// whether they have a source, and how often they turned by each mask.
type State = (u64, bool, Vec<u64>);

impl<'w> Turns<'w> {
    fn of(sequences: &[Member], masks: &'w [Mask]) -> Self {
        let recomputed = |it: &Member| matches!(it.run.passes, Passes::Recompute { .. });
        if !masks.is_empty() && sequences.iter().any(recomputed) {
            return Self { masks: &[], step: u64::MAX, at_chunks: false };
        }
        let mut begun = 0_u64;
        for mask in masks {
            let Mask::Chunked { chunk } = mask else { continue };
            let each = sequences.iter().map(|it| it.run.passes.count() / chunk);
            begun = each.fold(begun, u64::saturating_add);
        }
        let at_chunks = begun <= MOST_CHUNKS;
        let step = masks.iter().fold(1, |step, mask| match *mask {
            Mask::Compressed { every: size, .. } | Mask::Blocks { size, .. } => common(step, size),
            Mask::Chunked { chunk } if !at_chunks => common(step, chunk),
            _ => step,
        });
        Self { masks, step, at_chunks }
    }

    fn state(&self, member: &Member, pass: u64) -> State {
        let past = past(member.run.passes);
        let position = past.saturating_add(pass);
        let turned = self.masks.iter().map(|mask| match *mask {
            Mask::Chunked { chunk } if self.at_chunks => position / chunk,
            mask => filled_at(mask).is_some_and(|filled| position >= filled).into(),
        });
        (past % self.step, member.run.source > 0, turned.collect())
    }

    /// The first pass after this one before which a sequence turns or leaves.
    fn next(&self, member: &Member, pass: u64) -> u64 {
        let past = past(member.run.passes);
        let position = past.saturating_add(pass);
        let turns = self.masks.iter().filter_map(|mask| match *mask {
            Mask::Chunked { chunk } if self.at_chunks => (position / chunk + 1).checked_mul(chunk),
            mask => filled_at(mask).filter(|filled| *filled > position),
        });
        let first = turns.min().map_or(u64::MAX, |position| position - past);
        first.min(member.run.passes.count())
    }
}

/// The sequences that run at a time, those that are alike together.
struct Batch<'w> {
    turns: Turns<'w>,
    alike: BTreeMap<State, Alike>,
}

/// Sums over sequences that are alike.
struct Alike {
    run: Run,
    count: u128,
    /// Whole steps of positions before the first pass.
    steps: u128,
    /// Positions of the source.
    source: u128,
}

impl Batch<'_> {
    /// A sequence is as it is from a pass on, until the one that is returned.
    fn enter(&mut self, member: &Member, pass: u64) -> Option<u64> {
        let Member { count, run } = *member;
        let none = Alike { run, count: 0, steps: 0, source: 0 };
        let alike = self.alike.entry(self.turns.state(member, pass)).or_insert(none);
        let steps = times(count, (past(run.passes) / self.turns.step).into())?;
        alike.count = alike.count.checked_add(count)?;
        alike.steps = alike.steps.checked_add(steps)?;
        alike.source = alike.source.checked_add(times(count, run.source.into())?)?;
        Some(self.turns.next(member, pass))
    }

    /// A sequence is no more as it was in a pass.
    fn leave(&mut self, member: &Member, pass: u64) {
        let Member { count, run } = *member;
        let state = self.turns.state(member, pass);
        let Some(alike) = self.alike.get_mut(&state) else { return };
        alike.count -= count;
        if alike.count == 0 {
            self.alike.remove(&state);
            return;
        }
        alike.steps -= count * u128::from(past(run.passes) / self.turns.step);
        alike.source -= count * u128::from(run.source);
    }

    /// As many as there are, of two neighbouring lengths, with the same sums.
    fn members(&self) -> Option<Vec<Member>> {
        let mut members = Vec::new();
        for ((rest, ..), Alike { run, count, steps, source }) in &self.alike {
            let (longer, with_more) = (steps % count, source % count);
            let both = longer.min(with_more);
            let one = longer.max(with_more) - both;
            let steps = u64::try_from(steps / count).ok()?;
            let source = u64::try_from(source / count).ok()?;
            for (count, more_steps, more_source) in [
                (count - one - both, 0, 0),
                (one, u64::from(longer > with_more), u64::from(with_more > longer)),
                (both, 1, 1),
            ] {
                if count > 0 {
                    let past =
                        rest.checked_add(self.turns.step.checked_mul(steps + more_steps)?)?;
                    let source = source + more_source;
                    // Every pass samples.
                    let (passes, sampled) = (after(run.passes, past), u64::MAX);
                    members.push(Member { count, run: Run { passes, sampled, source, ..*run } });
                }
            }
        }
        Some(members)
    }
}

/// Positions before the first pass.
fn past(passes: Passes) -> u64 {
    match passes {
        Passes::Prefill { past, .. } | Passes::Decode { past, .. } => past,
        Passes::Recompute { first, .. } => first,
    }
}

/// The same passes after so many positions.
fn after(passes: Passes, past: u64) -> Passes {
    match passes {
        Passes::Prefill { new, .. } => Passes::Prefill { past, new },
        // As many as it takes: a stretch has a part of them.
        Passes::Decode { .. } => Passes::Decode { past, count: u64::MAX },
        Passes::Recompute { .. } => Passes::Recompute { first: past, count: u64::MAX },
    }
}

/// The position from which on a token sees no more than the one before it, or in a block as much.
fn filled_at(mask: Mask) -> Option<u64> {
    match mask {
        Mask::Sliding { window } | Mask::Selected { most: window } => Some(window),
        Mask::Compressed { every: size, most: Some(most) } | Mask::Blocks { size, most, .. } => {
            size.checked_mul(most)
        }
        Mask::Causal
        | Mask::Full
        | Mask::Around { .. }
        | Mask::Chunked { .. }
        | Mask::Compressed { most: None, .. } => None,
    }
}

/// The least common multiple, or the most that there is.
fn common(a: u64, b: u64) -> u64 {
    let (mut divisor, mut rest) = (a, b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor).saturating_mul(b)
}

#[cfg(test)]
mod tests {
    use super::Stretch;
    use crate::passes::{Mask, Passes};
    use crate::workload::{Phase, Sequence, Workload};
    use proptest::prelude::*;

    fn masks() -> impl Strategy<Value = Vec<Mask>> {
        let mask = prop_oneof![
            Just(Mask::Causal),
            (1u64..40).prop_map(|window| Mask::Sliding { window }),
            (1u64..40).prop_map(|chunk| Mask::Chunked { chunk }),
            (1u64..40).prop_map(|most| Mask::Selected { most }),
            (1u64..7).prop_map(|every| Mask::Compressed { every, most: None }),
            (1u64..7, 1u64..7)
                .prop_map(|(every, most)| Mask::Compressed { every, most: Some(most) }),
            (1u64..7, 1u64..7, any::<bool>()).prop_map(|(size, most, own)| Mask::Blocks {
                size,
                most,
                own
            }),
        ];
        prop::collection::vec(mask, 0..4)
    }

    fn batch() -> impl Strategy<Value = Workload> {
        let sequence = (0u64..90, 0u64..60, 1u64..4)
            .prop_map(|(prompt, generate, count)| Sequence { prompt, cached: 0, generate, count });
        prop::collection::vec(sequence, 1..9)
            .prop_map(|sequences| Workload::batch(sequences).expect("a batch"))
    }

    /// What a pass of the decode phase has of something, over the sequences that run it.
    fn in_pass(workload: &Workload, pass: u64, of: impl Fn(Passes) -> Option<u128>) -> u128 {
        let one = |sequence: &Sequence| {
            let passes = workload.passes(sequence, Phase::Decode);
            let runs = passes.count() > pass;
            let some = of(passes.slice(pass, pass + 1)).expect("it fits");
            if runs { some * u128::from(sequence.count) } else { 0 }
        };
        workload.sequences().iter().map(one).sum()
    }

    proptest! {
        #[test]
        fn members_stand_for_all_sequences(workload in batch(), masks in masks(), kv_cache: bool) {
            let workload = if kv_cache { workload } else { workload.without_kv_cache().expect("none is cached") };
            let mut next = 0;
            let end = workload.sequences().iter().map(|it| it.generate.saturating_sub(1)).max();
            Stretch::visit(&workload, Phase::Decode, &masks, |stretch| {
                assert_eq!(stretch.from, next);
                next = stretch.to;
                for pass in stretch.from..stretch.to {
                    let sum = |of: &dyn Fn(Passes) -> Option<u128>| {
                        let members = stretch.part(pass, pass + 1);
                        members.members().map(|(count, run)| count * of(run.passes).expect("it fits")).sum::<u128>()
                    };
                    assert_eq!(sum(&Passes::tokens), in_pass(&workload, pass, Passes::tokens));
                    for &mask in &masks {
                        assert_eq!(sum(&|passes| passes.pairs(mask)), in_pass(&workload, pass, |passes| passes.pairs(mask)));
                        assert_eq!(sum(&|passes| passes.written(mask)), in_pass(&workload, pass, |passes| passes.written(mask)));
                    }
                }
                Some(())
            });
            prop_assert_eq!(Some(next), end);
        }

        #[test]
        fn costs_are_straight_within_a_stretch(workload in batch(), masks in masks()) {
            Stretch::visit(&workload, Phase::Decode, &masks, |stretch| {
                for &mask in &masks {
                    if matches!(mask, Mask::Compressed { .. } | Mask::Blocks { .. }) {
                        continue;
                    }
                    let pairs = |pass| in_pass(&workload, pass, |passes| passes.pairs(mask));
                    for pass in stretch.from + 2..stretch.to {
                        assert_eq!(pairs(pass) + pairs(pass - 2), 2 * pairs(pass - 1), "{:?}", mask);
                    }
                }
                Some(())
            });
        }
    }

    #[test]
    fn many_sequences_are_few_members() {
        let sequences = (0..5000).map(|at| Sequence::new(100 + 7 * at, 2 + at % 900)).collect();
        let workload = Workload::batch(sequences).expect("a batch");
        let mut stretches = 0;
        let masks = [Mask::Causal, Mask::Sliding { window: 4096 }];
        Stretch::visit(&workload, Phase::Decode, &masks, |stretch| {
            stretches += 1;
            // Those whose window is full and those whose is not, of two neighbouring lengths each.
            assert!(stretch.members().count() <= 4);
            Some(())
        })
        .expect("it fits");
        assert!(stretches <= 900);
    }
}
