"""Counts small models with PyTorch's own FLOP counter and freezes the counts as JSON.

    python record.py                    record every case of cases.py again
    python record.py llama mpt@wide     record these only
    python record.py --check [CASE …]   compare with the frozen files, say what moved, exit 1 if anything did

A CASE is a case of cases.py, or one of `mappings` and `parameters`: the types that transformers itself can build, and
the parameters of data/models.jsonl.

One file per case, `<model_type>[@variant].json`; README.md says what it holds.
"""

import argparse
import inspect
import json
import platform
import sys
import tempfile
import warnings
from collections import defaultdict
from functools import partial
from pathlib import Path

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutput, MoeCausalLMOutputWithPast, MoeModelOutputWithPast
from transformers.models.auto import modeling_auto

import compare
import parameters as builtin
from cases import CASES, UNRECORDED
from multimodal_cases import MULTIMODAL

HERE = Path(__file__).parent
CASES = {**CASES, **MULTIMODAL}

# In 5.24.0 the class of Llama-4 with images copies a field from the output of its text part that this output lacks,
# and so cannot return. What is counted has been done by then.
if not hasattr(MoeCausalLMOutputWithPast, "image_outputs"):
    MoeCausalLMOutputWithPast.image_outputs = None

# The kinds of model whose types are written down: what reads text, sees or hears.
KINDS = ["causal_lm", "ctc", "image_classification", "image_text_to_text", "masked_lm", "multimodal_lm", "retrieval",
         "seq_to_seq_causal_lm", "sequence_classification", "speech_seq_2_seq", "text_encoding", "token_classification",
         "visual_question_answering", "zero_shot_image_classification"]

# New tokens of each forward that shares one cache: prompts shorter and longer than the windows (7), each with three
# cached decode steps, then prefills on top of a cached prefix (one shorter and one longer than the windows).
SEQUENCES = [[5, 1, 1, 1], [23, 1, 1, 1], [4, 9, 1], [11, 9, 6]]
BATCHES = [1, 2]
# A step of several sequences mixes them in the reference implementation, and counts their square.
ALONE = {"rwkv"}

# Tokens that an encoder reads, and new tokens of the forwards of the decoder that attends to it.
SOURCES = [5, 23]
DECODERS = [[1, 1, 1, 1], [4, 1, 1, 1]]
ATTENTION = {"self_attn", "attn", "attention", "self_attention", "self", "encoder_attn", "cross_attn",
             "cross_attention", "SelfAttention", "EncDecAttention", "disentangled", "post_attention", "convolving",
             "within pieces"}
MLP = {"mlp", "mlps", "mlp_block", "ffn", "feed_forward", "fc1", "fc2", "altup", "laurel", "intermediate", "output",
       "linear", "DenseReluDense", "ffn_output", "bottleneck"}
# Those that keep no cache when they generate: every pass is given the whole sequence.
CACHELESS = {"openai-gpt", "xlm"}
# Those whose step makes one token of each codebook, given as so many sequences.
BY_CODEBOOK = {"musicgen_decoder", "musicgen_melody_decoder"}
# Those that make no cache and go on with the one that they are given.
GIVEN = {"granite4_vision", "recurrent_gemma"}
# What the argument is called: of all models in one release, of some in another, of those without attention. One that
# `forward` does not have is swallowed without a word, and every pass would be the first.
CACHES = ["cache", "cache_params", "past_key_values", "state"]
# What is told by its class, whatever it is called.
CLASSES = {"MultiHeadAttention": "self_attn", "TransformerFFN": "mlp", "DisentangledSelfAttention": "disentangled", "MatMulWrapper": "attention",
           "BigBirdBlockSparseAttention": "within pieces", "ConvBertSelfAttention": "convolving", "LongformerSelfAttention": "within pieces",
           "LongT5LocalAttention": "within pieces", "LongT5TransientGlobalAttention": "within pieces",
           "DeepseekVLAligner": "multi_modal_projector", "PaddleOCRProjector": "multi_modal_projector",
           "VideoLlama3Projector": "multi_modal_projector"}
