//! Ranks as tables.

use super::summary::{grouped, percent, si};
use super::{Block, Column};
use crate::report::parallel::{ParallelismReport, RankReport, StepRankReport};
use std::fmt::Write;

/// What each kind of rank does, and what it sends; nothing without a plan.
pub fn blocks(plan: Option<&ParallelismReport>, ranks: &[RankReport]) -> Vec<Block> {
    let Some(plan) = plan else { return Vec::new() };
    let work = ranks.iter().map(|rank| {
        let moved = [rank.bytes.weights, rank.bytes.kv_cache, rank.bytes.read].map(bytes);
        let cells = std::iter::once(grouped(rank.flops.total)).chain(moved);
        line(&rank.name, rank.count, cells, rank.fits)
    });
    let sent = ranks.iter().flat_map(|rank| {
        rank.sent.iter().map(|it| {
            let kind = [it.collective, it.of];
            message(&rank.name, kind, it.ranks, &[it.prefill, it.decode], it.seconds)
        })
    });
    let columns = ["FLOPs", "weights", "KV cache", "read"];
    tables(title(plan), &columns, work.collect(), &["bytes, prefill", "bytes, decode"], sent)
}

/// The same of a step.
pub fn step_blocks(plan: Option<&ParallelismReport>, ranks: &[StepRankReport]) -> Vec<Block> {
    let Some(plan) = plan else { return Vec::new() };
    let work = ranks.iter().map(|rank| {
        let memory = &rank.memory;
        let cells = [
            si(Some(rank.flops.total as f64), "FLOP"),
            bytes(memory.weights),
            bytes(memory.gradients),
            bytes(memory.optimizer),
            memory.activations.map_or_else(|| "–".into(), bytes),
        ];
        line(&rank.name, rank.count, cells, rank.fits)
    });
    let sent = ranks.iter().flat_map(|rank| {
        rank.sent.iter().map(|it| {
            let kind = [it.collective, it.of];
            message(&rank.name, kind, it.ranks, &[it.bytes], it.seconds)
        })
    });
    let mut title = title(plan);
    if let Some(bubble) = plan.bubble.filter(|bubble| *bubble > 0.0) {
        let _ = write!(title, "; bubble {} of the time at work", percent(bubble));
    }
    let columns = ["model FLOPs", "weights", "gradients", "optimizer", "activations"];
    tables(title, &columns, work.collect(), &["bytes"], sent)
}

/// A table of ranks, and one of what they send if they do.
fn tables(
    title: String,
    work_columns: &[&'static str],
    work: Vec<Vec<String>>,
    sent_columns: &[&'static str],
    sent: impl Iterator<Item = Vec<String>>,
) -> Vec<Block> {
    let numbers = |names: &[&'static str]| -> Vec<Column> {
        names.iter().map(|name| Column::number(name)).collect()
    };
    let between = |first: Vec<Column>, names, last| {
        first.into_iter().chain(numbers(names)).chain([Column::number(last)]).collect()
    };
    let ranks = vec![Column::text("a rank"), Column::number("ranks")];
    let mut blocks =
        vec![Block { title, columns: between(ranks, work_columns, "memory"), rows: work }];
    let rows: Vec<Vec<String>> = sent.collect();
    if !rows.is_empty() {
        let what = vec![Column::text("a rank"), Column::text("sends"), Column::number("among")];
        let columns = between(what, sent_columns, "links");
        blocks.push(Block { title: String::new(), columns, rows });
    }
    blocks
}

fn line(
    name: &str,
    count: u64,
    cells: impl IntoIterator<Item = String>,
    fits: Option<bool>,
) -> Vec<String> {
    let fits = fits.map_or("–", |fits| if fits { "fits" } else { "does not fit" });
    let first = [name.to_owned(), grouped(count.into())];
    first.into_iter().chain(cells).chain([fits.to_owned()]).collect()
}

fn message(
    name: &str,
    [collective, of]: [&str; 2],
    ranks: u64,
    bytes: &[u128],
    seconds: Option<f64>,
) -> Vec<String> {
    let first = [name.to_owned(), format!("{collective}: {of}"), ranks.to_string()];
    let bytes = bytes.iter().map(|bytes| grouped(*bytes));
    first.into_iter().chain(bytes).chain([si(seconds, "s")]).collect()
}

fn bytes(bytes: u128) -> String {
    si(Some(bytes as f64), "B")
}

fn title(plan: &ParallelismReport) -> String {
    let sizes = [
        ("data", plan.data),
        ("context", plan.context),
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
    if plan.decode_context > 1 {
        let _ = write!(title, ", {} of them share a cache by tokens", plan.decode_context);
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
    if let Some(most) = plan.largest_context {
        let _ = write!(title, ", or {} tokens of each", grouped(most.into()));
    }
    title
}
