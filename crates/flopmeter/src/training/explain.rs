//! A step as arithmetic: every product of its forward and of its backward pass.

use super::parts::Parts;
use super::{ATTENDED, Counted, Training, TrainingFlops};
use crate::component::Component;
use crate::convention::{Applied, Rule};
use crate::error::Result;
use crate::explain::{Line, Section};
use crate::model::{Model, too_large};
use crate::training::Step;
use crate::utilization::Hardware;
use crate::workload::{Phase, Workload};

/// Titles of what a step runs.
const FORWARD: &str = "forward";
const INPUTS: &str = "gradients of inputs";
const WEIGHTS: &str = "gradients of weights";
const AGAIN: &str = "computed again, which is no part of the model FLOPs";

impl Training {
    /// The arithmetic of [`flops`](Self::flops): the config, a section for each pass, and the sums.
    ///
    /// Lines of FLOPs sum to what the step executes; those under `computed again` are no part of its model FLOPs.
    ///
    /// # Errors
    ///
    /// As [`flops`](Self::flops).
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Builtin, Convention, Recompute, Step};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-2-7b-hf")?.model()?;
    /// let step = Step::new(2048, 4)?.recomputing(Recompute::Full);
    /// let training = llama.training(&step, &Convention::MODEL)?;
    /// let sections = training.explain(&step)?;
    /// let lines = sections.iter().flat_map(|section| &section.lines);
    /// let explained: u128 = lines.filter_map(|line| line.flops).sum();
    /// assert_eq!(explained, training.flops(&step)?.executed);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn explain(&self, step: &Step) -> Result<Vec<Section>> {
        let flops = self.flops(step)?;
        let mut sections = vec![self.model.config_section()];
        sections.extend(self.passes(step)?);
        if let Some(rollout) = step.rollout() {
            let parts = self.model.explain(&rollout, &self.convention.of_passes())?;
            // The config is there already.
            sections.extend(parts.into_iter().skip(1).map(|part| titled("generation", part)));
        }
        if step.reference_forwards() > 0 {
            let [forward, passes] =
                [flops.forward.total().ok_or_else(too_large)?, step.reference_forwards().into()];
            let all = forward.checked_mul(passes).ok_or_else(too_large)?;
            let line = Line::new(
                "passes without a gradient",
                "forward · passes",
                format!("{forward} · {passes}"),
                all,
            );
            let line = Line { flops: Some(all), ..line };
            sections.push(Section { title: "reference".into(), lines: vec![line] });
        }
        if let Some((one, count)) = &self.further {
            for mut part in one.passes(step)? {
                let lines = part.lines.into_iter();
                let lines = lines.map(|line| line.times("layers that predict further", *count));
                part.lines = lines.collect::<Option<_>>().ok_or_else(too_large)?;
                sections.push(titled("further tokens", part));
            }
        }
        sections.push(sums(&flops, step.tokens().ok_or_else(too_large)?));
        Ok(sections)
    }

    /// Forward, backward, and what is computed again.
    fn passes(&self, step: &Step) -> Result<Vec<Section>> {
        match &self.parts {
            Counted::Formula(formula) => self.formula_passes(formula, step),
            Counted::Parts(_) if self.convention.rule()? == Rule::PerParameter => {
                self.parameter_passes(step)
            }
            Counted::Parts(parts) => self.products(parts, step),
        }
    }

    fn formula_passes(&self, formula: &Applied, step: &Step) -> Result<Vec<Section>> {
        let mut sizes = formula.explain_step(&self.model, step)?;
        let from = sizes.iter().position(|line| line.flops.is_some()).unwrap_or(sizes.len());
        let forward = sizes.split_off(from);
        let count = formula.step(&self.model, step)?;
        let mut again = Vec::new();
        for (component, flops) in count.recomputed.present() {
            let of = count.forward[component];
            let numbers = format!("of {of} forward");
            let line = Line::new(component.name(), "as the step recomputes", numbers, flops);
            again.push(line.counting(component, flops));
        }
        Ok(with_equal_gradients(
            [("sizes", sizes), (FORWARD, forward)].map(section).to_vec(),
            section((AGAIN, again)),
        ))
    }

    fn parameter_passes(&self, step: &Step) -> Result<Vec<Section>> {
        let workload = step.forward(false).ok_or_else(too_large)?;
        let mut sections = Vec::new();
        self.model.per_parameter_sections(&workload, &mut sections).ok_or_else(too_large)?;
        let sections = sections.into_iter().map(|part| renamed(FORWARD, part)).collect();
        Ok(with_equal_gradients(sections, section((AGAIN, Vec::new()))))
    }

    fn products(&self, parts: &Parts, step: &Step) -> Result<Vec<Section>> {
        let rule = self.convention.rule()?;
        let workload = step.forward(rule == Rule::ByReference).ok_or_else(too_large)?;
        let attends = |line: &Line| line.component.is_some_and(|it| ATTENDED.contains(&it));
        let lines = |part: &Model, title, kept: &dyn Fn(Line) -> Option<Line>| {
            lines(part, &workload, rule, title, kept)
        };
        let mut sections = lines(&self.model, FORWARD, &Some)?;
        sections.extend(lines(&parts.inputs, INPUTS, &|line| {
            // Latent attention has products of two inputs beside those of its weights.
            if attends(&line) { line.times("either factor", 2) } else { Some(line) }
        })?);
        sections.extend(lines(&parts.both, INPUTS, &|line| line.times("either factor", 2))?);
        let recurrences = parts.recurrences(&workload).ok_or_else(too_large)?;
        for (component, flops) in recurrences.present() {
            let why = "as the reference implementation's backward pass multiplies";
            let line = Line::new(component.name(), why, "", flops).counting(component, flops);
            sections.push(section((INPUTS, vec![line])));
        }
        sections.extend(lines(&parts.weights, WEIGHTS, &|line| {
            Some(line).filter(|line| !attends(line))
        })?);
        let among = |left_out: &'static [Component]| {
            move |line: Line| {
                Some(line).filter(|it| it.component.is_none_or(|it| !left_out.contains(&it)))
            }
        };
        let again: [(&Option<Model>, &'static [Component]); 3] = [
            (&parts.recomputed, &[]),
            (&parts.attention, &[Component::AttentionProjections]),
            (&parts.scores, &[Component::AttentionProjections, Component::AttentionValues]),
        ];
        for (part, left_out) in again {
            if let Some(part) = part {
                sections.extend(lines(part, AGAIN, &among(left_out))?);
            }
        }
        Ok(sections)
    }
}

