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
        r#"["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]"#,
        r#"["language_model.model.layers.0.self_attn", "vision_tower.layers.0.mlp"]"#,
    ] {
        let scheme = format!(r#"{{"quant_method": "mxfp4", "modules_to_not_convert": {ignored}}}"#);
        assert_eq!(weights(&scheme), mlp / 2 + mlp / 32 + kept_attention * 2 + REST, "{ignored}");
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
    ] {
        let error = with(scheme).expect_err(scheme);
        assert!(error.place().contains(place), "{scheme}: {error}");
        assert!(
            matches!(error.kind(), ErrorKind::Quantization | ErrorKind::Config),
            "{scheme}: {error}"
        );
    }
}
