//! `flopmeter train`: FLOPs of a step of training, and how busy the hardware was with it.

use super::side_by_side::{self, SideBySide};
use crate::args::TrainArgs;
use crate::ranks::StepRanks;
use crate::render;
use crate::report::training::{StepFlopsReport, StepReport, StepUtilizationReport, TrainingReport};
use crate::report::{AdapterReport, ModelReport};
use crate::request::{Base, Machine};
use crate::source::Source;
use flopmeter::{Convention, Error, ErrorKind, Frozen, Result, Step, TrainingFlops};
use serde::Serialize;

pub fn run(args: &TrainArgs) -> Result<String> {
    let trained = Trained::read(args)?;
    if args.convention == side_by_side::ALL {
        let report = trained.side_by_side(args)?;
        let work = render::step(&report.work.step);
        return report.text(work, args.output.format);
    }
    let report = trained.report(args)?;
    render::document(&render::training(&report), &report, args.output.format)
}

/// A step as it was understood, before anything is counted.
struct Trained {
    source: Source,
    adapter: Option<AdapterReport>,
    step: Step,
    tokens: u64,
    machine: Option<Machine>,
    notes: Vec<String>,
}

/// What was counted by several conventions.
#[derive(Debug, Serialize)]
struct OfStep {
    step: StepReport,
}

impl Trained {
    fn read(args: &TrainArgs) -> Result<Self> {
        if args.adapter.merged {
            let fact = "has nothing left to train";
            return Err(Error::new(ErrorKind::Adapter, "--merged", fact)
                .hint("an adapter is trained beside the weights that it adapts"));
        }
        let Base { mut source, adapter } = Base::read(&args.model, &args.adapter)?;
        if let Some(dtype) = &args.dtype {
            source.model = source.model.with_dtype(dtype.parse()?);
        }
        let step = step(args, adapter.is_some())?;
        let tokens = step.tokens().ok_or_else(|| {
            Error::new(ErrorKind::Overflow, "step", "has more tokens than 64 bits can number")
        })?;
        let plan = args.parallel.plan(args.zero);
        let dtype = source.model.quantization().compute;
        let sizes = plan.as_ref().map(|(sizes, _)| sizes);
        let machine = Machine::read(&args.hardware, sizes, dtype)?;
        let mut notes = source.notes.clone();
        notes.extend_from_slice(source.model.notes());
        if let Some(machine) = &machine {
            notes.extend(machine.peak_notes());
        }
        Ok(Self { source, adapter, step, tokens, machine, notes })
    }

    fn count(&self, convention: &Convention) -> Result<TrainingFlops> {
        self.source.model.training(&self.step, convention)?.flops(&self.step)
    }

    fn report(self, args: &TrainArgs) -> Result<TrainingReport> {
        let convention: Convention = args.convention.parse()?;
        let flops = self.count(&convention)?;
        let utilization = match (&self.machine, args.time) {
            (Some(machine), Some(seconds)) => {
                Some(utilization(&flops, machine, seconds, self.tokens)?)
            }
            _ => None,
        };
        let components = if convention.is_formula() {
            flops.components().present().map(|(component, _)| component).collect()
        } else {
            self.source.model.components(&convention)
        };
        let ranks = match args.parallel.plan(args.zero) {
            Some((plan, stages)) => {
                let device = self.machine.as_ref().map(|machine| &machine.device);
                let step = (&self.step, args.accumulate);
                let plan = (&plan, &stages[..]);
                Some(StepRanks::of(&self.source.model, plan, step, &convention, device)?)
            }
            None => None,
        };
        let mut notes = self.notes;
        notes.extend(ranks.iter().flat_map(|ranks| ranks.notes.iter().cloned()));
        let mut device = self.machine.map(|machine| machine.device_report(None));
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
            adapter: self.adapter,
            step: StepReport::of(&self.step, args.accumulate, self.tokens),
            convention: convention.id,
            flops: StepFlopsReport::of(&flops, &components, self.tokens),
            utilization,
            device,
            parallelism,
            ranks,
            notes,
        })
    }

    fn side_by_side(self, args: &TrainArgs) -> Result<SideBySide<OfStep>> {
        let steps = Convention::ALL.iter().filter(|convention| convention.counts_steps());
        let conventions = side_by_side::rows(steps, |convention| {
            let flops = self.count(convention)?;
            let measured = self.machine.as_ref().zip(args.time);
            let measured = measured.map(|(it, time)| flops.utilization(&it.hardware, time));
            Ok((flops.total, measured.transpose()?.map(|[mfu, _]| mfu)))
        })?;
        Ok(SideBySide {
            model: ModelReport::of(&self.source),
            adapter: self.adapter,
            work: OfStep { step: StepReport::of(&self.step, args.accumulate, self.tokens) },
            conventions,
            device: self.machine.map(|machine| machine.device_report(None)),
            notes: self.notes,
        })
    }
}

fn step(args: &TrainArgs, adapted: bool) -> Result<Step> {
    let rows = args.batch.checked_mul(args.accumulate).ok_or_else(|| {
        Error::new(ErrorKind::Overflow, "batch", "times --accumulate does not fit 64 bits")
    })?;
    if args.accumulate == 0 {
        let fact = "is 0, and a step has at least one batch";
        return Err(Error::new(ErrorKind::Workload, "--accumulate", fact));
    }
    let mut step = match args.sequence {
        Some(length) => Step::new(length, rows)?,
        None => Step::packed(&args.packed, rows)?,
    };
    if let Some(tokens) = args.target {
        step = step.with_target(tokens);
    }
    step = step.recomputing(args.recompute).with_reference_forwards(args.reference_forwards);
    if args.flash {
        step = step.recomputing_scores();
    }
    if args.dropout {
        step = step.dropping_out();
    }
    if args.mtp {
        step = step.predicting_further();
    }
    if let Some((prompt, generate)) = args.rollout {
        step = step.with_rollout(prompt, generate)?;
    }
    Ok(match (args.freeze, adapted) {
        (_, true) => step.freezing(Frozen::Base),
        (Some(layers), false) => step.freezing(Frozen::Below(layers)),
        (None, false) => step,
    })
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
