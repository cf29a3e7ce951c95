//! All options, their help included.

// The reference's test reads this file from another place.
#[path = "args/adapter.rs"]
mod adapter;
#[path = "args/audit.rs"]
mod audit;
#[path = "args/compare.rs"]
mod compare;
#[path = "args/draft.rs"]
mod draft;
#[path = "args/parallel.rs"]
mod parallel;
#[path = "args/plot.rs"]
mod plot;
#[path = "args/sweep.rs"]
mod sweep;
#[path = "args/train.rs"]
mod train;
#[path = "args/values.rs"]
mod values;

pub use adapter::AdapterArgs;
pub use audit::AuditArgs;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
pub use compare::CompareArgs;
use draft::DraftArgs;
use flopmeter::audio::Clip;
use flopmeter::image::Image;
use flopmeter::{Convention, Dtype};
use parallel::ParallelArgs;
pub use plot::{Plot, PlotArgs, ThemeName};
pub use sweep::{Goal, SweepArgs};
pub use train::TrainArgs;
pub use values::Values;

/// What an LLM costs in FLOPs and bytes, exactly, from its config; and how well the hardware does it.
///
/// A MODEL is the path of a config.json, of the folder that holds one, of the safetensors beside it or of
/// a GGUF file, a Hub id (`org/name`, `org/name@revision`, `org/name:Q4_K_M` for a GGUF file of it), an
/// Ollama tag or a short name. A Hub id that is neither in the local cache nor built in is read from the
/// Hub, as far as the headers of the weights (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE). A DEVICE is named as
/// its driver prints it.
#[derive(Debug, Parser)]
#[command(name = "flopmeter", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// FLOPs and bytes of a request
    #[command(after_help = ESTIMATE_EXAMPLE, after_long_help = ESTIMATE_EXAMPLES)]
    Estimate(EstimateArgs),
    /// How busy the hardware was with it: MFU, MBU and the roofline
    #[command(visible_alias = "mfu", after_help = UTILIZATION_EXAMPLE, after_long_help = UTILIZATION_EXAMPLES)]
    Utilization(UtilizationArgs),
    /// FLOPs of a step of training, MFU and HFU
    #[command(after_help = TRAIN_EXAMPLE, after_long_help = TRAIN_EXAMPLES)]
    Train(TrainArgs),
    /// Every combination of lengths, batches and devices, a row each
    #[command(after_help = SWEEP_EXAMPLE, after_long_help = SWEEP_EXAMPLES)]
    Sweep(SweepArgs),
    /// A picture: the roofline, or costs over context or batch
    #[command(after_help = PLOT_EXAMPLE, after_long_help = PLOT_EXAMPLES)]
    Plot(PlotArgs),
    /// A table of published figures, recomputed by every convention
    #[command(after_help = AUDIT_EXAMPLES)]
    Audit(AuditArgs),
    /// The arithmetic of an estimate, formula by formula
    #[command(after_help = EXPLAIN_EXAMPLE, after_long_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Built-in models, or what is known of one
    #[command(after_help = MODELS_EXAMPLES)]
    Models(ModelsArgs),
    /// Conventions: what counts as a FLOP, by whom
    #[command(
        after_help = "Examples:\n  flopmeter conventions\n  flopmeter conventions --format json"
    )]
    Conventions(ConventionsArgs),
    /// Why two conventions give different figures, term by term
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare(CompareArgs),
    /// Known devices, or the one that a name means
    #[command(after_help = DEVICES_EXAMPLES)]
    Devices(DevicesArgs),
    /// A completion script for a shell
    #[command(
        after_help = "Examples:\n  flopmeter completions zsh > _flopmeter\n  source <(flopmeter completions bash)"
    )]
    Completions(CompletionsArgs),
}

// Lines of at most 80 columns: a terminal would fold a longer one where it cannot be copied.
const ESTIMATE_EXAMPLE: &str = "Example (more with --help):
  flopmeter estimate meta-llama/Llama-3.1-8B --prompt 1024 --generate 256";
const UTILIZATION_EXAMPLE: &str = "Example (more with --help):
  flopmeter mfu llama3:8b -p 1024 --time 20ms --device \"NVIDIA H100 80GB HBM3\"";
