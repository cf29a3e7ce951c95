"""Converts the recorded cases to GGUF as people do, and freezes the metadata and the table of tensors.

    python record_gguf.py CONVERTER                 every case that the converter takes
    python record_gguf.py CONVERTER llama mamba     these only
    python record_gguf.py CONVERTER --check         compare with the frozen files, exit 1 if anything moved

CONVERTER is `convert_hf_to_gguf.py` of a llama.cpp checkout. The vocabulary is left out: it shapes nothing.
One file per case, `gguf/<model_type>[@variant].json`; README.md says what it holds.
"""

import argparse
import importlib.util
import json
import logging
import re
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

import gguf
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from cases import CASES
from record import HERE, build

FOLDER = HERE / "gguf"
# Keys of the tokenizer and of the file's description shape nothing.
LEFT_OUT = ("tokenizer.", "general.name", "general.base_model", "general.tags", "general.file_type", "general.basename",
            "general.finetune", "general.type", "general.size_label", "general.quantization_version", "general.sampling")
# Classes under the names that published files have.
CLASSES = {"BitNetForCausalLM": "BitnetForCausalLM", "ExaoneMoeForCausalLM": "ExaoneMoEForCausalLM",
           "Gemma4ForCausalLM": "Gemma4ForConditionalGeneration", "MptForCausalLM": "MPTForCausalLM", "PhimoeForCausalLM": "PhiMoEForCausalLM"}
# Kinds of layers, likewise.
KINDS = {"granitemoehybrid": {"linear_attention": "mamba", "full_attention": "attention"},
         "nemotron_h": {"linear_attention": "mamba", "full_attention": "attention"}}


def published(config):
    """The keys as published files have them: the converter reads those, the library saves others."""
    rope, layers, kind = config.get("rope_parameters") or {}, config.get("num_hidden_layers"), config["model_type"]
    config = {**{key: rope[key] for key in ["partial_rotary_factor", "rope_theta"] if key in rope}, **config}
    config["architectures"] = [CLASSES.get(name, name) for name in config.get("architectures", [])]
    for key in ["layer_types", "layers_block_type"]:
        if kind in KINDS and key in config:
            config[key] = [KINDS[kind].get(name, name) for name in config[key]]
    match kind:
        case "gpt2":
            return {"n_ctx": config["n_positions"], **config}
        case "gemma4":
            return {**config, "text_config": published(config["text_config"])}
        case "gemma4_text":
            full = next(iter(config["per_layer_config"].values()))
            return {**config, "global_head_dim": full["head_dim"],
                    "num_global_key_value_heads": full.get("num_key_value_heads")}
        case "gpt_neox" | "cohere2":
            return {"rotary_pct": rope.get("partial_rotary_factor", 1.0), **config}
        case "hunyuan_v1_moe":
            return {**config, "moe_intermediate_size": [config["intermediate_size"]] * layers,
                    "moe_topk": [config["moe_topk"]] * layers, "num_shared_expert": [1] * layers}
        case "lfm2":
            return {"block_ff_dim": config["intermediate_size"], **config}
        case "mimo_v2_flash":
            swa = {f"swa_{key}": config[key] for key in ["head_dim", "v_head_dim", "num_attention_heads"]}
            slides = [int(name == "sliding_attention") for name in config["layer_types"]]
            return {**config, **swa, "swa_num_key_value_heads": 2 * config["num_key_value_heads"],
                    "hybrid_layer_pattern": slides, "topk_method": "noaux_tc", "partial_rotary_factor": 0.334}
        case "minimax_m2":
            return {"rotary_dim": config["head_dim"], **config}
        case "mpt":
            return {**config, "attn_config": {"kv_n_heads": config["n_heads"], **config.get("attn_config", {})}}
        case "phimoe":
            return {**config, "original_max_position_embeddings": config["max_position_embeddings"]}
        case "nemotron_h":
            config = {"num_hidden_layers": len(config["layers_block_type"]), "mamba_d_head": config["mamba_head_dim"],
                      **config}
            dense = "moe" not in config["layers_block_type"]
            if dense:  # experts that no layer has are not in published files
                del config["num_experts_per_tok"]
                letters = {"mamba": "M", "attention": "*", "mlp": "-"}
                config["hybrid_override_pattern"] = "".join(letters[name] for name in config["layers_block_type"])
            return config
        case "falcon" if config["multi_query"] and not config["new_decoder_architecture"]:
            return {**config, "num_kv_heads": 1}
        case "falcon" if not config["new_decoder_architecture"]:
            return {**config, "num_kv_heads": config["num_attention_heads"]}
    return config


