//! What an LLM costs in FLOPs and bytes, exactly, from its config; and how well the hardware does it.
//!
//! ```text
//! config.json ─► Config ─► Model ─┐
//!                       Workload ─┼─► Flops ─┬─► Utilization
//!                     Convention ─┘   Bytes  │   (MFU, MBU, roofline)
//!                                    Device ─┘
//! ```
//!
//! No I/O, no clock; counts are exact `u128`s until the last division. What is not known is an [`Error`] with
//! place, fact and hint, never a zero and never a default.
//!
//! # Example
//!
//! ```
//! use flopmeter::{Builtin, Convention, Hardware, Phase, Utilization, Workload, device};
//!
//! let model = Builtin::find("meta-llama/Llama-3.1-8B")?.model()?;
//! let request = Workload::request(1024, 256);
//! let flops = model.flops(&request, &Convention::MODEL)?;
//! let bytes = model.bytes(&request)?;
//!
//! let h100 = device::find("NVIDIA H100 80GB HBM3")?;
//! let peak = h100.peak(model.quantization().compute)?;
//! let hardware = Hardware::new(peak, Some(h100.bandwidth()?), 1)?;
//! let measured = Utilization::new(&flops, &bytes, &hardware, 2.1)?;
//! assert!(measured.mfu < 0.01); // most of the request is decoding, which bandwidth bounds
//!
//! let decode = model.ideal(&request, Phase::Decode, &hardware)?.expect("the bandwidth is known");
//! assert_eq!(decode.bound().map(|side| side.name()), Some("memory"));
//! # Ok::<(), flopmeter::Error>(())
//! ```
//!
//! # Words
//!
//! - **MFU**, model FLOPs utilisation: FLOPs that the work needs ÷ (time × dense peak × devices).
//! - **MBU**, model bandwidth utilisation: bytes that it has to move ÷ (time × bandwidth × devices).
//! - **Roofline**: no pass is faster than max(FLOPs ÷ peak, bytes ÷ bandwidth).
//! - **Prefill** and **decode**: the pass over a prompt, and the passes of one token that follow.
//! - **Convention**: a named rule of counting; every figure names the one it was counted by.

// In the order of the diagram; blank lines keep the formatter from sorting them.
mod config;
pub mod weights;

pub mod arch;
mod quantization;

pub mod op;

mod model;
mod stack;
mod sums;
mod terms;

mod adapter;

mod builtin;

pub mod audio;
pub mod image;

mod perception;

pub mod passes;

mod workload;

mod convention;

mod component;
mod cost;
mod counter;

mod bytes;

mod speculation;

mod training;

mod comparison;

mod parallelism;

pub mod device;

mod utilization;

mod sweep;

mod explain;

pub mod audit;

pub mod flops;

// What all of them use.
mod dtype;
mod error;
mod exact;
mod few;
pub mod units;

pub use adapter::{Adapted, Adapter};
pub use builtin::{Builtin, Uncounted};
pub use bytes::{Bytes, Traffic};
pub use comparison::{Comparison, Term};
pub use component::{Component, Counts};
pub use config::Config;
pub use convention::Convention;
pub use cost::Flops;
pub use counter::RequestCounter;
pub use dtype::Dtype;
pub use error::{Error, ErrorKind, Result};
pub use explain::{Line, NOT_COUNTED, Section, utilization_section};
pub use model::{Builder, Group, Model, Parameters};
pub use parallelism::{
    Busiest, BusiestStep, Collective, Parallelism, Rank, Split, StepMemory, StepRank, StepSplit,
    Transfer,
};
pub use quantization::Quantization;
pub use speculation::{MOST_DRAFT_TOKENS, Speculation, SpeculativeFlops};
pub use stack::{Reads, Stack};
pub use sweep::{Point, StepPoint};
pub use training::{Frozen, Recompute, Step, Training, TrainingFlops};
pub use utilization::{Bound, Hardware, Ideal, Utilization};
pub use workload::{Phase, Sequence, Workload};

/// The README's examples run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
