//! Every combination of what is gone through: where it is, and what it costs.

use super::cells::{Cell, Column, Unit};
use crate::args::{HardwareArgs, SweepArgs, Values};
use crate::request::machine;
use flopmeter::device::{self, Device};
use flopmeter::{
    Convention, Dtype, Error, ErrorKind, Hardware, Model, Recompute, Result, Sequence, Step,
    Training, Workload,
};
use flopmeter_report::Machine;
use flopmeter_report::report::training::recomputed;
use flopmeter_source::{self as source, Source};

/// The most points of a sweep: it is counted in a few minutes.
const MOST: usize = 100_000_000;

/// Everything that is combined. The last axis runs fastest.
pub struct Grid {
    pub source: Source,
    pub convention: Convention,
    /// The model in each dtype.
    models: Vec<(Dtype, Model)>,
    /// For each device the ones of each dtype, as far as they have a peak.
    places: Vec<Place>,
    devices: Values,
    work: Work,
    batch: Values,
    pub count: usize,
}

/// What is done.
enum Work {
    Requests {
        prompt: Values,
        generate: Values,
    },
    /// The model as a step of each recomputation trains it.
    Steps {
        recompute: Vec<(Recompute, String, Training)>,
        sequence: Values,
    },
}

/// A device, or none.
struct Place {
    device: Option<Device>,
    machines: Vec<Option<Machine>>,
}

/// The axes, in order; and what a table calls them.
const AXES: [Column; 8] = [
    Column::new("device", "device", Unit::Word),
    Column::new("dtype", "dtype", Unit::Word),
    Column::new("devices", "devices", Unit::Count),
    Column::new("prompt", "prompt", Unit::Count),
    Column::new("generate", "generate", Unit::Count),
    Column::new("recompute", "recompute", Unit::Word),
    Column::new("sequence", "sequence", Unit::Count),
    Column::new("batch", "batch", Unit::Count),
];

/// What a request costs.
const OF_REQUESTS: [Column; 21] = [
    Column::exact("prefill_flops", Unit::Of("FLOP")),
    Column::exact("decode_flops", Unit::Of("FLOP")),
    Column::new("flops", "FLOPs", Unit::Of("FLOP")),
    Column::exact("prefill_bytes", Unit::Of("B")),
    Column::exact("decode_bytes", Unit::Of("B")),
    Column::new("bytes", "moved", Unit::Of("B")),
    Column::new("prefill_seconds", "prefill", Unit::Of("s")),
    Column::exact("prefill_bound", Unit::Word),
    Column::new("decode_seconds", "decode", Unit::Of("s")),
    Column::exact("decode_bound", Unit::Word),
    Column::exact("seconds", Unit::Of("s")),
    Column::exact("seconds_per_token", Unit::Of("s")),
    Column::new("tokens_per_second", "tokens/s", Unit::Of("")),
    Column::exact("tokens_per_second_per_device", Unit::Of("")),
    Column::new("mfu", "MFU", Unit::Share),
    Column::new("mbu", "MBU", Unit::Share),
    Column::exact("weights_bytes", Unit::Of("B")),
    Column::exact("kv_cache_bytes", Unit::Of("B")),
    Column::new("memory_bytes", "memory", Unit::Of("B")),
    Column::exact("memory_bytes_per_device", Unit::Of("B")),
    Column::new("fits", "fits", Unit::Truth),
];

/// What a step costs.
const OF_STEPS: [Column; 7] = [
    Column::new("flops", "model FLOPs", Unit::Of("FLOP")),
    Column::new("executed_flops", "executed", Unit::Of("FLOP")),
    Column::new("tokens", "tokens", Unit::Of("")),
    Column::new("seconds", "time", Unit::Of("s")),
    Column::new("tokens_per_second", "tokens/s", Unit::Of("")),
    Column::new("tokens_per_second_per_device", "and device", Unit::Of("")),
    Column::new("mfu", "MFU", Unit::Share),
];

/// Columns that a table has with hardware alone.
const OF_HARDWARE: [&str; 8] = [
    "prefill_seconds",
    "decode_seconds",
    "seconds",
    "tokens_per_second",
    "tokens_per_second_per_device",
    "mfu",
    "mbu",
    "fits",
];

/// Where a point is, a place on each axis.
struct At {
    device: usize,
    dtype: usize,
    devices: usize,
    first: usize,
    second: usize,
    batch: usize,
}

