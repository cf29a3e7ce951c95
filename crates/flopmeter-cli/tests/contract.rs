//! The interface for programs as DESIGN.md fixes it: keys, types, sums, exit codes, streams.
//!
//! Every number here is derived in a comment, from the sizes of the small model in `run/mod.rs` or from
//! what a name and a data sheet state.

mod run;

use run::{Place, Report};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

const PEAK: &str = "--peak bf16=1e12 --bandwidth 1e11";

/// The laws that hold for every estimate.
#[track_caller]
fn lawful(report: &Report) {
    let flops = &report.flops;
    assert_eq!(flops.components.values().sum::<u128>(), flops.total, "components sum to the total");
    assert_eq!(flops.prefill + flops.decode, flops.total, "phases sum to the total");
    let bytes = &report.bytes;
    assert_eq!(bytes.prefill.read + bytes.decode.read, bytes.read);
    assert_eq!(bytes.prefill.written + bytes.decode.written, bytes.written);
    assert!(report.model.parameters.active <= report.model.parameters.total);
    assert_eq!(report.device.is_some(), report.utilization.is_some());
}

fn estimate(line: &str) -> Report {
    let report = Place::with_llama().run(&format!("{line} --format json")).json();
    lawful(&report);
    report
}

#[test]
fn an_estimate_has_the_keys_and_the_counts_of_the_contract() {
    let report = estimate("estimate llama.json --prompt 10 --generate 3");
    assert_eq!(report.model.id, "llama.json");
    assert_eq!(report.model.model_type, "llama");
    assert_eq!(report.model.parameters.total, 74_560);
    assert_eq!(report.model.parameters.active, 74_560);
    assert_eq!(report.model.parameters.embedding, 6_400); // 100·64
    assert_eq!(report.model.parameters.non_embedding, 74_560 - 6_400); // the head is its own
    assert_eq!(report.convention, "model");
    assert_eq!(report.workload.prompt, Some(10));
    assert_eq!(report.workload.cached, Some(0));
    assert_eq!(report.workload.generate, Some(3));
    assert_eq!((report.workload.batch, report.workload.kv_cache), (1, true));
    assert_eq!(report.workload.sequences, None);
    assert!(report.utilization.is_none() && report.device.is_none(), "not asked for");

    // 10 tokens of prompt and 2 of the 3 generated are fed: 12. The prompt's see 1 + … + 10 = 55
    // positions, the two see 11 and 12. The head runs three times.
    let components = BTreeMap::from(
        [
            ("attention.projections", 2 * 12_288 * 2 * 12),
            ("attention.scores", 2 * 4 * 16 * 2 * (55 + 11 + 12)),
            ("attention.values", 2 * 4 * 16 * 2 * (55 + 11 + 12)),
            ("mlp", 2 * 18_432 * 2 * 12),
            ("head", 2 * 64 * 100 * 3),
        ]
        .map(|(name, count)| (name.to_owned(), count)),
    );
    assert_eq!(report.flops.components, components);
    // A token of decode: 2·2·(12,288 + 18,432) + head 12,800; its pairs 2·2·4·16·2 each.
    assert_eq!(report.flops.decode, 2 * (122_880 + 12_800) + 512 * (11 + 12));

    assert_eq!(report.bytes.weights, 2 * 74_560);
    assert_eq!(report.bytes.kv_cache_per_token, 2 * 2 * (16 + 16) * 2); // layers, heads, k and v, bf16
    assert_eq!(report.bytes.kv_cache, 256 * 12);
    assert_eq!(report.bytes.written, 256 * 12);
    // Three passes read all but the embedding, of which they look up a row a token; what they see of
    // the cache is 10, 11 and 12 positions.
    let weights = 3 * 2 * (74_560 - 6_400) + 12 * 64 * 2;
    assert_eq!(report.bytes.read, weights + 256 * (10 + 11 + 12));
    // Its width is 64, of 4 heads.
    let taken = |key: &str, value: &str| {
        format!("`{key}` is absent; the reference implementation of `llama` takes {value}")
    };
    assert_eq!(
        report.notes,
        [
            taken("head_dim", "16"),
            taken("tie_word_embeddings", "false"),
            "bytes leave activations out".into(),
        ]
    );
}

