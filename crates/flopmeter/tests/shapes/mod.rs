//! Shapes of tensors as `tests/recorded` has them: what layers have in common stands there once.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Shapes by name.
#[derive(Deserialize)]
pub struct Shapes(BTreeMap<String, Shape>);

/// A shape, or those of layers (`N` in the name), each with its layers and the number of experts (`E`).
#[derive(Deserialize)]
#[serde(untagged)]
enum Shape {
    One(Vec<u64>),
    Layers(Vec<(Vec<u64>, Vec<u64>, u64)>),
}

impl Shapes {
    /// Names and shapes of all tensors.
    pub fn all(&self) -> Vec<(String, &[u64])> {
        let mut all = Vec::new();
        for (name, shape) in &self.0 {
            match shape {
                Shape::One(shape) => all.push((name.clone(), &**shape)),
                Shape::Layers(shapes) => {
                    for (shape, layers, experts) in shapes {
                        for layer in layers {
                            let name = name.replacen(".N.", &format!(".{layer}."), 1);
                            let of = |expert| name.replacen(".E.", &format!(".{expert}."), 1);
                            all.extend((0..*experts).map(|expert| (of(expert), &**shape)));
                        }
                    }
                }
            }
        }
        all
    }
}

/// The folder of recordings.
pub fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}
