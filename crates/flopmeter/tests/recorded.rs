//! The `torch` convention equals PyTorch's own counter, to the integer, on every recorded case.
//!
//! The recordings lie in `tests/recorded`; its README says how they were made.

mod counter;

use counter::{Pass, difference};
use flopmeter::{Config, Convention, Flops, Model, Phase, Sequence, Workload};
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Recording {
    config: serde_json::Value,
    parameters: Recorded,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Recorded {
    total: u128,
    /// Parameters of parts that a text pass never touches.
    #[serde(default)]
    vision: u128,
}

#[derive(Deserialize)]
struct Run {
    batch: u64,
    /// Tokens that an encoder reads before the first of the passes, which are its decoder's.
    source: Option<u64>,
    passes: Vec<Pass>,
}

impl Run {
    /// The passes of a request of this run: prefilling `new` after `past`, or decoding one token after `past`.
    fn request(&self, past: u64, new: u64, generate: u64) -> Workload {
        let (prompt, cached) = match self.source {
            Some(source) => (source, 0),
            None => (past + new, past),
        };
        let sequence = Sequence { prompt, cached, generate, count: self.batch };
        let workload = Workload::batch(vec![sequence]).expect("a workload");
        match self.source {
            Some(_) => workload.with_decoder_prompt(past + new),
            None => workload,
        }
    }
}

/// The folder of recordings; another one, in the same format, may be named to be checked too.
fn folders() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    std::iter::once(own)
        .chain(std::env::var_os("FLOPMETER_RECORDINGS").map(PathBuf::from))
        .collect()
}

fn recordings(folder: &Path) -> Vec<(String, Recording)> {
    // Two files are of no case: counts of whole real models, and names of types.
    counter::recordings(folder, &["parameters", "mappings"])
}

fn count(model: &Model, workload: &Workload) -> Flops {
    model.flops(workload, &Convention::TORCH).expect("a count")
}

/// Parameters of what runs before the prefill.
fn towers(model: &Model) -> u128 {
    let groups = model.stacks().iter().flat_map(|stack| stack.groups());
    let ops = groups.flat_map(|group| group.ops.iter().map(|op| (op, group.repeat)));
    ops.map(|(op, repeat)| op.parameters() * u128::from(repeat)).sum()
}

#[test]
fn torch_equals_the_counter_on_every_recording() {
    let (mut cases, mut passes, mut wrong) = (0, 0, Vec::new());
    for (name, recording) in folders().iter().flat_map(|folder| recordings(folder)) {
        cases += 1;
        let config = Config::from_value(recording.config).expect("an object");
        let model = match Model::from_config(&config) {
            Ok(model) => model,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let parameters = model.parameters().total;
        // Towers are held to recordings of their own, those that are counted.
        let towers = if model.perceives() { towers(&model) } else { 0 };
        let parameters = parameters - towers;
        let recorded = recording.parameters.total - recording.parameters.vision;
        if parameters != recorded {
            wrong.push(format!("{name}: {parameters} parameters not {recorded}"));
        }
        for run in &recording.runs {
            for pass in &run.passes {
                passes += 1;
                let at = format!(
                    "{name}: batch {}, source {:?}, past {}, new {}",
                    run.batch, run.source, pass.past, pass.new
                );
                let (past, new) = (pass.past, pass.new);
                // An encoder has run before its decoder's first pass, and a request begins with it.
                if past == 0 || run.source.is_none() {
                    let flops = count(&model, &run.request(past, new, 1));
                    wrong.extend(
                        difference(&flops.prefill, pass).map(|what| format!("{at}: {what}")),
                    );
                }
                if new == 1 && past > 0 {
                    // The same pass as the one decode step after a prompt that is wholly cached.
                    let flops = count(&model, &run.request(past, 0, 2));
                    let decode = flops.phase(Phase::Decode);
                    wrong.extend(
                        difference(decode, pass).map(|what| format!("{at}, decode: {what}")),
                    );
                }
            }
        }
    }
    assert!(cases > 0 && passes > cases, "no recordings were found");
    assert!(
        wrong.is_empty(),
        "{} differences in {cases} cases of {passes} passes:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
