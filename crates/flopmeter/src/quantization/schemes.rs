//! What each method says of its scheme, and where.

use super::formats;
use super::modules::{Modules, is_elsewhere};
use super::{Group, Head, Quantization, unknown};
use crate::config::Config;
use crate::dtype::Dtype;
use crate::error::{Result, shown};
use crate::op::Storage;
use serde_json::Value;

/// What the methods call the modules that they leave out.
const KEPT: [&str; 5] = [
    "modules_to_not_convert",
    "ignore",
    "exclude_modules",
    "ignored_layers",
    "llm_int8_skip_modules",
];

/// Keys that look like sizes and are of the calibration, not of what is stored.
const HARMLESS: [&str; 5] =
    [".batch_size", ".num_samples", ".nsamples", ".num_calibration_samples", ".chunk_size"];

impl Quantization {
    pub(super) fn apply(&mut self, scheme: &Config) -> Result<()> {
        // The file that modelopt writes beside a config keeps everything one level further in.
        if let Some(inner) = scheme.child("quantization")? {
            return self.apply(&inner);
        }
        let method = match scheme.text("quant_method")? {
            Some(method) => method.to_ascii_lowercase(),
            // The first configs of these two name no method.
            None if scheme.has("load_in_8bit") || scheme.has("load_in_4bit") => {
                "bitsandbytes".into()
            }
            None if scheme.has("quant_algo") => "modelopt".into(),
            None => return Err(unknown("quant_method", "is missing")),
        };
        for key in KEPT {
            for name in scheme.texts(key)?.unwrap_or_default() {
                self.kept.add(name)?;
            }
        }
        self.read_cache(scheme, &method)?;
        match method.as_str() {
            "modelopt" | "compressed-tensors" | "compressed_tensors" => {
                self.apply_groups(scheme, &method)?;
            }
            _ => self.apply_alike(scheme, &method)?,
        }
        self.unread = scheme.unread();
        self.unread.retain(|key| !HARMLESS.iter().any(|known| key.ends_with(known)));
        Ok(())
    }

    /// Methods that store every linear layer alike.
    fn apply_alike(&mut self, scheme: &Config, method: &str) -> Result<()> {
        for key in ["config_groups", "quantized_layers"] {
            if scheme.has(key) {
                let fact = format!("is not known for \"{}\"", shown(method));
                return Err(unknown(key, &fact));
            }
        }
        let storage = match method {
            "fp8" | "fbgemm_fp8" => {
                self.compute = Dtype::Fp8;
                formats::fp8(scheme)?
            }
            "awq" => formats::awq(scheme)?,
            "gptq" => {
                self.apply_dynamic(scheme)?;
                formats::gptq(scheme, None)?
            }
            "bitsandbytes" => formats::bitsandbytes(scheme)?,
            "mxfp4" => formats::MXFP4,
            other => {
                let fact =
                    format!("is \"{}\", whose stored widths flopmeter does not know", shown(other));
                return Err(unknown("quant_method", &fact));
            }
        };
        if matches!(method, "awq" | "gptq") && scheme.flag("lm_head", false)? {
            self.head = Head::Always;
        }
        let targets = match scheme.raw("modules_in_block_to_quantize") {
            None => Modules::every_linear(),
            // A list of names, or a list of such lists.
            Some(list) => {
                let mut names = Vec::new();
                texts(list, &mut names).ok_or_else(|| {
                    unknown("modules_in_block_to_quantize", "is not a list of modules")
                })?;
                Modules::named(&names)?
            }
        };
        self.push("modules_in_block_to_quantize".into(), targets, storage);
        Ok(())
    }

    /// `expert_dtype`, in the scheme or beside it: DeepSeek-V4's routed experts are narrower than the rest,
    /// a scale for every 32 elements.
    pub(super) fn apply_to_experts(&mut self, config: &Config, scheme: &Config) -> Result<()> {
        let stated = match scheme.text("expert_dtype")? {
            Some(stated) => Some(stated),
            None => config.text("expert_dtype")?,
        };
        match stated {
            None | Some("fp8") => Ok(()),
            Some("fp4") => {
                let targets = Modules::named(&["mlp.experts"])?;
                self.push("expert_dtype".into(), targets, formats::MXFP4);
                Ok(())
            }
            Some(other) => Err(unknown(
                "expert_dtype",
                &format!("is \"{}\", whose stored widths flopmeter does not know", shown(other)),
            )),
        }
    }

