//! Options of a request: what is asked of which model, and how it is counted.

use super::{AdapterArgs, DraftArgs, convention_names_and_all, dtype_names, pair, whole};
use clap::Args;
use flopmeter::Convention;
use flopmeter::audio::Clip;
use flopmeter::image::Image;

/// What is asked of which model.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Path of a config.json or its folder, Hub id, Ollama tag, short name
    pub model: String,
    /// Tokens of the prompt, cached ones included
    ///
    /// Required, unless --sequences are given.
    #[arg(
        short,
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        required_unless_present = "sequences",
        help_heading = "Workload"
    )]
    pub prompt: Option<u64>,
    /// Tokens that are generated
    ///
    /// 0 scores the prompt and samples nothing.
    #[arg(
        short,
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 1,
        help_heading = "Workload"
    )]
    pub generate: u64,
    /// Of them, those already in the KV cache
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 0,
        help_heading = "Workload"
    )]
    pub cached: u64,
    /// The decoder's, where an encoder reads the prompt
    ///
    /// Tokens that an encoder-decoder's decoder starts from. 1 if left out: the start token.
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        help_heading = "Workload"
    )]
    pub decoder_prompt: Option<u64>,
    /// Equal sequences that run together
    #[arg(
        long,
        value_name = "N",
        value_parser = whole,
        allow_hyphen_values = true,
        default_value_t = 1,
        help_heading = "Workload"
    )]
    pub batch: u64,
    /// Different ones, as PROMPT:GENERATE
    ///
    /// They run together; a short one leaves when it is done.
    #[arg(
        long,
        value_name = "P:G[,…]",
        value_delimiter = ',',
        value_parser = pair,
        conflicts_with_all = ["prompt", "generate", "cached"],
        help_heading = "Workload"
    )]
    pub sequences: Vec<(u64, u64)>,
    /// Images in each prompt, sizes in pixels
    ///
    /// Beside the prompt's tokens: each adds tokens of its own, as the model's processor makes them.
    #[arg(
        long,
        value_name = "WxH[,…]",
        value_delimiter = ',',
        value_parser = image,
        help_heading = "Workload",
        allow_hyphen_values = true
    )]
    pub images: Vec<Image>,
    /// Clips of sound in each prompt, in seconds
    ///
    /// Beside the prompt's tokens, as images are.
    #[arg(
        long,
        value_name = "SECONDS[,…]",
        value_delimiter = ',',
        value_parser = clip,
        help_heading = "Workload",
        allow_hyphen_values = true
    )]
    pub audio: Vec<Clip>,
    /// Compute all anew for each token
    #[arg(long, help_heading = "Workload")]
    pub no_kv_cache: bool,
    /// What counts as a FLOP: model, torch, 2pt, …, or all
    ///
    /// `model`: what the work needs. `torch`: what PyTorch's counter counts. `2pt`: two for each
    /// parameter and token. `flopmeter conventions` lists them all; `all` prints them side by side.
    #[arg(
        long,
        value_name = "NAME",
        default_value = Convention::MODEL.id,
        value_parser = convention_names_and_all(),
        help_heading = "Counting",
        hide_possible_values = true
    )]
    pub convention: String,
    /// Dtype of products and weights, if not as stored
    ///
    /// Of the weights, those that no quantisation of the config fixes. One of fp64, fp32, tf32, fp16, bf16,
    /// fp8, int8, fp6, fp4, int4; PyTorch's names are taken too.
    #[arg(long, value_name = "D", value_parser = dtype_names(), help_heading = "Counting", hide_possible_values = true)]
    pub dtype: Option<String>,
    /// Dtype of the KV cache, likewise
    ///
    /// At 16 bits as the weights', if they are as wide.
    #[arg(long, value_name = "D", value_parser = dtype_names(), help_heading = "Counting", hide_possible_values = true)]
    pub kv_dtype: Option<String>,
    #[command(flatten)]
    pub adapter: AdapterArgs,
    #[command(flatten)]
    pub draft: DraftArgs,
}

fn image(text: &str) -> std::result::Result<Image, String> {
    text.parse().map_err(fact_and_hints)
}

fn clip(text: &str) -> std::result::Result<Clip, String> {
    text.parse().map_err(fact_and_hints)
}

#[allow(clippy::needless_pass_by_value)] // As `map_err` gives it.
fn fact_and_hints(error: flopmeter::Error) -> String {
    format!("{}; {}", error.fact(), error.hints().join("; "))
}
