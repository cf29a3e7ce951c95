"""The models that read images: configs, and the processors that cut images for them, with ugly sizes.

Of each, `config` is what the config states, `settings` what its preprocessor_config.json states, `processor` makes the
real processor of the class from the settings and a tokenizer that knows its special tokens, `image` is what stands for
an image in a text, and `feature` what the processor puts for each vector of it where that is another token.
"""

import image_processors as processors
from cases import (DELTA, EXPERTS, GEMMA3, GEMMA4, GROUPED, LLAMA4_TEXT, M3, MROPE, OPT, PHI4_SPEECH, QWEN3_MROPE, QWEN4,
                   QWEN_MOE, ROTARY_GROUPED, WIDE, WINDOW)
from multimodal_cases import GLM_TEXT, GLM_TOKENS, MULTIMODAL

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

QWEN3_5_TEXT = {**GROUPED, **DELTA, "num_hidden_layers": 4, "head_dim": 20,
                "rope_parameters": {**QWEN3_MROPE, "partial_rotary_factor": 1.0}}
QWEN3_5_TOWER = {"depth": 3, "hidden_size": 32, "intermediate_size": 28, "num_heads": 2, "out_hidden_size": 60,
                 "patch_size": 4, "num_position_embeddings": 16}
QWEN3_CUT = {"patch_size": 4, "merge_size": 2, "size": {"shortest_edge": 8 * 8 * 3, "longest_edge": 8 * 8 * 19}}
IDEFICS3 = {"text_config": LLAVA_TEXT, "image_token_id": 126, "scale_factor": 2,
            "vision_config": {key: size for key, size in SIGLIP.items() if key != "model_type"}}
IDEFICS3_CUT = {"size": {"longest_edge": 120}, "max_image_size": {"longest_edge": 32}}
COHERE2 = {"model_type": "cohere2", **WIDE, **WINDOW, "num_hidden_layers": 4}
PIXTRAL = {"model_type": "pixtral", "hidden_size": 24, "intermediate_size": 28, "num_hidden_layers": 3,
           "num_attention_heads": 2, "head_dim": 12, "image_size": 60, "patch_size": 4}
PIXTRAL_CUT = {"size": {"longest_edge": 60}, "patch_size": {"height": 4, "width": 4}}
GLM4V = {"text_config": {"model_type": "glm4v_text", **GLM_TEXT}, **GLM_TOKENS,
         "vision_config": {"depth": 3, "hidden_size": 32, "intermediate_size": 28, "num_heads": 4, "image_size": 24,
                           "patch_size": 4, "out_hidden_size": 144}}
GLM_CUT = {"patch_size": 4, "merge_size": 2, "size": {"shortest_edge": 8 * 8 * 6, "longest_edge": 8 * 8 * 38}}
GEMMA4_IMAGES = {"text_config": {"model_type": "gemma4_text", **GEMMA4}, "audio_config": None, "image_token_id": 126,
                 "vision_config": {"hidden_size": 24, "intermediate_size": 28, "num_hidden_layers": 3,
                                   "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16,
                                   "patch_size": 4, "pooling_kernel_size": 2, "position_embedding_size": 80}}
GEMMA4_CUT = {"patch_size": 4, "pooling_kernel_size": 2, "max_soft_tokens": 70}
VIT = {"hidden_size": 24, "intermediate_size": 28, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 28,
       "patch_size": 4}
DINO = {**{key: size for key, size in VIT.items() if key != "intermediate_size"}, "mlp_ratio": 3}
CLIP_ALONE, SIGLIP_ALONE = ({key: size for key, size in tower.items() if key != "model_type"} for tower in (CLIP, SIGLIP))
VIT_CUT = {"size": {"height": 28, "width": 28}}
CLIP_TEXT = {"vocab_size": 131, "hidden_size": 60, "intermediate_size": 92, "num_hidden_layers": 3,
             "num_attention_heads": 6, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2,
             "pad_token_id": 0}

