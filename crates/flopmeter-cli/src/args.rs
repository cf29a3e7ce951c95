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
#[path = "args/examples.rs"]
mod examples;
#[path = "args/hardware.rs"]
mod hardware;
#[path = "args/kinds.rs"]
mod kinds;
#[path = "args/output.rs"]
mod output;
#[path = "args/parallel.rs"]
mod parallel;
#[path = "args/plans.rs"]
mod plans;
#[path = "args/plot.rs"]
mod plot;
#[path = "args/sweep.rs"]
mod sweep;
#[path = "args/train.rs"]
mod train;
#[path = "args/work.rs"]
mod work;

pub use adapter::AdapterArgs;
pub use audit::AuditArgs;
use clap::{ArgGroup, Args, Parser, Subcommand};
pub use compare::CompareArgs;
use draft::DraftArgs;
use examples::*;
pub use hardware::HardwareArgs;
use kinds::{
    convention_names, convention_names_and_all, dtype_names, pair, peak, rate, seconds, whole,
};
pub use output::{Format, OutputArgs};
use parallel::ParallelArgs;
pub use plot::{Plot, PlotArgs, ThemeName};
pub use sweep::SweepArgs;
pub use train::TrainArgs;
pub use work::WorkArgs;

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
