//! Options of `train`.

use super::adapter::AdapterArgs;
use super::{
    HardwareArgs, OutputArgs, ParallelArgs, convention_names_and_all, dtype_names, pair, seconds,
    whole,
};
use clap::Args;
use flopmeter::{Convention, Recompute};

/// What is trained on what.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Path of a config.json or its folder, Hub id, Ollama tag, short name
    pub model: String,
    /// Tokens of a sequence
    ///
    /// Of an encoder-decoder those that its encoder reads. Required, unless the row is --packed.
    #[arg(
        short,
        long,
        value_name = "S",
        value_parser = whole,
        allow_hyphen_values = true,
        required_unless_present = "packed",
        help_heading = "Step"
    )]
    pub sequence: Option<u64>,
    /// Sequences of a step, over all devices
    ///
    /// With --packed rows, each of which holds these documents.
    #[arg(
        short,
        long,
        value_name = "B",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 1,
        help_heading = "Step"
    )]
    pub batch: u64,
    /// Lengths of the documents of a row
    ///
    /// No document sees another.
    #[arg(
        long,
        value_name = "N[,…]",
        value_delimiter = ',',
        value_parser = whole,
        conflicts_with = "sequence",
        help_heading = "Step"
    )]
    pub packed: Vec<u64>,
    /// Batches whose gradients add up before the optimiser steps
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 1,
        hide_short_help = true, help_heading = "Step"
    )]
    pub accumulate: u64,
    /// Tokens of the decoder beside an encoder
    #[arg(long, value_name = "N", value_parser = whole, allow_hyphen_values = true, hide_short_help = true, help_heading = "Step")]
    pub target: Option<u64>,
    /// What is computed again: none, selective, full, LAYERS
    ///
    /// `selective`: scores and values of attention. `full`: every layer, not the head. A number: so many layers whole.
    /// It counts for HFU alone.
    #[arg(
        long,
        value_name = "WHAT",
        value_parser = recompute,
        default_value = "none",
        allow_hyphen_values = true,
        help_heading = "Step"
    )]
    pub recompute: Recompute,
    /// Flash attention: its backward pass computes scores again
    ///
    /// It counts for HFU alone.
    #[arg(long, hide_short_help = true, help_heading = "Step")]
    pub flash: bool,
    /// The embedding and so many of the lowest layers are not trained
    #[arg(
        long,
        value_name = "LAYERS",
        value_parser = whole,
        allow_hyphen_values = true,
        conflicts_with = "adapter",
        hide_short_help = true, help_heading = "Step"
    )]
    pub freeze: Option<u64>,
    /// Train the layers that predict further tokens as well
    #[arg(long, hide_short_help = true, help_heading = "Step")]
    pub mtp: bool,
    /// Forward passes without a gradient: 1 of DPO, 2 of GRPO
    ///
    /// Over the same tokens: of the reference model, and of the policy before the step.
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 0,
        hide_short_help = true, help_heading = "Step"
    )]
    pub reference_forwards: u64,
    /// Generate each sequence first, as PROMPT:ANSWER
    #[arg(long, value_name = "P:G", value_parser = pair, hide_short_help = true, help_heading = "Step")]
    pub rollout: Option<(u64, u64)>,
    /// What counts as a FLOP (see `flopmeter conventions`), or `all`
    #[arg(
        long,
        value_name = "NAME",
        default_value = Convention::MODEL.id,
        value_parser = convention_names_and_all(),
        help_heading = "Counting",
        hide_possible_values = true
    )]
    pub convention: String,
    /// Dtype of products, whose peak is taken
    #[arg(long, value_name = "D", value_parser = dtype_names(), help_heading = "Counting", hide_possible_values = true)]
    pub dtype: Option<String>,
    #[command(flatten)]
    pub adapter: AdapterArgs,
    #[command(flatten)]
    pub parallel: ParallelArgs,
    /// What replicas share: ZeRO's stages 0 to 3
    ///
    /// 1 the optimizer's states, 2 gradients as well, 3 weights as well, which is FSDP.
    #[arg(
        long,
        value_name = "STAGE",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 0,
        hide_short_help = true,
        help_heading = "Parallelism"
    )]
    pub zero: u64,
    /// Dropout, whose masks are kept for the backward pass
    #[arg(long, hide_short_help = true, help_heading = "Step")]
    pub dropout: bool,
    #[command(flatten)]
    pub hardware: HardwareArgs,
    /// Measured wall time of the step, e.g. `2.1s`, `350ms`
    #[arg(
        long,
        value_name = "TIME",
        value_parser = seconds,
        requires = "hardware",
        help_heading = "Hardware",
        allow_hyphen_values = true
    )]
    pub time: Option<f64>,
    /// The arithmetic, formula by formula
    ///
    /// From the config to the sums; with --time as far as MFU and HFU.
    #[arg(long, help_heading = "Counting")]
    pub explain: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

pub fn recompute(text: &str) -> Result<Recompute, String> {
    text.parse().map_err(|error: flopmeter::Error| error.fact().to_owned())
}
