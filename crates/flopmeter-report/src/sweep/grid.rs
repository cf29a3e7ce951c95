//! Every combination of what is gone through: where it is, and what it costs.

use super::axes::{At, Axes, Of};
use super::cells::{Cell, Column};
use super::places::{self, Place};
use super::plans::{Last, LeftOut, Plans};
use super::{Ranges, Values, conventions, requests, steps};
use crate::report::training::recomputed;
use flopmeter::device::Device;
use flopmeter::{Convention, Dtype, Error, ErrorKind, Hardware, Model, Result, Sequence, Workload};
use flopmeter_source::Source;
use std::sync::Arc;
use steps::Trained;

/// Everything that is combined.
pub struct Grid {
    pub source: Arc<Source>,
    pub axes: Axes,
    conventions: Vec<Convention>,
    /// The model in each dtype.
    models: Vec<(Dtype, Model)>,
    /// For each device what is known of it in each dtype.
    places: Vec<Place>,
    plans: Option<Plans>,
    work: Work,
    pub count: usize,
    /// Why a convention among all is left out.
    notes: Vec<String>,
}

/// What is done.
enum Work {
    Requests,
    /// For each recomputation what it makes of the model.
    Steps(Vec<Trained>),
}

/// Columns that a table has with hardware alone.
const OF_HARDWARE: [&str; 9] = [
    "prefill_seconds",
    "decode_seconds",
    "seconds",
    "tokens_per_second",
    "tokens_per_second_per_device",
    "mfu",
    "mbu",
    "link_seconds",
    "fits",
];

impl Grid {
    pub fn new(ranges: &Ranges) -> Result<Self> {
        let source = Arc::clone(&ranges.source);
        let mut models = Vec::new();
        for dtype in &ranges.dtypes {
            let dtype = dtype.parse()?;
            models.push((dtype, source.model.clone().with_dtype(dtype)));
        }
        if models.is_empty() {
            models.push((source.model.quantization().compute, source.model.clone()));
        }
        if let Some(dtype) = &ranges.kv_dtype {
            let dtype = dtype.parse()?;
            models = models.into_iter().map(|(of, it)| (of, it.with_cache_dtype(dtype))).collect();
        }
        let (conventions, notes) = conventions::read(ranges, &source.model)?;
        let places = places::read(ranges, &models)?;
        let rated = places.iter().any(|place| place.device.is_some());
        let mut axes = Axes::default();
        axes.words(Of::Convention, conventions.iter().map(|it| it.id.to_owned()));
        match rated {
            true => axes.words(
                Of::Device,
                places.iter().flat_map(|it| &it.device).map(|it| it.id().to_owned()),
            ),
            false => axes.unknown(Of::Device),
        }
        axes.words(Of::Dtype, models.iter().map(|(dtype, _)| dtype.name().to_owned()));
        let plans = Plans::read(ranges, &mut axes);
        match &ranges.counts {
            _ if plans.is_some() => {}
            Some(devices) => axes.numbers(Of::Devices, devices),
            None if rated => axes.numbers(Of::Devices, &Values::one(1)),
            None => axes.unknown(Of::Devices),
        }
        let work = match &ranges.sequence {
            None => {
                // One of the two is required.
                axes.numbers(Of::Prompt, ranges.prompt.as_ref().unwrap_or(&ranges.generate));
                axes.numbers(Of::Generate, &ranges.generate);
                Work::Requests
            }
            Some(sequence) => {
                let recompute = ranges.recompute.iter();
                axes.words(Of::Recompute, recompute.map(|what| recomputed(*what)));
                axes.numbers(Of::Sequence, sequence);
                if let Some(accumulate) = &ranges.accumulate {
                    axes.numbers(Of::Accumulate, accumulate);
                }
                let trained =
                    |&recompute| Trained::new((recompute, ranges.flash), &conventions, &models);
                Work::Steps(ranges.recompute.iter().map(trained).collect::<Result<_>>()?)
            }
        };
        axes.numbers(Of::Batch, &ranges.batch);
        let count = axes.points()?;
        let grid = Self { source, axes, conventions, models, places, plans, work, count, notes };
        grid.check()?;
        Ok(grid)
    }

    /// Says what is wrong with all points, or with the largest, before anything is written.
    fn check(&self) -> Result<()> {
        let (mut last, mut cells) = (Last::default(), Vec::new());
        let mut first = None;
        for point in 0..self.count {
            match self.cells(point, &mut last, &mut cells)? {
                Row::Counted => {
                    self.cells(self.count - 1, &mut last, &mut cells)?;
                    return Ok(());
                }
                Row::LeftOut(Some(error)) => first = first.or(Some(error)),
                Row::LeftOut(None) => {}
            }
        }
        Err(first.unwrap_or_else(|| {
            let fact =
                "is none that these sizes make: it is their product, --ep and --etp left out";
            Error::new(ErrorKind::Parallelism, "--devices", fact)
                .hint("leave it out, or give other sizes")
        }))
    }

    /// What a point costs, after its axes. A table has no column of what is unknown throughout.
    pub fn columns(&self) -> Vec<Column> {
        let cut = self.plans.is_some();
        let columns = match &self.work {
            Work::Requests => requests::columns(cut),
            Work::Steps(_) => steps::columns(cut),
        };
        let rated = self.places.iter().any(|place| place.device.is_some());
        let known = |column: &Column| rated || !OF_HARDWARE.contains(&column.name);
        let shown = |column: Column| Column {
            heading: column.heading.filter(|_| known(&column)),
            ..column
        };
        columns.into_iter().map(shown).collect()
    }

