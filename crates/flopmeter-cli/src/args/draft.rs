//! Options of decoding with a draft.

use super::whole;
use clap::Args;

/// How tokens are drafted.
// Not in the short help, which is full.
#[derive(Debug, Args)]
pub struct DraftArgs {
    /// Decode with a draft: a MODEL as ever, or `mtp`
    ///
    /// `mtp` are the model's own layers that predict further tokens, if it has any that are counted.
    /// It drafts --draft-tokens tokens a step, which the model verifies in one pass. FLOPs are counted apart: useful
    /// ones, as without a draft, and spent ones.
    #[arg(
        long,
        value_name = "MODEL",
        requires_all = ["draft_tokens", "acceptance"],
        hide_short_help = true,
        help_heading = "Draft"
    )]
    pub draft: Option<String>,
    /// Tokens that are drafted a step
    #[arg(
        long,
        value_name = "K",
        value_parser = whole,
        allow_hyphen_values = true,
        requires = "draft",
        hide_short_help = true,
        help_heading = "Draft"
    )]
    pub draft_tokens: Option<u64>,
    /// Probability that a drafted token is accepted, from 0 to 1
    #[arg(
        long,
        value_name = "R",
        value_parser = probability,
        allow_hyphen_values = true,
        requires = "draft",
        hide_short_help = true,
        help_heading = "Draft"
    )]
    pub acceptance: Option<f64>,
}

/// A number. Whether it is a probability is the core's to say.
fn probability(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| "not a probability such as 0.8".to_owned())
}
