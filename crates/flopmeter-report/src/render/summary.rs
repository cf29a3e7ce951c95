//! An estimate or a utilisation as a document. Only here are ratios per cent.

use super::{Block, Column, Document};
use crate::report::{
    AdapterReport, BytesReport, ClipReport, DeviceReport, FlopsReport, IdealReport, ImageReport,
    ModelReport, Report, SequenceReport, SpeculationReport, UtilizationReport, WorkloadReport,
};
use flopmeter::units::Si;
use std::fmt::Write;

/// An estimate or a utilisation as a document.
pub fn of(report: &Report) -> Document {
    let mut head = report.model.head(report.adapter.as_ref());
    head.push(format!("{}; convention {}", workload(&report.workload), report.convention));
    let mut blocks = vec![flops_block(&report.flops), bytes_block(&report.bytes)];
    if let Some(speculation) = &report.speculation {
        blocks.push(speculation_block(speculation));
        let bytes = bytes_block(&speculation.bytes);
        blocks.push(Block { title: "with the draft".into(), ..bytes });
    }
    if let (Some(utilization), Some(device)) = (&report.utilization, &report.device) {
        blocks.push(utilization_block(report, utilization, device));
    }
    blocks.extend(super::parallel::blocks(report.parallelism.as_ref(), &report.ranks));
    Document { head, blocks, notes: report.notes.clone() }
}

impl ModelReport {
    /// What a document begins with: the model, its size, what adapts it.
    pub fn head(&self, adapter: Option<&AdapterReport>) -> Vec<String> {
        let mut head = vec![self.title()];
        head.extend(adapter.map(|adapter| {
            format!(
                "adapter {}, {}: {} parameters in {} modules",
                adapter.id,
                if adapter.merged { "merged" } else { "not merged" },
                grouped(adapter.parameters),
                adapter.modules
            )
        }));
        head
    }

    /// The model and its size.
    pub fn title(&self) -> String {
        let parameters = &self.parameters;
        let mut size = format!("{} parameters", grouped(parameters.total));
        if parameters.active != parameters.total {
            let _ = write!(size, ", {} active", grouped(parameters.active));
        }
        format!("{} ({}), {size}", self.id, self.model_type)
    }
}

/// What a request is, in a line.
pub fn workload(workload: &WorkloadReport) -> String {
    let mut cache = if workload.kv_cache { "" } else { ", no KV cache" }.to_owned();
    if let Some(tokens) = workload.decoder_prompt {
        cache = format!(", decoder prompt {tokens}{cache}");
    }
    if !workload.images.is_empty() {
        cache = format!("; {}{cache}", images(&workload.images));
    }
    if !workload.audio.is_empty() {
        cache = format!("; {}{cache}", clips(&workload.audio));
    }
    let batch = workload.batch;
    match (workload.prompt, workload.cached, workload.generate) {
        (Some(prompt), Some(cached), Some(generate)) => {
            let cached = if cached > 0 { format!(" ({cached} cached)") } else { String::new() };
            format!("prompt {prompt}{cached}, generate {generate}, batch {batch}{cache}")
        }
        _ => {
            const MOST: usize = 5;
            let one = |it: &SequenceReport| format!("{}:{}", it.prompt, it.generate);
            let listed =
                workload.sequences.iter().take(MOST).map(one).collect::<Vec<_>>().join(", ");
            let more = if workload.sequences.len() > MOST { ", …" } else { "" };
            format!("prompt:generate {listed}{more}; batch {batch}{cache}")
        }
    }
}

/// Images of a prompt, equal neighbours together.
fn images(images: &[ImageReport]) -> String {
    let size = |image: &ImageReport| format!("{}x{}", image.width, image.height);
    let tokens = images.iter().map(|image| u128::from(image.tokens)).sum();
    let noun = if images.len() == 1 { "image" } else { "images" };
    format!("{noun} {} ({} tokens)", runs(images, size), grouped(tokens))
}

/// Clips of a prompt, likewise.
fn clips(clips: &[ClipReport]) -> String {
    let tokens = clips.iter().map(|clip| u128::from(clip.tokens)).sum();
    let length = |clip: &ClipReport| format!("{} s", clip.seconds);
    format!("audio {} ({} tokens)", runs(clips, length), grouped(tokens))
}

/// The first of some, equal neighbours together.
fn runs<T>(all: &[T], shown: impl Fn(&T) -> String) -> String {
    const MOST: usize = 3;
    let runs: Vec<&[T]> = all.chunk_by(|a, b| shown(a) == shown(b)).collect();
    let run = |run: &&[T]| match run {
        [one] => shown(one),
        [one, ..] => format!("{} of {}", run.len(), shown(one)),
        [] => String::new(),
    };
    let listed = runs.iter().take(MOST).map(run).collect::<Vec<_>>().join(", ");
    let more = if runs.len() > MOST { ", …" } else { "" };
    listed + more
}

