//! Arguments → what is counted, on what: before anything is counted.

use crate::adapter::Adapter;
use crate::args::{AdapterArgs, HardwareArgs, WorkArgs};
use crate::cmd::side_by_side::{self, SideBySide};
use crate::draft::Draft;
use crate::ranks::{self, Ranks};
use crate::report::{
    AdapterReport, BytesReport, DeviceReport, FlopsReport, IdealReport, ModelReport, Report,
    UtilizationReport, WorkloadReport,
};
use crate::source::{self, Source};
use crate::visible::shortened;
use flopmeter::device::{self, Device};
use flopmeter::units::{BytesPerSecond, FlopsPerSecond};
use flopmeter::{
    Bytes, Component, Convention, Dtype, Error, ErrorKind, Flops, Hardware, Ideal, Model,
    Parallelism, Phase, Result, Sequence, SpeculativeFlops, Utilization, Workload,
};
use serde::Serialize;
use std::fmt::Write;

/// A request as it was understood, before anything is counted.
pub struct Request {
    pub source: Source,
    pub adapter: Option<AdapterReport>,
    pub draft: Option<Draft>,
    pub workload: Workload,
    pub convention: Convention,
    pub hardware: Option<Machine>,
    pub ranks: Option<Ranks>,
    pub notes: Vec<String>,
}

/// Devices, as far as they are known.
pub struct Machine {
    pub device: Device,
    pub dtype: Dtype,
    pub hardware: Hardware,
    notes: Vec<String>,
}

/// A model with what adapts it.
pub struct Base {
    pub source: Source,
    pub adapter: Option<AdapterReport>,
}

impl Base {
    /// Finds MODEL and adapts it.
    pub fn read(model: &str, adapter: &AdapterArgs) -> Result<Self> {
        Self::read_in(model, adapter, Ok)
    }

    /// The same, with the model as `made` makes it before it is adapted.
    fn read_in(
        model: &str,
        adapter: &AdapterArgs,
        made: impl FnOnce(Model) -> Result<Model>,
    ) -> Result<Self> {
        let adapter = Adapter::read(model, adapter)?;
        let mut source = match &adapter {
            Some(adapter) => adapter.base(model)?,
            None => source::find(model)?,
        };
        source.model = made(source.model)?;
        let adapter = match &adapter {
            Some(adapter) => Some(adapter.apply(&mut source)?),
            None => None,
        };
        Ok(Self { source, adapter })
    }
}

impl Request {
    /// Reads the arguments.
    pub fn read(
        work: &WorkArgs,
        hardware: &HardwareArgs,
        plan: Option<(Parallelism, Vec<u64>)>,
    ) -> Result<Self> {
        let Base { source, adapter } =
            Base::read_in(&work.model, &work.adapter, |model| in_dtypes(model, work))?;
        let draft = Draft::read(work, &source)?;
        let workload = workload(work)?;
        let mut notes = notes(&source, &workload);
        if let Some(draft) = &draft {
            notes.extend(draft.notes(&source.model));
        }
        let dtype = source.model.quantization().compute;
        let sizes = plan.as_ref().map(|(sizes, _)| sizes);
        let hardware = Machine::read(hardware, sizes, dtype)?;
        if let Some(machine) = &hardware {
            notes.extend(machine.notes());
        }
        // All of them are counted one by one.
        let convention = match work.convention.as_str() {
            side_by_side::ALL => Convention::MODEL,
            name => name.parse()?,
        };
        let ranks = match plan {
            Some((plan, stages)) => {
                Some(Ranks::of(&source.model, &plan, &stages, draft.is_some())?)
            }
            None => None,
        };
        if let Some(ranks) = &ranks {
            notes.extend(ranks.notes());
        }
        Ok(Self { source, adapter, draft, workload, convention, hardware, ranks, notes })
    }

    /// What the count has; a tower only where there is something for it.
    fn components(&self) -> Vec<Component> {
        let mut components = self.source.model.components(&self.convention);
        let sees = !self.workload.images().is_empty();
        let hears = !self.workload.audio().is_empty();
        components.retain(|component| match component {
            Component::Vision => sees,
            Component::Audio => hears,
            _ => true,
        });
        components
    }

