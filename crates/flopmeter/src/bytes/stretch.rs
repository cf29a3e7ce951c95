//! Passes of a batch that the same sequences run.

use crate::workload::{Phase, Run, Sequence, Workload};

/// Passes that the same sequences run together: `from..to` of a phase's passes, counted from its first.
///
/// Sequences leave a batch when they have generated their last token, so a decode phase is one stretch
/// for each different length of answer.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub phase: Phase,
    pub from: u64,
    pub to: u64,
}

impl Stretch {
    /// The stretches of a phase, in order.
    pub fn of(workload: &Workload, phase: Phase) -> Vec<Self> {
        let mut ends: Vec<u64> = workload
            .sequences()
            .iter()
            .map(|sequence| workload.passes(sequence, phase).count())
            .filter(|count| *count > 0)
            .collect();
        ends.sort_unstable();
        ends.dedup();
        let mut from = 0;
        let stretch = |to| Self { phase, from: std::mem::replace(&mut from, to), to };
        ends.into_iter().map(stretch).collect()
    }

    /// The sequences that take part, with their passes within the stretch.
    pub fn members<'w>(&self, workload: &'w Workload) -> impl Iterator<Item = (&'w Sequence, Run)> {
        let (phase, from, to) = (self.phase, self.from, self.to);
        workload.with_sources().filter_map(move |(sequence, source)| {
            let run = workload.run(sequence, source, phase);
            (run.passes.count() >= to).then(|| {
                let (passes, sampled) = (run.passes.slice(from, to), run.sampled.min(to - from));
                (sequence, Run { passes, sampled, ..run })
            })
        })
    }

    /// Passes `from..to`, counted as this stretch's are.
    pub fn part(&self, from: u64, to: u64) -> Self {
        Self { phase: self.phase, from, to }
    }
}
