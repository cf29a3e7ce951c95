//! `flopmeter train`, on the small llama of `run/mod.rs`.
//!
//! ```text
//! a token 122,880 FLOPs (attention's projections 49,152, feed-forward 73,728) and a head of 12,800; a pair 256 for its
//! score and 256 for its value
//! a row of 10 tokens: 10·135,680 = 1,356,800 with weights, 55 pairs 28,160
//! forward 1,384,960, inputs 1,356,800 + 2·28,160 = 1,413,120, weights 1,356,800: 3·1,384,960 = 4,154,880
//! ```

mod run;

use run::{LORA, Place};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Report {
    step: Step,
    convention: String,
    flops: Flops,
    utilization: Option<Utilization>,
    parallelism: Option<Plan>,
    #[serde(default)]
    ranks: Vec<Rank>,
    notes: Vec<String>,
}

#[derive(Deserialize)]
struct Plan {
    devices: u64,
    zero: u64,
    bubble: f64,
    vocabulary_padding: u64,
    flops: u128,
}

#[derive(Deserialize)]
struct Rank {
    name: String,
    count: u64,
    flops: RankFlops,
    memory: Memory,
    sent: Vec<Sent>,
}

#[derive(Deserialize)]
struct RankFlops {
    total: u128,
}

#[derive(Deserialize)]
struct Memory {
    weights: u128,
    gradients: u128,
    optimizer: u128,
    activations: u128,
    total: u128,
}

#[derive(Deserialize)]
struct Sent {
    collective: String,
    of: String,
    bytes: u128,
}

#[derive(Deserialize)]
struct Step {
    sequence: Option<u64>,
    #[serde(default)]
    packed: Vec<Documents>,
    batch: u64,
    accumulate: u64,
    tokens: u64,
    frozen: String,
    recompute: String,
}

#[derive(Deserialize, PartialEq, Debug)]
struct Documents {
    tokens: u64,
    count: u64,
}

#[derive(Deserialize)]
struct Flops {
    total: u128,
    forward: u128,
    input_gradients: u128,
    weight_gradients: u128,
    without_gradient: u128,
    recomputed: u128,
    executed: u128,
    per_token: f64,
    components: BTreeMap<String, u128>,
}

#[derive(Deserialize)]
struct Utilization {
    mfu: f64,
    hfu: f64,
    tokens_per_second: f64,
    tokens_per_second_per_device: f64,
    flops_per_second_per_device: f64,
}

const WEIGHTS: u128 = 1_356_800;
const PAIRS: u128 = 28_160;
const ROW: u128 = 3 * (WEIGHTS + PAIRS);

fn train(line: &str) -> Report {
    let place = Place::with_llama();
    place.put("adapter_config.json", LORA);
    place.run(&format!("train llama.json {line} --format json")).json()
}

#[test]
fn gradients_of_inputs_and_of_weights_are_apart() {
    let report = train("-s 10 -b 2 --accumulate 3");
    assert_eq!((report.step.sequence, report.step.batch, report.step.accumulate), (Some(10), 2, 3));
    assert_eq!((report.step.tokens, report.convention.as_str()), (60, "model"));
    let flops = report.flops;
    assert_eq!(flops.forward, 6 * (WEIGHTS + PAIRS));
    assert_eq!(flops.input_gradients, 6 * (WEIGHTS + 2 * PAIRS));
    assert_eq!(flops.weight_gradients, 6 * WEIGHTS);
    assert_eq!((flops.total, flops.executed), (6 * ROW, 6 * ROW));
    assert_eq!((flops.recomputed, flops.without_gradient), (0, 0));
    assert_eq!(flops.per_token, ROW as f64 / 10.0);
    assert_eq!(flops.components.values().sum::<u128>(), flops.total);
    assert_eq!(flops.components["head"], 6 * 3 * 10 * 12_800);
    assert!(report.utilization.is_none());
}

#[test]
fn what_is_computed_again_counts_for_the_hardware_alone() {
    let recomputed = |line: &str| {
        let flops = train(&format!("-s 10 {line}")).flops;
        assert_eq!((flops.total, flops.executed), (ROW, ROW + flops.recomputed), "{line}");
        flops.recomputed
    };
    let layers = 10 * 122_880 + PAIRS;
    assert_eq!(recomputed("--recompute none"), 0);
    assert_eq!(recomputed("--recompute full"), layers);
    assert_eq!(recomputed("--recompute 1"), layers / 2);
    assert_eq!(recomputed("--recompute selective"), PAIRS);
    assert_eq!(recomputed("--flash"), PAIRS / 2);
    assert_eq!(recomputed("--recompute full --flash"), layers + PAIRS / 2);
}

