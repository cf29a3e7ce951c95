//! Published formulas give what their projects and papers print.

use flopmeter::{Builtin, Config, Convention, Model, Recompute, Step, TrainingFlops};

fn count(model: &Model, convention: &str, step: &Step) -> TrainingFlops {
    let convention: Convention = convention.parse().expect("a convention");
    model.training(step, &convention).and_then(|training| training.flops(step)).expect("a count")
}

fn llama() -> Model {
    Builtin::find("meta-llama/Llama-3.1-8B").and_then(Builtin::model).expect("a model")
}

/// Llama-3.1-8B, one row of 8192: N = 8,030,261,248, of which 525,336,576 are the table and as many the head; L = 32,
/// H = 32, Q = 128, h = 4096, V = 128,256.
#[test]
fn a_row_of_8192_tokens_of_llama() {
    let (tokens, squares) = (8192, 12 * 32 * 32 * 128 * 8192);
    let gpt = 32 * 4096 * 4096 * 8192;
    let head = 2 * 8192 * 4096 * 128_256;
    for (convention, expected) in [
        ("model", 421_651_971_833_856),
        ("torch", 474_422_087_516_160), // PyTorch's counter over the meta device, as Lightning runs it
        ("palm", (6 * 8_030_261_248 + squares) * tokens),
        // nanoGPT's `estimate_mfu`, run.
        ("nanogpt", 500_256_517_128_192),
        ("llm-foundry", 500_256_517_128_192),
        ("chinchilla", 6 * 8_030_261_248 * tokens),
        ("kaplan", 6 * (8_030_261_248 - 2 * 525_336_576) * tokens),
        // 72·B·L·S·h²·(1 + S/6h + V/12hL) = 72·L·S·h² + 12·L·S²·h + 6·S·h·V
        ("megatron-2022", 72 * gpt + 12 * 32 * 8192 * 8192 * 4096 + 3 * head),
    ] {
        assert_eq!(
            count(&llama(), convention, &Step::new(8192, 1).expect("a step")).total,
            expected,
            "{convention}"
        );
    }
}

/// 175 billion parameters, 96 layers of 12,288, 2048 tokens, 1536 rows, V = 51,200 (arXiv:2104.04473, section 5.1, table 1):
/// 140 TFLOP/s a device on 1024 were measured.
fn gpt_3() -> Model {
    let config = r#"{"model_type": "gpt2", "n_embd": 12288, "n_layer": 96, "n_head": 96, "vocab_size": 51200,
        "n_positions": 2048, "torch_dtype": "bfloat16"}"#;
    Config::parse(config).and_then(|config| Model::from_config(&config)).expect("a model")
}

#[test]
fn megatrons_formulas_count_what_is_recomputed() {
    let (layers, width, row, rows, vocabulary) =
        (96_u128, 12_288_u128, 2048_u128, 1536_u128, 51_200_u128);
    let tokens = row * rows;
    let step = Step::new(2048, 1536).expect("a step");
    // 96·B·S·L·h²·(1 + S/6h + V/16Lh) = 96·B·S·L·h² + 16·B·S²·L·h + 6·B·S·h·V
    let all = 96 * tokens * layers * width * width
        + 16 * tokens * row * layers * width
        + 6 * tokens * width * vocabulary;
    assert_eq!(count(&gpt_3(), "megatron-2021", &step).executed, all);
    // 72·B·L·S·h²·(1 + S/3h + V/12hL) = 72·B·L·S·h² + 24·B·S²·L·h + 6·B·S·h·V
    let selective = 72 * tokens * layers * width * width
        + 24 * tokens * row * layers * width
        + 6 * tokens * width * vocabulary;
    let step = step.recomputing(Recompute::Selective);
    assert_eq!(count(&gpt_3(), "megatron-2022", &step).executed, selective);
}

#[test]
fn a_formula_that_does_not_apply_says_so() {
    let mamba = Builtin::find("tiiuae/falcon-mamba-7b").and_then(Builtin::model).expect("a model");
    let (step, chinchilla) =
        (Step::new(8, 1).expect("a step"), "chinchilla".parse().expect("a convention"));
    let count = mamba.training(&step, &chinchilla).and_then(|training| training.flops(&step));
    let error = count.expect_err("it knows no recurrent layer").to_string();
    assert!(error.contains("`chinchilla`: does not apply"), "{error}");
}
