//! `--adapter`, on the small llama of `run/mod.rs`: 1,792 parameters more, 3,584 FLOPs a token and 3,584 bytes a pass.

mod run;

use run::{AdapterJson, LLAMA, LORA, Place, Report, Run};
use serde_json::json;
use std::fs;

const WORK: &str = "-p 10 -g 3 --format json";

/// A place with the llama, and an adapter's folder `lora`.
fn place_with(adapter: &str) -> Place {
    let place = Place::with_llama();
    fs::create_dir(place.path().join("lora")).expect("a folder");
    place.put("lora/adapter_config.json", adapter);
    place
}

fn estimate(place: &Place, line: &str) -> Report {
    place.run(&format!("estimate {line} {WORK}")).json()
}

#[test]
fn an_adapter_beside_the_weights_costs_its_own_products_and_bytes() {
    let place = place_with(LORA);
    let base = estimate(&place, "llama.json");
    for path in ["lora", "lora/adapter_config.json"] {
        let adapted = estimate(&place, &format!("llama.json --adapter {path}"));
        let said = AdapterJson { id: path.into(), parameters: 1_792, modules: 4, merged: false };
        assert_eq!(adapted.adapter, Some(said));
        assert_eq!(adapted.flops.components["adapter"], 12 * 3_584);
        assert_eq!(adapted.flops.total, base.flops.total + 12 * 3_584);
        assert_eq!(adapted.model.parameters.total, 74_560 + 1_792);
        assert_eq!(adapted.bytes.weights, base.bytes.weights + 3_584);
        // Three passes.
        assert_eq!(adapted.bytes.read, base.bytes.read + 3 * 3_584);
        assert_eq!(adapted.notes[1..], base.notes);
    }
    let explained = place.run("explain llama.json -p 10 -g 3 --adapter lora").ok();
    assert!(explained.contains("adapter · layers 0–1 · self_attn.q_proj"), "{explained}");
    let table = place.run("estimate llama.json -p 10 --adapter lora").ok();
    assert!(table.contains("adapter lora, not merged: 1,792 parameters in 4 modules"), "{table}");
}

#[test]
fn a_merged_adapter_costs_nothing() {
    let place = place_with(LORA);
    let base = estimate(&place, "llama.json");
    let merged = estimate(&place, "llama.json --adapter lora --merged");
    assert!(merged.adapter.is_some_and(|adapter| adapter.merged && adapter.parameters == 1_792));
    assert_eq!(merged.flops.total, base.flops.total);
    assert_eq!(merged.bytes.weights, base.bytes.weights);
    assert_eq!(merged.model.parameters.total, base.model.parameters.total);
}

#[test]
fn an_adapters_folder_is_a_model() {
    let place = place_with(LORA);
    let whole = estimate(&place, "lora");
    assert_eq!(whole.model.id, "llama.json");
    assert_eq!(whole.flops.components["adapter"], 12 * 3_584);
    let place = place_with(&LORA.replace("\"base_model_name_or_path\": \"llama.json\", ", ""));
    fails(
        place.run("estimate lora -p 10"),
        "lora: is an adapter that names no base; give the base as MODEL and the folder with --adapter",
    );
}

#[test]
fn what_differs_is_said() {
    let place = place_with(LORA);
    place.put("other.json", LLAMA);
    // A file of two matrices of 4 × 64 in fp32.
    let shape =
        |from: u32| json!({"dtype": "F32", "shape": [4, 64], "data_offsets": [from, from + 1024]});
    let header = json!({"a.lora_A.weight": shape(0), "b.lora_A.weight": shape(1024)}).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.resize(file.len() + 2048, 0);
    place.put("lora/adapter_model.safetensors", file);
    let adapted = estimate(&place, "other.json --adapter lora");
    // The model is in bf16; the file says that the adapter is not.
    let base = estimate(&place, "other.json");
    assert_eq!(adapted.bytes.weights - base.bytes.weights, 1_792 * 4);
    let notes = adapted.notes;
    for said in [
        "adapter: its file holds 512 parameters, its config gives 1792",
        "adapter: it was made for llama.json",
    ] {
        assert!(notes.iter().any(|note| note == said), "{notes:?}");
    }
    let place = place_with(&LORA.replace("\"v_proj\"", "\"v_proj\", \"w1\""));
    let notes = estimate(&place, "llama.json --adapter lora").notes;
    let beside = "adapter: no adapter_model.safetensors is beside it: its bytes are those of the model's plain weights";
    for said in ["adapter: `target_modules` has names of no module: `w1`", beside] {
        assert!(notes.iter().any(|note| note == said), "{notes:?}");
    }
}

