//! What options hold, as it is typed.

use clap::builder::{PossibleValue, PossibleValuesParser};
use flopmeter::{Convention, Dtype};

pub fn convention_names_and_all() -> PossibleValuesParser {
    PossibleValuesParser::new(
        Convention::ALL.iter().map(|convention| convention.id).chain(std::iter::once("all")),
    )
}

pub fn convention_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Convention::ALL.iter().map(|convention| convention.id))
}

pub fn dtype_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Dtype::ALL.map(|dtype| {
        // PyTorch's names are taken too, and not listed.
        let aliases: &[&str] = match dtype {
            Dtype::Fp64 => &["float64"],
            Dtype::Fp32 => &["float32"],
            Dtype::Fp16 => &["float16"],
            Dtype::Bf16 => &["bfloat16"],
            Dtype::Fp8 => &["float8_e4m3fn", "float8_e5m2"],
            _ => &[],
        };
        PossibleValue::new(dtype.name()).aliases(aliases.iter().copied())
    }))
}

/// A number of tokens, sequences or devices. Whether zero makes sense is the core's to say.
pub fn whole(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().map_err(|_| match digits {
        true => format!("more than {}", u64::MAX),
        false => "not a whole number such as 1024".to_owned(),
    })
}

pub fn rate(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| "not a number such as 3.35e12".to_owned())
}

/// `2.1`, `2.1s`, `350ms`, `80us`, `1.5min`. Whether it is above zero is the core's to say.
pub fn seconds(text: &str) -> Result<f64, String> {
    // Parts of a second divide, which rounds once: 1e-6 is no double, and 1e6 is.
    let units = [
        ("ms", 1.0, 1e3),
        ("us", 1.0, 1e6),
        ("µs", 1.0, 1e6),
        ("ns", 1.0, 1e9),
        ("min", 60.0, 1.0),
        ("s", 1.0, 1.0),
        ("", 1.0, 1.0),
    ];
    let (number, times, parts) = units
        .into_iter()
        .find_map(|(unit, times, parts)| Some((text.strip_suffix(unit)?, times, parts)))
        .unwrap_or((text, 1.0, 1.0));
    let number: f64 =
        number.trim().parse().map_err(|_| "not a time such as 2.1s or 350ms".to_owned())?;
    Ok(number * times / parts)
}

pub fn pair(text: &str) -> Result<(u64, u64), String> {
    let parsed = text.split_once(':').and_then(|(prompt, generate)| {
        Some((prompt.trim().parse().ok()?, generate.trim().parse().ok()?))
    });
    parsed.ok_or_else(|| "not PROMPT:GENERATE, two whole numbers such as 1024:256".to_owned())
}

pub fn peak(text: &str) -> Result<(Dtype, f64), String> {
    let (dtype, rate) =
        text.split_once('=').ok_or_else(|| "not DTYPE=FLOPS such as bf16=989.5e12".to_owned())?;
    let rate =
        rate.trim().parse().map_err(|_| format!("`{rate}` is not a number such as 989.5e12"))?;
    Ok((dtype.parse().map_err(|error: flopmeter::Error| error.to_string())?, rate))
}
