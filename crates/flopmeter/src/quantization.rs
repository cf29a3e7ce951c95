//! `quantization_config` → how each weight is stored.
//!
//! A quantisation changes bytes and never FLOPs. Widths are those of the tensors that the checkpoint
//! keeps: packed weights, their scales and zero points.

mod formats;
mod modules;

use crate::config::Config;
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::op::Storage;
use modules::Modules;
use serde_json::Value;

/// How the weights of a checkpoint are stored.
#[derive(Debug, Clone)]
pub struct Quantization {
    /// The dtype of everything that is not quantised.
    pub dtype: Dtype,
    /// The dtype that quantised matrix products run in: the weights' own where activations are
    /// quantised too, else that of the rest.
    pub compute: Dtype,
    /// How an element of the KV cache is stored.
    pub cache: Storage,
    groups: Vec<Group>,
    kept: Modules,
    /// Whether files at hand say how each weight is stored, and not by a dtype alone.
    fixed: bool,
}

/// Weights that are stored alike.
#[derive(Debug, Clone)]
struct Group {
    targets: Modules,
    storage: Storage,
}

impl Quantization {
    /// Everything stored in one dtype.
    pub fn none(dtype: Dtype) -> Self {
        Self {
            dtype,
            compute: dtype,
            cache: Storage::plain(dtype),
            groups: Vec::new(),
            kept: Modules::default(),
            fixed: false,
        }
    }

    /// Reads `torch_dtype` (or `dtype`) and `quantization_config`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Dtype`] for a dtype that nobody knows, [`ErrorKind::Quantization`] for a method or
    /// a width that flopmeter does not know: its bytes would be a guess.
    pub fn read(config: &Config) -> Result<Self> {
        let stated = match config.text("dtype")? {
            Some(name) => Some(name),
            None => config.text("torch_dtype")?,
        };
        let dtype = match stated {
            None | Some("auto") => {
                config.note(
                    "no dtype in the config; bytes and the peak are those of bf16 (see --dtype)"
                        .into(),
                );
                Dtype::Bf16
            }
            Some(name) => name.parse::<Dtype>().map_err(|error| error.within("`torch_dtype`"))?,
        };
        let mut plan = Self::none(dtype);
        if let Some(scheme) = config.child("quantization_config")? {
            plan.apply(&scheme)?;
        }
        plan.fixed = config.weights().is_some_and(|weights| weights.is_quantized());
        Ok(plan)
    }

    fn apply(&mut self, scheme: &Config) -> Result<()> {
        let method = match scheme.text("quant_method")? {
            Some(method) => method.to_ascii_lowercase(),
            // The first configs of these two name no method.
            None if scheme.has("load_in_8bit") || scheme.has("load_in_4bit") => {
                "bitsandbytes".into()
            }
            None if scheme.has("quant_algo") => "modelopt".into(),
            None => return Err(unknown("quant_method", "is missing")),
        };
        for key in ["modules_to_not_convert", "ignore", "exclude_modules", "llm_int8_skip_modules"]
        {
            for name in scheme.texts(key)?.unwrap_or_default() {
                self.kept.add(name)?;
            }
        }
        let storage = match method.as_str() {
            "fp8" | "fbgemm_fp8" => {
                self.compute = Dtype::Fp8;
                formats::fp8(scheme)?
            }
            "awq" => formats::awq(scheme)?,
            "gptq" => formats::gptq(scheme)?,
            "bitsandbytes" => formats::bitsandbytes(scheme)?,
            "mxfp4" => formats::MXFP4,
            "modelopt" | "compressed-tensors" | "compressed_tensors" => {
                return self.apply_groups(scheme, &method);
            }
            other => {
                let fact =
                    format!("is \"{}\", whose stored widths flopmeter does not know", shown(other));
                return Err(unknown("quant_method", &fact));
            }
        };
        self.push_all(storage);
        Ok(())
    }

