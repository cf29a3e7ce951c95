//! Recurrent layers, cut by their heads or channels.
//!
//! ```text
//! Mamba      channels: in, convolution and time steps by their outputs, x_proj and out by their inputs; the ranks add up
//!            what x_proj makes before it is used                                            (vLLM's mamba_mixer.py)
//! Mamba-2    heads, and the groups of B and C with them; one group is repeated on every rank  (vLLM's mamba_mixer2.py)
//! delta nets heads of keys and values; gates of low rank are whole up to their rank           (vLLM, Megatron)
//! lightning  heads                                                                           (vLLM)
//! short convolutions   channels                                                              (vLLM)
//! ```

use super::cutter::{Cut, Cutter, unknown};
use super::size;
use crate::component::Component;
use crate::error::Result;
use crate::op::{Convolution, Linear, Op, Recurrent, RecurrentKind, Vector};

/// Widths of a recurrent layer and what a rank has of each.
struct Shares {
    /// What the last product reads.
    inner: [u64; 2],
    /// What products, convolutions and vectors are as wide as.
    widths: Vec<[u64; 2]>,
    /// The recurrence, `None` where there are convolutions alone.
    kind: Option<[RecurrentKind; 2]>,
    /// Groups of heads, each with a norm of its own.
    groups: u64,
}