#[test]
fn packed_documents_do_not_see_each_other() {
    let report = train("--packed 6,4,4 -b 2");
    let documents = |tokens, count| Documents { tokens, count };
    assert_eq!(report.step.packed, [documents(4, 2), documents(6, 1)]);
    assert_eq!((report.step.sequence, report.step.tokens), (None, 28));
    // 10 + 10 + 21 pairs a row.
    assert_eq!(report.flops.forward, 2 * (14 * 135_680 + 41 * 512));
    // Eager attention multiplies the whole row with itself.
    let whole = train("--packed 6,4,4 -b 2 --convention torch").flops.forward;
    assert_eq!(whole, 2 * (14 * 135_680 + 14 * 14 * 512));
}

#[test]
fn what_is_frozen_has_no_gradient() {
    let report = train("-s 10 --freeze 1");
    assert_eq!(report.step.frozen, "embedding and 1 layers");
    // The second layer and the head.
    let (weights, pairs) = (10 * (61_440 + 12_800), PAIRS / 2);
    assert_eq!(report.flops.weight_gradients, weights);
    assert_eq!(report.flops.input_gradients, weights + 2 * pairs);
    let report = train("-s 10 --adapter .");
    assert_eq!(report.step.frozen, "base");
    // 1,792 parameters beside the weights.
    let adapter = 10 * 2 * 1_792;
    assert_eq!(report.flops.forward, WEIGHTS + PAIRS + adapter);
    assert_eq!(report.flops.weight_gradients, adapter);
    assert_eq!(report.flops.input_gradients, WEIGHTS + 2 * PAIRS + adapter);
}

#[test]
fn passes_without_a_gradient_are_apart() {
    let report = train("-s 10 --reference-forwards 2 --rollout 6:4");
    // A prefill of 6 and 3 passes of one token, at positions 6, 7 and 8: 21 + 24 pairs; 4 tokens are sampled.
    let rollout = 9 * 122_880 + 45 * 512 + 4 * 12_800;
    assert_eq!(report.flops.without_gradient, 2 * (WEIGHTS + PAIRS) + rollout);
    assert_eq!(report.flops.total, ROW + report.flops.without_gradient);
}

#[test]
fn utilization_is_of_the_step_and_of_its_tokens() {
    let hardware = "--peak bf16=1e9 --devices 4 --time 2ms";
    let report = train(&format!("-s 10 --recompute full {hardware}"));
    let measured = report.utilization.expect("a measurement");
    assert_eq!(measured.mfu, ROW as f64 / 8e6);
    assert_eq!(measured.hfu, (ROW + 10 * 122_880 + PAIRS) as f64 / 8e6);
    assert_eq!(
        (measured.tokens_per_second, measured.tokens_per_second_per_device),
        (5000.0, 1250.0)
    );
    assert!((measured.flops_per_second_per_device - ROW as f64 / 8e-3).abs() < 1e-3);
    assert_eq!(report.step.recompute, "full");
    // Above 1 it stays, and says why it may be so.
    let report = train("-s 10 --peak bf16=1e9 --time 1ms");
    assert_eq!(report.utilization.expect("a measurement").mfu, ROW as f64 / 1e6);
    assert!(
        report.notes.iter().any(|note| note.starts_with("a ratio above 1")),
        "{:?}",
        report.notes
    );
}

#[test]
fn what_cannot_be_is_an_error_with_a_hint() {
    let place = Place::with_llama();
    place.put("adapter_config.json", LORA);
    for (line, fact) in [
        ("-s 0", "`sequence`: is 0"),
        ("-s 10 -b 0", "`batch`: is 0"),
        ("-s 10 --accumulate 0", "`--accumulate`: is 0"),
        ("--packed 5,0", "`sequence`: is 0"),
        ("-s 10 --rollout 5:4", "is 5:4, and a row has 10 tokens"),
        ("-s 10 --mtp", "no layer that predicts further tokens"),
        ("-s 10 --adapter . --merged", "has nothing left to train"),
        ("-s 10 --freeze 1 --convention 2pt", "knows no parts"),
        ("-s 18446744073709551615 -b 2", "more tokens than 64 bits can number"),
        ("-s 10 --target 4", "is 4, and no encoder of this model reads the prompt"),
        ("-s 10 --peak bf16=1e9 --time 0", "must be a number above zero"),
    ] {
        let (error, _) = place.run(&format!("train llama.json {line}")).failure();
        assert!(error.replace('`', "").contains(&fact.replace('`', "")), "{line}: {error}");
    }
    let usage = place.run("train llama.json -s 10 --recompute most").usage();
    assert!(usage.contains("not none, selective, full or a number of layers"), "{usage}");
}

