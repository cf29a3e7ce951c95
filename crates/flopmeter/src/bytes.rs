//! Model × workload → bytes: what is stored, what each phase reads and writes.
//!
//! Bytes do not depend on a convention. Activations are left out.

mod cache;
mod stretch;

pub(crate) use cache::{CacheUse, cache_positions, source_positions, states};
pub(crate) use stretch::Stretch;

use crate::convention::Rule;
use crate::error::Result;
use crate::exact::times;
use crate::model::{Model, too_large};
use crate::op::Experts;
use crate::passes::{Mask, Passes};
use crate::stack::Stack;
use crate::workload::{Phase, Run, Workload};

/// Bytes of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    /// Weights as stored, scales and zero points included.
    pub weights: u128,
    /// What one more token adds to the KV cache while no window is full; its share of an entry that stands
    /// for several.
    pub kv_cache_per_token: u128,
    /// The KV cache at its largest: every sequence at its end, windows full. The states of recurrent
    /// layers, of one size whatever the length, and the keys and values of a source are held, read and written with it.
    pub kv_cache: u128,
    /// What the passes over the prompts move.
    pub prefill: Traffic,
    /// What the passes that generate move.
    pub decode: Traffic,
}

/// Bytes moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Weights, once a pass for the whole batch, the KV cache that is in sight, and states, once a pass.
    pub read: u128,
    /// The KV cache of new tokens, and states, once a pass.
    pub written: u128,
}

impl Bytes {
    /// Bytes read in both phases.
    pub fn read(&self) -> u128 {
        self.prefill.read.saturating_add(self.decode.read)
    }

    /// Bytes written in both phases.
    pub fn written(&self) -> u128 {
        self.prefill.written.saturating_add(self.decode.written)
    }

    /// Bytes that the workload needs to be held: weights and the KV cache at its largest.
    pub fn held(&self) -> u128 {
        self.weights.saturating_add(self.kv_cache)
    }

    /// Whether they fit the memory of some equal devices, activations left out.
    pub fn fit_in(&self, memory_bytes: u128, devices: u64) -> bool {
        self.held() <= memory_bytes.saturating_mul(devices.into())
    }
}