fn flops_block(flops: &FlopsReport) -> Block {
    let [prefill, decode] = &flops.by_phase;
    let row = |name: &str, prefill: u128, decode: u128, total: u128| {
        let share = if flops.total == 0 { 0.0 } else { total as f64 / flops.total as f64 };
        vec![name.to_owned(), grouped(prefill), grouped(decode), grouped(total), percent(share)]
    };
    let mut rows: Vec<Vec<String>> = flops
        .components
        .iter()
        .map(|&(component, total)| {
            row(component.name(), prefill[component], decode[component], total)
        })
        .collect();
    rows.push(row("total", flops.prefill, flops.decode, flops.total));
    Block {
        title: String::new(),
        columns: vec![
            Column::text("FLOPs"),
            Column::number("prefill"),
            Column::number("decode"),
            Column::number("total"),
            Column::number("share"),
        ],
        rows,
    }
}

fn bytes_block(bytes: &BytesReport) -> Block {
    let row = |name: &str, bytes: u128| {
        vec![name.to_owned(), grouped(bytes), format!("{}B", Si(bytes as f64))]
    };
    Block {
        title: String::new(),
        columns: vec![Column::text("bytes"), Column::number("exact"), Column::number("")],
        rows: vec![
            row("weights", bytes.weights),
            row("KV cache, a token", bytes.kv_cache_per_token),
            row("KV cache, at its largest", bytes.kv_cache),
            row("read, prefill", bytes.prefill.read),
            row("read, decode", bytes.decode.read),
            row("written", bytes.written),
        ],
    }
}

/// Useful and spent FLOPs of a request that is decoded with a draft.
fn speculation_block(speculation: &SpeculationReport) -> Block {
    let flops = &speculation.flops;
    let row = |name: &str, count: u128| {
        let share = if flops.spent == 0 { 0.0 } else { count as f64 / flops.spent as f64 };
        vec![name.to_owned(), grouped(count), percent(share)]
    };
    Block {
        title: format!(
            "draft {} ({}), {} drafted a step, acceptance {}: {:.3} tokens a step, {:.1} steps{}",
            speculation.draft.id,
            speculation.draft.model_type,
            speculation.draft_tokens,
            speculation.acceptance,
            speculation.tokens_per_step,
            speculation.steps,
            speculation
                .speedup
                .map(|speedup| format!(", ideally {speedup:.2} times as fast"))
                .unwrap_or_default(),
        ),
        columns: vec![
            Column::text("FLOPs with the draft"),
            Column::number("expected"),
            Column::number("share"),
        ],
        rows: vec![
            row("prefill", flops.prefill),
            row("draft's prefill", flops.draft_prefill),
            row("drafting", flops.drafting),
            row("verification", flops.verification),
            row("spent", flops.spent),
            row("useful", flops.useful),
        ],
    }
}

fn utilization_block(
    report: &Report,
    utilization: &UtilizationReport,
    device: &DeviceReport,
) -> Block {
    let count = device.count as f64;
    let bytes = report.speculation.as_ref().map_or(&report.bytes, |it| &it.bytes);
    let held = bytes.weights.saturating_add(bytes.kv_cache) as f64;
    let moved = bytes.read.saturating_add(bytes.written) as f64;
    let could = |rate: Option<f64>| {
        rate.zip(utilization.seconds).map(|(rate, seconds)| rate * count * seconds)
    };
    let row = |name: &str, needed: String, possible: String, reached: String| {
        vec![name.to_owned(), needed, possible, reached]
    };
    let mut rows = Vec::new();
    if utilization.seconds.is_some() {
        let possible = could(Some(device.peak_flops_per_second));
        let needed = si(Some(report.flops.total as f64), "FLOP");
        rows.push(row("MFU", needed, si(possible, "FLOP"), ratio(utilization.mfu)));
        if let Some(speculation) = &report.speculation {
            let spent = si(Some(speculation.flops.spent as f64), "FLOP");
            rows.push(row("HFU", spent, si(possible, "FLOP"), ratio(utilization.hfu)));
        }
        let possible = could(device.bandwidth_bytes_per_second);
        rows.push(row("MBU", si(Some(moved), "B"), si(possible, "B"), ratio(utilization.mbu)));
    }
    rows.push(row(
        "time (ideal of taken)",
        si(utilization.ideal_seconds, "s"),
        si(utilization.seconds, "s"),
        ratio(utilization.of_ideal),
    ));
    let phases = [("ideal prefill", &utilization.prefill), ("ideal decode", &utilization.decode)];
    for (name, IdealReport { ideal_seconds, bound }) in phases {
        let bound = bound.map(|side| format!("bound by {side}")).unwrap_or_default();
        rows.push(row(name, si(*ideal_seconds, "s"), bound, String::new()));
    }
    let fits = device.fits.map_or("–", |fits| if fits { "fits" } else { "does not fit" });
    let memory = device.memory_bytes.map(|bytes| bytes as f64 * count);
    rows.push(row("memory", si(Some(held), "B"), si(memory, "B"), fits.into()));
    Block {
        title: format!(
            "{} × {}, {} dense peak {}, bandwidth {}",
            device.count,
            device.name,
            device.dtype,
            si(Some(device.peak_flops_per_second), "FLOP/s"),
            si(device.bandwidth_bytes_per_second, "B/s"),
        ),
        columns: vec![
            Column::text("utilization"),
            Column::number("needed"),
            Column::number("possible"),
            Column::number("reached"),
        ],
        rows,
    }
}

/// A dash stands for what is not known; zero is a measurement.
pub fn si(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{}{unit}", Si(value)))
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".into(), percent)
}

/// `45.7 %`.
pub fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

/// `8,030,261,248`.
pub fn grouped(count: u128) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