impl Grid {
    pub fn read(args: &SweepArgs) -> Result<Self> {
        let source = source::find(&args.model)?;
        let convention: Convention = args.convention.parse()?;
        let mut models = Vec::new();
        for dtype in &args.dtype {
            let dtype = dtype.parse()?;
            models.push((dtype, source.model.clone().with_dtype(dtype)));
        }
        if models.is_empty() {
            models.push((source.model.quantization().compute, source.model.clone()));
        }
        if let Some(dtype) = &args.kv_dtype {
            let dtype = dtype.parse()?;
            models = models.into_iter().map(|(of, it)| (of, it.with_cache_dtype(dtype))).collect();
        }
        let work = Work::read(args, &source.model, &convention)?;
        let (places, devices, batch) =
            (places(args, &models)?, args.devices.clone(), args.batch.clone());
        let mut grid = Self { source, convention, models, places, devices, work, batch, count: 0 };
        let points =
            grid.lengths().iter().try_fold(1_u128, |points, length| points.checked_mul(*length));
        let count = points.and_then(|points| usize::try_from(points).ok());
        grid.count = count.filter(|count| *count <= MOST).ok_or_else(|| {
            let many = points.map_or("more than 2^128".into(), |points| points.to_string());
            let fact = format!("has {many} points; at most {MOST} are counted");
            Error::new(ErrorKind::Workload, "sweep", fact)
                .hint("take larger steps, or ranges that multiply: 1..65536x2")
        })?;
        // What is wrong with all of them, or with the largest, is said before anything is written.
        for point in [0, grid.count - 1] {
            grid.cells(point, &mut Vec::new())?;
        }
        Ok(grid)
    }

    /// Numbers of places on the axes of [`At`].
    fn lengths(&self) -> [u128; 6] {
        let [first, second] = match &self.work {
            Work::Requests { prompt, generate } => [prompt.count(), generate.count()],
            Work::Steps { recompute, sequence } => [recompute.len() as u128, sequence.count()],
        };
        let [places, models] = [self.places.len(), self.models.len()].map(|it| it as u128);
        [places, models, self.devices.count(), first, second, self.batch.count()]
    }

    fn at(&self, point: usize) -> At {
        let mut rest = point;
        // In all they are at most `MOST`.
        let [_, lengths @ ..] =
            self.lengths().map(|length| usize::try_from(length).unwrap_or(MOST));
        let mut next = |length: usize| {
            let at = rest % length;
            rest /= length;
            at
        };
        let [dtypes, devices, first, second, batch] = lengths;
        let [batch, second, first] = [next(batch), next(second), next(first)];
        let [devices, dtype] = [next(devices), next(dtypes)];
        At { device: rest, dtype, devices, first, second, batch }
    }

    /// The axes that this sweep has, each with its one place as it is shown, if it has one alone.
    pub fn axes(&self) -> Vec<(Column, Option<String>)> {
        let [places, dtypes, devices, first, second, batch] = self.lengths();
        let hardware = self.places.iter().any(|place| place.device.is_some());
        let lengths = match &self.work {
            Work::Requests { .. } => [places, dtypes, devices, first, second, 0, 0, batch],
            Work::Steps { .. } => [places, dtypes, devices, 0, 0, first, second, batch],
        };
        let mut cells = Vec::new();
        self.axis_cells(&self.at(0), &mut cells);
        let mut cells = cells.into_iter();
        let mut axes = Vec::new();
        for (column, length) in AXES.into_iter().zip(lengths).filter(|(_, length)| *length > 0) {
            let cell = cells.next().unwrap_or(Cell::Unknown);
            let alone = (length == 1).then(|| cell.shown(column.unit));
            if hardware || !["device", "devices"].contains(&column.name) {
                axes.push((column, alone));
            } else {
                axes.push((Column { heading: None, ..column }, alone));
            }
        }
        axes
    }

    /// As wide as the cells of an axis get.
    pub fn axis_width(&self, name: &str) -> usize {
        let of = |values: &Values| values.largest().to_string().len();
        match (name, &self.work) {
            ("device", _) => {
                let ids = self.places.iter().filter_map(|place| place.device.as_ref());
                ids.map(|device| device.id().len()).max().unwrap_or(1)
            }
            ("dtype", _) => 4,
            ("devices", _) => of(&self.devices),
            ("prompt", Work::Requests { prompt, .. }) => of(prompt),
            ("generate", Work::Requests { generate, .. }) => of(generate),
            ("recompute", Work::Steps { recompute, .. }) => {
                recompute.iter().map(|(_, name, _)| name.len()).max().unwrap_or(0)
            }
            ("sequence", Work::Steps { sequence, .. }) => of(sequence),
            _ => of(&self.batch),
        }
    }

