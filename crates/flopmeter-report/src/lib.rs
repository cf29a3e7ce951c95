//! What flopmeter says of a request or a step: values (the JSON interface), tables and plots.
//!
//! ```text
//! Base ───┐
//! Machine ┼─► Request, Trained ─► Report ─┬─► table, Markdown, HTML
//! Draft   ┤                      └─► JSON, CSV
//! Ranks ──┘
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

pub mod explain;

pub mod render;

pub mod plot;

pub mod paint;

pub use base::{Asked, Base};
pub use draft::Draft;
pub use machine::{Given, Machine};
pub use ranks::{Ranks, StepRanks, devices};
pub use request::Request;
pub use trained::{Cut, Trained};
