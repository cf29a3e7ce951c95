"""What a module is run on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def rows_of_tokens(torch: Any, module: Any, batch: int, sequence: int) -> dict[str, Any]:
    """Rows of tokens for a module that reads them."""
    name = getattr(module, "main_input_name", "input_ids")
    if name != "input_ids":
        raise TypeError(f"`inputs`: {type(module).__name__} reads `{name}`; give what its `forward` takes")
    text = module.config.get_text_config()
    device = next(module.parameters()).device
    tokens = torch.arange(batch * sequence, device=device).remainder(text.vocab_size).view(batch, sequence)
    if module.config.is_encoder_decoder:
        return {"input_ids": tokens, "decoder_input_ids": tokens[:, :1]}
    return {"input_ids": tokens}


def shape_of(given: Mapping[str, Any]) -> tuple[int, int]:
    """Rows and tokens of what a module reads."""
    if given.get("past_key_values") is not None:
        raise TypeError("`inputs`: go on from a cache; a whole prompt is counted")
    for name in ("input_ids", "inputs_embeds", "decoder_input_ids"):
        shape: Any = getattr(given.get(name), "shape", ())
        if len(shape) >= 2:
            return int(shape[0]), int(shape[1])
    raise TypeError(f"`inputs`: have neither `input_ids` nor `inputs_embeds`, but {', '.join(given) or 'nothing'}")