# Widths of a head, of those that attend within pieces of a text.
PIECES = {10, 14}
# What a `mixer` is, by its class.
MIXERS = {"Attention": "self_attn", "MLP": "mlp", "MoE": "moe"}
EXPERTS = {"experts", "input_linear", "output_linear"}
SHARED = {"shared_expert", "shared_experts", "shared_mlp", "shared_expert_gate", "fc1_latent_proj", "fc2_latent_proj"}
ROUTER = {"router", "gate"}
HEAD = {"lm_head", "head", "embed_out", "output_projection", "proj_out", "cls", "generator_predictions", "lm_heads",
        "pred_layer", "generator_lm_head", "sequence_summary", "text_projection", "classification_head",
        "classifier", "discriminator_predictions", "pooler", "pre_classifier", "predictions", "qa_outputs",
        "score", "sop_classifier", "vocab_projector", "vocab_transform"}
EMBEDDING = {"project_in", "project_out", "per_layer_model_projection", "per_layer_input_gate", "per_layer_projection",
             "altup_projections", "altup_unembed_projections", "embed_proj", "embeddings_project",
             "embedding_hidden_mapping_in", "embedding_transformation", "map_inputs_layer"}
RECURRENT = {"mamba", "linear_attn", "conv", "mlstm_layer", "recurrent", "conv_qk_depthwise", "conv_qk_grouped",
             "v_proj_delayed", "k_sconv", "v_sconv", "attn_sconv", "mlp_sconv", "sconv",
             "post_attention_convolution", "post_mlp_convolution", "key_conv_attn_layer", "conv_kernel_layer",
             "conv_out_layer"}
CONNECTIONS = {"connections", "attn_hc", "ffn_hc", "hc_head", "attn_hyper_connection", "mlp_hyper_connection",
               "hyper_connection_mixer", "attention_input", "mlp_input", "final_input", "message_input",
               "q_message_gate", "k_message_gate", "v_message_gate", "mlp_message_gate"}
# Projections that are batched, by groups of heads.
GROUPED = {"o_a_proj"}
# Projections of tensors that lie otherwise, which make a batched product of each.
TRANSPOSED = {"query", "key", "value", "query_global", "key_global", "value_global", "q_proj", "k_proj", "v_proj",
              "out_proj", "dense", "o"}
# What recurs under a name of attention's, by its class; and a block that is either.
RECURRENCES = ["Lightning", "DeltaAttention", "RwkvSelfAttention", "RecurrentBlock"]
VISION = {"visual", "vision_tower", "vision_model", "image_encoder", "multi_modal_projector", "visual_projection",
          "embed_tokens_extend", "vision_embed_tokens", "vqmodel", "connector", "vision_encoder", "vision_projection",
          "embed_vision", "mm_projector", "visual_embeddings_table", "qformer", "language_projection"}
AUDIO = {"audio_tower"}
# What the text part of a model with more parts is called.
TEXT = {"language_model", "text_model"}