const EXPLAIN_EXAMPLE: &str = "Example (more with --help):
  flopmeter explain deepseek-ai/DeepSeek-V3 -p 1024 -g 256";
const ESTIMATE_EXAMPLES: &str = "Examples:
  flopmeter estimate meta-llama/Llama-3.1-8B --prompt 1024 --generate 256
  flopmeter estimate ./config.json -p 8192 --convention torch --format json
  flopmeter estimate mixtral-8x7b -p 1024 --batch 32 --device \"NVIDIA L40S\"
  flopmeter estimate qwen3:8b --sequences 1024:256,8000:20";
const UTILIZATION_EXAMPLES: &str = "Examples:
  flopmeter mfu llama3:8b -p 1024 --time 20ms --device \"NVIDIA H100 80GB HBM3\"
  flopmeter mfu . -p 8192 --time 350ms --peak bf16=989.5e12 --bandwidth 3.35e12";
const EXPLAIN_EXAMPLES: &str = "Examples:
  flopmeter explain deepseek-ai/DeepSeek-V3 -p 1024 -g 256
  flopmeter explain gpt2 -p 100 -g 20 --device \"NVIDIA L4\" --time 80ms";
const TRAIN_EXAMPLE: &str = "Example (more with --help):
  flopmeter train meta-llama/Llama-3.1-8B --sequence 8192 --batch 128";
const TRAIN_EXAMPLES: &str = "Examples:
  flopmeter train meta-llama/Llama-3.1-8B --sequence 8192 --batch 128
  flopmeter train mixtral-8x7b -s 4096 --time 2s --device \"NVIDIA H200\"
  flopmeter train llama3:8b --packed 812,4096,3284 --adapter ./lora --flash";
const SWEEP_EXAMPLE: &str = "Example (more with --help):
  flopmeter sweep llama3:8b -p 1024 -g 256 --batch 1..256x2 --device L40S";
const SWEEP_EXAMPLES: &str = "Examples:
  flopmeter sweep llama3:8b -p 1024 -g 256 --batch 1..256x2 --device L40S
  flopmeter sweep llama3:8b -p 1024..65536x2 --device L4,L40S --dtype bf16,fp8
  flopmeter sweep llama3:8b -p 512 -g 256 -b 1..999 --device L4 --format csv
  flopmeter sweep llama3:8b -p 512 -b 1..99 --device L4 --best mfu --limit ttft=1s
  flopmeter sweep llama3:8b -s 4096 --recompute none,full -b 1..9+2 --device L4";
const AUDIT_EXAMPLES: &str = "Examples:
  flopmeter audit claims.csv
  flopmeter audit claims.csv --format json";
const COMPARE_EXAMPLES: &str = "Examples:
  flopmeter compare megatron torchtitan meta-llama/Llama-3.1-8B --sequence 8192
  flopmeter compare model chinchilla mixtral-8x7b --packed 812,4096,3284
  flopmeter compare model vllm llama3:8b --prompt 8192 --generate 256";
const PLOT_EXAMPLE: &str = "Example (more with --help):
  flopmeter plot roofline llama3:8b --batch 1,16 --device L40S -o roofline.svg";
const PLOT_EXAMPLES: &str = "Examples:
  flopmeter plot roofline llama3:8b --device L40S
  flopmeter plot roofline llama3:8b --batch 1,16 --device L40S -o roofline.svg
  flopmeter plot context gemma3:27b -o context.png --theme dark
  flopmeter plot batch llama3:8b -p 1024 -g 256 --device L40S -o batch.png";
const MODELS_EXAMPLES: &str = "Examples:
  flopmeter models
  flopmeter models qwen3:8b
  flopmeter models ./config.json --format json";
const DEVICES_EXAMPLES: &str = "Examples:
  flopmeter devices
  flopmeter devices \"NVIDIA H100 80GB HBM3\" --format json";

/// Options of `estimate`.
#[derive(Debug, Args)]
pub struct EstimateArgs {
    #[command(flatten)]
    pub work: WorkArgs,
    #[command(flatten)]
    pub parallel: ParallelArgs,
    #[command(flatten)]
    pub hardware: HardwareArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `utilization`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("rated").args(["device", "peak"]).multiple(true).required(true))]
