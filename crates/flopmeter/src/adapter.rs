//! LoRA adapters: what a low-rank update of some matrices costs, merged into them or not.
//!
//! ```text
//! y = x · Wᵀ + x · Aᵀ · Bᵀ     A is r × from, B is to × r (Hu et al., arXiv:2106.09685, section 4.1)
//! unmerged  2·r·(from + to) FLOPs a row more, r·(from + to) parameters more; of experts as often as a row runs through one
//! merged    W + B·A takes the place of W: nothing more
//! ```
//!
//! An adapter is read from PEFT's `adapter_config.json`; which matrices it means, [`targets`] says as PEFT does.

mod apply;
mod parameters;
mod targets;

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::op::Storage;
use targets::{Layers, Names, Ranks};

/// An adapter as its `adapter_config.json` describes it.
///
/// # Example
///
/// ```
/// use flopmeter::{Adapter, Builtin};
///
/// let adapter = Adapter::parse(
///     r#"{"peft_type": "LORA", "r": 16, "target_modules": ["q_proj", "v_proj"]}"#,
/// )?;
/// let base = Builtin::find("meta-llama/Llama-3.1-8B")?.model()?;
/// let adapted = base.clone().with_adapter(&adapter)?;
/// // 32 layers of q, 4096 to 4096, and v, 4096 to 1024: 6,815,744 parameters, as PEFT prints.
/// assert_eq!(adapted.parameters, 32 * 16 * ((4096 + 4096) + (4096 + 1024)));
/// assert_eq!(adapted.unmerged.parameters().total, base.parameters().total + adapted.parameters);
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug)]
pub struct Adapter {
    ranks: Ranks,
    targets: Names,
    /// Ends of the paths of parameters that are adapted without being modules.
    parameters: Vec<String>,
    excluded: Option<Names>,
    layers: Option<Layers>,
    saved: Vec<String>,
    dora: bool,
    lora_bias: bool,
    biases: bool,
    storage: Option<Storage>,
    base: Option<String>,
}

/// Settings that change what an adapter is made of, and that are not counted.
const NOT_COUNTED: [&str; 8] = [
    "layer_replication",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "use_qalora",
    "use_bdlora",
    "monteclora_config",
    "kasa_config",
    "arrow_config",
];

impl Adapter {
    /// Reads the text of an `adapter_config.json`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Syntax`] for what is no JSON object, [`ErrorKind::Adapter`] for an adapter of a kind that is not
    /// counted or of settings that contradict each other, [`ErrorKind::Config`] for keys of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        let c = Config::parse(text)?;
        match c.text("peft_type")? {
            Some("LORA") => {}
            Some(other) => {
                let fact = format!("is \"{}\", which is not counted", shown(other));
                return Err(error("peft_type", &fact).hint("\"LORA\" is"));
            }
            None => {
                return Err(error("peft_type", "is missing")
                    .hint("give the adapter_config.json that PEFT wrote"));
            }
        }
        for key in NOT_COUNTED {
            let set = c.raw(key).is_some_and(|value| {
                *value != false && value.as_array().is_none_or(|list| !list.is_empty())
            });
            if set {
                return Err(error(key, "is set, and such an adapter is not counted"));
            }
        }
        let parameters = parameters::read(&c)?;
        let targets = match Names::read(&c, "target_modules")? {
            Some(targets) => targets,
            None if !parameters.is_empty() => Names::none(),
            None => {
                return Err(error("target_modules", "is missing")
                    .hint("it says which matrices are adapted"));
            }
        };
        let layers = Layers::read(&c)?;
        if layers.is_some() && !targets.is_list() {
            let fact = "chooses among layers, which only a list of `target_modules` allows";
            return Err(error("layers_to_transform", fact));
        }
        Ok(Self {
            ranks: Ranks::read(&c)?,
            targets,
            parameters,
            excluded: Names::read(&c, "exclude_modules")?,
            layers,
            saved: c
                .texts("modules_to_save")?
                .unwrap_or_default()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            dora: c.flag("use_dora", false)?,
            lora_bias: c.flag("lora_bias", false)?,
            biases: match c.text("bias")? {
                None | Some("none") => false,
                Some("lora_only") => true,
                Some(other) => {
                    let fact =
                        format!("is \"{}\"; \"none\" and \"lora_only\" are counted", shown(other));
                    return Err(error("bias", &fact));
                }
            },
            storage: None,
            base: c.text("base_model_name_or_path")?.map(str::to_owned),
        })
    }

    /// The same adapter whose weights are stored so; without this they are taken to be as the model's plain ones.
    ///
    /// PEFT keeps an adapter in fp32 beside a model in 16 bits unless it is told otherwise.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::op::Storage;
    /// use flopmeter::{Adapter, Builtin, Dtype, Workload};
    ///
    /// let text = r#"{"peft_type": "LORA", "r": 16, "target_modules": ["q_proj"]}"#;
    /// let adapter = Adapter::parse(text)?.stored_as(Storage::plain(Dtype::Fp32));
    /// let base = Builtin::find("meta-llama/Llama-3.1-8B")?.model()?;
    /// let adapted = base.clone().with_adapter(&adapter)?;
    /// let request = Workload::request(10, 1);
    /// let more = adapted.unmerged.bytes(&request)?.weights - base.bytes(&request)?.weights;
    /// assert_eq!(more, 4 * adapted.parameters);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    #[must_use]
    pub fn stored_as(mut self, storage: Storage) -> Self {
        self.storage = Some(storage);
        self
    }

    /// The model that it was made for, if it says so.
    pub fn base_model(&self) -> Option<&str> {
        self.base.as_deref()
    }
}

fn error(key: &str, fact: &str) -> Error {
    Error::new(ErrorKind::Adapter, format!("`{key}`"), fact)
}

pub use apply::Adapted;
