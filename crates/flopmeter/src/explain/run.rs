//! The lines of one run: of the layers before a prefill, of a prefill or of a decode phase.

use super::Line;
use super::factors::{indexer_factors, latent_factors, linear_factors, recurrent_factors};
use super::tokens::{pairs_line, tokens_line};
use crate::component::Component;
use crate::convention::Rule;
use crate::model::Group;
use crate::op::{Attention, Form, Op, Rows};
use crate::passes::Mask;
use crate::perception::Load;
use crate::stack::{Reads, Stack};
use crate::workload::Run;

/// What the lines of a run depend on beside its layers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    pub run: Run,
    /// Equal sequences.
    pub count: u64,
    pub rule: Rule,
    /// Whether it is the longest sequence of its batch, with which stands what a batch does once.
    pub leads: bool,
    /// What all of it is counted under, if it is one component.
    pub component: Option<Component>,
}

type Factors = Vec<(&'static str, u128)>;

impl Lines {
    /// The lines of some groups of layers.
    pub fn of(&self, groups: &[Group]) -> Option<Vec<Line>> {
        let Run { passes, sampled, source, .. } = self.run;
        let by_reference = self.rule == Rule::ByReference;
        let mut lines = vec![tokens_line(self.run, self.component.is_some())?];
        if !by_reference && self.component.is_none() {
            lines.push(Line::new(
                "sampled",
                "passes after which a token is sampled",
                sampled.to_string(),
                sampled,
            ));
        }
        if source > 0 {
            let name = "positions of the source";
            lines.push(Line::new(name, "what the encoder gives", source.to_string(), source));
        }
        let mut masks: Vec<(Mask, bool)> = Vec::new();
        for op in groups.iter().flat_map(|group| &group.ops) {
            let mask = match op {
                Op::Attention(op) if by_reference => (op.cache_mask, true),
                Op::Attention(op) => (op.mask, false),
                Op::Indexer(op) => (op.mask, by_reference && !op.only_pairs),
                Op::Latent(op) if by_reference => (op.cache_mask(), true),
                Op::Latent(op) => (op.mask, false),
                _ => continue,
            };
            if !masks.contains(&mask) {
                masks.push(mask);
                let mut line = pairs_line(passes, mask.0, mask.1)?;
                let ahead = self.run.pairs_ahead(mask.0);
                if !mask.1 && ahead > 0 {
                    line.formula += " + pairs of a token with one after it that it sees";
                    line.numbers += &format!(" + {ahead}");
                    line.result = self.run.pairs(mask.0)?.to_string();
                }
                lines.push(line);
            }
        }
        for group in groups {
            for op in &group.ops {
                let once = matches!(op, Op::Linear(op) if matches!(op.rows, Rows::Distances(_)));
                if once && !self.leads {
                    continue;
                }
                let count = if once { 1 } else { self.count };
                for (component, mut factors) in self.factors(op)? {
                    for (symbol, times) in [("layers", group.repeat), ("sequences", count)] {
                        if times > 1 {
                            factors.push((symbol, times.into()));
                        }
                    }
                    let component = self.component.unwrap_or(component);
                    let of = format!("{} · {}", group.name, op.module());
                    lines.push(Line::flops(component, &of, &factors)?);
                }
            }
        }
        Some(lines)
    }

    /// The products that an op's FLOPs are a sum of.
    fn factors(&self, op: &Op) -> Option<Vec<(Component, Factors)>> {
        let Run { passes, source, .. } = self.run;
        let by_reference = self.rule == Rule::ByReference;
        Some(match op {
            Op::Idle(op) if source > 0 => self.factors(op)?,
            Op::Table(_) | Op::Vector(_) | Op::Idle(_) => vec![],
            Op::Product(op) => {
                let tokens = ("tokens", passes.tokens()?);
                let widths = [("in", op.from.into()), ("out", op.to.into())];
                vec![(op.component, vec![("2", 2), widths[0], widths[1], tokens])]
            }
            Op::Linear(op) => vec![(op.component, linear_factors(op, &self.run, by_reference)?)],
            Op::Recurrent(op) => {
                let terms = recurrent_factors(op, passes, by_reference)?;
                terms.into_iter().map(|factors| (Component::Recurrent, factors)).collect()
            }
            Op::Attention(op) if !by_reference => {
                attention_factors(op, vec![("pairs", self.run.pairs(op.mask)?)])
            }
            Op::Attention(op) => {
                let mut squares = vec![("squares", passes.squares(op.cache_mask)?)];
                if op.runs_by_reference > 1 {
                    squares.push(("runs", op.runs_by_reference.into()));
                }
                attention_factors(&op.by_reference(), squares)
            }
            Op::Cross(op) => attention_factors(
                &if by_reference { op.by_reference() } else { *op },
                vec![("tokens", passes.tokens()?), ("positions of the source", source.into())],
            ),
            Op::DistanceScores(op) => {
                let tokens = passes.tokens()?;
                let distances = op.distances.rows(u64::try_from(tokens).ok()?);
                let widths = [("2", 2), ("heads", op.heads.into()), ("width", op.dim.into())];
                let scored = [("tokens", tokens), ("distances", distances)];
                vec![(Component::AttentionScores, [&widths[..], &scored].concat())]
            }
            Op::Local(op) => {
                let tokens = u64::try_from(passes.tokens()?).ok()?;
                let multiplied: Vec<_> =
                    if by_reference { op.by_reference().collect() } else { op.needed().into() };
                let mut products = Vec::with_capacity(multiplied.len());
                for (component, amount, flops) in multiplied {
                    let amount = (amount.name(), amount.of(tokens)?);
                    products.push((component, vec![("FLOPs of one", flops), amount]));
                }
                products
            }
            Op::Indexer(op) => {
                let factors = indexer_factors(op, passes, by_reference)?;
                vec![(Component::AttentionScores, factors.into())]
            }
            Op::Latent(op) => {
                let form =
                    if by_reference { Form::Expanded } else { op.flops(1)?.cheapest(passes)? };
                let [expansion, scores, values] = latent_factors(op, form, passes, by_reference)?;
                vec![
                    (Component::AttentionProjections, expansion),
                    (Component::AttentionScores, scores),
                    (Component::AttentionValues, values),
                ]
            }
        })
    }
}

/// The lines of a tower for what one prompt shows or sounds, and `count` equal prompts.
pub(super) fn lines_of_tower(
    stack: &Stack,
    load: Load,
    count: u64,
    rule: Rule,
) -> Option<Vec<Line>> {
    let of_all = match stack.reads() {
        Reads::Audio(_) => "of all clips of a prompt",
        _ => "of all images of a prompt",
    };
    let mut lines = vec![Line::new("rows", of_all, load.rows.to_string(), load.rows)];
    let ops =
        || stack.groups().iter().flat_map(|group| group.ops.iter().map(move |op| (group, op)));
    if ops().any(|(_, op)| matches!(op, Op::Attention(_))) {
        let words = stack.reads().pairs_in_words(rule);
        lines.push(Line::new("pairs", words, load.pairs.to_string(), load.pairs));
    }
    for (group, op) in ops() {
        let products = match op {
            Op::Linear(op) => {
                vec![vec![
                    ("2", 2),
                    ("in", op.from.into()),
                    ("out", op.to.into()),
                    ("rows", load.rows),
                ]]
            }
            Op::Attention(op) => {
                let op = if rule == Rule::ByReference { op.by_reference() } else { *op };
                let factors = attention_factors(&op, vec![("pairs", load.pairs)]);
                factors.into_iter().map(|(_, factors)| factors).collect()
            }
            _ => continue,
        };
        for mut factors in products {
            for (symbol, times) in [("layers", group.repeat), ("sequences", count)] {
                if times > 1 {
                    factors.push((symbol, times.into()));
                }
            }
            let of = format!("{} · {}", group.name, op.module());
            lines.push(Line::flops(stack.component(), &of, &factors)?);
        }
    }
    Some(lines)
}

/// Scores and values, `pairs` being factors of what they are multiplied by.
fn attention_factors(op: &Attention, pairs: Factors) -> Vec<(Component, Factors)> {
    let product = |symbol, width: u64| {
        let mut factors = vec![("2", 2), ("heads", op.heads.into()), (symbol, width.into())];
        factors.extend(&pairs);
        factors
    };
    vec![
        (Component::AttentionScores, product("key width", op.qk_dim)),
        (Component::AttentionValues, product("value width", op.v_dim)),
    ]
}
