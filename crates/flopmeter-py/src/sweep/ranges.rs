//! What is gone through, as Python's callers ask for it.

use crate::arguments::{device, source, whole};
use crate::error::Result;
use crate::keywords::{Keywords, extracted};
use flopmeter::{Dtype, Error, ErrorKind};
use flopmeter_report::sweep::{Goal, Ranges, Sizes, Values};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyRange, PyString};
use std::collections::BTreeMap;

/// Of requests alone.
const OF_REQUESTS: &[&str] = &["prompt", "generate", "kv_dtype", "dcp"];
/// Of steps of training alone.
const OF_STEPS: &[&str] = &["sequence", "accumulate", "recompute", "flash", "zero"];
/// Of both.
const OF_BOTH: &[&str] = &[
    "batch",
    "convention",
    "dtype",
    "device",
    "devices",
    "peak",
    "bandwidth",
    "best",
    "limit",
    "tp",
    "pp",
    "dp",
    "cp",
    "ep",
    "etp",
    "virtual_stages",
    "sp",
];

/// The longest list that is read: more points are not counted.
const LONGEST: usize = 1_000_000;

/// Reads the arguments of a sweep.
pub fn read(
    model: &Bound<'_, PyAny>,
    prompt: Option<&Bound<'_, PyAny>>,
    generate: Option<&Bound<'_, PyAny>>,
    given: Option<&Bound<'_, PyDict>>,
) -> Result<Ranges> {
    let keywords = Keywords::new(given, &[OF_REQUESTS, OF_STEPS, OF_BOTH])?;
    let is_of_steps = keywords.get("sequence").is_some();
    if is_of_steps == prompt.is_some() {
        let text = "give either `prompt`, for requests, or `sequence`, for steps of training";
        return Err(PyTypeError::new_err(text).into());
    }
    let misplaced = |name: &str, work| PyTypeError::new_err(format!("`{name}`: is of {work}"));
    let (others, work) = match is_of_steps {
        true => (OF_REQUESTS, "requests"),
        false => (OF_STEPS, "steps of training, which `sequence` asks for"),
    };
    if is_of_steps && generate.is_some() {
        return Err(misplaced("generate", work).into());
    }
    for name in others {
        if keywords.get(name).is_some() {
            return Err(misplaced(name, work).into());
        }
    }
    let source = source(model)?;
    let numbers = |name: &str| -> Result<Option<Values>> {
        keywords.get(name).map(|value| values(name, value)).transpose()
    };
    let names = |name: &str| -> Result<Option<Vec<String>>> {
        let Some(value) = keywords.get(name) else { return Ok(None) };
        Ok(Some(
            each(name, value)?.iter().map(|it| Ok(it.str()?.to_string())).collect::<Result<_>>()?,
        ))
    };
    let devices = match keywords.get("device") {
        Some(value) => each("device", value)?.iter().map(device).collect::<Result<_>>()?,
        None => Vec::new(),
    };
    let mut ranges = Ranges {
        prompt: prompt.map(|prompt| values("prompt", prompt)).transpose()?,
        sequence: numbers("sequence")?,
        accumulate: numbers("accumulate")?,
        flash: keywords.holds("flash")?,
        dtypes: names("dtype")?.unwrap_or_default(),
        kv_dtype: keywords.read("kv_dtype")?,
        devices,
        counts: numbers("devices")?,
        bandwidth: keywords.read("bandwidth")?,
        sizes: Sizes {
            tensor: numbers("tp")?,
            pipeline: numbers("pp")?,
            data: numbers("dp")?,
            context: numbers("cp")?,
            decode_context: numbers("dcp")?,
            expert: numbers("ep")?,
            expert_tensor: numbers("etp")?,
            virtual_stages: numbers("virtual_stages")?,
            zero: numbers("zero")?,
            sequence: keywords.holds("sp")?,
        },
        best: keywords.read::<String>("best")?.map(|name| goal(&name)).transpose()?,
        ..Ranges::of(source)
    };
    if let Some(generate) = generate {
        ranges.generate = values("generate", generate)?;
    }
    if let Some(batch) = numbers("batch")? {
        ranges.batch = batch;
    }
    if let Some(conventions) = names("convention")? {
        ranges.conventions = conventions;
    }
    if let Some(recompute) = names("recompute")? {
        let read = recompute.iter().map(|what| what.parse());
        ranges.recompute = read.collect::<flopmeter::Result<_>>()?;
    }
    for (dtype, peak) in keywords.read::<BTreeMap<String, f64>>("peak")?.unwrap_or_default() {
        ranges.peak.push((dtype.parse::<Dtype>()?, peak));
    }
    for (name, value) in keywords.read::<BTreeMap<String, f64>>("limit")?.unwrap_or_default() {
        ranges.limits.push((goal(&name)?, value));
    }
    Ok(ranges)
}

fn goal(name: &str) -> Result<Goal> {
    Ok(name.replace('_', "-").parse()?)
}

/// One, or several.
fn each<'py>(name: &str, value: &Bound<'py, PyAny>) -> Result<Vec<Bound<'py, PyAny>>> {
    if value.is_instance_of::<PyString>() || !value.hasattr("__iter__")? {
        return Ok(vec![value.clone()]);
    }
    let some: Vec<_> = value.try_iter()?.take(LONGEST + 1).collect::<PyResult<_>>()?;
    match some.len() {
        0 => Err(wrong(name, "has no value".into()).into()),
        count if count > LONGEST => {
            Err(wrong(name, format!("has more than {LONGEST} values")).into())
        }
        _ => Ok(some),
    }
}

fn wrong(name: &str, fact: String) -> Error {
    Error::new(ErrorKind::Workload, format!("`{name}`"), fact)
}

/// A number, several, a range, or the command's text.
fn values(name: &str, value: &Bound<'_, PyAny>) -> Result<Values> {
    if value.is_instance_of::<PyString>() {
        return Ok(
            Values::parse(&extracted::<String>(name, value)?).map_err(|fact| wrong(name, fact))?
        );
    }
    if let Ok(range) = value.cast::<PyRange>() {
        let ends = ["start", "stop", "step"];
        let ends = ends.map(|end| whole(name, &range.getattr(end)?));
        if let [Ok(start), Ok(stop), Ok(step)] = ends {
            let values = Values::stepped(start, stop, step);
            return Ok(values.ok_or_else(|| wrong(name, "is an empty range".into()))?);
        }
    }
    let numbers = each(name, value)?;
    Ok(Values::listed(numbers.iter().map(|it| whole(name, it)).collect::<Result<Vec<u64>>>()?))
}
