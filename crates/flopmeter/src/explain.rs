//! A count as arithmetic: each component as formula, numbers put in, result.

mod bytes;
mod factors;
mod tokens;
mod utilization;

use crate::component::Component;
use crate::convention::{Convention, Rule};
use crate::error::Result;
use crate::model::{Group, Model, too_large};
use crate::op::{Form, Op};
use crate::passes::{Mask, Passes};
use crate::workload::{Phase, Sequence, Workload};
use factors::{indexer_factors, latent_factors, linear_factors, recurrent_factors};
use tokens::{pairs_line, tokens_line};

pub use utilization::utilization_section;

/// What no convention counts, and what no figure of bytes includes.
pub const NOT_COUNTED: &[&str] = &[
    "FLOPs of norms, activations, softmax, rotary embedding, biases, sampling and embedding look-up",
    "bytes of activations and of temporary buffers",
];

/// Lines of arithmetic under a title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What the lines are about.
    pub title: String,
    /// The lines, in the order of the work.
    pub lines: Vec<Line>,
}

/// One quantity, derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is: a component and where it stands, or an auxiliary quantity.
    pub name: String,
    /// The formula in words and symbols.
    pub formula: String,
    /// The formula with the numbers put in.
    pub numbers: String,
    /// The result, digits only where it is a count.
    pub result: String,
    /// The result, where it is FLOPs: these sum to the total of the estimate.
    pub flops: Option<u128>,
}

impl Line {
    fn new(
        name: impl Into<String>,
        formula: impl Into<String>,
        numbers: impl Into<String>,
        result: impl ToString,
    ) -> Self {
        Self {
            name: name.into(),
            formula: formula.into(),
            numbers: numbers.into(),
            result: result.to_string(),
            flops: None,
        }
    }

    fn flops(name: String, factors: &[(&str, u128)]) -> Option<Self> {
        let formula: Vec<&str> = factors.iter().map(|(symbol, _)| *symbol).collect();
        let numbers: Vec<String> = factors.iter().map(|(_, value)| value.to_string()).collect();
        let result =
            factors.iter().try_fold(1_u128, |product, (_, value)| product.checked_mul(*value))?;
        let line = Self::new(name, formula.join(" · "), numbers.join(" · "), result);
        Some(Self { flops: Some(result), ..line })
    }
}

impl Model {
    /// The arithmetic of [`flops`](Self::flops), one section a sequence and phase.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`](crate::ErrorKind::Overflow) if a count does not fit 128 bits.
    pub fn explain(&self, workload: &Workload, convention: &Convention) -> Result<Vec<Section>> {
        workload.numbered().ok_or_else(too_large)?;
        let mut sections = vec![self.config_section()];
        let many = workload.sequences().len() > 1;
        for (index, sequence) in workload.sequences().iter().enumerate() {
            for phase in Phase::ALL {
                let lines = match convention.rule {
                    Rule::PerParameter => self.per_parameter_lines(workload, sequence, phase),
                    Rule::Needed | Rule::ByReference => {
                        self.phase_lines(workload, sequence, phase, convention.rule)
                    }
                };
                let lines = lines.ok_or_else(too_large)?;
                if !lines.is_empty() {
                    let mut title = phase.name().to_owned();
                    if many {
                        title = format!("sequence {} · {title}", index + 1);
                    }
                    sections.push(Section { title, lines });
                }
            }
        }
        Ok(sections)
    }

    /// The keys that the sizes below come from.
    fn config_section(&self) -> Section {
        let mut lines: Vec<Line> = self
            .keys()
            .iter()
            .map(|(key, value)| Line::new(key.clone(), "config", value.clone(), value))
            .collect();
        let parameters = self.parameters().total;
        lines.push(Line::new("all parameters", "sum over all ops", "", parameters));
        Section { title: "config".into(), lines }
    }

    fn phase_lines(
        &self,
        workload: &Workload,
        sequence: &Sequence,
        phase: Phase,
        rule: Rule,
    ) -> Option<Vec<Line>> {
        let passes = workload.passes(sequence, phase);
        if passes.count() == 0 {
            return Some(Vec::new());
        }
        let mut lines = vec![tokens_line(passes)?];
        let rectangles = rule == Rule::ByReference;
        let sampled = workload.sampled(sequence, phase);
        if !rectangles {
            lines.push(Line::new(
                "sampled",
                "passes after which a token is sampled",
                sampled.to_string(),
                sampled,
            ));
        }
        let mut masks: Vec<(Mask, bool)> = Vec::new();
        for (op, _) in self.ops() {
            let mask = match op {
                Op::Attention(op) if rectangles => (op.cache_mask, true),
                Op::Attention(op) => (op.mask, false),
                Op::Indexer(op) => (op.mask, rectangles && !op.only_pairs),
                Op::Latent(op) if rectangles => (op.cache_mask(), true),
                Op::Latent(op) => (op.mask, false),
                _ => continue,
            };
            if !masks.contains(&mask) {
                masks.push(mask);
                lines.push(pairs_line(passes, mask.0, mask.1)?);
            }
        }
        for group in self.groups() {
            for op in &group.ops {
                self.op_lines(op, group, passes, sampled, sequence.count, rule, &mut lines)?;
            }
        }
        Some(lines)
    }

