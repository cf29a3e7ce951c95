//! `flopmeter sweep`, on the small llama of `run/mod.rs`; the arithmetic of its numbers is in `sessions.rs` and
//! `train.rs`.

mod run;

use run::{LLAMA, Place, Report};
use std::collections::BTreeMap;
use std::process::Stdio;

const HARDWARE: &str = "--peak bf16=1e12 --bandwidth 1e11";

type Row = BTreeMap<String, serde_json::Value>;

fn rows(line: &str) -> Vec<Row> {
    let out = Place::with_llama().run(&format!("{line} --format json")).ok();
    out.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

/// A column of all rows, as JSON has it.
fn column(rows: &[Row], name: &str) -> Vec<String> {
    rows.iter().map(|row| row[name].to_string()).collect()
}

fn number(row: &Row, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("{name} of {row:?}"))
}

#[track_caller]
fn near(left: f64, right: f64) {
    assert!(left == right || (left / right - 1.0).abs() < 1e-12, "{left} and {right}");
}

#[test]
fn a_row_has_the_figures_that_follow_on_paper() {
    let rows = rows(&format!("sweep llama.json -p 10 -g 3 {HARDWARE}"));
    let [row] = &*rows else { panic!("{rows:?}") };
    for (name, value) in [
        ("prefill_flops", 1_269_760.0),
        ("decode_flops", 283_136.0),
        ("flops", 1_552_896.0),
        ("prefill_bytes", 140_160.0 + 10.0 * 256.0),
        ("decode_bytes", 278_784.0 + 2.0 * 256.0),
        ("bytes", 418_944.0 + 3_072.0),
        ("prefill_seconds", 142_720.0 / 1e11),
        ("decode_seconds", 279_296.0 / 1e11),
        ("seconds", 422_016.0 / 1e11),
        ("seconds_per_token", 279_296.0 / 1e11 / 2.0),
        ("tokens_per_second", 3.0 / (422_016.0 / 1e11)),
        ("tokens_per_second_per_device", 3.0 / (422_016.0 / 1e11)),
        // Memory binds throughout, so the bandwidth is used whole.
        ("mbu", 1.0),
        ("mfu", 1_552_896.0 / 1e12 / (422_016.0 / 1e11)),
        ("weights_bytes", 149_120.0),
        ("kv_cache_bytes", 3_072.0),
        ("memory_bytes", 152_192.0),
        ("memory_bytes_per_device", 152_192.0),
    ] {
        near(number(row, name), value);
    }
    assert_eq!(row["prefill_bound"], "memory");
    assert_eq!(row["decode_bound"], "memory");
    // How much memory it has was not said.
    assert!(row["fits"].is_null());
}

#[test]
fn every_combination_is_a_row_and_the_last_axis_runs_fastest() {
    let rows = rows(
        "sweep llama.json -p 4..8x2 -g 1,3 -b 1..3+2 --devices 1,4 --dtype bf16,fp16 --peak bf16=1e12,fp16=2e12 \
         --bandwidth 1e11",
    );
    assert_eq!(rows.len(), 2 * 2 * 2 * 2 * 2);
    let of = |row: &Row| {
        ["dtype", "devices", "prompt", "generate", "batch"].map(|name| row[name].to_string())
    };
    let mut expected = Vec::new();
    for dtype in ["\"bf16\"", "\"fp16\""] {
        for devices in ["1", "4"] {
            for prompt in ["4", "8"] {
                for generate in ["1", "3"] {
                    for batch in ["1", "3"] {
                        expected.push([dtype, devices, prompt, generate, batch].map(String::from));
                    }
                }
            }
        }
    }
    assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), expected);
}

