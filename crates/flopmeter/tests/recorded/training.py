"""Runs small models forward and backward under PyTorch's FLOP counter and freezes both counts in training/steps.json.

    python training.py [CASE …]             count every case again, or these only
    python training.py --check [CASE …]     compare with the frozen file, say what moved, exit 1 if anything did

A CASE is one of cases.py or of adapters.py. `trained` has every case of cases.py: all parameters are trained, and the loss is the sum of what the model returns. Where
it can, the backward pass runs a second time with each layer computed again (`checkpointed`). `frozen` leaves the embedding
and the first layer untrained, `adapted` all but a LoRA adapter of adapters.py.
"""

import argparse
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

import compare
import record
from adapters import ADAPTERS, FOLDER
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
    if config.is_encoder_decoder and model.can_generate():
        return {"input_ids": tokens(BATCH, SEQUENCE), "decoder_input_ids": tokens(BATCH, TARGET)}
    if config.is_encoder_decoder:
        # What labels a text gives it to the decoder too, and looks for where it ends.
        return {"input_ids": record.ended(tokens(BATCH, SEQUENCE), config)}
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


def lengths(given):
    """Tokens of a row, where they are others; and of a decoder beside an encoder of text."""
    if "decoder_input_ids" not in given:
        return {}
    return {"sequence" if "input_features" in given else "target": TARGET}


def trained(name):
    model = built(name)
    given = inputs(model)
    forward, backward = passes(model, given)
    counts = {"forward": forward, "backward": backward, **lengths(given)}
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
    given = inputs(model.base_model.model)
    forward, backward = passes(model, given)
    return {"forward": forward, "backward": backward, **lengths(given)}


def as_text(counts):
    """A line for each case."""
    lines = [f' "versions": {json.dumps(counts["versions"])}']
    for group in GROUPS:
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(case)}" for name, case in counts[group].items())
        lines.append(f" {json.dumps(group)}: {{\n{rows}\n }}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


# How a case is counted, and which ones are, by what is trained. Of adapters those of which passes are counted.
GROUPS = {
    "trained": (trained, [name for name in CASES if name.partition("@")[0] not in NO_BACKWARD]),
    "frozen": (frozen, FROZEN),
    "adapted": (adapted, [name for name in ADAPTERS if json.loads((FOLDER / f"{name}.json").read_text())["runs"]]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="a case of cases.py or adapters.py; all by default")
    parser.add_argument("--check", action="store_true", help="compare with the frozen file instead of writing it")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - {name for _, names in GROUPS.values() for name in names}:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()

    frozen_counts, now, amiss = json.loads(FILE.read_text()), {"versions": record.versions()}, 0
    for group, (count, names) in GROUPS.items():
        was, now[group] = frozen_counts[group], {}
        for name in names:
            if arguments.cases and name not in arguments.cases:
                now[group] |= {name: was[name]} if name in was else {}
                continue
            try:
                now[group][name] = count(name)
            except Exception as error:  # every one is tried, the failures are listed together
                print(f"{group} {name}: {type(error).__name__}: {error}", file=sys.stderr)
                amiss += 1
                continue
            if not arguments.check:
                continue
            known = was.get(name)
            if lines := list(compare.keys("", known, now[group][name])) if known else ["was not frozen"]:
                print(f"{group} {name}", *lines, sep="\n  ")
                amiss += 1
        if strays := set(was) - set(names):
            print(f"no case records these as {group}: {', '.join(sorted(strays))}", file=sys.stderr)
            amiss += arguments.check
    if not arguments.check:
        FILE.write_text(as_text(now))
    return 1 if amiss else 0


if __name__ == "__main__":
    sys.exit(main())