    /// The one convention, if there is one alone.
    pub fn convention(&self) -> Option<&Convention> {
        match &*self.conventions {
            [one] => Some(one),
            _ => None,
        }
    }

    /// What a reader should know of model and devices.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        notes.extend_from_slice(&self.source.notes);
        notes.extend_from_slice(self.source.model.notes());
        let cut = self.plans.is_some();
        match (&self.work, cut) {
            (Work::Requests, _) => notes.push("bytes leave activations out".into()),
            (Work::Steps(_), false) => {
                notes.push(
                    "times are those of the products alone: what a step moves is not counted"
                        .into(),
                );
                notes.push(
                    "memory is that of all devices together, and fits if they share it evenly"
                        .into(),
                );
            }
            (Work::Steps(_), true) => {
                notes
                    .push("times are those of the busiest rank's products and of its links".into());
            }
        }
        if cut && self.conventions.iter().any(|convention| !convention.counts_products()) {
            notes.push(crate::RANKS_BY_MODEL.into());
        }
        for place in &self.places {
            notes.extend(place.notes(&self.models, cut));
        }
        notes
    }

    /// The cells of a point, axes first.
    pub fn cells<'s>(
        &'s self,
        point: usize,
        last: &mut Last,
        cells: &mut Vec<Cell<'s>>,
    ) -> Result<Row> {
        let at = self.axes.at(point);
        cells.clear();
        self.axes.cells(&at, cells);
        match self.costs(&at, last, cells) {
            Err(error) if self.plans.is_some() && error.kind() == ErrorKind::Parallelism => {
                Ok(Row::LeftOut(Some(error)))
            }
            Err(error) => {
                let mut place = String::new();
                for ((column, _), cell) in self.axes.columns().iter().zip(cells.iter()) {
                    if column.heading.is_some() {
                        place += &format!(" {} {}", column.name, cell.shown(column.unit));
                    }
                }
                Err(error.within(&format!("the point{place}")))
            }
            row => row,
        }
    }

    fn costs<'s>(&'s self, at: &At, last: &mut Last, cells: &mut Vec<Cell<'s>>) -> Result<Row> {
        let number = |of| self.axes.number(of, at);
        let plan = self.plans.as_ref().map(|plans| plans.plan(&self.axes, at));
        let devices = match &plan {
            None => number(Of::Devices).unwrap_or(1),
            Some(plan) => plan.devices().ok_or_else(|| {
                Error::new(ErrorKind::Parallelism, "devices", "are more than 64 bits can number")
            })?,
        };
        if self.plans.as_ref().is_some_and(|plans| !plans.takes(devices)) {
            return Ok(Row::LeftOut(None));
        }
        let place = &self.places[at.place(Of::Device)];
        let (device, dtype) = (place.device.as_ref(), at.place(Of::Dtype));
        let hardware = match &place.machines[dtype] {
            Some(machine) => {
                let machine = &machine.hardware;
                Some(Hardware::new(machine.peak, machine.bandwidth, devices)?)
            }
            None => None,
        };
        let (hardware, link) = (hardware.as_ref(), device.and_then(Device::link));
        let (_, model) = &self.models[dtype];
        let batch = number(Of::Batch).unwrap_or(0);
        match &self.work {
            Work::Requests => {
                let [prompt, generate] =
                    [Of::Prompt, Of::Generate].map(|of| number(of).unwrap_or_default());
                let sequence = Sequence { count: batch, ..Sequence::new(prompt, generate) };
                let workload = Workload::batch(vec![sequence])?;
                let by = &self.conventions[at.place(Of::Convention)];
                let (point, busiest) = match plan {
                    None => (model.point(&workload, by, hardware)?, None),
                    Some(plan) => {
                        let split = last.requests((dtype, 0, plan), model)?;
                        let (point, busiest) =
                            model.point_of_ranks(split, &workload, by, hardware, link)?;
                        (point, Some(busiest))
                    }
                };
                requests::cells(&point, busiest.as_ref(), device, devices, cells);
            }
            Work::Steps(all) => {
                let recompute = at.place(Of::Recompute);
                let trained = &all[recompute];
                let micro_batches = number(Of::Accumulate).unwrap_or(1);
                let rows = batch.checked_mul(micro_batches).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Overflow,
                        "batch",
                        "times accumulate does not fit 64 bits",
                    )
                })?;
                let step = trained.step(number(Of::Sequence).unwrap_or(0), rows)?;
                let training = &trained.by[at.place(Of::Convention)];
                let (point, memory, busiest) = match plan {
                    None => {
                        let memory = trained.whole[dtype].memory(&step, micro_batches)?;
                        (training.point(&step, hardware)?, memory, None)
                    }
                    Some(plan) => {
                        let split = last.steps((dtype, recompute, plan), model, &step)?;
                        let step = (&step, micro_batches);
                        let (point, busiest) =
                            training.point_of_ranks(split, step, hardware, link)?;
                        (point, busiest.memory, Some(busiest))
                    }
                };
                steps::cells(&point, &memory, busiest.as_ref(), device, devices, cells);
            }
        }
        Ok(Row::Counted)
    }
}

/// A point that has a row, or none, with the reason: another number of devices, if none is given.
pub enum Row {
    Counted,
    LeftOut(Option<Error>),
}

impl Row {
    /// Whether there is one; otherwise it is noted.
    pub fn counted(self, left_out: &mut LeftOut) -> bool {
        match self {
            Self::Counted => true,
            Self::LeftOut(why) => {
                left_out.add(why.as_ref());
                false
            }
        }
    }
}
