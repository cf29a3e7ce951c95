"""The models that read images: configs, and the processors that cut images for them, with ugly sizes.

Of each, `config` is what the config states, `settings` what its preprocessor_config.json states, `processor` makes the
real processor of the class from the settings and a tokenizer that knows its special tokens, `image` is what stands for
an image in a text, and `feature` what the processor puts for each vector of it where that is another token.
"""

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from cases import EXPERTS, GEMMA3, GROUPED, LLAMA4_TEXT, MROPE, QWEN3_MROPE, QWEN_MOE, ROTARY_GROUPED, WIDE, WINDOW

ORDINARY = "word"


def tokenizer(special, **named):
    """A tokenizer of one word and special tokens, `named` ones as attributes too."""
    vocabulary = {"[UNK]": 0, ORDINARY: 1}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", bos_token=None, extra_special_tokens=named)
    fast.add_tokens([token for token in special if token not in vocabulary], special_tokens=True)
    return fast


def pillow(name):
    """The class of a processor that resizes with Pillow."""
    return getattr(transformers, f"{name}Pil")


def qwen(settings):
    known = tokenizer(["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"])
    images = pillow("Qwen2VLImageProcessor")(**settings)
    return transformers.Qwen2VLProcessor(images, known, transformers.Qwen2VLVideoProcessor(**settings))


def qwen3(settings):
    known = tokenizer(["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"])
    images = pillow("Qwen2VLImageProcessor")(**settings)
    return transformers.Qwen3VLProcessor(images, known, transformers.Qwen3VLVideoProcessor())


def gemma3(settings):
    known = tokenizer(["\n\n"], image_token="<image>", boi_token="<boi>", eoi_token="<eoi>")
    images = pillow("Gemma3ImageProcessor")(**settings)
    return transformers.Gemma3Processor(images, known, image_seq_length=16)


def llava(settings):
    images = pillow("CLIPImageProcessor")(**settings)
    return transformers.LlavaProcessor(images, tokenizer(["<image>"]), patch_size=4, num_additional_image_tokens=1,
                                       vision_feature_select_strategy="default")


def llava_next(settings):
    images = pillow("LlavaNextImageProcessor")(**settings)
    return transformers.LlavaNextProcessor(images, tokenizer(["<image>"]), patch_size=4, num_additional_image_tokens=1,
                                           vision_feature_select_strategy="default")


def llava_onevision(settings):
    images = pillow("LlavaOnevisionImageProcessor")(**settings)
    return transformers.LlavaOnevisionProcessor(
        images, tokenizer(["<image>", "<video>"]), transformers.LlavaOnevisionVideoProcessor(), num_image_tokens=36,
        vision_feature_select_strategy="full", vision_aspect_ratio="anyres_max_4")


def pixtral(settings):
    images = pillow("PixtralImageProcessor")(**settings)
    known = tokenizer(["[IMG]", "[IMG_BREAK]", "[IMG_END]"])
    return transformers.PixtralProcessor(images, known, patch_size=4, spatial_merge_size=2)


def mllama(settings):
    known = tokenizer(["<|python_tag|>", "<bos>"], image_token="<|image|>")
    known.bos_token = "<bos>"
    return transformers.MllamaProcessor(pillow("MllamaImageProcessor")(**settings), known)


def llama4(settings):
    known = tokenizer(["<|image|>", "<|image_start|>", "<|image_end|>", "<|patch|>", "<|tile_x_separator|>",
                       "<|tile_y_separator|>"])
    images = transformers.Llama4ImageProcessor(**settings)
    return transformers.Llama4Processor(images, known, patch_size=4, pixel_shuffle_ratio=0.5)


def internvl(settings):
    known = tokenizer([], start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>",
                      video_token="<video>")
    images = pillow("GotOcr2ImageProcessor")(**settings)
    return transformers.InternVLProcessor(images, known, transformers.InternVLVideoProcessor(), image_seq_length=16)


VISION_TOKENS = {"image_token_id": 126, "video_token_id": 127, "vision_start_token_id": 128,
                 "vision_end_token_id": 129}
QWEN_CUT = {"patch_size": 4, "merge_size": 2, "min_pixels": 8 * 8 * 3, "max_pixels": 8 * 8 * 19}
QWEN2_5_TOWER = {"depth": 5, "hidden_size": 24, "intermediate_size": 28, "num_heads": 2, "out_hidden_size": 144,
                 "patch_size": 4, "window_size": 24, "fullatt_block_indexes": [1, 4]}