/// Every row is what `utilization` says of its point.
#[test]
fn a_row_agrees_with_an_estimate_of_its_point() {
    let place = Place::new();
    place.put("llama.json", LLAMA);
    let hardware = "--device nvidia-l4-24gb";
    let line = format!(
        "sweep llama.json -p 1..100000x10 -g 0..200+100 -b 1,500 --devices 1,3 {hardware} --format json"
    );
    for line in place.run(&line).ok().lines() {
        let row: Row = serde_json::from_str(line).expect("a row");
        let [prompt, generate, batch, devices] =
            ["prompt", "generate", "batch", "devices"].map(|name| row[name].to_string());
        let time = row["seconds"].to_string();
        let report: Report = place
            .run(&format!(
                "mfu llama.json -p {prompt} -g {generate} --batch {batch} --devices {devices} {hardware} --time {time} \
                 --format json"
            ))
            .json();
        assert_eq!(row["flops"].to_string(), report.flops.total.to_string());
        assert_eq!(row["prefill_flops"].to_string(), report.flops.prefill.to_string());
        assert_eq!(
            row["bytes"].to_string(),
            (report.bytes.read + report.bytes.written).to_string()
        );
        let utilization = report.utilization.expect("a device");
        near(number(&row, "seconds"), utilization.ideal_seconds.expect("a time"));
        near(number(&row, "mfu"), utilization.mfu.expect("a ratio"));
        near(number(&row, "mbu"), utilization.mbu.expect("a ratio"));
        assert_eq!(row["fits"].as_bool(), report.device.expect("a device").fits);
    }
}

/// Of 10 tokens and 3 more a sequence holds 3,072 bytes beside 149,120 of weights: 3 of them are below 160 kB. More of
/// them in a batch use what is read better, so the largest that is allowed is the best.
#[test]
fn the_best_row_keeps_the_limits() {
    let line = format!("sweep llama.json -p 10 -g 3 -b 1..8 {HARDWARE} --best throughput");
    let rows = rows(&format!("{line} --limit memory=160kB"));
    let limits = ["true", "true", "true", "false", "false", "false", "false", "false"];
    assert_eq!(column(&rows, "within_limits"), limits);
    let best = ["false", "false", "true", "false", "false", "false", "false", "false"];
    assert_eq!(column(&rows, "best"), best);
    let place = Place::with_llama();
    let table = place.run(&format!("{line} --limit memory=160kB")).ok();
    let marked: Vec<&str> = table.lines().filter(|line| line.ends_with(" best")).collect();
    assert_eq!(marked.len(), 1, "{table}");
    assert!(marked[0].trim_start().starts_with("3 "), "{table}");
    assert_eq!(table.lines().filter(|line| line.ends_with(" over")).count(), 5, "{table}");
    assert!(table.contains("note: best throughput: "), "{table}");

    // A request of 4.22 µs is not done in one: nothing is chosen.
    let none = place.run(&format!("{line} --limit latency=1us")).ok();
    assert!(none.contains("note: best throughput: no row fits and keeps the limits"), "{none}");
    assert!(!none.lines().any(|line| line.ends_with(" best")));
}

/// Times are limits from above, throughputs from below; 3 tokens of one request take 4.22016 µs.
#[test]
fn a_limit_is_on_the_side_that_its_name_says() {
    for (limit, keeps) in [
        ("latency=4.3us", "true"),
        ("latency=4.2us", "false"),
        ("ttft=1.43us", "true"),
        ("ttft=1.42us", "false"),
        ("tpot=1.4us", "true"),
        ("tpot=1.39us", "false"),
        ("throughput=710000", "true"),
        ("throughput=711000", "false"),
        ("mbu=99%", "true"),
        ("mfu=37%", "false"),
        ("mfu=36%,memory=152.192kB", "true"),
        ("mfu=36%,memory=152kB", "false"),
    ] {
        let line = format!("sweep llama.json -p 10 -g 3 {HARDWARE} --limit {limit}");
        assert_eq!(column(&rows(&line), "within_limits"), [keeps], "{limit}");
    }
}

/// A T4 has no bf16 peak. Its bytes are known all the same, and so is what an L4 does.
#[test]
fn a_peak_that_is_not_known_leaves_a_row_without_a_time() {
    let line = "sweep llama.json -p 10 --device nvidia-t4-16gb,nvidia-l4-24gb --dtype fp16,bf16";
    let rows = rows(line);
    let known: Vec<bool> = rows.iter().map(|row| row["seconds"].is_f64()).collect();
    assert_eq!(known, [true, false, true, true]);
    assert!(rows.iter().all(|row| row["flops"].is_u64() && row["fits"] == true));
    let place = Place::with_llama();
    let table = place.run(line).ok();
    assert!(table.contains("no bf16 peak of nvidia-t4-16gb is known"), "{table}");
    let alone = place.run("sweep llama.json -p 10 --device nvidia-t4-16gb").failure().0;
    assert!(alone.contains("no bf16 peak is known"), "{alone}");
}