#[test]
fn the_torch_convention_counts_whole_squares_and_the_head_everywhere() {
    let report = estimate("estimate llama.json -p 10 -g 3 --convention torch");
    assert_eq!(report.convention, "torch");
    assert_eq!(report.flops.components["attention.scores"], 2 * 4 * 16 * 2 * (100 + 11 + 12));
    assert_eq!(report.flops.components["head"], 2 * 64 * 100 * 12);
}

#[test]
fn two_flops_a_parameter_and_token_are_of_the_size_that_the_name_states() {
    // 8.0 billion, though the model has 8,030,261,248 parameters.
    let report = estimate("estimate meta-llama/Llama-3.1-8B -p 1024 -g 256 --convention 2pt");
    assert_eq!(report.model.parameters.total, 8_030_261_248);
    assert_eq!(report.flops.total, 2 * 8_000_000_000 * 1280);
    assert_eq!(
        report.flops.components,
        BTreeMap::from([("parameters".into(), report.flops.total)])
    );
    // Without a KV cache P·N·(N + 1).
    let report =
        estimate("estimate meta-llama/Llama-3.1-8B -p 1024 -g 256 --convention 2pt --no-kv-cache");
    assert_eq!(report.flops.total, 8_000_000_000 * 1280 * 1281);
    // A bare config states no size: its exact total.
    let report = estimate("estimate llama.json -p 10 -g 3 --convention 2pt");
    assert_eq!(report.flops.total, 2 * 74_560 * 13);
}

#[test]
fn counts_beyond_64_bits_are_integers_in_json_and_csv() {
    // 2·8e9·2e9 = 3.2e19 > 2^64 = 1.8e19.
    let line = "estimate llama3.1:8b -p 2000000000 -g 0 --convention 2pt";
    let report = Place::new().run(&format!("{line} --format json")).json::<Report>();
    assert_eq!(report.flops.total, 32_000_000_000_000_000_000);
    let csv = Place::new().run(&format!("{line} --format csv")).ok();
    let [row] = &rows(&csv)[..] else { panic!("{csv}") };
    assert_eq!(row["flops.total"], "32000000000000000000");
}

#[test]
fn cached_tokens_are_part_of_the_prompt_and_not_computed() {
    let report = estimate("estimate llama.json -p 10 -g 1 --cached 4");
    assert_eq!(report.workload.cached, Some(4));
    // Six tokens that see 5 to 10 positions: 45 pairs.
    assert_eq!(report.flops.total, 6 * 122_880 + 512 * 45 + 12_800);
    assert_eq!(report.bytes.kv_cache, 256 * 10);
    assert_eq!(report.bytes.written, 256 * 6);
}

#[test]
fn a_batch_is_as_many_sequences() {
    let one = estimate("estimate llama.json -p 10 -g 3");
    let many = estimate("estimate llama.json -p 10 -g 3 --batch 7");
    assert_eq!(many.workload.batch, 7);
    assert_eq!(many.flops.total, 7 * one.flops.total);
    assert_eq!(many.bytes.kv_cache, 7 * one.bytes.kv_cache);
    assert_eq!(many.bytes.weights, one.bytes.weights);
}

#[test]
fn different_sequences_are_listed_and_cost_their_sum() {
    let report = estimate("estimate llama.json --sequences 10:3,4:1");
    let first = estimate("estimate llama.json -p 10 -g 3");
    let second = estimate("estimate llama.json -p 4 -g 1");
    assert_eq!(report.flops.total, first.flops.total + second.flops.total);
    assert_eq!(report.workload.batch, 2);
    assert_eq!((report.workload.prompt, report.workload.generate), (None, None));
    let sequences = report.workload.sequences.expect("a list");
    let pairs: Vec<_> =
        sequences.iter().map(|sequence| (sequence.prompt, sequence.generate)).collect();
    assert_eq!(pairs, [(10, 3), (4, 1)]);
}

#[test]
fn without_a_cache_every_pass_computes_all_before_it() {
    let report = estimate("estimate llama.json -p 10 -g 3 --no-kv-cache");
    assert!(!report.workload.kv_cache);
    // Passes over 10, 11 and 12 tokens: 33 tokens, 55 + 66 + 78 pairs, the head three times.
    assert_eq!(report.flops.total, 33 * 122_880 + 512 * (55 + 66 + 78) + 3 * 12_800);
    assert_eq!((report.bytes.kv_cache, report.bytes.written), (0, 0));
}

