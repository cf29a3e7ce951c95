//! Tokens and pairs of a run of passes, in the form that a pocket calculator takes.

use super::Line;
use crate::passes::{Mask, Passes};
use crate::workload::Run;

/// `before` is for what runs before the prefill, over positions that are not the decoder's.
pub(super) fn tokens_line(run: Run, before: bool) -> Option<Line> {
    let tokens = run.passes.tokens()?;
    Some(match run.passes {
        _ if before => Line::new("tokens", "positions of the one pass", tokens.to_string(), tokens),
        Passes::Prefill { past, new } => Line::new(
            "tokens",
            "prompt − cached",
            format!("{} − {past}", u128::from(past) + u128::from(new)),
            tokens,
        ),
        Passes::Decode { count, .. } => Line::new(
            "tokens",
            "generated − 1 (the last is never fed back)",
            format!("{} − 1", u128::from(count) + 1),
            tokens,
        ),
        Passes::Recompute { first, count } => Line::new(
            "tokens",
            "Σ over passes of all tokens before the new one: n·first + n·(n − 1)/2",
            format!("{count}·{first} + {count}·({count} − 1)/2"),
            tokens,
        ),
    })
}

/// The sum of pairs, in the form that a pocket calculator takes.
pub(super) fn pairs_line(passes: Passes, mask: Mask, rectangles: bool) -> Option<Line> {
    let shown = named(mask);
    if rectangles {
        let squares = passes.squares(mask)?;
        let window = match mask {
            Mask::Sliding { window: size } | Mask::Chunked { chunk: size } => Some(size),
            _ => None,
        };
        let name = format!("squares ({shown})");
        if let Mask::Compressed { every, .. } = mask {
            return Some(entries_line(name, passes, every, squares));
        }
        return Some(match (passes, window) {
            (Passes::Prefill { past, new }, None) => Line::new(
                name,
                "new · (cached + new)",
                format!("{new} · ({past} + {new})"),
                squares,
            ),
            (Passes::Prefill { past, new }, Some(window)) => Line::new(
                name,
                "new · (min(cached, window − 1) + new)",
                format!("{new} · (min({past}, {window} − 1) + {new})"),
                squares,
            ),
            (Passes::Decode { past, count }, window) => {
                let mask = window.map_or(Mask::Causal, |window| Mask::Sliding { window });
                let (formula, numbers) = seen(past, count, mask);
                Line::new(name, formula, numbers, squares)
            }
            (Passes::Recompute { first, count }, _) => Line::new(
                name,
                "Σ of the squares of first … first + n − 1",
                format!("Σ {first}² … {}²", u128::from(first) + u128::from(count) - 1),
                squares,
            ),
        });
    }
    let pairs = passes.pairs(mask)?;
    let name = format!("pairs ({shown})");
    Some(match passes {
        Passes::Prefill { past, new } if !mask.keeps_cache() => {
            let (formula, numbers) = seen_by_all(past, new, mask);
            Line::new(name, formula, numbers, pairs)
        }
        Passes::Prefill { past, new: count } | Passes::Decode { past, count } => {
            let (formula, numbers) = seen(past, count, mask);
            Line::new(name, formula, numbers, pairs)
        }
        Passes::Recompute { first, count } => Line::new(
            name,
            "Σ over prompts of first … first + n − 1 tokens of the pairs of each",
            format!("n = {count}, first = {first}"),
            pairs,
        ),
    })
}

/// New tokens times the entries that are there at the end of their pass.
fn entries_line(name: String, passes: Passes, every: u64, squares: u128) -> Line {
    match passes {
        Passes::Prefill { past, new } => Line::new(
            name,
            "new · ⌊(cached + new) ÷ positions an entry⌋",
            format!("{new} · ⌊({past} + {new}) ÷ {every}⌋"),
            squares,
        ),
        Passes::Decode { past, count } | Passes::Recompute { first: past, count } => Line::new(
            name,
            "Σ over passes of new · ⌊(cached + new) ÷ positions an entry⌋",
            format!("n = {count}, first = {past}, {every} positions an entry"),
            squares,
        ),
    }
}

/// What `new` tokens of one pass after `past` others see, those after them included.
fn seen_by_all(past: u64, new: u64, mask: Mask) -> (String, String) {
    match mask {
        Mask::Around { before, after } => {
            let rising =
                |others| seen(0, new, Mask::Sliding { window: u64::saturating_add(others, 1) }).1;
            (
                "before and itself + itself and after − itself, each a window".into(),
                format!("({}) + ({}) − {new}", rising(before), rising(after)),
            )
        }
        _ => ("n·(before + n)".into(), format!("{new}·({past} + {new})")),
    }
}

/// What `count` tokens after `past` others see.
fn seen(past: u64, count: u64, mask: Mask) -> (String, String) {
    let rising = |past: u64, count: u64| format!("{count}·{past} + {count}·({count} + 1)/2");
    match mask {
        // In passes of one token there is none after it.
        Mask::Causal | Mask::Full => ("n·before + n·(n + 1)/2".into(), rising(past, count)),
        Mask::Around { before, .. } => {
            seen(past, count, Mask::Sliding { window: before.saturating_add(1) })
        }
        Mask::Sliding { window } | Mask::Selected { most: window } => {
            // Tokens that still see everything, then tokens that see a full window.
            let inside = window.saturating_sub(past).min(count);
            let full = count - inside;
            (
                "i·before + i·(i + 1)/2 + full·window, i tokens inside the window".into(),
                format!("{} + {full}·{window}", rising(past.min(window), inside)),
            )
        }
        Mask::Compressed { every, most } => (
            "Σ over i = before + 1 … before + n of ⌊i ÷ positions an entry⌋, or the most".into(),
            format!(
                "i = {past} + 1 … {past} + {count}, {every} positions{}",
                most.map(|most| format!(", {most} entries")).unwrap_or_default()
            ),
        ),
        Mask::Blocks { size, most, own } => (
            format!(
                "Σ over i = before + 1 … before + n of whole blocks{} · size, at most some, and the open one",
                if own { " before its own" } else { "" }
            ),
            format!("i = {past} + 1 … {past} + {count}, {size} positions a block, {most} blocks"),
        ),
        Mask::Chunked { chunk } => {
            let prefix = |n: u128| {
                let (whole, rest) = (n / u128::from(chunk), n % u128::from(chunk));
                format!("{whole}·{chunk}·({chunk} + 1)/2 + {rest}·({rest} + 1)/2")
            };
            (
                "S(before + n) − S(before), S(m) = chunks·chunk·(chunk + 1)/2 + rest·(rest + 1)/2"
                    .into(),
                format!(
                    "({}) − ({})",
                    prefix(u128::from(past) + u128::from(count)),
                    prefix(past.into())
                ),
            )
        }
    }
}

/// The name of what a token sees.
pub(crate) fn named(mask: Mask) -> String {
    match mask {
        Mask::Causal => "causal".to_owned(),
        Mask::Sliding { window } => format!("window {window}"),
        Mask::Chunked { chunk } => format!("chunks of {chunk}"),
        Mask::Selected { most } => format!("the best {most}"),
        Mask::Compressed { every, most: None } => format!("entries of {every}"),
        Mask::Compressed { every, most: Some(most) } => {
            format!("the best {most} entries of {every}")
        }
        Mask::Blocks { size, most, .. } => format!("the best {most} blocks of {size}"),
        Mask::Full => "all".to_owned(),
        Mask::Around { before, after } => format!("{before} before, {after} after"),
    }
}
