//! The cache of a request among tensor ranks that would each keep the same of it, shared by tokens.
//!
//! ```text
//! prefill   what is cached is gathered; new tokens' keys and values are on each of the ranks
//! decode    queries of all heads are gathered, each rank attends with them to its tokens, and the results, weighed by
//!           their sums of exponentials, are added up and scattered by heads
//! ```
//!
//! As vLLM's decode context parallelism does it (docs/serving/context_parallel_deployment.md): tokens go to the ranks in
//! turn, so that one has a token more than another at most; FLOPs are as many as without, and taken to be even.

use super::attention::Heads;
use super::cutter::{Cutter, unknown};
use super::exchange::{Collective, Exchange, Over};
use super::plan::{Parallelism, Purpose};
use super::size;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use crate::op::{Attention, Latent, Op};
use crate::passes::Mask;

/// An error for what cannot be shared so.
pub(super) fn check(model: &Model, plan: &Parallelism, purpose: Purpose) -> Result<()> {
    const PLACE: &str = "decode context";
    if purpose != Purpose::Inference {
        return Err(Error::new(ErrorKind::Parallelism, PLACE, "is of requests"));
    }
    size::share(PLACE, "tensor ranks", plan.tensor, plan.decode_context)?;
    for op in model.groups().iter().flat_map(|group| &group.ops) {
        let copies = match op {
            Op::Attention(op) if op.mask == Mask::Causal => {
                plan.tensor / op.kv_heads.min(plan.tensor)
            }
            Op::Latent(op) if op.mask == Mask::Causal => plan.tensor,
            Op::Recurrent(_) | Op::Indexer(_) => return Err(unknown(PLACE, op.module())),
            other if Heads::of(other).is_some() => return Err(unknown(PLACE, other.module())),
            _ => continue,
        };
        if !copies.is_multiple_of(plan.decode_context) {
            let what = match copies {
                1 => "is on one tensor rank alone".to_owned(),
                copies => format!("is on {copies} tensor ranks"),
            };
            let fact = format!("is {}, and a KV head {what}", plan.decode_context);
            let will_do = |ranks| copies.is_multiple_of(ranks);
            return Err(size::uneven(PLACE, fact, plan.decode_context, will_do));
        }
    }
    Ok(())
}

/// A stage's model whose caches some ranks share.
pub(super) fn sharing(model: &Model, cache_ranks: u64) -> Result<Model> {
    let sharing = |op: &Op| match op {
        Op::Attention(op) => Op::Attention(Attention { cache_ranks, ..*op }),
        Op::Latent(op) => Op::Latent(Latent { cache_ranks, ..*op }),
        other => other.clone(),
    };
    model.clone().with_ops(|_, ops| Ok(ops.iter().map(sharing).collect()))
}

impl Cutter<'_> {
    /// Adds what the ranks exchange for an attention, which is cut already.
    pub(super) fn share_cache(&self, op: &Op, exchange: &mut Exchange) {
        let ranks = self.plan.decode_context;
        if ranks == 1 {
            return;
        }
        // Of latents a decode attends in the form that is absorbed.
        let (heads, query, result, kept) = match op {
            Op::Attention(op) => {
                (op.heads, op.qk_dim, op.v_dim, op.kv_heads * (op.qk_dim + op.v_dim))
            }
            Op::Latent(op) => (op.heads, op.rank + op.rope, op.rank, op.rank + op.rope),
            _ => return,
        };
        let (cached, decoded) = ((Over::Cached, 1), (Over::Decoded, 1));
        let gather = |of| (Collective::AllGather, of);
        let all = |factors: [u64; 3]| factors.into_iter().fold(1, u64::saturating_mul);
        exchange.add(gather("cached keys and values"), ranks, cached, kept);
        exchange.add(gather("queries"), ranks, decoded, all([ranks, heads, query]));
        let sums = all([32 * ranks, ranks, heads]);
        exchange.add_bits(gather("sums of exponentials"), ranks, decoded, sums);
        let results = (Collective::ReduceScatter, "results of attention");
        exchange.add(results, ranks, decoded, all([ranks, heads, result]));
    }
}
