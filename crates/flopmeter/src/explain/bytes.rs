//! Bytes as arithmetic.

use super::tokens::named;
use super::{Line, Section};
use crate::bytes::{CacheUse, Read, Stretch, Times, cache_positions, source_positions, states};
use crate::convention::Rule;
use crate::error::Result;
use crate::model::{Group, Model, too_large};
use crate::op::{Op, Recurrent};
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
        let workload = &*self.requests(workload, Rule::Needed)?;
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
                    "bits ÷ 8, scales and zero points included",
                    format!(
                        "{bits} ÷ 8, {:.4} bits for each of {parameters}",
                        bits as f64 / parameters as f64
                    ),
                    bits.div_ceil(8),
                )
            })
            .collect();
        lines.push(Line::new("weights", "sum of the lines above", "", bytes.weights));
        for (group, op) in
            self.groups().iter().flat_map(|group| group.ops.iter().map(move |op| (group, op)))
        {
            let op = if let Op::Idle(op) = op { op } else { op };
            let (formula, numbers, bits, cache) = match op {
                Op::Attention(op) if op.shares_cache || !op.mask.keeps_cache() => continue,
                Op::Cross(op) => (
                    "layers · KV heads · (key + value width) · bits ÷ 8, of a position of the source",
                    format!("{} · {} · ({} + {})", group.repeat, op.kv_heads, op.qk_dim, op.v_dim),
                    op.cached_bits_per_token(),
                    op.cache,
                ),
                Op::Attention(op) => (
                    "layers · KV heads · (key + value width) · bits ÷ 8",
                    format!("{} · {} · ({} + {})", group.repeat, op.kv_heads, op.qk_dim, op.v_dim),
                    op.cached_bits_per_token(),
                    op.cache,
                ),
                Op::Indexer(op) => (
                    "layers · key width of the indexer · bits ÷ 8",
                    format!("{} · {}", group.repeat, op.dim),
                    op.cached_bits_per_token(),
                    op.cache,
                ),
                Op::Latent(op) => (
                    "layers · (rank + rope) · bits ÷ 8",
                    format!("{} · ({} + {})", group.repeat, op.rank, op.rope),
                    op.cached_bits_per_token(),
                    op.cache,
                ),
                Op::Recurrent(op) => {
                    let bits = op.state_bits().ok_or_else(too_large)?;
                    lines.push(state_line(op, group, bits).ok_or_else(too_large)?);
                    continue;
                }
                _ => continue,
            };
            let width = cache.matrix_bits(1, 1);
            let bits = bits.checked_mul(group.repeat.into()).ok_or_else(too_large)?;
            let of = if matches!(op, Op::Cross(_)) { "of the source" } else { "a token" };
            lines.push(Line::new(
                format!("KV cache, {of} · {}", group.name),
                formula,
                format!("{numbers} · {width} ÷ 8"),
                bits.div_ceil(8),
            ));
        }
        let held = "positions kept, prompt + generated − 1 or a full window · bits of one ÷ 8";
        let mut cache = |name: &str, formula: &str, purpose: CacheUse| {
            self.cache_lines(workload, name, formula, purpose, &mut lines).ok_or_else(too_large)
        };
        cache("KV cache, at its largest", held, CacheUse::Held)?;
        lines.push(Line::new(
            "KV cache, at its largest",
            "sum of the lines above",
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
            let formula = "new tokens · bits of one ÷ 8";
            let written = format!("written, {name}");
            self.cache_lines(workload, &written, formula, CacheUse::Written(phase), &mut lines)
                .ok_or_else(too_large)?;
            lines.push(sum("written", traffic.written));
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
        if phase == Phase::Prefill {
            self.visit_stacks(workload, |stack, read| {
                lines.push(read_line(phase, stack.name(), &read)?);
                Some(())
            })?;
        }
        Stretch::visit(workload, phase, &[], |stretch| {
            let passes = format!("passes {}–{}", stretch.from + 1, stretch.to);
            self.visit_weights(&stretch, |read| {
                lines.push(read_line(phase, &passes, &read)?);
                Some(())
            })
        })?;
        let formula = "Σ over passes of positions in sight, new ones included · bits of one ÷ 8";
        let name = format!("read, {} · KV cache", phase.name());
        self.cache_lines(workload, &name, formula, CacheUse::Read(phase), lines)
    }

    /// A line for each mask that layers have.
    fn cache_lines(
        &self,
        workload: &Workload,
        name: &str,
        formula: &str,
        purpose: CacheUse,
        lines: &mut Vec<Line>,
    ) -> Option<()> {
        let own = self.sums.cache.iter().map(|cache| (cache, ""));
        let shared = self.sums.shared_cache.iter().map(|cache| (cache, ", shared"));
        let read = matches!(purpose, CacheUse::Read(_));
        for (&(mask, bits), end) in own.chain(shared.filter(|_| read)) {
            let positions = cache_positions(workload, purpose, mask)?;
            lines.push(Line::new(
                format!("{name} · {}{end}", named(mask)),
                formula,
                format!("{positions} · {bits} ÷ 8"),
                positions.checked_mul(bits)?.div_ceil(8),
            ));
        }
        let bits = self.sums.source_cache;
        if bits > 0 {
            let positions = source_positions(workload, purpose)?;
            lines.push(Line::new(
                format!("{name} · source"),
                "positions of the source, for reading times the passes · bits of one ÷ 8",
                format!("{positions} · {bits} ÷ 8"),
                positions.checked_mul(bits)?.div_ceil(8),
            ));
        }
        let bits = self.sums.state_bits;
        if bits > 0 {
            let states = states(workload, purpose)?;
            lines.push(Line::new(
                format!("{name} · states"),
                "sequences, for traffic times their passes · bits of all layers' states ÷ 8",
                format!("{states} · {bits} ÷ 8"),
                states.checked_mul(bits)?.div_ceil(8),
            ));
        }
        Some(())
    }
}

/// A part of the weights that a phase reads.
fn read_line(phase: Phase, passes: &str, read: &Read) -> Option<Line> {
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
    Some(Line::new(name, formula, format!("{times} · {} ÷ 8", read.bits), bytes))
}

/// The state of a sequence in equal layers.
fn state_line(op: &Recurrent, group: &Group, bits: u128) -> Option<Line> {
    let kept = op.kind.kept().into_iter().filter(|(symbol, _)| !symbol.is_empty());
    let (symbols, values): (Vec<_>, Vec<_>) =
        kept.map(|(symbol, value)| (symbol, value.to_string())).unzip();
    let width = op.state.matrix_bits(1, 1);
    Some(Line::new(
        format!("state of a sequence · {} · {}", group.name, op.module),
        format!("layers · {} · bits ÷ 8", symbols.join(" · ")),
        format!("{} · {} · {width} ÷ 8", group.repeat, values.join(" · ")),
        bits.checked_mul(group.repeat.into())?.div_ceil(8),
    ))
}
