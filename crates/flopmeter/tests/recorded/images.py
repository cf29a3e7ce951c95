"""Counts small models that read images, and freezes how their processors cut images of many sizes.

    python images.py                    record every case of image_cases.py again
    python images.py gemma3             record these only
    python images.py --check [CASE …]   compare with the frozen files, say what moved, exit 1 if anything did

One file per case in images/; README.md says what it holds.
"""

import argparse
import difflib
import inspect
import json
import random
import sys
import warnings

import torch
import transformers
from PIL import Image
from transformers import AutoConfig

from image_cases import IMAGE_CASES
from image_processors import ORDINARY, Alone
from record import CACHES, HERE, Counter, build, components, counted, kinds, parameters, saved, versions

# Images of one prompt, width and height: landscape, portrait, smaller than a patch, larger than any limit.
PROMPTS = [[(37, 21)], [(13, 90)], [(301, 157), (3, 2)]]
BATCHES = [1, 2]
TEXT_BEFORE, TEXT_AFTER, DECODE = 4, 7, 2


def sizes():
    """A few hundred widths and heights: those of the prompts, common ones scaled down, and random ones."""
    fixed = [size for prompt in PROMPTS for size in prompt]
    fixed += [(64, 64), (65, 64), (64, 65), (1, 1), (200, 1), (1, 199), (32, 32), (31, 33), (96, 32), (32, 96)]
    fixed += [(width, height) for width in (7, 28, 56, 84, 90) for height in (8, 28, 56, 112)]
    seeded = random.Random(0)
    spread = lambda: round(2 ** seeded.uniform(1, 9))
    return fixed + [(spread(), spread()) for _ in range(220)]


def blank(size):
    return Image.new("RGB", size)


def length(processor, words):
    """Tokens of a text without images."""
    if isinstance(processor, Alone):
        return 0
    if isinstance(processor, transformers.PaliGemmaProcessor):
        return len(words)  # it refuses a text alone, and adds nothing to it
    return process(processor, [" ".join(words)], None)["input_ids"].shape[-1]


def process(processor, text, images):
    return processor(images=images, text=text, add_special_tokens=False, return_tensors="pt")


def pixels(made):
    """What a processor calls them."""
    return next(key for key in ["pixel_values", "image_pixel_values"] if key in made)


