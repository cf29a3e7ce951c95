//! Whether the class that a config names is a decoder's: what a token sees no shape tells.

use super::at_type;
use crate::config::Config;
use crate::error::{Result, shown};

/// Ends of classes whose tokens see what follows them.
const ENCODES: [&str; 3] = ["ForMaskedLM", "ForPreTraining", "Encoder"];

/// Ends of classes that encoders and decoders have alike.
const EITHER: [&str; 6] = [
    "ForMultipleChoice",
    "ForQuestionAnswering",
    "ForSequenceClassification",
    "ForTokenClassification",
    "Model",
    "WithProjection",
];

/// Refuses classes of which nothing says that a token sees only what is before it.
pub(super) fn decodes(c: &Config) -> Result<()> {
    let named = c.texts("architectures")?.unwrap_or_default();
    let ends = |ends: &[&str]| {
        named
            .iter()
            .find(|class| ends.iter().any(|end| class.ends_with(end)))
            .map(|class| shown(class))
    };
    if let Some(class) = ends(&ENCODES) {
        let fact = format!("is of no known type, and `{class}` is an encoder's class");
        return Err(at_type(c, &fact).hint("what a token sees of those after it no shape tells"));
    }
    // What remote code has for generating it names here.
    let generates = c
        .raw("auto_map")
        .and_then(|map| map.as_object())
        .is_some_and(|map| map.contains_key("AutoModelForCausalLM"));
    let heads =
        named.iter().any(|class| class.ends_with("HeadModel") || class.ends_with("HeadsModel"));
    match ends(&EITHER) {
        Some(class) if !generates && !heads && !c.flag("is_decoder", false)? => {
            let fact = format!(
                "is of no known type, and `{class}` may be an encoder's class or a decoder's"
            );
            Err(at_type(c, &fact)
                .hint("no shape tells what a token sees of those after it")
                .hint("for a decoder, name the class that generates in `architectures`, which ends with ForCausalLM"))
        }
        _ => Ok(()),
    }
}
