//! A row of a table, as far as it is known.

use super::cells::Cells;
use super::column::Column;
use super::printed::Printed;
use super::shape::ModelShape;
use crate::device;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::model::Model;
use crate::training::{Recompute, Step};

/// A row. What it lacks or what is not known is a sentence in place of a value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The line it begins on.
    pub line: u64,
    /// What it is called: its `row`, or else its `model`.
    pub name: String,
    /// The model by name.
    pub model: Option<String>,
    /// Its shape, which stands before the name, or what of it is missing.
    pub shape: std::result::Result<ModelShape, String>,
    /// Parameters that the source states.
    pub parameters: Option<f64>,
    /// Tokens of a sequence.
    pub sequence: Option<u64>,
    /// Sequences of a step.
    pub batch: Option<u64>,
    /// Number of devices.
    pub devices: Option<u64>,
    /// Dense peak of one in FLOP/s, or why none is known.
    pub peak: std::result::Result<f64, String>,
    /// What is computed again, if that is known.
    pub recompute: Option<Recompute>,
    /// Whether layers that predict further tokens are trained.
    pub mtp: bool,
    /// How fast it went, or why that is not known.
    pub throughput: std::result::Result<Throughput, String>,
    /// What is claimed.
    pub claims: Claims,
}

/// Figures that the source prints.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Claims {
    /// TFLOP/s of a device.
    pub tflops: Option<Printed>,
    /// MFU, a fraction.
    pub mfu: Option<Printed>,
    /// HFU, a fraction.
    pub hfu: Option<Printed>,
}

/// A printed speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Throughput {
    /// The figure.
    pub figure: Printed,
    /// Of what.
    pub unit: Unit,
}

/// What a throughput is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Tokens a second, of all devices.
    Tokens,
    /// Tokens a second of one device.
    TokensPerDevice,
    /// Sequences a second, of all devices.
    Sequences,
    /// Sequences a second of one device.
    SequencesPerDevice,
    /// Steps a second.
    Steps,
    /// Seconds of a step.
    Seconds,
    /// Milliseconds of a step.
    Milliseconds,
}

/// The units by their names.
const UNITS: [(Unit, &[&str]); 7] = [
    (Unit::Tokens, &["tokens/s", "tok/s", "tps"]),
    (Unit::TokensPerDevice, &["tokens/s/device", "tokens/s/gpu", "tokens/s/chip", "tok/s/gpu"]),
    (Unit::Sequences, &["sequences/s", "samples/s"]),
    (Unit::SequencesPerDevice, &["sequences/s/device", "samples/s/device", "samples/s/gpu"]),
    (Unit::Steps, &["steps/s", "it/s"]),
    (Unit::Seconds, &["s/step", "s/iteration", "s/it"]),
    (Unit::Milliseconds, &["ms/step", "ms/iteration", "ms/it"]),
];

impl Unit {
    /// The unit of this name; what stands behind it in parentheses is a remark.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.split('(').next().unwrap_or_default().trim().to_ascii_lowercase();
        UNITS.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(unit, _)| *unit)
    }

    /// The names of all, one each.
    pub fn names() -> [&'static str; 7] {
        UNITS.map(|(_, names)| names[0])
    }
}

impl Entry {
    /// `percent`: whether the columns `mfu` and `hfu` hold percentages.
    pub(super) fn read(row: &Cells<'_>, percent: [bool; 2]) -> Result<Self> {
        let either = |named: Column, of_100: Column, percent: bool| {
            Ok(match row.ratio(of_100, true)? {
                Some(figure) => Some(figure),
                None => row.ratio(named, percent)?,
            })
        };
        let claims = Claims {
            tflops: row.positive(Column::Tflops)?,
            mfu: either(Column::Mfu, Column::MfuPercent, percent[0])?,
            hfu: either(Column::Hfu, Column::HfuPercent, percent[1])?,
        };
        let model = row.text(Column::Model).map(str::to_owned);
        let name = row.text(Column::Row).map(str::to_owned).or_else(|| model.clone());
        Ok(Self {
            line: row.line,
            name: name.unwrap_or_else(|| format!("line {}", row.line)),
            model,
            shape: ModelShape::read(row)?,
            parameters: parameters(row)?,
            sequence: row.whole(Column::Sequence)?,
            batch: row.whole(Column::Batch)?,
            devices: row.whole(Column::Devices)?,
            peak: peak(row)?,
            recompute: recompute(row)?,
            mtp: row.flag(Column::Mtp)?.unwrap_or(false),
            throughput: throughput(row)?,
            claims,
        })
    }

    /// The model of its shape, or else of its name, which `named` knows.
    pub(super) fn find(
        &self,
        named: impl FnOnce(&str) -> Result<Model>,
    ) -> std::result::Result<Model, String> {
        let missing = match (&self.shape, &self.model) {
            (Ok(shape), _) => {
                let positions = self.sequence.unwrap_or(1);
                return shape.model(positions, self.parameters).map_err(|error| error.to_string());
            }
            (Err(missing), None) => missing,
            (Err(missing), Some(name)) => match named(name) {
                Ok(model) => return Ok(model),
                Err(error) => return Err(format!("{error}; and its shape {missing}")),
            },
        };
        Err(format!("names no model, and its shape {missing}"))
    }

