"""Counts small models with LoRA adapters of PEFT's, with PyTorch's FLOP counter, and freezes the counts as JSON.

    python adapters.py            every case again, into adapters/
    python adapters.py --check    compares instead, and fails on any difference

`adapter` is the adapter_config.json that PEFT writes, `parameters` what its `print_trainable_parameters` prints. Of
adapters that PEFT multiplies into whole matrices in every pass (DoRA's, those of parameters) only these are kept.
"""

import json
import sys
import tempfile
from pathlib import Path

import peft
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig

import record
from cases import CASES

FOLDER = Path(__file__).parent / "adapters"
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# A case of cases.py, and the settings of an adapter that are not PEFT's defaults.
ADAPTERS = {
    "two-projections": ("llama", {"r": 5, "target_modules": ["q_proj", "v_proj"]}),
    "all-linear": ("qwen2", {"r": 3, "target_modules": "all-linear"}),
    "listed": ("gemma2", {"r": 4, "target_modules": ALL, "use_rslora": True}),
    "expression": ("mistral", {"r": 4, "target_modules": r".*\.(self_attn\.(q|k)_proj|mlp\.down_proj)"}),
    "conv1d": ("gpt2", {"r": 6, "target_modules": ["c_attn", "mlp.c_proj"], "fan_in_fan_out": True}),
    "conv1d-all-linear": ("gpt2", {"r": 6, "target_modules": "all-linear", "fan_in_fan_out": True}),
    "fused": ("phi3", {"r": 6, "target_modules": ["qkv_proj", "o_proj", "gate_up_proj"]}),
    "query-key-value": ("falcon", {"r": 6, "target_modules": ["query_key_value"], "lora_bias": True}),
    "some-layers": ("llama", {"r": 5, "target_modules": ALL, "layers_to_transform": [0, 2], "layers_pattern": "layers"}),
    "one-layer": ("llama", {"r": 5, "target_modules": ["o_proj"], "layers_to_transform": 1}),
    "ranks": ("llama", {"r": 5, "target_modules": ALL,
                        "rank_pattern": {"down_proj": 9, "layers.1.self_attn.q_proj": 2, r".*\.2\.mlp\.up_proj": 7}}),
    "excluded": ("llama", {"r": 5, "target_modules": "all-linear", "exclude_modules": ["gate_proj", "layers.0.self_attn.q_proj"]}),
    "head": ("llama", {"r": 5, "target_modules": ["lm_head", "q_proj"]}),
    "tied-head": ("gemma", {"r": 5, "target_modules": ["lm_head"]}),
    "embedding": ("llama", {"r": 5, "target_modules": ["embed_tokens", "q_proj"]}),
    "saved-whole": ("llama", {"r": 5, "target_modules": ["q_proj"], "modules_to_save": ["lm_head", "embed_tokens", "input_layernorm"]}),
    "saved-whole-tied": ("gemma", {"r": 5, "target_modules": ["q_proj"], "modules_to_save": ["lm_head", "embed_tokens"]}),
    "biases": ("qwen2", {"r": 5, "target_modules": ["q_proj", "o_proj"], "bias": "lora_only"}),
    "beside-experts": ("qwen3_moe", {"r": 5, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}),
    "latent": ("deepseek_v3", {"r": 5, "target_modules": ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "o_proj"]}),
    "indexer": ("deepseek_v32", {"r": 5, "target_modules": ["wq_b", "wk", "q_b_proj"]}),
    "layers-of-a-list": ("gpt2", {"r": 6, "target_modules": ["c_attn"], "layers_to_transform": [1], "layers_pattern": ["h"],
                                  "fan_in_fan_out": True}),
    "encoder": ("bert@encoder", {"r": 5, "target_modules": ["query", "value"]}),
    "encoder-all-linear": ("bert@classifies", {"r": 5, "target_modules": "all-linear"}),
    "encoder-decoder": ("t5", {"r": 5, "target_modules": ["q", "v", "wo"]}),
    "encoder-decoder-all-linear": ("t5@gated", {"r": 5, "target_modules": "all-linear"}),
    "encoder-decoder-one-layer": ("bart@whole", {"r": 5, "target_modules": ["q_proj", "fc1"], "layers_to_transform": [1]}),
    "decoder-by-expression": ("t5", {"r": 5, "target_modules": r"decoder\..*\.(q|v)"}),
    "dora": ("llama", {"r": 5, "target_modules": ["q_proj", "down_proj"], "use_dora": True}),
    "experts": ("mixtral", {"r": 5, "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]}),
    "experts-all-linear": ("qwen3_moe", {"r": 5, "target_modules": "all-linear"}),
    "experts-and-modules": ("qwen3_moe", {"r": 5, "target_modules": ["q_proj"], "target_parameters": ["gate_up_proj"],
                                          "rank_pattern": {"experts.gate_up_proj": 3}}),
    "experts-transposed": ("gpt_oss", {"r": 5, "target_modules": ["q_proj"],
                                       "target_parameters": ["mlp.experts.gate_up_proj", "1.mlp.experts.down_proj"]}),
    "router": ("qwen3_moe", {"r": 5, "target_modules": ["q_proj"],
                             "target_parameters": ["mlp.gate.weight", "self_attn.o_proj.weight"]}),
    "delta-net": ("qwen3_next", {"r": 5, "target_modules": ["in_proj_qkvz", "out_proj", "q_proj"]}),
}


def components(operations, encodes=False, own=record.components):
    """What an adapter adds is apart from what it is added to, but in an encoder, all of which is one component."""
    adds = {"lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B"}
    added = [operation for operation in operations if not (encodes and "encoder" in operation[0])
             and (adds & set(operation[0]) or operation[0][-1] == "embed_tokens")]
    parts = own([operation for operation in operations if operation not in added], encodes)
    return {**parts, "adapter": sum(flops for *_, flops in added)} if added else parts


def one(name, case, settings):
    torch.manual_seed(0)
    model_type = case.split("@")[0]
    config, loaded = record.saved(AutoConfig.for_model(model_type, **CASES[case]))
    adapted = get_peft_model(record.build(loaded), LoraConfig(**settings)).eval()
    with tempfile.TemporaryDirectory() as folder:
        adapted.peft_config["default"].save_pretrained(folder)
        adapter = json.loads((Path(folder) / "adapter_config.json").read_text())
    # Where it lay, and sets whose order changes: neither is the same in another run.
    adapter["base_model_name_or_path"] = None
    for key in ["target_modules", "target_parameters", "exclude_modules"]:
        if isinstance(adapter.get(key), list):
            adapter[key].sort()
    trained, _ = adapted.get_nb_trainable_parameters()
    counts = {
        "versions": {**record.versions(), "peft": peft.__version__},
        "config": config,
        "adapter": adapter,
        "parameters": trained,
        "runs": [] if adapter["use_dora"] or adapter["target_parameters"] else runs(adapted.base_model.model, loaded),
    }
    return json.loads(json.dumps(counts, sort_keys=True))


def runs(model, config):
    vocabulary = config.get_text_config().vocab_size
    if config.is_encoder_decoder or not model.can_generate():
        return record.runs(model, config.model_type, vocabulary)
    return [record.run(model, batch, lengths, vocabulary) for batch in record.BATCHES for lengths in record.SEQUENCES[:2]]


def main():
    record.components = components
    moved = []
    with torch.no_grad():
        for name, (case, settings) in ADAPTERS.items():
            counts, path = one(name, case, settings), FOLDER / f"{name}.json"
            if "--check" in sys.argv[1:]:
                frozen = json.loads(path.read_text())
                if {**frozen, "versions": None} != {**counts, "versions": None}:
                    moved.append(name)
            else:
                FOLDER.mkdir(exist_ok=True)
                path.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n")
            print(name, counts["parameters"])
    if moved:
        sys.exit(f"moved: {', '.join(moved)}")


if __name__ == "__main__":
    main()
