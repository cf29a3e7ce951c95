//! `flopmeter compare` and `--convention all`, on the small llama of `run/mod.rs`.
//!
//! ```text
//! a row of 10 tokens: 3·1,384,960 = 4,154,880 by `model` (see train.rs); 55 pairs of 512 FLOPs, three times
//! the square           100 − 55 = 45 pairs more: 3·45·512 = 69,120
//! half the square      50 − 55 = −5 pairs: −3·5·512 = −7,680
//! the head, padded     64 · (128 − 100) = 1,792 elements, 6·10 a token: 107,520
//! ```

mod run;

use run::Place;
use serde_json::Value;

fn json(line: &str) -> Value {
    serde_json::from_str(&Place::with_llama().run(line).ok()).expect("JSON")
}

fn row<'j>(report: &'j Value, id: &str) -> &'j Value {
    let rows = report["conventions"].as_array().expect("a list");
    rows.iter().find(|row| row["id"] == id).expect("a row")
}

#[test]
fn a_difference_is_explained_term_by_term() {
    let report = json("compare model megatron llama.json -s 10 --format json");
    assert_eq!(report["from"]["flops"], 4_154_880);
    let terms = report["terms"].as_array().expect("a list");
    let found: Vec<(&str, i64)> = terms
        .iter()
        .map(|term| {
            (term["counts"].as_str().expect("a text"), term["flops"].as_i64().expect("a number"))
        })
        .collect();
    assert_eq!(
        found,
        [
            ("half the square of attention, S²/2", -7680),
            ("the head with a vocabulary padded to a multiple of 128", 107_520),
        ]
    );
    assert_eq!(report["to"]["flops"], 4_154_880 - 7680 + 107_520);
    assert_eq!(report["difference"], 107_520 - 7680);
    let share = terms[0]["share"].as_f64().expect("a number");
    assert!((share + 7680.0 / 4_154_880.0).abs() < 1e-12);
}

#[test]
fn a_table_says_it_in_words() {
    let out = Place::with_llama().run("compare model torch llama.json -s 10").ok();
    // 69,120 ÷ 4,154,880 = 1.66 %.
    let line = out.lines().find(|line| line.contains("the full square of attention")).expect(&out);
    assert!(line.contains("+1.7 %") && line.contains("+69,120"), "{line}");
    assert!(line.contains("the pairs that are seen, S·(S + 1)/2"), "{line}");
}

#[test]
fn requests_are_compared_as_well() {
    // vLLM has no score of a token with one after it, but of each with the whole prompt: 45 pairs more, 512 FLOPs each.
    let report = json("compare model vllm llama.json -p 10 -g 3 --format json");
    assert_eq!(report["difference"], 45 * 512);
    assert_eq!(report["workload"]["prompt"], 10);
}

#[test]
fn all_conventions_stand_side_by_side() {
    let line = "train llama.json -s 10 --convention all --peak bf16=1e12 --time 1us --format json";
    let report = json(line);
    assert_eq!(report["step"]["tokens"], 10);
    assert_eq!(row(&report, "model")["of_model"], 1.0);
    assert_eq!(row(&report, "torch")["flops"], 4_154_880 + 69_120);
    // 10⁶ FLOPs are possible.
    assert!((row(&report, "torch")["mfu"].as_f64().expect("a number") - 4.224).abs() < 1e-9);
    let report = json("estimate llama.json -p 10 -g 3 --convention all --format json");
    assert_eq!(row(&report, "vllm")["flops"], 1_552_896 + 45 * 512);
    let ids = report["conventions"].as_array().expect("a list").iter().map(|row| &row["id"]);
    assert!(ids.clone().all(|id| id != "palm") && ids.count() == 6);
}

/// 4,154,880 FLOPs and, layers forward once more, 1,256,960; of Megatron's half squares 3·(10·135,680 + 50·512) with a
/// vocabulary of 128, its 28 further rows 3·10·128·28, and again 10·122,880 + 50·512.
#[test]
fn what_is_computed_again_has_columns_of_its_own() {
    let step =
        "train llama.json -s 10 --recompute full --convention all --peak bf16=1e12 --time 10us";
    let report = json(&format!("{step} --format json"));
    let near = |value: &Value, expected: f64| {
        assert!((value.as_f64().expect("a number") / expected - 1.0).abs() < 1e-12, "{value}");
    };
    assert_eq!(row(&report, "model")["executed"], 4_154_880 + 1_256_960);
    near(&row(&report, "model")["mfu"], 0.415_488);
    near(&row(&report, "model")["hfu"], 0.541_184);
    let megatron = 3 * (10 * 135_680 + 50 * 512) + 3 * 10 * 128 * 28;
    assert_eq!(row(&report, "megatron")["flops"], megatron);
    assert_eq!(row(&report, "megatron")["executed"], megatron + 10 * 122_880 + 50 * 512);
    let place = Place::with_llama();
    let table = place.run(step).ok();
    assert!(table.contains("HFU") && table.contains("executed"), "{table}");
    // A request computes nothing again: the columns would say the same twice.
    let table = place.run("estimate llama.json -p 10 --convention all").ok();
    assert!(!table.contains("HFU") && !table.contains("executed"), "{table}");
}

#[test]
fn ranks_stand_below_all_conventions() {
    for (line, alone) in [
        ("estimate llama.json -p 10 -g 3 --batch 2", "model"),
        ("train llama.json -s 10 -b 2", "model"),
    ] {
        let line = format!("{line} --tp 2 --dp 2 --device nvidia-h100-sxm-80gb");
        let all = json(&format!("{line} --convention all --format json"));
        let one = json(&format!("{line} --convention {alone} --format json"));
        for part in ["parallelism", "ranks", "device"] {
            assert_eq!(all[part], one[part], "{line}: {part}");
        }
        let text = Place::with_llama().run(&format!("{line} --convention all")).ok();
        assert!(text.contains("4 devices: data 2, tensor 2"), "{text}");
        assert!(text.contains("note: ranks are counted by the convention `model`"), "{text}");
    }
}

#[test]
fn what_does_not_apply_says_why() {
    let place = Place::with_llama();
    let run = place.run("train google-t5/t5-small -s 10 --target 4 --convention all --format json");
    let report: Value = serde_json::from_str(&run.ok()).expect("JSON");
    let why = row(&report, "megatron")["does_not_apply"].as_str().expect("a reason");
    assert!(why.contains("an encoder beside its decoder"), "{why}");
    let run = place.run("explain llama.json -p 10 --convention all");
    assert!(
        run.err.contains("`all`: is every convention, and one is taken at a time"),
        "{}",
        run.err
    );
    for line in ["plot batch llama.json", "train llama.json -s 10 --explain"] {
        let run = place.run(&format!("{line} --convention all"));
        let fact = "error: `all`: is every convention, and one is taken at a time; `estimate`";
        assert!(run.err.starts_with(fact), "{}", run.err);
    }
    let run = place.run("compare megatron vllm llama.json -s 10");
    assert!(run.err.contains("`vllm`: does not apply: it counts requests"), "{}", run.err);
    assert_eq!(place.run("compare megatron vllm llama.json").code, Some(2));
}
