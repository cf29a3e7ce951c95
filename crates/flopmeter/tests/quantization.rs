//! Bytes of quantised checkpoints, derived by hand from what each format stores.

use flopmeter::{Config, Dtype, ErrorKind, Model, Workload};

/// One layer without norms' help: width 128, one head of 128, inner 256, vocabulary 10, head tied.
///
/// Linear weights of the layer: q, k, v, o 4·128·128 = 65,536 and gate, up, down 3·128·256 = 98,304, in
/// all 163,840. The rest is kept at 16 bits: the table 10·128 and three norms of 128, in all 1,664.
fn with(quantization: &str) -> Result<Model, flopmeter::Error> {
    Model::from_config(&Config::parse(&format!(
        r#"{{"model_type": "llama", "hidden_size": 128, "num_hidden_layers": 1, "vocab_size": 10,
            "num_attention_heads": 1, "intermediate_size": 256, "tie_word_embeddings": true,
            "torch_dtype": "bfloat16", "quantization_config": {quantization}}}"#
    ))?)
}

const LINEAR: u128 = 163_840;
const REST: u128 = 1_664 * 2;

fn weights(quantization: &str) -> u128 {
    let model = with(quantization).expect("a config");
    model.bytes(&Workload::request(1, 1)).expect("it fits").weights
}