impl Model {
    /// Bytes that a workload holds and moves.
    ///
    /// Of `E` experts with top-`k` routing, `t` tokens of a pass read the expected number of distinct
    /// ones, `E·(1 − (1 − k/E)^t)`; that expectation is the only part of a count that is rounded.
    ///
    /// # Errors
    ///
    /// As [`flops`](Self::flops).
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Config, Model, Workload};
    ///
    /// let config = Config::parse(
    ///     r#"{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
    ///         "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
    ///         "vocab_size": 128256, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#,
    /// )?;
    /// let bytes = Model::from_config(&config)?.bytes(&Workload::request(1024, 256))?;
    /// assert_eq!(bytes.weights, 2 * 8_030_261_248);
    /// assert_eq!(bytes.kv_cache_per_token, 32 * 2 * 8 * 128 * 2); // layers, k and v, heads, width, bf16
    /// assert_eq!(bytes.kv_cache, 131_072 * (1024 + 255)); // the last token is never fed back
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn bytes(&self, workload: &Workload) -> Result<Bytes> {
        workload.numbered().ok_or_else(too_large)?;
        self.checked_bytes(&*self.requests(workload, Rule::Needed)?).ok_or_else(too_large)
    }

    fn checked_bytes(&self, workload: &Workload) -> Option<Bytes> {
        let mut traffic = [Traffic::default(); 2];
        for (phase, sum) in Phase::ALL.into_iter().zip(&mut traffic) {
            let (mut read, mut written) = (Bits::default(), Bits::default());
            if phase == Phase::Prefill {
                self.visit_stacks(workload, |_, term| read.add_read(term))?;
            }
            Stretch::visit(workload, phase, &[], |stretch| {
                self.visit_weights(&stretch, |term| read.add_read(term))
            })?;
            let positions = |purpose| move |mask| cache_positions(workload, purpose, mask);
            let (sees, keeps) = (CacheUse::Read(phase), CacheUse::Written(phase));
            read.add(self.cache_bits_read(positions(sees))?, 1)?;
            read.add(self.other_cache_bits(workload, sees)?, 1)?;
            written.add(self.cache_bits(positions(keeps))?, 1)?;
            written.add(self.other_cache_bits(workload, keeps)?, 1)?;
            *sum = Traffic { read: read.bytes()?, written: written.bytes()? };
        }
        let [prefill, decode] = traffic;
        let mut held = Bits::default();
        let positions = |mask| cache_positions(workload, CacheUse::Held, mask);
        held.add(self.cache_bits(positions)?, 1)?;
        held.add(self.other_cache_bits(workload, CacheUse::Held)?, 1)?;
        let mut weights = Bits::default();
        for (op, repeat) in self.ops() {
            weights.add(op.stored_bits(), repeat.into())?;
        }
        let mut per_token = Bits::default();
        for &(mask, bits) in &self.sums.cache {
            per_token.add(bits.div_ceil(mask.positions_an_entry().into()), 1)?;
        }
        Some(Bytes {
            weights: weights.bytes()?,
            kv_cache_per_token: per_token.bytes()?,
            kv_cache: held.bytes()?,
            prefill,
            decode,
        })
    }

    /// Bytes that a stretch reads and writes.
    pub(crate) fn moved(&self, stretch: &Stretch<'_>, kv_cache: bool) -> Option<f64> {
        let mut bits = Bits::default();
        self.visit_weights(stretch, |term| bits.add_read(term))?;
        for (count, Run { passes, source, .. }) in stretch.members() {
            if kv_cache {
                let of_source = times(self.sums.source_cache, source.into())?;
                let moved = u128::from(passes.count()) + u128::from(passes.sources());
                bits.add(times(of_source, moved)?, count)?;
                let [read, written] = self.cache_bits_moved(passes)?;
                bits.add(read.checked_add(written)?, count)?;
            }
        }
        Some((bits.exact as f64 + bits.expected) / 8.0)
    }

    /// Visits what a stretch reads of the weights.
    pub(crate) fn visit_weights(
        &self,
        stretch: &Stretch<'_>,
        mut visit: impl FnMut(Read) -> Option<()>,
    ) -> Option<()> {
        let passes = stretch.to - stretch.from;
        let (mut first, mut growth, mut tokens) = (0_u128, 0_u128, 0_u128);
        let (mut samples, mut sources, mut attends) = (false, 0, false);
        for (count, run) in stretch.members() {
            let (of_first_pass, more_in_each) = match run.passes {
                Passes::Prefill { new, .. } => (u128::from(new), 0),
                Passes::Decode { .. } => (1, 0),
                Passes::Recompute { first, .. } => (u128::from(first), 1),
            };
            first = first.checked_add(count.checked_mul(of_first_pass)?)?;
            growth = growth.checked_add(count * more_in_each)?;
            tokens = tokens.checked_add(count.checked_mul(run.passes.tokens()?)?)?;
            samples |= run.sampled > 0;
            attends |= run.source > 0;
            sources = sources.max(if run.source > 0 { run.passes.sources() } else { 0 });
        }
        let exact = |what, times, bits| Read { what, times: Times::Exact(times), bits };
        visit(exact("layers", passes.into(), self.sums.dense_bits))?;
        if samples {
            visit(exact("head", passes.into(), self.sums.sampled_bits))?;
        }
        if let Some(idle) = self.sums.with_source.as_deref().filter(|_| attends) {
            visit(exact("layers that attend to images", passes.into(), idle.dense_bits))?;
        }
        if sources > 0 && self.sums.source_bits > 0 {
            visit(exact("projections of the source", sources.into(), self.sums.source_bits))?;
        }
        visit(exact("rows looked up", tokens, self.sums.looked_up_bits))?;
        for routed in &self.sums.experts {
            let distinct = distinct_experts(&routed.experts, passes, first, growth);
            visit(Read { what: "experts", times: Times::Expected(distinct), bits: routed.bits })?;
        }
        Some(())
    }

    /// Visits what is read of the weights before the prefill: those of each stack once for the whole batch.
    pub(crate) fn visit_stacks(
        &self,
        workload: &Workload,
        mut visit: impl FnMut(&Stack, Read) -> Option<()>,
    ) -> Option<()> {
        for stack in &self.stacks {
            let mut rows = 0_u128;
            let seen = match stack.perceived(workload, Rule::Needed) {
                Some(load) => Some(load?.rows),
                None => None,
            };
            for (sequence, source) in workload.with_sources() {
                let of_one = match (seen, stack.run(sequence, source)) {
                    (Some(rows), _) => rows,
                    (None, Some(run)) => run.passes.tokens()?,
                    (None, None) => 0,
                };
                rows = rows.checked_add(times(of_one, sequence.count.into())?)?;
            }
            if rows == 0 {
                continue;
            }
            let exact = |what, times, bits| Read { what, times: Times::Exact(times), bits };
            visit(stack, exact("layers", 1, stack.sums.dense_bits))?;
            visit(stack, exact("rows looked up", rows, stack.sums.looked_up_bits))?;
            for routed in &stack.sums.experts {
                let times = Times::Expected(distinct_experts(&routed.experts, 1, rows, 0));
                visit(stack, Read { what: "experts", times, bits: routed.bits })?;
            }
        }
        Some(())
    }

    /// Bytes that the stacks read before the prefill.
    pub(crate) fn moved_by_stacks(&self, workload: &Workload) -> Option<f64> {
        let mut bits = Bits::default();
        self.visit_stacks(workload, |_, term| bits.add_read(term))?;
        Some((bits.exact as f64 + bits.expected) / 8.0)
    }

    /// Bits of what the cache keeps beside positions of tokens: states, and keys and values of a source.
    fn other_cache_bits(&self, workload: &Workload, purpose: CacheUse) -> Option<u128> {
        let states = times(self.sums.state_bits, states(workload, purpose)?)?;
        if self.sums.source_cache == 0 {
            return Some(states);
        }
        let positions = source_positions(workload, purpose)?;
        states.checked_add(times(self.sums.source_cache, positions)?)
    }

    /// Bits that the cache keeps of a number of positions that depends on the mask.
    pub(crate) fn cache_bits(&self, positions: impl Fn(Mask) -> Option<u128>) -> Option<u128> {
        bits_of(&self.sums.cache, positions)
    }

    /// Bits of the cache and of states that some passes of one sequence read, and that they write.
    pub(crate) fn cache_bits_moved(&self, passes: Passes) -> Option<[u128; 2]> {
        let states = times(self.sums.state_bits, passes.count().into())?;
        let read = self.cache_bits_read(|mask| passes.visible(mask))?;
        let written = self.cache_bits(|mask| passes.written(mask))?;
        Some([read.checked_add(states)?, written.checked_add(states)?])
    }

    /// Bits that are read of it: layers that share one each read it.
    fn cache_bits_read(&self, positions: impl Fn(Mask) -> Option<u128>) -> Option<u128> {
        let again = bits_of(&self.sums.shared_cache, &positions)?;
        bits_of(&self.sums.cache, positions)?.checked_add(again)
    }
}