/// A step of 10 tokens: 4,154,880 FLOPs; its layers forward once more 10·122,880 + 55·512 = 1,256,960.
#[test]
fn steps_of_training_are_gone_through_too() {
    let line = format!(
        "sweep llama.json --sequence 10 -b 1,2 --recompute none,full --devices 2 {HARDWARE}"
    );
    let rows = rows(&line);
    assert_eq!(column(&rows, "recompute"), ["\"none\"", "\"none\"", "\"full\"", "\"full\""]);
    assert_eq!(column(&rows, "flops"), ["4154880", "8309760", "4154880", "8309760"]);
    assert_eq!(column(&rows, "executed_flops"), ["4154880", "8309760", "5411840", "10823680"]);
    assert_eq!(column(&rows, "tokens"), ["10", "20", "10", "20"]);
    near(number(&rows[2], "seconds"), 5_411_840.0 / 2e12);
    near(number(&rows[2], "mfu"), 4_154_880.0 / 5_411_840.0);
    near(number(&rows[0], "mfu"), 1.0);
    near(number(&rows[0], "tokens_per_second"), 10.0 / (4_154_880.0 / 2e12));
    near(number(&rows[0], "tokens_per_second_per_device"), 5.0 / (4_154_880.0 / 2e12));
    let place = Place::with_llama();
    let asked = place.run(&format!("{line} --limit ttft=1s")).failure().0;
    assert!(asked.contains("is of requests"), "{asked}");
}

/// Of 74,560 parameters a step holds 2 bytes of weights and of gradients each and 12 of the optimizer. A token of a layer
/// keeps what norms read 2·2·64, what q, k, v and gate, up read 2·2·64, q, k, v 2·128, what o reads 2·64, gate and up
/// 2·2·96, what down reads 2·96: 1,472; a pair of positions 2 for each of 4 heads; outside, the last norm's input 128, the
/// head's 128 and its 100 logits 4 each.
#[test]
fn a_step_holds_weights_gradients_optimizer_and_activations() {
    let held = |line: &str| {
        let row = rows(&format!("sweep llama.json -s 10 {line} --device nvidia-l4-24gb")).remove(0);
        assert_eq!(row["fits"], true);
        let of = ["weights", "gradients", "optimizer", "activations", "memory"];
        of.map(|name| row[&format!("{name}_bytes")].as_u64().expect("a size"))
    };
    let states = 149_120 + 149_120 + 894_720;
    let row = 2 * (10 * 1472 + 100 * 8) + 10 * (128 + 128 + 400);
    assert_eq!(held("-b 3"), [149_120, 149_120, 894_720, 3 * row, states + 3 * row]);
    // Of two micro-batches one is under way.
    assert_eq!(held("-b 3 --accumulate 2")[3], 3 * row);
    // Scores are not kept, but a sum of 4 bytes for each query and head.
    let flash = 2 * 10 * (1472 + 16) + 10 * (128 + 128 + 400);
    assert_eq!(held("-b 1 --flash")[3], flash);
    // Each of two devices has half of it, at best.
    let rows = rows("sweep llama.json -s 10 -b 3 --device nvidia-l4-24gb --devices 2");
    assert_eq!(number(&rows[0], "memory_bytes_per_device"), (states + 3 * row) as f64 / 2.0);
}

const CUT: &str = "--tp 1,2 --pp 1,2 --dp 1,2 --device nvidia-h100-sxm-80gb";

/// A number of a JSON value, at a path.
fn at(value: &serde_json::Value, path: &str) -> f64 {
    value.pointer(path).and_then(serde_json::Value::as_f64).unwrap_or_else(|| panic!("{path}"))
}

/// The largest sum over what one rank sends.
fn most_sent(ranks: &[serde_json::Value], phases: &[&str]) -> f64 {
    let of = |rank: &serde_json::Value| -> f64 {
        let sent = rank["sent"].as_array().into_iter().flatten();
        sent.flat_map(|it| phases.iter().map(move |phase| at(it, phase))).sum()
    };
    ranks.iter().map(of).fold(0.0, f64::max)
}