    /// Counts it; with a time, measures the hardware against it.
    pub fn report(&self, seconds: Option<f64>) -> Result<Report> {
        let model = &self.source.model;
        let flops = model.flops(&self.workload, &self.convention)?;
        let bytes = model.bytes(&self.workload)?;
        let drafted = match &self.draft {
            Some(draft) => Some(draft.count(model, &self.workload, &self.convention)?),
            None => None,
        };
        // What runs is what moves bytes.
        let moved = drafted.as_ref().map_or(bytes, |drafted| drafted.bytes);
        let mut speculation =
            self.draft.as_ref().zip(drafted.as_ref()).map(|(draft, drafted)| draft.report(drafted));
        let mut utilization = None;
        if let Some(machine) = &self.hardware {
            let ideal = |phase| model.ideal(&self.workload, phase, &machine.hardware);
            let plain = [ideal(Phase::Prefill)?, ideal(Phase::Decode)?];
            let ideal = match &self.draft {
                Some(draft) => draft.ideal(model, &self.workload, &machine.hardware)?,
                None => plain,
            };
            if let Some(report) = &mut speculation {
                let [plain, ideal] = [plain, ideal].map(whole);
                report.speedup =
                    plain.zip(ideal).map(|(plain, ideal)| plain.reached_in(ideal.seconds));
            }
            let spent = drafted.as_ref().map(|drafted| &drafted.flops);
            utilization = Some(machine.utilization(&flops, spent, &moved, ideal, seconds)?);
        }
        let mut notes = self.notes.clone();
        if let Some(report) = &utilization {
            notes.extend(report.above_one());
        }
        let mut device = self.hardware.as_ref().map(|machine| machine.device_report(Some(&moved)));
        let (mut parallelism, mut ranks) = (None, Vec::new());
        if let Some(all) = &self.ranks {
            let machine = self.hardware.as_ref().map(|machine| &machine.device);
            let (plan, each) = all.report(&self.workload, &self.convention, machine)?;
            if let Some(device) = &mut device {
                device.fits =
                    each.iter().map(|rank| rank.fits).reduce(|a, b| Some(a? && b?)).flatten();
            }
            (parallelism, ranks) = (Some(plan), each);
        }
        Ok(Report {
            model: ModelReport::of(&self.source),
            adapter: self.adapter.clone(),
            workload: WorkloadReport::of(model, &self.workload)?,
            convention: self.convention.id,
            flops: FlopsReport::of(&flops, &self.components()),
            bytes: BytesReport::of(&bytes),
            speculation,
            utilization,
            device,
            parallelism,
            ranks,
            notes,
        })
    }
}

/// What was counted by several conventions.
#[derive(Debug, Serialize)]
pub struct OfRequest {
    pub workload: WorkloadReport,
}

impl Request {
    /// Counts it by every convention; with a time, each one's MFU.
    pub fn side_by_side(self, seconds: Option<f64>) -> Result<SideBySide<OfRequest>> {
        let model = &self.source.model;
        if self.draft.is_some() || self.ranks.is_some() {
            let fact = "is every convention, and drafts and ranks are counted by one";
            return Err(Error::new(ErrorKind::Convention, "`all`", fact));
        }
        let bytes = model.bytes(&self.workload)?;
        let timed = self.hardware.as_ref().zip(seconds);
        let conventions = side_by_side::rows(Convention::of_requests(), |convention| {
            let flops = model.flops(&self.workload, convention)?;
            let measured = timed
                .map(|(machine, time)| Utilization::new(&flops, &bytes, &machine.hardware, time));
            Ok((flops.total, measured.transpose()?.map(|measured| measured.mfu)))
        })?;
        Ok(SideBySide {
            model: ModelReport::of(&self.source),
            adapter: self.adapter,
            work: OfRequest { workload: WorkloadReport::of(model, &self.workload)? },
            conventions,
            device: self.hardware.map(|machine| machine.device_report(None)),
            notes: self.notes,
        })
    }
}

/// Both phases together, if both are known.
fn whole([prefill, decode]: [Option<Ideal>; 2]) -> Option<Ideal> {
    prefill.zip(decode).map(|(prefill, decode)| prefill.and(decode))
}

