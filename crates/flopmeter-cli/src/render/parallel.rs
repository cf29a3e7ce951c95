//! Ranks as tables.

use super::summary::{grouped, percent, si};
use super::{Block, Column};
use crate::report::parallel::{ParallelismReport, RankReport, StepRankReport};
use std::fmt::Write;

/// What each kind of rank does, and what it sends.
pub(super) fn blocks(plan: &ParallelismReport, ranks: &[RankReport]) -> Vec<Block> {
    let mut blocks = vec![work(plan, ranks)];
    if ranks.iter().any(|rank| !rank.sent.is_empty()) {
        blocks.push(sent(ranks));
    }
    blocks
}

/// The same of a step.
pub(super) fn step_blocks(plan: &ParallelismReport, ranks: &[StepRankReport]) -> Vec<Block> {
    let mut blocks = vec![step_work(plan, ranks)];
    if ranks.iter().any(|rank| !rank.sent.is_empty()) {
        blocks.push(step_sent(ranks));
    }
    blocks
}

fn step_work(plan: &ParallelismReport, ranks: &[StepRankReport]) -> Block {
    let row = |rank: &StepRankReport| {
        let bytes = |bytes: u128| si(Some(bytes as f64), "B");
        let memory = &rank.memory;
        vec![
            rank.name.clone(),
            grouped(rank.count.into()),
            si(Some(rank.flops.total as f64), "FLOP"),
            bytes(memory.weights),
            bytes(memory.gradients),
            bytes(memory.optimizer),
            memory.activations.map_or_else(|| "–".into(), bytes),
            fitting(rank.fits),
        ]
    };
    let mut title = title(plan);
    if let Some(bubble) = plan.bubble.filter(|bubble| *bubble > 0.0) {
        let _ = write!(title, "; bubble {} of the time at work", percent(bubble));
    }
    Block {
        title,
        columns: vec![
            Column::text("a rank"),
            Column::number("ranks"),
            Column::number("model FLOPs"),
            Column::number("weights"),
            Column::number("gradients"),
            Column::number("optimizer"),
            Column::number("activations"),
            Column::number("memory"),
        ],
        rows: ranks.iter().map(row).collect(),
    }
}

fn step_sent(ranks: &[StepRankReport]) -> Block {
    let rows = ranks.iter().flat_map(|rank| {
        rank.sent.iter().map(|it| {
            vec![
                rank.name.clone(),
                format!("{}: {}", it.collective, it.of),
                it.ranks.to_string(),
                grouped(it.bytes),
                si(it.seconds, "s"),
            ]
        })
    });
    Block {
        title: String::new(),
        columns: vec![
            Column::text("a rank"),
            Column::text("sends"),
            Column::number("among"),
            Column::number("bytes"),
            Column::number("links"),
        ],
        rows: rows.collect(),
    }
}

fn fitting(fits: Option<bool>) -> String {
    fits.map_or("–", |fits| if fits { "fits" } else { "does not fit" }).to_owned()
}

fn title(plan: &ParallelismReport) -> String {
    let sizes = [
        ("data", plan.data),
        ("tensor", plan.tensor),
        ("pipeline", plan.pipeline),
        ("expert", plan.expert),
    ];
    let cut = sizes.iter().filter(|(_, size)| *size > 1);
    let cut: Vec<String> = cut.map(|(name, size)| format!("{name} {size}")).collect();
    let mut title = format!("{} devices: {}", grouped(plan.devices.into()), cut.join(", "));
    if plan.sequence {
        title.push_str(", tokens shared among tensor ranks");
    }
    if let Some(zero) = plan.zero.filter(|zero| *zero > 0) {
        let _ = write!(title, ", ZeRO {zero}");
    }
    if plan.virtual_stages > 1 {
        let _ = write!(title, ", {} stretches of layers a stage", plan.virtual_stages);
    }
    if plan.expert > 1 && plan.expert_tensor > 1 {
        let _ = write!(title, ", {} ranks an expert", plan.expert_tensor);
    }
    if let Some(most) = plan.largest_batch {
        let _ = write!(title, "; at most {} sequences fit", grouped(most.into()));
    }
    title
}

fn work(plan: &ParallelismReport, ranks: &[RankReport]) -> Block {
    let row = |rank: &RankReport| {
        let bytes = |bytes: u128| si(Some(bytes as f64), "B");
        vec![
            rank.name.clone(),
            grouped(rank.count.into()),
            grouped(rank.flops.total),
            bytes(rank.bytes.weights),
            bytes(rank.bytes.kv_cache),
            bytes(rank.bytes.read),
            fitting(rank.fits),
        ]
    };
    Block {
        title: title(plan),
        columns: vec![
            Column::text("a rank"),
            Column::number("ranks"),
            Column::number("FLOPs"),
            Column::number("weights"),
            Column::number("KV cache"),
            Column::number("read"),
            Column::number("memory"),
        ],
        rows: ranks.iter().map(row).collect(),
    }
}

fn sent(ranks: &[RankReport]) -> Block {
    let rows = ranks.iter().flat_map(|rank| {
        rank.sent.iter().map(|it| {
            vec![
                rank.name.clone(),
                format!("{}: {}", it.collective, it.of),
                it.ranks.to_string(),
                grouped(it.prefill),
                grouped(it.decode),
                si(it.seconds, "s"),
            ]
        })
    });
    Block {
        title: String::new(),
        columns: vec![
            Column::text("a rank"),
            Column::text("sends"),
            Column::number("among"),
            Column::number("bytes, prefill"),
            Column::number("bytes, decode"),
            Column::number("links"),
        ],
        rows: rows.collect(),
    }
}
