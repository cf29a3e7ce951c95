//! Config → Model, one file a family.

mod experts;
mod feed_forward;
mod parts;
#[cfg(test)]
mod testing;

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::model::Model;

/// An architecture family: the `model_type`s that it reads, and how.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// The family's name, which is its file's.
    pub name: &'static str,
    /// The `model_type`s of config.json that it reads.
    pub model_types: &'static [&'static str],
    build: fn(&Config) -> Result<Model>,
}

macro_rules! architectures {
    ($($family:ident),+ $(,)?) => {
        $(mod $family;)+

        /// Every family.
        pub const FAMILIES: &[Family] = &[$(Family {
            name: stringify!($family),
            model_types: $family::MODEL_TYPES,
            build: $family::build,
        }),+];
    };
}

// The one list.
architectures! {
    afmoe,
    aria,
    bloom,
    cohere,
    cohere_moe,
    dbrx,
    deepseek,
    deepseek_sparse,
    dots,
    ernie_moe,
    exaone4,
    exaone_moe,
    falcon,
    flint,
    gemma,
    glm,
    glm_moe,
    gpt2,
    gpt_neo,
    gpt_neox,
    gpt_oss,
    gptj,
    hunyuan3,
    hunyuan_moe,
    jetmoe,
    kolibri,
    laguna,
    llama,
    llama4,
    mimo,
    mistral,
    mixtral,
    mpt,
    multimodal,
    nemotron,
    olmo,
    olmoe,
    opt,
    phi,
    phi3,
    qwen,
    qwen_moe,
    qwen_vl,
    smollm3,
    stablelm,
    starcoder2,
}

/// Every `model_type` that is counted.
pub fn model_types() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().flat_map(|family| family.model_types.iter().copied())
}

/// Builds the model of a config.
pub(crate) fn build(config: &Config) -> Result<Model> {
    let name = config.model_type();
    if name.is_empty() {
        // A number or a list is no type either, and the reader says so.
        config.text("model_type")?;
        return Err(Error::new(ErrorKind::Architecture, "`model_type`", "is missing")
            .hint("give the whole config.json; it states the model's type"));
    }
    let family = FAMILIES.iter().find(|family| family.model_types.contains(&name));
    match family {
        Some(family) => (family.build)(config),
        None => {
            let mut error = Error::new(
                ErrorKind::Architecture,
                "`model_type`",
                format!("\"{}\" is not counted yet", shown(name)),
            );
            if let Some(near) = nearest(name) {
                error = error.hint(format!("the nearest that is: \"{near}\""));
            }
            Err(error)
        }
    }
}

/// The counted type whose name is most like this one.
fn nearest(name: &str) -> Option<&'static str> {
    let name: String = name.chars().take(64).collect();
    model_types()
        .map(|known| (strsim::jaro_winkler(&name, known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