impl Cutter<'_> {
    /// Products and convolutions of a recurrent layer before its state by their outputs, the one after it by its inputs.
    pub(super) fn cut_recurrent(&mut self, ops: &[&Op], cuts: &mut [Cut]) -> Result<()> {
        let recurs = |op: &&Op| match op {
            Op::Linear(op) => op.component == Component::Recurrent,
            Op::Recurrent(_) => true,
            _ => false,
        };
        let Some(first) = ops.iter().position(recurs) else { return Ok(()) };
        let last = ops.iter().rposition(recurs).unwrap_or(first);
        let (ops, cuts) = (&ops[first..=last], &mut cuts[first..=last]);
        let shares = self.shares(ops)?;
        let share_of = |width: u64| {
            shares.widths.iter().find(|[whole, _]| *whole == width).map(|[_, share]| *share)
        };
        let mut convolved = false;
        for (at, (op, cut)) in ops.iter().zip(cuts.iter_mut()).enumerate() {
            convolved |= matches!(op, Op::Recurrent(_));
            *cut = match op {
                Op::Linear(linear) if linear.component == Component::Recurrent => {
                    let reads_inner = linear.from == shares.inner[0];
                    let ends = at + 1 == ops.len() && linear.to == self.hidden;
                    if reads_inner && (ends || (convolved && shares.selects())) {
                        Cut::Inputs(shares.inner[1])
                    } else if let Some(share) = share_of(linear.to) {
                        if share * self.plan.tensor != linear.to {
                            self.replicated.insert(linear.module);
                        }
                        Cut::Outputs(share)
                    } else if shares.is_low_rank(linear, self.hidden) {
                        Cut::Whole
                    } else {
                        return Err(unknown("tensor", linear.module));
                    }
                }
                Op::Recurrent(Recurrent { module, kind, .. }) => {
                    let part = match (kind, shares.kind) {
                        (RecurrentKind::Convolution(it), _) if it.group == 1 => {
                            share_of(it.channels).map(|channels| {
                                RecurrentKind::Convolution(Convolution { channels, ..*it })
                            })
                        }
                        (kind, Some([whole, part])) if *kind == whole => Some(part),
                        _ => None,
                    };
                    Cut::Recurrence(part.ok_or_else(|| unknown("tensor", module))?)
                }
                Op::Vector(vector) => share_of(vector.elements)
                    .map_or(Cut::Whole, |share| shares.vector(vector, share)),
                _ => continue,
            };
        }
        match (ops.last(), cuts.last()) {
            // Nothing adds up what the ranks have.
            (Some(last), Some(cut)) if !matches!(cut, Cut::Inputs(_)) => {
                Err(unknown("tensor", last.module()))
            }
            _ => Ok(()),
        }
    }

    /// What a rank has of the recurrence that stands among some ops.
    fn shares(&self, ops: &[&Op]) -> Result<Shares> {
        let ranks = self.plan.tensor;
        let share = |what: &str, count: u64| size::share("tensor", what, count, ranks);
        let (mut channels, mut scan, mut module) = (0_u64, None, "convolution");
        for op in ops {
            match op {
                Op::Recurrent(Recurrent {
                    kind: RecurrentKind::Convolution(it),
                    module: of,
                    ..
                }) => {
                    channels = channels.saturating_add(it.channels);
                    module = of;
                }
                Op::Recurrent(op) if scan.is_none() => (scan, module) = (Some(op.kind), op.module),
                Op::Recurrent(op) => return Err(unknown("tensor", op.module)),
                _ => {}
            }
        }
        let even = |inner: u64, widths: &[u64], kind: Option<[RecurrentKind; 2]>| Shares {
            inner: [inner, inner / ranks],
            widths: widths.iter().map(|width| [*width, width / ranks]).collect(),
            kind,
            groups: 1,
        };
        Ok(match scan {
            None => {
                share("channels of a convolution", channels)?;
                even(channels, &[channels, 3 * channels], None)
            }
            Some(whole @ RecurrentKind::Selective { channels, state }) => {
                let part = share("channels of a recurrent layer", channels)?;
                let kind = RecurrentKind::Selective { channels: part, state };
                let widths = [channels, 2 * channels, channels * state];
                even(channels, &widths, Some([whole, kind]))
            }
            Some(whole @ RecurrentKind::Dual { heads, head, state, chunk }) => {
                let own = share("heads of a recurrent layer", heads)?;
                let groups = channels.saturating_sub(heads * head) / (2 * state).max(1);
                let part =
                    if groups == 1 { 1 } else { share("groups of a recurrent layer", groups)? };
                let convolved = |heads: u64, groups: u64| heads * head + 2 * groups * state;
                let projected = |heads, groups| convolved(heads, groups) + heads * head + heads;
                let kind = RecurrentKind::Dual { heads: own, head, state, chunk };
                Shares {
                    inner: [heads * head, own * head],
                    widths: vec![
                        [heads, own],
                        [heads * head, own * head],
                        [convolved(heads, groups), convolved(own, part)],
                        [projected(heads, groups), projected(own, part)],
                    ],
                    kind: Some([whole, kind]),
                    groups,
                }
            }
            Some(whole @ RecurrentKind::Delta { heads, key, value, by_channel }) => {
                let own = share("heads of a recurrent layer", heads)?;
                let values = heads * value;
                let keys = channels.saturating_sub(values) / 2;
                share("key heads of a recurrent layer", keys / key)?;
                let kind = RecurrentKind::Delta { heads: own, key, value, by_channel };
                // Steps and decays may stand side by side, where a head decays as one.
                let of_heads = if by_channel { heads } else { 2 * heads };
                let widths =
                    [heads, of_heads, keys, values, 2 * keys + values, 2 * keys + 2 * values];
                even(values, &widths, Some([whole, kind]))
            }
            Some(whole @ RecurrentKind::Lightning { heads, head, block }) => {
                let own = share("heads of a recurrent layer", heads)?;
                let kind = RecurrentKind::Lightning { heads: own, head, block };
                even(heads * head, &[heads * head, 3 * heads * head], Some([whole, kind]))
            }
            Some(
                RecurrentKind::Convolution(_)
                | RecurrentKind::Shift { .. }
                | RecurrentKind::Gated { .. }
                | RecurrentKind::Delayed { .. }
                | RecurrentKind::Weighted { .. }
                | RecurrentKind::Matrix { .. },
            ) => return Err(unknown("tensor", module)),
        })
    }
}

impl Shares {
    /// Whether what drives its state is made of its channels, as Mamba's x_proj does.
    fn selects(&self) -> bool {
        matches!(self.kind, Some([RecurrentKind::Selective { .. }, _]))
    }

    /// Whether it is the narrow half of a gate of Kimi's delta attention.
    fn is_low_rank(&self, linear: &Linear, hidden: u64) -> bool {
        match self.kind {
            Some([RecurrentKind::Delta { value, by_channel: true, .. }, _]) => {
                linear.from == hidden && linear.to == value
            }
            _ => false,
        }
    }

    /// What becomes of a vector that is as wide as a rank's heads or channels are together. A delta net's norm is of a
    /// head; one of all heads needs the squares of all ranks.
    fn vector(&self, vector: &Vector, share: u64) -> Cut {
        match self.kind {
            _ if !vector.module.ends_with("norm") => Cut::Outputs(share),
            Some([RecurrentKind::Delta { .. }, _]) => Cut::Whole,
            _ if self.groups == 1 => Cut::Norm(share),
            _ => Cut::Outputs(share),
        }
    }
}