def kinds(model):
    """Paths of modules whose own name does not tell what they are, and a name that does."""
    names, head = {}, model.get_output_embeddings()
    # What the whole does itself: CLIP compares what a text and an image have become.
    names[""] = "visual_projection"
    if not hasattr(model.config, "text_config") and model.main_input_name == "pixel_values":
        # A tower alone.
        return {path: "vision_tower" for path, _ in model.named_modules()}
    for path, module in model.named_modules():
        name, kind = path.split(".")[-1], type(module).__name__
        if module is head:
            names[path] = "lm_head"
        elif kind in CLASSES:
            names[path] = CLASSES[kind]
        elif any(part in kind for part in RECURRENCES):
            names[path] = "recurrent"
        elif hasattr(module, "attn_hc"):
            # A layer mixes the streams of its residual itself.
            names[path] = "connections"
        elif name == "ple":
            names |= {f"{path}.{part}": "per_layer_projection" for part in ["key_proj", "value_proj"]}
            names[f"{path}.conv1d"] = "recurrent"
        elif kind == "DogeCDMoE":
            names |= {path: "experts", f"{path}.router_gate": "router"}
            names |= {f"{path}.{part}": "shared_expert" for part in ["gate_proj", "up_proj", "down_proj"]}
        elif name == "temporal_block" or kind == "LongcatFlashMLA":
            names[path] = "self_attn"
        elif name == "mixer":
            names[path] = next((name for part, name in MIXERS.items() if part in kind), "recurrent")
        elif name == "shared_mlp" and getattr(model.get_submodule(path.rpartition(".")[0]), "has_experts", True) is False:
            # The feed-forward layer of a Granite hybrid without experts.
            names |= {path: "mlp", f"{path}.input_linear": "up_proj", f"{path}.output_linear": "down_proj"}
    return names


class Counter(FlopCounterMode):
    """The counter as it is, and for each operation that it counts: where it ran, on which shapes, how much it added."""

    def __init__(self, names):
        super().__init__(display=False)
        self.names = names
        self.operations = []

    def _count_flops(self, func_packet, out, args, kwargs):
        before = self.get_total_flops()
        result = super()._count_flops(func_packet, out, args, kwargs)
        if flops := self.get_total_flops() - before:
            # The first entry is the model class; the longest path is the innermost module.
            path = max(self.mod_tracker.parents, key=lambda name: name.count(".")).split(".")[1:]
            path = [self.names.get(".".join(path[:end + 1]), name) for end, name in enumerate(path)] or [self.names[""]]
            tensors = [tuple(arg.shape) for arg in args if isinstance(arg, torch.Tensor)]
            self.operations.append((path, func_packet.__name__, tensors[-2:], flops))
        return result


def is_batched_product_of(path, operation):
    """Whether this is the decoder's product of queries with keys or of weights with values: batched, and of no linear layer."""
    return path[-1] in ATTENTION and not (VISION | AUDIO) & set(path) and operation in {"bmm", "baddbmm"}


def component(path, operation):
    """The component that an operation belongs to, attention's batched products aside."""
    names = set(path)
    if names & AUDIO:
        return "audio"
    if names & VISION:
        return "vision"
    if path[-1] in {"indexer", "scorer"}:
        return "attention.scores"
    if path[-2:] == ["router", "classifier"]:
        return "moe.router"
    if path in [["decoder"], ["dense"]]:
        return "head"  # what an encoder has beside itself
    for name, parts in [("head", HEAD), ("embedding.projections", EMBEDDING), ("recurrent", RECURRENT),
                        ("moe.shared", SHARED), ("moe.router", ROUTER), ("attention.projections", ATTENTION),
                        ("moe.experts", EXPERTS), ("mlp", MLP), ("connections", CONNECTIONS)]:
        if names & parts:
            projects = operation in {"mm", "addmm", "convolution"} or path[-1] in TRANSPOSED
            if name == "attention.projections" and not projects and not names & GROUPED:
                break
            return name
    if path[-2:-1] == ["layers"] and operation == "bmm":
        return "mlp"  # Gemma 3n mixes its streams by a method of `altup`, which the tracker takes for the layer
    raise ValueError(f"{operation} in {'.'.join(path)} belongs to no component")


