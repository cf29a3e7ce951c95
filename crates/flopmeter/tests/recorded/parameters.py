"""Counts the parameters of the built-in models and freezes them as parameters.json: {id: elements}.

    python parameters.py            count them again
    python parameters.py --check    compare with the frozen file, exit 1 if a number moved

Each config of data/models.jsonl is loaded as a config.json would be and built on the meta device: shapes, no weights.
Tied parameters count once. What only images use is left out: those configs describe the text part alone.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig

from record import build, parameters

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "data" / "models.jsonl"
FROZEN = HERE / "parameters.json"

# Classes that live in a repository's own code and are copies of one that transformers has.
COPIES = {"kimi_k2": "deepseek_v3"}


def load(config):
    """The config as transformers itself reads it; its own class, never code from a repository."""
    config = {key: value for key, value in config.items() if key not in {"auto_map", "quantization_config"}}
    config["model_type"] = COPIES.get(config["model_type"], config["model_type"])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        return AutoConfig.from_pretrained(folder)


def main():
    transformers.logging.set_verbosity_error()
    counts, failed = {}, []
    for line in MODELS.read_text().splitlines():
        model = json.loads(line)
        try:
            with torch.device("meta"):
                count = parameters(build(load(model["config"])))
            counts[model["id"]] = count["total"] - count.get("vision", 0)
        except Exception as error:  # every model is tried, the failures are listed
            print(f"{model['id']}: {type(error).__name__}: {error}", file=sys.stderr)
            failed.append(model["id"])
    if "--check" not in sys.argv[1:]:
        FROZEN.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n")
    else:
        frozen = json.loads(FROZEN.read_text())
        for id in sorted(counts.keys() | frozen.keys()):
            if counts.get(id) != frozen.get(id):
                print(f"{id}: frozen {frozen.get(id)}, now {counts.get(id)}")
                failed.append(id)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