/// Every row is what `estimate` says of the ranks of its plan.
#[test]
fn a_row_of_a_plan_has_the_most_that_a_rank_of_it_does() {
    let place = Place::with_llama();
    let rows = rows(&format!("sweep llama.json -p 10 -g 3 -b 4 {CUT}"));
    assert_eq!(rows.len(), 8);
    for row in &rows {
        let [tp, pp, dp] = ["tp", "pp", "dp"].map(|name| row[name].to_string());
        let plan = format!("--tp {tp} --pp {pp} --dp {dp} --device nvidia-h100-sxm-80gb");
        let line = format!("estimate llama.json -p 10 -g 3 --batch 4 {plan} --format json");
        let report: serde_json::Value = place.run(&line).json();
        assert_eq!(row["flops"], report["flops"]["total"]);
        let Some(ranks) = report["ranks"].as_array() else {
            assert_eq!((row["devices"].as_u64(), &row["rank_flops"]), (Some(1), &row["flops"]));
            continue;
        };
        assert_eq!(row["devices"], report["parallelism"]["devices"]);
        let most = |path| ranks.iter().map(|rank| at(rank, path)).fold(0.0, f64::max);
        near(number(row, "rank_flops"), most("/flops/total"));
        let held = ranks.iter().map(|it| at(it, "/bytes/weights") + at(it, "/bytes/kv_cache"));
        near(number(row, "memory_bytes_per_device"), held.fold(0.0, f64::max));
        let moved = ranks
            .iter()
            .map(|it| at(it, "/count") * (at(it, "/bytes/read") + at(it, "/bytes/written")));
        near(number(row, "bytes"), moved.sum());
        let sent = most_sent(ranks, &["/prefill", "/decode"]);
        assert_eq!(number(row, "sent_bytes"), sent);
        // 900 GB/s both ways.
        near(number(row, "link_seconds"), sent / 450e9);
        assert_eq!(row["fits"], report["device"]["fits"]);
        // Whatever the schedule, the device that has most to do has to do it.
        let bound = number(row, "rank_flops") / 989.5e12;
        assert!(number(row, "seconds") > bound.max(number(row, "link_seconds")));
    }
}

/// Two stages of a layer each, and a head on the second; two micro-batches.
#[test]
fn a_row_of_a_step_has_the_bubble_and_the_memory_of_its_ranks() {
    let place = Place::with_llama();
    let step = "-s 10 -b 4 --accumulate 2";
    for row in rows(&format!("sweep llama.json {step} {CUT} --zero 0,1,3")) {
        let [tp, pp, dp, zero] = ["tp", "pp", "dp", "zero"].map(|name| row[name].to_string());
        let plan = format!("--tp {tp} --pp {pp} --dp {dp} --zero {zero}");
        let line =
            format!("train llama.json {step} {plan} --device nvidia-h100-sxm-80gb --format json");
        let report: serde_json::Value = place.run(&line).json();
        let Some(ranks) = report["ranks"].as_array() else { continue };
        assert_eq!(row["devices"], report["parallelism"]["devices"]);
        assert_eq!(row["flops"], report["flops"]["total"]);
        let executed: Vec<f64> = ranks.iter().map(|it| at(it, "/flops/executed")).collect();
        let most = executed.iter().copied().fold(0.0, f64::max);
        near(number(&row, "rank_flops"), most);
        let others = executed.iter().sum::<f64>() - most;
        near(number(&row, "bubble"), others / 2.0 / most);
        let held = ranks.iter().map(|it| at(it, "/memory/total")).fold(0.0, f64::max);
        assert_eq!(number(&row, "memory_bytes"), held);
        assert_eq!(number(&row, "memory_bytes_per_device"), held);
        let sent = most_sent(ranks, &["/bytes"]);
        assert_eq!(number(&row, "sent_bytes"), sent);
        let products = most / 989.5e12 * (1.0 + number(&row, "bubble"));
        near(number(&row, "seconds"), products.max(sent / 450e9));
        let possible = number(&row, "seconds") * 989.5e12 * number(&row, "devices");
        near(number(&row, "mfu"), number(&row, "flops") / possible);
    }
}

