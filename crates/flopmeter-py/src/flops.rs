//! The three functions that flopmeter grew from, under their own names and with their own results.

use flopmeter::flops;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// FLOPs of a request with a KV cache, 2·P·T over all T tokens, and FLOPs per token, 2·P; zeros for a model that nobody
/// knows.
#[pyfunction]
fn estimate_flops(model: &str, input_tokens: u64, output_tokens: u64) -> (f64, f64) {
    flops::estimate_flops(model, input_tokens, output_tokens)
}

/// FLOPs of a request without a KV cache, P·N·(N + 1) over all N tokens, and their average a token; zeros likewise.
#[pyfunction]
fn estimate_flops_no_kv_cache(model: &str, input_tokens: u64, output_tokens: u64) -> (f64, f64) {
    flops::estimate_flops_no_kv_cache(model, input_tokens, output_tokens)
}

/// MFU in percent; 0.0 for a GPU that nobody knows, a duration that is not above zero, or no GPU.
#[pyfunction]
#[pyo3(signature = (flops, duration_s, gpu_name, num_gpus = 1))]
fn compute_mfu(flops: f64, duration_s: f64, gpu_name: &str, num_gpus: i64) -> f64 {
    // No GPU is 0.0, and so is less than none.
    let gpus = u32::try_from(num_gpus.max(0)).unwrap_or(u32::MAX);
    flops::compute_mfu(flops, duration_s, gpu_name, gpus)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let table = |rows: &[(&'static str, f64)]| {
        let dict = PyDict::new(module.py());
        rows.iter().try_for_each(|(name, value)| dict.set_item(name, value)).map(|()| dict)
    };
    module.add("MODEL_PARAMS_B", table(flops::MODEL_PARAMS_B)?)?;
    module.add("GPU_PEAK_TFLOPS_BF16", table(flops::GPU_PEAK_TFLOPS_BF16)?)?;
    module.add_function(wrap_pyfunction!(estimate_flops, module)?)?;
    module.add_function(wrap_pyfunction!(estimate_flops_no_kv_cache, module)?)?;
    module.add_function(wrap_pyfunction!(compute_mfu, module)?)
}