    /// What a point costs, after its axes. A table has no column of what is unknown throughout.
    pub fn columns(&self) -> Vec<Column> {
        let columns = match &self.work {
            Work::Requests { .. } => OF_REQUESTS.to_vec(),
            Work::Steps { .. } => OF_STEPS.to_vec(),
        };
        let rated = self.places.iter().any(|place| place.device.is_some());
        let known = |column: &Column| rated || !OF_HARDWARE.contains(&column.name);
        let shown = |column: Column| Column {
            heading: column.heading.filter(|_| known(&column)),
            ..column
        };
        columns.into_iter().map(shown).collect()
    }

    /// What a reader should know of model and devices.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.source.notes.clone();
        notes.extend_from_slice(self.source.model.notes());
        match &self.work {
            Work::Requests { .. } => notes.push("bytes leave activations out".into()),
            Work::Steps { .. } => {
                notes.push(
                    "times are those of the products alone: what a step moves is not counted"
                        .into(),
                );
            }
        }
        for place in &self.places {
            let Some(device) = &place.device else { continue };
            let known = place.machines.iter().flatten();
            notes.extend(known.clone().next().map(Machine::peak_notes).unwrap_or_default());
            for ((dtype, _), machine) in self.models.iter().zip(&place.machines) {
                if machine.is_none() {
                    notes.push(format!("no {dtype} peak of {} is known: no time", device.id()));
                }
            }
            if known.clone().any(|machine| machine.hardware.bandwidth.is_none()) {
                notes.push(format!("no bandwidth of {} is known: no time", device.id()));
            }
        }
        notes
    }

    /// The cells of a point, axes first.
    pub fn cells<'s>(&'s self, point: usize, cells: &mut Vec<Cell<'s>>) -> Result<()> {
        let at = self.at(point);
        cells.clear();
        self.axis_cells(&at, cells);
        self.costs(&at, cells).map_err(|error| {
            let mut place = String::new();
            for ((column, _), cell) in self.axes().iter().zip(cells.iter()) {
                place += &format!(" {} {}", column.name, cell.shown(column.unit));
            }
            error.within(&format!("the point{place}"))
        })
    }

    fn axis_cells<'s>(&'s self, at: &At, cells: &mut Vec<Cell<'s>>) {
        let number = |values: &Values, at: usize| {
            values.get(at).map_or(Cell::Unknown, |value| Cell::Whole(value.into()))
        };
        let device = self.places[at.device].device.as_ref();
        cells.push(device.map_or(Cell::Unknown, |device| Cell::Word(device.id())));
        cells.push(Cell::Word(self.models[at.dtype].0.name()));
        cells.push(match device {
            Some(_) => number(&self.devices, at.devices),
            None => Cell::Unknown,
        });
        match &self.work {
            Work::Requests { prompt, generate } => {
                cells.push(number(prompt, at.first));
                cells.push(number(generate, at.second));
            }
            Work::Steps { recompute, sequence } => {
                cells.push(Cell::Word(&recompute[at.first].1));
                cells.push(number(sequence, at.second));
            }
        }
        cells.push(number(&self.batch, at.batch));
    }

    fn costs<'s>(&'s self, at: &At, cells: &mut Vec<Cell<'s>>) -> Result<()> {
        let place = &self.places[at.device];
        let devices = self.devices.get(at.devices).unwrap_or(0);
        let hardware = match &place.machines[at.dtype] {
            Some(Machine { hardware, .. }) => {
                Some(Hardware::new(hardware.peak, hardware.bandwidth, devices)?)
            }
            None => None,
        };
        let batch = self.batch.get(at.batch).unwrap_or(0);
        let per_device = |rate: Option<f64>| Cell::of(rate.map(|rate| rate / devices as f64));
        match &self.work {
            Work::Requests { prompt, generate } => {
                let [prompt, generate] =
                    [prompt.get(at.first), generate.get(at.second)].map(Option::unwrap_or_default);
                let workload = Workload::batch(vec![Sequence {
                    count: batch,
                    ..Sequence::new(prompt, generate)
                }])?;
                let model = &self.models[at.dtype].1;
                let point = model.point(&workload, &self.convention, hardware.as_ref())?;
                // Parts of a total that fits.
                let total = |counts: &flopmeter::Counts| {
                    Cell::Whole(counts.total().unwrap_or(point.flops.total))
                };
                let bytes = &point.bytes;
                let moved = |read: u128, written: u128| Cell::Whole(read.saturating_add(written));
                let [prefill, decode] = point.ideal.map_or([None; 2], |ideal| ideal.map(Some));
                let bound = |ideal: Option<flopmeter::Ideal>| {
                    let bound = ideal.and_then(|ideal| ideal.bound());
                    bound.map_or(Cell::Unknown, |bound| Cell::Word(bound.name()))
                };
                let memory = place.device.as_ref().and_then(Device::memory_bytes);
                let rate = point.tokens_per_second();
                cells.extend([
                    total(&point.flops.prefill),
                    total(&point.flops.decode),
                    Cell::Whole(point.flops.total),
                    moved(bytes.prefill.read, bytes.prefill.written),
                    moved(bytes.decode.read, bytes.decode.written),
                    moved(bytes.read(), bytes.written()),
                    Cell::of(prefill.map(|ideal| ideal.seconds)),
                    bound(prefill),
                    Cell::of(decode.map(|ideal| ideal.seconds)),
                    bound(decode),
                    Cell::of(point.seconds()),
                    Cell::of(point.seconds_per_token()),
                    Cell::of(rate),
                    per_device(rate),
                    Cell::of(point.utilization.map(|ratios| ratios.mfu)),
                    Cell::of(point.utilization.and_then(|ratios| ratios.mbu)),
                    Cell::Whole(bytes.weights),
                    Cell::Whole(bytes.kv_cache),
                    Cell::Whole(bytes.held()),
                    match place.device {
                        Some(_) => Cell::Whole(bytes.held().div_ceil(u128::from(devices.max(1)))),
                        None => Cell::Unknown,
                    },
                    memory.map_or(Cell::Unknown, |memory| {
                        Cell::Truth(bytes.fit_in(memory.into(), devices))
                    }),
                ]);
            }
            Work::Steps { recompute, sequence } => {
                let (recompute, _, training) = &recompute[at.first];
                let sequence = sequence.get(at.second).unwrap_or(0);
                let step = Step::new(sequence, batch)?.recomputing(*recompute);
                let point = training.point(&step, hardware.as_ref())?;
                let rate = point.tokens_per_second();
                cells.extend([
                    Cell::Whole(point.flops.total),
                    Cell::Whole(point.flops.executed),
                    Cell::Whole(point.tokens.into()),
                    Cell::of(point.seconds),
                    Cell::of(rate),
                    per_device(rate),
                    Cell::of(point.mfu),
                ]);
            }
        }
        Ok(())
    }
}

