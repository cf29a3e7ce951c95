//! Low-rank adapters beside products that are cut.
//!
//! ```text
//! beside a product cut by its outputs    A whole, B by its outputs        (vLLM's lora/layers, without fully sharded
//! beside one cut by its inputs           A by its inputs, B whole         adapters; PEFT's tp_layer.py for Megatron)
//! ```
//!
//! Of a request what B makes of a rank's part is added up with the product's own result. A step adds up what A makes
//! before B reads it, and the gradient of what A makes where B is cut.

use super::cutter::{Cut, Cutter, unknown};
use super::exchange::{Collective, Exchange, Over};
use super::plan::Purpose;
use crate::component::Component;
use crate::error::Result;
use crate::op::{Linear, Op};

/// What tensor ranks are said to have whole of adapters.
const WHOLE: &str = "adapters";

impl Cutter<'_> {
    /// Adapters as the products that they stand beside, which are cut already.
    pub(super) fn cut_adapters(&mut self, ops: &[&Op], cuts: &mut [Cut]) -> Result<()> {
        for at in 0..ops.len() {
            let Some(adapter) = adapter(&ops[at]) else { continue };
            let base = ops.iter().position(|op| match op {
                Op::Linear(it) => {
                    it.module == adapter.module && !adapts(it) && it.experts.is_none()
                }
                _ => false,
            });
            let Some(base) = base else { return Err(unknown("tensor", adapter.module)) };
            // A stands before B.
            let beside = |op: &&Op| self::adapter(op).is_some_and(|it| it.module == adapter.module);
            let is_first = ops.iter().position(beside) == Some(at);
            cuts[at] = match cuts[base] {
                cut @ Cut::Outputs(_) if !is_first => cut,
                cut @ Cut::Inputs(_) if is_first => cut,
                _ => Cut::Whole,
            };
            if cuts[at] == Cut::Whole {
                self.replicated.insert(WHOLE);
            }
        }
        Ok(())
    }

    /// Adds what the ranks of a step exchange for a part of an adapter that is cut.
    pub(super) fn share_adapter(
        &self,
        part: &Linear,
        cut: Cut,
        layer: Option<u64>,
        exchange: &mut Exchange,
    ) {
        if self.purpose == Purpose::Inference {
            return;
        }
        let elements = match cut {
            // Forward, and again where it is computed again.
            Cut::Inputs(_) => part.to * (self.purpose.passes(layer) - 1),
            Cut::Outputs(_) => part.from,
            Cut::Whole | Cut::Norm(_) | Cut::Recurrence(_) => 0,
        };
        let kind = (Collective::AllReduce, WHOLE);
        exchange.add(kind, self.plan.tensor, (Over::All, 1), elements);
    }
}

fn adapts(linear: &Linear) -> bool {
    linear.component == Component::Adapter
}

fn adapter<'o>(op: &&'o Op) -> Option<&'o Linear> {
    match op {
        Op::Linear(linear) if adapts(linear) => Some(linear),
        _ => None,
    }
}
