//! `flopmeter devices`: the table of accelerators, or the row that a name means.

use crate::args::DevicesArgs;
use crate::output;
use flopmeter::Result;
use flopmeter::device::{self, Device};
use flopmeter::units::Si;
use flopmeter_report::render::{Block, Column, Document};
use flopmeter_report::report::device::RowReport;
use serde::Serialize;

/// The JSON of `devices`.
#[derive(Debug, Serialize)]
struct List<'d> {
    devices: Vec<RowReport<'d>>,
}

pub fn run(args: &DevicesArgs) -> Result<String> {
    let Some(name) = &args.name else {
        let list = List { devices: Device::all().iter().map(RowReport::of).collect() };
        return output::document(&several(&list), &list, args.output.format);
    };
    let device = device::find(name)?;
    let list = List { devices: vec![RowReport::of(&device)] };
    output::document(&single(&list.devices[0]), &list, args.output.format)
}

fn shown(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{}{unit}", Si(value)))
}

fn single(row: &RowReport<'_>) -> Document {
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
        |row: &RowReport<'_>, dtype| shown(row.peak_flops_per_second.get(dtype).copied(), "FLOP/s");
    let cells = |row: &RowReport<'_>| {
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
