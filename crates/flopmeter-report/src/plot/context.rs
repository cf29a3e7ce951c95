//! What a prompt costs, and a token after it, over the length of the prompt.

use super::{Axis, Chart, Look, Panel, Scale, Series, Subject};
use flopmeter::{Component, Phase, Result};

/// FLOPs above, bytes below.
pub fn context(subject: &Subject, lengths: &[u64]) -> Result<Chart> {
    let mut flops: [Vec<(f64, f64)>; 4] = Default::default();
    let mut bytes: [Vec<(f64, f64)>; 4] = Default::default();
    // One token of the prefill, and one of a decode pass, where there is one.
    let generate = if subject.source.model.generates() { 2 } else { 1 };
    for &length in lengths {
        let point = subject.point(length, generate, 1)?;
        let x = length as f64;
        for (at, phase) in Phase::ALL.into_iter().enumerate() {
            let counts = point.flops.phase(phase);
            let attention = counts[Component::AttentionScores]
                .saturating_add(counts[Component::AttentionValues]);
            // Parts of a total that fits.
            let all = counts.total().unwrap_or(point.flops.total);
            flops[2 * at].push((x, all as f64));
            flops[2 * at + 1].push((x, attention as f64));
            let moved = [point.bytes.prefill, point.bytes.decode][at];
            bytes[at].push((x, moved.read.saturating_add(moved.written) as f64));
        }
        bytes[2].push((x, point.bytes.kv_cache as f64));
        bytes[3].push((x, point.bytes.weights as f64));
    }
    let series =
        |name: &str, points, look, colour| Series { name: name.into(), points, look, colour };
    let [prompt, prompt_pairs, token, token_pairs] = flops;
    let [prompt_moved, token_moved, cache, weights] = bytes;
    let attention = "of it attention's scores and values";
    Ok(Chart {
        title: format!("Cost over context of {}", subject.name()),
        said: subject.said("a prompt, and one token after it; "),
        x: Axis { label: "context, tokens", unit: "", scale: Scale::Doublings },
        panels: vec![
            Panel {
                y: Axis { label: "FLOPs", unit: "FLOP", scale: Scale::Decades },
                series: vec![
                    series("prompt", prompt, Look::Line, 0),
                    series(attention, prompt_pairs, Look::Dashes, 0),
                    series("next token", token, Look::Line, 1),
                    series(attention, token_pairs, Look::Dashes, 1),
                ],
                from: None,
            },
            Panel {
                y: Axis { label: "bytes", unit: "B", scale: Scale::Decades },
                series: vec![
                    series("moved, prompt", prompt_moved, Look::Line, 0),
                    series("moved, next token", token_moved, Look::Line, 1),
                    series("held, KV cache", cache, Look::Dashes, 2),
                    series("held, weights", weights, Look::Dashes, 3),
                ],
                from: None,
            },
        ],
    })
}
