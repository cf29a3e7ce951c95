//! A model: by name, or from a config.

use crate::arguments::{Keywords, whole};
use crate::convention::named;
use crate::cost::{Bytes, Flops};
use crate::error::Result;
use crate::explain::Explanation;
use crate::training::StepFlops;
use flopmeter::{Component, Config, Convention, Frozen, Step};
use flopmeter_report::report::AdapterReport;
use flopmeter_report::{Adapter, Request, Trained};
use flopmeter_source::Source;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::path::PathBuf;
use std::sync::Arc;

/// A model whose FLOPs and bytes can be counted.
///
/// `Model(name)` takes what the command does: the path of a config.json, of the folder that holds one, of safetensors or a
/// GGUF file; a Hub id; an Ollama tag; a built-in name. `dtype` and `kv_dtype` replace the dtypes of its weights and
/// products, and of its KV cache. `adapter` is the folder of a LoRA adapter as PEFT saves it, beside the weights or `merged`
/// into them.
#[pyclass(frozen, module = "flopmeter")]
pub struct Model {
    pub source: Arc<Source>,
    adapter: Option<AdapterReport>,
    made: Made,
}

/// How it is made again in another process.
#[derive(Clone)]
struct Made {
    from: Origin,
    dtype: Option<String>,
    kv_dtype: Option<String>,
    adapter: Option<String>,
    merged: bool,
}

#[derive(Clone)]
enum Origin {
    Name(String),
    Config(String),
}

impl Made {
    fn make(self) -> flopmeter::Result<Model> {
        let adapter = match (&self.from, self.adapter.as_deref()) {
            (Origin::Name(name), adapter) => Adapter::read(name, adapter, self.merged)?,
            (Origin::Config(_), None) => None,
            (Origin::Config(_), adapter) => Adapter::read("", adapter, self.merged)?,
        };
        let mut source = match (&self.from, &adapter) {
            (Origin::Config(text), _) => of_config(text)?,
            (Origin::Name(name), Some(adapter)) => adapter.base(name)?,
            (Origin::Name(name), None) => flopmeter_source::find(name)?,
        };
        if let Some(dtype) = &self.dtype {
            source.model = source.model.with_dtype(dtype.parse()?);
        }
        if let Some(dtype) = &self.kv_dtype {
            source.model = source.model.with_cache_dtype(dtype.parse()?);
        }
        let adapter = match &adapter {
            Some(adapter) => Some(adapter.apply(&mut source)?),
            None => None,
        };
        Ok(Model { source: Arc::new(source), adapter, made: self })
    }
}

