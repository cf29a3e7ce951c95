//! Why two conventions give different figures: the difference as a sum of terms, each with its reason.
//!
//! A convention is a formula made of choices ([`Formula`]). On the way from one to the other one choice after another is
//! taken from the other, and what the figure moves by is that choice's term; so the terms sum to the whole difference,
//! whatever the order. What PyTorch's counter sees besides, and what a name rounds, stands by itself.

use crate::component::{Component, Counts};
use crate::convention::{Convention, Formula};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, too_large};
use crate::training::Step;
use crate::workload::Workload;

/// Two counts of the same work, and what lies between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// FLOPs by the first convention.
    pub from: u128,
    /// FLOPs by the second.
    pub to: u128,
    /// What leads from the first to the second: these sum to `to − from`. None is zero.
    pub terms: Vec<Term>,
}

/// A part of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// FLOPs that the second convention counts more.
    pub flops: i128,
    /// What the second counts there.
    pub counts: String,
    /// What the first counts instead.
    pub instead_of: String,
}

impl Comparison {
    /// A term's share of the first count; `None` if that is zero.
    ///
    /// ```
    /// use flopmeter::{Builtin, Step};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-3.1-8B")?.model()?;
    /// let [megatron, torchtitan] = ["megatron".parse()?, "torchtitan".parse()?];
    /// let comparison = llama.compare_steps(&Step::new(8192, 1)?, &megatron, &torchtitan)?;
    /// let square = &comparison.terms[0];
    /// assert_eq!(square.counts, "the full square of attention");
    /// // 6·L·H·d·S² more, of 421,645,529,382,912.
    /// assert_eq!(square.flops, 6 * 32 * 32 * 128 * 8192 * 8192);
    /// assert!((comparison.share(square).unwrap() - 0.1252).abs() < 1e-4);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn share(&self, term: &Term) -> Option<f64> {
        (self.from > 0).then(|| term.flops as f64 / self.from as f64)
    }
}

impl Model {
    /// Why two conventions differ over a step of training; model FLOPs are compared.
    ///
    /// # Errors
    ///
    /// What [`training`](Self::training) says of either convention.
    pub fn compare_steps(
        &self,
        step: &Step,
        from: &Convention,
        to: &Convention,
    ) -> Result<Comparison> {
        self.compare([from, to], |convention| {
            Ok(self.training(step, convention)?.flops(step)?.components())
        })
    }

    /// Why two conventions differ over requests.
    ///
    /// # Errors
    ///
    /// What [`flops`](Self::flops) says of either convention.
    pub fn compare_requests(
        &self,
        workload: &Workload,
        from: &Convention,
        to: &Convention,
    ) -> Result<Comparison> {
        self.compare([from, to], |convention| Ok(self.flops(workload, convention)?.components()))
    }

    fn compare(
        &self,
        conventions: [&Convention; 2],
        count: impl Fn(&Convention) -> Result<Counts>,
    ) -> Result<Comparison> {
        let ends = [count(conventions[0])?, count(conventions[1])?];
        let formulas = [conventions[0].formula_of(self)?, conventions[1].formula_of(self)?];
        let by_formula = |formula: Formula| count(&Convention::between(formula.known()));
        // What a formula says is the whole of its own count; a rule may have more, or less.
        let beside = |end: usize| differences(&ends[end], &by_formula(formulas[end])?);
        let mut besides = Vec::new();
        for (component, [before, after]) in pairs(beside(0)?, beside(1)?) {
            let (own, chosen) = (besides_choices(component), "what these choices say of it");
            let says = if after != 0 { [own, chosen] } else { [chosen, own] };
            add(&mut besides, after - before, says);
        }
        let mut at = sum(&by_formula(formulas[0])?)?;
        let mut terms = Vec::new();
        for (formula, says) in formulas[0].towards(formulas[1]) {
            let next = sum(&by_formula(Formula { lumped: true, ..formula })?)?;
            add(&mut terms, next - at, says);
            at = next;
        }
        terms.append(&mut besides);
        let [from, to] = [&ends[0], &ends[1]].map(|end| end.total().ok_or_else(too_large));
        Ok(Comparison { from: from?, to: to?, terms })
    }
}

/// Adds a term, unless it is nothing.
fn add(terms: &mut Vec<Term>, flops: i128, [counts, instead_of]: [&str; 2]) {
    if flops != 0 {
        terms.push(Term { flops, counts: counts.into(), instead_of: instead_of.into() });
    }
}

/// By component, what one count has and another has not.
fn differences(count: &Counts, other: &Counts) -> Result<[i128; Component::COUNT]> {
    let mut differences = [0; Component::COUNT];
    for (difference, component) in differences.iter_mut().zip(Component::ALL) {
        *difference = signed(count[component])? - signed(other[component])?;
    }
    Ok(differences)
}

/// Two lists by component, side by side.
fn pairs(
    a: [i128; Component::COUNT],
    b: [i128; Component::COUNT],
) -> impl Iterator<Item = (Component, [i128; 2])> {
    Component::ALL.into_iter().zip(a.into_iter().zip(b).map(|(a, b)| [a, b]))
}

/// What a convention that counts product by product counts otherwise than its choices say.
fn besides_choices(component: Component) -> &'static str {
    match component {
        Component::Parameters => {
            "each token once, the last one too, and none again without a cache"
        }
        Component::AttentionScores => "scores as the reference implementation multiplies them",
        Component::AttentionValues => "values as the reference implementation multiplies them",
        Component::AttentionProjections => {
            "projections of attention as the reference implementation computes them"
        }
        Component::MoeExperts => "experts as the reference implementation runs them",
        Component::Recurrent => "recurrent layers as the reference implementation runs them",
        Component::Vision | Component::Audio | Component::Encoder => {
            "towers and encoders as the reference implementation runs them"
        }
        _ => "the rest as the reference implementation multiplies it",
    }
}

fn signed(flops: u128) -> Result<i128> {
    // Half the range, so that two differ by a number that fits.
    i128::try_from(flops)
        .ok()
        .filter(|flops| *flops < i128::MAX / 64)
        .ok_or_else(|| Error::new(ErrorKind::Overflow, "comparison", "does not fit 128 bits"))
}

fn sum(counts: &Counts) -> Result<i128> {
    signed(counts.total().ok_or_else(too_large)?)
}
