"""Counts layers that predict further tokens, as `transformers` runs them when it drafts with them (`use_mtp=True`).

    python prediction.py                    record every case of PREDICTION again
    python prediction.py step3p7            record these only
    python prediction.py --check [CASE …]   compare with the frozen files, say what moved, exit 1 if anything did

One file per case in prediction/: `config`, `parameters` of one layer and of what joins it to the model, and `runs` as in
the files beside, in which a pass is one of the first layer, with its head, over a cache of its own.
"""

import sys

import torch
from transformers import AutoConfig
from transformers.cache_utils import MtpCache
from transformers.modeling_layers import MtpModel

from cases import CASES, EXPERTS, GROUPED
from images import main
from multimodal_cases import MULTIMODAL, STEP, STEP_VISION
from record import BATCHES, SEQUENCES, Counter, build, components, kinds, saved, versions

FURTHER = {"num_nextn_predict_layers": 1}
PREDICTION = {
    "deepseek_v3": {**CASES["deepseek_v3"], **FURTHER},
    "glm4_moe": {**CASES["glm4_moe"], **FURTHER},
    "glm4_moe@normed": {**CASES["glm4_moe@normed"], **FURTHER},
    "sarvam_moe": {**CASES["sarvam_moe"], **FURTHER},
    # The class forgets that sliding layers have heads of their own number (`mtp_per_layer_config` is never set).
    "step3p7": {**MULTIMODAL["step3p7@published"],
                "text_config": {**MULTIMODAL["step3p7@published"]["text_config"],
                                "attention_other_setting": {"num_attention_heads": 6}}},
    "step3p7@listed": {"text_config": {"model_type": "step3p5", **STEP, **FURTHER,
                                       "layer_types": ["full_attention", "sliding_attention", "full_attention"],
                                       "mtp_layer_types": ["full_attention"], "mtp_mlp_layer_types": ["sparse"],
                                       "num_sliding_attention_heads": 9},
                       "vision_config": STEP_VISION, "image_token_id": 126},
}


def run(further, names, batch, lengths, width, vocabulary):
    """The counts of passes of the first layer and its head, which share a cache."""
    passes, past, cache = [], 0, MtpCache(config=further.config)
    for new in lengths:
        tokens, hidden = torch.randint(3, vocabulary, (batch, new)), torch.randn(batch, new, width)
        positions = torch.arange(past, past + new)[None]
        with Counter(names) as counter:
            further._project_to_logits(further.forward_layer(0, hidden, positions, cache, input_ids=tokens))
        total, parts = counter.get_total_flops(), components(counter.operations)
        assert total == sum(parts.values()) > 0, (total, parts)
        passes.append({"past": past, "new": new, "total": total, "components": parts})
        past += new
    return {"batch": batch, "passes": passes}


def record(name, given):
    torch.manual_seed(0)
    config, loaded = saved(AutoConfig.for_model(name.partition("@")[0], **given))
    model = build(loaded)
    further = MtpModel(model, 1).eval().requires_grad_(False)
    further.config._attn_implementation, further.config._experts_implementation = "eager", "eager"
    text = model.config.get_text_config()
    # A layer and the head are called by themselves.
    inside = "layers.0."
    names = {path.removeprefix(inside): name for path, name in kinds(further).items() if path.startswith(inside)}
    names |= {"eh_proj": "embeddings_project", "": "lm_head"}
    layer = {id(parameter): parameter.numel() for parameter in further.layers.parameters()}
    return {
        "versions": versions(),
        "config": {**config, "architectures": [type(model).__name__]},
        "parameters": sum(layer.values()),
        "runs": [run(further, names, batch, lengths, text.hidden_size, text.vocab_size)
                 for batch in BATCHES for lengths in SEQUENCES],
        "cuts": [],
    }


if __name__ == "__main__":
    sys.exit(main(__doc__, "prediction", PREDICTION, record))
