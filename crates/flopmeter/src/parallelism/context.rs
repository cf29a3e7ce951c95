//! Attention among ranks that share the tokens of a sequence.
//!
//! ```text
//! a step     all before it   keys and values are gathered forward and backward, and the gradients of them added up and
//!                            scattered (Llama Team, arXiv:2407.21783, section 3.3.2); a ring that passes them on (Liu et
//!                            al., arXiv:2310.01889) sends as many bytes
//!            a window        all tokens of a share of the heads instead of a share of the tokens, and back (Jacobs et al.,
//!                            arXiv:2309.14509): Transformer Engine's ring knows no windows
//! a request                  keys and values as the cache keeps them are gathered before they are cached, and the cache is
//!                            whole on each; so are hidden states before the head (vLLM's prefill context parallelism)
//! ```
//!
//! Of latent attention a step gathers keys and values as they are expanded (Megatron), a request latents, which each
//! rank expands as far as it sees them.

use super::cutter::{Cutter, unknown};
use super::exchange::{Collective, Exchange, Over};
use super::plan::Purpose;
use super::size;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use crate::op::{Attention, Latent, Op};
use crate::passes::Mask;

const KEYS_AND_VALUES: &str = "keys and values";

/// An error for what ranks cannot share the tokens of.
pub(super) fn check(model: &Model) -> Result<()> {
    let wrong = |fact: &str| Err(Error::new(ErrorKind::Parallelism, "context", fact));
    if model.sees_prompt_whole() {
        return wrong("is not known here for tokens that see those after them");
    }
    if !model.stacks().is_empty() && !model.perceives() {
        return wrong("is not known here for an encoder before the decoder");
    }
    Ok(())
}

impl Cutter<'_> {
    /// Adds what the ranks exchange for an op, which is cut already.
    pub(super) fn share_context(
        &self,
        op: &Op,
        layer: Option<u64>,
        exchange: &mut Exchange,
    ) -> Result<()> {
        let ranks = self.plan.context;
        if ranks == 1 {
            return Ok(());
        }
        if self.purpose == Purpose::Inference {
            let elements = kept_of_token(op)?;
            let kind = (Collective::AllGather, KEYS_AND_VALUES);
            exchange.add(kind, ranks, (Over::Prompt, 1), elements.saturating_mul(ranks));
            return Ok(());
        }
        let passes = self.purpose.passes_of_attention(layer);
        let elements = match *op {
            Op::Attention(attention) if attention.mask == Mask::Causal => {
                attention.kv_heads * (attention.qk_dim + attention.v_dim)
            }
            Op::Attention(attention) if matches!(attention.mask, Mask::Sliding { .. }) => {
                let elements = passes * heads_exchanged(&attention, ranks)?;
                let kind = (Collective::AllToAll, "heads of attention to windows");
                exchange.add(kind, ranks, (Over::All, 1), elements);
                return Ok(());
            }
            Op::Latent(Latent { heads, nope, rope, value, mask: Mask::Causal, .. }) => {
                heads * (nope + rope + value)
            }
            ref other => return token_by_token(other),
        };
        let gradients = (Collective::ReduceScatter, "gradients of keys and values");
        let kind = (Collective::AllGather, KEYS_AND_VALUES);
        exchange.add(kind, ranks, (Over::All, 1), passes * ranks * elements);
        exchange.add(gradients, ranks, (Over::All, 1), ranks * elements);
        Ok(())
    }
}

/// Elements of queries, keys, values and results of a token, all heads of which some ranks share.
fn heads_exchanged(attention: &Attention, ranks: u64) -> Result<u64> {
    let Attention { heads, kv_heads, qk_dim, v_dim, .. } = *attention;
    for (what, heads) in [("heads", heads), ("KV heads", kv_heads)] {
        size::share("context", &format!("{what} of a tensor rank"), heads, ranks)?;
    }
    Ok((heads + kv_heads) * (qk_dim + v_dim))
}

/// Elements that a request's cache keeps of a token.
fn kept_of_token(op: &Op) -> Result<u64> {
    let attends = |mask| {
        matches!(
            mask,
            Mask::Causal | Mask::Sliding { .. } | Mask::Chunked { .. } | Mask::Selected { .. }
        )
    };
    let kept = match op {
        Op::Attention(op) if attends(op.mask) && op.shares_cache => 0,
        Op::Attention(op) if attends(op.mask) => op.cached_elements_per_token(),
        Op::Latent(op) if attends(op.mask) => op.cached_elements_per_token(),
        Op::Indexer(op) if attends(op.mask) => op.cached_elements_per_token(),
        other => return token_by_token(other).map(|()| 0),
    };
    // A width is at most 2^24, and heads are as many.
    Ok(u64::try_from(kept).unwrap_or(u64::MAX))
}

/// An error for what does not do with each token by itself.
fn token_by_token(op: &Op) -> Result<()> {
    match op {
        Op::Linear(_) | Op::Product(_) | Op::Table(_) | Op::Vector(_) => Ok(()),
        Op::Idle(op) => token_by_token(op),
        Op::Attention(_)
        | Op::Cross(_)
        | Op::DistanceScores(_)
        | Op::Indexer(_)
        | Op::Latent(_)
        | Op::Local(_)
        | Op::Recurrent(_) => Err(unknown("context", op.module())),
    }
}
