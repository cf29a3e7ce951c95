//! Parallel sizes to be gone through.

use clap::Args;
use flopmeter_report::sweep::{Sizes, Values};

/// Into how many parts work is cut, each size an axis of its own.
// Not in the short help, which is full.
#[derive(Debug, Args)]
pub struct PlansArgs {
    /// Tensor ranks, which share every layer
    ///
    /// With any of these sizes a row has what the busiest rank computes, holds and sends. Combinations that cannot be cut
    /// are left out, and a note says how many and why. --devices keeps those that take so many.
    #[arg(long, value_name = "NUMBERS", value_parser = Values::parse, allow_hyphen_values = true, hide_short_help = true, help_heading = "Parallelism")]
    pub tp: Option<Values>,
    /// Numbers of stages, which share the layers
    #[arg(long, value_name = "NUMBERS", value_parser = Values::parse, allow_hyphen_values = true, hide_short_help = true, help_heading = "Parallelism")]
    pub pp: Option<Values>,
    /// Numbers of replicas, which share the sequences
    #[arg(long, value_name = "NUMBERS", value_parser = Values::parse, allow_hyphen_values = true, hide_short_help = true, help_heading = "Parallelism")]
    pub dp: Option<Values>,
    /// Ranks that share the tokens of each sequence
    #[arg(long, value_name = "NUMBERS", value_parser = Values::parse, allow_hyphen_values = true, hide_short_help = true, help_heading = "Parallelism")]
    pub cp: Option<Values>,
    /// Tensor ranks that share the cache by tokens as they decode
    #[arg(long, value_name = "NUMBERS", value_parser = Values::parse, allow_hyphen_values = true, conflicts_with = "sequence", hide_short_help = true, help_heading = "Parallelism")]
    pub dcp: Option<Values>,
    /// Groups of ranks, each with its share of the experts
    #[arg(long, value_name = "NUMBERS", value_parser = Values::parse, allow_hyphen_values = true, hide_short_help = true, help_heading = "Parallelism")]
    pub ep: Option<Values>,
    /// Ranks that share an expert
    #[arg(long, value_name = "NUMBERS", value_parser = Values::parse, allow_hyphen_values = true, hide_short_help = true, help_heading = "Parallelism")]
    pub etp: Option<Values>,
    /// Stretches of layers that each stage has, interleaved
    #[arg(long, value_name = "NUMBERS", value_parser = Values::parse, allow_hyphen_values = true, hide_short_help = true, help_heading = "Parallelism")]
    pub virtual_stages: Option<Values>,
    /// What replicas share: ZeRO's stages 0 to 3
    #[arg(long, value_name = "NUMBERS", value_parser = Values::parse, allow_hyphen_values = true, requires = "sequence", hide_short_help = true, help_heading = "Parallelism")]
    pub zero: Option<Values>,
    /// Tensor ranks, where there are several, share the tokens as well
    #[arg(long, hide_short_help = true, help_heading = "Parallelism")]
    pub sp: bool,
}

impl PlansArgs {
    /// The sizes that are gone through.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            tensor: self.tp.clone(),
            pipeline: self.pp.clone(),
            data: self.dp.clone(),
            context: self.cp.clone(),
            decode_context: self.dcp.clone(),
            expert: self.ep.clone(),
            expert_tensor: self.etp.clone(),
            virtual_stages: self.virtual_stages.clone(),
            zero: self.zero.clone(),
            sequence: self.sp,
        }
    }
}