#[test]
fn an_encoder_reads_the_prompt_once_and_a_decoder_attends_to_it() {
    let place = Place::with_llama();
    place.put(
        "t5.json",
        r#"{"model_type": "t5", "d_model": 6, "d_kv": 4, "num_heads": 2, "d_ff": 10, "num_layers": 1,
            "num_decoder_layers": 1, "vocab_size": 20, "torch_dtype": "bfloat16"}"#,
    );
    let estimate = |line: &str| -> Report {
        let report = place.run(&format!("estimate t5.json {line} --format json")).json();
        lawful(&report);
        report
    };
    let report = estimate("-p 5 -g 3");
    assert_eq!((report.workload.prompt, report.workload.decoder_prompt), (Some(5), Some(1)));
    // A half of attention is 4·6·8 = 192, a feed-forward half 2·6·10 = 120. The decoder runs 1 + 2 tokens, which see
    // 1 + 2 + 3 positions of their own and 3·5 of the source, whose keys and values are 2·6·8 = 96 for each.
    let components = BTreeMap::from(
        [
            ("encoder", 2 * (192 + 120) * 5 + 4 * 8 * 25),
            ("attention.projections", 2 * 192 * 3 + 2 * 96 * 3 + 2 * 96 * 5),
            ("attention.scores", 2 * 8 * (6 + 15)),
            ("attention.values", 2 * 8 * (6 + 15)),
            ("mlp", 2 * 120 * 3),
            ("head", 2 * 6 * 20 * 3),
        ]
        .map(|(name, count)| (name.to_owned(), count)),
    );
    assert_eq!(report.flops.components, components);
    // Of bf16 keys and values, 3 positions of the decoder's and 5 of the source.
    assert_eq!(report.bytes.kv_cache, 2 * 2 * 8 * (3 + 5));
    assert_eq!(estimate("-p 5 -g 3 --decoder-prompt 4").workload.decoder_prompt, Some(4));

    // Passes over 1, 2 and 3 tokens, each with the source's keys and values anew; the encoder runs once.
    let without = estimate("-p 5 -g 3 --no-kv-cache").flops;
    assert_eq!(without.components["encoder"], 3920);
    let projections = 2 * 192 * 6 + 2 * 96 * 6 + 3 * 2 * 96 * 5;
    assert_eq!(without.components["attention.projections"], projections);
    assert_eq!(without.components["attention.scores"], 2 * 8 * (1 + 3 + 6 + 6 * 5));

    for (line, expected) in [
        ("t5.json -p 5 --cached 2", "cached: is 2, and an encoder reads its prompt whole"),
        ("t5.json -p 5 --decoder-prompt 0", "decoder prompt: is 0"),
        (
            "llama.json -p 5 --decoder-prompt 2",
            "decoder prompt: is 2, and no encoder of this model",
        ),
        ("all-minilm-l6-v2 -p 5 -g 2", "generate: is 2, and an encoder generates nothing"),
    ] {
        let (message, _) = place.run(&format!("estimate {line}")).failure();
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn nothing_that_is_generated_scores_the_prompt() {
    let report = estimate("estimate llama.json -p 10 -g 0");
    // No token is sampled, so the head does not run.
    assert_eq!(report.flops.total, 10 * 122_880 + 512 * 55);
    // The model has one all the same: only what a model lacks is absent.
    assert_eq!(report.flops.components["head"], 0);
    assert!(!report.flops.components.contains_key("moe.experts"));
}

#[test]
fn a_dtype_moves_bytes_and_never_flops() {
    let bf16 = estimate("estimate llama.json -p 10 -g 3");
    let fp8 = estimate("estimate llama.json -p 10 -g 3 --dtype fp8 --kv-dtype fp8");
    assert_eq!(bf16.flops.total, fp8.flops.total);
    assert_eq!(fp8.bytes.weights, 74_560);
    assert_eq!(fp8.bytes.kv_cache_per_token, 128);
    // PyTorch's names are taken too.
    let fp32 = estimate("estimate llama.json -p 10 -g 3 --dtype float32");
    assert_eq!(fp32.bytes.weights, 4 * 74_560);
}

#[test]
fn a_mixture_of_experts_has_its_components_and_active_parameters() {
    let report = estimate("estimate mixtral-8x7b -p 16 -g 2");
    let names: Vec<_> = report.flops.components.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "attention.projections",
            "attention.scores",
            "attention.values",
            "head",
            "moe.experts",
            "moe.router"
        ]
    );
    // 32 layers, 17 tokens: a router of 4096·8; of 8 experts two, each 3·4096·14,336.
    assert_eq!(report.flops.components["moe.router"], 2 * 32 * 17 * 4096 * 8);
    assert_eq!(report.flops.components["moe.experts"], 2 * 32 * 17 * 2 * 3 * 4096 * 14_336);
    // Six of eight experts rest.
    let parameters = &report.model.parameters;
    assert_eq!(parameters.total - parameters.active, 32 * 6 * 3 * 4096 * 14_336);
}

