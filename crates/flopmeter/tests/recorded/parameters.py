"""Counts the parameters of every model of data/models.jsonl with the reference implementation.

Each row's config is built by transformers on the meta device, so nothing is downloaded and no memory is needed.
Tied weights count once and buffers do not count. A config that describes a vision tower is built whole, and what its
tower has is counted once more by itself; so is one whose thinker hears, without what sees. Of a multimodal config that
describes none only the text part counts, which is
the part that flopmeter counts: it is built alone if it has a class of its own, or with the towers, whose parameters are
left out. A row that names its class in `architectures` is built as that class. `record.py parameters` freezes them in
parameters.json, which is what the Rust engine must reproduce.
"""

import json
import pathlib

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

HERE = pathlib.Path(__file__).parent
MODELS = HERE / "../../data/models.jsonl"

# Types that transformers knows under another name: the shapes are read in the same way.
SAME_AS = {"kimi_k2": "deepseek_v3", "mimo": "qwen2", "minimax_m3": "minimax_m3_vl_text"}
# Settings of how a model was stored or is run, which have no effect on its parameters.
NOT_SHAPE = {"quantization_config", "torch_dtype", "dtype", "preprocessor_config"}
# What the towers of a multimodal model, and what joins them to its text part, are called.
TOWERS = {"visual", "vision_tower", "vision_model", "multi_modal_projector", "audio_tower", "embed_vision",
          "mm_projector"}


def read(config):
    """A config of transformers."""
    model_type = SAME_AS.get(config["model_type"], config["model_type"])
    keys = {key: value for key, value in config.items() if key not in {*NOT_SHAPE, "model_type"}}
    return AutoConfig.for_model(model_type, **keys)


def count(config):
    """The number of parameters of one config, and how many of them are a tower's."""
    sees = "vision_config" in config
    hears = "audio_config" in config.get("thinker_config", {})
    config = config.get("thinker_config", config)
    text = dict(config.get("text_config", config))
    if "tie_word_embeddings" in config:
        text["tie_word_embeddings"] = config["tie_word_embeddings"]
    kind, built = AutoModelForCausalLM, read(text)
    if sees or hears or (type(built) not in kind._model_mapping and "architectures" not in config):
        kind, built = AutoModelForImageTextToText, read(config)
    # A row of an encoder, or of a decoder with one, names its class.
    named = config.get("architectures")
    with torch.device("meta"):
        model = getattr(transformers, named[0])._from_config(built) if named else kind.from_config(built)
    model.tie_weights()
    if named and built.model_type == "t5" and config.get("tie_word_embeddings") is False:
        # The class ties its head whatever the config says, and unties it when it loads a checkpoint that has one.
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
    total = sum(it.numel() for it in model.parameters())
    of = lambda names: sum(it.numel() for name, it in model.named_parameters() if names & set(name.split(".")))
    tower = of(TOWERS)
    if hears:
        return total - of(TOWERS - {"audio_tower"}), of({"audio_tower"})
    return (total, tower) if sees else (total - tower, 0)


def counts():
    """The parameters of every row and of its tower, if it describes one, by its id."""
    parameters, towers, seen = {}, {}, {}
    for line in MODELS.read_text().splitlines():
        row = json.loads(line)
        key = json.dumps({k: v for k, v in row["config"].items() if k not in NOT_SHAPE}, sort_keys=True)
        if key not in seen:
            seen[key] = count(row["config"])
        parameters[row["id"]], tower = seen[key]
        if tower:
            towers[row["id"]] = tower
    return {"parameters": parameters, "towers": towers}
