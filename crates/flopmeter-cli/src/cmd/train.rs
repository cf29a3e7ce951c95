//! `flopmeter train`: FLOPs of a step of training, and how busy the hardware was with it.

use crate::args::TrainArgs;
use crate::render;
use crate::report::ModelReport;
use crate::report::training::{StepFlopsReport, StepReport, StepUtilizationReport, TrainingReport};
use crate::request::{Base, Machine};
use flopmeter::{Convention, Error, ErrorKind, Frozen, Result, Step, TrainingFlops};

pub fn run(args: &TrainArgs) -> Result<String> {
    let report = report(args)?;
    render::document(&render::training(&report), &report, args.output.format)
}

fn report(args: &TrainArgs) -> Result<TrainingReport> {
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
    let convention: Convention = args.convention.parse()?;
    let model = &source.model;
    let flops = model.training(&step, &convention)?.flops(&step)?;
    let machine = Machine::read(&args.hardware, None, model.quantization().compute)?;
    let utilization = match (&machine, args.time) {
        (Some(machine), Some(seconds)) => Some(utilization(&flops, machine, seconds, tokens)?),
        _ => None,
    };
    let components = if convention.is_formula() {
        flops.components().present().map(|(component, _)| component).collect()
    } else {
        model.components(&convention)
    };
    let mut notes = source.notes.clone();
    notes.extend_from_slice(model.notes());
    if let Some(machine) = &machine {
        notes.extend(machine.peak_notes());
    }
    notes.extend(utilization.as_ref().and_then(StepUtilizationReport::above_one));
    Ok(TrainingReport {
        model: ModelReport::of(&source),
        adapter,
        step: StepReport::of(&step, args.accumulate, tokens),
        convention: convention.id,
        flops: StepFlopsReport::of(&flops, &components, tokens),
        utilization,
        device: machine.map(|machine| machine.device_report(None)),
        notes,
    })
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
