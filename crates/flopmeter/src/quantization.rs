//! `quantization_config` → how each weight is stored.
//!
//! A quantisation changes bytes and never FLOPs. Widths are those of the tensors that the checkpoint
//! keeps: packed weights, their scales and zero points.

use crate::config::Config;
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::op::{Scale, Storage};
use regex_lite::{Regex, RegexBuilder};
use serde_json::Value;
use std::collections::HashSet;

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
        Ok(plan)
    }

    fn apply(&mut self, scheme: &Config) -> Result<()> {
        let method = match scheme.text("quant_method")? {
            Some(method) => method.to_ascii_lowercase(),
            // bitsandbytes' first configs name no method.
            None if scheme.has("load_in_8bit") || scheme.has("load_in_4bit") => {
                "bitsandbytes".into()
            }
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
                fp8(scheme)?
            }
            "awq" => {
                let bits = bits(scheme, "bits")?;
                packed_integers(bits, scheme.maybe("group_size")?, bits, 0)
            }
            "gptq" => {
                let bits = bits(scheme, "bits")?;
                // g_idx: the group of every input column, 32 bits each.
                packed_integers(bits, scheme.maybe_group("group_size")?, bits, 32)
            }
            "bitsandbytes" => bitsandbytes(scheme)?,
            "mxfp4" => MXFP4,
            "modelopt" | "compressed-tensors" | "compressed_tensors" => {
                return self.apply_groups(scheme, &method);
            }
            other => {
                return Err(unknown(
                    "quant_method",
                    &format!(
                        "is \"{}\", whose stored widths flopmeter does not know",
                        shown(other)
                    ),
                ));
            }
        };
        self.push_all(storage);
        Ok(())
    }

    /// modelopt and compressed-tensors: groups of targets, each with a scheme for its weights.
    fn apply_groups(&mut self, scheme: &Config, method: &str) -> Result<()> {
        if let Some(cache) = scheme.child("kv_cache_scheme")? {
            self.cache = match bits(&cache, "num_bits")? {
                8 => Storage::plain(Dtype::Fp8),
                other => {
                    return Err(unknown("kv_cache_scheme.num_bits", &format!("is {other}, not 8")));
                }
            };
        }
        if let Some(name) = scheme.text("kv_cache_quant_algo")?
            && name.eq_ignore_ascii_case("fp8")
        {
            self.cache = Storage::plain(Dtype::Fp8);
        }
        let Some(groups) = scheme.child("config_groups")? else {
            return match scheme.text("quant_algo")?.map(str::to_ascii_uppercase).as_deref() {
                Some("FP8") => {
                    self.compute = Dtype::Fp8;
                    self.push_all(Storage::scaled("fp8", 8, [Scale::per_matrix(32), Scale::NONE]));
                    Ok(())
                }
                Some("NVFP4") => {
                    self.compute = Dtype::Fp4;
                    self.push_all(NVFP4);
                    Ok(())
                }
                _ => Err(unknown(
                    "config_groups",
                    &format!(
                        "is missing, and so is a `quant_algo` that flopmeter knows for \"{method}\""
                    ),
                )),
            };
        };
        for (name, group) in groups.children() {
            let weights = group.child("weights")?.ok_or_else(|| {
                unknown(&format!("config_groups.{}.weights", shown(&name)), "is missing")
            })?;
            let storage = weight_scheme(&weights)?;
            // Only a scheme that quantises activations too runs its products in the narrow dtype.
            if let Some(activations) = group.child("input_activations")? {
                self.compute = compute_dtype(&activations)?.unwrap_or(self.compute);
            }
            let targets = match group.texts("targets")? {
                None => Modules::every_linear(),
                Some(names) => Modules::named(&names)?,
            };
            self.groups.push(Group { targets, storage });
        }
        Ok(())
    }

    fn push_all(&mut self, storage: Storage) {
        self.groups.push(Group { targets: Modules::every_linear(), storage });
    }

    /// How much work it is to look a module up: the length of all expressions together.
    pub(crate) fn expressions(&self) -> usize {
        self.kept.expressions
            + self.groups.iter().map(|group| group.targets.expressions).sum::<usize>()
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
        !self.groups.is_empty()
    }
}

