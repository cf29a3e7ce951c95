//! The commands, one file each: arguments in, text out.

pub mod audit;
pub mod compare;
pub mod completions;
pub mod conventions;
pub mod devices;
pub mod estimate;
pub mod explain;
pub mod models;
pub mod plot;
pub mod side_by_side;
pub mod sweep;
pub mod train;
pub mod utilization;
