//! Options of `audit`.

use super::OutputArgs;
use clap::Args;
use std::path::PathBuf;

/// A table, and how much of it is printed.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// CSV with a line of names: model or shape, throughput, claims
    ///
    /// `model`, or `layers`, `hidden`, `heads`, `kv_heads`, `head_dim`, `ffn`, `ffn_type`, `vocab`, `experts`,
    /// `active_experts`; `seq_len`, `batch`, `devices`, `device` and `dtype` or `peak`, `recompute`; `throughput` and
    /// `unit`; claimed `tflops` (of a device), `mfu`, `hfu`. In any order; what is not known stays empty.
    pub file: PathBuf,
    /// Print each row by every convention, however many rows
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}
