//! What lies between two conventions sums to their difference, for every pair of them.

use flopmeter::{Builtin, Comparison, Convention, Model, Step, Workload};

const MODELS: [&str; 8] = [
    "meta-llama/Llama-3.1-8B",
    "gpt2",
    "google/gemma-2-2b",
    "openai/gpt-oss-20b",
    "mistralai/Mixtral-8x7B-v0.1",
    "Qwen/Qwen3-30B-A3B",
    "deepseek-ai/DeepSeek-V3",
    "tiiuae/falcon-mamba-7b",
];

fn model(name: &str) -> Model {
    Builtin::find(name).and_then(Builtin::model).expect("a model")
}

fn check(comparison: &Comparison, pair: &str) {
    let sum: i128 = comparison.terms.iter().map(|term| term.flops).sum();
    assert_eq!(comparison.from as i128 + sum, comparison.to as i128, "{pair}");
    assert!(comparison.terms.iter().all(|term| term.flops != 0), "{pair}");
}

/// Compares all pairs that apply, and gives how many there are.
fn all_pairs(compare: impl Fn(&Convention, &Convention) -> flopmeter::Result<Comparison>) -> usize {
    let mut compared = 0;
    for a in Convention::ALL {
        for b in Convention::ALL {
            let pair = format!("{} {}", a.id, b.id);
            match compare(a, b) {
                Ok(comparison) => {
                    check(&comparison, &pair);
                    compared += 1;
                }
                Err(error) => assert!(error.to_string().contains("does not apply"), "{error}"),
            }
        }
    }
    compared
}

#[test]
fn the_terms_of_two_steps_sum_to_their_difference() {
    let steps = [
        Step::new(512, 3).expect("a step"),
        Step::packed(&[7, 100, 4000], 2).expect("a step"),
        Step::new(777, 1).expect("a step").with_reference_forwards(2),
    ];
    for name in MODELS {
        let model = model(name);
        for step in &steps {
            let compared = all_pairs(|a, b| model.compare_steps(step, a, b));
            assert!(compared >= 16, "{name}: {compared}");
        }
    }
}

#[test]
fn the_terms_of_two_requests_sum_to_their_difference() {
    let whole = Workload::request(100, 20).without_kv_cache().expect("a workload");
    for name in MODELS {
        let model = model(name);
        for workload in [&Workload::request(5000, 40), &Workload::request(30, 0), &whole] {
            let compared = all_pairs(|a, b| model.compare_requests(workload, a, b));
            // `model`, `torch`, and `2pt` under both of its names, with each other.
            assert!(compared >= 16, "{name}: {compared}");
        }
    }
}

fn terms(comparison: &Comparison) -> Vec<(&str, i128)> {
    comparison.terms.iter().map(|term| (term.counts.as_str(), term.flops)).collect()
}

/// Llama-3.1-8B, one row of 8192: 2·S²·L·H·d FLOPs for a square's scores and as many for its values, three times; 266,240
/// parameters of norms (65 of 4096), six FLOPs a token.
#[test]
fn why_torchtitan_and_megatron_disagree() {
    let llama = model("meta-llama/Llama-3.1-8B");
    let [torchtitan, megatron] = ["torchtitan", "megatron"].map(|it| it.parse().expect("known"));
    let step = Step::new(8192, 1).expect("a step");
    let comparison = llama.compare_steps(&step, &megatron, &torchtitan).expect("a comparison");
    let square = 3 * 2 * 8192 * 8192 * 32 * 32 * 128;
    assert_eq!(
        terms(&comparison),
        [
            ("the full square of attention", square),
            ("norms and biases as products", 6 * 65 * 4096 * 8192)
        ]
    );
}

/// Mixtral, of 2·T FLOPs a parameter: six experts of eight in 32 layers idle, 3·4096·14,336 each; a table of 32,000·4096;
/// 65 norms of 4096; no attention, of T(T + 1)/2 pairs. Three times.
#[test]
fn six_for_each_parameter_are_explained_part_by_part() {
    let mixtral = model("mistralai/Mixtral-8x7B-v0.1");
    let [exact, chinchilla] = [Convention::MODEL, "chinchilla".parse().expect("known")];
    let step = Step::new(100, 1).expect("a step");
    let comparison = mixtral.compare_steps(&step, &exact, &chinchilla).expect("a comparison");
    assert_eq!(
        terms(&comparison),
        [
            ("no scores and values of attention", -3 * 4 * (100 * 101 / 2) * 32 * 4096),
            ("all experts", 6 * 100 * 32 * 6 * 3 * 4096 * 14_336),
            ("the table of tokens as a product", 6 * 100 * 32_000 * 4096),
            ("norms and biases as products", 6 * 100 * 65 * 4096),
        ]
    );
}