def renamed(kind, tensors):
    """The tensors as published files have them."""
    for name, tensor in tensors.items():
        if kind in {"gemma3n_text", "gemma4_text"} and name.startswith("model."):
            name = name.replace("model.", "model.language_model.", 1)
        if kind == "qwen3_vl_moe" and ".experts." in name:
            tensor = tensor.mT.contiguous()
        yield name, tensor


def converter(path):
    """The converter as a module, none of its classes reading a vocabulary."""
    spec = importlib.util.spec_from_file_location("converter", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["converter"] = module
    spec.loader.exec_module(module)
    for kind in module.ModelBase._model_classes[module.ModelType.TEXT].values():
        kind.set_vocab = lambda self: None
        kind.get_vocab_base = lambda self: (["token"] * self.hparams["vocab_size"], [], "")
    return module


def converted(module, folder):
    """The writer of a saved model: what would stand in its file."""
    # Read as it stands: loaded by the library it loses the published keys again.
    module.ModelBase.load_hparams = staticmethod(
        lambda path, *_, **__: published(json.loads((path / "config.json").read_text())))
    hparams = module.ModelBase.load_hparams(folder)
    name = module.get_model_architecture(hparams, module.ModelType.TEXT)
    kind = module.ModelBase.from_model_architecture(name, model_type=module.ModelType.TEXT)
    model = kind(folder, gguf.LlamaFileType.ALL_F32, folder / "model.gguf", eager=True, hparams=hparams)
    model.prepare_tensors()
    model.set_gguf_parameters()
    return getattr(model, "impl", model).gguf_writer


def is_fractions(value):
    """Whether this is a list of fractions, which shape nothing."""
    return isinstance(value, list) and all(isinstance(item, float) for item in value)


def record(module, model_type, given):
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        AutoConfig.for_model(model_type, **given).save_pretrained(folder)
        model = build(AutoConfig.from_pretrained(folder))
        if model.config.is_encoder_decoder or model_type in {"t5", "mt5", "umt5"}:
            raise NotImplementedError("encoders are not read from GGUF")
        model.save_pretrained(folder)
        path = Path(folder) / "model.safetensors"
        save_file(dict(renamed(model_type, load_file(path))), path)
        # Rows of the table beyond the vocabulary are cut off.
        size = getattr(model.config.get_text_config(), "vocab_size", 0)
        tokens = {"model": {"vocab": {str(token): token for token in range(size)}}, "added_tokens": []}
        (Path(folder) / "tokenizer.json").write_text(json.dumps(tokens))
        writer = converted(module, Path(folder))
        keys = {key: value.value for part in writer.kv_data for key, value in part.items()
                if not key.startswith(LEFT_OUT) and not is_fractions(value.value)}
        tensors = {name: [*tensor.shape] for part in writer.tensors for name, tensor in part.items()}
    return {"versions": {"gguf": version("gguf"), "transformers": transformers.__version__},
            "keys": keys, "tensors": tensors}


def shapes(tensors):
    """Shapes by name; those of layers by the name with `N` for the layer: [shape, its layers]."""
    found = {}
    for name, shape in tensors.items():
        match = re.match(r"(.*?\bblk\.)(\d+)(\..*)", name)
        if not match:
            found[name] = shape
            continue
        same = found.setdefault(f"{match[1]}N{match[3]}", [])
        layers = next((layers for known, layers in same if known == shape), None)
        if layers is None:
            same.append([shape, layers := []])
        layers.append(int(match[2]))
    return found


def text(case):
    """One line a tensor."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(said)}" for name, said in shapes(case.pop("tensors")).items())
    rest = json.dumps(case, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return rest.removesuffix("\n}") + ',\n "tensors": {\n' + lines + "\n }\n}\n"


def frozen(path, text, check):
    """Writes a file, or says that it is not what it was."""
    if check:
        return [] if path.exists() and path.read_text() == text else [path.stem]
    FOLDER.mkdir(exist_ok=True)
    path.write_text(text)
    return []


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("converter", type=Path)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="<model_type>[@variant]; all of them by default")
    parser.add_argument("--check", action="store_true", help="compare with the frozen files instead of writing them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    module = converter(arguments.converter)

    moved = []
    types = {kind.name: [int(kind), *gguf.GGML_QUANT_SIZES[kind]] for kind in gguf.GGMLQuantizationType}
    moved += frozen(FOLDER / "types.json", json.dumps(types, indent=1) + "\n", arguments.check)
    for name in arguments.cases or CASES:
        path = FOLDER / f"{name}.json"
        try:
            case = text(record(module, name.partition("@")[0], CASES[name]))
        except Exception as error:  # what the converter does not take is listed
            print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", file=sys.stderr)
            if path.exists():
                moved.append(name)
            continue
        moved += frozen(path, case, arguments.check)
    if moved:
        print(f"moved: {', '.join(moved)}", file=sys.stderr)
    return 1 if moved else 0


if __name__ == "__main__":
    sys.exit(main())
