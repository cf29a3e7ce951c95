//! Options of `compare`.

use super::{OutputArgs, convention_names, whole};
use clap::{ArgGroup, Args};

/// Which conventions, over what.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("work").args(["sequence", "packed", "prompt"]).required(true))]
pub struct CompareArgs {
    /// The convention to start from (see `flopmeter conventions`)
    #[arg(value_name = "A", value_parser = convention_names(), hide_possible_values = true)]
    pub from: String,
    /// The convention whose difference is explained
    #[arg(value_name = "B", value_parser = convention_names(), hide_possible_values = true)]
    pub to: String,
    /// Path of a config.json or its folder, Hub id, Ollama tag, short name
    pub model: String,
    /// Of a step of training: tokens of a sequence
    #[arg(short, long, value_name = "S", value_parser = whole, allow_hyphen_values = true, help_heading = "Work")]
    pub sequence: Option<u64>,
    /// Of a step: lengths of the documents of a row
    #[arg(
        long,
        value_name = "N[,…]",
        value_delimiter = ',',
        value_parser = whole,
        help_heading = "Work"
    )]
    pub packed: Vec<u64>,
    /// Of a request: tokens of the prompt
    #[arg(short, long, value_name = "N", value_parser = whole, allow_hyphen_values = true, help_heading = "Work")]
    pub prompt: Option<u64>,
    /// Of a request: tokens that are generated
    #[arg(
        short,
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 1,
        requires = "prompt",
        help_heading = "Work"
    )]
    pub generate: u64,
    /// Of the prompt, tokens already in the KV cache
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 0,
        requires = "prompt",
        help_heading = "Work"
    )]
    pub cached: u64,
    /// Equal sequences, rows or requests
    #[arg(
        short,
        long,
        value_name = "B",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 1,
        help_heading = "Work"
    )]
    pub batch: u64,
    #[command(flatten)]
    pub output: OutputArgs,
}