QWEN3_TOWER = {"depth": 4, "hidden_size": 32, "intermediate_size": 28, "num_heads": 2, "out_hidden_size": 144,
               "patch_size": 4, "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 2]}
SIGLIP = {"model_type": "siglip_vision_model", "hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 3,
          "num_attention_heads": 2, "image_size": 32, "patch_size": 4}
CLIP = {"model_type": "clip_vision_model", "hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 4,
        "num_attention_heads": 2, "image_size": 28, "patch_size": 4, "projection_dim": 16}
LLAVA_TEXT = {"model_type": "llama", **WIDE}
LLAVA = {"text_config": LLAVA_TEXT, "vision_config": CLIP, "image_token_index": 126}
CLIP_CUT = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
PINPOINTS = [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]
SQUARES = [[24 * rows, 24 * columns] for rows in range(1, 5) for columns in range(1, 5)]
QWEN3_TEXT = {**ROTARY_GROUPED, "head_dim": 20, "rope_parameters": QWEN3_MROPE}
TILE = {"size": {"height": 32, "width": 32}}

IMAGE_CASES = {
    "qwen2_vl": {
        "config": {"text_config": {"model_type": "qwen2_vl_text", **ROTARY_GROUPED, "rope_parameters": MROPE},
                   "vision_config": {"depth": 3, "embed_dim": 32, "hidden_size": 144, "num_heads": 2, "mlp_ratio": 3,
                                     "patch_size": 4}, **VISION_TOKENS},
        "settings": QWEN_CUT, "processor": qwen, "image": "<|image_pad|>",
    },
    "qwen2_5_vl": {
        "config": {"text_config": {"model_type": "qwen2_5_vl_text", **ROTARY_GROUPED, "rope_parameters": MROPE},
                   "vision_config": QWEN2_5_TOWER, **VISION_TOKENS},
        "settings": QWEN_CUT, "processor": qwen, "image": "<|image_pad|>",
    },
    "qwen3_vl": {
        "config": {"text_config": {"model_type": "qwen3_vl_text", **QWEN3_TEXT}, "vision_config": QWEN3_TOWER,
                   **VISION_TOKENS},
        "settings": {"patch_size": 4, "merge_size": 2, "size": {"shortest_edge": 8 * 8 * 3, "longest_edge": 8 * 8 * 19}},
        "processor": qwen3, "image": "<|image_pad|>",
    },
    "qwen3_vl_moe": {
        "config": {"text_config": {"model_type": "qwen3_vl_moe_text", **QWEN3_TEXT, **EXPERTS, "num_experts": 7},
                   "vision_config": QWEN3_TOWER, **VISION_TOKENS},
        "settings": QWEN_CUT, "processor": qwen3, "image": "<|image_pad|>",
    },
    "gemma3": {
        "config": {"text_config": GEMMA3["text_config"], "vision_config": {**SIGLIP, "vision_use_head": False},
                   "mm_tokens_per_image": 16, "image_token_index": 126, "boi_token_index": 127, "eoi_token_index": 128},
        "settings": TILE, "processor": gemma3, "image": "<boi>", "feature": "<image>",
    },
    "gemma3@head": {
        "config": {"text_config": GEMMA3["text_config"], "vision_config": SIGLIP, "mm_tokens_per_image": 16,
                   "image_token_index": 126, "boi_token_index": 127, "eoi_token_index": 128},
        "settings": TILE, "processor": gemma3, "image": "<boi>", "feature": "<image>",
    },
    "llava": {"config": LLAVA, "settings": CLIP_CUT, "processor": llava, "image": "<image>"},
    "llava@full": {
        "config": {**LLAVA, "vision_feature_layer": [-2, 1], "multimodal_projector_bias": False},
        "settings": CLIP_CUT, "processor": llava, "image": "<image>",
    },
    "vipllava": {
        "config": {**LLAVA, "vision_feature_layers": [-2, -3, 1]},
        "settings": CLIP_CUT, "processor": llava, "image": "<image>",
    },
    "llava_next": {
        "config": {**LLAVA, "image_grid_pinpoints": PINPOINTS},
        "settings": {**CLIP_CUT, "image_grid_pinpoints": PINPOINTS}, "processor": llava_next, "image": "<image>",
    },
    "llava_onevision": {
        "config": {"text_config": {"model_type": "qwen2", **GROUPED}, "image_token_index": 126, "video_token_index": 127,
                   "vision_config": {**SIGLIP, "image_size": 24, "vision_use_head": False},
                   "image_grid_pinpoints": SQUARES, "vision_aspect_ratio": "anyres_max_4"},
        "settings": {"size": {"height": 24, "width": 24}, "image_grid_pinpoints": SQUARES},
        "processor": llava_onevision, "image": "<image>",
    },
    "mistral3": {
        "config": {"text_config": {"model_type": "mistral", **WIDE, **WINDOW, "vocab_size": 133},
                   "vision_config": {"model_type": "pixtral", "hidden_size": 24, "intermediate_size": 28,
                                     "num_hidden_layers": 3, "num_attention_heads": 2, "head_dim": 12,
                                     "image_size": 60, "patch_size": 4},
                   "image_token_index": 126, "spatial_merge_size": 2},
        "settings": {"size": {"longest_edge": 60}, "patch_size": {"height": 4, "width": 4}},
        "processor": pixtral, "image": "[IMG]",
    },
    "mllama": {
        "config": {"text_config": {**GROUPED, "num_hidden_layers": 4, "cross_attention_layers": [1, 2]},
                   "vision_config": {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 4,
                                     "num_global_layers": 2, "attention_heads": 4, "image_size": 28, "patch_size": 4,
                                     "vision_output_dim": 96, "intermediate_layers_indices": [1, 2],
                                     "max_num_tiles": 4}, "image_token_index": 131},
        "settings": {"size": {"height": 28, "width": 28}, "max_image_tiles": 4}, "processor": mllama,
        "image": "<|image|>",
    },
    "llama4": {
        "config": {"text_config": {"model_type": "llama4_text", **LLAMA4_TEXT, "interleave_moe_layer_step": 2},
                   "vision_config": {"model_type": "llama4_vision_model", "hidden_size": 24, "intermediate_size": 96,
                                     "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 32,
                                     "patch_size": 4, "vision_output_dim": 24, "projector_input_dim": 24,
                                     "projector_output_dim": 24}, "image_token_index": 126},
        "settings": {**TILE, "max_patches": 6}, "processor": llama4, "image": "<|image|>",
        "feature": "<|patch|>",
    },
    "internvl": {
        "config": {"text_config": {"model_type": "qwen2", **GROUPED}, "image_token_id": 126, "image_seq_length": 16,
                   "vision_config": {"hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 3,
                                     "num_attention_heads": 2, "image_size": [32, 32], "patch_size": [4, 4]}},
        "settings": {**TILE, "crop_to_patches": True, "max_patches": 7}, "processor": internvl,
        "image": "<IMG_CONTEXT>",
    },
}
