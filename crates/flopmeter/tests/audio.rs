//! The `torch` convention equals PyTorch's counter on models that hear, and clips become frames and tokens as the models'
//! own processors make them.
//!
//! The recordings lie in `tests/recorded/audio`; the README beside it says how they were made.

mod counter;

use counter::{Pass, difference, less};
use flopmeter::arch::audio_tower_types;
use flopmeter::audio::Clip;
use flopmeter::{Component, Config, Convention, Counts, Model, Sequence, Workload};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Recording {
    config: Value,
    preprocessor: Value,
    parameters: BTreeMap<String, u128>,
    cuts: Vec<Cut>,
    runs: Vec<Run>,
}

/// What a processor made of one clip; an error if it refused.
#[derive(Deserialize)]
struct Cut {
    seconds: f64,
    #[serde(default)]
    tokens: u64,
    frames: Option<u64>,
    /// Vectors that a decoder attends to.
    features: Option<u64>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Run {
    batch: u64,
    audio: Vec<f64>,
    /// Tokens of the prompt that are no clip's.
    text: u64,
    passes: Vec<Pass>,
}

fn recordings() -> Vec<(String, Recording)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/audio");
    counter::recordings(&folder, &[])
}

fn model(recording: &Recording) -> Model {
    let config = Config::from_value(recording.config.clone()).expect("an object");
    let beside = Config::from_value(recording.preprocessor.clone()).expect("an object");
    Model::from_config(&config.with_preprocessor(beside)).expect("a model")
}

fn clips(seconds: &[f64]) -> Vec<Clip> {
    seconds.iter().map(|seconds| Clip::new(*seconds).expect("a clip")).collect()
}

#[test]
fn every_tower_that_hears_is_recorded() {
    let recorded = recordings();
    for model_type in audio_tower_types() {
        let of_type = |(name, _): &&(String, _)| name.split('@').next() == Some(model_type);
        assert!(recorded.iter().any(|it| of_type(&it)), "{model_type}");
    }
}

#[test]
fn clips_become_tokens_as_the_models_own_processors_make_them() {
    let (mut cuts, mut wrong) = (0, Vec::new());
    for (name, recording) in recordings() {
        let model = model(&recording);
        for recorded in &recording.cuts {
            cuts += 1;
            let at = format!("{name}: {} s", recorded.seconds);
            let heard = match (model.heard(&clips(&[recorded.seconds])), &recorded.error) {
                (Ok(heard), None) => heard[0],
                (Err(_), Some(_)) => continue,
                (ours, theirs) => {
                    wrong.push(format!("{at}: {ours:?} where the processor has {theirs:?}"));
                    continue;
                }
            };
            if heard.tokens != recorded.tokens {
                wrong.push(format!("{at}: {} tokens not {}", heard.tokens, recorded.tokens));
            }
            if recorded.features.is_some_and(|features| features != heard.features) {
                wrong.push(format!("{at}: {heard:?}, not {:?} vectors", recorded.features));
            }
            if recorded.frames.is_some_and(|frames| frames != heard.all_frames()) {
                wrong.push(format!("{at}: {heard:?}, not {:?} frames", recorded.frames));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {cuts}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
    assert!(cuts > 300, "{cuts}");
}

#[test]
fn torch_equals_the_counter_on_every_recording() {
    let mut wrong = Vec::new();
    for (name, recording) in recordings() {
        let model = model(&recording);
        let parameters = model.parameters().total;
        // Those of what sees beside, where that is not counted.
        let uncounted =
            if model.processor().is_some() { 0 } else { recording.parameters["beside"] };
        let recorded = recording.parameters["total"] - uncounted;
        if parameters != recorded {
            wrong.push(format!("{name}: {parameters} parameters not {recorded}"));
        }
        for run in &recording.runs {
            let count = |generate: u64| {
                let sequence = Sequence { prompt: run.text, cached: 0, generate, count: run.batch };
                let workload = Workload::batch(vec![sequence]).expect("a workload");
                let workload = workload.with_audio(clips(&run.audio)).expect("a workload");
                let needed = model.flops(&workload, &Convention::MODEL).expect("a count");
                let flops = model.flops(&workload, &Convention::TORCH).expect("a count");
                // What the work needs is never more.
                let audio = |counts: &Counts| counts[Component::Audio];
                assert!(audio(&needed.prefill) <= audio(&flops.prefill), "{name}: {:?}", run.audio);
                flops
            };
            let first = run.passes[0].new;
            for (step, pass) in (1_u64..).zip(&run.passes) {
                let at = format!("{name}: {:?}, batch {}, pass {step}", run.audio, run.batch);
                let counts = if step == 1 {
                    assert_eq!(pass.past, 0);
                    count(1).prefill
                } else {
                    assert_eq!((pass.past, pass.new), (first + step - 2, 1));
                    let (more, fewer) = (count(step).decode, count(step - 1).decode);
                    assert_eq!(more[Component::Audio], 0);
                    less(&more, &fewer)
                };
                wrong.extend(difference(&counts, pass).map(|what| format!("{at}: {what}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
