//! The core behind Python's types, one file per module of the core. Nothing is counted here.

mod arguments;
mod audit;
mod column;
mod comparison;
mod convention;
mod cost;
mod counter;
mod device;
mod error;
mod explain;
mod flops;
mod keywords;
mod model;
mod parameters;
mod plan;
mod plot;
mod ranks;
mod request;
mod shown;
mod step;
mod sweep;
mod training;
mod utilization;
mod words;

use pyo3::prelude::*;

/// What `flopmeter` is made of.
#[pymodule]
fn _flopmeter(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    error::register(module)?;
    flops::register(module)?;
    convention::register(module)?;
    counter::register(module)?;
    comparison::register(module)?;
    audit::register(module)?;
    sweep::register(module)?;
    device::register(module)?;
    module.add_class::<model::Model>()?;
    module.add_class::<parameters::Parameters>()?;
    module.add_class::<cost::Flops>()?;
    module.add_class::<cost::Bytes>()?;
    module.add_class::<training::StepFlops>()?;
    module.add_class::<training::StepUtilization>()?;
    ranks::register(module)?;
    utilization::register(module)?;
    module.add_class::<explain::Explanation>()?;
    module.add_class::<plot::Chart>()?;
    // What the package offers is said in Python.
    module.delattr("__all__")
}
