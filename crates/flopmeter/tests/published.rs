//! Published formulas give what their projects and papers print.

use flopmeter::{
    Builtin, Config, Convention, Model, Recompute, Sequence, Step, TrainingFlops, Workload,
};
use serde_json::json;

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
    let refused = |name: &str, convention: &str| {
        let model = Builtin::find(name).and_then(Builtin::model).expect("a model");
        let convention: Convention = convention.parse().expect("a convention");
        let step = Step::new(8, 1).expect("a step");
        let error = match convention.counts_steps() {
            true => model.training(&step, &convention).and_then(|it| it.flops(&step)).map(|_| ()),
            false => model.flops(&Workload::request(8, 1), &convention).map(|_| ()),
        };
        error.expect_err("it does not apply").to_string()
    };
    for (name, convention, why) in [
        ("google/gemma-2-2b", "nemo", "families of Llama 2 and 3"),
        ("google/gemma-2-2b", "verl", "verl knows no such type and answers 0"),
        ("deepseek-ai/DeepSeek-V3", "sglang", "no latent attention"),
        ("google-t5/t5-small", "megatron", "an encoder beside its decoder"),
        ("tiiuae/falcon-mamba-7b", "vllm", "no recurrent layers"),
        ("tiiuae/falcon-mamba-7b", "megatron", "Mamba-2's and gated delta nets"),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "nemo", "in models without experts"),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", "maxtext", "is not followed"),
    ] {
        let error = refused(name, convention);
        assert!(error.starts_with(&format!("`{convention}`: does not apply: ")), "{error}");
        assert!(error.contains(why), "{error}");
    }
    let mamba = Builtin::find("tiiuae/falcon-mamba-7b").and_then(Builtin::model).expect("a model");
    let (step, chinchilla) =
        (Step::new(8, 1).expect("a step"), "chinchilla".parse().expect("a convention"));
    let count = mamba.training(&step, &chinchilla).and_then(|training| training.flops(&step));
    let error = count.expect_err("it knows no recurrent layer").to_string();
    assert!(error.contains("`chinchilla`: does not apply"), "{error}");
}

fn builtin(name: &str) -> Model {
    Builtin::find(name).and_then(Builtin::model).expect("a model")
}

fn model(config: serde_json::Value) -> Model {
    Config::from_value(config).and_then(|config| Model::from_config(&config)).expect("a model")
}

/// What the projects' own functions returned when they were run, with the sizes of these models, in November 2026:
/// Megatron-LM at d98e8a6, MaxText at e591f30, torchtitan at b5bcd76 (over modules of these shapes on the meta device),
/// llm-analysis at d841e40, NeMo at 6a5ad76. Rows of so many tokens, and how many.
#[test]
fn steps_cost_what_the_projects_functions_return() {
    for (convention, name, length, rows, recorded) in [
        ("megatron", "meta-llama/Llama-3.1-8B", 8192, 1, 421_645_529_382_912),
        ("megatron", "mistralai/Mixtral-8x7B-v0.1", 4096, 3, 979_432_932_114_432),
        ("megatron", "deepseek-ai/DeepSeek-V3", 4096, 2, 2_046_460_346_499_072),
        ("megatron", "gpt2", 1024, 5, 4_085_923_184_640),
        ("nemo", "meta-llama/Llama-3.1-8B", 8192, 1, 421_645_529_382_912),
        ("nemo", "mistralai/Mixtral-8x7B-v0.1", 8192, 1, 679_343_567_142_912),
        ("maxtext", "meta-llama/Llama-3.1-8B", 8192, 1, 421_645_529_382_912),
        ("maxtext", "mistralai/Mixtral-8x7B-v0.1", 4096, 3, 979_510_241_525_760),
        ("maxtext", "deepseek-ai/DeepSeek-V3", 4096, 2, 2_051_685_476_204_544),
        ("maxtext", "openai/gpt-oss-20b", 8192, 1, 197_703_115_997_184),
        ("maxtext", "google/gemma-2-2b", 8192, 1, 147_248_658_776_064),
        ("torchtitan", "meta-llama/Llama-3.1-8B", 8192, 1, 474_435_173_744_640),
        ("torchtitan", "Qwen/Qwen3-30B-A3B", 4096, 3, 343_018_083_188_736),
        ("torchtitan", "deepseek-ai/DeepSeek-V3", 4096, 2, 2_303_248_237_068_288),
        ("lightning", "meta-llama/Llama-3.1-8B", 8192, 1, 474_422_087_516_160),
        ("llm-analysis", "meta-llama/Llama-3.1-8B", 8192, 1, 474_422_087_516_160),
        ("llm-analysis", "mistralai/Mixtral-8x7B-v0.1", 4096, 3, 603_399_955_415_040),
        ("llm-analysis", "meta-llama/Llama-2-7b-hf", 2048, 1, 70_055_211_565_056),
        ("verl", "meta-llama/Llama-3.1-8B", 8192, 1, 447_466_872_766_464),
    ] {
        let step = Step::new(length, rows).expect("a step");
        assert_eq!(count(&builtin(name), convention, &step).total, recorded, "{convention} {name}");
    }
    let packed = Step::packed(&[812, 4096, 3284], 1).expect("a step");
    assert_eq!(count(&llama(), "megatron", &packed).total, 391_063_038_590_976);
}

