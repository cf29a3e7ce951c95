//! A request, as Python's callers ask for it.

use crate::arguments::whole;
use crate::convention;
use crate::error::Result;
use crate::keywords::{Keywords, extracted};
use crate::model::Model;
use crate::plan::plan;
use flopmeter::audio::Clip;
use flopmeter::image::Image;
use flopmeter::{Error, ErrorKind, Sequence, Workload};
use flopmeter_report::{Draft, Ranks, Request};
use flopmeter_source::Source;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::sync::Arc;

/// What is asked of a model.
pub const WORK: &[&str] = &[
    "prompt",
    "generate",
    "cached",
    "batch",
    "sequences",
    "decoder_prompt",
    "images",
    "audio",
    "kv_cache",
];
/// How it is decoded and counted.
pub const COUNTED: &[&str] = &["draft", "draft_tokens", "acceptance", "convention"];

/// An argument that may be left out.
pub type Maybe<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

/// What nearly every request says. A signature names these, for a dict of keywords costs as much as the count.
pub struct Said<'a, 'py> {
    pub prompt: Maybe<'a, 'py>,
    pub generate: Maybe<'a, 'py>,
    pub cached: Maybe<'a, 'py>,
    pub batch: Maybe<'a, 'py>,
}

/// A request of a model.
pub fn request(
    model: &Model,
    said: &Said<'_, '_>,
    convention: Maybe<'_, '_>,
    keywords: &Keywords<'_>,
) -> Result<Request> {
    let draft = draft(keywords, &model.source)?;
    let ranks = match plan(keywords, 0)? {
        Some((plan, stages)) => {
            Some(Ranks::of(&model.source.model, &plan, &stages, draft.is_some())?)
        }
        None => None,
    };
    Ok(Request {
        source: Arc::clone(&model.source),
        adapter: model.adapter.clone(),
        draft,
        workload: workload(said, keywords)?,
        convention: convention::convention(convention)?,
        machine: None,
        ranks,
    })
}

/// What the model is asked for.
pub fn workload(said: &Said<'_, '_>, keywords: &Keywords<'_>) -> Result<Workload> {
    let number = |name, value: Maybe<'_, '_>| value.map(|value| whole(name, value)).transpose();
    let generate = number("generate", said.generate)?;
    let cached = number("cached", said.cached)?;
    let batch = number("batch", said.batch)?.unwrap_or(1);
    let sequences = match (said.prompt, keywords.each("sequences")?) {
        (Some(prompt), None) => vec![Sequence {
            prompt: whole("prompt", prompt)?,
            cached: cached.unwrap_or(0),
            generate: generate.unwrap_or(1),
            count: batch,
        }],
        (None, Some(sequences)) if cached.is_none() && generate.is_none() => {
            sequences.map(|item| sequence(&item?, batch)).collect::<Result<_>>()?
        }
        _ => {
            let text = "give either `prompt`, and with it `generate` and `cached`, or `sequences`";
            return Err(PyTypeError::new_err(text).into());
        }
    };
    let mut workload = Workload::batch(sequences)?;
    if let Some(tokens) = keywords.number("decoder_prompt")? {
        workload = workload.with_decoder_prompt(tokens);
    }
    if let Some(images) = keywords.each("images")? {
        let images = images.map(|size| {
            let [width, height] = extracted::<[Bound<'_, PyAny>; 2]>("images", &size?)?;
            Ok(Image::new(whole("width", &width)?, whole("height", &height)?)?)
        });
        workload = workload.with_images(images.collect::<Result<_>>()?)?;
    }
    if let Some(clips) = keywords.each("audio")? {
        let clips = clips.map(|seconds| Ok(Clip::new(extracted("audio", &seconds?)?)?));
        workload = workload.with_audio(clips.collect::<Result<_>>()?)?;
    }
    match keywords.truth("kv_cache")? {
        Some(false) => Ok(workload.without_kv_cache()?),
        _ => Ok(workload),
    }
}

/// `(prompt, generate)`, `(prompt, generate, cached)` or `(prompt, generate, cached, count)`.
fn sequence(item: &Bound<'_, PyAny>, batch: u64) -> Result<Sequence> {
    let lengths: Vec<Bound<'_, PyAny>> = extracted("sequences", item)?;
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

/// What drafts for a model: another one, or `"mtp"`, its own layers that predict further tokens.
fn draft(keywords: &Keywords<'_>, target: &Source) -> Result<Option<Box<Draft>>> {
    let given = (
        keywords.get("draft"),
        keywords.number("draft_tokens")?,
        keywords.read::<f64>("acceptance")?,
    );
    match given {
        (None, None, None) => Ok(None),
        (Some(draft), Some(tokens), Some(acceptance)) => {
            Ok(Some(Box::new(match draft.cast::<Model>() {
                Ok(model) => Draft::of((*model.get().source).clone(), tokens, acceptance)?,
                Err(_) => {
                    let name = extracted::<String>("draft", draft)?;
                    Draft::find(&name, target, Ok, tokens, acceptance)?
                }
            })))
        }
        _ => {
            let text = "give `draft`, `draft_tokens` and `acceptance` together";
            Err(PyTypeError::new_err(text).into())
        }
    }
}
