//! A model: by name, or from a config.

use crate::arguments::of_another_type;
use crate::convention::{convention, named};
use crate::cost::{Bytes, Flops};
use crate::error::Result;
use crate::explain::Explanation;
use crate::keywords::Keywords;
use crate::parameters::Parameters;
use crate::plan;
use crate::request::{self, Maybe, Said};
use crate::shown;
use crate::step;
use crate::training::StepFlops;
use flopmeter::{Component, Config};
use flopmeter_report::report::{AdapterReport, BytesReport};
use flopmeter_report::{Asked, Base};
use flopmeter_source::Source;
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
    pub adapter: Option<AdapterReport>,
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
        let asked = Asked {
            dtype: self.dtype.as_deref(),
            kv_dtype: self.kv_dtype.as_deref(),
            adapter: self.adapter.as_deref(),
            merged: self.merged,
        };
        let Base { source, adapter } = match &self.from {
            Origin::Name(name) => Base::find(name, &asked)?,
            Origin::Config(text) => Base::of(of_config(text)?, &asked)?,
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
        shown::notes(self.source.notes.iter().chain(self.source.model.notes()))
    }

    /// FLOPs of `batch` requests of `prompt` tokens, `cached` of them in the cache already, that generate `generate`.
    ///
    /// Or of different `sequences` that run together: pairs of prompt and generate, with what is cached third and how many
    /// there are fourth. `images` are pairs of width and height, `audio` lengths of clips in seconds; each prompt has them
    /// all. `decoder_prompt` is that of a decoder beside an encoder. Without `kv_cache` all is computed anew for each token.
    /// `draft`, a model or "mtp", drafts `draft_tokens` a step, each accepted with the probability `acceptance`.
    /// `convention` names what counts as a FLOP.
    ///
    /// Of a model that is cut, `ranks` says what each kind of rank does: by `tp` tensor ranks, `pp` pipeline stages, `dp`
    /// replicas, `cp` ranks that share the tokens of a prompt, `dcp` tensor ranks that share the cache by tokens, `ep` groups
    /// that share the experts, `etp` ranks that share an expert; with `sp` tensor ranks share the tokens between their
    /// products as well. `stages` are the layers of each stage, `virtual_stages` the stretches that each has, interleaved.
    #[pyo3(
        signature = (prompt = None, generate = None, *, cached = None, batch = None, convention = None, **request),
        text_signature = "($self, prompt=None, generate=1, *, cached=0, batch=1, convention='model', **request)"
    )]
    #[allow(clippy::too_many_arguments, reason = "a signature")]
    fn flops(
        &self,
        prompt: Maybe<'_, '_>,
        generate: Maybe<'_, '_>,
        cached: Maybe<'_, '_>,
        batch: Maybe<'_, '_>,
        convention: Maybe<'_, '_>,
        request: Option<&Bound<'_, PyDict>>,
    ) -> Result<Flops> {
        let keywords = Keywords::new(request, &[request::WORK, request::COUNTED, plan::SIZES])?;
        let said = Said { prompt, generate, cached, batch };
        Flops::count(request::request(self, &said, convention, &keywords)?)
    }

    /// Bytes that such requests move and hold.
    #[pyo3(
        signature = (prompt = None, generate = None, *, cached = None, batch = None, **work),
        text_signature = "($self, prompt=None, generate=1, *, cached=0, batch=1, **work)"
    )]
    fn bytes(
        &self,
        prompt: Maybe<'_, '_>,
        generate: Maybe<'_, '_>,
        cached: Maybe<'_, '_>,
        batch: Maybe<'_, '_>,
        work: Option<&Bound<'_, PyDict>>,
    ) -> Result<Bytes> {
        let keywords = Keywords::new(work, &[request::WORK])?;
        let said = Said { prompt, generate, cached, batch };
        let workload = request::workload(&said, &keywords)?;
        Ok(Bytes(BytesReport::of(&self.source.model.bytes(&workload)?)))
    }

    /// The arithmetic of such requests, formula by formula.
    #[pyo3(
        signature = (prompt = None, generate = None, *, cached = None, batch = None, convention = None, **request),
        text_signature = "($self, prompt=None, generate=1, *, cached=0, batch=1, convention='model', **request)"
    )]
    #[allow(clippy::too_many_arguments, reason = "a signature")]
    fn explain(
        &self,
        prompt: Maybe<'_, '_>,
        generate: Maybe<'_, '_>,
        cached: Maybe<'_, '_>,
        batch: Maybe<'_, '_>,
        convention: Maybe<'_, '_>,
        request: Option<&Bound<'_, PyDict>>,
    ) -> Result<Explanation> {
        self.flops(prompt, generate, cached, batch, convention, request)?.explain()
    }

    /// FLOPs of a step of training on `batch` rows of `sequence` tokens, or of `packed` documents.
    ///
    /// `accumulate` is a number of such batches whose gradients add up; `target` the tokens of a decoder beside an encoder;
    /// `recompute` is `"none"`, `"selective"`, `"full"` or a number of layers, and with `flash` attention computes its scores
    /// again; `freeze` is the number of the lowest layers that are not trained; with `mtp` the layers that predict further
    /// tokens are; `reference_forwards` are forward passes without a gradient; `rollout` is the prompt and the generated
    /// tokens of each row that a policy writes itself; `dropout` keeps its masks; `convention` names what counts as a FLOP.
    ///
    /// It is cut as a request is; `zero` is what replicas share: ZeRO's stages 0 to 3.
    #[pyo3(
        signature = (sequence = None, batch = None, **step),
        text_signature = "($self, sequence=None, batch=1, **step)"
    )]
    fn train_step(
        &self,
        sequence: Maybe<'_, '_>,
        batch: Maybe<'_, '_>,
        step: Option<&Bound<'_, PyDict>>,
    ) -> Result<StepFlops> {
        let keywords = Keywords::new(step, &[step::STEP, plan::SIZES])?;
        let trained = step::trained(self, sequence, batch, &keywords)?;
        StepFlops::count(trained, convention(keywords.get("convention"))?)
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
        let wanted = "a dict, a configuration of transformers, or a path";
        return Err(of_another_type("config", config, wanted).into());
    }
    // What JSON has no form for, such as a dtype of PyTorch, is written as it names itself.
    let options = PyDict::new(py);
    options.set_item("default", py.get_type::<pyo3::types::PyString>())?;
    Ok(py.import("json")?.call_method("dumps", (dict,), Some(&options))?.extract()?)
}