/// A model in the dtypes that are given.
pub fn in_dtypes(mut model: Model, work: &WorkArgs) -> Result<Model> {
    if let Some(dtype) = &work.dtype {
        model = model.with_dtype(dtype.parse()?);
    }
    if let Some(dtype) = &work.kv_dtype {
        model = model.with_cache_dtype(dtype.parse()?);
    }
    Ok(model)
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
    let mut workload = Workload::batch(sequences)?;
    if let Some(tokens) = work.decoder_prompt {
        workload = workload.with_decoder_prompt(tokens);
    }
    let mut workload = workload.with_images(work.images.clone())?.with_audio(work.audio.clone())?;
    if work.no_kv_cache {
        workload = workload.without_kv_cache()?;
    }
    Ok(workload)
}

/// What a reader should know before trusting the figures.
fn notes(source: &Source, workload: &Workload) -> Vec<String> {
    let mut notes = source.notes.clone();
    notes.extend_from_slice(source.model.notes());
    notes.push("bytes leave activations out".into());
    let unread = source.model.unread();
    if !unread.is_empty() {
        notes.push(format!("keys that look like shapes and were not read: {}", keys(unread)));
    }
    let longest = source.model.extractor().and_then(|extractor| extractor.longest_seconds());
    if let Some(most) = longest
        && workload.audio().iter().any(|clip| clip.seconds() > most)
    {
        notes.push(format!("the model's processor cuts a clip off after {most} seconds"));
    }
    let sequences = workload.sequences();
    // An encoder reads its prompt whole, and a decoder that attends to it starts from a token.
    let model = &source.model;
    if model.encodes_only() || (!model.stacks().is_empty() && !model.perceives()) {
        return notes;
    }
    if workload.is_perceived() {
        return notes;
    }
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
    /// The devices of the arguments, if there are any, and their peak in a dtype.
    pub fn read(
        args: &HardwareArgs,
        plan: Option<&Parallelism>,
        dtype: Dtype,
    ) -> Result<Option<Self>> {
        let devices = ranks::devices(plan, args.devices)?;
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
            Some(peak) => FlopsPerSecond(peak),
            None => device.peak(dtype).map_err(|error| {
                error.hint("choose the dtype that the products ran in with --dtype")
            })?,
        };
        let bandwidth = match args.bandwidth {
            Some(bandwidth) => Some(BytesPerSecond(bandwidth)),
            None => device.bandwidth().ok(),
        };
        let hardware = Hardware::new(peak, bandwidth, devices)?;
        let mut notes = Vec::new();
        if args.device.is_some() {
            if given.is_some() {
                notes
                    .push(format!("the peak is the one given, not the table's of {}", device.id()));
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
        Ok(Some(Self { device, dtype, hardware, notes }))
    }

    /// What to know about the peak.
    pub fn peak_notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
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

    fn notes(&self) -> Vec<String> {
        let mut notes = self.peak_notes();
        if self.hardware.bandwidth.is_none() {
            notes.push(format!(
                "no bandwidth is known of {}: no MBU and no ideal time (see --bandwidth)",
                self.device.id()
            ));
        }
        notes
    }

    fn utilization(
        &self,
        flops: &Flops,
        spent: Option<&SpeculativeFlops>,
        bytes: &Bytes,
        [prefill, decode]: [Option<Ideal>; 2],
        seconds: Option<f64>,
    ) -> Result<UtilizationReport> {
        let measured =
            seconds.map(|time| Utilization::new(flops, bytes, &self.hardware, time)).transpose()?;
        let spent = spent.zip(seconds).map(|(spent, time)| spent.hfu(&self.hardware, time));
        let ideal = whole([prefill, decode]);
        Ok(UtilizationReport {
            mfu: measured.map(|measured| measured.mfu),
            hfu: spent.transpose()?,
            mbu: measured.and_then(|measured| measured.mbu),
            seconds,
            ideal_seconds: ideal.map(|ideal| ideal.seconds),
            of_ideal: ideal.zip(seconds).map(|(ideal, time)| ideal.reached_in(time)),
            bound: ideal.and_then(|ideal| ideal.bound()).map(|bound| bound.name()),
            prefill: IdealReport::of(prefill),
            decode: IdealReport::of(decode),
        })
    }

    /// The devices, and whether what they hold fits, if it is known.
    pub fn device_report(&self, bytes: Option<&Bytes>) -> DeviceReport {
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
                .zip(bytes)
                .map(|(memory, bytes)| bytes.fit_in(memory, self.hardware.count)),
        }
    }
}