/// 4 heads and 2 layers; 4 sequences.
#[test]
fn combinations_that_cannot_be_cut_are_left_out_and_said() {
    let place = Place::with_llama();
    let line = "sweep llama.json -p 10 -b 4 --tp 1..4 --pp 1..3 --dp 1,3";
    let csv = place.run(&format!("{line} --format csv"));
    assert_eq!((csv.code, csv.out.lines().count()), (Some(0), 1 + 3 * 2), "{csv:?}");
    let said: Vec<&str> = csv.err.lines().collect();
    let [data, pipeline, tensor] = &*said else { panic!("{said:?}") };
    // Of 24, those whose heads are cut by 3; of the rest those with 3 stages; of the rest, those with 3 replicas.
    assert!(tensor.starts_with("note: 6 of 24 combinations cannot be cut and are left out: "));
    assert!(tensor.contains("4 heads cannot be shared evenly by 3"), "{tensor}");
    assert!(pipeline.starts_with("note: 6 of 24 combinations"), "{pipeline}");
    assert!(data.starts_with("note: 6 of 24 combinations"), "{data}");
    assert!(data.contains("4 sequences cannot be shared evenly by 3"), "{data}");
    let table = place.run(line).ok();
    assert!(said.iter().all(|note| table.contains(note)), "{table}");

    // A number of devices keeps the plans that take it.
    let kept = place.run(&format!("{line} --devices 4 --format json"));
    assert!(kept.err.contains("22 of 24 combinations take another number of devices"), "{kept:?}");
    let kept: Vec<Row> =
        kept.out.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let of = |row: &Row| ["tp", "pp", "dp"].map(|name| row[name].as_u64().unwrap_or(0));
    assert_eq!(kept.iter().map(of).collect::<Vec<_>>(), [[2, 2, 1], [4, 1, 1]]);
    for (sizes, fact) in [
        ("--tp 3", "4 heads cannot be shared evenly by 3; the nearest are 2 and 4"),
        ("--tp 1,2 --devices 5", "--devices: is none that these sizes make"),
        ("--tp 0", "tensor: is 0"),
    ] {
        let (message, _) = place.run(&format!("sweep llama.json -p 1 {sizes}")).failure();
        assert!(message.contains(fact), "{sizes}: {message}");
    }
    let (message, _) = place.run("sweep llama.json -p 1 --zero 1").failure();
    assert!(message.contains("zero: is of training"), "{message}");
}

/// The best plan within the memory of a device: of the step above without its logits.
#[test]
fn the_best_plan_keeps_the_limits() {
    let line = format!("sweep llama.json -s 10 -b 8 {CUT} --zero 1 --best throughput-per-device");
    let all = rows(&line);
    let best = all.iter().find(|row| row["best"] == true).expect("one");
    // Nothing is sent by a device that is alone, and no other is as busy.
    assert_eq!(column(std::slice::from_ref(best), "devices"), ["1"]);
    let limit = number(best, "memory_bytes") - 1.0;
    let within = rows(&format!("{line} --limit memory={limit}"));
    let best = within.iter().find(|row| row["best"] == true).expect("one");
    assert!(number(best, "memory_bytes") <= limit);
    assert!(number(best, "devices") > 1.0);
}

/// `2pt` counts 2·74,560·13; PaLM's formula is of training.
#[test]
fn conventions_are_an_axis() {
    let named = rows("sweep llama.json -p 10 -g 3 --convention model,2pt");
    assert_eq!(column(&named, "convention"), ["\"model\"", "\"2pt\""]);
    assert_eq!(column(&named, "flops"), ["1552896", &(2 * 74_560 * 13).to_string()]);
    let place = Place::with_llama();
    let all = place.run("sweep llama.json -s 10 --convention all").ok();
    assert!(all.contains("\n megatron ") && all.contains("\n palm "), "{all}");
    assert!(!all.contains("vllm"), "{all}");
    place.put(
        "t5.json",
        r#"{"model_type": "t5", "d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 2, "num_heads": 4, "vocab_size": 100}"#,
    );
    let some = place.run("sweep t5.json -p 10 --convention all").ok();
    assert!(some.contains("note: vllm does not apply: "), "{some}");
    // Ranks are counted product by product all the same.
    let cut =
        place.run("sweep llama.json -s 10 -b 2 --convention megatron --tp 2 --format json").ok();
    let row: Row = serde_json::from_str(&cut).expect("a row");
    let model = rows("sweep llama.json -s 10 -b 2 --tp 2").remove(0);
    assert_eq!(row["rank_flops"], model["rank_flops"]);
    assert_ne!(row["flops"], model["flops"]);
}

