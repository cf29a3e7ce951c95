//! What Python's callers give, as the core takes it.

use crate::device::Device;
use crate::error::{Failure, Result};
use crate::model::Model;
use flopmeter::audio::Clip;
use flopmeter::image::Image;
use flopmeter::{Error, ErrorKind, Sequence, Workload};
use flopmeter_report::Draft;
use flopmeter_source::Source;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict};

/// A whole number, of Python or of NumPy.
pub fn whole(place: &str, value: &Bound<'_, PyAny>) -> Result<u64> {
    match value.extract::<u64>() {
        Ok(number) if !value.is_instance_of::<PyBool>() => Ok(number),
        _ => Err(no_number(place, value)),
    }
}

#[cold]
fn no_number(place: &str, value: &Bound<'_, PyAny>) -> Failure {
    let is_whole = value.hasattr("__index__").unwrap_or(false);
    if !is_whole || value.is_instance_of::<PyBool>() {
        let kind = value.get_type();
        let kind = kind.name().map(|name| name.to_string()).unwrap_or_default();
        let text = format!("`{place}`: is of type {kind}; give a whole number");
        return PyTypeError::new_err(text).into();
    }
    let fact = match value.lt(0) {
        Ok(true) => format!("is {value}, and at least 0 is counted"),
        _ => format!("is more than {}", u64::MAX),
    };
    Error::new(ErrorKind::Workload, format!("`{place}`"), fact).into()
}

/// A request's keywords, read one by one: what is left over is none of them.
pub struct Keywords<'py> {
    left: Option<Bound<'py, PyDict>>,
}

impl<'py> Keywords<'py> {
    pub fn new(given: Option<&Bound<'py, PyDict>>) -> Result<Self> {
        // What remains is taken from a copy: the dict may be the caller's own.
        let left = given.map(|given| given.copy()).transpose()?;
        Ok(Self { left })
    }

    /// A keyword's value, if it is given and not None.
    fn take(&self, name: &str) -> Result<Option<Bound<'py, PyAny>>> {
        let Some(left) = &self.left else { return Ok(None) };
        let Some(value) = left.get_item(name)? else { return Ok(None) };
        left.del_item(name)?;
        Ok((!value.is_none()).then_some(value))
    }

    fn number(&self, name: &str) -> Result<Option<u64>> {
        self.take(name)?.map(|value| whole(name, &value)).transpose()
    }

    pub fn text(&self, name: &str) -> Result<Option<String>> {
        Ok(self.take(name)?.map(|value| value.extract()).transpose()?)
    }

    /// What the model is asked for.
    pub fn workload(
        &self,
        prompt: Option<&Bound<'py, PyAny>>,
        generate: Option<&Bound<'py, PyAny>>,
    ) -> Result<Workload> {
        let (cached, batch) = (self.number("cached")?, self.number("batch")?.unwrap_or(1));
        let generate = generate.map(|generate| whole("generate", generate)).transpose()?;
        let sequences = match (prompt, self.take("sequences")?) {
            (Some(prompt), None) => vec![Sequence {
                prompt: whole("prompt", prompt)?,
                cached: cached.unwrap_or(0),
                generate: generate.unwrap_or(1),
                count: batch,
            }],
            (None, Some(sequences)) if cached.is_none() && generate.is_none() => {
                let read = |item: PyResult<Bound<'py, PyAny>>| sequence(&item?, batch);
                sequences.try_iter()?.map(read).collect::<Result<_>>()?
            }
            _ => {
                let text =
                    "give either `prompt`, and with it `generate` and `cached`, or `sequences`";
                return Err(PyTypeError::new_err(text).into());
            }
        };
        let mut workload = Workload::batch(sequences)?;
        if let Some(tokens) = self.number("decoder_prompt")? {
            workload = workload.with_decoder_prompt(tokens);
        }
        if let Some(images) = self.take("images")? {
            let images = images.try_iter()?.map(|size| {
                let [width, height] = size?.extract::<[u64; 2]>()?;
                Ok(Image::new(width, height)?)
            });
            workload = workload.with_images(images.collect::<Result<_>>()?)?;
        }
        if let Some(clips) = self.take("audio")? {
            let clips = clips.try_iter()?.map(|seconds| Ok(Clip::new(seconds?.extract()?)?));
            workload = workload.with_audio(clips.collect::<Result<_>>()?)?;
        }
        match self.take("kv_cache")? {
            Some(kv_cache) if !kv_cache.is_truthy()? => Ok(workload.without_kv_cache()?),
            _ => Ok(workload),
        }
    }

    /// What drafts for a model: another one, or `"mtp"`, its own layers that predict further tokens.
    pub fn draft(&self, target: &Source) -> Result<Option<Draft>> {
        let (draft, tokens) = (self.take("draft")?, self.number("draft_tokens")?);
        let acceptance = self.take("acceptance")?.map(|it| it.extract::<f64>()).transpose()?;
        match (draft, tokens, acceptance) {
            (None, None, None) => Ok(None),
            (Some(draft), Some(tokens), Some(acceptance)) => {
                Ok(Some(match draft.cast::<Model>() {
                    Ok(model) => Draft::of((*model.get().source).clone(), tokens, acceptance)?,
                    Err(_) => {
                        Draft::find(draft.extract::<&str>()?, target, Ok, tokens, acceptance)?
                    }
                }))
            }
            _ => {
                let text = "give `draft`, `draft_tokens` and `acceptance` together";
                Err(PyTypeError::new_err(text).into())
            }
        }
    }

    /// An error if a keyword is left that nobody read.
    pub fn end(self) -> Result<()> {
        match self.left.as_ref().and_then(|left| left.keys().iter().next()) {
            None => Ok(()),
            Some(name) => {
                let text = format!("unexpected keyword argument {}", name.repr()?);
                Err(PyTypeError::new_err(text).into())
            }
        }
    }
}

/// `(prompt, generate)`, `(prompt, generate, cached)` or `(prompt, generate, cached, count)`.
fn sequence(item: &Bound<'_, PyAny>, batch: u64) -> Result<Sequence> {
    let lengths: Vec<Bound<'_, PyAny>> = item.extract()?;
    let or =
        |at: usize, name, default| lengths.get(at).map_or(Ok(default), |value| whole(name, value));
    if !(2..=4).contains(&lengths.len()) {
        let text = "`sequences`: each is a prompt and what it generates, and may say what is cached and how many there are";
        return Err(PyTypeError::new_err(text).into());
    }
    let count = or(3, "count", 1)?.checked_mul(batch).ok_or_else(|| {
        Error::new(ErrorKind::Overflow, "`batch`", "are more sequences than 64 bits can number")
    })?;
    Ok(Sequence {
        prompt: or(0, "prompt", 0)?,
        generate: or(1, "generate", 1)?,
        cached: or(2, "cached", 0)?,
        count,
    })
}

/// A device, or the name of one.
pub fn device(value: &Bound<'_, PyAny>) -> Result<flopmeter::device::Device> {
    if let Ok(device) = value.cast::<Device>() {
        return Ok(device.get().found.clone());
    }
    match value.extract::<&str>() {
        Ok(name) => Ok(flopmeter::device::find(name)?),
        Err(_) => {
            let kind = value.get_type().name()?.to_string();
            let text = format!("`device`: is of type {kind}; give a Device, or the name of one");
            Err(PyTypeError::new_err(text).into())
        }
    }
}
