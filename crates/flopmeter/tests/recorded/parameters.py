"""Counts the parameters of every model of data/models.jsonl with the reference implementation.

Each row's config is built by transformers on the meta device, so nothing is downloaded and no memory is needed.
Tied weights count once and buffers do not count. Of a multimodal config only the text part is built, which is the
part that flopmeter counts. `record.py parameters` freezes them in parameters.json, which is what the Rust engine must
reproduce.
"""

import json
import pathlib

import torch
from transformers import AutoConfig, AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
MODELS = HERE / "../../data/models.jsonl"

# Types that transformers knows under another name: the shapes are read in the same way.
SAME_AS = {"kimi_k2": "deepseek_v3"}
# Settings of how a model was stored or is run, which have no effect on its parameters.
NOT_SHAPE = {"quantization_config", "torch_dtype", "dtype"}


def count(config):
    """The number of parameters of one config."""
    outer = config
    config = dict(config.get("text_config", config))
    if "tie_word_embeddings" in outer:
        config["tie_word_embeddings"] = outer["tie_word_embeddings"]
    model_type = config.pop("model_type")
    keys = {key: value for key, value in config.items() if key not in NOT_SHAPE}
    built = AutoConfig.for_model(SAME_AS.get(model_type, model_type), **keys)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(built)
    model.tie_weights()
    return sum(parameter.numel() for parameter in model.parameters())


def counts():
    """The parameters of every row, by its id."""
    counts, seen = {}, {}
    for line in MODELS.read_text().splitlines():
        row = json.loads(line)
        key = json.dumps({k: v for k, v in row["config"].items() if k not in NOT_SHAPE}, sort_keys=True)
        if key not in seen:
            seen[key] = count(row["config"])
        counts[row["id"]] = seen[key]
    return counts
