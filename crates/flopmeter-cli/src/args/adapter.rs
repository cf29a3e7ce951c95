//! Options of a model with an adapter.

use clap::Args;

/// What adapts the model.
// Not in the short help, which is full.
#[derive(Debug, Args)]
pub struct AdapterArgs {
    /// LoRA adapter: an adapter_config.json or its folder
    ///
    /// As PEFT writes it. A MODEL that is an adapter's folder is the base that it names, with it.
    #[arg(long, value_name = "PATH", hide_short_help = true, help_heading = "Adapter")]
    pub adapter: Option<String>,
    /// Take the adapter as merged into the weights: it costs nothing then
    #[arg(long, hide_short_help = true, help_heading = "Adapter")]
    pub merged: bool,
}
