"""Tokens of a response as servers report them, and the FLOPs that they were.

>>> import flopmeter
>>> response = {
...     "object": "chat.completion",
...     "usage": {
...         "prompt_tokens": 1024,
...         "completion_tokens": 256,
...         "total_tokens": 1280,
...         "prompt_tokens_details": {"cached_tokens": 768},
...         "completion_tokens_details": {"reasoning_tokens": 200},
...     },
... }
>>> flopmeter.usage(response)
Usage(prompt=1024, cached=768, generate=256, reasoning=200, seconds=None)
>>> flopmeter.usage(response).flops(flopmeter.Model("meta-llama/Llama-3.1-8B")).total
7676180299776

Nobody counts a prompt in the same way:

========================  ==========================================  =================================
server                    the whole prompt                            of it, from a cache
========================  ==========================================  =================================
OpenAI, chat              ``prompt_tokens``                           ``cached_tokens`` of its details
OpenAI, responses         ``input_tokens``                            ``cached_tokens`` of its details
Anthropic                 ``input_tokens`` +                          ``cache_read_input_tokens``
                          ``cache_creation_input_tokens`` +
                          ``cache_read_input_tokens``
Ollama                    ``prompt_eval_count``                       ``prompt_eval_cached_count``
========================  ==========================================  =================================

Tokens that were written to a cache were computed, and are not cached. What is generated includes what was thought.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from operator import index
from typing import Any

from . import errors
from ._flopmeter import Flops, Model
from .errors import refusal

__all__ = ["Usage", "usage"]


@dataclass(frozen=True)
class Usage:
    """Tokens of a response. What the server did not say is None.

    ``prompt`` counts every token, ``cached`` those of them whose keys and values were in a cache already; ``generate``
    includes ``reasoning``. ``seconds`` is the time that the server says it computed for.
    """

    prompt: int
    cached: int | None
    generate: int
    reasoning: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.cached is not None and self.cached > self.prompt:
            fact = f"is {self.cached}, more than the prompt's {self.prompt} tokens"
            raise refusal(errors.WorkloadError, "cached", fact)
        if self.reasoning is not None and self.reasoning > self.generate:
            fact = f"is {self.reasoning}, more than the {self.generate} tokens that were generated"
            raise refusal(errors.WorkloadError, "reasoning", fact)

    def flops(self, model: Model, *, cached: int | None = None, convention: str = "model", **request: Any) -> Flops:
        """FLOPs of the response; ``request`` is what `Model.flops` takes besides the lengths.

        Where the server did not say what it had cached, that is no zero: say it with ``cached``.

        >>> import flopmeter
        >>> llama = flopmeter.Model("meta-llama/Llama-3.1-8B")
        >>> flopmeter.Usage(prompt=1024, cached=None, generate=256).flops(llama, cached=0).total
        18551238819840
        """
        cached = self.cached if cached is None else cached
        if cached is None:
            hints = ["say it: `cached=0` if nothing was", "vLLM tells with `--enable-prompt-tokens-details`"]
            raise refusal(errors.WorkloadError, "cached", "is not in the response", *hints)
        return model.flops(self.prompt, self.generate, cached=cached, convention=convention, **request)

    def to_dict(self) -> dict[str, int | float | None]:
        """The same as a dict."""
        return asdict(self)


def usage(response: object) -> Usage:
    """What a response of OpenAI, Anthropic or Ollama, or of a server that speaks like one of them, says of its tokens.

    A whole response or its ``usage``, an object or a dict; of a stream the chunk that has the final counts. What is none
    of these is a `TypeError` that names what was found; counts that contradict each other are a `WorkloadError`.

    >>> import flopmeter
    >>> flopmeter.usage({"input_tokens": 50, "cache_read_input_tokens": 1000, "output_tokens": 20})
    Usage(prompt=1050, cached=1000, generate=20, reasoning=None, seconds=None)
    """
    _refuse_unfinished(response)
    counts = _counts_of(response)
    for key, read in _SHAPES:
        if _get(counts, key) is not None:
            return read(counts, response)
    known = ", ".join(f"`{key}`" for key, _ in _SHAPES)
    raise TypeError(f"`response`: {_described(counts)}; a usage has one of {known}")


def _chat(counts: object, response: object) -> Usage:
    """OpenAI's chat completions and completions."""
    choices = _get(response, "choices")
    if isinstance(choices, list | tuple) and len(choices) > 1:
        fact = f"are {len(choices)}, whose tokens are one sum, and the cost depends on the length of each"
        raise refusal(errors.WorkloadError, "choices", fact, "ask for one at a time")
    details = _get(counts, "prompt_tokens_details")
    cached = _count(details, "cached_tokens")
    # DeepSeek's own name for it.
    cached = _count(counts, "prompt_cache_hit_tokens") if cached is None else cached
    prompt, generate = _needed(counts, "prompt_tokens"), _needed(counts, "completion_tokens")
    reasoning = _count(_get(counts, "completion_tokens_details"), "reasoning_tokens")
    total = _count(counts, "total_tokens")
    if reasoning and total == prompt + generate + reasoning:
        # xAI counts what was thought beside the completion, not in it.
        generate += reasoning
    return _summed(Usage(prompt, cached, generate, reasoning), total)


