//! A draft's cost as arithmetic.

use super::Speculation;
use super::bytes::Side;
use super::drafting::Run;
use super::pieces::Expected;
use crate::component::{Component, Counts};
use crate::convention::{Convention, Rule};
use crate::error::Result;
use crate::explain::{Line, Section, named};
use crate::model::{Model, too_large};
use crate::passes::{Mask, Passes};
use crate::workload::Workload;

impl Speculation {
    /// The arithmetic of [`flops`](Self::flops): what is drafted and verified, expected, and what it costs.
    ///
    /// # Errors
    ///
    /// As [`flops`](Self::flops).
    pub fn explain(
        &self,
        target: &Model,
        workload: &Workload,
        convention: &Convention,
    ) -> Result<Vec<Section>> {
        let spent = self.flops(target, workload, convention)?;
        let rule = convention.rule()?;
        let mut sections = vec![self.steps_section(spent.steps, spent.drafted)];
        let prefill = Section {
            title: "draft · prefill".into(),
            lines: components(&spent.draft_prefill, |_| {
                ("as a prefill of the draft".to_owned(), String::new())
            }),
        };
        sections.push(prefill);
        for (title, side, counts) in [
            ("drafting", Side::Drafting, &spent.drafting),
            ("verification", Side::Verifying, &spent.verification),
        ] {
            let model = self.model(side, target);
            let amounts = self.amounts(side, model, workload, rule).ok_or_else(too_large)?;
            let mut lines = amounts.lines();
            lines.extend(components(counts, |component| amounts.product(model, component, rule)));
            sections.push(Section { title: title.to_owned(), lines });
        }
        let total = |counts: &Counts| counts.total().ok_or_else(too_large);
        let [prefill, draft, drafting, verification] = [
            total(&spent.useful.prefill)?,
            total(&spent.draft_prefill)?,
            total(&spent.drafting)?,
            total(&spent.verification)?,
        ];
        let lines = vec![
            Line::new("useful", "FLOPs without a draft", "", spent.useful.total),
            Line::new(
                "spent",
                "prefill + the draft's prefill + drafting + verification",
                format!("{prefill} + {draft} + {drafting} + {verification}"),
                spent.total,
            ),
        ];
        sections.push(Section { title: "useful and spent".into(), lines });
        sections.retain(|section| !section.lines.is_empty());
        Ok(sections)
    }

    fn steps_section(&self, steps: f64, drafted: f64) -> Section {
        let (k, r) = (self.draft_tokens(), self.acceptance());
        let (formula, numbers) = if r == 1.0 {
            ("K + 1", format!("{k} + 1"))
        } else {
            ("(1 − R^(K + 1)) ÷ (1 − R)", format!("(1 − {r}^({k} + 1)) ÷ (1 − {r})"))
        };
        let begins = "Σ over tokens i after the first of u·(1 − R^((K + 1)·⌈i/(K + 1)⌉)) + [K + 1 divides i]·R^i, u = 1 \
                      ÷ tokens a step";
        let lines = vec![
            Line::new("tokens a step", formula, numbers, self.tokens_per_step()),
            Line::new("steps", begins, "expected, of all sequences", steps),
            Line::new(
                "drafted tokens",
                "Σ over steps of min(K, tokens left − 1)",
                "expected, of all sequences",
                drafted,
            ),
        ];
        Section { title: "speculation".into(), lines }
    }

