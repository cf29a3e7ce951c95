//! Options of `sweep`.

use super::plans::PlansArgs;
use super::{OutputArgs, convention_names_and_all, dtype_names, peak, rate, seconds};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args};
use flopmeter::{Convention, Dtype, Recompute};
use flopmeter_report::sweep::{Goal, Values};

/// What is gone through.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("hardware").args(["device", "peak", "bandwidth"]).multiple(true),
    group = ArgGroup::new("several")
        .args(["device", "peak", "bandwidth", "tp", "pp", "dp", "cp", "dcp", "ep", "etp", "virtual_stages", "zero"])
        .multiple(true)
)]
pub struct SweepArgs {
    /// Path of a config.json or its folder, Hub id, Ollama tag, short name
    pub model: String,
    /// Tokens of the prompt
    ///
    /// NUMBERS are one, a list `1,2,8` or a range, both ends in it: `1..9` and `1..9+2` add, `1..256x2` multiplies.
    /// Required, unless --sequence is given.
    #[arg(
        short,
        long,
        value_name = "NUMBERS",
        value_parser = Values::parse,
        allow_hyphen_values = true,
        required_unless_present = "sequence",
        help_heading = "Request"
    )]
    pub prompt: Option<Values>,
    /// Tokens that are generated
    #[arg(
        short,
        long,
        value_name = "NUMBERS",
        value_parser = Values::parse,
        allow_hyphen_values = true,
        default_value = "1",
        help_heading = "Request"
    )]
    pub generate: Values,
    /// Tokens of a sequence: steps of training, not requests
    #[arg(
        short,
        long,
        value_name = "NUMBERS",
        value_parser = Values::parse,
        allow_hyphen_values = true,
        conflicts_with_all = ["prompt", "generate", "kv_dtype"],
        help_heading = "Step"
    )]
    pub sequence: Option<Values>,
    /// What is computed again: none, selective, full, LAYERS
    #[arg(
        long,
        value_name = "WHAT[,…]",
        value_delimiter = ',',
        value_parser = super::train::recompute,
        default_value = "none",
        allow_hyphen_values = true,
        requires = "sequence",
        help_heading = "Step"
    )]
    pub recompute: Vec<Recompute>,
    /// Batches whose gradients add up before the optimiser steps
    #[arg(
        long,
        value_name = "NUMBERS",
        value_parser = Values::parse,
        allow_hyphen_values = true,
        requires = "sequence",
        help_heading = "Step",
        hide_short_help = true
    )]
    pub accumulate: Option<Values>,
    /// Flash attention: scores are not kept, and computed again
    #[arg(long, requires = "sequence", help_heading = "Step", hide_short_help = true)]
    pub flash: bool,
    /// Sequences that run together
    #[arg(
        short,
        long,
        value_name = "NUMBERS",
        value_parser = Values::parse,
        allow_hyphen_values = true,
        default_value = "1",
        help_heading = "Both"
    )]
    pub batch: Values,
    /// What counts as a FLOP (see `flopmeter conventions`), or `all`
    #[arg(
        long,
        value_name = "NAME[,…]",
        value_delimiter = ',',
        default_value = Convention::MODEL.id,
        value_parser = convention_names_and_all(),
        help_heading = "Both",
        hide_possible_values = true
    )]
    pub convention: Vec<String>,
    /// Dtypes of products and weights, if not as stored
    #[arg(
        long,
        value_name = "D[,…]",
        value_delimiter = ',',
        value_parser = dtype_names(),
        help_heading = "Both",
        hide_possible_values = true
    )]
    pub dtype: Vec<String>,
    /// Dtype of the KV cache, likewise
    #[arg(
        long,
        value_name = "D",
        value_parser = dtype_names(),
        help_heading = "Request",
        hide_possible_values = true,
        hide_short_help = true
    )]
    pub kv_dtype: Option<String>,
    /// Devices, as their drivers print them
    #[arg(long, value_name = "NAME[,…]", value_delimiter = ',', help_heading = "Hardware")]
    pub device: Vec<String>,
    /// How many of them
    ///
    /// 1 if left out. With parallel sizes, whose product it is, it keeps the combinations that take so many.
    #[arg(
        long,
        value_name = "NUMBERS",
        value_parser = Values::parse,
        allow_hyphen_values = true,
        requires = "several",
        help_heading = "Hardware"
    )]
    pub devices: Option<Values>,
    /// Dense peak, e.g. `bf16=989.5e12`
    #[arg(
        long,
        value_name = "D=FLOPS[,…]",
        value_delimiter = ',',
        value_parser = peak,
        help_heading = "Hardware",
        hide_short_help = true
    )]
    pub peak: Vec<(Dtype, f64)>,
    /// Memory bandwidth in bytes/s, e.g. `3.35e12`
    #[arg(
        long,
        value_name = "BYTES",
        value_parser = rate,
        help_heading = "Hardware",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    pub bandwidth: Option<f64>,
    /// Mark the best row, e.g. by `throughput` or `latency`
    ///
    /// Of those that fit and keep the limits, by what the hardware can reach: latency (the whole request, or a step), ttft
    /// (time to the first token), tpot (time of a further one), throughput, throughput-per-device, mfu, mbu, memory (of a
    /// device).
    #[arg(
        long,
        value_name = "BY",
        value_parser = goals(),
        requires = "hardware",
        help_heading = "Choice",
        hide_possible_values = true
    )]
    pub best: Option<Goal>,
    /// Limits, e.g. `latency=200ms,memory=80GB`
    ///
    /// By the names that --best takes. At most a time or a memory (that of one device), at least a throughput, an MFU or
    /// an MBU (`0.4` or `40%`).
    #[arg(
        long,
        value_name = "BY=VALUE[,…]",
        value_delimiter = ',',
        value_parser = limit,
        requires = "hardware",
        help_heading = "Choice"
    )]
    pub limit: Vec<(Goal, f64)>,
    #[command(flatten)]
    pub plans: PlansArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The names of goals.
