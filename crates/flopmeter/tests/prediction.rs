//! Layers that predict further tokens cost what PyTorch's counter counts where the reference implementation drafts with
//! them.
//!
//! The recordings lie in `tests/recorded/prediction`; the README beside it says how they were made.

mod counter;

use counter::{Pass, difference};
use flopmeter::{Config, Convention, Model, Sequence, Workload};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Recording {
    config: serde_json::Value,
    /// Of one layer and of what joins it to the model.
    parameters: u128,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    batch: u64,
    passes: Vec<Pass>,
}

fn recordings() -> Vec<(String, Recording)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/prediction");
    let found = counter::recordings(&folder, &[]);
    assert!(found.len() >= 6, "{}", found.len());
    found
}

#[test]
fn a_layer_costs_what_the_counter_counts() {
    let mut wrong = Vec::new();
    for (name, recording) in recordings() {
        let config = Config::from_value(recording.config).expect("an object");
        let model = Model::from_config(&config).expect("a model");
        let Some((one, _)) = model.prediction_layers() else {
            wrong.push(format!("{name}: no layer that predicts further tokens"));
            continue;
        };
        if one.parameters().total != recording.parameters {
            let (ours, theirs) = (one.parameters().total, recording.parameters);
            wrong.push(format!("{name}: {ours} parameters not {theirs}"));
        }
        for run in &recording.runs {
            for pass in &run.passes {
                let (cached, count) = (pass.past, run.batch);
                let sequence = Sequence { prompt: cached + pass.new, cached, generate: 1, count };
                let workload = Workload::batch(vec![sequence]).expect("a workload");
                let flops = one.flops(&workload, &Convention::TORCH).expect("a count");
                let at = format!("{name}: batch {count}, past {cached}, new {}", pass.new);
                wrong.extend(difference(&flops.prefill, pass).map(|what| format!("{at}: {what}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
