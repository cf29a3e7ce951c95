//! What the FLOPs of an op are a product of.

use crate::op::{Form, HeadSum, Indexer, Latent, Linear, LocalAmount, Recurrent, Rows};
use crate::passes::Passes;
use crate::workload::Run;

pub(super) fn linear_factors(
    linear: &Linear,
    run: &Run,
    by_reference: bool,
) -> Option<Vec<(&'static str, u128)>> {
    let mut factors =
        vec![("2", 2), ("in", u128::from(linear.from)), ("out", u128::from(linear.to))];
    if let Some(experts) = linear.experts {
        factors.push(if by_reference {
            ("experts run", experts.run_by_reference.into())
        } else {
            ("experts a token", experts.active.into())
        });
    }
    factors.push(match linear.rows {
        Rows::Sampled if !by_reference => ("sampled", run.sampled.into()),
        Rows::Anew { cache } if by_reference => {
            ("cached and new tokens", run.passes.context(cache)?)
        }
        Rows::Filled { to, more, beyond } if by_reference => {
            let tokens = u64::try_from(run.passes.tokens()?).ok()?;
            ("tokens, filled up", LocalAmount::Filled { to, more, beyond }.of(tokens)?)
        }
        Rows::All | Rows::Sampled | Rows::Anew { .. } | Rows::Filled { .. } => {
            ("tokens", run.passes.tokens()?)
        }
        Rows::SumsOf(every) => ("sums of tokens", run.passes.tokens()? / u128::from(every)),
        Rows::Distances(distances) => {
            let tokens = u64::try_from(run.passes.tokens()?).ok()?;
            ("distances, once for the batch", distances.rows(tokens))
        }
        Rows::Pass => ("passes", run.passes.count().into()),
        Rows::Source => ("positions of the source, where it is computed", run.source_rows()),
    });
    Some(factors)
}

/// The terms of a recurrence, each a product.
pub(super) fn recurrent_factors(
    op: &Recurrent,
    passes: Passes,
    by_reference: bool,
) -> Option<Vec<Vec<(&'static str, u128)>>> {
    let mut terms: Vec<Vec<(&'static str, u128)>> = Vec::new();
    if by_reference {
        for term in op.kind.by_reference()? {
            let amount = (term.name, term.amount.of(passes)?);
            terms.push(term.sizes.into_iter().chain([amount]).collect());
        }
        terms.retain(|term| term.iter().all(|(_, value)| *value > 0));
    } else {
        terms.push(op.kind.needed().into());
        terms[0].push(("tokens", passes.tokens()?));
    }
    for term in &mut terms {
        term.retain(|(symbol, _)| !symbol.is_empty());
    }
    Some(terms)
}

/// The product of an indexer's scores.
pub(super) fn indexer_factors(
    op: &Indexer,
    passes: Passes,
    by_reference: bool,
) -> Option<[(&'static str, u128); 4]> {
    let summed = match op.sum {
        HeadSum::Product => true,
        HeadSum::Elements => !by_reference,
        HeadSum::None => false,
    };
    let width = if summed { "(width + 1 for the sum)" } else { "width" };
    let pairs = if by_reference && !op.only_pairs {
        ("squares", passes.squares(op.mask)?)
    } else {
        ("pairs", passes.pairs(op.mask)?)
    };
    let width = (width, u128::from(op.dim) + u128::from(summed));
    Some([("2", 2), ("heads", op.heads.into()), width, pairs])
}

pub(super) fn latent_factors(
    op: &Latent,
    form: Form,
    passes: Passes,
    rectangles: bool,
) -> Option<[Vec<(&'static str, u128)>; 3]> {
    let heads = ("heads", u128::from(op.heads));
    let mask = if rectangles { op.cache_mask() } else { op.mask };
    let (symbol, pairs) = if rectangles {
        ("squares", passes.squares(mask)?)
    } else {
        ("pairs", passes.pairs(mask)?)
    };
    let (tokens, key, value) = match form {
        Form::Expanded => (
            "cached and new tokens (expanded)",
            ("nope + rope", op.nope + op.rope),
            ("value", op.value),
        ),
        Form::Absorbed => {
            ("new tokens (absorbed)", ("rank + rope", op.rank + op.rope), ("rank", op.rank))
        }
    };
    let expanded = form.expanded_tokens(passes, mask)?;
    Some([
        vec![
            ("2", 2),
            ("rank", op.rank.into()),
            heads,
            ("(nope + value)", u128::from(op.nope) + u128::from(op.value)),
            (tokens, expanded),
        ],
        vec![("2", 2), heads, (key.0, key.1.into()), (symbol, pairs)],
        vec![("2", 2), heads, (value.0, value.1.into()), (symbol, pairs)],
    ])
}
