//! Three functions that flopmeter grew from, under their own names and with their own results.
//!
//! They are OpenJarvis' telemetry module `flops`: an unknown model or GPU gives 0.0, MFU is in percent,
//! and the count is 2·P·T. Nothing else in this crate answers an unknown with zero. What is mended is the
//! look-up: by whole words, longest first, so that an `L40S` is never an `L4` and `qwen3:32b` never has
//! 8 billion parameters.

use crate::builtin::Builtin;
use crate::device;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Nominal sizes in billions of parameters, by model name: the seven that the module began with.
/// Built-in models whose names state a size are found as well.
pub const MODEL_PARAMS_B: &[(&str, f64)] = &[
    ("qwen3:8b", 8.0),
    ("qwen3:0.6b", 0.6),
    ("qwen3:4b", 4.0),
    ("llama-3.1-70b", 70.0),
    ("llama-3.1-8b", 8.0),
    ("mistral-7b", 7.0),
    ("mixtral-8x7b", 47.0),
];

/// Dense 16-bit peaks in TFLOP/s of the short names that people write, as the module rounds them.
/// BF16; FP16 for the two that have no BF16 (T4, V100). Device names of any other kind are found in the
/// device table.
pub const GPU_PEAK_TFLOPS_BF16: &[(&str, f64)] = &[
    ("H100", 989.0),
    ("H200", 989.0),
    ("A100", 312.0),
    ("A10G", 70.0),
    ("L4", 121.0),
    ("L40", 181.0),
    ("L40S", 362.0),
    ("T4", 65.0),
    ("V100", 125.0),
    ("4090", 165.2),
    ("4080", 97.5),
    ("3090", 71.2),
    ("M3 Max", 14.1),
    ("M3 Ultra", 28.3),
    ("M4 Max", 16.2),
];

/// FLOPs of a request with a KV cache, `2·P·T` over all T tokens, and FLOPs per token, `2·P`.
///
/// `input_tokens` is the whole prompt, never reduced for what was cached. An unknown model gives
/// `(0.0, 0.0)`; without tokens the second is 0.0.
///
/// # Example
///
/// ```
/// use flopmeter::flops::estimate_flops;
/// // 2 · 8e9 · (100 + 50)
/// assert_eq!(estimate_flops("qwen3:8b", 100, 50), (2.4e12, 1.6e10));
/// assert_eq!(estimate_flops("nobody-knows-this", 100, 50), (0.0, 0.0));
/// ```
pub fn estimate_flops(model: &str, input_tokens: u64, output_tokens: u64) -> (f64, f64) {
    let params = nominal_billions(model).unwrap_or(0.0) * 1e9;
    let tokens = input_tokens as f64 + output_tokens as f64;
    let per_token = if tokens > 0.0 { 2.0 * params } else { 0.0 };
    (2.0 * params * tokens, per_token)
}

/// FLOPs of a request without a KV cache, `P·N·(N + 1)` over all N tokens, and their average a token.
///
/// An unknown model or no tokens give `(0.0, 0.0)`.
///
/// # Example
///
/// ```
/// use flopmeter::flops::estimate_flops_no_kv_cache;
/// // 8e9 · 150 · 151, and that ÷ 150
/// assert_eq!(estimate_flops_no_kv_cache("qwen3:8b", 100, 50), (1.812e14, 1.208e12));
/// ```
pub fn estimate_flops_no_kv_cache(
    model: &str,
    input_tokens: u64,
    output_tokens: u64,
) -> (f64, f64) {
    let params = nominal_billions(model).unwrap_or(0.0) * 1e9;
    let tokens = input_tokens as f64 + output_tokens as f64;
    if tokens == 0.0 {
        return (0.0, 0.0);
    }
    let total = params * tokens * (tokens + 1.0);
    (total, total / tokens)
}

/// Model FLOPs utilisation in **percent**: `flops ÷ (duration·1e12) ÷ (peak TFLOP/s · GPUs) · 100`.
///
/// 0.0 for an unknown GPU, a duration that is not above zero, or no GPU. Elsewhere in this crate
/// utilisation is a fraction, and an unknown is an error.
///
/// # Example
///
/// ```
/// use flopmeter::flops::compute_mfu;
/// // Half of an H100's 989 TFLOP/s for a second.
/// assert_eq!(compute_mfu(494.5e12, 1.0, "NVIDIA H100 80GB HBM3", 1), 50.0);
/// assert_eq!(compute_mfu(494.5e12, 1.0, "nobody's GPU", 1), 0.0);
/// ```
pub fn compute_mfu(flops: f64, duration_s: f64, gpu_name: &str, num_gpus: u32) -> f64 {
    let Some(peak) = peak_tflops(gpu_name) else { return 0.0 };
    if duration_s.is_nan() || duration_s <= 0.0 || num_gpus == 0 {
        return 0.0;
    }
    let tflops_per_second = flops / (duration_s * 1e12);
    tflops_per_second / (peak * f64::from(num_gpus)) * 100.0
}