#[test]
fn csv_and_markdown_have_the_same_rows() {
    let place = Place::with_llama();
    let line = format!("sweep llama.json -p 1..300 -b 1..30 {HARDWARE}");
    let csv = place.run(&format!("{line} --format csv")).ok();
    let mut lines = csv.lines();
    let heading = lines.next().expect("a heading");
    assert!(heading.starts_with("model,convention,device,dtype,devices,prompt,"), "{heading}");
    let columns = heading.split(',').count();
    let rows: Vec<&str> = lines.collect();
    assert_eq!(rows.len(), 9000);
    assert!(rows.iter().all(|row| row.split(',').count() == columns));
    assert!(rows[0].starts_with("llama.json,model,custom,bf16,1,1,1,1,"), "{}", rows[0]);
    assert!(rows[8999].starts_with("llama.json,model,custom,bf16,1,300,1,30,"), "{}", rows[8999]);
    let markdown = place.run(&format!("{line} --format markdown")).ok();
    assert_eq!(markdown.lines().filter(|line| line.starts_with("| ")).count(), 9002);
    // Without hardware there is no column of what it would do.
    let bare = place.run("sweep llama.json -p 1,2").ok();
    assert!(bare.contains("memory") && !bare.contains("MFU") && !bare.contains('–'), "{bare}");
}

#[test]
fn a_name_with_a_comma_is_quoted() {
    let place = Place::new();
    place.put("a,\"b\".json", LLAMA);
    let out = place.run_args(["sweep", "a,\"b\".json", "-p", "1", "--format", "csv"]).ok();
    assert!(out.lines().nth(1).expect("a row").starts_with("\"a,\"\"b\"\".json\",model,"), "{out}");
}

#[test]
fn hostile_ranges_are_told_why() {
    let place = Place::with_llama();
    for (range, fact) in [
        ("9..1", "ends before it begins"),
        ("1..9+0", "adds 0"),
        ("1..9x1", "multiply by at least 2"),
        ("0..9x2", "never leaves 0"),
        ("1..99999999999999999999", "more than 18446744073709551615"),
        ("one", "not a number, a list"),
        ("-1", "not a number, a list"),
    ] {
        let run = place.run(&format!("sweep llama.json -p {range}"));
        assert_eq!(run.code, Some(2), "{range}: {run:?}");
        assert!(run.err.contains(fact), "{range}: {}", run.err);
    }
    for (axes, fact) in [
        ("-p 0..18446744073709551615", "has 18446744073709551616 points; at most 100000000"),
        ("-p 1..100000001", "has 100000001 points"),
        (
            "-p 0..18446744073709551615 -g 0..18446744073709551615 -b 1..2",
            "has more than 2^128 points",
        ),
        ("-p 1,0 -b 0", "batch: is 0"),
        ("-p 18446744073709551615 -g 2", "prompt 18446744073709551615 generate 2"),
        ("-p 1 --devices 0 --peak bf16=1", "devices: is 0"),
        ("-s 0", "sequence: is 0"),
    ] {
        let (message, _) = place.run(&format!("sweep llama.json {axes}")).failure();
        assert!(message.contains(fact), "{axes}: {message}");
    }
    let unrated = place.run("sweep llama.json -p 1 --best latency");
    assert_eq!(unrated.code, Some(2), "{unrated:?}");
}

/// The first rows of the largest sweep there may be come at once, and whoever reads no more is no failure.
#[test]
fn rows_come_as_they_are_counted() {
    let place = Place::with_llama();
    let mut child = place
        .command()
        .args(["sweep", "llama.json", "-p", "1..100000000", "--format", "csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut first = String::new();
    let out = child.stdout.take().expect("a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut first).expect("a line");
    assert!(first.starts_with("model,"), "{first}");
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), &b""[..]));
}