/// OCP MX: 4-bit floats, an 8-bit exponent for every 32 along a row.
const MXFP4: Storage = Storage::scaled("mxfp4", 4, [Scale::groups(32, 8), Scale::NONE]);
/// NVFP4: 4-bit floats, an fp8 scale for every 16 along a row and an fp32 one for the matrix.
const NVFP4: Storage = Storage::scaled("nvfp4", 4, [Scale::groups(16, 8), Scale::per_matrix(32)]);

fn fp8(scheme: &Config) -> Result<Storage> {
    let Some(block) = scheme.counts("weight_block_size")? else {
        return Ok(Storage::scaled("fp8", 8, [Scale::per_matrix(32), Scale::NONE]));
    };
    let [rows, columns] = block[..] else {
        return Err(unknown("weight_block_size", "is not a pair of sizes"));
    };
    if rows == 0 || columns == 0 {
        return Err(unknown("weight_block_size", "has a side of 0"));
    }
    Ok(Storage::scaled("fp8", 8, [Scale { rows, columns, bits: 32 }, Scale::NONE]))
}

/// Packed integers with a 16-bit scale and a zero point for each group of a row.
fn packed_integers(bits: u64, group: Option<u64>, zero_bits: u64, index_bits: u64) -> Storage {
    let name = match bits {
        2 => "int2",
        3 => "int3",
        4 => "int4",
        _ => "int8",
    };
    let scale = Scale { rows: 1, columns: group.unwrap_or(0), bits: 16 + zero_bits };
    Storage::scaled(name, bits, [scale, Scale { rows: 0, columns: 1, bits: index_bits }])
}

fn bitsandbytes(scheme: &Config) -> Result<Storage> {
    if scheme.flag("load_in_8bit", false)? || scheme.flag("_load_in_8bit", false)? {
        // LLM.int8(): one fp32 scale a row.
        return Ok(Storage::scaled("int8", 8, [Scale::per_row(32), Scale::NONE]));
    }
    if scheme.flag("load_in_4bit", false)? || scheme.flag("_load_in_4bit", false)? {
        let name = match scheme.text("bnb_4bit_quant_type")? {
            None | Some("fp4") => "fp4",
            Some("nf4") => "nf4",
            Some(other) => {
                return Err(unknown("bnb_4bit_quant_type", &format!("is \"{}\"", shown(other))));
            }
        };
        // QLoRA (arXiv:2305.14314, section 3): an fp32 scale for 64 elements; doubly quantised, an
        // 8-bit one for 64 and an fp32 one for 256 of those.
        let scales = if scheme.flag("bnb_4bit_use_double_quant", false)? {
            [Scale::groups(64, 8), Scale::groups(64 * 256, 32)]
        } else {
            [Scale::groups(64, 32), Scale::NONE]
        };
        return Ok(Storage::scaled(name, 4, scales));
    }
    Err(unknown("load_in_4bit", "and `load_in_8bit` are both off"))
}

/// The `weights` of a compressed-tensors group.
fn weight_scheme(weights: &Config) -> Result<Storage> {
    let bits = bits(weights, "num_bits")?;
    let float = weights.text("type")?.unwrap_or("int") == "float";
    let group = weights.maybe_group("group_size")?;
    let zero = if weights.flag("symmetric", true)? { 0 } else { bits };
    let strategy = match weights.text("strategy")? {
        Some(strategy) => strategy.to_owned(),
        None if group.is_some() => "group".to_owned(),
        None => "tensor".to_owned(),
    };
    let size = || group.ok_or_else(|| unknown("group_size", "is missing for groups"));
    if float && bits == 4 {
        return match size()? {
            16 => Ok(NVFP4),
            32 => Ok(MXFP4),
            other => Err(unknown("group_size", &format!("is {other} for 4-bit floats"))),
        };
    }
    let name = match (float, bits) {
        (true, 8) => "fp8",
        (false, 8) => "int8",
        (false, 4) => "int4",
        (false, 3) => "int3",
        (false, 2) => "int2",
        _ => return Err(unknown("num_bits", &format!("is {bits}, a width that is not known"))),
    };
    let scale = match strategy.as_str() {
        "tensor" => Scale::per_matrix(16),
        "channel" | "token" => Scale::per_row(16 + zero),
        "group" | "tensor_group" => Scale::groups(size()?, 16 + zero),
        "block" => match weights.counts("block_structure")?.as_deref() {
            Some(&[rows, columns]) if rows > 0 && columns > 0 => Scale { rows, columns, bits: 16 },
            _ => return Err(unknown("block_structure", "is not a pair of sizes")),
        },
        other => return Err(unknown("strategy", &format!("is \"{}\"", shown(other)))),
    };
    Ok(Storage::scaled(name, bits, [scale, Scale::NONE]))
}