fn fails(run: Run, message: &str) {
    assert_eq!(run.failure().0, message);
}

#[test]
fn adapters_that_are_none() {
    let with = |key: &str, value: serde_json::Value| {
        let mut config: serde_json::Value = serde_json::from_str(LORA).expect("JSON");
        config[key] = value;
        place_with(&config.to_string()).run("estimate llama.json -p 10 --adapter lora")
    };
    let at = "lora/adapter_config.json";
    fails(
        with("peft_type", json!("IA3")),
        &format!("{at}: `peft_type`: is \"IA3\", which is not counted; \"LORA\" is"),
    );
    fails(
        with("target_modules", json!(["w1", "w2"])),
        "lora: `target_modules`: names no module of this model; linear ones are `down_proj`, `gate_proj`, `k_proj`, \
         `lm_head`, `o_proj`, `q_proj`, `up_proj`, `v_proj`",
    );
    fails(
        with("layer_replication", json!([[0, 1], [0, 1]])),
        &format!("{at}: `layer_replication`: is set, and such an adapter is not counted"),
    );
    let size = "a size is a whole number from 1 to 16777216";
    for (rank, fact) in [
        (json!(0), "is 0, which is no size"),
        (json!(-4), "is -4, not a whole number above zero"),
        (
            json!(1_u64 << 63),
            "is 9223372036854775808; the largest size that is believed is 16777216",
        ),
    ] {
        fails(with("r", rank.clone()), &format!("{at}: `r`: {fact}; {size}"));
        fails(
            with("rank_pattern", json!({"q_proj": rank})),
            &format!("{at}: `rank_pattern.q_proj`: {fact}; {size}"),
        );
    }
    fails(
        with("rank_pattern", json!({"q_proj": 2, "layers.0.self_attn.q_proj": 3})),
        "lora: `rank_pattern`: has ranks 3 and 2 for `model.layers.0.self_attn.q_proj`, and no order says which holds",
    );
    for (expression, why) in [
        ("(?=q)q_proj", "look-around is not supported"),
        ("((((a{1,999}){1,999}){1,999}){1,999})", "compiled regex exceeded size limit"),
    ] {
        let (message, _) = with("target_modules", json!(expression)).failure();
        assert!(
            message.contains(why) && message.ends_with("name the modules in a list instead"),
            "{message}"
        );
    }
    // An expression that backtracks for ever elsewhere ends at once here.
    let run = with("target_modules", json!("(a*)*(.*)*(.*)*q_proj(a|a)*$"));
    assert!(run.taken.as_secs() < 5, "{:?}", run.taken);
    let (message, _) = with("target_modules", json!("x".repeat(100_000))).failure();
    assert!(message.len() < 300 && message.contains("100000 bytes long"), "{message}");
    let (message, _) =
        place_with("[1, 2").run("estimate llama.json -p 10 --adapter lora").failure();
    assert!(message.starts_with(at) && message.contains("is not JSON"), "{message}");
    let place = Place::with_llama();
    fails(
        place.run("estimate llama.json -p 10 --adapter nowhere"),
        "nowhere: does not exist; give an adapter_config.json or the folder that holds one",
    );
    fails(
        place.run("estimate llama.json -p 10 --merged"),
        "--merged: there is no adapter; give one with --adapter",
    );
}