fn bits_of(caches: &[(Mask, u128)], positions: impl Fn(Mask) -> Option<u128>) -> Option<u128> {
    caches
        .iter()
        .try_fold(0_u128, |sum, &(mask, bits)| sum.checked_add(times(bits, positions(mask)?)?))
}

/// A part of the weights, and how often it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    pub what: &'static str,
    pub times: Times,
    pub bits: u128,
}

/// How often.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Times {
    Exact(u128),
    /// An expected number of distinct experts.
    Expected(f64),
}

/// Expected number of distinct experts that `passes` read, summed over them: pass j has
/// `first + j·growth` tokens.
///
/// ```text
/// Σ_j E·(1 − r^(first + j·growth)),  r = 1 − k/E;  the powers are a geometric series
/// ```
fn distinct_experts(routed: &Experts, passes: u64, first: u128, growth: u128) -> f64 {
    let missed_by_first = routed.missed_by(first as f64);
    let ratio = routed.missed_by(growth as f64);
    let missed = if ratio == 1.0 {
        missed_by_first * passes as f64
    } else {
        missed_by_first * (1.0 - ratio.powf(passes as f64)) / (1.0 - ratio)
    };
    routed.spread.held as f64 * (passes as f64 - missed)
}

/// A sum of bits: exact ones, and the expected ones of routed experts.
#[derive(Debug, Clone, Copy, Default)]
struct Bits {
    exact: u128,
    expected: f64,
}

impl Bits {
    fn add(&mut self, bits: u128, count: u128) -> Option<()> {
        self.exact = self.exact.checked_add(times(bits, count)?)?;
        Some(())
    }

    fn add_read(&mut self, read: Read) -> Option<()> {
        match read.times {
            Times::Exact(times) => {
                self.exact = self.exact.checked_add(read.bits.checked_mul(times)?)?
            }
            Times::Expected(times) => self.expected += read.bits as f64 * times,
        }
        Some(())
    }

    /// Whole bytes.
    fn bytes(&self) -> Option<u128> {
        // Exact below 2^53 bytes and a correctly rounded double above: an expectation has no last digit.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let expected = (self.expected / 8.0).round() as u128;
        self.exact.div_ceil(8).checked_add(expected)
    }
}