    #[allow(clippy::too_many_arguments)] // the seven facts that one product depends on
    fn op_lines(
        &self,
        op: &Op,
        group: &Group,
        passes: Passes,
        sampled: u64,
        count: u64,
        rule: Rule,
        lines: &mut Vec<Line>,
    ) -> Option<()> {
        let name = |component: Component| {
            format!("{} · {} · {}", component.name(), group.name, op.module())
        };
        let mut push = |component: Component, factors: &[(&str, u128)]| {
            let mut factors = factors.to_vec();
            for (symbol, times) in [("layers", group.repeat), ("sequences", count)] {
                if times > 1 {
                    factors.push((symbol, times.into()));
                }
            }
            lines.push(Line::flops(name(component), &factors)?);
            Some(())
        };
        let rectangles = rule == Rule::ByReference;
        match op {
            Op::Table(_) | Op::Vector(_) | Op::Idle(_) => {}
            Op::Product(op) => {
                let width = |symbol, width: u64| (symbol, u128::from(width));
                let tokens = ("tokens", passes.tokens()?);
                push(op.component, &[("2", 2), width("in", op.from), width("out", op.to), tokens])?;
            }
            Op::Linear(linear) => {
                push(linear.component, &linear_factors(linear, passes, sampled, rectangles)?)?;
            }
            Op::Recurrent(op) => {
                for factors in recurrent_factors(op, passes, rectangles)? {
                    push(Component::Recurrent, &factors)?;
                }
            }
            Op::Attention(op) => {
                let (symbol, pairs) = if rectangles {
                    ("squares", passes.squares(op.cache_mask)?)
                } else {
                    ("pairs", passes.pairs(op.mask)?)
                };
                let heads = ("heads", u128::from(op.heads));
                let mut of = |component, symbol_of_width, width: u64| {
                    let width = (symbol_of_width, u128::from(width));
                    let mut factors = vec![("2", 2), heads, width, (symbol, pairs)];
                    if rectangles && op.runs_by_reference > 1 {
                        factors.push(("runs", op.runs_by_reference.into()));
                    }
                    push(component, &factors)
                };
                of(Component::AttentionScores, "key width", op.qk_dim)?;
                of(Component::AttentionValues, "value width", op.v_dim)?;
            }
            Op::Indexer(op) => {
                push(Component::AttentionScores, &indexer_factors(op, passes, rectangles)?)?;
            }
            Op::Latent(op) => {
                let form =
                    if rectangles { Form::Expanded } else { op.flops(1)?.cheapest(passes)?.0 };
                let parts = latent_factors(op, form, passes, rectangles)?;
                let [expansion, scores, values] = parts;
                push(Component::AttentionProjections, &expansion)?;
                push(Component::AttentionScores, &scores)?;
                push(Component::AttentionValues, &values)?;
            }
        }
        Some(())
    }

    fn per_parameter_lines(
        &self,
        workload: &Workload,
        sequence: &Sequence,
        phase: Phase,
    ) -> Option<Vec<Line>> {
        let single = Workload::batch(vec![*sequence]).ok()?;
        let single = if workload.kv_cache() { single } else { single.without_kv_cache().ok()? };
        let flops = self.flops(&single, &Convention::TWO_PT).ok()?;
        let result = flops.phase(phase).total()?;
        if result == 0 {
            return Some(Vec::new());
        }
        let p = self.nominal_parameters();
        let (prompt, generate, count) = (sequence.prompt, sequence.generate, sequence.count);
        let times =
            |numbers: String| if count > 1 { format!("{numbers} · {count}") } else { numbers };
        let (formula, numbers) = match (workload.kv_cache(), phase) {
            (true, Phase::Prefill) => ("2 · P · prompt", format!("2 · {p} · {prompt}")),
            (true, Phase::Decode) => ("2 · P · generated", format!("2 · {p} · {generate}")),
            (false, Phase::Prefill) => {
                ("P · prompt · (prompt + 1)", format!("{p} · {prompt} · ({prompt} + 1)"))
            }
            (false, Phase::Decode) => {
                let all = u128::from(prompt) + u128::from(generate);
                (
                    "P · (N · (N + 1) − prompt · (prompt + 1)), N = prompt + generated",
                    format!("{p} · ({all} · ({all} + 1) − {prompt} · ({prompt} + 1))"),
                )
            }
        };
        let line = Line::new(Component::Parameters.name(), formula, times(numbers), result);
        Some(vec![Line { flops: Some(result), ..line }])
    }
}