fn of_config(text: &str) -> flopmeter::Result<Source> {
    let config = Config::parse(text)?;
    let model = flopmeter::Model::from_config(&config)?;
    let name = config.text("_name_or_path").ok().flatten().filter(|it| !it.is_empty());
    let id = name.unwrap_or_else(|| config.model_type()).to_owned();
    Ok(Source { id, model, builtin: None, notes: Vec::new() })
}

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (name, *, dtype = None, kv_dtype = None, adapter = None, merged = false))]
    fn new(
        py: Python<'_>,
        name: PathBuf,
        dtype: Option<String>,
        kv_dtype: Option<String>,
        adapter: Option<PathBuf>,
        merged: bool,
    ) -> Result<Self> {
        let from = Origin::Name(name.display().to_string());
        let adapter = adapter.map(|path| path.display().to_string());
        // It may have to be read from a disk or from the Hub.
        Ok(py.detach(|| Made { from, dtype, kv_dtype, adapter, merged }.make())?)
    }

    /// The model of a config: a dict, a configuration object of transformers, or the path of a config.json.
    #[staticmethod]
    #[pyo3(signature = (config, *, dtype = None, kv_dtype = None, adapter = None, merged = false))]
    fn from_config(
        config: &Bound<'_, PyAny>,
        dtype: Option<String>,
        kv_dtype: Option<String>,
        adapter: Option<PathBuf>,
        merged: bool,
    ) -> Result<Self> {
        if let Ok(path) = config.extract::<PathBuf>() {
            return Self::new(config.py(), path, dtype, kv_dtype, adapter, merged);
        }
        let from = Origin::Config(json(config)?);
        let adapter = adapter.map(|path| path.display().to_string());
        Ok(Made { from, dtype, kv_dtype, adapter, merged }.make()?)
    }

    /// Its name: a Hub id, or the path as given.
    #[getter]
    fn id(&self) -> &str {
        &self.source.id
    }

    /// The `model_type` of its config.
    #[getter]
    fn model_type(&self) -> &str {
        self.source.model.model_type()
    }

    /// How many parameters it has.
    #[getter]
    fn parameters(&self) -> Parameters {
        let parameters = self.source.model.parameters();
        Parameters {
            total: parameters.total,
            active: parameters.active,
            embedding: parameters.embedding,
            non_embedding: parameters.non_embedding(),
        }
    }

    /// What to know before trusting its counts.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.source.notes.iter().chain(self.source.model.notes()).cloned().collect()
    }

    /// FLOPs of `batch` requests of `prompt` tokens, `cached` of them in the cache already, that generate `generate`.
    ///
    /// Or of different `sequences` that run together: pairs of prompt and generate, with what is cached third and how many
    /// there are fourth. `images` are pairs of width and height, `audio` lengths of clips in seconds; each prompt has them
    /// all. `draft`, a model or "mtp", drafts `draft_tokens` a step, each accepted with the probability `acceptance`.
    #[pyo3(
        signature = (prompt = None, generate = None, **request),
        text_signature = "($self, prompt=None, generate=1, *, cached=0, batch=1, sequences=None, decoder_prompt=None, images=(), audio=(), kv_cache=True, draft=None, draft_tokens=None, acceptance=None, convention='model')"
    )]
    fn flops(
        &self,
        prompt: Option<&Bound<'_, PyAny>>,
        generate: Option<&Bound<'_, PyAny>>,
        request: Option<&Bound<'_, PyDict>>,
    ) -> Result<Flops> {
        Flops::count(self.request(prompt, generate, request)?)
    }

    /// Bytes that such requests move and hold.
    #[pyo3(
        signature = (prompt = None, generate = None, **request),
        text_signature = "($self, prompt=None, generate=1, *, cached=0, batch=1, sequences=None, decoder_prompt=None, images=(), audio=(), kv_cache=True)"
    )]
    fn bytes(
        &self,
        prompt: Option<&Bound<'_, PyAny>>,
        generate: Option<&Bound<'_, PyAny>>,
        request: Option<&Bound<'_, PyDict>>,
    ) -> Result<Bytes> {
        let keywords = Keywords::new(request)?;
        let workload = keywords.workload(prompt, generate)?;
        keywords.end()?;
        Ok(Bytes(self.source.model.bytes(&workload)?))
    }

    /// The arithmetic of such requests, formula by formula.
    #[pyo3(
        signature = (prompt = None, generate = None, **request),
        text_signature = "($self, prompt=None, generate=1, *, cached=0, batch=1, sequences=None, decoder_prompt=None, images=(), audio=(), kv_cache=True, draft=None, draft_tokens=None, acceptance=None, convention='model')"
    )]
    fn explain(
        &self,
        prompt: Option<&Bound<'_, PyAny>>,
        generate: Option<&Bound<'_, PyAny>>,
        request: Option<&Bound<'_, PyDict>>,
    ) -> Result<Explanation> {
        Ok(Explanation(self.request(prompt, generate, request)?.explain(None)?))
    }

    /// FLOPs of a step of training on `batch` rows of `sequence` tokens, or of `packed` documents.
    ///
    /// `recompute` is `"none"`, `"selective"`, `"full"` or a number of layers; `freeze` that of the lowest layers that are
    /// not trained; `rollout` the prompt and the generated tokens of each row that a policy writes itself; `target` the tokens
    /// of a decoder beside an encoder.
    #[pyo3(signature = (sequence = None, batch = None, *, packed = None, accumulate = None, recompute = None, flash = false, freeze = None, mtp = false, reference_forwards = 0, rollout = None, target = None, convention = "model"))]
    #[allow(clippy::too_many_arguments, reason = "they are Python's keywords")]
    fn train_step(
        &self,
        sequence: Option<&Bound<'_, PyAny>>,
        batch: Option<&Bound<'_, PyAny>>,
        packed: Option<Vec<u64>>,
        accumulate: Option<&Bound<'_, PyAny>>,
        recompute: Option<&Bound<'_, PyAny>>,
        flash: bool,
        freeze: Option<u64>,
        mtp: bool,
        reference_forwards: u64,
        rollout: Option<(u64, u64)>,
        target: Option<u64>,
        convention: &str,
    ) -> Result<StepFlops> {
        let one = |place, value: Option<&Bound<'_, PyAny>>| {
            value.map_or(Ok(1), |value| whole(place, value))
        };
        let accumulate = one("accumulate", accumulate)?;
        let rows = Trained::rows(one("batch", batch)?, accumulate)?;
        let mut step = match (sequence, packed) {
            (Some(length), None) => Step::new(whole("sequence", length)?, rows)?,
            (None, Some(lengths)) => Step::packed(&lengths, rows)?,
            _ => {
                let text = "give either `sequence` or `packed`";
                return Err(PyTypeError::new_err(text).into());
            }
        };
        if let Some(recompute) = recompute {
            step = step.recomputing(recompute.str()?.to_str()?.parse()?);
        }
        step = step.with_reference_forwards(reference_forwards);
        if flash {
            step = step.recomputing_scores();
        }
        if mtp {
            step = step.predicting_further();
        }
        match (freeze, &self.adapter) {
            (_, Some(_)) => step = step.freezing(Frozen::Base),
            (Some(layers), None) => step = step.freezing(Frozen::Below(layers)),
            (None, None) => {}
        }
        if let Some(tokens) = target {
            step = step.with_target(tokens);
        }
        if let Some((prompt, generate)) = rollout {
            step = step.with_rollout(prompt, generate)?;
        }
        let source = Arc::clone(&self.source);
        let trained = Trained {
            source,
            adapter: self.adapter.clone(),
            step,
            accumulate,
            plan: None,
            machine: None,
        };
        StepFlops::count(trained, named(convention)?)
    }

    /// The components that its count has, by a convention.
    #[pyo3(signature = (convention = "model"))]
    fn components(&self, convention: &str) -> Result<Vec<&'static str>> {
        let components = self.source.model.components(&named(convention)?);
        Ok(components.into_iter().map(Component::name).collect())
    }

    fn __repr__(&self) -> String {
        let parameters = self.source.model.parameters().total;
        format!("<flopmeter.Model {} ({}), {parameters} parameters>", self.id(), self.model_type())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        let again = py.import("flopmeter._flopmeter")?.getattr("_model")?;
        let Made { from, dtype, kv_dtype, adapter, merged } = self.made.clone();
        let (name, config) = match from {
            Origin::Name(name) => (Some(name), None),
            Origin::Config(text) => (None, Some(text)),
        };
        Ok(PyTuple::new(
            py,
            [again, (name, config, dtype, kv_dtype, adapter, merged).into_pyobject(py)?.into_any()],
        )?
        .into_any())
    }
}