/// Megatron-LM's function at d98e8a6 and NeMo's at 8cfedd7, run with the sizes of these hybrids: `hybrid_flops` of Nemotron-H
/// and Nemotron 3, `transformer_flops` with gated delta nets and a gate at the output of attention of Qwen3-Next.
#[test]
fn hybrids_cost_what_the_projects_functions_return() {
    for (convention, name, length, rows, recorded) in [
        ("megatron", "nvidia/Nemotron-H-56B-Base-8K", 8192, 2, 5_574_523_952_824_320),
        ("megatron", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 8192, 2, 365_004_305_989_632),
        // Whose experts are as wide as a latent.
        (
            "megatron",
            "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4",
            8192,
            2,
            1_234_888_996_945_920,
        ),
        ("megatron", "Qwen/Qwen3-Next-80B-A3B-Instruct", 4096, 3, 279_425_203_568_640),
        ("nemo", "nvidia/Nemotron-H-56B-Base-8K", 8192, 2, 6_943_828_246_265_856),
    ] {
        let step = Step::new(length, rows).expect("a step");
        assert_eq!(count(&builtin(name), convention, &step).total, recorded, "{convention} {name}");
    }
    // Twice the model's width, 8960, where 128 heads of 80 are 10,240 wide.
    let nano = model(
        json!({"model_type": "nemotron_h", "hidden_size": 4480, "chunk_size": 128, "conv_kernel": 4,
        "hybrid_override_pattern": "M-M-M-MM-M-M-M*-M-M-M*-M-M-M-M*-M-M-M-M*-M-MM-M-M-M-M-M-",
        "intermediate_size": 15680, "mamba_head_dim": 80, "mamba_num_heads": 128, "n_groups": 8, "ssm_state_size": 128,
        "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 131072}),
    );
    let step = Step::new(8192, 2).expect("a step");
    assert_eq!(count(&nano, "megatron", &step).total, 797_293_569_638_400);
}

/// The same functions with one layer that predicts a further token: `mtp_num_layers` is 1.
#[test]
fn layers_that_predict_further_tokens_cost_what_the_projects_functions_return() {
    let v3 = "deepseek-ai/DeepSeek-V3";
    for (convention, name, length, rows, recorded) in [
        ("megatron", v3, 4096, 2, 2_129_862_252_822_528),
        ("megatron", "XiaomiMiMo/MiMo-7B-Base", 4096, 3, 623_269_380_096_000),
        ("nemo", v3, 4096, 2, 2_129_854_954_733_568),
        ("maxtext", v3, 4096, 2, 2_084_577_409_499_136),
        ("maxtext", "XiaomiMiMo/MiMo-7B-Base", 4096, 3, 574_988_746_752_000),
    ] {
        let step = Step::new(length, rows).expect("a step").predicting_further();
        assert_eq!(count(&builtin(name), convention, &step).total, recorded, "{convention} {name}");
    }
    // All parameters, those of the layer too, 11,610,067,968 of DeepSeek-V3's without its copies of table and head: 6·N·T.
    let step = Step::new(4096, 1).expect("a step");
    let [without, with] = [step.clone(), step.predicting_further()]
        .map(|step| count(&builtin(v3), "chinchilla", &step).total);
    assert_eq!(with - without, 6 * 11_610_067_968 * 4096);
}

#[test]
fn layers_that_predict_further_tokens_are_refused_where_no_code_counts_them() {
    let step = Step::new(8, 1).expect("a step").predicting_further();
    for (convention, name, why) in [
        ("verl", "deepseek-ai/DeepSeek-V3", "it counts no layers that predict further tokens"),
        (
            "torchtitan",
            "deepseek-ai/DeepSeek-V3",
            "it counts no layers that predict further tokens",
        ),
        ("megatron", "Qwen/Qwen3-Next-80B-A3B-Instruct", "layers of a hybrid that predict further"),
    ] {
        let convention: Convention = convention.parse().expect("a convention");
        let error = builtin(name).training(&step, &convention).expect_err("no figure").to_string();
        assert!(error.contains(why), "{error}");
    }
}

/// Before pull request 1988 each pair counted twice as much: with its causal half, 52,776,558,133,248 of Llama-3.1-8B's
/// row are attention. Llama-2-7B at 8192 went from 1721.22 to 1510.11 TFLOP a step in that pull request, 4 rows.
#[test]
fn maxtext_before_it_was_causal() {
    let row = Step::new(8192, 1).expect("a step");
    let before = count(&llama(), "maxtext-2024", &row).total;
    assert_eq!(before, 421_645_529_382_912 + 52_776_558_133_248);
    let llama_2 = builtin("meta-llama/Llama-2-7b-hf");
    let step = Step::new(8192, 4).expect("a step");
    for (convention, recorded) in [("maxtext-2024", 1721.22), ("maxtext", 1510.11)] {
        let tera = count(&llama_2, convention, &step).total as f64 / 1e12;
        assert!((tera - recorded).abs() < 0.005, "{convention} {tera}");
    }
}

/// The figures that NeMo's own tests expect (tests/utils/test_flops_formulas.py), over one tiny shape.
#[test]
fn nemos_own_tests() {
    let shape = |kind: &str, vocabulary: u64| {
        let mut config = json!({"model_type": kind, "hidden_size": 768, "num_hidden_layers": 12,
            "intermediate_size": 3072, "num_attention_heads": 12, "num_key_value_heads": 12,
            "vocab_size": vocabulary, "torch_dtype": "bfloat16"});
        if kind == "mixtral" {
            config["num_local_experts"] = json!(8);
            config["num_experts_per_tok"] = json!(2);
        }
        model(config)
    };
    let step = Step::new(128, 1).expect("a step");
    for (kind, vocabulary, expected) in [
        ("llama", 32_000, 106_753_425_408),
        ("llama", 128_256, 163_527_524_352),
        ("nemotron", 256_000, 217_130_729_472),
        ("mixtral", 32_000, 171_983_241_216),
    ] {
        assert_eq!(count(&shape(kind, vocabulary), "nemo", &step).total, expected, "{kind}");
    }
}

/// The figures that verl's own tests expect (tests/utils/test_flops_counter.py), batches of documents, with its configs.
#[test]
fn verls_own_tests() {
    let dense = |kind: &str, [vocabulary, width, inner, layers, heads, kv]: [u64; 6]| {
        json!({"model_type": kind, "vocab_size": vocabulary, "hidden_size": width,
            "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": kv, "torch_dtype": "bfloat16"})
    };
    let with = |mut config: serde_json::Value, more: serde_json::Value| {
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        config
    };
    let alternating: Vec<&str> = (0..24)
        .map(|at| if at % 2 == 0 { "sliding_attention" } else { "full_attention" })
        .collect();
    let every_sixth: Vec<&str> = (1..=48)
        .map(|at| if at % 6 == 0 { "full_attention" } else { "sliding_attention" })
        .collect();
    for (config, expected) in [
        (
            dense("llama", [32_000, 4096, 11_008, 32, 32, 32]),
            [149_226_491_215_872, 536_372_695_793_664],
        ),
        (
            dense("qwen2", [152_064, 3584, 18_944, 28, 28, 4]),
            [167_073_690_943_488, 591_764_889_010_176],
        ),
        (
            with(dense("qwen3", [151_936, 4096, 12_288, 36, 32, 8]), json!({"head_dim": 128})),
            [180_997_438_046_208, 648_394_032_807_936],
        ),
        (
            with(
                dense("qwen3_moe", [151_936, 2048, 6144, 48, 32, 4]),
                json!({"head_dim": 128, "moe_intermediate_size": 768, "num_experts_per_tok": 8,
                    "num_experts": 128}),
            ),
            [78_593_069_678_592, 306_570_470_621_184],
        ),
        (
            with(dense("mistral", [131_072, 5120, 32_768, 40, 32, 8]), json!({"head_dim": 128})),
            [512_303_699_066_880, 1_787_393_589_903_360],
        ),
        (
            with(
                dense("gemma3_text", [262_208, 3840, 15_360, 48, 16, 8]),
                json!({"head_dim": 256, "sliding_window": 1024, "layer_types": every_sixth}),
            ),
            [279_084_659_638_272, 963_929_979_224_064],
        ),
        (
            with(
                dense("gpt_oss", [201_088, 2880, 2880, 24, 64, 8]),
                json!({"head_dim": 64, "num_local_experts": 32, "num_experts_per_tok": 4,
                    "sliding_window": 128, "layer_types": alternating}),
            ),
            [91_780_464_771_072, 323_953_008_574_464],
        ),
        (
            dense("apertus", [131_072, 4096, 21_504, 32, 32, 32]),
            [194_825_353_691_136, 692_711_652_851_712],
        ),
    ] {
        let batches = [[512, 1024, 2048], [4096, 4096, 4096]];
        for (documents, expected) in batches.iter().zip(expected) {
            let step = Step::packed(documents, 1).expect("a step");
            let total = count(&model(config.clone()), "verl", &step).total;
            assert_eq!(total, expected, "{}", config["model_type"]);
        }
    }
    let v3 = builtin("deepseek-ai/DeepSeek-V3");
    let step = Step::new(4096, 3).expect("a step");
    assert_eq!(count(&v3, "verl", &step).total, 3_145_850_406_567_936);
}

/// What vLLM's `perf.py` (0.33.0) and SGLang's `metrics_reporter.py` (0.5.23) gave when they were run, pass by pass with
/// these sizes: a prompt prefilled in one piece, and the steps that generate.
#[test]
fn requests_cost_what_the_engines_count() {
    for (convention, name, sequence, recorded) in [
        ("vllm", "meta-llama/Llama-3.1-8B", (8192, 0, 1, 1), [149_534_632_050_688, 0]),
        (
            "vllm",
            "meta-llama/Llama-3.1-8B",
            (1024, 0, 256, 1),
            [14_844_457_648_128, 3_981_390_643_200],
        ),
        (
            "vllm",
            "meta-llama/Llama-3.1-8B",
            (1500, 1000, 9, 4),
            [29_494_354_116_608, 505_539_461_120],
        ),
        (
            "vllm",
            "mistralai/Mixtral-8x7B-v0.1",
            (1024, 0, 256, 1),
            [26_388_541_210_624, 6_655_259_443_200],
        ),
        (
            "vllm",
            "deepseek-ai/DeepSeek-V3",
            (1024, 0, 256, 1),
            [78_133_079_834_624, 20_092_218_900_480],
        ),
        ("vllm", "openai/gpt-oss-20b", (1024, 0, 256, 1), [6_429_919_002_624, 1_902_687_436_800]),
        ("vllm", "gpt2", (500, 0, 20, 1), [122_539_402_752, 6_127_268_352]),
        ("sglang", "meta-llama/Llama-3.1-8B", (8192, 0, 1, 1), [131_943_542_816_768, 0]),
        (
            "sglang",
            "meta-llama/Llama-3.1-8B",
            (1024, 0, 256, 1),
            [14_568_797_503_488, 3_713_468_989_440],
        ),
        (
            "sglang",
            "meta-llama/Llama-3.1-8B",
            (1500, 1000, 9, 4),
            [29_228_531_712_000, 471_917_920_256],
        ),
        // One expert's width in every layer: as Llama-3.1-8B.
        (
            "sglang",
            "mistralai/Mixtral-8x7B-v0.1",
            (1024, 0, 256, 1),
            [14_568_797_503_488, 3_713_468_989_440],
        ),
        // 8192 tokens, and 1024 and 256, of 8 billion parameters.
        ("openjarvis", "llama3.1:8b", (8192, 0, 0, 1), [131_072_000_000_000, 0]),
        ("openjarvis", "llama3.1:8b", (1024, 0, 256, 1), [16_384_000_000_000, 4_096_000_000_000]),
    ] {
        let (prompt, cached, generate, count) = sequence;
        let sequence = Sequence { prompt, cached, generate, count };
        let workload = Workload::batch(vec![sequence]).expect("a workload");
        let convention: Convention = convention.parse().expect("a convention");
        let flops = builtin(name).flops(&workload, &convention).expect("a count");
        let counted = [flops.prefill, flops.decode].map(|phase| phase.total().expect("a sum"));
        assert_eq!(counted, recorded, "{} {name}", convention.id);
    }
}
