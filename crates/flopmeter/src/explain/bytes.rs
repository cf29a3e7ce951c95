//! Bytes as arithmetic.

use super::{Line, Section};
use crate::error::Result;
use crate::model::{Model, too_large};
use crate::op::Op;
use crate::workload::Workload;

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
        for (name, traffic) in [("prefill", bytes.prefill), ("decode", bytes.decode)] {
            lines.push(Line::new(
                format!("read, {name}"),
                "weights once a pass, of E experts E·(1 − (1 − k/E)^tokens); the cache in sight",
                "",
                traffic.read,
            ));
            lines.push(Line::new(
                format!("written, {name}"),
                "the cache of new tokens",
                "",
                traffic.written,
            ));
        }
        Ok(Section { title: "bytes".into(), lines })
    }
}