    fn amounts(
        &self,
        side: Side,
        model: &Model,
        workload: &Workload,
        rule: Rule,
    ) -> Option<Amounts> {
        let mut amounts = Amounts::default();
        let flops = if rule == Rule::Needed { &model.sums.pairs } else { &model.sums.squares };
        let rectangles = rule == Rule::ByReference;
        let pairs = |passes: Passes, mask: Mask| {
            if rectangles { passes.squares(mask) } else { passes.pairs(mask) }
        };
        for sequence in workload.sequences() {
            let run: Run = self.run(workload, sequence);
            let count = u128::from(sequence.count);
            let [tokens] = run
                .over_steps(model, &|offset| Some([self.passes(side, &run, offset).tokens()?]))?;
            let [late] = match side {
                Side::Drafting => self.draft.over_late_tokens(&run, &|_| Some([1]))?,
                Side::Verifying => [Expected::default()],
            };
            amounts.sampled.add_times(tokens, count)?;
            amounts.tokens.add_times(tokens, count)?;
            amounts.tokens.add_times(late, count)?;
            for of_mask in flops {
                let mask = of_mask.mask;
                let [mut sum] = run.over_steps(model, &|offset| {
                    Some([pairs(self.passes(side, &run, offset), mask)?])
                })?;
                if side == Side::Drafting {
                    let late = |offset: u64| {
                        let past = run.prompt + offset;
                        let Some(before) = past.checked_sub(1) else { return Some([0]) };
                        let both = pairs(Passes::Prefill { past: before, new: 2 }, mask)?;
                        Some([both.checked_sub(pairs(Passes::Prefill { past, new: 1 }, mask)?)?])
                    };
                    sum.add_times(self.draft.over_late_tokens(&run, &late)?[0], 1)?;
                }
                match amounts.pairs.iter_mut().find(|(known, _)| *known == mask) {
                    Some((_, known)) => known.add_times(sum, count)?,
                    None => {
                        let mut all = Expected::default();
                        all.add_times(sum, count)?;
                        amounts.pairs.push((mask, all));
                    }
                }
            }
        }
        Some(amounts)
    }
}

/// What FLOPs of a side are multiplied by, expected.
#[derive(Debug, Default)]
struct Amounts {
    tokens: Expected,
    sampled: Expected,
    pairs: Vec<(Mask, Expected)>,
}

impl Amounts {
    fn lines(&self) -> Vec<Line> {
        let line = |name: String, amount: &Expected| {
            Line::new(name, "Σ over steps, expected", "", amount.value())
        };
        let mut lines = vec![line("tokens".into(), &self.tokens)];
        lines.extend(
            self.pairs.iter().map(|(mask, pairs)| line(format!("pairs ({})", named(*mask)), pairs)),
        );
        lines
    }

    /// A component as products of FLOPs and amounts.
    fn product(&self, model: &Model, component: Component, rule: Rule) -> (String, String) {
        let sums = &model.sums;
        let by_reference = rule == Rule::ByReference;
        let (all, pairs) = if by_reference {
            (&sums.by_reference, &sums.squares)
        } else {
            (&sums.all, &sums.pairs)
        };
        let mut terms: Vec<(&str, u128, f64)> = Vec::new();
        let of = |rows: &[(Component, u128)]| {
            rows.iter().find(|(known, _)| *known == component).map(|(_, flops)| *flops)
        };
        terms.extend(of(all).map(|flops| ("FLOPs a token · tokens", flops, self.tokens.value())));
        if !by_reference {
            let sampled = of(&sums.sampled);
            let each = "FLOPs a sampled token · sampled";
            terms.extend(sampled.map(|flops| (each, flops, self.sampled.value())));
        }
        for (flops, (_, pairs)) in pairs.iter().zip(&self.pairs) {
            let each = match component {
                Component::AttentionScores => flops.scores,
                Component::AttentionValues => flops.values,
                _ => 0,
            };
            terms.extend((each > 0).then_some(("FLOPs a pair · pairs", each, pairs.value())));
        }
        let mut formula: Vec<&str> = terms.iter().map(|(formula, ..)| *formula).collect();
        let attends = [
            Component::AttentionProjections,
            Component::AttentionScores,
            Component::AttentionValues,
        ];
        if !sums.latents.is_empty() && attends.contains(&component) {
            formula.push("latents, in each pass");
        }
        if by_reference && !(sums.anew.is_empty() && sums.pairs_by_reference.is_empty()) {
            formula.push("what is taken up anew, in each pass");
        }
        if by_reference && component == Component::Recurrent {
            formula.push("recurrences, in each pass");
        }
        let numbers: Vec<String> =
            terms.iter().map(|(_, flops, amount)| format!("{flops} · {amount}")).collect();
        (formula.join(" + "), numbers.join(" + "))
    }
}

/// A line for each component.
fn components(counts: &Counts, product: impl Fn(Component) -> (String, String)) -> Vec<Line> {
    let line = |(component, flops): (Component, u128)| {
        let (formula, numbers) = product(component);
        Line::new(component.name(), formula, numbers, flops)
    };
    counts.present().map(line).collect()
}
