"""The processors that cut images for the models of image_cases.py: the real ones of their classes, each made from the
settings of its preprocessor_config.json and a tokenizer that knows its special tokens."""

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

ORDINARY = "word"


def tokenizer(special, **named):
    """A tokenizer of one word and special tokens, `named` ones as attributes too."""
    vocabulary = {"[UNK]": 0, ORDINARY: 1}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", bos_token=None, extra_special_tokens=named)
    fast.add_tokens([token for token in special if token not in vocabulary], special_tokens=True)
    fast.pad_token = "[UNK]"
    return fast


def cells(name):
    """Names of the tiles of an image, row by row."""
    return [name.format(row, column) for row in range(1, 13) for column in range(1, 13)]


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


def exaone4_5(settings):
    known = tokenizer(["<vision>", "</vision>"], image_token="<|image_pad|>", video_token="<|video_pad|>")
    images = pillow("Qwen2VLImageProcessor")(**settings)
    return transformers.Exaone4_5_Processor(images, known, transformers.Qwen2VLVideoProcessor(**settings))


def gemma3(settings):
    known = tokenizer(["\n\n"], image_token="<image>", boi_token="<boi>", eoi_token="<eoi>")
    images = pillow("Gemma3ImageProcessor")(**settings)
    return transformers.Gemma3Processor(images, known, image_seq_length=16)


def llava(settings):
    images = pillow("CLIPImageProcessor")(**settings)
    return transformers.LlavaProcessor(images, tokenizer(["<image>"]), patch_size=4, num_additional_image_tokens=1,
                                       vision_feature_select_strategy="default")


def deepseek_vl(settings):
    known = tokenizer([], image_token="<image_placeholder>")
    images = pillow("DeepseekVLImageProcessor")(**settings)
    return transformers.DeepseekVLProcessor(images, known, num_image_tokens=64)


def video_llama_3(settings):
    known = tokenizer(["<video>"], image_token="<image>")
    images = pillow("VideoLlama3ImageProcessor")(**settings)
    return transformers.VideoLlama3Processor(images, known, transformers.VideoLlama3VideoProcessor())


def minimax_m3_vl(settings):
    known = tokenizer(["]<]image[>[", "]<]video[>[", "]<]start of image[>[", "]<]end of image[>["])
    images = transformers.MiniMaxM3VLImageProcessor(**settings)
    return transformers.MiniMaxM3VLProcessor(images, known, transformers.MiniMaxM3VLVideoProcessor())


def paddleocr_vl(settings):
    known = tokenizer([], image_token="<|IMAGE_PLACEHOLDER|>")
    return transformers.PaddleOCRVLProcessor(pillow("PaddleOCRVLImageProcessor")(**settings), known)


def llava_next(settings):
    images = pillow("LlavaNextImageProcessor")(**settings)
    return transformers.LlavaNextProcessor(images, tokenizer(["<image>"]), patch_size=4, num_additional_image_tokens=1,
                                           vision_feature_select_strategy="default")