#[test]
fn fp8_keeps_an_fp32_scale_a_block_or_a_matrix() {
    // Blocks of 128×128: q, k, v, o have one each, gate and up 2×1, down 1×2: 4 + 3·2 = 10.
    let blocks = r#"{"quant_method": "fp8", "weight_block_size": [128, 128]}"#;
    assert_eq!(weights(blocks), LINEAR + 10 * 4 + REST);
    assert_eq!(weights(r#"{"quant_method": "fp8"}"#), LINEAR + 7 * 4 + REST);
}

#[test]
fn awq_and_gptq_keep_a_scale_and_a_zero_point_a_group() {
    // Groups of 64 along a row: 163,840 / 64 = 2,560, each with 16 bits of scale and 4 of zero point.
    let groups = 2_560 * (16 + 4) / 8;
    let awq = r#"{"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": true}"#;
    assert_eq!(weights(awq), LINEAR / 2 + groups + REST);
    // GPTQ's g_idx: 32 bits for each input column, six matrices of 128 and `down` of 256.
    let gptq = r#"{"quant_method": "gptq", "bits": 4, "group_size": 64, "desc_act": false}"#;
    assert_eq!(weights(gptq), LINEAR / 2 + groups + (6 * 128 + 256) * 4 + REST);
    // Without groups a whole row shares one: rows 4·128 + 2·256 + 128 = 1,152.
    let rows = r#"{"quant_method": "gptq", "bits": 8, "group_size": -1}"#;
    assert_eq!(weights(rows), LINEAR + 1_152 * 3 + (6 * 128 + 256) * 4 + REST);
}

#[test]
fn bitsandbytes_keeps_a_scale_for_64_elements_or_a_row() {
    let nf4 =
        r#"{"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}"#;
    assert_eq!(weights(nf4), LINEAR / 2 + LINEAR / 64 * 4 + REST);
    // Doubly quantised: 8 bits for 64 elements, 32 for 256 of those. q, k, v, o of 16,384 elements have one
    // of the latter each, gate, up and down of 32,768 two: 4 + 6 = 10.
    let double = nf4.replace("\"nf4\"", "\"nf4\", \"bnb_4bit_use_double_quant\": true");
    assert_eq!(weights(&double), LINEAR / 2 + LINEAR / 64 + 10 * 4 + REST);
    // Its first configs named no method; one row, one fp32 scale.
    assert_eq!(weights(r#"{"load_in_8bit": true}"#), LINEAR + 1_152 * 4 + REST);
}

#[test]
fn four_bit_floats_keep_a_scale_for_32_or_16() {
    assert_eq!(weights(r#"{"quant_method": "mxfp4"}"#), LINEAR / 2 + LINEAR / 32 + REST);
    // NVFP4: 8 bits for 16 elements and 32 for each of the seven matrices.
    let nvfp4 = r#"{"quant_algo": "NVFP4", "producer": {"name": "modelopt"}}"#;
    assert_eq!(weights(nvfp4), LINEAR / 2 + LINEAR / 16 + 7 * 4 + REST);
    // What is left out of the layers that predict further tokens is none of the model's: their layer 0 is not its.
    let ignoring = nvfp4.replace("\"producer\"", "\"ignore\": [\"mtp.layers.0*\"], \"producer\"");
    assert_eq!(weights(&ignoring), LINEAR / 2 + LINEAR / 16 + 7 * 4 + REST);
}

#[test]
fn compressed_tensors_have_their_real_widths() {
    let scheme = |weights: &str, ignore: &str| {
        format!(
            r#"{{"quant_method": "compressed-tensors", "ignore": [{ignore}], "config_groups":
                {{"group_0": {{"targets": ["Linear"], "weights": {weights}}}}}}}"#
        )
    };
    // 8 bits and 16 of scale a row, as FP8-dynamic checkpoints have it.
    let channel =
        scheme(r#"{"num_bits": 8, "type": "float", "strategy": "channel"}"#, r#""lm_head""#);
    assert_eq!(weights(&channel), LINEAR + 1_152 * 2 + REST);
    let group =
        scheme(r#"{"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}"#, "");
    assert_eq!(weights(&group), LINEAR / 2 + LINEAR / 128 * 2 + REST);
}

#[test]
fn modules_that_are_left_out_keep_16_bits() {
    let mlp = 98_304;
    let kept_attention = LINEAR - mlp;
    for ignored in [
        r#"["model.layers.0.self_attn"]"#,
        r#"["re:.*self_attn.*"]"#,
        r#"["*.self_attn*"]"#,
        r#"["model.layers.0.self_attn*"]"#,
        r#"["self_attn.q_proj*", "layers.0.self_attn.*", "model.layers.0.self*", "self_attn.o*"]"#,
        r#"["self_attn.q*", "self_attn.k*", "self_attn.v*", "self_attn.o*", "vision_tower*"]"#,
        r#"["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]"#,
        r#"["language_model.model.layers.0.self_attn", "vision_tower.layers.0.mlp"]"#,
    ] {
        for key in ["modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers"] {
            let scheme = format!(r#"{{"quant_method": "mxfp4", "{key}": {ignored}}}"#);
            let expected = mlp / 2 + mlp / 32 + kept_attention * 2 + REST;
            assert_eq!(weights(&scheme), expected, "{key}: {ignored}");
        }
    }
}

#[test]
fn products_run_in_the_narrow_dtype_only_if_activations_do() {
    let compute = |scheme: &str| with(scheme).expect("a config").quantization().compute;
    assert_eq!(compute(r#"{"quant_method": "awq", "bits": 4, "group_size": 64}"#), Dtype::Bf16);
    assert_eq!(compute(r#"{"quant_method": "fp8"}"#), Dtype::Fp8);
    let with_activations = r#"{"quant_method": "compressed-tensors", "config_groups": {"group_0": {
        "weights": {"num_bits": 8, "type": "int", "strategy": "channel"},
        "input_activations": {"num_bits": 8, "type": "int"}}}}"#;
    assert_eq!(compute(with_activations), Dtype::Int8);
}

#[test]
fn the_cache_may_be_8_bits_wide() {
    for scheme in [
        r#"{"quant_algo": "FP8", "kv_cache_scheme": "FP8"}"#,
        r#"{"quant_algo": "FP8", "kv_cache_scheme": {"num_bits": 8, "type": "float"}}"#,
        r#"{"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}"#,
        r#"{"quant_method": "fp8", "kv_cache_scheme": "static"}"#,
        r#"{"quant_method": "awq", "bits": 4, "kv_cache_scheme": {"num_bits": 8, "type": "float"}}"#,
    ] {
        let bytes =
            with(scheme).expect("a config").bytes(&Workload::request(1, 1)).expect("it fits");
        assert_eq!(bytes.kv_cache_per_token, 2 * 128); // a key and a value of 128, a byte each
    }
}

#[test]
fn what_is_not_known_is_an_error_that_names_its_place() {
    for (scheme, place) in [
        (r#"{"quant_method": "hqq"}"#, "quant_method"),
        ("{}", "quant_method"),
        (r#"{"quant_method": "awq", "bits": 5}"#, "bits"),
        (r#"{"quant_method": "awq"}"#, "bits"),
        (r#"{"quant_method": "fp8", "weight_block_size": [0, 128]}"#, "weight_block_size"),
        (r#"{"quant_method": "fp8", "weight_block_size": [128]}"#, "weight_block_size"),
        (r#"{"quant_method": "mxfp4", "ignore": ["re:("]}"#, "ignore"),
        (r#"{"quant_algo": "FP8", "kv_cache_scheme": "INT4"}"#, "kv_cache_scheme"),
        (r#"{"quant_method": "compressed-tensors"}"#, "config_groups"),
        (r#"{"quant_method": "fp8", "config_groups": {"group_0": {}}}"#, "config_groups"),
        (r#"{"quantization": {"quant_algo": "W4A16_AWQ"}}"#, "quant_algo"),
        (r#"{"quant_algo": "NVFP4", "group_size": 32}"#, "group_size"),
        (r#"{"quant_method": "fp8", "kv_cache_scheme": "INT4"}"#, "kv_cache_scheme"),
        (
            r#"{"quant_method": "compressed-tensors", "sparsity_config": {"format": "sparse-24"},
                "config_groups": {"group_0": {"weights": {"num_bits": 8}}}}"#,
            "sparsity_config.format",
        ),
        (
            r#"{"quant_method": "compressed-tensors", "config_groups": {"group_0": {
                "targets": ["LlamaDecoderLayer"], "weights": {"num_bits": 8}}}}"#,
            "config_groups.group_0.targets",
        ),
        // The head of this model is its table.
        (r#"{"quant_method": "gptq", "bits": 4, "lm_head": true}"#, "lm_head"),
        (
            r#"{"quant_method": "gptq", "bits": 4, "dynamic": {".*q_proj": {"bits": 8}, ".*attn.*": {"bits": 2}}}"#,
            "dynamic",
        ),
        (r#"{"quant_method": "gptq", "bits": 4, "dynamic": {"+:.*q_proj": 8}}"#, "dynamic"),
    ] {
        let error = with(scheme).expect_err(scheme);
        assert!(error.place().contains(place), "{scheme}: {error}");
        assert!(
            matches!(error.kind(), ErrorKind::Quantization | ErrorKind::Config),
            "{scheme}: {error}"
        );
    }
}

#[test]
fn a_file_beside_the_config_states_the_quantisation() {
    let bare = r#"{"model_type": "llama", "hidden_size": 128, "num_hidden_layers": 1, "vocab_size": 10,
        "num_attention_heads": 1, "intermediate_size": 256, "tie_word_embeddings": true,
        "torch_dtype": "bfloat16"}"#;
    let beside = r#"{"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8", "group_size": 16, "exclude_modules": ["lm_head"]}}"#;
    let read = |text: &str| Config::parse(text).expect("a config");
    let model = Model::from_config(&read(bare).with_quantization(read(beside))).expect("a model");
    let bytes = model.bytes(&Workload::request(1, 1)).expect("it fits");
    // NVFP4: 4 bits, 8 for each 16 and 32 for each of seven matrices; a key and a value of 128, a byte each.
    assert_eq!(bytes.weights, LINEAR / 2 + LINEAR / 16 + 7 * 4 + REST);
    assert_eq!(bytes.kv_cache_per_token, 2 * 128);
    assert!(model.notes().iter().any(|note| note.contains("hf_quant_config.json")));
    // What the config says itself holds: one scale for each of seven matrices, and a 16-bit cache.
    let own = bare
        .replace("\"bfloat16\"", r#""bfloat16", "quantization_config": {"quant_method": "fp8"}"#);
    let model = Model::from_config(&read(&own).with_quantization(read(beside))).expect("a model");
    let bytes = model.bytes(&Workload::request(1, 1)).expect("it fits");
    assert_eq!((bytes.weights, bytes.kv_cache_per_token), (LINEAR + 7 * 4 + REST, 2 * 128 * 2));
    assert!(!model.notes().iter().any(|note| note.contains("hf_quant_config.json")));
}

#[test]
fn gptq_may_leave_modules_out_or_give_them_widths_of_their_own() {
    let scheme = r#"{"quant_method": "gptq", "bits": 4, "group_size": 64, "dynamic": {
        "-:.*self_attn": {}, "+:.*down_proj": {"bits": 8, "group_size": 32}}}"#;
    let attention = 4 * 128 * 128 * 2;
    // gate and up: 65,536 of 4 bits, 1,024 groups of 16 + 4, g_idx of 128 columns each.
    let gate_up = 65_536 / 2 + 1_024 * 20 / 8 + 2 * 128 * 4;
    // down: 32,768 of 8 bits, 1,024 groups of 16 + 8, g_idx of 256 columns.
    let down = 32_768 + 1_024 * 3 + 256 * 4;
    assert_eq!(weights(scheme), attention + gate_up + down + REST);
    // The same without the last override, the modules that are quantised being listed.
    let listed = r#"{"quant_method": "gptq", "bits": 4, "group_size": 64,
        "modules_in_block_to_quantize": [["mlp.gate_proj", "mlp.up_proj"]]}"#;
    assert_eq!(weights(listed), attention + gate_up + 32_768 * 2 + REST);
}

#[test]
fn the_head_is_quantised_where_the_scheme_says_so() {
    let of = |scheme: &str| {
        let config = format!(
            r#"{{"model_type": "llama", "hidden_size": 128, "num_hidden_layers": 1, "vocab_size": 10,
                "num_attention_heads": 1, "intermediate_size": 256, "tie_word_embeddings": false,
                "torch_dtype": "bfloat16", "quantization_config": {scheme}}}"#
        );
        let model = Model::from_config(&Config::parse(&config).expect("JSON")).expect("a model");
        model.bytes(&Workload::request(1, 1)).expect("it fits").weights
    };
    let awq = r#"{"quant_method": "awq", "bits": 4, "group_size": 64, "lm_head": false}"#;
    let layer = LINEAR / 2 + 2_560 * 20 / 8;
    // A head of 10·128 = 1,280: 16 bits, or 4 and 20 for each of 20 groups.
    assert_eq!(of(awq), layer + REST + 1_280 * 2);
    assert_eq!(of(&awq.replace("false", "true")), layer + REST + 1_280 / 2 + 20 * 20 / 8);
    // 8 bits and 16 of scale a row, for the head only: every layer keeps 16 bits.
    let named = r#"{"quant_method": "compressed-tensors", "config_groups": {"group_0": {"targets":
        ["re:.*lm_head"], "weights": {"num_bits": 8, "type": "int", "strategy": "channel"}}}}"#;
    assert_eq!(of(named), LINEAR * 2 + REST + 1_280 + 10 * 2);
}

#[test]
fn a_name_goes_before_a_class() {
    // down has 1 scale a row of 128, the others a 16-bit scale for 128 along a row: 131,072 / 128 = 1,024.
    let scheme = r#"{"quant_method": "compressed-tensors", "config_groups": {
        "group_0": {"targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}},
        "group_1": {"targets": ["re:.*down_proj"],
            "weights": {"num_bits": 8, "type": "int", "strategy": "channel"}},
        "group_2": {"targets": ["re:.*vision_tower.*"], "weights": {"num_bits": 8}}}}"#;
    assert_eq!(weights(scheme), 131_072 / 2 + 1_024 * 2 + 32_768 + 128 * 2 + REST);
}

#[test]
fn experts_are_left_out_under_the_name_of_each() {
    let of = |ignored: &str| {
        let config = format!(
            r#"{{"model_type": "mixtral", "hidden_size": 128, "num_hidden_layers": 1, "vocab_size": 10,
                "num_attention_heads": 1, "num_key_value_heads": 1, "intermediate_size": 256,
                "num_local_experts": 2, "num_experts_per_tok": 1, "tie_word_embeddings": true,
                "sliding_window": null, "torch_dtype": "bfloat16",
                "quantization_config": {{"quant_method": "mxfp4", "ignore": {ignored}}}}}"#
        );
        let model = Model::from_config(&Config::parse(&config).expect("JSON")).expect("a model");
        model.bytes(&Workload::request(1, 1)).expect("it fits").weights
    };
    // q, k, v, o of 65,536; two experts of 3·128·256 = 98,304 each; a router of 2·128.
    let (attention, experts, router) = (65_536, 196_608, 256 * 2);
    let mxfp4 = |elements: u128| elements / 2 + elements / 32;
    for ignored in [
        r#"["model.layers.0.block_sparse_moe.experts.0.w1", "model.layers.0.block_sparse_moe.experts.0.w2",
            "model.layers.0.block_sparse_moe.experts.0.w3"]"#,
        r#"["re:.*experts\\.\\d+\\.w[123]$"]"#,
        r#"["model.layers.0.block_sparse_moe.experts.0.*"]"#,
        r#"["block_sparse_moe.experts"]"#,
    ] {
        assert_eq!(of(ignored), mxfp4(attention) + experts * 2 + router + REST, "{ignored}");
    }
    // One op stands for all experts, and of the first one nothing is said here.
    let other = r#"["model.layers.0.block_sparse_moe.experts.1.w1"]"#;
    assert_eq!(of(other), mxfp4(attention + experts) + router + REST);
}

#[test]
fn many_globs_are_no_expressions_to_look_up() {
    // 4,096 layers with a name of 30 bytes each would be 500 MB of expressions to try.
    let names: Vec<String> = (0..4096)
        .map(|layer| format!("\"language_model.model.layers.{layer}.self_attn*\""))
        .collect();
    let config = format!(
        r#"{{"model_type": "llama", "hidden_size": 128, "num_hidden_layers": 4096, "vocab_size": 10,
            "num_attention_heads": 1, "intermediate_size": 256, "tie_word_embeddings": true,
            "torch_dtype": "bfloat16", "quantization_config":
            {{"quant_method": "mxfp4", "ignore": [{}]}}}}"#,
        names.join(",")
    );
    let model = Model::from_config(&Config::parse(&config).expect("JSON")).expect("a model");
    // A layer: attention at 16 bits, 98,304 in MXFP4, two norms; then the table and the last norm.
    let layer = 65_536 * 2 + 98_304 / 2 + 98_304 / 32 + 2 * 128 * 2;
    let bytes = model.bytes(&Workload::request(1, 1)).expect("it fits");
    assert_eq!(bytes.weights, 4096 * layer + (1_280 + 128) * 2);
}

#[test]
fn keys_that_look_like_widths_and_that_nobody_read_are_shown() {
    let scheme = r#"{"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": true,
        "version": "gemm", "batch_size": 4, "damp_percent": 0.1, "outlier_group_size": 8}"#;
    let model = with(scheme).expect("a config");
    assert_eq!(model.unread(), ["quantization_config.outlier_group_size"]);
}
