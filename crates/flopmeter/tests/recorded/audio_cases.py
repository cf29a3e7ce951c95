"""The models that hear: configs, and the processors that make frames of sound for them, with ugly sizes.

Of each, `config` is what the config states, `settings` what its preprocessor_config.json states, `processor` makes the
real processor of the class from the settings and a tokenizer that knows its special tokens, `audio` is what stands for a
clip in a text, `tower` names the modules that hear, and `prompts` are seconds of the clips of each prompt: short, a window
to the sample, more than one, two clips.
"""

import transformers

from cases import EXPERTS, GROUPED, MROPE, QWEN3_MROPE, QWEN3_VISION, ROTARY_GROUPED, WIDE
from image_processors import tokenizer

# Windows of 94 frames, which are 15,980 samples of 16,000.
FRAMES = {"feature_size": 8, "sampling_rate": 16000, "hop_length": 170, "chunk_length": 1, "n_fft": 400}
# Windows of 100.
EVEN = {**FRAMES, "hop_length": 160}
WINDOWS = [[0.3], [1.0], [1.45], [0.02, 0.81]]
TOWER = ["audio_tower", "multi_modal_projector"]
ENCODER = {"num_mel_bins": 8, "encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 28, "d_model": 20}
NAMED = {"num_mel_bins": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 40,
         "hidden_size": 20}
LLAMA = {"model_type": "llama", **GROUPED}
QWEN2 = {"model_type": "qwen2", **GROUPED}


def whisper(settings):
    return transformers.WhisperFeatureExtractor(**settings)


def padded(special, **named):
    known = tokenizer(special, **named)
    known.pad_token = "[UNK]"
    return known


def qwen2_audio(settings):
    return transformers.Qwen2AudioProcessor(whisper(settings), tokenizer(["<|AUDIO|>"]))


def audio_flamingo(settings):
    return transformers.AudioFlamingo3Processor(whisper(settings), padded(["<sound>"]), max_audio_len=3)


def music_flamingo(settings):
    known = padded(["<sound>", "<|sound_bos|>", "<|sound_eos|>"])
    return transformers.MusicFlamingoProcessor(whisper(settings), known, max_audio_len=3)


def glm(settings):
    return transformers.GlmAsrProcessor(whisper(settings), padded(["<|pad|>"]), max_audio_len=5)


class Voxtral(transformers.VoxtralProcessor):
    """The processor, which leaves texts to mistral-common: what it makes frames with, and that library's padding and
    tokens, of its version 1.13."""

    def __init__(self, settings):
        self.feature_extractor, self.tokenizer = whisper(settings), tokenizer(["[BEGIN_AUDIO]", "[AUDIO]"])

    def __call__(self, text, audio=None, **_):
        from mistral_common.tokens.tokenizers import audio as common

        spectrogram = common.AudioSpectrogramConfig(8, 160, 400)
        config = common.AudioConfig(16000, 12.5, spectrogram, chunk_length_s=30.0)
        encoder = common.AudioEncoder(config, common.SpecialAudioIDs(1, 0, None, None, None))
        made = self.tokenizer
        if audio is None:
            return made(text, add_special_tokens=False, return_tensors="pt")
        encoded = [encoder.encode_audio(common.Audio(clip, 16000, "wav")) for clip in audio]
        names = ["[BEGIN_AUDIO]", "[AUDIO]"]
        words = iter(" ".join(names[token] for token in one.tokens) for one in encoded)
        text = [" ".join(next(words) if word == "[AUDIO]" else word for word in one.split()) for one in text]
        features = self._retrieve_input_features([one.audio.audio_array for one in encoded], 3000, sampling_rate=16000,
                                                 padding=True, truncation=False, pad_to_multiple_of=480000,
                                                 return_tensors="pt")
        return {**made(text, add_special_tokens=False, return_tensors="pt"), "input_features": features}


def omni(settings):
    named = {"image_token": "<|IMAGE|>", "audio_token": "<|AUDIO|>", "video_token": "<|VIDEO|>",
             "vision_bos_token": "<|vision_bos|>", "vision_eos_token": "<|vision_eos|>",
             "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>"}
    images = transformers.Qwen2VLImageProcessorPil(patch_size=14)
    return transformers.Qwen2_5OmniProcessor(images, transformers.Qwen2VLVideoProcessor(), whisper(settings),
                                             tokenizer([], **named))


OMNI_TOKENS = {"audio_token_index": 126, "image_token_index": 127, "video_token_index": 128,
               "vision_start_token_id": 129, "audio_start_token_id": 125, "audio_end_token_id": 124}
OMNI_VISION = {"depth": 1, "hidden_size": 32, "intermediate_size": 28, "num_heads": 2, "out_hidden_size": 144,
               "fullatt_block_indexes": [0]}

def omni_moe(settings):
    named = {"image_token": "<|image_pad|>", "audio_token": "<|audio_pad|>", "video_token": "<|video_pad|>",
             "vision_bos_token": "<|vision_bos|>", "vision_eos_token": "<|vision_eos|>",
             "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>"}
    images = transformers.Qwen2VLImageProcessorPil(patch_size=14)
    return transformers.Qwen3OmniMoeProcessor(images, transformers.Qwen2VLVideoProcessor(), whisper(settings),
                                              padded([], **named))


def asr(settings):
    named = {"audio_token": "<|audio_pad|>", "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>"}
    frames = transformers.Qwen3ASRFeatureExtractor(**settings)
    return transformers.Qwen3ASRProcessor(frames, padded([], **named))


def banks(settings):
    return transformers.Speech2TextFeatureExtractor(**settings)


def waveform(settings):
    return transformers.Wav2Vec2FeatureExtractor(**settings)


QWEN3_ENCODER = {**ENCODER, "num_mel_bins": 9, "downsample_hidden_size": 6, "n_window": 50, "n_window_infer": 200}
NINE = {"feature_size": 9, "sampling_rate": 16000, "hop_length": 160, "n_fft": 400}
SECONDS = [[0.3], [1.0], [2.0], [5.437]]

MOONSHINE = {"vocab_size": 131, "hidden_size": 120, "intermediate_size": 92, "encoder_num_hidden_layers": 3,
             "decoder_num_hidden_layers": 2, "encoder_num_attention_heads": 6, "decoder_num_attention_heads": 6,
             "architectures": ["MoonshineForConditionalGeneration"]}

AUDIO_CASES = {
    "audioflamingo3": {
        "config": {"text_config": QWEN2, "audio_config": {**NAMED, "intermediate_size": 28, "max_source_positions": 50},
                   "audio_token_id": 126, "architectures": ["AudioFlamingo3ForConditionalGeneration"]},
        "settings": EVEN, "processor": audio_flamingo, "audio": "<sound>", "tower": TOWER, "stated": {"max_audio_len": 3},
        "prompts": [[0.3], [1.0], [2.45], [3.2]],
    },
    "glmasr": {
        "config": {"text_config": LLAMA, "audio_config": {**NAMED, "intermediate_size": 80}, "audio_token_id": 126},
        "settings": {**EVEN, "chunk_length": 2}, "processor": glm, "audio": "<|pad|>", "tower": TOWER,
        "stated": {"max_audio_len": 5}, "prompts": [[0.3], [2.0], [3.45], [6.2]],
    },
    "musicflamingo": {
        "config": {"text_config": QWEN2, "audio_config": {"model_type": "audioflamingo3_encoder", **NAMED,
                                                          "intermediate_size": 28, "max_source_positions": 50},
                   "audio_token_id": 126, "architectures": ["MusicFlamingoForConditionalGeneration"]},
        "settings": EVEN, "processor": music_flamingo, "audio": "<sound>", "tower": TOWER,
        "stated": {"max_audio_len": 3}, "prompts": [[0.3], [1.0], [2.45], [3.2]],
    },
    "qwen2_5_omni_thinker": {
        "config": {"text_config": {"model_type": "qwen2_5_omni_text", **ROTARY_GROUPED, "rope_parameters": MROPE},
                   "audio_config": {**ENCODER, "output_dim": 144, "n_window": 11, "max_source_positions": 60},
                   "vision_config": OMNI_VISION, **OMNI_TOKENS},
        "settings": {**FRAMES, "chunk_length": 3}, "processor": omni, "audio": "<|AUDIO|>", "tower": TOWER,
        "prompts": [[0.19], [22 * 170 / 16000], [1.45], [0.05, 0.81, 4.0]],
    },
    "qwen2_audio": {
        "config": {"text_config": QWEN2, "audio_config": {**ENCODER, "max_source_positions": 47},
                   "audio_token_index": 126},
        "settings": FRAMES, "processor": qwen2_audio, "audio": "<|AUDIO|>", "tower": TOWER, "prompts": WINDOWS,
    },
    "qwen3_asr": {
        "config": {"text_config": {"model_type": "qwen3", **WIDE}, "audio_config": {**QWEN3_ENCODER, "output_dim": 60},
                   "audio_token_id": 126},
        "settings": NINE, "processor": asr, "audio": "<|audio_pad|>", "tower": TOWER, "prompts": SECONDS,
    },
    "qwen3_omni_moe_thinker": {
        "config": {"text_config": {"model_type": "qwen3_omni_moe_text", **ROTARY_GROUPED, **EXPERTS, "num_experts": 7,
                                   "rope_parameters": QWEN3_MROPE},
                   "audio_config": {**QWEN3_ENCODER, "output_dim": 144},
                   "vision_config": {**QWEN3_VISION, "patch_size": 14}, "audio_token_id": 126, "image_token_id": 127,
                   "video_token_id": 128, "vision_start_token_id": 129, "audio_start_token_id": 125},
        "settings": NINE, "processor": omni_moe, "audio": "<|audio_pad|>", "tower": TOWER,
        "prompts": [*SECONDS, [0.7005, 4.1, 0.2]],
    },
    # An encoder as long as the sound, and a decoder that attends to it.
    "moonshine": {"config": MOONSHINE, "settings": {}, "processor": waveform, "prompts": SECONDS},
    "moonshine@filled": {
        "config": {**MOONSHINE, "pad_head_dim_to_multiple_of": 8, "attention_bias": True, "tie_word_embeddings": False},
        "settings": {}, "processor": waveform, "prompts": SECONDS,
    },
    "speech_to_text": {
        "config": {"vocab_size": 131, "d_model": 60, "encoder_layers": 3, "encoder_ffn_dim": 92,
                   "encoder_attention_heads": 6, "decoder_layers": 2, "decoder_ffn_dim": 98, "decoder_attention_heads": 4,
                   "conv_channels": 22, "conv_kernel_sizes": [5, 3], "input_feat_per_channel": 8,
                   "architectures": ["Speech2TextForConditionalGeneration"]},
        "settings": {"feature_size": 8, "num_mel_bins": 8}, "processor": banks, "prompts": SECONDS,
    },
    "voxtral": {
        "config": {"text_config": LLAMA, "audio_config": {**NAMED, "intermediate_size": 80}, "audio_token_id": 126},
        "settings": {"feature_size": 8}, "processor": Voxtral, "audio": "[AUDIO]", "tower": TOWER,
        "prompts": [[0.3], [30.0], [31.0], [2.0, 33.5]],
    },
}