fn goals() -> impl TypedValueParser<Value = Goal> {
    PossibleValuesParser::new(Goal::ALL.map(Goal::name)).try_map(|name| name.parse::<Goal>())
}

fn limit(text: &str) -> Result<(Goal, f64), String> {
    let form = || "not BY=VALUE such as latency=200ms or memory=80GB".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(form)?;
    let (name, value) = (name.trim(), value.trim());
    let goal = name.parse().map_err(|error: flopmeter::Error| error.fact().to_owned())?;
    let value = match goal {
        Goal::Latency | Goal::Ttft | Goal::Tpot => seconds(value)?,
        Goal::Memory => scaled(value, &BYTES).ok_or("not a size such as 80GB or 40GiB")?,
        Goal::Mfu | Goal::Mbu => {
            scaled(value, &[("%", 1e-2), ("", 1.0)]).ok_or("not a share such as 0.4 or 40%")?
        }
        Goal::Throughput | Goal::ThroughputPerDevice => {
            scaled(value, &[("", 1.0)]).ok_or("not a number of tokens a second such as 1000")?
        }
    };
    if value.is_finite() && value > 0.0 {
        Ok((goal, value))
    } else {
        Err(format!("`{text}` is no limit; it must be a number above zero"))
    }
}

/// Longest endings first.
const BYTES: [(&str, f64); 10] = [
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("B", 1.0),
    ("", 1.0),
];

fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (number, unit) =
        units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)))?;
    number.trim().parse::<f64>().ok().map(|number| number * unit)
}

#[cfg(test)]
mod tests {
    use super::{Goal, limit};

    #[test]
    fn limits_are_read_in_their_units() {
        for (text, goal, value) in [
            ("latency=200ms", Goal::Latency, 0.2),
            ("ttft=2", Goal::Ttft, 2.0),
            ("tpot=50ms", Goal::Tpot, 0.05),
            ("memory=80GB", Goal::Memory, 80e9),
            ("memory=1GiB", Goal::Memory, 1_073_741_824.0),
            ("memory=8e10", Goal::Memory, 8e10),
            ("mfu=40%", Goal::Mfu, 0.4),
            ("mbu = 0.5", Goal::Mbu, 0.5),
            ("throughput=1000", Goal::Throughput, 1000.0),
            ("throughput-per-device=5", Goal::ThroughputPerDevice, 5.0),
        ] {
            assert_eq!(limit(text), Ok((goal, value)), "{text}");
        }
        for (text, fact) in [
            ("latency", "not BY=VALUE"),
            ("speed=3", "known: latency, ttft"),
            ("latency=fast", "not a time"),
            ("latency=0", "above zero"),
            ("latency=-1s", "above zero"),
            ("latency=nan", "above zero"),
            ("memory=80Gb", "not a size"),
            ("memory=infGB", "above zero"),
            ("mfu=", "not a share"),
        ] {
            let said = limit(text).expect_err(text);
            assert!(said.contains(fact), "{text}: {said}");
        }
    }
}
