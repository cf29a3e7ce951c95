//! A step costs what PyTorch's counter counts forward and backward: everything trained, layers computed again, less
//! trained. Recorded by `tests/recorded/training.py`.

use flopmeter::{
    Adapter, Builtin, Component, Config, Convention, Counts, Frozen, Model, Recompute, Section,
    Step, TrainingFlops,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

#[derive(Deserialize)]
struct Recording {
    trained: BTreeMap<String, Run>,
    frozen: BTreeMap<String, Run>,
    adapted: BTreeMap<String, Run>,
}

/// Of 2 rows of 23 tokens, or as many as it says.
#[derive(Deserialize)]
struct Run {
    forward: u128,
    backward: u128,
    /// Backward with each layer computed again.
    checkpointed: Option<u128>,
    sequence: Option<u64>,
    /// Tokens of a decoder beside an encoder of text.
    target: Option<u64>,
}

fn recorded(path: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(path);
    let text = fs::read_to_string(&path).expect("a readable file");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn recording() -> Recording {
    serde_json::from_value(recorded("training/steps.json")).expect("a recording")
}

fn model(config: Value) -> Model {
    Model::from_config(&Config::from_value(config).expect("an object")).expect("a model")
}

fn total(counts: &Counts) -> u128 {
    counts.total().expect("a sum")
}

fn count(model: &Model, step: &Step) -> flopmeter::Result<TrainingFlops> {
    model.training(step, &Convention::TORCH)?.flops(step)
}

/// What is wrong with a count of a step, if anything.
fn difference(flops: &TrainingFlops, run: &Run, backward: u128) -> Option<String> {
    let counted =
        total(&flops.input_gradients) + total(&flops.weight_gradients) + total(&flops.recomputed);
    let forward = total(&flops.forward);
    (forward != run.forward || counted != backward).then(|| {
        format!("forward {forward} not {}, backward {counted} not {backward}", run.forward)
    })
}

fn step(run: &Run) -> Step {
    let step = Step::new(run.sequence.unwrap_or(23), 2).expect("a step");
    match run.target {
        Some(tokens) => step.with_target(tokens),
        None => step,
    }
}

#[test]
fn forward_and_backward_of_every_case_are_what_pytorch_counts() {
    let (mut equal, mut refused, mut wrong) = (0, Vec::new(), Vec::new());
    for (name, run) in recording().trained {
        let model = model(recorded(&format!("{name}.json"))["config"].clone());
        let flops = match count(&model, &step(&run)) {
            Ok(flops) => flops,
            Err(error) => {
                refused.push(format!("{name}: {error}"));
                continue;
            }
        };
        match difference(&flops, &run, run.backward) {
            None => equal += 1,
            Some(what) => wrong.push(format!("{name}: {what}")),
        }
        if let Some(backward) = run.checkpointed {
            match count(&model, &step(&run).recomputing(Recompute::Full)) {
                Ok(flops) => {
                    let what = difference(&flops, &run, backward);
                    wrong.extend(what.map(|what| format!("{name}, recomputing: {what}")));
                }
                Err(error) => refused.push(format!("{name}, recomputing: {error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(equal > 510, "{equal}");
    assert!(refused.len() < 45, "{}", refused.join("\n"));
}

#[test]
fn what_is_frozen_has_no_gradient() {
    let mut wrong = Vec::new();
    for (name, run) in recording().frozen {
        let model = model(recorded(&format!("{name}.json"))["config"].clone());
        let step = step(&run).freezing(Frozen::Below(1));
        let flops = count(&model, &step).expect("a count");
        wrong.extend(difference(&flops, &run, run.backward).map(|what| format!("{name}: {what}")));
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// One layer of DeepSeek-V3's that predicts a further token stands above all that is frozen: it costs what it costs where
/// nothing is. Its head is the model's: where that is the embedding's table, it is frozen with it, and its gradient is left
/// out, of 8 tokens 2·8·7168·129,280.
#[test]
fn what_predicts_further_tokens_is_trained_whatever_is_frozen_below() {
    let text = Builtin::find("deepseek-ai/DeepSeek-V3").expect("a row").config_text();
    let mut config: Value = serde_json::from_str(text).expect("JSON");
    for (tied, frozen_with_the_table) in [(false, 0), (true, 2 * 8 * 7168 * 129_280)] {
        config["tie_word_embeddings"] = tied.into();
        let model = model(config.clone());
        let plain = Step::new(8, 1).expect("a step");
        let further = |step: Step| {
            let [without, with] = [step.clone(), step.predicting_further()]
                .map(|step| count(&model, &step).expect("a count").total);
            with - without
        };
        let frozen = further(plain.clone().freezing(Frozen::Below(3)));
        assert_eq!(further(plain) - frozen, frozen_with_the_table, "tied: {tied}");
    }
}

#[test]
fn layers_that_a_model_does_not_have_are_neither_frozen_nor_recomputed() {
    let model = model(recorded("llama.json")["config"].clone());
    let layers = recorded("llama.json")["config"]["num_hidden_layers"].as_u64().expect("a number");
    let plain = Step::new(8, 1).expect("a step");
    for most in [layers, layers + 1] {
        for (place, step) in [
            ("freeze", plain.clone().freezing(Frozen::Below(most))),
            ("recompute", plain.clone().recomputing(Recompute::Layers(most))),
        ] {
            let error = model.training(&step, &Convention::MODEL).err();
            let text = format!("{place}: is {most} layers, and the model has {layers}");
            assert_eq!(error.map(|it| it.to_string()), (most > layers).then_some(text));
        }
    }
}

/// Four layers of four heads of 16, 16 tokens. PyTorch 2.15's counter over transformers 5.24 with `sdpa` has of
/// `_scaled_dot_product_flash_attention_for_cpu_backward` 655,360 where all is trained, and 327,680 where the embedding
/// and the first two layers are frozen: in each layer five products of 2·16·16·64, of which the first is the scores again.
#[test]
fn scores_are_computed_again_where_a_gradient_passes() {
    let config = serde_json::json!({
        "model_type": "llama", "vocab_size": 131, "hidden_size": 64, "intermediate_size": 92, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 16, "tie_word_embeddings": false,
        "dtype": "bfloat16",
    });
    let model = model(config);
    let step = Step::new(16, 1).expect("a step").recomputing_scores();
    let attention = [Component::AttentionScores, Component::AttentionValues];
    for (step, backward) in [(step.clone(), 655_360), (step.freezing(Frozen::Below(2)), 327_680)] {
        let flops = count(&model, &step).expect("a count");
        let parts = [flops.input_gradients, flops.weight_gradients, flops.recomputed];
        let all = parts.iter().flat_map(|counts| attention.map(|component| counts[component]));
        assert_eq!(all.sum::<u128>(), backward);
    }
}

#[test]
fn of_an_adapted_model_only_the_adapter_has_gradients_of_weights() {
    let mut wrong = Vec::new();
    for (name, run) in recording().adapted {
        let file = recorded(&format!("adapters/{name}.json"));
        let adapter = Adapter::parse(&file["adapter"].to_string()).expect("an adapter");
        let model = model(file["config"].clone())
            .with_adapter(&adapter)
            .expect("an adapted model")
            .unmerged;
        // Whatever else is to be frozen.
        let frozen = Frozen::of(&model, Some(1));
        assert_eq!(frozen, Frozen::Base);
        let step = step(&run).freezing(frozen);
        match count(&model, &step) {
            Ok(flops) => wrong.extend(
                difference(&flops, &run, run.backward).map(|what| format!("{name}: {what}")),
            ),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Lines under a title that has these words.
fn explained(sections: &[Section], words: &str) -> u128 {
    let some = sections.iter().filter(|section| section.title.contains(words));
    some.flat_map(|section| &section.lines).filter_map(|line| line.flops).sum()
}

#[test]
fn explained_lines_sum_to_what_they_explain() {
    let mut explained_steps = 0;
    for (name, run) in recording().trained {
        let model = model(recorded(&format!("{name}.json"))["config"].clone());
        let plain = step(&run);
        let mut steps = vec![
            plain.clone().recomputing(Recompute::Full),
            plain.clone().recomputing(Recompute::Selective).with_reference_forwards(2),
            plain.clone().recomputing(Recompute::Layers(1)).recomputing_scores(),
            plain.clone().freezing(Frozen::Below(1)),
        ];
        steps.extend(plain.clone().with_rollout(13, 10));
        let conventions = Convention::ALL.iter().filter(|convention| convention.counts_steps());
        for (convention, step) in
            conventions.flat_map(|it| steps.iter().map(move |step| (it, step)))
        {
            let Ok(training) = model.training(step, convention) else { continue };
            let Ok(flops) = training.flops(step) else { continue };
            let sections = training.explain(step).unwrap_or_else(|error| panic!("{name}: {error}"));
            let lines = sections.iter().flat_map(|section| &section.lines);
            let all: u128 = lines.filter_map(|line| line.flops).sum();
            assert_eq!(all, flops.executed, "{name} {} {step:?}", convention.id);
            for (words, counts) in [
                ("gradients of inputs", &flops.input_gradients),
                ("gradients of weights", &flops.weight_gradients),
                ("computed again", &flops.recomputed),
            ] {
                let part = explained(&sections, words);
                assert_eq!(part, total(counts), "{name} {} {words}", convention.id);
            }
            explained_steps += 1;
        }
    }
    assert!(explained_steps > 10_000, "{explained_steps}");
}
