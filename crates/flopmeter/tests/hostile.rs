//! Input that nobody should give: mutated configs, random text, absurd figures. Whatever it is, it ends
//! in an answer or in an error that says where, soon and without a panic.

#[path = "hostile/entries.rs"]
mod entries;

use entries::{ask, is_readable};
use flopmeter::units::{BytesPerSecond, FlopsPerSecond};
use flopmeter::{
    Config, Convention, Error, ErrorKind, Hardware, Model, Phase, Sequence, Utilization, Workload,
    device,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The recorded configs, one of every architecture, by file.
static RECORDED: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let mut configs: Vec<(String, Value)> = [folder.join("audio"), folder.join("images"), folder]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).expect("tests/recorded"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a recording");
            let recording: Value = serde_json::from_str(&text).expect("JSON");
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, recording["config"].clone())
        })
        // Beside the recordings lie lists of other things.
        .filter(|(_, config)| config.is_object())
        .collect();
    configs.sort_by(|a, b| a.0.cmp(&b.0));
    configs
});

/// What a key is turned into.
#[derive(Debug, Clone)]
enum Mutation {
    Delete,
    Put(Value),
    /// The value of another key.
    Swap(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let put = |value: Value| Just(Mutation::Put(value));
    prop_oneof![
        3 => Just(Mutation::Delete),
        3 => (0usize..1000).prop_map(Mutation::Swap),
        2 => (1u64..300).prop_map(|size| Mutation::Put(size.into())),
        1 => put(Value::Null),
        1 => put(json!(0)),
        1 => put(json!(-1)),
        1 => put(json!(1u64 << 24)),
        1 => put(json!((1u64 << 24) + 1)),
        1 => put(json!(u64::MAX)),
        1 => put(json!(1e300)),
        1 => put(json!(4096.0)),
        1 => put(json!(0.5)),
        1 => put(json!(true)),
        1 => put(json!(false)),
        1 => put(json!("full_attention")),
        1 => put(json!("\u{1b}[31m\u{202e}\n`")),
        1 => put(json!([])),
        1 => put(json!([0, 1, 2])),
        1 => put(json!(["sliding_attention", "full_attention", "full_attention"])),
        1 => put(json!({})),
        1 => put(json!({"hidden_size": 8, "model_type": "gpt2"})),
        1 => put(json!([[[[]]], {"a": [null]}])),
    ]
}

/// A recorded config with a few keys mutated, its nested `text_config`'s among them.
fn mutated() -> impl Strategy<Value = (String, Value)> {
    let which = 0..RECORDED.len();
    let mutations = prop::collection::vec((0usize..1000, mutation()), 1..4);
    (which, mutations).prop_map(|(which, mutations)| {
        let (name, mut config) = RECORDED[which].clone();
        for (at, mutation) in mutations {
            mutate(config.as_object_mut().expect("an object"), at, &mutation);
        }
        (name, config)
    })
}

fn mutate(object: &mut Map<String, Value>, at: usize, mutation: &Mutation) {
    let keys: Vec<String> = object.keys().cloned().collect();
    if keys.is_empty() {
        return;
    }
    let key = &keys[at % keys.len()];
    // Every other time into a nested config rather than over it.
    if let (Some(Value::Object(nested)), 0) = (object.get_mut(key), at / keys.len() % 2) {
        return mutate(nested, at / 2, mutation);
    }
    match mutation {
        Mutation::Delete => drop(object.remove(key)),
        Mutation::Put(value) => drop(object.insert(key.clone(), value.clone())),
        Mutation::Swap(other) => {
            let other = &keys[other % keys.len()];
            let (a, b) = (object[key].clone(), object[other].clone());
            object.insert(key.clone(), b);
            object.insert(other.clone(), a);
        }
    }
}

/// Long even for a debug build on a busy machine; without a fault it is a few milliseconds.
const SOON: Duration = Duration::from_secs(20);

fn soon<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let taken = start.elapsed();
    assert!(taken < SOON, "took {taken:?}");
    result
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_config_is_counted_or_refused((name, config) in mutated()) {
        let built = soon(|| {
            let config = Config::from_value(config).expect("an object");
            Model::from_config(&config).map(|model| ask(&model))
        });
        match built {
            // A small request always has an answer.
            Ok(answers) => prop_assert!(answers >= 8, "{name}: {answers}"),
            Err(error) => is_readable(&error),
        }
    }

    #[test]
    fn random_text_is_no_config(text in prop_oneof![".{0,200}", "[\\[\\]{}\":, a0-9eE.+-]{0,200}"]) {
        match Config::parse(&text) {
            Ok(config) => if let Err(error) = Model::from_config(&config) { is_readable(&error) },
            Err(error) => is_readable(&error),
        }
    }

    #[test]
    fn a_cut_off_config_is_an_error(which in 0..RECORDED.len(), at in 0.0f64..1.0) {
        let text = RECORDED[which].1.to_string();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let mut cut = (text.len() as f64 * at) as usize;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        prop_assert_eq!(Config::parse(&text[..cut]).map(drop).unwrap_err().kind(), ErrorKind::Syntax);
    }

