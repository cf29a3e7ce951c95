//! What flopmeter says of a request or a step: values (the JSON interface), tables and plots.
//!
//! ```text
//! Base ───┐
//! Machine ┼─► Request, Trained ─► Report ─┬─► table, Markdown, HTML
//! Draft   ┤                      └─► JSON, CSV
//! Ranks ──┘
//! Ranges ────► Sweep ────────────► rows
//! Subject ───► Chart ────────────► SVG, PNG, terminal
//! ```
//!
//! Nothing is counted here: the core does that.

mod adapter;
mod base;
mod draft;
mod machine;
mod ranks;
mod request;
mod trained;

pub mod report;

pub mod sweep;

pub mod explain;

pub mod render;

pub mod plot;

pub mod paint;

pub use base::{Asked, Base};
pub use draft::Draft;
pub use machine::{Given, Machine};
pub use ranks::{Ranks, StepRanks, devices, plan};
pub use request::Request;
pub use trained::{Cut, Trained};

/// The name that stands for all conventions.
pub const ALL: &str = "all";

/// What is wrong with it where one convention is taken.
pub const ONE_AT_A_TIME: &str = "is every convention, and one is taken at a time";

/// What to know of ranks among all conventions.
pub const RANKS_BY_MODEL: &str = "ranks are counted by the convention `model`";