    /// GPTQModel: `-:expression` leaves modules out, any other gives them widths of their own.
    fn apply_dynamic(&mut self, scheme: &Config) -> Result<()> {
        let (Some(dynamic), Some(Value::Object(values))) =
            (scheme.child("dynamic")?, scheme.raw("dynamic"))
        else {
            return Ok(());
        };
        self.ordered = true;
        for name in values.keys() {
            if let Some(expression) = name.strip_prefix("-:") {
                self.kept.add(&format!("re:{expression}"))?;
            }
        }
        let own = dynamic.children();
        for name in values.keys().filter(|name| !name.starts_with("-:")) {
            let key = format!("dynamic.{}", shown(name));
            let (_, own) = own
                .iter()
                .find(|(other, _)| other == name)
                .ok_or_else(|| unknown(&key, "is not an object"))?;
            let expression = name.strip_prefix("+:").unwrap_or(name);
            let targets = Modules::named(&[&format!("re:{expression}")])?;
            self.push(key, targets, formats::gptq(scheme, Some(own))?);
        }
        Ok(())
    }

    /// modelopt and compressed-tensors: groups of targets, each with a scheme for its weights.
    fn apply_groups(&mut self, scheme: &Config, method: &str) -> Result<()> {
        if let Some(sparsity) = scheme.child("sparsity_config")?
            && let Some(format) = sparsity.text("format")?.filter(|format| *format != "dense")
        {
            let fact = format!("is \"{}\", whose stored bytes are not known", shown(format));
            return Err(unknown("sparsity_config.format", &fact));
        }
        let Some(groups) = scheme.child("config_groups")? else {
            return match scheme.text("quant_algo")? {
                None => {
                    let fact = format!("is missing, and so is a `quant_algo`, for \"{method}\"");
                    Err(unknown("config_groups", &fact))
                }
                Some(name) => self.apply_algorithm(scheme, name),
            };
        };
        self.head = Head::Named;
        for (name, group) in groups.children() {
            let weights = group.child("weights")?.ok_or_else(|| {
                unknown(&format!("config_groups.{}.weights", shown(&name)), "is missing")
            })?;
            let storage = formats::weights(&weights)?;
            // Only a scheme that quantises activations too runs its products in the narrow dtype.
            if let Some(activations) = group.child("input_activations")? {
                self.compute = formats::activations(&activations)?.unwrap_or(self.compute);
            }
            let key = format!("config_groups.{}.targets", shown(&name));
            match group.texts("targets")? {
                None => self.push(key, Modules::every_linear(), storage),
                Some(names) if !names.is_empty() && names.iter().all(|name| is_elsewhere(name)) => {
                }
                Some(names) => self.push(key, Modules::named(&names)?, storage),
            }
        }
        Ok(())
    }

    /// modelopt without groups: one algorithm for every linear layer.
    fn apply_algorithm(&mut self, scheme: &Config, name: &str) -> Result<()> {
        let Some((compute, storage)) = formats::algorithm(name) else {
            let fact =
                format!("is \"{}\", whose stored widths flopmeter does not know", shown(name));
            return Err(unknown("quant_algo", &fact));
        };
        if let Some(size) = scheme.count("group_size")?
            && storage == formats::NVFP4
            && size != 16
        {
            return Err(unknown("group_size", &format!("is {size}; NVFP4's groups are of 16")));
        }
        self.compute = compute.unwrap_or(self.compute);
        self.push("quant_algo".into(), Modules::every_linear(), storage);
        Ok(())
    }

    /// `kv_cache_scheme`, an object or a name, or `kv_cache_quant_algo`: fp8 where there is one.
    fn read_cache(&mut self, scheme: &Config, method: &str) -> Result<()> {
        let key =
            if scheme.has("kv_cache_scheme") { "kv_cache_scheme" } else { "kv_cache_quant_algo" };
        let fp8 = match scheme.raw(key) {
            None => return Ok(()),
            // AutoFP8 says "static" of fp8 caches whose scales it stores, and knows no others.
            Some(Value::String(name)) => {
                name.eq_ignore_ascii_case("fp8") || (method == "fp8" && name == "static")
            }
            Some(Value::Object(cache)) => cache.get("num_bits").and_then(Value::as_u64) == Some(8),
            Some(_) => false,
        };
        if !fp8 {
            return Err(unknown(key, "is not an 8-bit one, the only kind that flopmeter knows"));
        }
        self.cache = Storage::plain(Dtype::Fp8);
        Ok(())
    }

    fn push(&mut self, key: String, targets: Modules, storage: Storage) {
        let found = targets.means_every_linear();
        self.groups.push(Group { key, targets, storage, found });
    }
}

/// A text, or all texts of a list of lists.
fn texts<'v>(value: &'v Value, into: &mut Vec<&'v str>) -> Option<()> {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(items) => items.iter().try_for_each(|item| texts(item, into))?,
        _ => return None,
    }
    Some(())
}
