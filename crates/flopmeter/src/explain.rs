//! A count as arithmetic: each component as formula, numbers put in, result.

mod bytes;
mod factors;
mod run;
mod tokens;
mod utilization;

use crate::component::Component;
use crate::convention::{Convention, Rule};
use crate::error::Result;
use crate::image::Cut;
use crate::model::{Model, too_large};
use crate::workload::{Phase, Sequence, Workload};
use run::{Lines, lines_of_tower};

pub(crate) use tokens::named;
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
    /// What the FLOPs are counted under.
    pub component: Option<Component>,
}

impl Line {
    /// A quantity that is no FLOPs of a component.
    pub fn new(
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
            component: None,
        }
    }

    /// FLOPs of a component, of which `of` says the place, as a product.
    fn flops(component: Component, of: &str, factors: &[(&str, u128)]) -> Option<Self> {
        let formula: Vec<&str> = factors.iter().map(|(symbol, _)| *symbol).collect();
        let numbers: Vec<String> = factors.iter().map(|(_, value)| value.to_string()).collect();
        let result =
            factors.iter().try_fold(1_u128, |product, (_, value)| product.checked_mul(*value))?;
        let name = format!("{} · {of}", component.name());
        let line = Self::new(name, formula.join(" · "), numbers.join(" · "), result);
        Some(line.counting(component, result))
    }

    /// The same, its result being FLOPs of a component.
    pub(crate) fn counting(self, component: Component, flops: u128) -> Self {
        Self { flops: Some(flops), component: Some(component), ..self }
    }

    /// The same so many times, with the reason.
    pub(crate) fn times(mut self, why: &str, times: u64) -> Option<Self> {
        let Some(flops) = self.flops.filter(|_| times != 1) else { return Some(self) };
        let flops = flops.checked_mul(times.into())?;
        self.formula += &format!(" · {why}");
        self.numbers += &format!(" · {times}");
        self.result = flops.to_string();
        self.flops = Some(flops);
        Some(self)
    }
}

/// The most images or clips of a prompt that have lines of their own.
const MOST_EXPLAINED: usize = 32;

/// The title of a section of one sequence among several.
/// Rows and columns of all that a tower sees of an image.
fn pieces(cut: &Cut) -> String {
    let pieces =
        cut.pieces().map(|([rows, columns], count)| format!("{count} · {rows} · {columns}"));
    pieces.collect::<Vec<_>>().join(" + ")
}

fn in_batch(many: bool, index: usize, title: &str) -> String {
    if many { format!("sequence {} · {title}", index + 1) } else { title.to_owned() }
}

impl Model {
    /// The arithmetic of [`flops`](Self::flops), one section a sequence and phase.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`](crate::ErrorKind::Overflow) if a count does not fit 128 bits.
    pub fn explain(&self, workload: &Workload, convention: &Convention) -> Result<Vec<Section>> {
        workload.numbered().ok_or_else(too_large)?;
        let rule = convention.rule()?;
        let requests = self.requests(workload, rule)?;
        let mut sections = vec![self.config_section()];
        sections.extend(self.images_section(workload)?);
        sections.extend(self.audio_section(workload)?);
        if rule == Rule::PerParameter {
            self.per_parameter_sections(workload, &mut sections).ok_or_else(too_large)?;
        } else {
            self.run_sections(&requests, rule, &mut sections).ok_or_else(too_large)?;
        }
        Ok(sections)
    }

    /// What becomes of the images of a prompt.
    fn images_section(&self, workload: &Workload) -> Result<Option<Section>> {
        let images = workload.images();
        let mut lines = Vec::new();
        for (image, cut) in images.iter().zip(self.cuts(images)?).take(MOST_EXPLAINED) {
            lines.push(Line::new(
                format!("tokens of {image}"),
                "as the processor cuts it: tiles · rows · columns of patches → vectors → tokens",
                format!("{} → {}", pieces(&cut), cut.features),
                cut.tokens,
            ));
        }
        if images.len() > MOST_EXPLAINED {
            let more = images.len() - MOST_EXPLAINED;
            lines.push(Line::new("more images", "cut in the same way", "", more));
        }
        Ok((!lines.is_empty()).then(|| Section { title: "images".into(), lines }))
    }

    /// What becomes of the clips of a prompt.
    fn audio_section(&self, workload: &Workload) -> Result<Option<Section>> {
        let mut lines = Vec::new();
        let clips = workload.audio();
        for (clip, heard) in clips.iter().zip(self.heard(clips)?).take(MOST_EXPLAINED) {
            let samples = self.extractor().map_or(0, |extractor| clip.samples(extractor.rate));
            lines.push(Line::new(
                format!("tokens of {clip}"),
                "as the processor makes them: samples → pieces · frames + frames left → tokens",
                format!("{samples} → {} · {} + {}", heard.whole, heard.frames, heard.rest),
                heard.tokens,
            ));
        }
        if clips.len() > MOST_EXPLAINED {
            let more = clips.len() - MOST_EXPLAINED;
            lines.push(Line::new("more clips", "heard in the same way", "", more));
        }
        Ok((!lines.is_empty()).then(|| Section { title: "audio".into(), lines }))
    }

    /// What runs before the prefill, the prefill and the decode phase of each sequence.
    pub(crate) fn run_sections(
        &self,
        workload: &Workload,
        rule: Rule,
        sections: &mut Vec<Section>,
    ) -> Option<()> {
        let many = workload.sequences().len() > 1;
        for (index, (sequence, source)) in workload.with_sources().enumerate() {
            let named = |title| in_batch(many, index, title);
            let count = sequence.count;
            let leads = index == workload.longest().0;
            for stack in self.stacks() {
                if let Some(load) = stack.perceived(workload, rule) {
                    let load = load?;
                    if load.rows > 0 {
                        let lines = lines_of_tower(stack, load, count, rule)?;
                        sections.push(Section { title: named(stack.name()), lines });
                    }
                } else if let Some(run) = stack.run(sequence, source) {
                    let component = Some(stack.component());
                    let lines =
                        Lines { run, count, rule, leads: false, component }.of(stack.groups())?;
                    sections.push(Section { title: named(stack.name()), lines });
                }
            }
            for phase in Phase::ALL {
                let run = self.run_by(rule, workload.run(sequence, source, phase));
                if run.passes.count() > 0 {
                    let lines =
                        Lines { run, count, rule, leads, component: None }.of(self.groups())?;
                    sections.push(Section { title: named(phase.name()), lines });
                }
            }
        }
        Some(())
    }

    /// Two FLOPs for each parameter and token, of each sequence and phase.
    pub(crate) fn per_parameter_sections(
        &self,
        workload: &Workload,
        sections: &mut Vec<Section>,
    ) -> Option<()> {
        let many = workload.sequences().len() > 1;
        for (index, sequence) in workload.sequences().iter().enumerate() {
            for phase in Phase::ALL {
                let lines = self.per_parameter_lines(workload, sequence, phase)?;
                if !lines.is_empty() {
                    sections.push(Section { title: in_batch(many, index, phase.name()), lines });
                }
            }
        }
        Some(())
    }

    /// The keys that the sizes below come from.
    pub(crate) fn config_section(&self) -> Section {
        let mut lines: Vec<Line> = self
            .keys()
            .iter()
            .map(|(key, value)| Line::new(key.clone(), "config", value.clone(), value))
            .collect();
        let parameters = self.parameters().total;
        lines.push(Line::new("all parameters", "sum over all ops", "", parameters));
        Section { title: "config".into(), lines }
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
        Some(vec![line.counting(Component::Parameters, result)])
    }
}