def llava_next_video(settings):
    images = pillow("LlavaNextImageProcessor")(**settings)
    return transformers.LlavaNextVideoProcessor(
        video_processor=transformers.LlavaNextVideoVideoProcessor(), image_processor=images,
        tokenizer=tokenizer(["<image>", "<video>"]), patch_size=4, num_additional_image_tokens=1,
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


def qianfan_ocr(settings):
    known = tokenizer([], start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>")
    images = pillow("GotOcr2ImageProcessor")(**settings)
    return transformers.QianfanOCRProcessor(images, known, image_seq_length=16)


def idefics2(settings):
    images = pillow("Idefics2ImageProcessor")(**settings)
    return transformers.Idefics2Processor(images, tokenizer([]), image_seq_len=5)


def idefics3(settings):
    known = tokenizer(["<fake_token_around_image>", "<image>", "<global-img>", "\n", "\n\n", *cells("<row_{}_col_{}>")])
    images = pillow("Idefics3ImageProcessor")(**settings)
    return transformers.Idefics3Processor(images, known, image_seq_len=16)


def smolvlm(settings):
    known = tokenizer(["\n", "\n\n", *cells("<row_{}_col_{}>")], fake_image_token="<fake_token_around_image>",
                      image_token="<image>", global_image_token="<global-img>", end_of_utterance_token="<end>")
    images = pillow("SmolVLMImageProcessor")(**settings)
    return transformers.SmolVLMProcessor(images, known, transformers.SmolVLMVideoProcessor(), image_seq_len=16)


def aya_vision(settings):
    tiles = [f"TILE_{tile}" for tile in range(1, 13)]
    known = tokenizer(["<image>", "<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "TILE_GLOBAL", *tiles])
    images = pillow("GotOcr2ImageProcessor")(**settings)
    return transformers.AyaVisionProcessor(images, known, patch_size=4, img_size=32, downsample_factor=2)


def cohere2_vision(settings):
    known = tokenizer([], image_token="<|IMG_PATCH|>", boi_token="<|START_OF_IMG|>", eoi_token="<|END_OF_IMG|>",
                      img_line_break_token="<|IMG_LINE_BREAK|>")
    return transformers.Cohere2VisionProcessor(transformers.Cohere2VisionImageProcessor(**settings), known)


def lighton_ocr(settings):
    known = tokenizer([], image_token="<|image_pad|>", image_break_token="<|vision_pad|>",
                      image_end_token="<|vision_end|>")
    images = pillow("PixtralImageProcessor")(**settings)
    return transformers.LightOnOcrProcessor(images, known, patch_size=4, spatial_merge_size=2)


GLM_TOKENS = ["<|image|>", "<|video|>", "<|begin_of_video|>", "<|end_of_video|>"]


def glm4v(settings):
    images = pillow("Glm4vImageProcessor")(**settings)
    return transformers.Glm4vProcessor(images, tokenizer(GLM_TOKENS), transformers.Glm4vVideoProcessor())


def glm46v(settings):
    images = pillow("Glm46VImageProcessor")(**settings)
    return transformers.Glm46VProcessor(images, tokenizer(GLM_TOKENS), transformers.Glm46VVideoProcessor())


def glmga(settings):
    images = pillow("GlmgaImageProcessor")(**settings)
    return transformers.Glm46VProcessor(images, tokenizer(GLM_TOKENS), transformers.GlmgaVideoProcessor())


def gemma4(settings):
    known = tokenizer([], image_token="<|image|>", boi_token="<boi>", eoi_token="<eoi>", audio_token="<|audio|>",
                      boa_token="<boa>", eoa_token="<eoa>")
    images = pillow("Gemma4ImageProcessor")(**settings)
    sounds = transformers.Gemma4AudioFeatureExtractor()
    return transformers.Gemma4Processor(sounds, images, known, transformers.Gemma4VideoProcessor())


def kimi_k25(settings):
    known = tokenizer(["<|media_pad|>", "<|kimi_k25_video_placeholder|>"])
    images = transformers.Kimi_K25ImageProcessor(**settings)
    return transformers.Kimi_K25Processor(images, known, transformers.Kimi_K25VideoProcessor())


def lfm2_vl(settings):
    known = tokenizer(["<image>", "<|image_start|>", "<|image_end|>", "<|img_thumbnail|>", *cells("<|img_row_{}_col_{}|>")])
    return transformers.Lfm2VlProcessor(transformers.Lfm2VlImageProcessor(**settings), known)


def phi4_multimodal(settings):
    known = tokenizer(["<image>", "<audio>"], image_token="<image>", audio_token="<audio>")
    images = transformers.Phi4MultimodalImageProcessor(**settings)
    return transformers.Phi4MultimodalProcessor(images, transformers.Phi4MultimodalFeatureExtractor(), known)


def ovis2(settings):
    known = tokenizer(["<image>", "<IMG_START>", "<IMG_ATOM>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"])
    return transformers.Ovis2Processor(pillow("Ovis2ImageProcessor")(**settings), known, image_seq_length=16)


def paligemma(settings):
    known = tokenizer(["<image>"])
    # What it puts between images and text, and after it, is the text's.
    known.bos_token = ""
    images = pillow("SiglipImageProcessor")(**settings)
    images.image_seq_length = 64
    return transformers.PaliGemmaProcessor(images, known)


def blip2(settings):
    return transformers.Blip2Processor(pillow("BlipImageProcessor")(**settings), tokenizer(["<image>"]), num_query_tokens=5)


def clip(settings):
    return transformers.CLIPProcessor(pillow("CLIPImageProcessor")(**settings), tokenizer([]))


def siglip(settings):
    return transformers.SiglipProcessor(pillow("SiglipImageProcessor")(**settings), tokenizer([]))


class Alone:
    """A processor of images alone, for a model that reads no text."""

    def __init__(self, images):
        self.images = images

    def __call__(self, images, **_):
        return self.images(images=[image for of_prompt in images for image in of_prompt], return_tensors="pt")


def vit(settings):
    return Alone(pillow("ViTImageProcessor")(**settings))


def bit(settings):
    return Alone(pillow("BitImageProcessor")(**settings))