    /// modelopt and compressed-tensors: groups of targets, each with a scheme for its weights.
    fn apply_groups(&mut self, scheme: &Config, method: &str) -> Result<()> {
        self.read_cache(scheme)?;
        let Some(groups) = scheme.child("config_groups")? else {
            let (compute, storage) = match scheme
                .text("quant_algo")?
                .map(str::to_ascii_uppercase)
                .as_deref()
            {
                Some("FP8") => (Dtype::Fp8, formats::FP8),
                Some("NVFP4") => (Dtype::Fp4, formats::NVFP4),
                _ => {
                    let fact = format!(
                        "is missing, and so is a `quant_algo` that flopmeter knows for \"{method}\""
                    );
                    return Err(unknown("config_groups", &fact));
                }
            };
            self.compute = compute;
            self.push_all(storage);
            return Ok(());
        };
        for (name, group) in groups.children() {
            let weights = group.child("weights")?.ok_or_else(|| {
                unknown(&format!("config_groups.{}.weights", shown(&name)), "is missing")
            })?;
            let storage = formats::weights(&weights)?;
            // Only a scheme that quantises activations too runs its products in the narrow dtype.
            if let Some(activations) = group.child("input_activations")? {
                self.compute = formats::activations(&activations)?.unwrap_or(self.compute);
            }
            let targets = match group.texts("targets")? {
                None => Modules::every_linear(),
                Some(names) => Modules::named(&names)?,
            };
            self.groups.push(Group { targets, storage });
        }
        Ok(())
    }

    /// `kv_cache_scheme`, an object or a name, or `kv_cache_quant_algo`: fp8 where there is one.
    fn read_cache(&mut self, scheme: &Config) -> Result<()> {
        let key =
            if scheme.has("kv_cache_scheme") { "kv_cache_scheme" } else { "kv_cache_quant_algo" };
        let fp8 = match scheme.raw(key) {
            None => return Ok(()),
            Some(Value::String(name)) => name.eq_ignore_ascii_case("fp8"),
            Some(Value::Object(cache)) => cache.get("num_bits").and_then(Value::as_u64) == Some(8),
            Some(_) => false,
        };
        if !fp8 {
            return Err(unknown(key, "is not an 8-bit one, the only kind that flopmeter knows"));
        }
        self.cache = Storage::plain(Dtype::Fp8);
        Ok(())
    }

    fn push_all(&mut self, storage: Storage) {
        self.groups.push(Group { targets: Modules::every_linear(), storage });
    }

    /// How much work it is to look a module up: the length of all expressions together.
    pub(crate) fn expressions(&self) -> usize {
        self.kept.expressions()
            + self.groups.iter().map(|group| group.targets.expressions()).sum::<usize>()
    }

    /// How the weights of all linear layers are stored, where no name makes a difference.
    pub(crate) fn every_linear(&self) -> Option<Storage> {
        match &self.groups[..] {
            [] => Some(self.plain()),
            [only] if self.kept.is_empty() && only.targets.means_every_linear() => {
                Some(only.storage)
            }
            _ => None,
        }
    }

    /// How the weights of a linear layer at a path (`model.layers.3.mlp.up_proj`) are stored.
    pub fn linear(&self, path: &str) -> Storage {
        if self.kept.cover(path) {
            return self.plain();
        }
        self.groups
            .iter()
            .find(|group| group.targets.cover(path))
            .map_or_else(|| self.plain(), |group| group.storage)
    }

    /// How everything else is stored: norms, tables, routers, the head.
    pub fn plain(&self) -> Storage {
        Storage::plain(self.dtype)
    }

    /// Whether any weight is stored otherwise than the rest.
    pub fn is_quantized(&self) -> bool {
        self.fixed || !self.groups.is_empty()
    }

    /// Whether the config names a scheme by which weights are quantised.
    pub(crate) fn has_scheme(&self) -> bool {
        !self.groups.is_empty()
    }
}

fn unknown(key: &str, fact: &str) -> Error {
    Error::new(ErrorKind::Quantization, format!("`quantization_config.{key}`"), fact).hint(
        "take `quantization_config` out and give the width with --dtype to count it all the same",
    )
}
