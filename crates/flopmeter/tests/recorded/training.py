"""Runs small models forward and backward under PyTorch's FLOP counter and freezes both counts in training/steps.json.

    python training.py [--check]

`trained` has every case of cases.py: all parameters are trained, and the loss is the sum of what the model returns. Where
it can, the backward pass runs a second time with each layer computed again (`checkpointed`). `frozen` leaves the embedding
and the first layer untrained, `adapted` all but a LoRA adapter of adapters.py.
"""

import contextlib
import json
import sys
import warnings
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig

import record
from adapters import ADAPTERS
from cases import CASES

FILE = Path(__file__).parent / "training" / "steps.json"
BATCH, SEQUENCE, TARGET = 2, 23, 5
FROZEN = ["llama", "gpt2", "qwen3", "gemma3_text", "mixtral", "deepseek_v3", "gpt_oss", "falcon", "gptj", "mamba2",
          "qwen3_next", "bert@predicts", "bloom", "phi3"]
# Whose state autograd finds overwritten.
NO_BACKWARD = {"rwkv", "xlstm"}


def built(name):
    torch.manual_seed(0)
    _, config = record.saved(AutoConfig.for_model(name.partition("@")[0], **CASES[name]))
    model = record.build(config).requires_grad_(True)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def inputs(model):
    config = model.config
    vocabulary = config.get_text_config().vocab_size
    tokens = lambda rows, count: torch.randint(3, vocabulary, (rows, count))
    if model.main_input_name == "input_features":
        sound = torch.randn(BATCH, config.num_mel_bins, 2 * config.max_source_positions)
        return {"input_features": sound, "decoder_input_ids": tokens(BATCH, TARGET)}
    if config.is_encoder_decoder:
        return {"input_ids": tokens(BATCH, SEQUENCE), "decoder_input_ids": tokens(BATCH, TARGET)}
    codebooks = config.num_codebooks if config.model_type in record.BY_CODEBOOK else 1
    return {"input_ids": tokens(BATCH * codebooks, SEQUENCE)}


def passes(model, given):
    """FLOPs of the forward and of the backward pass."""
    with FlopCounterMode(display=False) as forward:
        output = model(**given)
    tensors = [value for value in output.values() if isinstance(value, torch.Tensor) and value.requires_grad]
    with FlopCounterMode(display=False) as backward:
        sum(tensor.float().sum() for tensor in tensors).backward()
    model.zero_grad()
    return forward.get_total_flops(), backward.get_total_flops()


def trained(name):
    model = built(name)
    given = inputs(model)
    forward, backward = passes(model, given)
    counts = {"forward": forward, "backward": backward}
    if model.config.is_encoder_decoder:
        counts["target"] = TARGET
    if model.supports_gradient_checkpointing:
        # The form that does not stop as soon as it has what it needs.
        model.gradient_checkpointing_enable({"use_reentrant": True})
        model.train()
        with contextlib.suppress(AssertionError, RuntimeError):  # not every reference can
            again, checkpointed = passes(model, given)
            if again == forward:
                counts["checkpointed"] = checkpointed
    return counts


def frozen(name):
    model = built(name)
    base = model.base_model
    layers = next(module for path, module in base.named_modules() if isinstance(module, torch.nn.ModuleList))
    model.get_input_embeddings().requires_grad_(False)
    for path, module in base.named_children():
        if "embed" in path or path in {"wte", "wpe"}:
            module.requires_grad_(False)
    layers[0].requires_grad_(False)
    forward, backward = passes(model, inputs(model))
    return {"forward": forward, "backward": backward}


def adapted(name):
    case, settings = ADAPTERS[name]
    model = get_peft_model(built(case), LoraConfig(**settings))
    model.enable_input_require_grads()
    forward, backward = passes(model, inputs(model.base_model.model))
    return {"forward": forward, "backward": backward}


def main():
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    groups = {
        "trained": (trained, [name for name in CASES if name.partition("@")[0] not in NO_BACKWARD]),
        "frozen": (frozen, FROZEN),
        "adapted": (adapted, list(ADAPTERS)),
    }
    counts, failed = {"versions": record.versions()}, []
    for group, (count, names) in groups.items():
        counts[group] = {}
        for name in names:
            try:
                counts[group][name] = count(name)
            except Exception as error:  # every one is tried, the failures are listed together
                print(f"{group} {name}: {type(error).__name__}: {error}", file=sys.stderr)
                failed.append(name)
    lines = [f' "versions": {json.dumps(counts.pop("versions"))}']
    for group, cases in counts.items():
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items())
        lines.append(f" {json.dumps(group)}: {{\n{rows}\n }}")
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    if "--check" not in sys.argv[1:]:
        FILE.write_text(text)
    elif FILE.read_text() != text:
        sys.exit("moved")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
