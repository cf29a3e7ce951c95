//! What a request costs, a cell each.

use super::cells::{Cell, Column, Unit};
use flopmeter::device::Device;
use flopmeter::{Busiest, Counts, Phase, Point};

/// The columns; with parallel sizes also those of the busiest rank, and in a table a device instead of all of them.
pub fn columns(cut: bool) -> Vec<Column> {
    let mut columns = Vec::new();
    if cut {
        columns.push(Column::exact("devices", Unit::Count));
    }
    columns.extend([
        Column::exact("prefill_flops", Unit::Whole("FLOP")),
        Column::exact("decode_flops", Unit::Whole("FLOP")),
        Column::new("flops", "FLOPs", Unit::Whole("FLOP")),
        Column::exact("prefill_bytes", Unit::Whole("B")),
        Column::exact("decode_bytes", Unit::Whole("B")),
        match cut {
            true => Column::exact("bytes", Unit::Whole("B")),
            false => Column::new("bytes", "moved", Unit::Whole("B")),
        },
        Column::new("prefill_seconds", "prefill", Unit::Real("s")),
        Column::exact("prefill_bound", Unit::Word),
        Column::new("decode_seconds", "decode", Unit::Real("s")),
        Column::exact("decode_bound", Unit::Word),
        Column::exact("seconds", Unit::Real("s")),
        Column::exact("seconds_per_token", Unit::Real("s")),
        Column::new("tokens_per_second", "tokens/s", Unit::Real("")),
        Column::exact("tokens_per_second_per_device", Unit::Real("")),
        Column::new("mfu", "MFU", Unit::Share),
        Column::new("mbu", "MBU", Unit::Share),
    ]);
    if cut {
        columns.extend(super::OF_RANKS);
    }
    columns.extend([
        Column::exact("weights_bytes", Unit::Whole("B")),
        Column::exact("kv_cache_bytes", Unit::Whole("B")),
        Column::new("memory_bytes", if cut { "a device" } else { "memory" }, Unit::Whole("B")),
        Column::exact("memory_bytes_per_device", Unit::Whole("B")),
        Column::new("fits", "fits", Unit::Truth),
    ]);
    columns
}

/// The cells of a point, on so many devices.
pub fn cells<'s>(
    point: &Point,
    busiest: Option<&Busiest>,
    device: Option<&'s Device>,
    devices: u64,
    cells: &mut Vec<Cell<'s>>,
) {
    // Parts of a total that fits.
    let total = |counts: &Counts| Cell::Whole(counts.total().unwrap_or(point.flops.total));
    let bytes = &point.bytes;
    let moved = |read: u128, written: u128| Cell::Whole(read.saturating_add(written));
    let bound = |phase| point.bound(phase).map_or(Cell::Unknown, |bound| Cell::Word(bound.name()));
    let rate = point.tokens_per_second();
    if busiest.is_some() {
        cells.push(Cell::Whole(devices.into()));
    }
    cells.extend([
        total(&point.flops.prefill),
        total(&point.flops.decode),
        Cell::Whole(point.flops.total),
        moved(bytes.prefill.read, bytes.prefill.written),
        moved(bytes.decode.read, bytes.decode.written),
        moved(bytes.read(), bytes.written()),
        Cell::of(point.seconds_of(Phase::Prefill)),
        bound(Phase::Prefill),
        Cell::of(point.seconds_of(Phase::Decode)),
        bound(Phase::Decode),
        Cell::of(point.seconds()),
        Cell::of(point.seconds_per_token()),
        Cell::of(rate),
        Cell::of(rate.map(|rate| rate / devices as f64)),
        Cell::of(point.utilization.map(|ratios| ratios.mfu)),
        Cell::of(point.utilization.and_then(|ratios| ratios.mbu)),
    ]);
    let memory = device.and_then(Device::memory_bytes).map(u128::from);
    let (held, each, fits) = match busiest {
        Some(busiest) => {
            let sent = busiest.sent[0].saturating_add(busiest.sent[1]);
            cells.extend(super::of_ranks(busiest.flops, sent, device));
            let each = busiest.held();
            let fits = memory.map(|memory| each <= memory);
            ([busiest.weights, busiest.kv_cache, each], Some(each), fits)
        }
        None => (
            [bytes.weights, bytes.kv_cache, bytes.held()],
            device.map(|_| bytes.held().div_ceil(u128::from(devices.max(1)))),
            memory.map(|memory| bytes.fit_in(memory, devices)),
        ),
    };
    cells.extend(held.map(Cell::Whole));
    cells
        .extend([each.map_or(Cell::Unknown, Cell::Whole), fits.map_or(Cell::Unknown, Cell::Truth)]);
}
