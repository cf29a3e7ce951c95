//! Options of what work runs on.

use super::{peak, rate, whole};
use clap::{ArgGroup, Args};
use flopmeter::Dtype;

/// What it runs on.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("hardware").args(["device", "peak", "bandwidth"]).multiple(true))]
pub struct HardwareArgs {
    /// Device, as its driver prints it (see `flopmeter devices`)
    #[arg(long, value_name = "NAME", help_heading = "Hardware")]
    pub device: Option<String>,
    /// Number of devices
    ///
    /// 1 if left out, or as many as the parallel sizes make.
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        requires = "hardware",
        help_heading = "Hardware"
    )]
    pub devices: Option<u64>,
    /// Dense peak, e.g. `bf16=989.5e12`
    ///
    /// In FLOP/s, without sparsity, by dtype: for a device that is not in the table, or to overrule it.
    #[arg(
        long,
        value_name = "D=FLOPS[,…]",
        value_delimiter = ',',
        value_parser = peak,
        help_heading = "Hardware"
    )]
    pub peak: Vec<(Dtype, f64)>,
    /// Memory bandwidth in bytes/s, e.g. `3.35e12`
    ///
    /// For a device that is not in the table, or to overrule it.
    #[arg(
        long,
        value_name = "BYTES",
        value_parser = rate,
        help_heading = "Hardware",
        allow_hyphen_values = true
    )]
    pub bandwidth: Option<f64>,
}
