//! Well-known models by name: the shape keys of their configs, and what is published of them.

mod uncounted;

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::flops::{extends, model_words};
use crate::model::Model;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::LazyLock;

pub use uncounted::Uncounted;

/// A built-in model. Its config goes the same way as any other: Config → Model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Builtin {
    /// Its id on the Hub.
    pub id: &'static str,
    /// Short names and former ids.
    pub aliases: Vec<&'static str>,
    /// Tags under which Ollama has it.
    pub ollama: Vec<&'static str>,
    /// What those tags store by default, if known.
    #[serde(default)]
    pub ollama_quantisation: Option<&'static str>,
    /// The size that the name states, in billions of parameters.
    pub nominal_billions: Option<f64>,
    /// The published number of parameters, exact.
    pub parameters: u128,
    /// The `model_type` of the part that is counted, where the config states that of a whole around it.
    #[serde(default)]
    model_type: Option<&'static str>,
    /// What a token of text passes through, where that is less.
    #[serde(default)]
    active_parameters: Option<u128>,
    /// The published number of active parameters, as it is printed.
    #[serde(default)]
    pub active: Option<&'static str>,
    /// Where config and number come from.
    pub source: &'static str,
    /// Why the number differs from what another place states.
    #[serde(default)]
    pub note: Option<&'static str>,
    #[serde(borrow)]
    config: &'static RawValue,
}

static TABLE: LazyLock<Vec<Builtin>> = LazyLock::new(|| {
    include_str!("../data/models.jsonl")
        .lines()
        // The table is ours: a test parses every row, so no user meets this.
        .map(|row| serde_json::from_str(row).expect("a row of data/models.jsonl"))
        .collect()
});

impl Builtin {
    /// Every built-in model, by id.
    pub fn all() -> &'static [Self] {
        &TABLE
    }

    /// The model of a name: a Hub id, an Ollama tag or a short name, in any case.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Model`] for a name that nobody has, with the nearest ones, or of which it is known why it has no
    /// row.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::Builtin;
    ///
    /// let by_tag = Builtin::find("llama3.1:8b")?;
    /// let by_id = Builtin::find("meta-llama/Llama-3.1-8B")?;
    /// assert_eq!(by_tag.model()?.parameters().total, by_id.parameters);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn find(name: &str) -> Result<&'static Self> {
        let name = name.trim();
        Self::all()
            .iter()
            .find(|row| row.names().any(|known| known.eq_ignore_ascii_case(name)))
            .ok_or_else(|| {
                let place = format!("`{}`", shown(name));
                let error = Error::new(ErrorKind::Model, place, "is no model that is built in");
                let hint = match Self::uncounted().iter().find(|known| known.is_called(name)) {
                    Some(known) => format!("it is known: {}", known.reason),
                    None => format!("nearest: {}", nearest(name).join(", ")),
                };
                error.hint(hint).hint("or give the path of its config.json")
            })
    }

    /// Models that are known by name and have no row, by id.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::Builtin;
    /// for known in Builtin::uncounted() {
    ///     let error = Builtin::find(known.id).unwrap_err();
    ///     assert!(error.to_string().contains(known.reason));
    /// }
    /// ```
    pub fn uncounted() -> &'static [Uncounted] {
        uncounted::UNCOUNTED
    }

    /// The model of an Ollama tag that says more than a known one: its `latest`, or a variant of the same
    /// size (`llama3.1:8b-instruct-q4_K_M`), which may be stored otherwise.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::Builtin;
    /// let variant = Builtin::find_variant("llama3.1:8b-instruct-q4_K_M");
    /// assert_eq!(variant.map(|row| row.id), Builtin::find("llama3.1:8b").ok().map(|row| row.id));
    /// assert!(Builtin::find_variant("llama3.1:9b").is_none());
    /// ```
    pub fn find_variant(tag: &str) -> Option<&'static Self> {
        let (base, variant) = tag.trim().split_once(':')?;
        if variant.eq_ignore_ascii_case("latest") {
            return Self::find(base).ok();
        }
        let asked = model_words(tag);
        Self::all()
            .iter()
            .flat_map(|row| row.ollama.iter().map(move |tag| (*tag, row)))
            .filter(|(tag, _)| extends(&asked, &model_words(tag)))
            .max_by_key(|(tag, _)| tag.len())
            .map(|(_, row)| row)
    }

    /// Every name it answers to.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.id)
            .chain(self.aliases.iter().copied())
            .chain(self.ollama.iter().copied())
    }

    /// Parameters that a token of text passes through, without building the model.
    pub fn active_parameters(&self) -> u128 {
        self.active_parameters.unwrap_or(self.parameters)
    }

    /// The `model_type` of its model, without building it.
    pub fn model_type(&self) -> &'static str {
        #[derive(Deserialize)]
        struct Typed {
            model_type: &'static str,
        }
        let stated = || serde_json::from_str(self.config_text()).ok();
        // A test holds every row to its model.
        self.model_type.or_else(|| stated().map(|typed: Typed| typed.model_type)).unwrap_or("")
    }

    /// Its config as JSON text: the keys that shape it.
    pub fn config_text(&self) -> &'static str {
        self.config.get()
    }

    /// Its model.
    ///
    /// # Errors
    ///
    /// None that a user meets: a test builds every row.
    pub fn model(&self) -> Result<Model> {
        let model = Model::from_config(&Config::parse(self.config_text())?)?;
        Ok(match self.nominal_billions {
            Some(billions) => model.with_nominal_billions(billions),
            None => model,
        })
    }
}

/// The three names most like this one.
fn nearest(name: &str) -> Vec<&'static str> {
    let name: String = name.chars().take(96).collect::<String>().to_lowercase();
    let mut scored: Vec<(f64, &'static str)> = Builtin::all()
        .iter()
        .flat_map(Builtin::names)
        .map(|known| (strsim::jaro_winkler(&name, &known.to_lowercase()), known))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(3).map(|(_, known)| known).collect()
}