    /// One sequence of it, and how many of them a second a device does.
    pub(super) fn step(&self) -> std::result::Result<(Step, f64), String> {
        let sequence = self.sequence.ok_or("has no `seq_len`")?;
        let Throughput { figure, unit } = self.throughput.clone()?;
        let devices = || self.devices.map(|devices| devices as f64).ok_or("has no `devices`");
        let batch = || self.batch.map(|batch| batch as f64).ok_or("has no `batch`");
        let (value, length) = (figure.value, sequence as f64);
        let rows = match unit {
            Unit::Tokens => value / length / devices()?,
            Unit::TokensPerDevice => value / length,
            Unit::Sequences => value / devices()?,
            Unit::SequencesPerDevice => value,
            Unit::Steps => value * batch()? / devices()?,
            Unit::Seconds => batch()? / value / devices()?,
            Unit::Milliseconds => 1e3 * batch()? / value / devices()?,
        };
        if !(rows.is_finite() && rows > 0.0) {
            return Err("has a throughput that does not fit a float".into());
        }
        let mut step = Step::new(sequence, 1).map_err(|error| error.to_string())?;
        step = step.recomputing(self.recompute.unwrap_or_default());
        if self.mtp {
            step = step.predicting_further();
        }
        Ok((step, rows))
    }
}

/// `175B`, `1.1e9`, `64862437376`; of `47B/13B` the first. What else stands there is a remark.
fn parameters(row: &Cells<'_>) -> Result<Option<f64>> {
    let Some(text) = row.text(Column::Parameters) else { return Ok(None) };
    let first = text.split('/').next().unwrap_or_default().trim();
    let factors = [("T", 1e12), ("B", 1e9), ("M", 1e6), ("", 1.0)];
    let stated = factors.iter().find_map(|(suffix, factor)| {
        let number: f64 = first.strip_suffix(suffix)?.trim().parse().ok()?;
        Some(number * factor)
    });
    match stated {
        Some(number) if number.is_finite() && number > 0.0 => Ok(Some(number)),
        _ => Err(row.wrong(
            Column::Parameters,
            "is no number of parameters above zero",
            "such as 175B or 8030261248; leave the cell empty if it is not known",
        )),
    }
}

fn peak(row: &Cells<'_>) -> Result<std::result::Result<f64, String>> {
    if let Some(figure) = row.positive(Column::Peak)? {
        return Ok(Ok(figure.value));
    }
    let Some(name) = row.text(Column::Device) else {
        return Ok(Err("has neither `peak` nor `device`".into()));
    };
    let Some(dtype) = row.text(Column::Dtype) else {
        return Ok(Err("has a `device` and no `dtype`, whose peak would be taken".into()));
    };
    let peak = dtype_of(dtype).and_then(|dtype| peak_of(name, dtype));
    Ok(peak.map_err(|error| format!("has a device or dtype without a peak: {error}")))
}

/// The peak of a device. Where several have its name (`A100`), theirs if it is the same for all.
fn peak_of(name: &str, dtype: Dtype) -> Result<f64> {
    let ambiguous = match device::find(name) {
        Ok(device) => return Ok(device.peak(dtype)?.0),
        Err(error) => error,
    };
    let ids = ambiguous.candidate_list().iter().filter_map(|it| it.split_whitespace().next());
    let peaks: Option<Vec<f64>> =
        ids.map(|id| Some(device::find(id).ok()?.peak(dtype).ok()?.0)).collect();
    match peaks.as_deref() {
        Some([first, rest @ ..]) if rest.iter().all(|peak| peak == first) => Ok(*first),
        _ => Err(ambiguous),
    }
}

/// What recipes call the dtype of their products.
fn dtype_of(name: &str) -> Result<Dtype> {
    name.trim().strip_prefix("amp_").unwrap_or(name).parse()
}

fn recompute(row: &Cells<'_>) -> Result<Option<Recompute>> {
    let Some(text) = row.text(Column::Recompute) else { return Ok(None) };
    Ok(match text.to_ascii_lowercase().as_str() {
        "none" | "no" | "false" => Some(Recompute::Nothing),
        "selective" => Some(Recompute::Selective),
        "full" | "yes" | "true" => Some(Recompute::Full),
        "custom" => None,
        number => match number.parse() {
            Ok(layers) => Some(Recompute::Layers(layers)),
            Err(_) => {
                return Err(row.wrong(
                    Column::Recompute,
                    "is nothing that is recomputed",
                    "known: none, selective, full, a number of layers, and custom for what no word says",
                ));
            }
        },
    })
}

fn throughput(row: &Cells<'_>) -> Result<std::result::Result<Throughput, String>> {
    let Some(figure) = row.positive(Column::Throughput)? else {
        return Ok(Err("has no `throughput`".into()));
    };
    let Some(text) = row.text(Column::Unit) else {
        return Ok(Err("has a `throughput` and no `unit`".into()));
    };
    match Unit::of(text) {
        Some(unit) => Ok(Ok(Throughput { figure, unit })),
        None => Err(row.wrong(
            Column::Unit,
            "is no unit of a throughput that is known",
            &format!("known: {}", Unit::names().join(", ")),
        )),
    }
}
