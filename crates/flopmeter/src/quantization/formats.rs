//! What each format stores: the elements' width, and scales and zero points beside them.

use super::unknown;
use crate::config::Config;
use crate::dtype::Dtype;
use crate::error::{Result, shown};
use crate::op::{Scale, Storage};
use serde_json::Value;

/// OCP MX: 4-bit floats, an 8-bit exponent for every 32 along a row.
pub(super) const MXFP4: Storage = Storage::scaled("mxfp4", 4, [Scale::groups(32, 8), Scale::None]);
/// Per-tensor fp8: one fp32 scale for the matrix.
pub(super) const FP8: Storage = Storage::scaled("fp8", 8, [Scale::per_matrix(32), Scale::None]);
/// NVFP4: 4-bit floats, an fp8 scale for every 16 along a row and an fp32 one for the matrix.
pub(super) const NVFP4: Storage =
    Storage::scaled("nvfp4", 4, [Scale::groups(16, 8), Scale::per_matrix(32)]);

pub(super) fn fp8(scheme: &Config) -> Result<Storage> {
    let Some(block) = scheme.counts("weight_block_size")? else { return Ok(FP8) };
    let &[rows @ (1..), columns @ (1..)] = &block[..] else {
        return Err(unknown("weight_block_size", "is not a pair of sizes"));
    };
    Ok(Storage::scaled("fp8", 8, [Scale::Blocks { rows, columns, bits: 32 }, Scale::None]))
}

/// Packed integers, a 16-bit scale and a packed zero point for each group of a row.
pub(super) fn awq(scheme: &Config) -> Result<Storage> {
    let bits = bits(scheme, "bits")?;
    Ok(Storage::scaled(integers(bits)?, bits, [groups(scheme, 16 + bits)?, Scale::None]))
}

/// As AWQ, and beside it `g_idx`: the group of every input column, 32 bits each.
///
/// `own` has what differs for some modules.
pub(super) fn gptq(scheme: &Config, own: Option<&Config>) -> Result<Storage> {
    let of = |key: &str| own.filter(|own| own.has(key)).unwrap_or(scheme);
    let bits = bits(of("bits"), "bits")?;
    let group_of_column = Scale::Blocks { rows: 0, columns: 1, bits: 32 };
    let scales = [groups(of("group_size"), 16 + bits)?, group_of_column];
    Ok(Storage::scaled(integers(bits)?, bits, scales))
}

/// A `quant_algo` of modelopt: the dtype that products run in, if activations have it too, and what is stored.
pub(super) fn algorithm(name: &str) -> Option<(Option<Dtype>, Storage)> {
    match name.to_ascii_uppercase().as_str() {
        "FP8" => Some((Some(Dtype::Fp8), FP8)),
        "NVFP4" => Some((Some(Dtype::Fp4), NVFP4)),
        "W4A16_NVFP4" => Some((None, NVFP4)),
        _ => None,
    }
}

pub(super) fn bitsandbytes(scheme: &Config) -> Result<Storage> {
    if scheme.flag("load_in_8bit", false)? || scheme.flag("_load_in_8bit", false)? {
        // LLM.int8(): one fp32 scale a row.
        return Ok(Storage::scaled("int8", 8, [Scale::per_row(32), Scale::None]));
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
            [Scale::Elements { count: 64, bits: 8 }, Scale::Elements { count: 64 * 256, bits: 32 }]
        } else {
            [Scale::Elements { count: 64, bits: 32 }, Scale::None]
        };
        return Ok(Storage::scaled(name, 4, scales));
    }
    Err(unknown("load_in_4bit", "and `load_in_8bit` are both off"))
}

/// The `weights` of a compressed-tensors group.
pub(super) fn weights(scheme: &Config) -> Result<Storage> {
    let bits = bits(scheme, "num_bits")?;
    let float = scheme.text("type")?.unwrap_or("int") == "float";
    let group = group_size(scheme)?;
    let zero = if scheme.flag("symmetric", true)? { 0 } else { bits };
    let strategy = match scheme.text("strategy")? {
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
        (false, bits) => integers(bits)?,
        (true, _) => return Err(unknown("num_bits", &format!("is {bits} for floats"))),
    };
    let scale = match strategy.as_str() {
        "tensor" => Scale::per_matrix(16),
        "channel" | "token" => Scale::per_row(16 + zero),
        "group" | "tensor_group" => Scale::groups(size()?, 16 + zero),
        "block" => match scheme.counts("block_structure")?.as_deref() {
            Some(&[rows, columns]) if rows > 0 && columns > 0 => {
                Scale::Blocks { rows, columns, bits: 16 }
            }
            _ => return Err(unknown("block_structure", "is not a pair of sizes")),
        },
        other => return Err(unknown("strategy", &format!("is \"{}\"", shown(other)))),
    };
    Ok(Storage::scaled(name, bits, [scale, Scale::None]))
}

/// The dtype that products run in when activations are quantised by this scheme.
pub(super) fn activations(scheme: &Config) -> Result<Option<Dtype>> {
    let float = scheme.text("type")?.unwrap_or("int") == "float";
    Ok(match (float, bits(scheme, "num_bits")?) {
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

/// The name of packed integers.
fn integers(bits: u64) -> Result<&'static str> {
    match bits {
        2 => Ok("int2"),
        3 => Ok("int3"),
        4 => Ok("int4"),
        8 => Ok("int8"),
        other => {
            Err(unknown("bits", &format!("is {other} for integers, a width that is not known")))
        }
    }
}

/// One scale for each group of a row; for the whole row if there are no groups.
fn groups(scheme: &Config, bits: u64) -> Result<Scale> {
    Ok(Scale::Blocks { rows: 1, columns: group_size(scheme)?.unwrap_or(0), bits })
}

/// A group size; −1 and absent both mean that a whole row shares one scale.
fn group_size(scheme: &Config) -> Result<Option<u64>> {
    match scheme.raw("group_size").and_then(Value::as_i64) {
        Some(-1) => Ok(None),
        _ => scheme.maybe("group_size"),
    }
}