def components(operations, encodes=False):
    """FLOPs per component; of an encoder that a decoder attends to (`encodes`), all of them are one. In an attention
    module the batched products come in pairs, scores then values, told from each other by their shapes: values contract
    the very positions that scores produced."""
    sums, scores = defaultdict(int), None
    for path, operation, shapes, flops in operations:
        if encodes and "encoder" in path:
            sums["encoder"] += flops
        elif not is_batched_product_of(path, operation):
            projects = scores is not None and path[:len(scores[0])] == scores[0] and "disentangled" in path
            assert scores is None or projects, f"{operation} in {path} between scores and values"
            sums[component(path, operation)] += flops
        elif path[-1] == "within pieces":
            # Pieces overlap, and some tokens see all: what is as wide as a head is contracted for scores.
            sums["attention.scores" if shapes[0][-1] in PIECES else "attention.values"] += flops
        elif path[-1] == "convolving" and scores is None and shapes[1][-1] == 1:
            # The kernels that the tokens have made, times what they stand around.
            sums["recurrent"] += flops
        elif scores and path[-1] == "disentangled" and shapes[0][-1] != scores[1][1][-1]:
            # Queries with distances, and keys with them: more scores.
            sums["attention.scores"] += flops
        elif scores is None:
            scores = (path, shapes)
            sums["attention.scores"] += flops
        else:
            (_, (queries, keys)), (weights, values) = scores, shapes
            assert path == scores[0], f"scores in {scores[0]}, values in {path}"
            assert weights == (*queries[:-1], keys[-1]), f"{queries} × {keys} made no {weights}"
            sums["attention.values"] += flops
            scores = None
    assert scores is None
    return dict(sums)


def attends(model):
    """Whether any module is attention over a cache that grows."""
    names = kinds(model)
    return any("Attention" in type(module).__name__ and names.get(path) != "recurrent"
               for path, module in model.named_modules())


def run(model, batch, lengths, vocabulary):
    """The counts of consecutive forwards of one batch that share a cache."""
    passes, past, names = [], 0, kinds(model)
    codebooks = model.config.num_codebooks if model.config.model_type in BY_CODEBOOK else 1
    cache = DynamicCache(config=model.config) if model.config.model_type in GIVEN else None
    anew = model.config.model_type in CACHELESS
    cached = next((name for name in CACHES if name in inspect.signature(model.forward).parameters), None)
    for new in lengths:
        tokens = torch.randint(3, vocabulary, (batch * codebooks, past + new if anew else new))
        with Counter(names) as counter:
            output = model(input_ids=tokens, **({} if anew else {cached: cache, "use_cache": True}))
        assert output.logits.shape == (*tokens.shape, vocabulary), output.logits.shape
        total, parts = counter.get_total_flops(), components(counter.operations)
        assert total == sum(parts.values()) > 0, (total, parts)
        passes.append({"past": past, "new": new, "total": total, "components": parts})
        past, cache = past + new, output.get(cached, cache)
        if anew:
            continue
        assert cache is not None, "the model keeps no cache, so the next pass would be a prompt of its own"
        # Without attention layers a cache has no length.
        assert not attends(model) or cache.get_seq_length() == past
    return {"batch": batch, "passes": passes}


def counted(model, lengths, forward):
    """The counts of forwards of an encoder or of an encoder-decoder: of `forward(new, past, output of the last)`."""
    passes, past, output, names = [], 0, None, kinds(model)
    for new in lengths:
        with Counter(names) as counter:
            output = forward(new, output)
        total = counter.get_total_flops()
        parts = components(counter.operations, model.config.is_encoder_decoder)
        assert total == sum(parts.values()) > 0, (total, parts)
        passes.append({"past": past, "new": new, "total": total, "components": parts})
        past += new
    return passes


def attend_as_configured(model):
    """BigBird's attention to blocks again: a short text has made it attend to everything from then on."""
    encoder = next((part for part in model.modules() if hasattr(part, "set_attention_type")), None)
    if encoder is not None:
        encoder.set_attention_type(model.config.attention_type)


def run_whole(model, batch, source, lengths, vocabulary):
    """The counts of an encoder-decoder: the first pass is the encoder's and the decoder's, the others go on."""
    config = model.config
    attend_as_configured(model)
    if config.model_type == "whisper":
        features = torch.randn(batch, config.num_mel_bins, 2 * config.max_source_positions)
        reads = {"input_features": features}
    else:
        reads = {"input_ids": torch.randint(3, vocabulary, (batch, source))}

    def forward(new, last):
        tokens = torch.randint(3, vocabulary, (batch, new))
        if last is None:
            return model(**reads, decoder_input_ids=tokens)
        output = MoeModelOutputWithPast if hasattr(config, "num_experts") else BaseModelOutput
        encoded = output(last_hidden_state=last.encoder_last_hidden_state)
        assert last.past_key_values is not None
        return model(encoder_outputs=encoded, decoder_input_ids=tokens, past_key_values=last.past_key_values)

    passes = counted(model, lengths, forward)
    return {"batch": batch, **({"source": source} if source else {}), "passes": passes}


