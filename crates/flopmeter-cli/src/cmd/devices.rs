//! `flopmeter devices`: the table of accelerators, or the row that a name means.

use crate::args::DevicesArgs;
use crate::output;
use flopmeter::Result;
use flopmeter::device::{self, Device};
use flopmeter::units::Si;
use flopmeter_report::render::{Block, Column, Document};
use serde::Serialize;
use std::collections::BTreeMap;

/// The JSON of `devices`.
#[derive(Debug, Serialize)]
struct List<'d> {
    devices: Vec<Row<'d>>,
}

#[derive(Debug, Serialize)]
struct Row<'d> {
    id: &'d str,
    name: &'d str,
    vendor: &'d str,
    architecture: &'d str,
    unit: &'d str,
    memory_bytes: Option<u64>,
    bandwidth_bytes_per_second: Option<f64>,
    peak_flops_per_second: BTreeMap<&'static str, f64>,
    confidence: &'d str,
    source: &'d str,
    note: Option<&'d str>,
}

pub fn run(args: &DevicesArgs) -> Result<String> {
    let Some(name) = &args.name else {
        let list = List { devices: Device::all().iter().map(row).collect() };
        return output::document(&several(&list), &list, args.output.format);
    };
    let device = device::find(name)?;
    let list = List { devices: vec![row(&device)] };
    output::document(&single(&list.devices[0]), &list, args.output.format)
}

fn row(device: &Device) -> Row<'_> {
    Row {
        id: device.id(),
        name: device.name(),
        vendor: device.vendor(),
        architecture: device.architecture(),
        unit: device.unit(),
        memory_bytes: device.memory_bytes(),
        bandwidth_bytes_per_second: device.bandwidth().ok().map(|rate| rate.0),
        peak_flops_per_second: device.peaks().map(|(dtype, peak)| (dtype.name(), peak.0)).collect(),
        confidence: device.confidence(),
        source: device.source(),
        note: device.note(),
    }
}

fn shown(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{}{unit}", Si(value)))
}

fn single(row: &Row<'_>) -> Document {
    let fact = |fact: &str, value: String| vec![fact.to_owned(), value];
    let mut facts = vec![
        fact("id", row.id.to_owned()),
        fact("vendor", row.vendor.to_owned()),
        fact("architecture", row.architecture.to_owned()),
        fact("counted as", row.unit.to_owned()),
        fact("memory", shown(row.memory_bytes.map(|bytes| bytes as f64), "B")),
        fact("bandwidth", shown(row.bandwidth_bytes_per_second, "B/s")),
    ];
    let peaks = row.peak_flops_per_second.iter();
    facts.extend(
        peaks.map(|(dtype, peak)| {
            fact(&format!("peak {dtype}, dense"), shown(Some(*peak), "FLOP/s"))
        }),
    );
    facts.push(fact("confidence", row.confidence.to_owned()));
    facts.push(fact("source", row.source.to_owned()));
    let columns = vec![Column::text("fact"), Column::text("value")];
    Document {
        head: vec![row.name.to_owned()],
        blocks: vec![Block { title: String::new(), columns, rows: facts }],
        notes: row.note.map(str::to_owned).into_iter().collect(),
    }
}

fn several(list: &List<'_>) -> Document {
    let peak =
        |row: &Row<'_>, dtype| shown(row.peak_flops_per_second.get(dtype).copied(), "FLOP/s");
    let cells = |row: &Row<'_>| {
        vec![
            row.id.to_owned(),
            row.name.to_owned(),
            shown(row.memory_bytes.map(|bytes| bytes as f64), "B"),
            shown(row.bandwidth_bytes_per_second, "B/s"),
            peak(row, "bf16"),
            peak(row, "fp16"),
            peak(row, "fp8"),
            row.confidence.to_owned(),
        ]
    };
    let columns = vec![
        Column::text("id"),
        Column::text("name"),
        Column::number("memory"),
        Column::number("bandwidth"),
        Column::number("bf16"),
        Column::number("fp16"),
        Column::number("fp8"),
        Column::text("confidence"),
    ];
    Document {
        head: vec![format!("{} devices; dense peaks", list.devices.len())],
        blocks: vec![Block {
            title: String::new(),
            columns,
            rows: list.devices.iter().map(cells).collect(),
        }],
        notes: Vec::new(),
    }
}