impl Model {
    fn request(
        &self,
        prompt: Option<&Bound<'_, PyAny>>,
        generate: Option<&Bound<'_, PyAny>>,
        request: Option<&Bound<'_, PyDict>>,
    ) -> Result<Request> {
        let keywords = Keywords::new(request)?;
        let convention = match keywords.text("convention")? {
            Some(name) => named(&name)?,
            None => Convention::MODEL,
        };
        let request = Request {
            source: Arc::clone(&self.source),
            adapter: self.adapter.clone(),
            draft: keywords.draft(&self.source)?,
            workload: keywords.workload(prompt, generate)?,
            convention,
            machine: None,
            ranks: None,
        };
        keywords.end()?;
        Ok(request)
    }
}

/// Makes a model again that was sent to another process.
#[pyfunction]
pub fn _model(
    name: Option<String>,
    config: Option<String>,
    dtype: Option<String>,
    kv_dtype: Option<String>,
    adapter: Option<String>,
    merged: bool,
) -> Result<Model> {
    let from = match (name, config) {
        (_, Some(text)) => Origin::Config(text),
        (name, None) => Origin::Name(name.unwrap_or_default()),
    };
    Ok(Made { from, dtype, kv_dtype, adapter, merged }.make()?)
}

/// The text of a config.json that says the same as an object.
fn json(config: &Bound<'_, PyAny>) -> Result<String> {
    let py = config.py();
    let is_config = !config.is_instance_of::<PyDict>() && config.hasattr("to_dict")?;
    let dict = if is_config { config.call_method0("to_dict")? } else { config.clone() };
    if !dict.is_instance_of::<PyDict>() {
        let text = format!(
            "`config`: is of type {}; give a dict, a configuration of transformers, or a path",
            config.get_type().name()?
        );
        return Err(PyTypeError::new_err(text).into());
    }
    // What JSON has no form for, such as a dtype of PyTorch, is written as it names itself.
    let options = PyDict::new(py);
    options.set_item("default", py.get_type::<pyo3::types::PyString>())?;
    Ok(py.import("json")?.call_method("dumps", (dict,), Some(&options))?.extract()?)
}

/// How many parameters a model has.
#[pyclass(frozen, eq, hash, module = "flopmeter", get_all)]
#[derive(PartialEq, Eq, Hash)]
pub struct Parameters {
    /// All of them.
    total: u128,
    /// Those that one token goes through.
    active: u128,
    /// Those of the embedding.
    embedding: u128,
    /// All but those of the embedding.
    non_embedding: u128,
}

#[pymethods]
impl Parameters {
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("total", self.total)?;
        dict.set_item("active", self.active)?;
        dict.set_item("embedding", self.embedding)?;
        dict.set_item("non_embedding", self.non_embedding)?;
        Ok(dict)
    }

    fn __repr__(&self) -> String {
        format!(
            "Parameters(total={}, active={}, embedding={}, non_embedding={})",
            self.total, self.active, self.embedding, self.non_embedding
        )
    }
}
