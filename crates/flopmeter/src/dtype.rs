//! Number formats: their names and widths.

use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::str::FromStr;

/// A number format that weights are stored in or that matrix products run in.
///
/// A device's peak depends on it and so do bytes; FLOPs never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dtype {
    /// IEEE double precision.
    Fp64,
    /// IEEE single precision.
    Fp32,
    /// Single precision whose products keep 10 bits of mantissa; stored as 32 bits.
    Tf32,
    /// IEEE half precision.
    Fp16,
    /// Brain float: 8 bits of exponent, 7 of mantissa.
    Bf16,
    /// 8-bit floats (E4M3, E5M2).
    Fp8,
    /// 6-bit floats (E3M2, E2M3).
    Fp6,
    /// 4-bit floats (E2M1), without the block scales of MXFP4 and NVFP4.
    Fp4,
    /// 8-bit integers.
    Int8,
    /// 4-bit integers.
    Int4,
}

impl Dtype {
    /// Every dtype, widest first.
    pub const ALL: [Self; 10] = [
        Self::Fp64,
        Self::Fp32,
        Self::Tf32,
        Self::Fp16,
        Self::Bf16,
        Self::Fp8,
        Self::Int8,
        Self::Fp6,
        Self::Fp4,
        Self::Int4,
    ];

    /// Width of one stored element in bits.
    ///
    /// ```
    /// use flopmeter::Dtype;
    /// assert_eq!(Dtype::Bf16.bits(), 16);
    /// assert_eq!(Dtype::Tf32.bits(), 32); // a compute format: what is stored is fp32
    /// ```
    pub const fn bits(self) -> u64 {
        match self {
            Self::Fp64 => 64,
            Self::Fp32 | Self::Tf32 => 32,
            Self::Fp16 | Self::Bf16 => 16,
            Self::Fp8 | Self::Int8 => 8,
            Self::Fp6 => 6,
            Self::Fp4 | Self::Int4 => 4,
        }
    }

    /// The name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp64 => "fp64",
            Self::Fp32 => "fp32",
            Self::Tf32 => "tf32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Fp6 => "fp6",
            Self::Fp4 => "fp4",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads our names and PyTorch's (`torch.bfloat16`, `half`, `float8_e4m3fn`), in any case.
///
/// ```
/// use flopmeter::Dtype;
/// assert_eq!("torch.bfloat16".parse::<Dtype>()?, Dtype::Bf16);
/// assert!("b16".parse::<Dtype>().is_err());
/// # Ok::<(), flopmeter::Error>(())
/// ```
impl FromStr for Dtype {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let name = text.trim().to_ascii_lowercase();
        let name = name.strip_prefix("torch.").unwrap_or(&name);
        Ok(match name {
            "fp64" | "float64" | "double" => Self::Fp64,
            "fp32" | "float32" | "float" => Self::Fp32,
            "tf32" => Self::Tf32,
            "fp16" | "float16" | "half" => Self::Fp16,
            "bf16" | "bfloat16" => Self::Bf16,
            "fp8" | "float8" | "fp8_e4m3" | "fp8_e5m2" | "e4m3" | "e5m2" | "float8_e4m3fn"
            | "float8_e4m3" | "float8_e5m2" | "float8_e4m3fnuz" => Self::Fp8,
            "fp6" | "float6" => Self::Fp6,
            "fp4" | "float4" | "float4_e2m1fn_x2" => Self::Fp4,
            "int8" => Self::Int8,
            "int4" => Self::Int4,
            _ => {
                let names = Self::ALL.map(Self::name).join(", ");
                return Err(Error::new(
                    ErrorKind::Dtype,
                    format!("`{}`", crate::error::shown(text)),
                    "is not a dtype",
                )
                .hint(format!("known: {names}")));
            }
        })
    }
}
