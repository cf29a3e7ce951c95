//! Options of work that several devices share.

use super::whole;
use clap::Args;
use flopmeter::Parallelism;

/// Into how many parts it is cut.
// Not in the short help, which is full.
#[derive(Debug, Args)]
pub struct ParallelArgs {
    /// Tensor ranks, which share every layer
    ///
    /// With any of these sizes, each kind of rank is counted: what it computes, holds, reads and sends.
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 1,
        hide_short_help = true,
        help_heading = "Parallelism"
    )]
    pub tp: u64,
    /// Stages, which share the layers
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 1,
        hide_short_help = true,
        help_heading = "Parallelism"
    )]
    pub pp: u64,
    /// Replicas, which share the sequences
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 1,
        hide_short_help = true,
        help_heading = "Parallelism"
    )]
    pub dp: u64,
    /// Groups of ranks, each with its share of the experts
    ///
    /// They are among the tensor ranks of all replicas and add no devices.
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 1,
        hide_short_help = true,
        help_heading = "Parallelism"
    )]
    pub ep: u64,
    /// Ranks that share an expert
    ///
    /// 1 with --ep, else as many as share a layer.
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        hide_short_help = true,
        help_heading = "Parallelism"
    )]
    pub etp: Option<u64>,
    /// Tensor ranks share the tokens between their products as well
    #[arg(long, hide_short_help = true, help_heading = "Parallelism")]
    pub sp: bool,
    /// Stretches of layers that each stage has, interleaved
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 1,
        hide_short_help = true,
        help_heading = "Parallelism"
    )]
    pub virtual_stages: u64,
}

impl ParallelArgs {
    /// The plan, `None` if nothing is cut.
    pub fn plan(&self, zero: u64) -> Option<Parallelism> {
        let plan = Parallelism {
            data: self.dp,
            tensor: self.tp,
            sequence: self.sp,
            zero,
            pipeline: self.pp,
            virtual_stages: self.virtual_stages,
            expert: self.ep,
            expert_tensor: self.etp,
        };
        (plan != Parallelism::NONE).then_some(plan)
    }
}