    #[test]
    fn a_random_device_name_is_a_device_or_an_error(name in prop_oneof![
        ".{0,60}",
        "(NVIDIA |AMD |Apple |Tesla |)([A-Z]{1,3} ?)?[0-9]{1,4}[a-z]?( (Ti|PCIe|SXM|[0-9]{1,3}GB|MIG [0-9]g\\.[0-9]{1,3}gb)){0,3}",
    ]) {
        match device::find(&name) {
            Ok(device) => {
                prop_assert!(device.peaks().all(|(_, peak)| peak.0 > 0.0 && peak.0.is_finite()));
            }
            Err(error) => {
                is_readable(&error);
                prop_assert!([ErrorKind::Device, ErrorKind::Ambiguous].contains(&error.kind()), "{}", error);
            }
        }
    }

    #[test]
    fn a_random_quantisation_is_read_or_refused(
        method in prop_oneof![
            "(fp8|fbgemm_fp8|awq|gptq|bitsandbytes|mxfp4|modelopt|compressed-tensors)",
            ".{0,8}",
        ],
        keys in prop::collection::vec((
            prop_oneof![
                Just("bits"), Just("num_bits"), Just("group_size"), Just("weight_block_size"),
                Just("ignore"), Just("modules_to_not_convert"), Just("config_groups"), Just("quant_algo"),
                Just("load_in_4bit"), Just("load_in_8bit"), Just("bnb_4bit_quant_type"),
                Just("kv_cache_scheme"), Just("kv_cache_quant_algo"), Just("quant_method"),
            ],
            prop_oneof![
                Just(json!(null)), Just(json!(0)), Just(json!(-1)), Just(json!(4)), Just(json!(8)),
                Just(json!(7)), Just(json!(u64::MAX)), Just(json!(true)), Just(json!("NVFP4")),
                Just(json!([0, 128])), Just(json!([128, 128])), Just(json!([1])), Just(json!({"num_bits": 8})),
                Just(json!(["re:(", "re:.*", "*", "", "lm_head", "re:^(a|b)*$", "\u{1b}"])),
                Just(json!({"group_0": {"weights": {"num_bits": 4, "type": "float", "group_size": 16}}})),
                Just(json!({"g": {"weights": {"num_bits": 8, "strategy": "block", "block_structure": [0, 1]}}})),
                Just(json!({"g": {"targets": ["re:["], "weights": {"num_bits": 4, "group_size": 3}}})),
                Just(json!({"g": null, "h": 3, "i": {}})),
            ],
        ), 0..5),
    ) {
        let mut scheme = Map::from_iter([("quant_method".to_owned(), json!(method))]);
        scheme.extend(keys.into_iter().map(|(key, value)| (key.to_owned(), value)));
        let mut config = llama();
        config["quantization_config"] = scheme.into();
        let config = Config::from_value(config).expect("an object");
        match soon(|| Model::from_config(&config).map(|model| ask(&model))) {
            Ok(answers) => prop_assert!(answers >= 8),
            Err(error) => {
                is_readable(&error);
                let kinds = [ErrorKind::Quantization, ErrorKind::Config];
                prop_assert!(kinds.contains(&error.kind()), "{:?}", error);
            }
        }
    }
}

/// A llama small enough to follow.
fn llama() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 100, "torch_dtype": "bfloat16"
    })
}

fn refused(config: Value) -> Error {
    let config = Config::from_value(config).expect("an object");
    soon(|| Model::from_config(&config)).expect_err("a config that cannot be")
}

#[test]
fn seeds_of_the_fuzzer_are_answered_and_hostile_ones_refused() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let names = |folder: &Path| -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let targets: Vec<&str> = entries::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(&fuzz.join("seeds")), targets);
    let files: Vec<String> = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&fuzz.join("fuzz_targets")), files);
    for (target, entry) in entries::ALL {
        let folder = fuzz.join("seeds").join(target);
        let seeds = names(&folder);
        assert!(seeds.len() >= 4, "{target} has {} seeds", seeds.len());
        for seed in seeds {
            let bytes = fs::read(folder.join(&seed)).expect("a seed");
            println!("{target}/{seed}"); // shown when it fails
            assert_eq!(soon(|| entry(&bytes)), !seed.starts_with("hostile"), "{target}/{seed}");
        }
    }
}

#[test]
fn recorded_configs_are_what_is_mutated() {
    assert!(RECORDED.len() > 90, "{} recordings", RECORDED.len());
    let counted = RECORDED.iter().filter(|(_, config)| {
        let config = Config::from_value(config.clone()).expect("an object");
        Model::from_config(&config).is_ok()
    });
    // Mutating what is refused anyway would prove nothing.
    assert!(counted.count() > 30);
}

