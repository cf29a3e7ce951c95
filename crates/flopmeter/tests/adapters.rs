//! Adapters equal what PEFT trains, and what PyTorch's counter counts in them, to the integer, on every recording.

mod counter;

use counter::{Pass, difference};
use flopmeter::{Adapter, Config, Convention, ErrorKind, Model, Phase, Sequence, Step, Workload};
use serde::Deserialize;
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
    /// Tokens that an encoder reads before the first of the passes, which are its decoder's.
    source: Option<u64>,
    passes: Vec<Pass>,
}

impl Run {
    /// The pass of a request of this run that is `pass`: the prefill, or after an encoder has run the one decode step.
    fn request(&self, pass: &Pass) -> (Workload, Phase) {
        let decodes = self.source.is_some() && pass.past > 0;
        let (prompt, cached) = match self.source {
            Some(source) => (source, 0),
            None => (pass.past + pass.new, pass.past),
        };
        let generate = if decodes { 2 } else { 1 };
        let sequence = Sequence { prompt, cached, generate, count: self.batch };
        let workload = Workload::batch(vec![sequence]).expect("a workload");
        match self.source {
            None => (workload, Phase::Prefill),
            Some(_) if decodes => (workload.with_decoder_prompt(pass.past), Phase::Decode),
            Some(_) => (workload.with_decoder_prompt(pass.new), Phase::Prefill),
        }
    }
}

fn recordings() -> Vec<(String, Recording)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/adapters");
    counter::recordings(&folder, &[])
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
            let error =
                adapted.unmerged.flops(&request, &Convention::TORCH).expect_err("no reference");
            assert_eq!(error.kind(), ErrorKind::Convention);
            assert!(adapted.unmerged.flops(&request, &Convention::MODEL).is_ok());
            let step = Step::packed(&[5], 1).expect("a step");
            assert!(adapted.unmerged.training(&step, &Convention::TORCH).is_err());
            assert!(adapted.unmerged.training(&step, &Convention::MODEL).is_ok());
        }
        for run in &recording.runs {
            for pass in &run.passes {
                passes += 1;
                let (workload, phase) = run.request(pass);
                let flops = adapted.unmerged.flops(&workload, &Convention::TORCH).expect("a count");
                let what = difference(flops.phase(phase), pass);
                wrong.extend(what.map(|what| format!("{name}: {what}")));
            }
        }
    }
    refused.sort();
    let remade = ["dora", "experts", "experts-all-linear", "experts-and-modules"];
    assert_eq!(refused, [&remade[..], &["experts-transposed", "router"]].concat());
    assert!(passes > 100 && wrong.is_empty(), "{passes} passes:\n{}", wrong.join("\n"));
}

#[test]
fn an_adapter_of_experts_costs_what_the_chosen_ones_do() {
    // Three layers of 7 experts of which a token runs through 3: gate and up, one matrix of 60 to 2·92, and down.
    let recording = recordings().into_iter().find(|(name, _)| name == "experts").expect("it").1;
    let adapter = Adapter::parse(&recording.adapter.to_string()).expect("an adapter");
    let base = model(recording.config);
    let adapted = base.clone().with_adapter(&adapter).expect("experts");
    let one: u128 = 5 * ((60 + 184) + (92 + 60));
    assert_eq!(adapted.parameters, 3 * 7 * one);
    assert_eq!(adapted.modules, 3 * 2);
    let parameters = adapted.unmerged.parameters();
    assert_eq!(parameters.active, base.parameters().active + 3 * 3 * one);
    let flops = |model: &Model| {
        model.flops(&Workload::request(5, 1), &Convention::MODEL).expect("a count").total
    };
    assert_eq!(flops(&adapted.unmerged) - flops(&base), 5 * 3 * 3 * 2 * one);
}

#[test]
fn what_peft_refuses_is_refused() {
    let config = |name: &str, more: &str| {
        format!(r#"{{"peft_type": "LORA", "r": 4, "target_parameters": ["{name}"]{more}}}"#)
    };
    let llama = r#"{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 10,
        "num_attention_heads": 4, "intermediate_size": 96, "tie_word_embeddings": true}"#;
    let llama: serde_json::Value = serde_json::from_str(llama).expect("JSON");
    let dora = "`use_dora`: is set, which PEFT refuses with `target_parameters`";
    for (name, more, said) in [
        ("o_proj.weight", r#", "use_dora": true"#, dora),
        (
            "o_proj.weight",
            r#", "target_modules": ["o_proj"]"#,
            "whose module `target_modules` means",
        ),
        ("norm.weight", "", "which is no matrix of a product"),
        ("w9", "", "names no module of this model"),
    ] {
        let text = config(name, more);
        let error = Adapter::parse(&text)
            .and_then(|adapter| model(llama.clone()).with_adapter(&adapter))
            .expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Adapter);
        assert!(error.to_string().contains(said), "{error}");
    }
    let text = r#"{"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"], "layers_to_transform": [1],
        "layers_pattern": PATTERN}"#;
    let of = |pattern: &str| {
        let adapter = Adapter::parse(&text.replace("PATTERN", pattern))?;
        model(llama.clone()).with_adapter(&adapter).map(|adapted| adapted.parameters)
    };
    assert_eq!(of(r#""layers""#).ok(), Some(4 * (64 + 64)));
    assert_eq!(of(r#"["h", "layers"]"#).ok(), Some(4 * (64 + 64)));
    let said = of(r#""slices""#).expect_err("no such list").to_string();
    assert!(said.contains("names no module"), "{said}");
    let said = of(r#""lay.*""#).expect_err("an expression").to_string();
    assert!(said.contains("`layers_pattern`: is the expression"), "{said}");
}
