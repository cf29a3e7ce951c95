//! The weights that `transformers` saves are those that the config's count is made of, and tell enough by themselves
//! where no type is known.

mod shapes;

use flopmeter::op::Storage;
use flopmeter::weights::{Tensor, Weights};
use flopmeter::{Config, Dtype, Model};
use serde_json::Value;
use shapes::{Shapes, recorded};
use std::fs;
use std::path::Path;
use std::sync::Arc;

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).expect("a readable file");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The tensors of a case as one file has them, in fp32.
fn weights(name: &str) -> Arc<Weights> {
    let shapes: Shapes = read(&recorded().join(format!("weights/{name}.json")));
    let fp32 = Storage::plain(Dtype::Fp32);
    let tensor = |(name, shape): (String, &'_ [u64])| Tensor {
        name,
        shape: shape.to_vec(),
        storage: fp32,
        bytes: 4 * shape.iter().product::<u64>(),
    };
    Arc::new(Weights::new(shapes.all().into_iter().map(tensor).collect()).expect("weights"))
}

fn config(name: &str) -> Value {
    let recording: Value = read(&recorded().join(format!("{name}.json")));
    recording["config"].clone()
}

/// Types whose published files hold in one tensor what the reference implementation has in several, or the
/// other way round.
const OTHERWISE: [&str; 2] = ["kimi_linear", "sarvam_moe"];

#[test]
fn saved_weights_are_what_the_config_says() {
    let (mut cases, mut wrong) = (0, Vec::new());
    for file in fs::read_dir(recorded().join("weights")).expect("a folder") {
        let path = file.expect("a file").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if OTHERWISE.contains(&name.split('@').next().unwrap_or_default()) {
            continue;
        }
        let config =
            Config::from_value(config(&name)).expect("an object").with_weights(weights(&name));
        let model = Model::from_config(&config).expect("a model");
        cases += 1;
        wrong.extend(
            model
                .notes()
                .iter()
                .filter(|note| note.contains("tensors"))
                .map(|note| format!("{name}: {note}")),
        );
    }
    assert!(cases > 0, "nothing was saved");
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {cases} differ:\n{}", wrong.len(), wrong.join("\n"));
}
