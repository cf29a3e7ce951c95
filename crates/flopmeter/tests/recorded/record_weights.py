"""Saves the models of the recorded cases and freezes the names and shapes of the tensors in their safetensors files.

    python record_weights.py [CASE …] [--check]

One file per case, `weights/<model_type>[@variant].json`: a shape, or for tensors of layers and experts (`N` and `E` in
the name) shapes, each with the layers that have it and the number of experts.
"""

import argparse
import json
import re
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig

from cases import CASES
from record import HERE, build

FOLDER = HERE / "weights"


def saved(model_type, given):
    """Names and shapes as `save_pretrained` writes them."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        AutoConfig.for_model(model_type, **given).save_pretrained(folder)
        build(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
        return {name: [*tensor.shape] for name, tensor in load_file(Path(folder) / "model.safetensors").items()}


def shapes(tensors):
    """Shapes by name: [shape, its layers, number of experts] for what is of a layer."""
    found, experts = {}, {}
    for name, shape in tensors.items():
        match = re.match(r"(.*?\b(?:layers|h|blocks|block)\.)(\d+)(\..*)", name)
        if not match:
            found[name] = shape
            continue
        start, layer, end = match[1], int(match[2]), re.sub(r"(experts\.)\d+\.", r"\1E.", match[3])
        name = f"{start}N{end}"
        experts[name, layer] = experts.get((name, layer), 0) + 1
        if experts[name, layer] > 1:
            continue
        same = found.setdefault(name, [])
        layers = next((layers for known, layers in same if known == shape), None)
        if layers is None:
            same.append((shape, layers := []))
        layers.append(layer)
    return {name: said if not isinstance(said[0] if said else 0, tuple) else
            [[shape, layers, experts[name, layers[0]]] for shape, layers in said] for name, said in found.items()}


def text(tensors):
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(said)}" for name, said in shapes(tensors).items())
    return "{\n" + lines + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="<model_type>[@variant]; all of them by default")
    parser.add_argument("--check", action="store_true", help="compare with the frozen files instead of writing them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    FOLDER.mkdir(exist_ok=True)
    moved = []
    for name in arguments.cases or CASES:
        path = FOLDER / f"{name}.json"
        try:
            case = text(saved(name.partition("@")[0], CASES[name]))
        except Exception as error:  # every case is tried, the failures are listed together
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            moved.append(name)
            continue
        if not arguments.check:
            path.write_text(case)
        elif not path.exists() or path.read_text() != case:
            moved.append(name)
    if moved:
        print(f"failed or moved: {', '.join(moved)}", file=sys.stderr)
    return 1 if moved else 0


if __name__ == "__main__":
    sys.exit(main())
