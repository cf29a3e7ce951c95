//! What an LLM costs in FLOPs and bytes, exactly, from its config; and how well the hardware does it.

pub mod arch;
mod builtin;
mod bytes;
mod component;
mod config;
mod convention;
mod cost;
pub mod device;
mod dtype;
mod error;
mod explain;
pub mod flops;
mod model;
pub mod op;
pub mod passes;
mod quantization;
pub mod units;
mod utilization;
mod workload;

pub use builtin::Builtin;
pub use bytes::{Bytes, Traffic};
pub use component::{Component, Counts};
pub use config::Config;
pub use convention::Convention;
pub use cost::Flops;
pub use dtype::Dtype;
pub use error::{Error, ErrorKind, Result};
pub use explain::{Line, NOT_COUNTED, Section, utilization_section};
pub use model::{Builder, Group, Model, Parameters};
pub use quantization::Quantization;
pub use utilization::{Bound, Hardware, Ideal, Utilization};
pub use workload::{Phase, Sequence, Workload};
