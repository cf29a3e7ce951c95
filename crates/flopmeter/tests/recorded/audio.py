"""Counts small models that hear, and freezes how their processors make frames and tokens of clips of many lengths.

    python audio.py                    record every case of audio_cases.py again
    python audio.py qwen2_audio        record these only
    python audio.py --check [CASE …]   compare with the frozen files, say what moved, exit 1 if anything did

One file per case in audio/; README.md says what it holds.
"""

import inspect
import random
import sys

import numpy
import torch
from transformers import AutoConfig
from transformers.modeling_outputs import BaseModelOutput

from audio_cases import AUDIO_CASES
from image_processors import ORDINARY
from images import BATCHES, DECODE, TEXT_AFTER, TEXT_BEFORE, main
from record import CACHES, Counter, build, components, counted, kinds, parameters, saved, versions

RATE = 16000


def lengths(prompts):
    """Some lengths in seconds: those of the prompts, a sample around them, and random ones."""
    fixed = [clip + sample / RATE for prompt in prompts for clip in prompt for sample in (-1, 0, 1)]
    seeded = random.Random(0)
    return [round(clip, 6) for clip in fixed + [2 ** seeded.uniform(-6, 3) for _ in range(60)]]


def silence(seconds):
    # The nearest sample, a half up.
    return numpy.zeros(int(seconds * RATE + 0.5), dtype=numpy.float32)


def process(processor, text, clips):
    return processor(text=text, audio=[silence(clip) for clip in clips] or None, add_special_tokens=False,
                     return_tensors="pt", sampling_rate=RATE)


def length(processor, words):
    """Tokens of a text of words alone."""
    return processor.tokenizer(" ".join(words), add_special_tokens=False, return_tensors="pt")["input_ids"].shape[-1]


def cut(processor, audio, seconds):
    """How many tokens a clip adds to a text, and the shape of the frames."""
    given = {"seconds": seconds}
    try:
        made = process(processor, [f"{ORDINARY} {audio}"], [seconds])
    except (RuntimeError, ValueError) as error:
        return {**given, "error": str(error).split(",")[0].split("\n")[0]}
    tokens = made["input_ids"].shape[-1] - length(processor, [ORDINARY])
    mask = next((made[key] for key in ["feature_attention_mask", "input_features_mask"] if key in made), None)
    return {**given, "tokens": tokens, **({"frames": int(mask.sum())} if mask is not None else {})}


def prompt(case, processor, config, clips, batch):
    """What a model is called with for texts with clips in them, all of the batch alike; and how many tokens are text."""
    between = [word for _ in clips for word in (ORDINARY, case["audio"])]
    words = [ORDINARY] * TEXT_BEFORE + between + [ORDINARY] * TEXT_AFTER
    made = dict(process(processor, [" ".join(words)] * batch, clips * batch))
    # The tokenizer's numbers are not the config's.
    feature = processor.tokenizer.convert_tokens_to_ids(case["audio"])
    made["input_ids"] = torch.where(made["input_ids"] == feature, config.audio_token_id, 5)
    return made, length(processor, [ORDINARY] * words.count(ORDINARY))


def hearing(model, tower):
    """Names of modules as the recorder knows them, those of the tower all as one."""
    names = kinds(model)
    return names | {path: "audio_tower" for path, _ in model.named_modules() if path.split(".")[-1] in tower}


def run(case, processor, model, config, clips, batch):
    given, text = prompt(case, processor, config, clips, batch)
    accepted = inspect.signature(model.forward).parameters
    given = {key: value for key, value in given.items() if key in accepted}
    passes, past, cache = [], 0, None
    cached = next(name for name in CACHES if name in accepted)
    for step in range(1 + DECODE):
        if step:
            given = {"input_ids": torch.full((batch, 1), 5)}
        new = given["input_ids"].shape[1]
        with Counter(hearing(model, case["tower"])) as counter:
            output = model(**given, **{cached: cache}, use_cache=True)
        assert output.logits.shape[:2] == (batch, new), output.logits.shape
        total, parts = counter.get_total_flops(), components(counter.operations)
        assert total == sum(parts.values()) > 0, (total, parts)
        passes.append({"past": past, "new": new, "total": total, "components": parts})
        past, cache = past + new, output[cached]
    return {"batch": batch, "audio": clips, "text": text, "passes": passes}


def encoded(processor, clips):
    """What an encoder of sound is given for clips, one for each sequence."""
    made = processor([silence(clip) for clip in clips], sampling_rate=RATE, return_tensors="pt")
    return {key: made[key] for key in ["input_features", "input_values"] if key in made}


def cut_whole(case, processor, model, seconds):
    """How many vectors a decoder attends to for a clip."""
    try:
        output = model.get_encoder()(**encoded(processor, [seconds]))
        return {"seconds": seconds, "tokens": 0, "features": output.last_hidden_state.shape[1]}
    except (RuntimeError, ValueError, ZeroDivisionError) as error:
        return {"seconds": seconds, "error": str(error).split(",")[0].split("\n")[0]}


def run_whole(processor, model, config, clips, batch):
    """The counts of an encoder of sound and of the decoder that attends to it."""
    given = encoded(processor, clips * batch)

    def forward(new, last):
        tokens = torch.full((batch, new), 5)
        if last is None:
            return model(**given, decoder_input_ids=tokens)
        heard = BaseModelOutput(last_hidden_state=last.encoder_last_hidden_state)
        if "attention_mask" in inspect.signature(type(model.get_encoder()).forward).parameters:
            heard["attention_mask"] = None
        return model(encoder_outputs=heard, decoder_input_ids=tokens, **{name: last[name] for name in CACHES if name in last})

    return {"batch": batch, "audio": clips, "text": TEXT_BEFORE, "passes": counted(model, [TEXT_BEFORE] + [1] * DECODE, forward)}


def record_whole(config, loaded, model, case):
    processor = case["processor"](case["settings"])
    return {
        "versions": versions(),
        "config": {**config, "architectures": [type(model).__name__]},
        "preprocessor": case["settings"],
        "parameters": {"total": parameters(model)["total"], "beside": 0},
        "cuts": [cut_whole(case, processor, model, clip) for clip in lengths(case["prompts"])],
        "runs": [run_whole(processor, model, loaded, clips, batch) for batch in BATCHES for clips in case["prompts"]],
    }


def record(name, case):
    torch.manual_seed(0)
    model_type = name.partition("@")[0]
    config, loaded = saved(AutoConfig.for_model(model_type, **case["config"]))
    model = build(loaded)
    if config.get("is_encoder_decoder"):
        return record_whole(config, loaded, model, case)
    processor = case["processor"](case["settings"])
    tower = [module for path, module in model.named_modules() if path.split(".")[-1] in case["tower"]]
    audio = sum({id(parameter): parameter.numel() for module in tower for parameter in module.parameters()}.values())
    counted = parameters(model)
    return {
        "versions": versions(),
        "config": {**config, "architectures": [type(model).__name__]},
        "preprocessor": {**case["settings"], **case.get("stated", {})},
        "parameters": {"total": counted["total"], "audio": audio, "beside": counted["vision"] - audio},
        "cuts": [cut(processor, case["audio"], clip) for clip in lengths(case["prompts"])],
        "runs": [run(case, processor, model, loaded, clips, batch) for batch in BATCHES for clips in case["prompts"]],
    }


if __name__ == "__main__":
    sys.exit(main(__doc__, "audio", AUDIO_CASES, record))