#[test]
fn ranks_of_a_step_say_what_they_hold_and_send() {
    let report = train("-s 10 -b 4 --accumulate 2 --dp 2 --pp 2 --zero 1 --flash");
    let plan = report.parallelism.expect("a plan");
    assert_eq!((plan.devices, plan.zero, plan.vocabulary_padding), (4, 1, 0));
    assert_eq!(plan.bubble, 0.5);
    assert_eq!(plan.flops, report.flops.total);
    let [first, last] = &report.ranks[..] else { panic!("{} kinds", report.ranks.len()) };
    assert_eq!((first.name.as_str(), first.count), ("stage 1 of 2, layer 0", 2));
    // A layer's half of the weights' and pairs' FLOPs, of four rows of eight; the head's are the last stage's.
    let head = 3 * 10 * 12_800;
    assert_eq!(first.flops.total, 4 * (ROW - head) / 2);
    assert_eq!(last.flops.total, 4 * ((ROW - head) / 2 + head));
    // A layer of 12,288 + 18,432 + 128 and the table; 12 bytes of states over two replicas.
    let parameters = 30_848 + 6400;
    let memory = &first.memory;
    assert_eq!((memory.weights, memory.gradients), (2 * parameters, 2 * parameters));
    assert_eq!(memory.optimizer, 12 * parameters / 2);
    // A token: norms 2·2·64, what q, k, v and gate, up read 2·2·64, q, k, v 2·128, a sum for each head 4·4, what o reads
    // 2·64, gate and up 2·2·96, what down reads 2·96. Two micro-batches of two rows are under way.
    let token = 256 + 256 + 256 + 16 + 128 + 384 + 192;
    assert_eq!(memory.activations, 2 * 2 * 10 * token);
    assert_eq!(memory.total, 4 * parameters + 6 * parameters + memory.activations);
    let sent: Vec<_> =
        first.sent.iter().map(|it| (it.collective.as_str(), it.of.as_str(), it.bytes)).collect();
    // 40 tokens of 128 bytes; half of the gradients and then of the weights.
    assert_eq!(
        sent,
        [
            ("point-to-point", "hidden states to the next stage", 5120),
            ("reduce-scatter", "gradients", parameters),
            ("all-gather", "weights", parameters),
        ]
    );
    assert_eq!(last.sent[0].of, "gradients to the stage before");
}

#[derive(Deserialize)]
struct Explained {
    total: u128,
    sections: Vec<Section>,
}

#[derive(Deserialize)]
struct Section {
    title: String,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    name: String,
    formula: String,
    numbers: String,
    result: String,
}

/// A step of the row of 10 tokens, every layer computed again: the arithmetic is that of the head of this file.
#[test]
fn a_step_is_explained_from_the_config_to_the_ratios() {
    let line = "train llama.json -s 10 --recompute full --peak bf16=1e12 --time 10us --explain";
    let explained: Explained = Place::with_llama().run(&format!("{line} --format json")).json();
    assert_eq!(explained.total, 4_154_880);
    let titles: Vec<&str> = explained.sections.iter().map(|it| it.title.as_str()).collect();
    let again = "computed again, which is no part of the model FLOPs";
    let inputs = "gradients of inputs";
    assert_eq!(
        titles,
        [
            "config",
            "forward",
            inputs,
            inputs,
            "gradients of weights",
            again,
            "total",
            "utilization"
        ]
    );
    let lines = || explained.sections.iter().flat_map(|section| &section.lines);
    let line = |title: &str, name: &str| {
        let of = explained.sections.iter().filter(|section| section.title == title);
        of.flat_map(|section| &section.lines).find(|line| line.name.starts_with(name)).expect(name)
    };
    let scores = line(inputs, "attention.scores");
    assert_eq!(scores.formula, "2 · heads · key width · pairs · layers · either factor");
    assert_eq!((&*scores.numbers, &*scores.result), ("2 · 4 · 16 · 55 · 2 · 2", "28160"));
    assert_eq!(line("total", "model FLOPs").result, "4154880");
    assert_eq!(line("total", "executed").numbers, "4154880 + 1256960");
    assert_eq!(line("total", "model FLOPs a token").result, "415488");
    let hfu = line("utilization", "HFU");
    assert_eq!(hfu.numbers, "5411840 ÷ (0.00001 · 1e12 · 1)");
    assert!((hfu.result.parse::<f64>().expect("a number") - 0.541_184).abs() < 1e-9);
    assert!(lines().any(|line| line.name == "num_hidden_layers" && line.result == "2"));

    // A formula says what it counts, with its own numbers: 6,144 elements of a layer's projections.
    let line = "train llama.json -s 10 --convention megatron --explain --format json";
    let explained: Explained = Place::with_llama().run(line).json();
    let forward = explained.sections.iter().find(|it| it.title == "forward").expect("it");
    let of = |name: &str| forward.lines.iter().find(|line| line.name == name).expect(name);
    assert_eq!(of("attention.projections").numbers, "2 · 24576 · 10");
    // 2 layers, 4 heads of 16, twice 50 pairs.
    assert_eq!(of("attention.scores").numbers, "2 · 64 · 100");
    assert_eq!(of("head").numbers, "2 · 8192 · 10");
    let cut = Place::with_llama().run("train llama.json -s 10 --explain --tp 2").failure().0;
    assert!(cut.contains("--explain: is of the whole step"), "{cut}");
}