pub struct UtilizationArgs {
    #[command(flatten)]
    pub work: WorkArgs,
    #[command(flatten)]
    pub parallel: ParallelArgs,
    #[command(flatten)]
    pub hardware: HardwareArgs,
    /// Measured wall time of it all, e.g. `2.1s`, `350ms`
    ///
    /// In seconds without a unit; `min`, `s`, `ms`, `us` and `ns` are known.
    #[arg(long, value_name = "TIME", value_parser = seconds, help_heading = "Hardware", allow_hyphen_values = true)]
    pub time: f64,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub work: WorkArgs,
    #[command(flatten)]
    pub hardware: HardwareArgs,
    /// Measured wall time, to follow it as far as the MFU
    #[arg(
        long,
        value_name = "TIME",
        value_parser = seconds,
        requires = "hardware",
        help_heading = "Hardware",
        allow_hyphen_values = true
    )]
    pub time: Option<f64>,
    #[command(flatten)]
    pub output: OutputArgs,
}

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

/// How it is printed.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Form of the output
    ///
    /// JSON is an interface, stable and documented; CSV is the same, flattened.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Forms of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets: a row of names, a row for each result.
    Csv,
    /// For issues and pages.
    Markdown,
}

/// Options of `models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// A model, as in `estimate`; without one, all built-in models are listed
    pub model: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `conventions`.
#[derive(Debug, Args)]
pub struct ConventionsArgs {
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `devices`.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// A device's name; without one, all are listed
    pub name: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
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

fn convention_names_and_all() -> PossibleValuesParser {
    PossibleValuesParser::new(
        Convention::ALL.iter().map(|convention| convention.id).chain(std::iter::once("all")),
    )
}

fn convention_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Convention::ALL.iter().map(|convention| convention.id))
}

fn dtype_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Dtype::ALL.map(|dtype| {
        // PyTorch's names are taken too, and not listed.
        let aliases: &[&str] = match dtype {
            Dtype::Fp64 => &["float64"],
            Dtype::Fp32 => &["float32"],
            Dtype::Fp16 => &["float16"],
            Dtype::Bf16 => &["bfloat16"],
            Dtype::Fp8 => &["float8_e4m3fn", "float8_e5m2"],
            _ => &[],
        };
        PossibleValue::new(dtype.name()).aliases(aliases.iter().copied())
    }))
}

/// A number of tokens, sequences or devices. Whether zero makes sense is the core's to say.
fn whole(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().map_err(|_| match digits {
        true => format!("more than {}", u64::MAX),
        false => "not a whole number such as 1024".to_owned(),
    })
}

fn rate(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| "not a number such as 3.35e12".to_owned())
}

/// `2.1`, `2.1s`, `350ms`, `80us`, `1.5min`. Whether it is above zero is the core's to say.
fn seconds(text: &str) -> Result<f64, String> {
    let units = [
        ("ms", 1e-3),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ns", 1e-9),
        ("min", 60.0),
        ("s", 1.0),
        ("", 1.0),
    ];
    let (number, unit) = units
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .unwrap_or((text, 1.0));
    let number: f64 =
        number.trim().parse().map_err(|_| "not a time such as 2.1s or 350ms".to_owned())?;
    Ok(number * unit)
}

fn pair(text: &str) -> Result<(u64, u64), String> {
    let parsed = text.split_once(':').and_then(|(prompt, generate)| {
        Some((prompt.trim().parse().ok()?, generate.trim().parse().ok()?))
    });
    parsed.ok_or_else(|| "not PROMPT:GENERATE, two whole numbers such as 1024:256".to_owned())
}

fn peak(text: &str) -> Result<(Dtype, f64), String> {
    let (dtype, rate) =
        text.split_once('=').ok_or_else(|| "not DTYPE=FLOPS such as bf16=989.5e12".to_owned())?;
    let rate =
        rate.trim().parse().map_err(|_| format!("`{rate}` is not a number such as 989.5e12"))?;
    Ok((dtype.parse().map_err(|error: flopmeter::Error| error.to_string())?, rate))
}
