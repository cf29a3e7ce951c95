//! What the tests of the families ask of a config.

use crate::op::Op;
use crate::passes::Mask;
use crate::{Config, Model};

/// The model of a config.
pub fn model(config: &str) -> Model {
    let config = Config::parse(config).expect("a config");
    Model::from_config(&config).expect("a model")
}

/// All parameters of a config's model.
pub fn parameters(config: &str) -> u128 {
    model(config).parameters().total
}

/// What is wrong with a config that cannot be built.
pub fn error(config: &str) -> String {
    let config = Config::parse(config).expect("a config");
    Model::from_config(&config).expect_err("no model").to_string()
}

/// Place and fact of that error, without its hints.
pub fn fact(config: &str) -> String {
    let config = Config::parse(config).expect("a config");
    let error = Model::from_config(&config).expect_err("no model");
    format!("{}: {}", error.place(), error.fact())
}

/// What a model's notes say of a class's defaults, the key and what is taken, for short. A key that is null
/// is marked so.
pub fn notes(model: &Model, class: &str) -> Vec<String> {
    let between = format!("; the reference implementation of `{class}` takes");
    let short = |note: &String| note.replacen(&between, "", 1).replacen(" is absent", "", 1);
    model.notes().iter().map(short).collect()
}

/// The windows of a model's attentions, each with its number of layers.
pub fn windows(model: &Model) -> Vec<(Option<u64>, u64)> {
    let attentions = model.ops().filter_map(|(op, repeat)| match op {
        Op::Attention(attention) => Some((attention.mask, repeat)),
        _ => None,
    });
    attentions
        .map(|(mask, repeat)| match mask {
            Mask::Sliding { window } => (Some(window), repeat),
            _ => (None, repeat),
        })
        .collect()
}