#[test]
fn utilization_is_in_fractions_of_what_was_possible() {
    for command in ["utilization", "mfu"] {
        let report =
            estimate(&format!("{command} llama.json -p 10 -g 3 --time 1ms --devices 2 {PEAK}"));
        let utilization = report.utilization.expect("asked for");
        // In 1 ms two devices could do 2e9 FLOPs and move 2e8 bytes.
        assert_eq!(utilization.mfu, Some(report.flops.total as f64 / 2e9));
        let moved = report.bytes.read + report.bytes.written;
        assert!(close(utilization.mbu, moved as f64 / 2e8));
        assert_eq!(utilization.seconds, Some(1e-3));
        // Every pass takes longer to move than to compute: 140,160 + 2,560 bytes at 2e11 a second are
        // 714 ns for 1.27 MFLOP, 635 ns; decode alike.
        assert!(close(utilization.ideal_seconds, moved as f64 / 2e11));
        assert!(close(utilization.of_ideal, moved as f64 / 2e11 / 1e-3));
        assert_eq!(utilization.bound.as_deref(), Some("memory"));
        let prefill = report.bytes.prefill.read + report.bytes.prefill.written;
        assert!(close(utilization.prefill.ideal_seconds, prefill as f64 / 2e11));
        assert_eq!(utilization.decode.bound.as_deref(), Some("memory"));

        let device = report.device.expect("asked for");
        assert_eq!(
            (device.id.as_str(), device.count, device.dtype.as_str()),
            ("custom", 2, "bf16")
        );
        assert_eq!(device.peak_flops_per_second, 1e12);
        assert_eq!(device.bandwidth_bytes_per_second, Some(1e11));
        assert_eq!((device.memory_bytes, device.fits), (None, None), "nobody said how much it has");
    }
}

fn close(value: Option<f64>, expected: f64) -> bool {
    value.is_some_and(|value| (value / expected - 1.0).abs() < 1e-12)
}

#[test]
fn the_alias_mfu_is_utilization_itself() {
    let place = Place::with_llama();
    for format in ["table", "json", "csv", "markdown"] {
        let line = format!("llama.json -p 10 -g 3 --time 1ms {PEAK} --format {format}");
        let long = place.run(&format!("utilization {line}")).ok();
        assert_eq!(long, place.run(&format!("mfu {line}")).ok());
    }
}

#[test]
fn an_estimate_on_a_device_has_no_time_and_so_no_utilisation_of_it() {
    let report = estimate("estimate llama.json -p 10 -g 3 --device nvidia-h100-sxm-80gb");
    let utilization = report.utilization.expect("the roofline needs no time");
    assert_eq!((utilization.mfu, utilization.mbu, utilization.seconds), (None, None, None));
    assert!(utilization.ideal_seconds.is_some_and(|seconds| seconds > 0.0));
    let device = report.device.expect("asked for");
    // NVIDIA's sheet: 1979 TFLOP/s with sparsity, 3.35 TB/s, 80 GB.
    assert_eq!(device.id, "nvidia-h100-sxm-80gb");
    assert_eq!(device.peak_flops_per_second, 1979e12 / 2.0);
    assert_eq!(device.bandwidth_bytes_per_second, Some(3.35e12));
    assert_eq!((device.memory_bytes, device.fits), (Some(80_000_000_000), Some(true)));
}

#[test]
fn a_ratio_above_one_is_kept_and_explained() {
    let report = estimate(&format!("mfu llama.json -p 10 -g 3 --time 1ns {PEAK}"));
    // 1,552,896 FLOPs in 1 ns of 1e12 a second: 1552.9 times what is possible.
    assert!(report.utilization.is_some_and(|it| close(it.mfu, 1552.896)));
    assert!(report.notes.iter().any(|note| note.contains("above 1")), "{:?}", report.notes);
}