/// The nominal size of a model in billions of parameters, `None` for a name that no known one begins.
///
/// Exact names first, then the longest known name whose words this one begins with
/// (`llama-3.1-8b-instruct`). Only a name that states a size can be extended, so `qwen3:99b` is nobody.
pub fn nominal_billions(model: &str) -> Option<f64> {
    let known = KNOWN.get_or_init(Known::new);
    if let Some(size) = known.exact.get(&model.to_ascii_lowercase()) {
        return Some(*size);
    }
    let asked = model_words(model);
    let longest_first = (1..=asked.len()).rev().map(|words| &asked[..words]);
    longest_first
        .filter(|words| extends(&asked, words))
        .find_map(|words| known.by_words.get(words))
        .copied()
}

static KNOWN: OnceLock<Known> = OnceLock::new();

/// Every name that has a size, where a look-up takes no longer for more of them.
struct Known {
    /// In lower case, the first of equal ones.
    exact: HashMap<String, f64>,
    /// By their words; of equal ones the last.
    by_words: HashMap<Vec<String>, f64>,
}

impl Known {
    fn new() -> Self {
        let built_in = Builtin::all().iter().flat_map(|row| {
            row.names().filter_map(|name| {
                Some((name, row.nominal_billions.or_else(|| stated_size(name))?))
            })
        });
        let mut known = Self { exact: HashMap::new(), by_words: HashMap::new() };
        for (name, size) in MODEL_PARAMS_B.iter().copied().chain(built_in) {
            known.exact.entry(name.to_ascii_lowercase()).or_insert(size);
            known.by_words.insert(model_words(name), size);
        }
        known
    }
}

/// Whether a name says a known name and then more, both in words, but no other size. Only a name that states a size can be
/// extended: what follows `qwen3` may be another model.
pub(crate) fn extends(asked: &[String], known: &[String]) -> bool {
    asked.starts_with(known)
        && known.iter().any(|word| states_a_size(word))
        && !asked[known.len()..].iter().any(|word| states_a_size(word))
}

/// The size that a name states in one word, in billions: 671 for `deepseek-r1:671b`.
///
/// `8x7b` is left to the vendor's figure, and `a3b` is the size of what is active.
fn stated_size(name: &str) -> Option<f64> {
    model_words(name).iter().find_map(|word| {
        let (digits, billions) = match word.strip_suffix('b') {
            Some(digits) => (digits, 1.0),
            None => (word.strip_suffix('m')?, 1e-3),
        };
        digits.starts_with(|first: char| first.is_ascii_digit()).then_some(())?;
        digits.parse::<f64>().ok().map(|size| size * billions)
    })
}