impl Work {
    fn read(args: &SweepArgs, model: &Model, convention: &Convention) -> Result<Self> {
        let Some(sequence) = &args.sequence else {
            // One of the two is required.
            let prompt = args.prompt.clone().unwrap_or_else(|| args.generate.clone());
            return Ok(Self::Requests { prompt, generate: args.generate.clone() });
        };
        let mut trained = Vec::new();
        for &recompute in &args.recompute {
            let step = Step::new(1, 1)?.recomputing(recompute);
            trained.push((recompute, recomputed(recompute), model.training(&step, convention)?));
        }
        Ok(Self::Steps { recompute: trained, sequence: sequence.clone() })
    }
}

/// The devices that are named, or the one that is described, or none. A dtype that one of several has no peak for is
/// left unknown; one that none has is an error.
fn places(args: &SweepArgs, models: &[(Dtype, Model)]) -> Result<Vec<Place>> {
    let names: Vec<Option<&String>> =
        if args.device.is_empty() { vec![None] } else { args.device.iter().map(Some).collect() };
    let mut missing = None;
    let mut places = Vec::new();
    for name in names {
        let hardware = HardwareArgs {
            device: name.cloned(),
            devices: Some(1),
            peak: args.peak.clone(),
            bandwidth: args.bandwidth,
        };
        let mut place = Place {
            device: name.map(|name| device::find(name)).transpose()?,
            machines: Vec::new(),
        };
        for (dtype, _) in models {
            let machine = match machine(&hardware, None, *dtype) {
                Err(error) if error.kind() == ErrorKind::Peak => {
                    missing.get_or_insert(error);
                    None
                }
                machine => machine?,
            };
            if let Some(machine) = &machine {
                place.device.get_or_insert_with(|| machine.device.clone());
            }
            place.machines.push(machine);
        }
        places.push(place);
    }
    let none = places.iter().flat_map(|place| &place.machines).all(Option::is_none);
    match missing {
        Some(error) if none => Err(error),
        _ => Ok(places),
    }
}
