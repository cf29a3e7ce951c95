//! A request: what is counted, on what, and what is said of it.

use crate::draft::Draft;
use crate::machine::Machine;
use crate::ranks::{Ranks, all_fit};
use crate::report::parallel::{ParallelismReport, RankReport};
use crate::report::{
    AdapterReport, BytesReport, DeviceReport, FlopsReport, ModelReport, Report, WorkloadReport,
};
use flopmeter::{Component, Convention, Ideal, Phase, Result, Workload};
use flopmeter_source::Source;
use flopmeter_source::visible::shortened;
use std::sync::Arc;

/// A request as it was understood, before anything is counted.
#[derive(Debug, Clone)]
pub struct Request {
    /// The model, which many requests may be made of.
    pub source: Arc<Source>,
    /// What adapts it.
    pub adapter: Option<AdapterReport>,
    /// What drafts for it: rarely anything, and then something large.
    pub draft: Option<Box<Draft>>,
    /// What is asked of it.
    pub workload: Workload,
    /// How it is counted.
    pub convention: Convention,
    /// What it runs on.
    pub machine: Option<Machine>,
    /// How it is cut.
    pub ranks: Option<Ranks>,
}

impl Request {
    /// What a reader should know before trusting the figures.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = notes(&self.source, &self.workload);
        if let Some(draft) = &self.draft {
            notes.extend(draft.notes(&self.source.model));
        }
        notes.extend(self.machine.iter().flat_map(Machine::notes));
        notes.extend(self.ranks.iter().flat_map(Ranks::notes));
        notes
    }

    /// What the count has; a tower only where there is something for it.
    pub fn components(&self) -> Vec<Component> {
        let mut components = self.source.model.components(&self.convention);
        let sees = !self.workload.images().is_empty();
        let hears = !self.workload.audio().is_empty();
        components.retain(|component| match component {
            Component::Vision => sees,
            Component::Audio => hears,
            _ => true,
        });
        components
    }

    /// Counts it; with a time, measures the hardware against it.
    ///
    /// # Errors
    ///
    /// If a convention does not apply, or a count does not fit 128 bits.
    pub fn report(&self, seconds: Option<f64>) -> Result<Report> {
        let model = &self.source.model;
        let flops = model.flops(&self.workload, &self.convention)?;
        let bytes = model.bytes(&self.workload)?;
        let drafted = match &self.draft {
            Some(draft) => Some(draft.count(model, &self.workload, &self.convention)?),
            None => None,
        };
        // What runs is what moves bytes.
        let moved = drafted.as_ref().map_or(bytes, |drafted| drafted.bytes);
        let mut speculation =
            self.draft.as_ref().zip(drafted.as_ref()).map(|(draft, drafted)| draft.report(drafted));
        let mut utilization = None;
        if let Some(machine) = &self.machine {
            let ideal = |phase| model.ideal(&self.workload, phase, &machine.hardware);
            let plain = [ideal(Phase::Prefill)?, ideal(Phase::Decode)?];
            let ideal = match &self.draft {
                Some(draft) => draft.ideal(model, &self.workload, &machine.hardware)?,
                None => plain,
            };
            if let Some(report) = &mut speculation {
                let [plain, ideal] = [plain, ideal].map(whole);
                report.speedup =
                    plain.zip(ideal).map(|(plain, ideal)| plain.reached_in(ideal.seconds));
            }
            let spent = drafted.as_ref().map(|drafted| &drafted.flops);
            utilization = Some(machine.utilization(&flops, spent, &moved, ideal, seconds)?);
        }
        let mut notes = self.notes();
        if let Some(report) = &utilization {
            notes.extend(report.above_one());
        }
        let mut device = self.machine.as_ref().map(|machine| machine.device_report(Some(&moved)));
        let (parallelism, ranks) = self.cut(&self.convention, device.as_mut())?;
        Ok(Report {
            model: ModelReport::of(&self.source),
            adapter: self.adapter.clone(),
            workload: WorkloadReport::of(model, &self.workload)?,
            convention: self.convention.id,
            flops: FlopsReport::of(&flops, &self.components()),
            bytes: BytesReport::of(&bytes),
            speculation,
            utilization,
            device,
            parallelism,
            ranks,
            notes,
        })
    }
}

impl Request {
    /// What each kind of rank does, if the model is cut; whether the devices hold it is what the ranks' memory says.
    ///
    /// # Errors
    ///
    /// If the sequences cannot be shared so, and for a convention that knows no parts of a model.
    pub fn cut(
        &self,
        convention: &Convention,
        device: Option<&mut DeviceReport>,
    ) -> Result<(Option<ParallelismReport>, Vec<RankReport>)> {
        let Some(ranks) = &self.ranks else { return Ok((None, Vec::new())) };
        let each = self.machine.as_ref().map(|machine| &machine.device);
        let (plan, ranks) = ranks.report(&self.workload, convention, each)?;
        if let Some(device) = device {
            device.fits = all_fit(ranks.iter().map(|rank| rank.fits));
        }
        Ok((Some(plan), ranks))
    }
}

/// Both phases together, if both are known.
pub(crate) fn whole([prefill, decode]: [Option<Ideal>; 2]) -> Option<Ideal> {
    prefill.zip(decode).map(|(prefill, decode)| prefill.and(decode))
}

/// What a reader should know before trusting the figures.
fn notes(source: &Source, workload: &Workload) -> Vec<String> {
    let mut notes = source.notes.clone();
    notes.extend_from_slice(source.model.notes());
    notes.push("bytes leave activations out".into());
    let unread = source.model.unread();
    if !unread.is_empty() {
        notes.push(format!("keys that look like shapes and were not read: {}", keys(unread)));
    }
    let longest = source.model.extractor().and_then(|extractor| extractor.longest_seconds());
    if let Some(most) = longest
        && workload.audio().iter().any(|clip| clip.seconds() > most)
    {
        notes.push(format!("the model's processor cuts a clip off after {most} seconds"));
    }
    let sequences = workload.sequences();
    // An encoder reads its prompt whole, and a decoder that attends to it starts from a token.
    let model = &source.model;
    if !model.generates() || (!model.stacks().is_empty() && !model.perceives()) {
        return notes;
    }
    if workload.is_perceived() {
        return notes;
    }
    if sequences.iter().any(|sequence| sequence.prompt == 0) {
        notes.push(
            "a prompt of 0 tokens: no prefill pass runs, and the first token is given".into(),
        );
    } else if sequences.iter().any(|sequence| sequence.cached == sequence.prompt) {
        notes.push(
            "the whole prompt is cached: no prefill pass runs, and the first token is given".into(),
        );
    }
    notes
}

/// The first of some keys, quoted, and whether there are more.
fn keys(keys: &[String]) -> String {
    const MOST: usize = 20;
    let quoted = |key: &String| format!("`{}`", shortened(key));
    let mut out = keys.iter().take(MOST).map(quoted).collect::<Vec<_>>().join(", ");
    if keys.len() > MOST {
        out.push_str(" and more");
    }
    out
}