#[test]
fn times_have_units() {
    for (time, seconds) in
        [("2", 2.0), ("2s", 2.0), ("350ms", 0.35), ("80us", 8e-5), ("5ns", 5e-9), ("1.5min", 90.0)]
    {
        let report = estimate(&format!("mfu llama.json -p 1 --time {time} {PEAK}"));
        assert!(close(report.utilization.expect("asked for").seconds, seconds), "{time}");
    }
}

#[test]
fn what_is_given_overrules_the_table_and_is_said() {
    let line = "mfu llama.json -p 10 --time 1 --device nvidia-l4-24gb";
    let report = estimate(&format!("{line} --peak bf16=1e12 --bandwidth 1e11"));
    let device = report.device.expect("asked for");
    assert_eq!(device.peak_flops_per_second, 1e12);
    assert_eq!(device.bandwidth_bytes_per_second, Some(1e11));
    assert_eq!(report.notes.iter().filter(|note| note.contains("the one given")).count(), 2);
    // A peak of another dtype is not the one that is divided by.
    let report = estimate(&format!("{line} --peak fp8=1e12"));
    assert!(report.notes.iter().any(|note| note.contains("no given peak is of bf16")));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their being there is what is tested")]
struct DeviceRow {
    id: String,
    name: String,
    vendor: String,
    architecture: String,
    unit: String,
    memory_bytes: Option<u64>,
    bandwidth_bytes_per_second: Option<f64>,
    peak_flops_per_second: BTreeMap<String, f64>,
    confidence: String,
    source: String,
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Devices {
    devices: Vec<DeviceRow>,
}

#[test]
fn a_device_is_one_row_with_its_peaks_and_source() {
    let found: Devices =
        Place::new().run_args(["devices", "NVIDIA H100 80GB HBM3", "--format", "json"]).json();
    let [device] = &found.devices[..] else { panic!("{} rows", found.devices.len()) };
    assert_eq!(device.id, "nvidia-h100-sxm-80gb");
    assert_eq!(device.memory_bytes, Some(80_000_000_000));
    assert_eq!(device.bandwidth_bytes_per_second, Some(3.35e12));
    // The sheet prints 1979 and 3958 TFLOP/s with sparsity.
    assert_eq!(device.peak_flops_per_second["bf16"], 989.5e12);
    assert_eq!(device.peak_flops_per_second["fp8"], 1979e12);
    assert!(device.source.contains("data sheet"), "{}", device.source);
}

#[test]
fn devices_without_a_name_are_all_of_them() {
    let list: Devices = Place::new().run("devices --format json").json();
    assert_eq!(list.devices.len(), flopmeter::device::Device::all().len());
    let csv = Place::new().run("devices --format csv").ok();
    assert_eq!(rows(&csv).len(), list.devices.len());
}

#[test]
fn an_ambiguous_device_lists_candidates_on_standard_error() {
    for name in ["H100", "NVIDIA GeForce RTX 3080"] {
        let (message, candidates) = Place::new().run_args(["devices", name]).failure();
        assert!(message.starts_with(&format!("`{name}`: ")), "{message}");
        assert!(candidates.len() > 1, "{message}");
        for candidate in candidates {
            // Each is an id that resolves, and the fact that decides.
            let (id, fact) = candidate.trim().split_once("  — ").expect("id — fact");
            assert!(flopmeter::device::find(id).is_ok_and(|device| device.id() == id), "{id}");
            assert!(!fact.is_empty());
        }
    }
}

#[test]
fn an_unknown_device_lists_the_nearest_and_how_to_do_without() {
    let place = Place::with_llama();
    let (message, _) = place.run_args(["devices", "NVIDIA H1000"]).failure();
    assert!(message.starts_with("`NVIDIA H1000`: "), "{message}");
    assert!(message.contains("--peak bf16="), "{message}");
    let (same, _) = place
        .run_args(["mfu", "llama.json", "-p", "1", "--time", "1", "--device", "NVIDIA H1000"])
        .failure();
    assert_eq!(message, same);
}

#[test]
fn models_are_listed_and_described() {
    let list: Value = Place::new().run("models --format json").json();
    let rows = list["models"].as_array().expect("a list");
    assert_eq!(rows.len(), flopmeter::Builtin::all().len());
    let llama = rows.iter().find(|row| row["id"] == "meta-llama/Llama-3.1-8B").expect("a row");
    assert_eq!(llama["model_type"], "llama");
    assert_eq!(llama["parameters"], 8_030_261_248_u64);
    assert_eq!(llama["active_parameters"], 8_030_261_248_u64);

    let one: Value = Place::new().run("models llama3.1:8b --format json").json();
    // Ollama's tag is of the instructed model, which is as large.
    assert_eq!(one["id"], "meta-llama/Llama-3.1-8B-Instruct");
    assert_eq!(one["parameters"]["total"], 8_030_261_248_u64);
    assert_eq!(one["weight_bytes"], 2 * 8_030_261_248_u64);
    assert_eq!(one["kv_cache_bytes_per_token"], 32 * 2 * 8 * 128 * 2);
    let layers = one["layers"].as_array().expect("a list");
    let parameters =
        |group: &Value| Some(group["repeat"].as_u64()? * group["parameters"].as_u64()?);
    let sum: Option<u64> = layers.iter().map(parameters).sum();
    assert_eq!(sum, Some(8_030_261_248));
}

#[test]
fn a_model_is_the_same_by_path_folder_id_and_tag() {
    let place = Place::with_llama();
    std::fs::create_dir(place.path().join("folder")).expect("a folder");
    place.put("folder/config.json", run::LLAMA);
    let by_file = place.run("estimate llama.json -p 10 -g 3 --format json").json::<Report>();
    let by_folder = place.run("estimate folder -p 10 -g 3 --format json").json::<Report>();
    assert_eq!(by_folder.model.id, "folder");
    assert_eq!(by_file.flops.components, by_folder.flops.components);

    let by_id = estimate("estimate meta-llama/Llama-3.1-8B -p 10");
    let by_tag = estimate("estimate llama3.1:8b -p 10");
    assert_eq!(by_id.flops.components, by_tag.flops.components);
    assert!(by_tag.notes.iter().any(|note| note.contains("Ollama")), "{:?}", by_tag.notes);
}

#[test]
fn an_explanation_adds_up_to_the_estimate() {
    for (model, convention) in [
        ("llama.json", "model"),
        ("llama.json", "torch"),
        ("llama.json", "2pt"),
        ("mixtral-8x7b", "model"),
        ("deepseek-ai/DeepSeek-V3", "torch"),
        ("google/gemma-3-27b-it", "model"),
    ] {
        let place = Place::with_llama();
        for work in ["-p 10 -g 3", "--sequences 10:3,7:2", "-p 9 -g 2 --no-kv-cache --batch 2"] {
            let line = format!("{model} {work} --convention {convention} --format json");
            let report = place.run(&format!("estimate {line}")).json::<Report>();
            let explained: Explanation = place.run(&format!("explain {line}")).json();
            assert_eq!(explained.total, report.flops.total, "{line}");
            let mut sums = BTreeMap::<String, u128>::new();
            let phases = explained.sections.iter().filter(|section| {
                ["prefill", "decode"].iter().any(|phase| section.title.contains(phase))
            });
            for line in phases.flat_map(|section| &section.lines) {
                let name = line.name.split(" · ").next().unwrap_or_default();
                if flopmeter::Component::ALL.iter().any(|component| component.name() == name) {
                    let result: u128 = line.result.parse().expect("a count");
                    *sums.entry(name.to_owned()).or_default() += result;
                }
            }
            sums.retain(|_, count| *count > 0);
            assert_eq!(sums, report.flops.components, "{line}");
        }
    }
}

#[derive(Deserialize)]
struct Explanation {
    total: u128,
    sections: Vec<SectionJson>,
    not_counted: Vec<String>,
    unread_keys: Vec<String>,
}

#[derive(Deserialize)]
struct SectionJson {
    title: String,
    lines: Vec<LineJson>,
}

#[derive(Deserialize)]
struct LineJson {
    name: String,
    formula: String,
    numbers: String,
    result: String,
}

#[test]
fn an_explanation_goes_as_far_as_the_mfu_and_names_what_is_left_out() {
    let place = Place::with_llama();
    place.put("odd.json", run::LLAMA.replace('{', r#"{"num_odd_layers": 3, "#));
    let line = format!("explain odd.json -p 10 -g 3 --time 1ms {PEAK} --format json");
    let explained: Explanation = place.run(&line).json();
    assert_eq!(explained.unread_keys, ["num_odd_layers"]);
    assert!(explained.not_counted.iter().any(|what| what.contains("norms")));
    let lines = || explained.sections.iter().flat_map(|section| &section.lines);
    assert!(lines().all(|line| !line.name.is_empty() && !line.formula.is_empty()));
    let mfu = lines().find(|line| line.name == "MFU").expect("a line");
    assert_eq!(mfu.numbers, "1552896 ÷ (0.001 · 1e12 · 1)");
    assert_eq!(mfu.result, "0.001552896");
    assert!(explained.sections.iter().all(|section| !section.title.is_empty()));
}

#[test]
fn csv_is_the_json_flattened() {
    let place = Place::with_llama();
    let line = format!("mfu llama.json -p 10 -g 3 --time 1ms {PEAK}");
    let csv = place.run(&format!("{line} --format csv")).ok();
    let [row] = &rows(&csv)[..] else { panic!("{csv}") };
    let json: Value = place.run(&format!("{line} --format json")).json();
    let mut leaves = Vec::new();
    flatten(String::new(), &json, &mut leaves);
    assert_eq!(row.len(), leaves.len());
    for (path, value) in leaves {
        assert_eq!(row[&path], value, "{path}");
    }
    // In the order of the JSON, so that a person finds the id first.
    assert!(csv.starts_with("model.id,model.model_type,model.parameters.total,"), "{csv}");
}

fn flatten(path: String, value: &Value, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(path, value, leaves);
            }
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            leaves.push((path, items.join("; ")));
        }
        Value::Null => leaves.push((path, String::new())),
        Value::String(text) => leaves.push((path, text.clone())),
        other => leaves.push((path, other.to_string())),
    }
}

/// The rows of a CSV by the names in its first.
fn rows(csv: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    reader.deserialize().collect::<Result<_, _>>().expect("CSV")
}

#[test]
fn exit_codes_tell_failure_from_wrong_usage() {
    let place = Place::with_llama();
    for line in ["--help", "-h", "--version", "help estimate", "estimate --help", "mfu -h"] {
        let text = place.run(line).ok();
        assert!(!text.is_empty(), "{line}");
    }
    for line in
        ["estimate no-such-model-at-all -p 1", "devices no-such-device", "models nobody/has-it"]
    {
        place.run(line).failure();
    }
    for line in [
        "--no-such-option",
        "no-such-command",
        "estimate",
        "estimate llama.json",
        "estimate llama.json -p 1 -p 2",
        "estimate llama.json -p 1 --format xml",
        "estimate llama.json -p 1 --sequences 1:1",
        "estimate llama.json -p 1 --devices 2",
        "utilization llama.json -p 1 --device nvidia-l4-24gb",
        "utilization llama.json -p 1 --time 1",
        "explain llama.json -p 1 --time 1",
        "completions klingon",
    ] {
        let said = place.run(line).usage();
        assert!(said.contains("--help"), "{line}: {said}");
    }
    // No command at all is wrong usage too, and answered with the help.
    let nothing = place.run("");
    assert_eq!((nothing.code, nothing.out.as_str()), (Some(2), ""));
    assert!(nothing.err.contains("Usage: flopmeter <COMMAND>"), "{}", nothing.err);
}

#[test]
fn a_variant_of_an_ollama_tag_is_its_model_and_says_so() {
    let report = estimate("estimate llama3.1:8b-instruct-q4_K_M -p 10 --convention 2pt");
    assert_eq!(report.model.id, "meta-llama/Llama-3.1-8B-Instruct");
    assert!(report.notes.iter().any(|note| note.contains("variant")), "{:?}", report.notes);
    // 2·8e9 for each of 10 tokens of prompt and one that is generated.
    assert_eq!(report.flops.total, 2 * 8_000_000_000 * 11);
    // A tag that states the size which the row's own name does not.
    let report = estimate("estimate deepseek-r1:671b -p 10 -g 0 --convention 2pt");
    assert_eq!(report.flops.total, 2 * 671_000_000_000 * 10);
    Place::new().run("estimate llama3.1:9b -p 10").failure();
}