def cut(processor, image, size):
    """How many tokens an image adds to a text, and the shapes of what the tower sees of it."""
    given = {"width": size[0], "height": size[1]}
    try:
        made = process(processor, [f"{ORDINARY} {image}"], [[blank(size)]])
    except (RuntimeError, ValueError, ZeroDivisionError) as error:
        return {**given, "error": str(error).split(",")[0]}
    tokens = made["input_ids"].shape[-1] - length(processor, [ORDINARY]) if "input_ids" in made else 0
    keys = ["aspect_ratio_mask", "image_grid_thw", "image_sizes", "spatial_shapes"]
    grid = {key: made[key].flatten().tolist() for key in keys if key in made}
    if isinstance(processor, transformers.Idefics2Processor):
        # Of each piece the rows and columns of whole patches, which have sides of 4 pixels.
        sides = [(mask.any(1).sum(), mask.any(0).sum()) for mask in made["pixel_attention_mask"][0]]
        grid["spatial_shapes"] = [int(side) // 4 for piece in sides for side in piece]
    if "image_position_ids" in made:
        # Of each patch its column and its row; -1 where an image is filled up.
        columns, rows = (made["image_position_ids"][0].amax(0) + 1).tolist()
        grid["image_grid_thw"] = [1, rows, columns]
    return {**given, "tokens": tokens, "pixels": list(made[pixels(made)].shape), **grid}


def as_lines(case):
    """Keys in order, each cut on one line."""
    text = json.dumps({**case, "cuts": ["here"]}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    lines = ",\n".join("  " + json.dumps(cut, sort_keys=True) for cut in case["cuts"])
    return text.replace('  "here"', lines)


def prompt(case, processor, config, sizes, batch):
    """What a model is called with for texts with images in them, all of the batch alike; and how many tokens are text."""
    around = [ORDINARY] * len(sizes)
    between = [word for pair in zip(around, [case["image"]] * len(sizes)) for word in pair]
    words = [ORDINARY] * TEXT_BEFORE + between + [ORDINARY] * TEXT_AFTER
    images = [[blank(size) for size in sizes] for _ in range(batch)]
    made = process(processor, [" ".join(words)] * batch, images)
    if not case.get("feature", case["image"]):
        # No token stands for an image, or there are none at all.
        return made, length(processor, [ORDINARY] * words.count(ORDINARY))
    # The tokenizer's numbers are not the config's.
    feature = processor.tokenizer.convert_tokens_to_ids(case.get("feature", case["image"]))
    stands_for_it = getattr(config, "image_token_id", None) or config.vision_config.image_token_id
    made["input_ids"] = torch.where(made["input_ids"] == feature, stands_for_it, 5)
    made[pixels(made)] = made[pixels(made)].float()
    return made, length(processor, [ORDINARY] * words.count(ORDINARY))


def run(case, processor, model, config, sizes, batch):
    given, text = prompt(case, processor, config, sizes, batch)
    accepted = inspect.signature(model.forward).parameters
    given = {key: value for key, value in given.items() if key in accepted and key != "labels"}
    if not model.can_generate():
        new = given["input_ids"].shape[1] if "input_ids" in given else 0
        passes = counted(model, [new], lambda new, last: model(**given))
        return {"batch": batch, "images": [list(size) for size in sizes], "text": text, "passes": passes}
    passes, past, cache = [], 0, None
    cached = next((name for name in CACHES if name in accepted), None)
    for step in range(1 + case.get("decode", DECODE)):
        if step:
            given = {"input_ids": torch.full((batch, 1), 5)}
        new = given["input_ids"].shape[1]
        with Counter(kinds(model)) as counter:
            output = model(**given, **({cached: cache} if cached else {}), use_cache=True)
        assert output.logits.shape[:2] == (batch, new), output.logits.shape
        total, parts = counter.get_total_flops(), components(counter.operations)
        assert total == sum(parts.values()) > 0, (total, parts)
        passes.append({"past": past, "new": new, "total": total, "components": parts})
        past, cache = past + new, output[cached] if cached else None
    return {"batch": batch, "images": [list(size) for size in sizes], "text": text, "passes": passes}


def hearing(model):
    """Parameters of a tower that hears beside the one that sees."""
    beside = sum(parameter.numel() for name, parameter in model.named_parameters() if "audio_embed" in name.split("."))
    return {"beside": beside} if beside else {}


def record(name, case):
    torch.manual_seed(0)
    model_type = name.partition("@")[0]
    config, loaded = saved(AutoConfig.for_model(model_type, **case["config"]))
    model = build(loaded)
    processor = case["processor"](case["settings"])
    return {
        "versions": versions(),
        "config": {**config, "architectures": [type(model).__name__]},
        "preprocessor": case["settings"],
        "parameters": parameters(model) | hearing(model),
        "cuts": [cut(processor, case["image"], size) for size in sizes()],
        "runs": [run(case, processor, model, loaded, images, batch) for batch in BATCHES
                 for images in case.get("prompts", PROMPTS)],
    }


def main(description, folder, cases, record):
    """Records the cases that the command line names, or compares them with the frozen files of the folder."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="<model_type>[@variant]; all of them by default")
    parser.add_argument("--check", action="store_true", help="compare with the frozen files instead of writing them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    failed = []
    for name in arguments.cases or cases:
        path = HERE / folder / f"{name}.json"
        try:
            text = as_lines(record(name, cases[name]))
        except Exception as error:  # every case is tried, the failures are listed together
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            failed.append(name)
            continue
        if not arguments.check:
            path.write_text(text)
            continue
        frozen = path.read_text() if path.exists() else ""
        if frozen != text:
            moved = difflib.unified_diff(frozen.splitlines(), text.splitlines(), "frozen", "now", lineterm="")
            print(f"{name}: moved", *moved, sep="\n")
            failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(__doc__, "images", IMAGE_CASES, record))
