//! `data/devices.toml`, read once: rows to devices, and an index of their names.

use super::name::Name;
use super::{BytesPerSecond, Device, Dtype, FlopsPerSecond};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

pub(super) struct Table {
    pub devices: Vec<Device>,
    /// What the rows say beside the figures, in the same order.
    pub labels: Vec<Labels>,
    /// Names of one row each, normalised.
    pub own: HashMap<String, usize>,
    /// The same without spaces, for a name that is written in one word.
    pub joined: HashMap<String, usize>,
    /// Names that decide nothing.
    pub shared: HashMap<String, Vec<usize>>,
    pub mig: Vec<Mig>,
}

pub(super) fn table() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| {
        // The text is part of the crate and a test reads it, so this cannot fail where the crate was built.
        parse(include_str!("../../data/devices.toml"))
            .expect("data/devices.toml is TOML of this shape")
    });
    &TABLE
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    device: Vec<Row>,
    mig: Vec<Mig>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    name: String,
    vendor: String,
    architecture: String,
    year: Option<u16>,
    unit: String,
    memory_gb: Option<f64>,
    bandwidth_gb_per_s: Option<f64>,
    #[serde(default)]
    dense_tflops: BTreeMap<String, f64>,
    #[serde(default)]
    sparse_tflops: BTreeMap<String, f64>,
    interconnect_gb_per_s: Option<f64>,
    tdp_w: Option<f64>,
    confidence: String,
    source: String,
    note: Option<String>,
    fact: Option<String>,
    #[serde(default)]
    reported: Vec<String>,
    #[serde(default)]
    shared: Vec<String>,
    #[serde(default)]
    also: Vec<String>,
}

pub(super) struct Labels {
    pub fact: Option<String>,
    pub reported: Vec<String>,
}

/// The profiles that some devices can be cut into.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mig {
    pub of: Vec<String>,
    pub profiles: Vec<Profile>,
}

/// `sms` and `memory` are fractions: a count and what it is of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    pub name: String,
    pub sms: (u32, u32),
    pub memory: (u32, u32),
}

pub(super) fn parse(text: &str) -> Result<Table, toml::de::Error> {
    let file: File = toml::from_str(text)?;
    let mut table = Table {
        devices: Vec::with_capacity(file.device.len()),
        labels: Vec::with_capacity(file.device.len()),
        own: HashMap::new(),
        joined: HashMap::new(),
        shared: HashMap::new(),
        mig: file.mig,
    };
    for (at, row) in file.device.into_iter().enumerate() {
        for name in [&row.id, &row.name].into_iter().chain(&row.reported).chain(&row.also) {
            let key = Name::read(name).key();
            table.joined.insert(key.replace(' ', ""), at);
            table.own.insert(key, at);
        }
        for name in &row.shared {
            table.shared.entry(Name::read(name).key()).or_default().push(at);
        }
        let peaks = peaks(&row);
        table.devices.push(Device {
            id: row.id,
            name: row.name,
            vendor: row.vendor,
            architecture: row.architecture,
            year: row.year,
            unit: row.unit,
            memory_bytes: row.memory_gb.map(bytes),
            bandwidth: row.bandwidth_gb_per_s.map(giga),
            interconnect: row.interconnect_gb_per_s.map(giga),
            power_watts: row.tdp_w,
            peaks,
            confidence: row.confidence,
            source: row.source,
            note: row.note,
        });
        table.labels.push(Labels { fact: row.fact, reported: row.reported });
    }
    // A spelling without spaces must not reach a row past a name that others share.
    for name in table.shared.keys() {
        table.joined.remove(&name.replace(' ', ""));
    }
    Ok(table)
}

/// Dense peaks in FLOP/s: what is printed dense, and half of what is printed only with 2:4 sparsity.
fn peaks(row: &Row) -> Vec<(Dtype, FlopsPerSecond)> {
    Dtype::ALL
        .into_iter()
        .filter_map(|dtype| {
            let dense = row.dense_tflops.get(dtype.name()).copied();
            let tflops = dense.or_else(|| Some(row.sparse_tflops.get(dtype.name())? / 2.0))?;
            Some((dtype, FlopsPerSecond(scaled(tflops, 1e6))))
        })
        .collect()
}

fn giga(gb_per_s: f64) -> BytesPerSecond {
    BytesPerSecond(scaled(gb_per_s, 1e3))
}

/// 66.9 · 10¹² as the integer it is: `66.9 * 1e12` would be off in the last bit.
fn scaled(value: f64, step: f64) -> f64 {
    (value * step).round() * 1e6
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // some GB, not negative
fn bytes(gb: f64) -> u64 {
    (gb * 1e9).round() as u64
}
