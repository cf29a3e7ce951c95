//! `flopmeter train`: FLOPs of a step of training, and how busy the hardware was with it.

use super::side_by_side::{self, Counted, SideBySide};
use crate::args::TrainArgs;
use crate::output;
use crate::request::machine;
use flopmeter::{Convention, Frozen, Model, Result, Step};
use flopmeter_report::report::ModelReport;
use flopmeter_report::report::parallel::StepRankReport;
use flopmeter_report::report::training::StepReport;
use flopmeter_report::{ALL, Asked, Base, Cut, RANKS_BY_MODEL, Trained, explain, render};
use serde::Serialize;
use std::sync::Arc;

pub fn run(args: &TrainArgs) -> Result<String> {
    let trained = read(args)?;
    if args.explain {
        side_by_side::one_at_a_time(&args.convention)?;
        let explanation = trained.explain(&args.convention.parse()?, args.time)?;
        let document = explain::document(&explanation);
        return output::document(&document, &explanation, args.output.format);
    }
    if args.convention == ALL {
        let report = side_by_side(&trained, args)?;
        let work = render::step(&report.work.step);
        let ranks = render::step_ranks(report.parallelism.as_ref(), &report.ranks);
        return report.text(work, ranks, args.output.format);
    }
    let report = trained.report(&args.convention.parse()?, args.time)?;
    output::document(&render::training(&report), &report, args.output.format)
}

/// What was counted by several conventions.
#[derive(Debug, Serialize)]
struct OfStep {
    step: StepReport,
}

fn read(args: &TrainArgs) -> Result<Trained> {
    Trained::refuse_merged(args.adapter.merged)?;
    let asked = Asked {
        dtype: args.dtype.as_deref(),
        adapter: args.adapter.adapter.as_deref(),
        ..Asked::default()
    };
    let Base { source, adapter } = Base::find(&args.model, &asked)?;
    let step = step(args, &source.model)?;
    let plan = args.parallel.plan(args.zero);
    let dtype = source.model.quantization().compute;
    let sizes = plan.as_ref().map(|(sizes, _)| sizes);
    let machine = machine(&args.hardware, sizes, dtype)?;
    let source = Arc::new(source);
    Ok(Trained { source, adapter, step, accumulate: args.accumulate, plan, machine })
}

fn side_by_side(trained: &Trained, args: &TrainArgs) -> Result<SideBySide<OfStep, StepRankReport>> {
    let steps = Convention::ALL.iter().filter(|convention| convention.counts_steps());
    let conventions = side_by_side::rows(steps, |convention| {
        let flops = trained.count(convention)?;
        let measured = trained.machine.as_ref().zip(args.time);
        let measured = measured.map(|(it, time)| flops.utilization(&it.hardware, time));
        let ratios = measured.transpose()?;
        let [mfu, hfu] = ratios.map_or([None; 2], |ratios| ratios.map(Some));
        Ok(Counted { flops: flops.total, executed: Some(flops.executed), mfu, hfu })
    })?;
    let mut notes = trained.notes();
    let Cut { device, parallelism, ranks } = trained.cut(&Convention::MODEL, &mut notes)?;
    notes.extend(parallelism.as_ref().map(|_| RANKS_BY_MODEL.to_owned()));
    Ok(SideBySide {
        model: ModelReport::of(&trained.source),
        adapter: trained.adapter.clone(),
        work: OfStep { step: StepReport::of(&trained.step, trained.accumulate, trained.tokens()?) },
        conventions,
        device,
        parallelism,
        ranks,
        notes,
    })
}

fn step(args: &TrainArgs, model: &Model) -> Result<Step> {
    let rows = Trained::rows(args.batch, args.accumulate)?;
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
    Ok(step.freezing(Frozen::of(model, args.freeze)))
}
