//! A step of training as a document.

use super::summary::{grouped, percent, si};
use super::{Block, Column, Document};
use crate::report::DeviceReport;
use crate::report::training::{StepReport, StepUtilizationReport, TrainingReport};

/// A step as a document.
pub fn of(report: &TrainingReport) -> Document {
    let mut head = report.model.head(report.adapter.as_ref());
    head.push(format!("{}; convention {}", step(&report.step), report.convention));
    let mut blocks = vec![components(report), passes(report)];
    if let (Some(utilization), Some(device)) = (&report.utilization, &report.device) {
        blocks.push(utilization_block(report, utilization, device));
    }
    blocks.extend(super::parallel::step_blocks(report.parallelism.as_ref(), &report.ranks));
    Document { head, blocks, notes: report.notes.clone() }
}

/// What a step is, in a line.
pub fn step(step: &StepReport) -> String {
    let mut said = match step.sequence {
        Some(sequence) => format!("sequence {sequence}, batch {}", step.batch),
        None => {
            const MOST: usize = 5;
            let listed: Vec<String> = step
                .packed
                .iter()
                .take(MOST)
                .map(|it| match it.count {
                    1 => it.tokens.to_string(),
                    count => format!("{count} of {}", it.tokens),
                })
                .collect();
            let more = if step.packed.len() > MOST { ", …" } else { "" };
            format!("packed {}{more}; rows {}", listed.join(", "), step.batch)
        }
    };
    let mut more = |text: String| {
        said.push_str(", ");
        said.push_str(&text);
    };
    if step.accumulate != 1 {
        more(format!("accumulated {} times", step.accumulate));
    }
    if let Some(target) = step.target {
        more(format!("target {target}"));
    }
    if step.frozen != "nothing" {
        more(format!("frozen: {}", step.frozen));
    }
    if step.recompute != "none" {
        more(format!("recomputed: {}", step.recompute));
    }
    if step.flash {
        more("flash attention".into());
    }
    if step.mtp {
        more("further tokens predicted".into());
    }
    if step.reference_forwards > 0 {
        more(format!("{} forward without gradient", step.reference_forwards));
    }
    if let Some(rollout) = &step.rollout {
        more(format!("generated {}:{}", rollout.prompt, rollout.generate));
    }
    format!("{said}: {} tokens", grouped(step.tokens.into()))
}

fn components(report: &TrainingReport) -> Block {
    let flops = &report.flops;
    let row = |name: &str, counts: [u128; 4]| {
        let share = if flops.total == 0 { 0.0 } else { counts[3] as f64 / flops.total as f64 };
        let cells = counts.map(grouped);
        std::iter::once(name.to_owned()).chain(cells).chain([percent(share)]).collect()
    };
    let mut rows: Vec<Vec<String>> = flops
        .components
        .iter()
        .map(|&(component, total)| {
            let [forward, inputs, weights] = flops.passes.map(|counts| counts[component]);
            row(component.name(), [forward, inputs, weights, total])
        })
        .collect();
    rows.push(row(
        "total",
        [flops.forward, flops.input_gradients, flops.weight_gradients, flops.total],
    ));
    Block {
        title: String::new(),
        columns: vec![
            Column::text("FLOPs"),
            Column::number("forward"),
            Column::number("input gradients"),
            Column::number("weight gradients"),
            Column::number("total"),
            Column::number("share"),
        ],
        rows,
    }
}

fn passes(report: &TrainingReport) -> Block {
    let flops = &report.flops;
    let row = |name: &str, count: u128| {
        vec![name.to_owned(), grouped(count), si(Some(count as f64), "FLOP")]
    };
    let mut rows = Vec::new();
    if flops.without_gradient > 0 {
        rows.push(row("without a gradient", flops.without_gradient));
    }
    rows.push(row("model FLOPs", flops.total));
    rows.push(row("recomputed", flops.recomputed));
    rows.push(row("executed", flops.executed));
    rows.push(vec![
        "model FLOPs a token".into(),
        grouped(flops.total / u128::from(report.step.tokens.max(1))),
        si(Some(flops.per_token), "FLOP"),
    ]);
    Block {
        title: String::new(),
        columns: vec![Column::text("step"), Column::number("exact"), Column::number("")],
        rows,
    }
}

fn utilization_block(
    report: &TrainingReport,
    utilization: &StepUtilizationReport,
    device: &DeviceReport,
) -> Block {
    let possible = device.peak_flops_per_second * device.count as f64 * utilization.seconds;
    let row = |name: &str, count: u128, ratio: f64| {
        vec![
            name.to_owned(),
            si(Some(count as f64), "FLOP"),
            si(Some(possible), "FLOP"),
            percent(ratio),
        ]
    };
    let rate = |name: &str, rate: f64, unit: &str| {
        vec![
            name.to_owned(),
            String::new(),
            String::new(),
            si(Some(rate), unit).trim_end().to_owned(),
        ]
    };
    Block {
        title: format!(
            "{} × {}, {} dense peak {}",
            device.count,
            device.name,
            device.dtype,
            si(Some(device.peak_flops_per_second), "FLOP/s"),
        ),
        columns: vec![
            Column::text("utilization"),
            Column::number("needed"),
            Column::number("possible"),
            Column::number("reached"),
        ],
        rows: vec![
            row("MFU", report.flops.total, utilization.mfu),
            row("HFU", report.flops.executed, utilization.hfu),
            rate("tokens a second", utilization.tokens_per_second, ""),
            rate("tokens a second and device", utilization.tokens_per_second_per_device, ""),
            rate("FLOP/s a device", utilization.flops_per_second_per_device, "FLOP/s"),
        ],
    }
}
