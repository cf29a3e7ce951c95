//! A step of training: what is counted, on what, and what is said of it.

use crate::machine::Machine;
use crate::ranks::StepRanks;
use crate::report::training::{StepFlopsReport, StepReport, StepUtilizationReport, TrainingReport};
use crate::report::{AdapterReport, ModelReport};
use flopmeter::{Convention, Error, ErrorKind, Parallelism, Result, Step, TrainingFlops};
use flopmeter_source::Source;

/// A step of training as it was understood, before anything is counted.
pub struct Trained {
    /// The model.
    pub source: Source,
    /// What adapts it, and is trained in its place.
    pub adapter: Option<AdapterReport>,
    /// The step, all batches that are accumulated in it.
    pub step: Step,
    /// Batches that are accumulated.
    pub accumulate: u64,
    /// How the model is cut, and the layers of each stage where they are given.
    pub plan: Option<(Parallelism, Vec<u64>)>,
    /// What it runs on.
    pub machine: Option<Machine>,
}

impl Trained {
    /// What a reader should know before trusting the figures.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.source.notes.clone();
        notes.extend_from_slice(self.source.model.notes());
        notes.extend(self.machine.iter().flat_map(Machine::peak_notes));
        notes
    }

    /// Tokens of the step.
    ///
    /// # Errors
    ///
    /// If 64 bits cannot number them.
    pub fn tokens(&self) -> Result<u64> {
        self.step.tokens().ok_or_else(|| {
            Error::new(ErrorKind::Overflow, "step", "has more tokens than 64 bits can number")
        })
    }

    /// Counts it.
    ///
    /// # Errors
    ///
    /// If the convention does not apply, or a count does not fit 128 bits.
    pub fn count(&self, convention: &Convention) -> Result<TrainingFlops> {
        self.source.model.training(&self.step, convention)?.flops(&self.step)
    }

    /// Counts it; with a time, measures the hardware against it.
    ///
    /// # Errors
    ///
    /// As [`Trained::count`], and if the model cannot be cut so.
    pub fn report(&self, convention: &Convention, seconds: Option<f64>) -> Result<TrainingReport> {
        let flops = self.count(convention)?;
        let tokens = self.tokens()?;
        let utilization = match (&self.machine, seconds) {
            (Some(machine), Some(seconds)) => Some(utilization(&flops, machine, seconds, tokens)?),
            _ => None,
        };
        let components = if convention.is_formula() {
            flops.components().present().map(|(component, _)| component).collect()
        } else {
            self.source.model.components(convention)
        };
        let ranks = match &self.plan {
            Some((plan, stages)) => {
                let plan = (plan, &stages[..]);
                let device = self.machine.as_ref().map(|machine| &machine.device);
                let step = (&self.step, self.accumulate);
                Some(StepRanks::of(&self.source.model, plan, step, convention, device)?)
            }
            None => None,
        };
        let mut notes = self.notes();
        notes.extend(ranks.iter().flat_map(|ranks| ranks.notes.iter().cloned()));
        let mut device = self.machine.as_ref().map(|machine| machine.device_report(None));
        let (parallelism, ranks) = match ranks {
            Some(StepRanks { plan, ranks, .. }) => (Some(plan), ranks),
            None => (None, Vec::new()),
        };
        if let Some(device) = device.as_mut().filter(|_| !ranks.is_empty()) {
            device.fits =
                ranks.iter().map(|rank| rank.fits).reduce(|a, b| Some(a? && b?)).flatten();
        }
        notes.extend(utilization.as_ref().and_then(StepUtilizationReport::above_one));
        Ok(TrainingReport {
            model: ModelReport::of(&self.source),
            adapter: self.adapter.clone(),
            step: StepReport::of(&self.step, self.accumulate, tokens),
            convention: convention.id,
            flops: StepFlopsReport::of(&flops, &components, tokens),
            utilization,
            device,
            parallelism,
            ranks,
            notes,
        })
    }
}

fn utilization(
    flops: &TrainingFlops,
    machine: &Machine,
    seconds: f64,
    tokens: u64,
) -> Result<StepUtilizationReport> {
    let hardware = &machine.hardware;
    let [mfu, hfu] = flops.utilization(hardware, seconds)?;
    let (per_second, devices) = (tokens as f64 / seconds, hardware.count as f64);
    Ok(StepUtilizationReport {
        mfu,
        hfu,
        seconds,
        tokens_per_second: per_second,
        tokens_per_second_per_device: per_second / devices,
        flops_per_second_per_device: mfu * hardware.peak.0,
    })
}