def ended(tokens, config):
    """Rows of tokens that end as a text does."""
    tokens[:, -1] = config.eos_token_id
    return tokens


def run_encoder(model, batch, new, vocabulary):
    """The count of the one pass of an encoder, or of an encoder-decoder that labels a text, which ends."""
    tokens = torch.randint(3, vocabulary, (batch, new))
    attend_as_configured(model)
    if model.config.is_encoder_decoder:
        tokens = ended(tokens, model.config)
    return {"batch": batch, "passes": counted(model, [new], lambda new, last: model(input_ids=tokens))}


def runs(model, model_type, vocabulary):
    """All runs of a case."""
    config = model.config
    batches = BATCHES[:1 if model_type in ALONE else None]
    if config.is_encoder_decoder and model.can_generate():
        sources = [None] if model_type == "whisper" else SOURCES
        return [run_whole(model, batch, source, lengths, vocabulary)
                for batch in batches for source in sources for lengths in DECODERS]
    # XLM's class generates, and its encoders do not.
    if not model.can_generate() or getattr(config, "causal", None) is False:
        return [run_encoder(model, batch, new, vocabulary) for batch in batches for new in SOURCES]
    return [run(model, batch, lengths, vocabulary) for batch in batches for lengths in SEQUENCES]


def saved(config):
    """What `save_pretrained` writes, and the config that loads from it."""
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        return json.loads((Path(folder) / "config.json").read_text()), AutoConfig.from_pretrained(folder)


def build(config):
    """The model of a config, randomly initialised: of the class that it names, or the language model; the whole of it
    where it sees or hears as well."""
    if config.architectures:
        kind = getattr(transformers, config.architectures[0])
        model = kind._from_config(config, attn_implementation="eager", experts_implementation="eager", dtype=torch.float32)
        return model.eval().requires_grad_(False)
    sees = type(config) in AutoModelForImageTextToText._model_mapping and hasattr(config, "vision_config")
    hears = not sees and type(config) not in AutoModelForCausalLM._model_mapping
    kind = AutoModelForImageTextToText if sees else AutoModelForMultimodalLM if hears else AutoModelForCausalLM
    make = kind.from_config
    if hasattr(config, "decoder"):
        # MusicGen's type names the config of the whole, whose part is the causal language model's.
        make, config = kind._model_mapping[type(config)]._from_config, config.decoder
    model = make(config, attn_implementation="eager", experts_implementation="eager", dtype=torch.float32)
    return model.eval().requires_grad_(False)


def parameters(model):
    """Elements of the unique parameters, tied ones once: all of them, and those that only images and sounds use."""
    total, vision, text = {}, {}, {id(parameter) for parameter in text_parameters(model)}
    for name, parameter in model.named_parameters():
        total[id(parameter)] = parameter.numel()
        if (text and id(parameter) not in text) or VISION & set(name.split(".")):
            vision[id(parameter)] = parameter.numel()
    counts = {"total": sum(total.values())}
    return {**counts, "vision": sum(vision.values())} if vision else counts


def text_parameters(model):
    """Parameters of the text part of a model that has more parts, and of its head."""
    if model.config.get_text_config() is model.config:
        return []  # it is all there is
    parts = [module for path, module in model.named_modules() if path.split(".")[-1] in TEXT]
    if parts and (head := model.get_output_embeddings()):
        parts.append(head)
    return [parameter for module in parts for parameter in module.parameters()]


def versions():
    return {
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
    }