#[test]
fn layers_that_all_differ_are_counted_soon() {
    // The most layers that are believed, each with a kind of its own that its neighbour has not.
    let kinds: Vec<&str> = ["sliding_attention", "full_attention"].repeat(2048);
    let config = json!({
        "model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 4096, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 96, "vocab_size": 100,
        "use_sliding_window": true, "sliding_window": 7, "layer_types": kinds, "torch_dtype": "bfloat16"
    });
    let model = soon(|| Model::from_config(&Config::from_value(config).expect("an object")));
    // Two groups of layers between the embedding and the head.
    assert_eq!(model.map(|model| model.groups().len()), Ok(4));
}

#[test]
fn many_or_costly_expressions_are_refused_soon() {
    let mut config = llama();
    let many: Vec<String> = (0..50_000).map(|at| format!("re:.*{at}.*foo(a|b)*")).collect();
    config["quantization_config"] = json!({"quant_method": "fp8", "ignore": many});
    let error = refused(config.clone());
    assert_eq!(error.kind(), ErrorKind::Quantization);
    assert!(error.fact().contains("too many to look up"), "{error}");
    config["num_hidden_layers"] = json!(4096);
    for one in ["re:(.*){200}z", "re:(((a{100}){100}){100}){100}", "re:((((((", "re:[z-a]"] {
        config["quantization_config"] = json!({"quant_method": "fp8", "ignore": [one]});
        assert_eq!(refused(config.clone()).kind(), ErrorKind::Quantization, "{one}");
    }
    // Names are looked up and not matched.
    let names: Vec<String> = (0..50_000).map(|at| format!("layers.{at}.mlp")).collect();
    config["quantization_config"] = json!({"quant_method": "fp8", "ignore": names});
    let config = Config::from_value(config).expect("an object");
    assert!(soon(|| Model::from_config(&config)).is_ok());
}

#[test]
fn sequences_that_all_differ_are_counted_soon() {
    let model =
        Model::from_config(&Config::from_value(llama()).expect("an object")).expect("llama");
    let sequences = (1..=1000).map(|n| Sequence::new(n, n)).collect();
    let workload = Workload::batch(sequences).expect("a batch");
    let rates = (FlopsPerSecond(1e12), Some(BytesPerSecond(1e10)));
    let hardware = Hardware::new(rates.0, rates.1, 1).expect("hardware");
    let ideal = soon(|| model.ideal(&workload, Phase::Decode, &hardware));
    assert!(ideal.is_ok_and(|ideal| ideal.is_some()));
}

#[test]
fn figures_that_no_float_can_say_are_errors() {
    let model =
        Model::from_config(&Config::from_value(llama()).expect("an object")).expect("llama");
    let workload = Workload::request(10, 3);
    let flops = model.flops(&workload, &Convention::MODEL).expect("a count");
    let bytes = model.bytes(&workload).expect("a count");
    let hardware =
        |peak, count| Hardware::new(FlopsPerSecond(peak), Some(BytesPerSecond(peak)), count);
    let kind = |error: Error| error.kind();

    // 1e300 · (2^64 − 1) > 1.8e308.
    assert_eq!(hardware(1e300, u64::MAX).map_err(kind), Err(ErrorKind::Overflow));
    for peak in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(hardware(peak, 1).map_err(kind), Err(ErrorKind::Measurement), "{peak}");
    }
    let usual = hardware(1e12, 1).expect("hardware");
    for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let measured = Utilization::new(&flops, &bytes, &usual, seconds);
        assert_eq!(measured.map_err(kind), Err(ErrorKind::Measurement), "{seconds}");
    }
    // 1.5e6 FLOPs ÷ (1e-320 · 1e12) is 1.5e314.
    let measured = Utilization::new(&flops, &bytes, &usual, 1e-320);
    assert_eq!(measured.map_err(kind), Err(ErrorKind::Overflow));
    let slow = hardware(1e-305, 1).expect("hardware");
    let ideal = model.ideal(&workload, Phase::Prefill, &slow);
    assert_eq!(ideal.map_err(kind), Err(ErrorKind::Overflow));
}

#[test]
fn positions_beyond_64_bits_are_errors_and_never_near_misses() {
    // A window keeps the pairs of 2^64 tokens within 128 bits, so nothing else would stop it.
    let mut config = llama();
    config["model_type"] = json!("mistral");
    config["sliding_window"] = json!(8);
    let model =
        Model::from_config(&Config::from_value(config).expect("an object")).expect("mistral");
    let longest = Workload::request(u64::MAX - 1, 1);
    assert!(model.flops(&longest, &Convention::MODEL).is_ok());
    let longer = Workload::request(u64::MAX, 1).without_kv_cache().expect("nothing is cached");
    let error = model.flops(&longer, &Convention::MODEL).expect_err("2^64 positions");
    assert_eq!(error.kind(), ErrorKind::Overflow);
    assert_eq!(model.bytes(&longer).map_err(|error| error.kind()), Err(ErrorKind::Overflow));
}