/// The lines of a part of a model that count anything, with those that they are made from.
fn lines(
    part: &Model,
    workload: &Workload,
    rule: Rule,
    title: &str,
    kept: &dyn Fn(Line) -> Option<Line>,
) -> Result<Vec<Section>> {
    let requests = part.requests(workload, rule)?;
    let mut sections = Vec::new();
    part.run_sections(&requests, rule, &mut sections).ok_or_else(too_large)?;
    let mut some = Vec::new();
    for mut part in sections {
        part.lines = part.lines.into_iter().filter_map(kept).collect();
        if part.lines.iter().any(|line| line.flops.is_some_and(|flops| flops > 0)) {
            some.push(renamed(title, part));
        }
    }
    Ok(some)
}

/// A section of a forward pass under another name: that of what stands before it is kept.
fn renamed(title: &str, section: Section) -> Section {
    let title = match section.title.strip_suffix(Phase::Prefill.name()) {
        Some(before) => format!("{before}{title}"),
        None => format!("{title} · {}", section.title),
    };
    Section { title, ..section }
}

fn titled(title: &str, section: Section) -> Section {
    Section { title: format!("{title} · {}", section.title), ..section }
}

fn section((title, lines): (&str, Vec<Line>)) -> Section {
    Section { title: title.into(), lines }
}

/// A forward pass, gradients of either kind that cost as much, and what is computed again.
fn with_equal_gradients(mut sections: Vec<Section>, again: Section) -> Vec<Section> {
    let lines = sections.iter().flat_map(|section| &section.lines);
    let forward: Vec<Line> = lines.filter(|line| line.flops.is_some()).cloned().collect();
    for title in [INPUTS, WEIGHTS] {
        let as_forward = |line: &Line| Line {
            formula: "as much as forward".into(),
            numbers: line.result.clone(),
            ..line.clone()
        };
        sections.push(section((title, forward.iter().map(as_forward).collect())));
    }
    sections.extend(Some(again).filter(|again| !again.lines.is_empty()));
    sections
}

fn sums(flops: &TrainingFlops, tokens: u64) -> Section {
    let parts = [
        flops.forward,
        flops.input_gradients,
        flops.weight_gradients,
        flops.without_gradient,
        flops.recomputed,
    ];
    // Parts of a total that fits.
    let parts = parts.map(|part| part.total().unwrap_or(flops.executed));
    let [model @ .., recomputed] = parts.map(|part| part.to_string());
    let (total, executed) = (flops.total, flops.executed);
    section((
        "total",
        vec![
            Line::new(
                "model FLOPs",
                "forward + gradients of inputs + of weights + passes without a gradient",
                model.join(" + "),
                total,
            ),
            Line::new(
                "executed",
                "model FLOPs + what is computed again",
                format!("{total} + {recomputed}"),
                executed,
            ),
            Line::new(
                "model FLOPs a token",
                "model FLOPs ÷ tokens",
                format!("{total} ÷ {tokens}"),
                total as f64 / tokens as f64,
            ),
        ],
    ))
}

impl TrainingFlops {
    /// The arithmetic of [`utilization`](Self::utilization).
    ///
    /// # Errors
    ///
    /// As that.
    pub fn explain_utilization(&self, hardware: &Hardware, seconds: f64) -> Result<Section> {
        let ratios = self.utilization(hardware, seconds)?;
        let of = |(name, what, flops, ratio): (&str, &str, u128, f64)| {
            Line::new(
                name,
                format!("{what} ÷ (time · peak · devices)"),
                format!("{flops} ÷ ({seconds} · {:e} · {})", hardware.peak.0, hardware.count),
                ratio,
            )
        };
        let [mfu, hfu] = ratios;
        let lines = [
            ("MFU", "model FLOPs", self.total, mfu),
            ("HFU", "executed FLOPs", self.executed, hfu),
        ];
        Ok(section(("utilization", lines.map(of).to_vec())))
    }
}
