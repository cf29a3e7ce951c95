//! Steps of training: a model as they train it, and what one costs, a cell each.

use super::cells::{Cell, Column, Unit};
use flopmeter::device::Device;
use flopmeter::{
    BusiestStep, Convention, Dtype, Frozen, Model, Recompute, Result, Step, StepMemory, StepPoint,
    StepSplit, Training,
};

/// A model as steps train it that compute the same again.
pub struct Trained {
    recompute: Recompute,
    flash: bool,
    frozen: Frozen,
    /// By each convention.
    pub by: Vec<Training>,
    /// In each dtype.
    pub whole: Vec<StepSplit>,
}

impl Trained {
    pub fn new(
        (recompute, flash): (Recompute, bool),
        conventions: &[Convention],
        models: &[(Dtype, Model)],
    ) -> Result<Self> {
        let frozen = Frozen::of(&models[0].1, None);
        let mut trained = Self { recompute, flash, frozen, by: Vec::new(), whole: Vec::new() };
        let step = trained.step(1, 1)?;
        for convention in conventions {
            // FLOPs are the same in every dtype.
            trained.by.push(models[0].1.training(&step, convention)?);
        }
        for (_, model) in models {
            trained.whole.push(model.whole_step(&step, &Convention::MODEL)?);
        }
        Ok(trained)
    }

    pub fn step(&self, length: u64, rows: u64) -> Result<Step> {
        let step = Step::new(length, rows)?.recomputing(self.recompute).freezing(self.frozen);
        Ok(if self.flash { step.recomputing_scores() } else { step })
    }
}

/// The columns; with parallel sizes also those of the busiest rank, and the memory is that of one.
pub fn columns(cut: bool) -> Vec<Column> {
    let mut columns = Vec::new();
    if cut {
        columns.push(Column::exact("devices", Unit::Count));
    }
    columns.extend([
        Column::new("flops", "model FLOPs", Unit::Whole("FLOP")),
        Column::new("executed_flops", "executed", Unit::Whole("FLOP")),
        Column::new("tokens", "tokens", Unit::Whole("")),
        Column::new("seconds", "time", Unit::Real("s")),
        Column::new("tokens_per_second", "tokens/s", Unit::Real("")),
        Column::new("tokens_per_second_per_device", "and device", Unit::Real("")),
        Column::new("mfu", "MFU", Unit::Share),
    ]);
    if cut {
        columns.push(Column::new("bubble", "bubble", Unit::Share));
        columns.extend(super::OF_RANKS);
    }
    columns.extend([
        Column::exact("weights_bytes", Unit::Whole("B")),
        Column::exact("gradients_bytes", Unit::Whole("B")),
        Column::exact("optimizer_bytes", Unit::Whole("B")),
        Column::new("activations_bytes", "activations", Unit::Whole("B")),
        Column::new("memory_bytes", if cut { "a device" } else { "memory" }, Unit::Whole("B")),
        Column::exact("memory_bytes_per_device", Unit::Whole("B")),
        Column::new("fits", "fits", Unit::Truth),
    ]);
    columns
}

/// The cells of a point, on so many devices; the memory is that of all of them, or of the busiest rank.
pub fn cells<'s>(
    point: &StepPoint,
    memory: &StepMemory,
    busiest: Option<&BusiestStep>,
    device: Option<&'s Device>,
    devices: u64,
    cells: &mut Vec<Cell<'s>>,
) {
    let rate = point.tokens_per_second();
    let known = |value: Option<u128>| value.map_or(Cell::Unknown, Cell::Whole);
    if busiest.is_some() {
        cells.push(Cell::Whole(devices.into()));
    }
    cells.extend([
        Cell::Whole(point.flops.total),
        Cell::Whole(point.flops.executed),
        Cell::Whole(point.tokens.into()),
        Cell::of(point.seconds),
        Cell::of(rate),
        Cell::of(rate.map(|rate| rate / devices as f64)),
        Cell::of(point.mfu),
    ]);
    if let Some(busiest) = busiest {
        cells.push(Cell::Real(busiest.bubble));
        cells.extend(super::of_ranks(busiest.executed, busiest.sent, device));
    }
    let shared_by = u128::from(if busiest.is_some() { 1 } else { devices.max(1) });
    let total = memory.total();
    let each = total.map(|total| total.div_ceil(shared_by));
    let each = each.filter(|_| busiest.is_some() || device.is_some());
    let has = device.and_then(Device::memory_bytes).map(u128::from);
    cells.extend([
        Cell::Whole(memory.weights),
        Cell::Whole(memory.gradients),
        Cell::Whole(memory.optimizer),
        known(memory.activations),
        known(total),
        known(each),
        each.zip(has).map_or(Cell::Unknown, |(each, has)| Cell::Truth(each <= has)),
    ]);
}
