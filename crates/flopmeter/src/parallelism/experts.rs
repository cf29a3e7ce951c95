//! Experts, shared out whole or each by its inner width, and the tokens that go to them.

use super::Parallelism;
use super::cutter::Cutter;
use super::exchange::{Collective, Exchange, Over};
use super::size;
use crate::error::{Error, ErrorKind, Result};
use crate::op::{Experts, Linear, Spread};

impl Cutter<'_> {
    /// The experts of a rank, whose product is `part`.
    pub(super) fn experts(&self, part: &Linear, experts: Experts) -> Result<Experts> {
        let Parallelism { tensor, expert, .. } = *self.plan;
        let held = size::share("expert", "experts", experts.total, expert)?;
        let shared_by = tensor / self.plan.expert_tensor();
        let row = 2 * u128::from(part.from) * u128::from(part.to) * u128::from(experts.active);
        if !row.is_multiple_of(shared_by.into()) {
            let fact = format!("{} experts of a token cannot be shared evenly", experts.active);
            return Err(Error::new(ErrorKind::Parallelism, "tensor", fact));
        }
        let ranks = expert * self.plan.expert_tensor();
        let common = greatest_common_divisor(ranks, tensor);
        let meets = [ranks / common, tensor / common];
        Ok(Experts { spread: Spread { held, shared_by, meets }, ..experts })
    }

    /// `copies` of every token go to their experts and come back, so often; of those on all tensor ranks, each sends
    /// its share.
    pub(super) fn dispatch(&self, copies: u64, passes: u64, exchange: &mut Exchange) {
        let Parallelism { tensor, sequence, expert, .. } = *self.plan;
        let (ranks, rows) = (self.plan.expert_tensor(), (Over::All, tensor));
        let elements = passes * copies * self.hidden;
        let on_all = elements.saturating_mul(ranks);
        let [there, back] = ["tokens to their experts", "results of experts"];
        exchange.add((Collective::AllToAll, there), expert, rows, elements);
        exchange.add((Collective::AllGather, there), ranks, rows, on_all);
        exchange.add((Collective::ReduceScatter, back), ranks, rows, on_all);
        exchange.add((Collective::AllToAll, back), expert, rows, elements);
        if !sequence {
            let elements = passes * self.hidden;
            exchange.add((Collective::AllGather, back), tensor, (Over::All, 1), elements);
        }
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