/// The words of a model's name, without the organisation before it.
pub(crate) fn model_words(name: &str) -> Vec<String> {
    const LONGEST: usize = 256;
    let name: String = name.chars().take(LONGEST).collect::<String>().to_lowercase();
    let name = name.rsplit('/').next().unwrap_or_default();
    name.split(['-', ':', '_', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// `8b`, `0.6b`, `125m`, `8x7b`, `a22b`.
fn states_a_size(word: &str) -> bool {
    let digits = word.trim_start_matches('a').strip_suffix(['b', 'm', 't']);
    digits.is_some_and(|digits| {
        digits.starts_with(|first: char| first.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || c == '.' || c == 'x')
    })
}

/// The dense 16-bit peak of a GPU in TFLOP/s, by its short name or by a longer device name.
///
/// The device table decides what a name means. A short name stands in for names that the table finds
/// ambiguous (`NVIDIA H100`), and gives its own rounding for the device that it means; a slice, a share
/// or another card of the family never gets its figure.
fn peak_tflops(gpu: &str) -> Option<f64> {
    let asked = gpu_words(gpu);
    let short = GPU_PEAK_TFLOPS_BF16
        .iter()
        .map(|(name, peak)| (gpu_words(name), *peak))
        .filter(|(words, _)| asked.windows(words.len()).any(|piece| piece == words))
        .max_by_key(|(words, _)| words.len());
    match (device::bf16_tflops(gpu), short) {
        // 989 for the H100 whose sheet gives 989.5, but 756.5 for its PCIe sibling.
        (Some(exact), Some((_, rounded))) if (rounded / exact - 1.0).abs() < 0.005 => Some(rounded),
        (Some(exact), _) => Some(exact),
        (None, Some((words, rounded))) => {
            let plain = asked.iter().all(|word| words.contains(word) || says_nothing(word));
            plain.then_some(rounded)
        }
        (None, None) => None,
    }
}

fn gpu_words(name: &str) -> Vec<String> {
    const LONGEST: usize = 256;
    let name: String = name.chars().take(LONGEST).collect::<String>().to_lowercase();
    name.split([' ', '-', '_']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Words of a device name that leave its peak open: the maker's, and the size of the memory.
fn says_nothing(word: &str) -> bool {
    let size = word.strip_suffix("gb").or_else(|| word.strip_suffix('g'));
    let is_size = size.is_some_and(|digits| {
        !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit())
    });
    is_size || ["nvidia", "tesla", "geforce", "rtx", "apple", "gpu"].contains(&word)
}

#[cfg(test)]
mod tests {
    use super::{compute_mfu, estimate_flops, estimate_flops_no_kv_cache};

    #[test]
    fn model_names_are_whole_words_and_the_longest_wins() {
        let billions = |name| estimate_flops(name, 1, 0).1 / 2e9;
        assert_eq!(billions("llama-3.1-8b-instruct"), 8.0);
        assert_eq!(billions("meta-llama/Llama-3.1-8B-Instruct"), 8.0);
        assert_eq!(billions("mixtral-8x7b"), 47.0);
        assert_eq!(billions("deepseek-r1:671b"), 671.0);
        assert_eq!(billions("qwen3:30b-a3b"), 30.0);
        assert_eq!(billions("qwen3:32b"), 32.0);
        assert_eq!(billions("qwen3:99b"), 0.0);
        assert_eq!(billions("llama-3.1-8bit"), 0.0);
        assert_eq!(billions(""), 0.0);
    }

    #[test]
    fn no_tokens_and_no_model_are_zero() {
        assert_eq!(estimate_flops("qwen3:8b", 0, 0), (0.0, 0.0));
        assert_eq!(estimate_flops_no_kv_cache("qwen3:8b", 0, 0), (0.0, 0.0));
        assert_eq!(estimate_flops_no_kv_cache("unknown", 10, 10), (0.0, 0.0));
    }

    #[test]
    fn gpus_are_found_by_whole_words() {
        // 100 % of the peak in a second gives the peak back.
        let peak = |name| 1e12 * 100.0 / compute_mfu(1e12, 1.0, name, 1) / 1e12;
        let near = |name, tflops: f64| assert!((peak(name) / tflops - 1.0).abs() < 1e-12, "{name}");
        near("H100", 989.0);
        near("NVIDIA H100", 989.0);
        near("NVIDIA H100 80GB HBM3", 989.0);
        near("NVIDIA H100 PCIe", 756.5);
        near("NVIDIA L40S", 362.0);
        near("NVIDIA L4", 121.0);
        near("NVIDIA A10G", 70.0);
        near("NVIDIA A100-SXM4-80GB", 312.0);
        near("A100 80GB", 312.0);
        near("H100-80GB", 989.0);
        near("NVIDIA GeForce RTX 4090", 165.2);
    }

    #[test]
    fn what_is_not_known_or_not_measured_is_zero() {
        assert_eq!(compute_mfu(1e12, 1.0, "NVIDIA RTX A1000", 1), 0.0);
        assert_eq!(compute_mfu(1e12, 1.0, "NVIDIA L40S-48Q", 1), 0.0);
        assert_eq!(compute_mfu(1e12, 1.0, "", 1), 0.0);
        assert_eq!(compute_mfu(1e12, 0.0, "H100", 1), 0.0);
        assert_eq!(compute_mfu(1e12, -1.0, "H100", 1), 0.0);
        assert_eq!(compute_mfu(1e12, f64::NAN, "H100", 1), 0.0);
        assert_eq!(compute_mfu(1e12, 1.0, "H100", 0), 0.0);
    }
}
