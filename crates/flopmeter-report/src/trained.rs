//! A step of training: what is counted, on what, and what is said of it.

use crate::machine::Machine;
use crate::ranks::{StepRanks, all_fit};
use crate::report::parallel::{ParallelismReport, StepRankReport};
use crate::report::training::{StepFlopsReport, StepReport, StepUtilizationReport, TrainingReport};
use crate::report::{AdapterReport, DeviceReport, ModelReport};
use flopmeter::{Convention, Error, ErrorKind, Parallelism, Result, Step, TrainingFlops};
use flopmeter_source::Source;
use std::sync::Arc;

/// A step of training as it was understood, before anything is counted.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The model, of which many steps may be made.
    pub source: Arc<Source>,
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

    /// Refuses an adapter that is merged into the weights.
    ///
    /// # Errors
    ///
    /// If it is.
    pub fn refuse_merged(merged: bool) -> Result<()> {
        if !merged {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Adapter, "--merged", "has nothing left to train")
            .hint("an adapter is trained beside the weights that it adapts"))
    }

    /// Rows of a step that accumulates batches.
    ///
    /// # Errors
    ///
    /// If there is no batch, or 64 bits cannot number the rows.
    pub fn rows(batch: u64, accumulate: u64) -> Result<u64> {
        if accumulate == 0 {
            let fact = "is 0, and a step has at least one batch";
            return Err(Error::new(ErrorKind::Workload, "--accumulate", fact));
        }
        batch.checked_mul(accumulate).ok_or_else(|| {
            Error::new(ErrorKind::Overflow, "batch", "times --accumulate does not fit 64 bits")
        })
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
        let tokens = self.tokens()?;
        let flops = self.count(convention)?;
        let utilization = match (&self.machine, seconds) {
            (Some(machine), Some(seconds)) => Some(utilization(&flops, machine, seconds, tokens)?),
            _ => None,
        };
        let components = if convention.is_formula() {
            flops.components().present().map(|(component, _)| component).collect()
        } else {
            self.source.model.components(convention)
        };
        let mut notes = self.notes();
        let Cut { device, parallelism, ranks } = self.cut(convention, &mut notes)?;
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

    /// The devices, and what each kind of rank does if the step is cut; what is to be known of them is noted.
    ///
    /// # Errors
    ///
    /// If the model cannot be cut so, and as [`Trained::count`].
    pub fn cut(&self, convention: &Convention, notes: &mut Vec<String>) -> Result<Cut> {
        let mut device = self.machine.as_ref().map(|machine| machine.device_report(None));
        let Some((plan, stages)) = &self.plan else {
            return Ok(Cut { device, parallelism: None, ranks: Vec::new() });
        };
        let each = self.machine.as_ref().map(|machine| &machine.device);
        let (plan, step) = ((plan, &stages[..]), (&self.step, self.accumulate));
        let all = StepRanks::of(&self.source.model, plan, step, convention, each)?;
        notes.extend(all.notes);
        if let Some(device) = &mut device {
            device.fits = all_fit(all.ranks.iter().map(|rank| rank.fits));
        }
        Ok(Cut { device, parallelism: Some(all.plan), ranks: all.ranks })
    }
}

/// What a step runs on, and its ranks.
pub struct Cut {
    /// The devices, if any are known.
    pub device: Option<DeviceReport>,
    /// How the step is cut, if it is.
    pub parallelism: Option<ParallelismReport>,
    /// What each kind of rank does.
    pub ranks: Vec<StepRankReport>,
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
