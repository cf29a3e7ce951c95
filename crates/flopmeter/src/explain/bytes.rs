//! Bytes as arithmetic.

use super::{Line, Section};
use crate::bytes::{Stretch, Times};
use crate::error::Result;
use crate::model::{Model, too_large};
use crate::op::Op;
use crate::workload::{Phase, Workload};

impl Model {
    /// The arithmetic of [`bytes`](Self::bytes): weights by how they are stored, the cache, and what each
    /// phase moves.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`](crate::ErrorKind::Overflow) if a count does not fit 128 bits.
    pub fn explain_bytes(&self, workload: &Workload) -> Result<Section> {
        let bytes = self.bytes(workload)?;
        let mut stored: Vec<(&str, u128, u128)> = Vec::new();
        for (op, repeat) in self.ops() {
            let Some(storage) = op.storage() else { continue };
            let (parameters, bits) = (op.parameters(), op.stored_bits());
            let times = |count: u128| count.checked_mul(repeat.into()).ok_or_else(too_large);
            match stored.iter_mut().find(|(name, ..)| *name == storage.name()) {
                Some((_, count, sum)) => {
                    *count += times(parameters)?;
                    *sum += times(bits)?;
                }
                None => stored.push((storage.name(), times(parameters)?, times(bits)?)),
            }
        }
        let mut lines: Vec<Line> = stored
            .into_iter()
            .filter(|(_, parameters, _)| *parameters > 0)
            .map(|(name, parameters, bits)| {
                Line::new(
                    format!("weights in {name}"),
                    "parameters · bits a parameter, scales included ÷ 8",
                    format!("{parameters} · {:.6} ÷ 8", bits as f64 / parameters as f64),
                    bits.div_ceil(8),
                )
            })
            .collect();
        lines.push(Line::new("weights", "sum of the lines above", "", bytes.weights));
        for (group, op) in
            self.groups().iter().flat_map(|group| group.ops.iter().map(move |op| (group, op)))
        {
            let (formula, numbers, bits, cache) = match op {
                Op::Attention(op) => (
                    "layers · KV heads · (key + value width) · bits ÷ 8",
                    format!("{} · {} · ({} + {})", group.repeat, op.kv_heads, op.qk_dim, op.v_dim),
                    op.cached_bits_per_token(),
                    op.cache,
                ),
                Op::Latent(op) => (
                    "layers · (rank + rope) · bits ÷ 8",
                    format!("{} · ({} + {})", group.repeat, op.rank, op.rope),
                    op.cached_bits_per_token(),
                    op.cache,
                ),
                Op::Linear(_) | Op::Table(_) | Op::Vector(_) => continue,
            };
            let width = cache.matrix_bits(1, 1);
            let bits = bits.checked_mul(group.repeat.into()).ok_or_else(too_large)?;
            lines.push(Line::new(
                format!("KV cache, a token · {}", group.name),
                formula,
                format!("{numbers} · {width} ÷ 8"),
                bits.div_ceil(8),
            ));
        }
        lines.push(Line::new(
            "KV cache, at its largest",
            "each layer's bytes a token · positions kept, prompt + generated − 1 or a full window",
            "",
            bytes.kv_cache,
        ));
        for (phase, traffic) in Phase::ALL.into_iter().zip([bytes.prefill, bytes.decode]) {
            self.traffic_lines(workload, phase, &mut lines).ok_or_else(too_large)?;
            let name = phase.name();
            let sum = |what: &str, bytes: u128| {
                Line::new(format!("{what}, {name}"), "sum of the lines above", "", bytes)
            };
            lines.push(sum("read", traffic.read));
            let written = "new tokens · bytes of the KV cache a token";
            lines.push(Line::new(format!("written, {name}"), written, "", traffic.written));
        }
        Ok(Section { title: "bytes".into(), lines })
    }

    /// What a phase reads: weights by stretch of equal batches, and the cache in sight.
    fn traffic_lines(
        &self,
        workload: &Workload,
        phase: Phase,
        lines: &mut Vec<Line>,
    ) -> Option<()> {
        for stretch in Stretch::of(workload, phase) {
            let passes = format!("passes {}–{}", stretch.from + 1, stretch.to);
            self.visit_weights(&stretch, workload, |read| {
                let (formula, times, bytes) = match read.times {
                    Times::Exact(times) => {
                        let bits = read.bits.checked_mul(times)?;
                        ("times read · bits ÷ 8", times.to_string(), bits.div_ceil(8).to_string())
                    }
                    Times::Expected(times) => (
                        "Σ over passes of E·(1 − (1 − k/E)^tokens) · bits of one ÷ 8",
                        format!("{times:.4}"),
                        format!("{:.0}", times * read.bits as f64 / 8.0),
                    ),
                };
                let name = format!("read, {} · {passes} · {}", phase.name(), read.what);
                lines.push(Line::new(name, formula, format!("{times} · {} ÷ 8", read.bits), bytes));
                Some(())
            })?;
        }
        let mut bits = 0_u128;
        for sequence in workload.sequences() {
            let passes = workload.passes(sequence, phase);
            let of_one = self.cache_bits(|mask| passes.visible(mask))?;
            bits = bits.checked_add(of_one.checked_mul(sequence.count.into())?)?;
        }
        lines.push(Line::new(
            format!("read, {} · KV cache", phase.name()),
            "Σ over passes of positions in sight, new ones included · bytes a position",
            "",
            bits.div_ceil(8),
        ));
        Some(())
    }
}