def _messages_or_responses(counts: object, response: object) -> Usage:
    """Anthropic's messages and OpenAI's responses, which call different things ``input_tokens``."""
    given, generate = _needed(counts, "input_tokens"), _needed(counts, "output_tokens")
    details = _get(counts, "output_tokens_details")
    read, created = _count(counts, "cache_read_input_tokens"), _count(counts, "cache_creation_input_tokens")
    if read is not None or created is not None or _get(response, "type") == "message":
        # They are null where no cache was asked for.
        cached = read or 0
        return Usage(given + (created or 0) + cached, cached, generate, _count(details, "thinking_tokens"))
    cached_tokens = _count(_get(counts, "input_tokens_details"), "cached_tokens")
    whole = Usage(given, cached_tokens, generate, _count(details, "reasoning_tokens"))
    return _summed(whole, _count(counts, "total_tokens"))


def _ollama(counts: object, _response: object) -> Usage:
    """Ollama's own chat and generate, whose counts stand in the response itself and whose times are nanoseconds.

    ``prompt_eval_count`` is the whole prompt. Releases before July 2024 leave it out where the prompt was cached, which is
    no prompt of 0, and the first of 0.30 leave out the cached part; releases that tell that part have
    ``prompt_eval_cached_count``. ``prompt_eval_duration`` is the time for what was not cached.
    """
    prompt = _count(counts, "prompt_eval_count")
    if prompt is None:
        fact = "is absent; old releases of Ollama leave it out where the prompt was cached"
        raise refusal(errors.WorkloadError, "`prompt_eval_count`", fact, "make the `Usage` yourself")
    times = [_count(counts, "prompt_eval_duration"), _count(counts, "eval_duration")]
    known = [time for time in times if time is not None]
    seconds = sum(known) / 1e9 if len(known) == len(times) else None
    cached = _count(counts, "prompt_eval_cached_count")
    return Usage(prompt, cached, _needed(counts, "eval_count"), seconds=seconds)


# What tells a usage, and what reads it.
_SHAPES: list[tuple[str, Callable[[object, object], Usage]]] = [
    ("prompt_tokens", _chat),
    ("input_tokens", _messages_or_responses),
    ("eval_count", _ollama),
]


def _summed(counted: Usage, total: int | None) -> Usage:
    """The usage, if its parts are the total that the server gives."""
    if total is not None and total != counted.prompt + counted.generate:
        fact = f"is {total}, and prompt and generated tokens are {counted.prompt} + {counted.generate}"
        raise refusal(errors.WorkloadError, "`total_tokens`", fact, "make the `Usage` yourself")
    return counted


def _refuse_unfinished(response: object) -> None:
    """Counts of a chunk that others follow are not those of the response."""
    kind, choices = _get(response, "type"), _get(response, "choices")
    streams = _get(response, "object") == "chat.completion.chunk" and isinstance(choices, list | tuple)
    if (
        kind == "message_start"
        or _get(response, "done") is False
        or (streams and choices and all(_get(choice, "finish_reason") is None for choice in choices))
    ):
        raise TypeError("`response`: is a chunk that others follow; give the last one, or the assembled response")
    if kind == "message_delta" and _get(_get(response, "usage"), "input_tokens") is None:
        raise TypeError("`response`: is an event without the prompt's tokens; give the assembled message")


def _counts_of(response: object) -> object:
    """Where the counts are: in the response's usage, or in that of the response that an event has, or here."""
    inner = _get(response, "response")
    for holder in (response, inner):
        if (found := _get(holder, "usage")) is not None:
            return found
    if _get(response, "object") in ("chat.completion", "chat.completion.chunk", "text_completion", "response"):
        hint = "a stream has it in its last chunk, if `stream_options={\"include_usage\": True}` asked for it"
        raise TypeError(f"`response`: has no `usage`; {hint}")
    return response


def _get(holder: object, key: str) -> Any:
    """What a dict or an object has under a name; None where it has nothing."""
    if isinstance(holder, Mapping):
        return holder.get(key)
    return getattr(holder, key, None)


def _count(counts: object, key: str) -> int | None:
    """A number of tokens, or of nanoseconds; None where there is none."""
    value = _get(counts, key)
    if value is None:
        return None
    try:
        number = index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"`{key}`: is of type {type(value).__name__}; a count is a whole number")
    if number < 0:
        raise refusal(errors.WorkloadError, f"`{key}`", f"is {number}, and at least 0 is counted")
    return number


def _needed(counts: object, key: str) -> int:
    number = _count(counts, key)
    if number is None:
        raise TypeError(f"`{key}`: is missing; {_described(counts)}")
    return number


def _described(found: object) -> str:
    """What it is instead, for whoever has to find out."""
    if isinstance(found, Mapping):
        keys = [str(key) for key in found]
    else:
        keys = [key for key in getattr(found, "__dict__", {}) if not key.startswith("_")]
    shown = ", ".join(f"`{key}`" for key in keys[:12]) or "nothing"
    return f"a {type(found).__name__} with {shown}{', …' if len(keys) > 12 else ''} was given"