def words(versions):
    """The versions that decide a count."""
    return ", ".join(f"{name} {versions[name]}" for name in ["transformers", "torch"] if name in versions) or "nothing"


def record(model_type, variant, given):
    """One case: the model is built from the saved config, so that what is frozen is what was counted."""
    torch.manual_seed(0)
    config, loaded = saved(AutoConfig.for_model(model_type, **given))
    assert saved(loaded)[0] == config, "the config changes when saved again"
    model = build(loaded)
    text = model.config.get_text_config()
    vocabulary = getattr(text, "unpadded_vocab_size", None) or text.vocab_size
    counts = {
        "model_type": model_type,
        "variant": variant,
        "versions": versions(),
        "given": {"model_type": model_type, **given},
        "config": {**config, "architectures": [type(model).__name__]},
        "parameters": parameters(model),
        "runs": runs(model, model_type, vocabulary),
    }
    # As a file has it: keys in order, lists for tuples.
    return json.loads(json.dumps(counts, sort_keys=True))


def mappings():
    """The model types that transformers itself can build, by kind of model."""
    return {kind: sorted(getattr(modeling_auto, f"MODEL_FOR_{kind.upper()}_MAPPING_NAMES")) for kind in KINDS}


def case(name):
    model_type, _, variant = name.partition("@")
    return record(model_type, variant or None, CASES[name])


# What is counted, by the name of its file: the cases, and two files that no single model gives.
COUNTED = {name: partial(case, name) for name in CASES} | {
    "mappings": lambda: {"versions": versions(), "types": mappings()},
    "parameters": lambda: {"versions": versions(), **builtin.counts()},
}


def uncovered():
    """What is amiss with the causal language models: types without a case or a reason, reasons that do not hold."""
    types, recorded = set(mappings()["causal_lm"]), {name.partition("@")[0] for name in CASES}
    for model_type in sorted(types - recorded - set(UNRECORDED)):
        yield f"{model_type} has neither a case nor a reason in UNRECORDED"
    for model_type in sorted(set(UNRECORDED) & recorded):
        yield f"{model_type} has a case and a reason to have none"
    for model_type in sorted(set(UNRECORDED) - types):
        yield f"{model_type} has a reason to have no case and is no causal language model of transformers"


def as_text(counts):
    return json.dumps(counts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE",
                        help="<model_type>[@variant], `mappings` or `parameters`; all of them by default")
    parser.add_argument("--check", action="store_true", help="compare with the frozen files instead of writing them")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(COUNTED):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()

    failed, moved, frozen_with = [], [], set()
    names = arguments.cases or list(COUNTED)
    for name in names:
        path = HERE / f"{name}.json"
        try:
            now = COUNTED[name]()
        except Exception as error:  # every one is tried, the failures are listed together
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            failed.append(name)
            continue
        if not arguments.check:
            path.write_text(as_text(now))
            continue
        frozen = json.loads(path.read_text()) if path.exists() else {}
        frozen_with.add(words(frozen.get("versions", {})))
        if lines := list(compare.moved(frozen, now)) if frozen else ["was not frozen"]:
            print(name, *lines, sep="\n  ")
            moved.append(name)
    strays = {path.stem for path in HERE.glob("*.json")} - set(COUNTED)
    if strays:
        print(f"no case records these: {', '.join(sorted(strays))}", file=sys.stderr)
    # A few cases say nothing of all types.
    missing = [] if arguments.cases else list(uncovered())
    print(*missing, sep="\n", end="\n" if missing else "", file=sys.stderr)
    if arguments.check:
        print(f"frozen with {' and '.join(sorted(frozen_with)) or 'nothing'}; now {words(versions())}")
        print(f"{len(names)} compared: {len(moved)} moved, {len(failed)} cannot be counted any more")
    elif failed:
        print(f"{len(failed)} of {len(names)} cannot be counted: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed or moved or strays or missing else 0


if __name__ == "__main__":
    sys.exit(main())
