//! What the command says of a workload, as values: the JSON interface, and what the other forms show.

use crate::args::{HardwareArgs, WorkArgs};
use crate::source::{self, Source};
use crate::visible::shortened;
use flopmeter::device::{self, Device};
use flopmeter::{
    Bytes, Convention, Counts, Dtype, Flops, Hardware, Ideal, Model, Phase, Result, Sequence,
    Utilization, Workload,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::fmt::Write;

/// The JSON of `estimate` and `utilization`.
#[derive(Debug, Serialize)]
pub struct Report {
    pub model: ModelReport,
    pub workload: WorkloadReport,
    pub convention: &'static str,
    pub flops: FlopsReport,
    pub bytes: BytesReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization: Option<UtilizationReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceReport>,
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct ModelReport {
    pub id: String,
    pub model_type: String,
    pub parameters: ParametersReport,
}

#[derive(Debug, Serialize)]
pub struct ParametersReport {
    pub total: u128,
    pub active: u128,
    pub embedding: u128,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum WorkloadReport {
    /// Equal sequences.
    Equal { prompt: u64, cached: u64, generate: u64, batch: u64, kv_cache: bool },
    /// Different ones.
    Different { sequences: Vec<SequenceReport>, batch: u128, kv_cache: bool },
}

#[derive(Debug, Serialize)]
pub struct SequenceReport {
    pub prompt: u64,
    pub cached: u64,
    pub generate: u64,
    pub batch: u64,
}

#[derive(Debug, Serialize)]
pub struct FlopsReport {
    pub total: u128,
    pub prefill: u128,
    pub decode: u128,
    #[serde(serialize_with = "by_name")]
    pub components: Counts,
    /// The same by phase, for the table.
    #[serde(skip)]
    pub by_phase: [Counts; 2],
}

#[derive(Debug, Serialize)]
pub struct BytesReport {
    pub weights: u128,
    pub kv_cache_per_token: u128,
    pub kv_cache: u128,
    pub read: u128,
    pub written: u128,
    pub prefill: TrafficReport,
    pub decode: TrafficReport,
}

#[derive(Debug, Serialize)]
pub struct TrafficReport {
    pub read: u128,
    pub written: u128,
}

/// Ratios are fractions. What is not known, or was not measured, is null.
#[derive(Debug, Serialize)]
pub struct UtilizationReport {
    pub mfu: Option<f64>,
    pub mbu: Option<f64>,
    pub seconds: Option<f64>,
    pub ideal_seconds: Option<f64>,
    pub of_ideal: Option<f64>,
    pub bound: Option<&'static str>,
    pub prefill: IdealReport,
    pub decode: IdealReport,
}

#[derive(Debug, Serialize)]
pub struct IdealReport {
    pub ideal_seconds: Option<f64>,
    pub bound: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub struct DeviceReport {
    pub id: String,
    pub name: String,
    pub count: u64,
    pub dtype: &'static str,
    pub peak_flops_per_second: f64,
    pub bandwidth_bytes_per_second: Option<f64>,
    pub memory_bytes: Option<u128>,
    pub fits: Option<bool>,
}

/// A request as it was understood, before anything is counted.
pub struct Request {
    pub source: Source,
    pub workload: Workload,
    pub convention: Convention,
    pub hardware: Option<Machine>,
    pub notes: Vec<String>,
}

/// Devices, as far as they are known.
pub struct Machine {
    pub device: Device,
    pub dtype: Dtype,
    pub hardware: Hardware,
    notes: Vec<String>,
}

impl Request {
    /// Reads the arguments.
    pub fn read(work: &WorkArgs, hardware: &HardwareArgs) -> Result<Self> {
        let mut source = source::find(&work.model)?;
        if let Some(dtype) = &work.dtype {
            source.model = source.model.with_dtype(dtype.parse()?);
        }
        if let Some(dtype) = &work.kv_dtype {
            source.model = source.model.with_cache_dtype(dtype.parse()?);
        }
        let workload = workload(work)?;
        let mut notes = notes(&source, &workload);
        let dtype = source.model.quantization().compute;
        let hardware = machine(hardware, dtype)?;
        if let Some(machine) = &hardware {
            notes.extend(machine.notes());
        }
        Ok(Self { source, workload, convention: work.convention.parse()?, hardware, notes })
    }

    /// Counts it; with a time, measures the hardware against it.
    pub fn report(&self, seconds: Option<f64>) -> Result<Report> {
        let model = &self.source.model;
        let flops = model.flops(&self.workload, &self.convention)?;
        let bytes = model.bytes(&self.workload)?;
        let utilization = match &self.hardware {
            Some(machine) => {
                Some(machine.utilization(model, &self.workload, &flops, &bytes, seconds)?)
            }
            None => None,
        };
        let mut notes = self.notes.clone();
        if let Some(report) = &utilization {
            notes.extend(report.above_one());
        }
        Ok(Report {
            model: ModelReport::of(&self.source),
            workload: WorkloadReport::of(&self.workload),
            convention: self.convention.id,
            flops: FlopsReport::of(&flops),
            bytes: BytesReport::of(&bytes),
            utilization,
            device: self.hardware.as_ref().map(|machine| machine.report(&bytes)),
            notes,
        })
    }
}

fn workload(work: &WorkArgs) -> Result<Workload> {
    let sequences = match work.prompt {
        Some(prompt) => {
            vec![Sequence {
                prompt,
                cached: work.cached,
                generate: work.generate,
                count: work.batch,
            }]
        }
        None => work
            .sequences
            .iter()
            .map(|&(prompt, generate)| Sequence { prompt, cached: 0, generate, count: work.batch })
            .collect(),
    };
    let workload = Workload::batch(sequences)?;
    if work.no_kv_cache { workload.without_kv_cache() } else { Ok(workload) }
}

fn machine(args: &HardwareArgs, dtype: Dtype) -> Result<Option<Machine>> {
    let device = match &args.device {
        Some(name) => device::find(name)?,
        None if args.peak.is_empty() && args.bandwidth.is_none() => return Ok(None),
        None => Device::custom(&args.peak, args.bandwidth, None)?,
    };
    if !args.peak.is_empty() || args.bandwidth.is_some() {
        // Every figure that is given has to be one, used or not.
        Device::custom(&args.peak, args.bandwidth, None)?;
    }
    // What is given on the command line overrules the table.
    let given = args.peak.iter().find(|(of, _)| *of == dtype).map(|(_, peak)| *peak);
    let peak = match given {
        Some(peak) => flopmeter::units::FlopsPerSecond(peak),
        None => device.peak(dtype).map_err(|error| {
            error.hint("choose the dtype that the products ran in with --dtype")
        })?,
    };
    let bandwidth = match args.bandwidth {
        Some(bandwidth) => Some(flopmeter::units::BytesPerSecond(bandwidth)),
        None => device.bandwidth().ok(),
    };
    let hardware = Hardware::new(peak, bandwidth, args.devices)?;
    let mut notes = Vec::new();
    if args.device.is_some() {
        if given.is_some() {
            notes.push(format!("the peak is the one given, not the table's of {}", device.id()));
        } else if !args.peak.is_empty() {
            notes.push(format!(
                "no given peak is of {dtype}, the dtype of the products: it is the table's (see --dtype)"
            ));
        }
        if args.bandwidth.is_some() {
            notes.push(format!(
                "the bandwidth is the one given, not the table's of {}",
                device.id()
            ));
        }
    }
    Ok(Some(Machine { device, dtype, hardware, notes }))
}

/// What a reader should know before trusting the figures.
fn notes(source: &Source, workload: &Workload) -> Vec<String> {
    let mut notes = source.notes.clone();
    notes.extend_from_slice(source.model.notes());
    let unread = source.model.unread();
    if !unread.is_empty() {
        notes.push(format!("keys that look like shapes and were not read: {}", keys(unread)));
    }
    let sequences = workload.sequences();
    if sequences.iter().any(|sequence| sequence.prompt == 0) {
        notes.push(
            "a prompt of 0 tokens: no prefill pass runs, and the first token is given".into(),
        );
    } else if sequences.iter().any(|sequence| sequence.cached == sequence.prompt) {
        notes.push(
            "the whole prompt is cached: no prefill pass runs, and the first token is given".into(),
        );
    }
    notes
}

/// The first of some keys, quoted, and how many more there are.
fn keys(keys: &[String]) -> String {
    const MOST: usize = 20;
    let quoted = |key: &String| format!("`{}`", shortened(key));
    let mut out = keys.iter().take(MOST).map(quoted).collect::<Vec<_>>().join(", ");
    if keys.len() > MOST {
        let _ = write!(out, " and {} more", keys.len() - MOST);
    }
    out
}

impl Machine {
    fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        if self.hardware.bandwidth.is_none() {
            notes.push(format!(
                "no bandwidth is known of {}: no MBU and no ideal time (see --bandwidth)",
                self.device.id()
            ));
        }
        if ["low", "medium"].contains(&self.device.confidence()) {
            notes.push(format!(
                "figures of {} are of {} confidence: {}",
                self.device.id(),
                self.device.confidence(),
                self.device.source()
            ));
        }
        notes
    }

    fn utilization(
        &self,
        model: &Model,
        workload: &Workload,
        flops: &Flops,
        bytes: &Bytes,
        seconds: Option<f64>,
    ) -> Result<UtilizationReport> {
        let measured =
            seconds.map(|time| Utilization::new(flops, bytes, &self.hardware, time)).transpose()?;
        let ideal = |phase| model.ideal(workload, phase, &self.hardware);
        let (prefill, decode) = (ideal(Phase::Prefill)?, ideal(Phase::Decode)?);
        let whole = prefill.zip(decode).map(|(prefill, decode)| prefill.and(decode));
        Ok(UtilizationReport {
            mfu: measured.map(|measured| measured.mfu),
            mbu: measured.and_then(|measured| measured.mbu),
            seconds,
            ideal_seconds: whole.map(|ideal| ideal.seconds),
            of_ideal: whole.zip(seconds).map(|(ideal, time)| ideal.seconds / time),
            bound: whole.and_then(|ideal| ideal.bound()).map(|bound| bound.name()),
            prefill: IdealReport::of(prefill),
            decode: IdealReport::of(decode),
        })
    }

    fn report(&self, bytes: &Bytes) -> DeviceReport {
        let memory = self.device.memory_bytes().map(u128::from);
        DeviceReport {
            id: self.device.id().to_owned(),
            name: self.device.name().to_owned(),
            count: self.hardware.count,
            dtype: self.dtype.name(),
            peak_flops_per_second: self.hardware.peak.0,
            bandwidth_bytes_per_second: self.hardware.bandwidth.map(|bandwidth| bandwidth.0),
            memory_bytes: memory,
            fits: memory
                .map(|memory| bytes.held() <= memory.saturating_mul(self.hardware.count.into())),
        }
    }
}

impl UtilizationReport {
    /// Why a ratio may be above 1, if one is. It is shown as it is.
    fn above_one(&self) -> Option<String> {
        let above = |ratio: Option<f64>| ratio.is_some_and(|ratio| ratio > 1.0);
        (above(self.mfu) || above(self.mbu) || above(self.of_ideal)).then(|| {
            "a ratio above 1 means that the time leaves work out, the device is another, or the work ran in \
             a narrower dtype than the one whose peak was taken"
                .into()
        })
    }
}

impl IdealReport {
    fn of(ideal: Option<Ideal>) -> Self {
        Self {
            ideal_seconds: ideal.map(|ideal| ideal.seconds),
            bound: ideal.and_then(|ideal| ideal.bound()).map(|bound| bound.name()),
        }
    }
}

impl ModelReport {
    /// A model and its parameters.
    pub fn of(source: &Source) -> Self {
        let parameters = source.model.parameters();
        Self {
            id: source.id.clone(),
            model_type: source.model.model_type().to_owned(),
            parameters: ParametersReport {
                total: parameters.total,
                active: parameters.active,
                embedding: parameters.embedding,
            },
        }
    }
}

impl WorkloadReport {
    fn of(workload: &Workload) -> Self {
        let kv_cache = workload.kv_cache();
        match workload.sequences() {
            [Sequence { prompt, cached, generate, count }] => Self::Equal {
                prompt: *prompt,
                cached: *cached,
                generate: *generate,
                batch: *count,
                kv_cache,
            },
            sequences => Self::Different {
                sequences: sequences
                    .iter()
                    .map(|&Sequence { prompt, cached, generate, count }| SequenceReport {
                        prompt,
                        cached,
                        generate,
                        batch: count,
                    })
                    .collect(),
                batch: workload.batch_size(),
                kv_cache,
            },
        }
    }
}

impl FlopsReport {
    fn of(flops: &Flops) -> Self {
        // Parts of a total that fits.
        let sum = |counts: &Counts| counts.total().unwrap_or(flops.total);
        Self {
            total: flops.total,
            prefill: sum(&flops.prefill),
            decode: sum(&flops.decode),
            components: flops.components(),
            by_phase: [flops.prefill, flops.decode],
        }
    }
}

impl BytesReport {
    fn of(bytes: &Bytes) -> Self {
        let phase = |traffic: flopmeter::Traffic| TrafficReport {
            read: traffic.read,
            written: traffic.written,
        };
        Self {
            weights: bytes.weights,
            kv_cache_per_token: bytes.kv_cache_per_token,
            kv_cache: bytes.kv_cache,
            read: bytes.read(),
            written: bytes.written(),
            prefill: phase(bytes.prefill),
            decode: phase(bytes.decode),
        }
    }
}

fn by_name<S: Serializer>(counts: &Counts, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (component, count) in counts.present() {
        map.serialize_entry(component.name(), &count)?;
    }
    map.end()
}
