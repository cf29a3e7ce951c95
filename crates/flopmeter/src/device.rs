//! Accelerators.