IDEFICS2 = {"text_config": {"model_type": "mistral", **GROUPED, **WINDOW}, "image_token_id": 126,
            "vision_config": {key: size for key, size in SIGLIP.items() if key != "model_type"},
            "perceiver_config": {"hidden_size": 60, "resampler_depth": 2, "resampler_n_latents": 5,
                                 "resampler_n_heads": 4, "resampler_head_dim": 10, "num_key_value_heads": 2}}
IDEFICS2_CUT = {"size": {"shortest_edge": 10, "longest_edge": 43}}
SIGLIP2 = {"hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 3, "num_attention_heads": 2,
           "patch_size": 4, "num_patches": 16}
LFM2_CUT = {"encoder_patch_size": 4, "tile_size": 32, "max_tiles": 6, "min_image_tokens": 4, "max_image_tokens": 12}

IMAGE_CASES = {
    "qwen2_vl": {
        "config": {"text_config": {"model_type": "qwen2_vl_text", **ROTARY_GROUPED, "rope_parameters": MROPE},
                   "vision_config": {"depth": 3, "embed_dim": 32, "hidden_size": 144, "num_heads": 2, "mlp_ratio": 3,
                                     "patch_size": 4}, **VISION_TOKENS},
        "settings": QWEN_CUT, "processor": processors.qwen, "image": "<|image_pad|>",
    },
    "qwen2_5_vl": {
        "config": {"text_config": {"model_type": "qwen2_5_vl_text", **ROTARY_GROUPED, "rope_parameters": MROPE},
                   "vision_config": QWEN2_5_TOWER, **VISION_TOKENS},
        "settings": QWEN_CUT, "processor": processors.qwen, "image": "<|image_pad|>",
    },
    "qwen3_vl": {
        "config": {"text_config": {"model_type": "qwen3_vl_text", **QWEN3_TEXT}, "vision_config": QWEN3_TOWER,
                   **VISION_TOKENS},
        "settings": QWEN3_CUT,
        "processor": processors.qwen3, "image": "<|image_pad|>",
    },
    "qwen3_vl_moe": {
        "config": {"text_config": {"model_type": "qwen3_vl_moe_text", **QWEN3_TEXT, **EXPERTS, "num_experts": 7},
                   "vision_config": QWEN3_TOWER, **VISION_TOKENS},
        "settings": QWEN_CUT, "processor": processors.qwen3, "image": "<|image_pad|>",
    },
    "gemma3": {
        "config": {"text_config": GEMMA3["text_config"], "vision_config": {**SIGLIP, "vision_use_head": False},
                   "mm_tokens_per_image": 16, "image_token_index": 126, "boi_token_index": 127, "eoi_token_index": 128},
        "settings": TILE, "processor": processors.gemma3, "image": "<boi>", "feature": "<image>",
    },
    "gemma3@head": {
        "config": {"text_config": GEMMA3["text_config"], "vision_config": SIGLIP, "mm_tokens_per_image": 16,
                   "image_token_index": 126, "boi_token_index": 127, "eoi_token_index": 128},
        "settings": TILE, "processor": processors.gemma3, "image": "<boi>", "feature": "<image>",
    },
    "llava": {"config": LLAVA, "settings": CLIP_CUT, "processor": processors.llava, "image": "<image>"},
    "llava@full": {
        "config": {**LLAVA, "vision_feature_layer": [-2, 1], "multimodal_projector_bias": False},
        "settings": CLIP_CUT, "processor": processors.llava, "image": "<image>",
    },
    "vipllava": {
        "config": {**LLAVA, "vision_feature_layers": [-2, -3, 1]},
        "settings": CLIP_CUT, "processor": processors.llava, "image": "<image>",
    },
    "llava_next": {
        "config": {**LLAVA, "image_grid_pinpoints": PINPOINTS},
        "settings": {**CLIP_CUT, "image_grid_pinpoints": PINPOINTS}, "processor": processors.llava_next, "image": "<image>",
    },
    "llava_onevision": {
        "config": {"text_config": {"model_type": "qwen2", **GROUPED}, "image_token_index": 126, "video_token_index": 127,
                   "vision_config": {**SIGLIP, "image_size": 24, "vision_use_head": False},
                   "image_grid_pinpoints": SQUARES, "vision_aspect_ratio": "anyres_max_4"},
        "settings": {"size": {"height": 24, "width": 24}, "image_grid_pinpoints": SQUARES},
        "processor": processors.llava_onevision, "image": "<image>",
    },
    "mistral3": {
        "config": {"text_config": {"model_type": "mistral", **WIDE, **WINDOW, "vocab_size": 133},
                   "vision_config": PIXTRAL,
                   "image_token_index": 126, "spatial_merge_size": 2},
        "settings": PIXTRAL_CUT,
        "processor": processors.pixtral, "image": "[IMG]",
    },
    "mllama": {
        "config": {"text_config": {**GROUPED, "num_hidden_layers": 4, "cross_attention_layers": [1, 2]},
                   "vision_config": {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 4,
                                     "num_global_layers": 2, "attention_heads": 4, "image_size": 28, "patch_size": 4,
                                     "vision_output_dim": 96, "intermediate_layers_indices": [1, 2],
                                     "max_num_tiles": 4}, "image_token_index": 131},
        "settings": {"size": {"height": 28, "width": 28}, "max_image_tiles": 4}, "processor": processors.mllama,
        "image": "<|image|>",
    },
    "llama4": {
        "config": {"text_config": {"model_type": "llama4_text", **LLAMA4_TEXT, "interleave_moe_layer_step": 2},
                   "vision_config": {"model_type": "llama4_vision_model", "hidden_size": 24, "intermediate_size": 96,
                                     "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 32,
                                     "patch_size": 4, "vision_output_dim": 24, "projector_input_dim": 24,
                                     "projector_output_dim": 24}, "image_token_index": 126},
        "settings": {**TILE, "max_patches": 6}, "processor": processors.llama4, "image": "<|image|>",
        "feature": "<|patch|>",
    },
    "internvl": {
        "config": {"text_config": {"model_type": "qwen2", **GROUPED}, "image_token_id": 126, "image_seq_length": 16,
                   "vision_config": {"hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 3,
                                     "num_attention_heads": 2, "image_size": [32, 32], "patch_size": [4, 4]}},
        "settings": {**TILE, "crop_to_patches": True, "max_patches": 7}, "processor": processors.internvl,
        "image": "<IMG_CONTEXT>",
    },
    "qwen3_5": {
        "config": {"text_config": {"model_type": "qwen3_5_text", **QWEN3_5_TEXT}, "vision_config": QWEN3_5_TOWER,
                   **VISION_TOKENS},
        "settings": QWEN3_CUT, "processor": processors.qwen3, "image": "<|image_pad|>",
    },
    "qwen3_5_moe": {
        "config": {"text_config": {"model_type": "qwen3_5_moe_text", **QWEN3_5_TEXT, **EXPERTS, "num_experts": 7,
                                   "shared_expert_intermediate_size": 46},
                   "vision_config": QWEN3_5_TOWER, **VISION_TOKENS},
        "settings": QWEN_CUT, "processor": processors.qwen3, "image": "<|image_pad|>",
    },
    "idefics3": {"config": IDEFICS3, "settings": IDEFICS3_CUT, "processor": processors.idefics3, "image": "<image>"},
    "idefics3@whole": {
        "config": IDEFICS3, "settings": {**IDEFICS3_CUT, "do_image_splitting": False},
        "processor": processors.idefics3, "image": "<image>",
    },
    "smolvlm": {
        "config": {**IDEFICS3, "tie_word_embeddings": True},
        "settings": {**IDEFICS3_CUT, "size": {"longest_edge": 96}}, "processor": processors.smolvlm, "image": "<image>",
    },
    "aya_vision": {
        "config": {"text_config": COHERE2, "vision_config": {**SIGLIP, "vision_use_head": False},
                   "image_token_index": 126, "alignment_intermediate_size": 50},
        "settings": {**TILE, "crop_to_patches": True, "max_patches": 7}, "processor": processors.aya_vision,
        "image": "<image>", "feature": "<|IMG_PATCH|>",
    },
    "aya_vision@layers": {
        "config": {"text_config": COHERE2, "vision_config": SIGLIP, "image_token_index": 126,
                   "vision_feature_layer": -2},
        "settings": {**TILE, "crop_to_patches": True, "min_patches": 3}, "processor": processors.aya_vision,
        "image": "<image>", "feature": "<|IMG_PATCH|>",
    },
    "cohere2_vision": {
        "config": {"text_config": COHERE2, "vision_config": {**SIGLIP, "vision_use_head": False},
                   "image_token_id": 126, "alignment_intermediate_size": 50},
        "settings": {**TILE, "patch_size": 4, "max_patches": 7}, "processor": processors.cohere2_vision,
        "image": "<|IMG_PATCH|>",
    },
    "lighton_ocr": {
        "config": {"text_config": {"model_type": "qwen3", **WIDE}, "vision_config": PIXTRAL, "image_token_id": 126},
        "settings": {"size": {"longest_edge": 60}, "patch_size": {"height": 8, "width": 8}},
        "processor": processors.lighton_ocr, "image": "<|image_pad|>",
    },
    "lighton_ocr@odd": {
        "config": {"text_config": {"model_type": "qwen3", **WIDE}, "vision_config": PIXTRAL, "image_token_id": 126},
        "settings": {"size": {"longest_edge": 60}, "patch_size": {"height": 12, "width": 12}},
        "processor": processors.lighton_ocr, "image": "<|image_pad|>",
    },
    "mistral3@ministral3": {
        "config": {"text_config": {"model_type": "ministral3", **WIDE}, "vision_config": PIXTRAL,
                   "image_token_index": 126, "spatial_merge_size": 2, "multimodal_projector_bias": True},
        "settings": PIXTRAL_CUT, "processor": processors.pixtral, "image": "[IMG]",
    },
    "glm4v": {"config": {**GLM4V, "tie_word_embeddings": True}, "settings": GLM_CUT, "processor": processors.glm4v,
              "image": "<|image|>"},
    "glm46v": {"config": GLM4V, "settings": {**GLM_CUT, "temporal_patch_size": 2}, "processor": processors.glm46v,
               "image": "<|image|>"},
    "glm4v_moe": {
        "config": {**GLM4V, "text_config": MULTIMODAL["glm4v_moe"]["text_config"],
                   "vision_config": {**GLM4V["vision_config"], "attention_bias": True}},
        "settings": GLM_CUT, "processor": processors.glm4v, "image": "<|image|>",
    },
    "glm_ocr": {
        "config": {**GLM4V, "text_config": {"model_type": "glm_ocr_text", **GLM_TEXT}}, "settings": GLM_CUT,
        "processor": processors.glm46v, "image": "<|image|>",
    },
    "gemma4": {"config": GEMMA4_IMAGES, "settings": GEMMA4_CUT, "processor": processors.gemma4, "image": "<|image|>"},
    "gemma4@both-ways": {
        "config": {**GEMMA4_IMAGES,
                   "text_config": {"model_type": "gemma4_text", **GEMMA4, "use_bidirectional_attention": "vision"},
                   "vision_config": {**GEMMA4_IMAGES["vision_config"], "num_key_value_heads": 1, "standardize": True}},
        "settings": GEMMA4_CUT, "processor": processors.gemma4, "image": "<|image|>",
    },
    "kimi_k25": {
        "config": {"text_config": MULTIMODAL["kimi_k25"]["text_config"], **VISION_TOKENS, "tie_word_embeddings": False,
                   "projection_hidden_size": 32,
                   "vision_config": {"hidden_size": 32, "intermediate_size": 28, "num_hidden_layers": 3,
                                     "num_attention_heads": 4, "patch_size": 4, "pos_emb_height": 5,
                                     "pos_emb_width": 5}},
        "settings": {"patch_size": 4, "merge_size": 2, "max_patches": 60, "size": {"max_height": 24, "max_width": 24}},
        "processor": processors.kimi_k25, "image": "<|media_pad|>",
    },
    "ovis2": {
        "config": {"text_config": {"model_type": "qwen2", **GROUPED}, "image_token_id": 126, "hidden_size": 60,
                   "vocab_size": 131, "visual_indicator_token_ids": [121, 122, 123, 124, 125],
                   "vision_config": {"hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 3,
                                     "num_attention_heads": 2, "image_size": 32, "patch_size": 4, "vocab_size": 50,
                                     "hidden_stride": 2, "qkv_bias": True}},
        "settings": {**TILE, "crop_to_patches": True, "max_patches": 7}, "processor": processors.ovis2,
        "image": "<image>", "feature": "<IMG_ATOM>",
    },
    "ovis2@ratio": {
        "config": {"text_config": {"model_type": "qwen2", **GROUPED}, "image_token_id": 126, "hidden_size": 60,
                   "vocab_size": 131, "visual_indicator_token_ids": [121, 122, 123, 124, 125],
                   "vision_config": {"hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 3,
                                     "num_attention_heads": 2, "image_size": 16, "patch_size": 4, "vocab_size": 50,
                                     "hidden_stride": 1, "mlp_bias": True, "tokenize_function": "st_argmax"}},
        "settings": {"size": {"height": 16, "width": 16}, "crop_to_patches": True, "use_covering_area_grid": False,
                     "min_patches": 2, "max_patches": 5},
        "processor": processors.ovis2, "image": "<image>", "feature": "<IMG_ATOM>",
    },
    "paligemma": {
        "config": {"text_config": {"model_type": "gemma", **WIDE}, "projection_dim": 60, "hidden_size": 60,
                   "vision_config": {**SIGLIP, "vision_use_head": False}, "image_token_index": 126},
        "settings": TILE, "processor": processors.paligemma, "image": "<image>",
    },
    "paligemma@gemma2": {
        "config": {"text_config": {"model_type": "gemma2", **WIDE, **WINDOW}, "projection_dim": 60, "hidden_size": 60,
                   "vision_config": SIGLIP, "image_token_index": 126},
        "settings": TILE, "processor": processors.paligemma, "image": "<image>",
    },
    "mistral_large4": {
        "config": {"text_config": MULTIMODAL["mistral_large4"]["text_config"], "vision_config": PIXTRAL,
                   "image_token_index": 126},
        "settings": PIXTRAL_CUT, "processor": processors.pixtral, "image": "[IMG]",
    },
    "deepseek_vl": {
        "config": {"text_config": LLAVA_TEXT, "vision_config": SIGLIP, "image_token_id": 126}, "settings": TILE,
        "processor": processors.deepseek_vl, "image": "<image_placeholder>",
    },
    "paddleocr_vl": {
        "config": {"text_config": MULTIMODAL["paddleocr_vl"]["text_config"], **VISION_TOKENS,
                   "vision_config": {"hidden_size": 32, "intermediate_size": 28, "num_hidden_layers": 3,
                                     "num_attention_heads": 2, "image_size": 20, "patch_size": 4}},
        "settings": {"patch_size": 4, "merge_size": 2, "min_pixels": 8 * 8 * 3, "max_pixels": 8 * 8 * 19},
        "processor": processors.paddleocr_vl, "image": "<|IMAGE_PLACEHOLDER|>",
    },
    "video_llama_3": {
        "config": {"text_config": {"model_type": "qwen2", **GROUPED}, "image_token_id": 126, "video_token_id": 127,
                   "vision_config": {"hidden_size": 32, "intermediate_size": 28, "num_hidden_layers": 3,
                                     "num_attention_heads": 2, "patch_size": 4}},
        "settings": {"patch_size": 4, "min_pixels": 4 * 4 * 5, "max_pixels": 4 * 4 * 37},
        "processor": processors.video_llama_3, "image": "<image>",
    },
    "video_llama_3@averaged": {
        "config": {"text_config": {"model_type": "qwen2", **GROUPED}, "image_token_id": 126, "video_token_id": 127,
                   "vision_config": {"hidden_size": 32, "intermediate_size": 28, "num_hidden_layers": 3,
                                     "num_attention_heads": 2, "patch_size": 4}},
        "settings": {"patch_size": 4, "merge_size": 2, "size": {"shortest_edge": 8 * 8 * 3, "longest_edge": 8 * 8 * 19}},
        "processor": processors.video_llama_3, "image": "<image>",
    },
    "minimax_m3_vl": {
        "config": {"text_config": {**M3, "num_hidden_layers": 4, "layer_types": ["full_attention"] * 4,
                                   "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]},
                   "image_token_index": 126, "video_token_index": 127, "projector_hidden_size": 52,
                   "vision_config": {"hidden_size": 32, "intermediate_size": 28, "num_hidden_layers": 3,
                                     "num_attention_heads": 2, "patch_size": 4}},
        "settings": QWEN3_CUT, "processor": processors.minimax_m3_vl, "image": "]<]image[>[",
    },
    "exaone4_5": {
        "config": {"text_config": MULTIMODAL["exaone4_5"]["text_config"], **VISION_TOKENS,
                   "vision_config": {**QWEN2_5_TOWER, "hidden_size": 32, "num_heads": 4, "num_key_value_heads": 2,
                                     "out_hidden_size": 60}},
        "settings": QWEN_CUT, "processor": processors.exaone4_5, "image": "<|image_pad|>",
    },
    "glmga": {"config": GLM4V, "settings": {**GLM_CUT, "temporal_patch_size": 2}, "processor": processors.glmga,
              "image": "<|image|>"},
    "qwen4_exp": {
        "config": {"text_config": {**QWEN4, "num_hidden_layers": 4}, "vision_config": QWEN3_5_TOWER, **VISION_TOKENS},
        "settings": QWEN3_CUT, "processor": processors.qwen3, "image": "<|image_pad|>",
    },
    "qianfan_ocr": {
        "config": {"text_config": {"model_type": "qwen3", **WIDE}, "image_token_id": 126, "image_seq_length": 16,
                   "vision_config": {"hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 3,
                                     "num_attention_heads": 2, "image_size": [32, 32], "patch_size": [4, 4]}},
        "settings": {**TILE, "crop_to_patches": True, "max_patches": 7}, "processor": processors.qianfan_ocr,
        "image": "<image>", "feature": "<IMG_CONTEXT>",
    },
    "llava_next_video": {
        "config": {**LLAVA, "video_token_index": 127, "image_grid_pinpoints": PINPOINTS},
        "settings": {**CLIP_CUT, "image_grid_pinpoints": PINPOINTS}, "processor": processors.llava_next_video,
        "image": "<image>",
    },
    "idefics2": {"config": IDEFICS2, "settings": IDEFICS2_CUT, "processor": processors.idefics2, "image": "<image>"},
    "idefics2@quarters": {
        "config": IDEFICS2, "settings": {**IDEFICS2_CUT, "do_image_splitting": True},
        "processor": processors.idefics2, "image": "<image>",
    },
    "lfm2_vl": {
        "config": {"text_config": MULTIMODAL["lfm2_vl"]["text_config"], "image_token_id": 126,
                   "vision_config": {**SIGLIP2, "vision_use_head": False}, "projector_hidden_size": 50},
        "settings": LFM2_CUT, "processor": processors.lfm2_vl, "image": "<image>",
    },
    "lfm2_vl@head": {
        "config": {"text_config": MULTIMODAL["lfm2_vl"]["text_config"], "image_token_id": 126,
                   "vision_config": SIGLIP2, "projector_hidden_size": 50, "projector_use_layernorm": False,
                   "projector_bias": False, "downsample_factor": 3},
        "settings": {**LFM2_CUT, "downsample_factor": 3, "do_image_splitting": False}, "processor": processors.lfm2_vl,
        "image": "<image>",
    },
    "phi4_multimodal": {
        "config": {**GROUPED, **WINDOW, "audio_config": PHI4_SPEECH,
                   "vision_config": {**SIGLIP_ALONE, "image_size": 128, "crop_size": 128, "image_token_id": 126}},
        "settings": {"size": {"height": 128, "width": 128}, "patch_size": 4, "dynamic_hd": 6},
        "processor": processors.phi4_multimodal, "image": "<image>",
        "prompts": [[(37, 21)], [(13, 90)], [(301, 157), (30, 20)]],
    },
    # The class wants the image in every pass: the first one alone. One image a prompt, its tokens before the text.
    "blip-2": {
        "config": {"text_config": {"model_type": "opt", **OPT}, "num_query_tokens": 5, "image_token_index": 126,
                   "vision_config": {**VIT, "image_size": 28},
                   "qformer_config": {"hidden_size": 36, "intermediate_size": 44, "num_hidden_layers": 3,
                                      "num_attention_heads": 3, "encoder_hidden_size": 24}},
        "settings": VIT_CUT, "processor": processors.blip2, "image": "", "feature": "<image>", "decode": 0,
        "prompts": [[(37, 21)], [(13, 90)]],
    },
    # What compares images with a text, and what sees alone: one pass, and no token stands for an image.
    "clip": {
        "config": {"text_config": {**CLIP_TEXT, "projection_dim": 26}, "vision_config": {**CLIP, "projection_dim": 26},
                   "projection_dim": 26, "architectures": ["CLIPModel"]},
        "settings": CLIP_CUT, "processor": processors.clip, "image": "",
    },
    "siglip": {
        "config": {"text_config": {**CLIP_TEXT, "projection_size": 20}, "vision_config": SIGLIP,
                   "architectures": ["SiglipModel"]},
        "settings": TILE, "processor": processors.siglip, "image": "",
    },
    "clip_vision_model": {
        "config": {**CLIP_ALONE, "architectures": ["CLIPVisionModelWithProjection"]}, "settings": VIT_CUT,
        "processor": processors.vit, "image": "",
    },
    "siglip_vision_model": {
        "config": {**SIGLIP_ALONE, "architectures": ["SiglipVisionModel"]}, "settings": TILE, "processor": processors.vit,
        "image": "",
    },
    "vit": {
        "config": {**VIT, "architectures": ["ViTForImageClassification"]}, "settings": VIT_CUT,
        "processor": processors.vit, "image": "",
    },
    "vit@pools": {
        "config": {**VIT, "qkv_bias": False, "pooler_output_size": 18, "architectures": ["ViTModel"]},
        "settings": VIT_CUT, "processor": processors.vit, "image": "",
    },
    "deit": {
        "config": {**VIT, "architectures": ["DeiTForImageClassificationWithTeacher"]}, "settings": VIT_CUT,
        "processor": processors.vit, "image": "",
    },
    "dinov2": {
        "config": {**DINO, "architectures": ["Dinov2Model"]}, "processor": processors.bit, "image": "",
        "settings": {"size": {"shortest_edge": 40}, "crop_size": {"height": 36, "width": 36}},
    },
    "dinov2@gated": {
        "config": {**DINO, "use_swiglu_ffn": True, "use_mask_token": False,
                   "architectures": ["Dinov2ForImageClassification"]},
        "settings": {"size": {"shortest_edge": 40}, "crop_size": {"height": 24, "width": 24}},
        "processor": processors.bit, "image": "",
    },
    "dinov2_with_registers": {
        "config": {**DINO, "num_register_tokens": 3, "architectures": ["Dinov2WithRegistersForImageClassification"]},
        "settings": {"size": {"shortest_edge": 40}, "crop_size": {"height": 28, "width": 28}},
        "processor": processors.bit, "image": "",
    },
}
