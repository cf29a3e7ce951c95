//! What an LLM costs, exactly, and how well the hardware does it.

pub mod device;
pub mod dtype;
pub mod error;
pub mod units;

pub use dtype::Dtype;
pub use error::{Error, ErrorKind, Result};
