//! Options of `plot`.

use super::{HardwareArgs, convention_names_and_all, dtype_names, whole};
use clap::{Args, ValueEnum};
use flopmeter::Convention;
use flopmeter_report::sweep::Values;
use std::path::PathBuf;

/// What is drawn.
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// What is drawn
    pub plot: Plot,
    /// Path of a config.json or its folder, Hub id, Ollama tag, short name
    pub model: String,
    /// Tokens of the prompt
    #[arg(
        short,
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 1024,
        help_heading = "Request"
    )]
    pub prompt: u64,
    /// Tokens that are generated [default: 256]
    #[arg(
        short,
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        help_heading = "Request"
    )]
    pub generate: Option<u64>,
    /// Sequences that run together, as in `sweep`
    ///
    /// 1 in a roofline, 1..256x2 over batches, if left out.
    #[arg(
        short,
        long,
        value_name = "NUMBERS",
        value_parser = Values::parse,
        allow_hyphen_values = true,
        help_heading = "Request"
    )]
    pub batch: Option<Values>,
    /// Lengths over which `context` is drawn
    #[arg(
        long,
        value_name = "NUMBERS",
        value_parser = Values::parse,
        allow_hyphen_values = true,
        default_value = "128..131072x2",
        help_heading = "Request"
    )]
    pub context: Values,
    /// What counts as a FLOP (see `flopmeter conventions`)
    #[arg(
        long,
        value_name = "NAME",
        default_value = Convention::MODEL.id,
        value_parser = convention_names_and_all(),
        help_heading = "Request",
        hide_possible_values = true,
        hide_short_help = true
    )]
    pub convention: String,
    /// Dtype of products and weights, if not as stored
    #[arg(
        long,
        value_name = "D",
        value_parser = dtype_names(),
        help_heading = "Request",
        hide_possible_values = true,
        hide_short_help = true
    )]
    pub dtype: Option<String>,
    /// Dtype of the KV cache, likewise
    #[arg(
        long,
        value_name = "D",
        value_parser = dtype_names(),
        help_heading = "Request",
        hide_possible_values = true,
        hide_short_help = true
    )]
    pub kv_dtype: Option<String>,
    #[command(flatten)]
    pub hardware: HardwareArgs,
    /// File to be written, .svg or .png; the terminal, if left out
    #[arg(short, long, value_name = "FILE", value_parser = picture, help_heading = "Picture")]
    pub output: Option<PathBuf>,
    /// Ground of the picture
    #[arg(
        long,
        value_name = "THEME",
        value_enum,
        default_value_t = ThemeName::Light,
        help_heading = "Picture"
    )]
    pub theme: ThemeName,
}

/// Plots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Plot {
    /// The roofline of a device, the phases of a request under it.
    Roofline,
    /// FLOPs and bytes over the length of the prompt.
    Context,
    /// MFU, MBU and throughput over the batch.
    Batch,
}

/// Grounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ThemeName {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// A file whose name says what it is.
fn picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    match end.to_ascii_lowercase().as_str() {
        "svg" | "png" => Ok(path),
        _ => Err("not the name of a picture such as roofline.svg or roofline.png".to_owned()),
    }
}
