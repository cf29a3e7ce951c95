//! Adapters equal what PEFT trains, and what PyTorch's counter counts in them, to the integer, on every recording.

use flopmeter::{Adapter, Config, Convention, Counts, ErrorKind, Model, Sequence, Step, Workload};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Recording {
    config: serde_json::Value,
    adapter: serde_json::Value,
    parameters: u128,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    batch: u64,
    passes: Vec<Pass>,
}

#[derive(Deserialize)]
struct Pass {
    past: u64,
    new: u64,
    total: u128,
    components: BTreeMap<String, u128>,
}

fn recordings() -> Vec<(String, Recording)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/adapters");
    let files = std::fs::read_dir(folder).expect("the folder of recordings");
    files
        .map(|entry| {
            let path = entry.expect("a file").path();
            let text = std::fs::read_to_string(&path).expect("a readable file");
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).expect("a recording"))
        })
        .collect()
}

fn model(config: serde_json::Value) -> Model {
    Model::from_config(&Config::from_value(config).expect("an object")).expect("a model")
}

#[test]
fn adapters_equal_pefts_count_and_the_counters() {
    let (mut passes, mut wrong, mut refused) = (0, Vec::new(), Vec::new());
    let recordings = recordings();
    assert!(recordings.len() > 20);
    for (name, recording) in recordings {
        let base = model(recording.config);
        let adapter = Adapter::parse(&recording.adapter.to_string()).expect("an adapter");
        let adapted = base.clone().with_adapter(&adapter).expect("modules that it means");
        if adapted.parameters != recording.parameters {
            let (ours, theirs) = (adapted.parameters, recording.parameters);
            wrong.push(format!("{name}: {ours} parameters not {theirs}"));
        }
        if recording.runs.is_empty() {
            refused.push(name.clone());
            let request = Workload::request(5, 2);
            let error = adapted.unmerged.flops(&request, &Convention::TORCH).expect_err("DoRA");
            assert_eq!(error.kind(), ErrorKind::Convention);
            assert!(adapted.unmerged.flops(&request, &Convention::MODEL).is_ok());
            let step = Step::packed(&[5], 1).expect("a step");
            assert!(adapted.unmerged.training(&step, &Convention::TORCH).is_err());
            assert!(adapted.unmerged.training(&step, &Convention::MODEL).is_ok());
        }
        for run in &recording.runs {
            for pass in &run.passes {
                passes += 1;
                let (cached, count) = (pass.past, run.batch);
                let prompt = pass.past + pass.new;
                let sequence = Sequence { prompt, cached, generate: 1, count };
                let workload = Workload::batch(vec![sequence]).expect("a workload");
                let flops = adapted.unmerged.flops(&workload, &Convention::TORCH).expect("a count");
                if flops.total != pass.total {
                    wrong.push(format!("{name}: {} not {}", flops.total, pass.total));
                }
                let parts: BTreeMap<String, u128> = present(&flops.prefill);
                if parts != pass.components {
                    wrong.push(format!("{name}: {parts:?} not {:?}", pass.components));
                }
            }
        }
    }
    assert_eq!(refused, ["dora"]);
    assert!(passes > 100 && wrong.is_empty(), "{passes} passes:\n{}", wrong.join("\n"));
}

fn present(counts: &Counts) -> BTreeMap<String, u128> {
    counts.present().map(|(component, count)| (component.name().to_owned(), count)).collect()
}
