//! Products, cut, and what tensor and expert ranks exchange for them.

use super::Parallelism;
use super::cutter::{Cut, Cutter};
use super::exchange::{Collective, Exchange, Over};
use super::plan::Purpose;
use crate::component::Component;
use crate::error::Result;
use crate::op::Linear;

impl Cutter<'_> {
    pub(super) fn linear(&self, linear: &Linear, cut: Cut) -> Result<Linear> {
        // A bias of some of the outputs alone is shared out with them where it can be.
        let of = |bias: u64, part: u64, whole: u64| {
            // A vocabulary's share may be more than the whole, which is padded.
            let ranks = (whole / part).max(1);
            if bias.is_multiple_of(ranks) { bias / ranks } else { bias }
        };
        let mut part = match cut {
            Cut::Whole | Cut::Norm(_) | Cut::Recurrence(_) => *linear,
            Cut::Outputs(to) => {
                let bias =
                    if linear.bias == linear.to { to } else { of(linear.bias, to, linear.to) };
                Linear { to, bias, ..*linear }
            }
            Cut::Inputs(from) => Linear { from, ..*linear },
        };
        if let Some(experts) = linear.experts {
            part.experts = Some(self.experts(&part, experts)?);
        }
        // The table is on the first stage, the head on the last.
        part.shared_weights &= self.plan.pipeline == 1;
        Ok(part)
    }

    /// Adds what tensor and expert ranks exchange for a product.
    pub(super) fn exchange(
        &self,
        linear: &Linear,
        cut: Cut,
        layer: Option<u64>,
        summed: &mut bool,
        exchange: &mut Exchange,
    ) {
        let Parallelism { tensor, sequence, .. } = *self.plan;
        let passes = self.purpose.passes(layer);
        let trains = self.purpose != Purpose::Inference;
        let of = match (linear.component, cut) {
            (Component::Head, Cut::Outputs(share)) if !trains => {
                let rows = (linear.rows.into(), 1);
                exchange.add((Collective::AllGather, "logits"), tensor, rows, share * tensor);
                return;
            }
            // The head's inputs have a gradient that its ranks add up.
            (Component::Head, Cut::Outputs(_)) => {
                exchange.add_sum("gradients before the head", tensor, sequence, self.hidden);
                // The largest logit, the sum of exponentials and the token's own logit, in 32 bits each (Megatron's
                // tensor_parallel/cross_entropy.py).
                let kind = (Collective::AllReduce, "sums of the loss");
                exchange.add_bits(kind, tensor, (Over::All, 1), 3 * 32);
                return;
            }
            (Component::AttentionProjections, Cut::Inputs(_)) => "attention",
            (Component::EmbeddingProjections, Cut::Outputs(_)) => {
                let (of, rows) = ("joined hidden states", (Over::All, 1));
                let forward = (passes - 1) * self.hidden;
                exchange.add((Collective::AllGather, of), tensor, rows, forward);
                exchange.add((Collective::AllReduce, of), tensor, rows, linear.from);
                return;
            }
            (Component::Adapter, cut) => {
                self.share_adapter(linear, cut, layer, exchange);
                return;
            }
            // What drives the state is summed before it does, of all tokens.
            (Component::Recurrent, Cut::Inputs(_)) if linear.to != self.hidden => {
                let kind = (Collective::AllReduce, "what drives recurrent layers");
                exchange.add(kind, tensor, (Over::All, 1), passes * linear.to);
                return;
            }
            (Component::Recurrent, Cut::Inputs(_)) => "recurrent layers",
            (Component::MoeExperts, Cut::Inputs(_)) => {
                if let Some(experts) = linear.experts.filter(|_| self.plan.dispatches()) {
                    self.dispatch(experts.active, passes, exchange);
                    return;
                }
                "experts"
            }
            (Component::MoeShared, Cut::Inputs(_)) if self.plan.dispatches() => "shared experts",
            (Component::MoeShared, Cut::Inputs(_)) => "experts",
            (_, Cut::Inputs(_)) => "feed-forward layers",
            _ => return,
        };
        // Routed and shared experts are added up before the ranks' results are.
        if of == "experts" && std::mem::replace(summed, true) {
            return;
        }
        exchange.add_sum(of, tensor, sequence, passes * self.hidden);
        if sequence && trains {
            // What a product read is gathered once more for the gradient of its weights (section 4.2.2).
            let rows = (Over::All, 1);
            exchange.add((Collective::AllGather, of), tensor, rows, self.hidden);
        }
    }
}
