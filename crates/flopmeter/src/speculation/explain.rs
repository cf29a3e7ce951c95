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
use crate::terms::{Amount, Term, Terms};
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
        let pairs = |passes: Passes, mask: Mask| match rule {
            Rule::ByReference => passes.squares(mask),
            _ => passes.pairs(mask),
        };
        let masks: Vec<Mask> = terms(model, rule).iter().filter_map(attended).collect();
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
            for &mask in &masks {
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
        let mut products: Vec<(&str, u128, f64)> = Vec::new();
        let mut anew = false;
        for term in terms(model, rule).iter() {
            let parts = term.each().parts.iter();
            let of_component = parts.filter(|(known, _)| *known == component);
            let amount = match (term.amount, attended(term)) {
                (Amount::Tokens, _) => Some(("FLOPs a token · tokens", self.tokens)),
                (Amount::Sampled, _) => Some(("FLOPs a sampled token · sampled", self.sampled)),
                (_, Some(mask)) => {
                    let known = self.pairs.iter().find(|(known, _)| *known == mask);
                    known.map(|(_, pairs)| ("FLOPs a pair · pairs", *pairs))
                }
                _ => None,
            };
            for &(_, flops) in of_component {
                match amount {
                    Some((each, amount)) => products.push((each, flops, amount.value())),
                    None => anew = true,
                }
            }
        }
        let mut formula: Vec<&str> = products.iter().map(|(formula, ..)| *formula).collect();
        let attends = [
            Component::AttentionProjections,
            Component::AttentionScores,
            Component::AttentionValues,
        ];
        if !by_reference && !sums.latents.is_empty() && attends.contains(&component) {
            formula.push("latents, in each pass");
        }
        if anew {
            formula.push(match component {
                Component::Recurrent => "recurrences, in each pass",
                _ => "what is taken up anew, in each pass",
            });
        }
        let numbers: Vec<String> =
            products.iter().map(|(_, flops, amount)| format!("{flops} · {amount}")).collect();
        (formula.join(" + "), numbers.join(" + "))
    }
}

/// What a run is a sum of by a rule.
fn terms(model: &Model, rule: Rule) -> &Terms {
    if rule == Rule::ByReference { &model.sums.by_reference } else { &model.sums.needed }
}

/// The mask of pairs that a term is multiplied by.
fn attended(term: &Term) -> Option<Mask> {
    match term.amount {
        Amount::Pairs(mask) | Amount::Squares(mask) => Some(mask),
        _ => None,
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
