//! A formula with the numbers of a model and of its passes put in.

use super::counting::{ATTENDED, Subject, Work};
use super::formula::{Choice, Formula};
use super::shape::Shape;
use crate::component::Component;
use crate::explain::Line;

impl Subject {
    /// The sizes that a formula is over, and what it makes of them, a line a component.
    pub fn lines(&self, formula: &Formula, work: &Work) -> Option<Vec<Line>> {
        let Shape { layers, hidden, vocabulary, parameters, .. } = self.shape;
        let sizes = [
            ("T", "tokens of the step", work.tokens),
            ("L", "layers", layers),
            ("h", "width of the model", hidden),
            ("V", "vocabulary", vocabulary),
            ("N", "all parameters", parameters),
        ];
        let size = |(symbol, what, value)| Line::new(symbol, what, "", value);
        let mut lines: Vec<Line> = sizes.into_iter().map(size).collect();
        for (component, flops) in self.count(formula, work)?.present() {
            let numbers = match ATTENDED.iter().position(|it| *it == component) {
                Some(at) => self.products(formula, work, at)?,
                None => product(flops, work.tokens)?,
            };
            let line = Line::new(component.name(), says(formula, component), numbers, flops);
            lines.push(line.counting(component, flops));
        }
        Some(lines)
    }

    /// Layers · width · twice the pairs, of each kind of layer.
    fn products(&self, formula: &Formula, work: &Work, at: usize) -> Option<String> {
        const MOST: usize = 8;
        let kinds = self.attention(formula, work)?;
        let mut numbers: Vec<String> = kinds
            .iter()
            .take(MOST)
            .map(|it| format!("{} · {} · {}", it.layers, it.widths[at], it.twice_the_pairs))
            .collect();
        if kinds.len() > MOST {
            numbers.push(format!("{} kinds of layers more", kinds.len() - MOST));
        }
        Some(numbers.join(" + "))
    }
}

/// Two for each element and token.
fn product(flops: u128, tokens: u128) -> Option<String> {
    let elements = flops.checked_div(tokens.checked_mul(2)?)?;
    Some(format!("2 · {elements} · {tokens}"))
}

/// What a formula counts of a component, choice by choice.
fn says(formula: &Formula, component: Component) -> String {
    let said: &[&str] = match component {
        Component::AttentionScores | Component::AttentionValues => &[
            "layers · width · twice the pairs",
            formula.documents.says(),
            formula.windows.says(),
            formula.pairs.says(),
            formula.widths.says(),
        ],
        Component::AttentionProjections => &[formula.projections.says(), formula.latents.says()],
        Component::Mlp => &[formula.feed_forward.says()],
        Component::MoeRouter => &[formula.routers.says()],
        Component::MoeExperts => &[formula.experts.says()],
        Component::MoeShared => &[formula.shared.says()],
        Component::Recurrent => &[formula.states.says()],
        Component::Head => &[formula.head.says()],
        Component::Parameters if formula.lumped => &[
            formula.size.says(),
            formula.weights.says(),
            formula.experts.says(),
            formula.token_table.says(),
            formula.other_tables.says(),
            formula.norms.says(),
            formula.head.says(),
        ],
        Component::Parameters => {
            &[formula.token_table.says(), formula.other_tables.says(), formula.norms.says()]
        }
        _ => &[formula.rest.says()],
    };
    said.join("; ")
}
