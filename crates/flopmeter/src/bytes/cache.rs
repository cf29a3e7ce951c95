//! Positions, states and sources that the cache keeps, over all sequences of a workload.

use crate::exact::{divide, times};
use crate::passes::Mask;
use crate::workload::{Phase, Workload};

/// What the cache is used for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CacheUse {
    /// Kept at its largest.
    Held,
    /// Read by a phase.
    Read(Phase),
    /// Written by a phase.
    Written(Phase),
}

/// Positions of the cache that a use takes in layers of a mask, over all sequences.
pub(crate) fn cache_positions(workload: &Workload, purpose: CacheUse, mask: Mask) -> Option<u128> {
    if !workload.kv_cache() {
        return Some(0);
    }
    workload.sequences().iter().try_fold(0_u128, |sum, sequence| {
        let positions = match purpose {
            CacheUse::Held => {
                // The last token is sampled and never fed back.
                let last = sequence.generate.saturating_sub(1);
                kept(mask, u128::from(sequence.prompt) + u128::from(last))
            }
            CacheUse::Read(phase) => workload.passes(sequence, phase).visible(mask)?,
            CacheUse::Written(phase) => workload.passes(sequence, phase).written(mask)?,
        };
        sum.checked_add(times(positions, sequence.count.into())?)
    })
}

/// States that a use takes, over all sequences: each pass of each reads and writes its own once.
pub(crate) fn states(workload: &Workload, purpose: CacheUse) -> Option<u128> {
    if !workload.kv_cache() {
        return Some(0);
    }
    workload.sequences().iter().try_fold(0_u128, |sum, sequence| {
        let states = match purpose {
            CacheUse::Held => u64::from(sequence.prompt > 0 || sequence.generate > 1),
            CacheUse::Read(phase) | CacheUse::Written(phase) => {
                workload.passes(sequence, phase).count()
            }
        };
        sum.checked_add(times(states.into(), sequence.count.into())?)
    })
}

/// Positions of sources that a use takes, over all sequences: written once, and read by every pass.
pub(crate) fn source_positions(workload: &Workload, purpose: CacheUse) -> Option<u128> {
    if !workload.kv_cache() {
        return Some(0);
    }
    workload.with_sources().try_fold(0_u128, |sum, (sequence, source)| {
        let times_used = match purpose {
            CacheUse::Held => 1,
            CacheUse::Read(phase) => workload.passes(sequence, phase).count(),
            CacheUse::Written(phase) => workload.passes(sequence, phase).sources(),
        };
        let positions = times(source.into(), times_used.into())?;
        sum.checked_add(times(positions, sequence.count.into())?)
    })
}

/// Positions that a layer has to keep of a sequence.
fn kept(mask: Mask, tokens: u128) -> u128 {
    match mask {
        Mask::Causal | Mask::Selected { .. } | Mask::Blocks { .. } => tokens,
        Mask::Compressed { every, .. } => divide(tokens, every).0,
        Mask::Full | Mask::Around { .. } => 0,
        Mask::Sliding { window: size } | Mask::Chunked { chunk: size } => tokens.min(size.into()),
    }
}