/// The dtype that products run in when activations are quantised by this scheme.
fn compute_dtype(activations: &Config) -> Result<Option<Dtype>> {
    let float = activations.text("type")?.unwrap_or("int") == "float";
    Ok(match (float, bits(activations, "num_bits")?) {
        (true, 8) => Some(Dtype::Fp8),
        (true, 4) => Some(Dtype::Fp4),
        (false, 8) => Some(Dtype::Int8),
        (false, 4) => Some(Dtype::Int4),
        _ => None,
    })
}

fn bits(scheme: &Config, key: &'static str) -> Result<u64> {
    match scheme.size(key)? {
        bits @ (2 | 3 | 4 | 6 | 8 | 16) => Ok(bits),
        other => Err(unknown(key, &format!("is {other}, a width that is not known"))),
    }
}

fn unknown(key: &str, fact: &str) -> Error {
    Error::new(ErrorKind::Quantization, format!("`quantization_config.{key}`"), fact).hint(
        "take `quantization_config` out and give the width with --dtype to count it all the same",
    )
}

/// Which modules a scheme means: by name, by glob or by regular expression.
#[derive(Debug, Clone, Default)]
struct Modules {
    every_linear: bool,
    names: HashSet<String>,
    patterns: Vec<Regex>,
    /// The length of all patterns as they are written.
    expressions: usize,
}

impl Modules {
    fn every_linear() -> Self {
        Self { every_linear: true, ..Self::default() }
    }

    fn named(names: &[&str]) -> Result<Self> {
        let mut modules = Self::default();
        names.iter().try_for_each(|name| modules.add(name))?;
        Ok(modules)
    }

    fn add(&mut self, name: &str) -> Result<()> {
        if name == "Linear" {
            self.every_linear = true;
            return Ok(());
        }
        let expression = match name.strip_prefix("re:") {
            Some(expression) => format!("^(?:{expression})"),
            None if name.contains('*') => {
                let escaped = regex_lite::escape(below_model(name)).replace(r"\*", ".*");
                format!(r"(?:^|\.){escaped}(?:$|\.)")
            }
            None => {
                self.names.insert(below_model(name).trim_end_matches('.').to_owned());
                return Ok(());
            }
        };
        // No real expression counts its repetitions, so a large program from a short one is an attack.
        let size = 4096 + 64 * expression.len();
        let pattern = RegexBuilder::new(&expression).size_limit(size).build().map_err(|error| {
            unknown("ignore", &format!("has the expression \"{}\": {error}", shown(name)))
        })?;
        self.expressions += expression.len();
        self.patterns.push(pattern);
        Ok(())
    }

    /// Whether the module at a path, or one that holds it, is meant: a name stands for itself wherever
    /// it is in the path, so `lm_head`, `mlp.gate` and `layers.3.self_attn` all do.
    fn cover(&self, path: &str) -> bool {
        if self.every_linear {
            return true;
        }
        let named = || {
            let starts = std::iter::once(0).chain(path.match_indices('.').map(|(at, _)| at + 1));
            starts.into_iter().any(|start| {
                let tail = &path[start..];
                let ends = tail.match_indices('.').map(|(at, _)| at);
                ends.chain(std::iter::once(tail.len())).any(|end| self.names.contains(&tail[..end]))
            })
        };
        (!self.names.is_empty() && named())
            || self.patterns.iter().any(|pattern| pattern.is_match(path))
    }
}

/// A module's name from `layers.` on: checkpoints put different prefixes before it.
///
/// A name in another tower keeps its prefix and so never means a layer of the text part.
fn below_model(name: &str) -> &str {
    const OTHER_TOWERS: [&str; 4] = ["vision", "visual", "image", "audio"];
    match name.find("layers.") {
        Some(at) if !OTHER_TOWERS.iter().any(|tower| name[..at].contains(tower)) => &name[at..],
        _ => name,
    }
}

impl Config {
    /// A group size, −1 and absent both meaning that a whole row shares one scale.
    fn maybe_group(&self, key: &'static str) -> Result<Option<u64>> {
        match self.raw(key).and_then(Value::as_i64) {
            Some(-1) => Ok(None),
            _ => self.maybe(key),
        }
    }
}
