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
    let run = place.run("compare megatron vllm llama.json -s 10");
    assert!(run.err.contains("`vllm`: does not apply: it counts requests"), "{}", run.err);
    assert_eq!(place.run("compare megatron vllm llama.json").code, Some(2));
}
