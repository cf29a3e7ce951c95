"""What servers say of a response's tokens. Fields mean what the servers' own references say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import flopmeter
from flopmeter import Model, Usage, errors

CHAT = {
    "prompt_tokens": 1024,
    "completion_tokens": 256,
    "total_tokens": 1280,
    "prompt_tokens_details": {"cached_tokens": 768, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 200},
}
RESPONSES = {
    "input_tokens": 1024,
    "input_tokens_details": {"cached_tokens": 768},
    "output_tokens": 256,
    "output_tokens_details": {"reasoning_tokens": 200},
    "total_tokens": 1280,
}
ANTHROPIC = {
    "input_tokens": 56,
    "cache_creation_input_tokens": 200,
    "cache_read_input_tokens": 768,
    "output_tokens": 256,
    "output_tokens_details": {"thinking_tokens": 200},
}
OLLAMA = {
    "model": "llama3.1:8b",
    "message": {"role": "assistant", "content": "…"},
    "done": True,
    "total_duration": 5_000_000_000,
    "load_duration": 1_000_000_000,
    "prompt_eval_count": 1024,
    "prompt_eval_cached_count": 768,
    "prompt_eval_duration": 250_000_000,
    "eval_count": 256,
    "eval_duration": 2_500_000_000,
}
WHOLE = Usage(prompt=1024, cached=768, generate=256, reasoning=200)


def as_object(value: Any) -> Any:
    """As the servers' clients have it: attributes, not keys."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: as_object(inner) for key, inner in value.items()})
    return [as_object(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("shaped", [dict, as_object])
@pytest.mark.parametrize(
    "response",
    [
        CHAT,
        {"object": "chat.completion", "choices": [{"finish_reason": "stop"}], "usage": CHAT},
        # The last chunk of a stream has no choice, or the one that says why it ended.
        {"object": "chat.completion.chunk", "choices": [], "usage": CHAT},
        {"object": "chat.completion.chunk", "choices": [{"finish_reason": "length"}], "usage": CHAT},
        RESPONSES,
        {"object": "response", "usage": RESPONSES},
        {"type": "response.completed", "response": {"object": "response", "usage": RESPONSES}},
        ANTHROPIC,
        {"type": "message", "role": "assistant", "usage": ANTHROPIC},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": ANTHROPIC},
    ],
)
def test_all_say_the_same_in_their_own_way(shaped: Any, response: dict[str, Any]) -> None:
    assert flopmeter.usage(shaped(response)) == WHOLE


@pytest.mark.parametrize("shaped", [dict, as_object])
def test_ollama_has_its_counts_in_the_response_and_its_times_in_nanoseconds(shaped: Any) -> None:
    assert flopmeter.usage(shaped(OLLAMA)) == Usage(1024, 768, 256, None, seconds=2.75)


def test_what_anthropic_wrote_to_its_cache_was_computed() -> None:
    counts = {"input_tokens": 10, "cache_creation_input_tokens": 90, "cache_read_input_tokens": None, "output_tokens": 1}
    assert flopmeter.usage(counts) == Usage(prompt=100, cached=0, generate=1)


def test_a_message_of_anthropic_without_a_cache_had_none() -> None:
    response = {"type": "message", "usage": {"input_tokens": 10, "output_tokens": 1}}
    assert flopmeter.usage(response) == Usage(prompt=10, cached=0, generate=1)


def test_what_was_thought_beside_the_completion_was_generated_too() -> None:
    # xAI's own example: 32 + 9 + 94 = 135.
    counts = {
        "prompt_tokens": 32,
        "completion_tokens": 9,
        "total_tokens": 135,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 94},
    }
    assert flopmeter.usage(counts) == Usage(prompt=32, cached=8, generate=103, reasoning=94)


@pytest.mark.parametrize(
    "counts",
    [
        {"prompt_tokens": 1024, "completion_tokens": 256, "prompt_tokens_details": None},
        {"input_tokens": 1024, "output_tokens": 256},
        {key: value for key, value in OLLAMA.items() if key != "prompt_eval_cached_count"},
    ],
)
def test_a_cache_of_which_nothing_is_said_is_unknown_and_not_empty(counts: dict[str, Any]) -> None:
    usage = flopmeter.usage(counts)
    assert usage.cached is None
    llama = Model("meta-llama/Llama-3.1-8B")
    with pytest.raises(errors.WorkloadError) as caught:
        usage.flops(llama)
    assert caught.value.place == "cached"
    assert usage.flops(llama, cached=0).total == llama.flops(1024, 256).total


def test_flops_are_those_of_the_request() -> None:
    llama = Model("meta-llama/Llama-3.1-8B")
    # 256 new tokens of the prompt go through 32 layers and see 768 + 1 … 1024
    # positions, then 255 generated ones that see 1025 … 1279; the head runs for each of the 256 that are sampled.
    layers = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
    pairs = sum(range(769, 1280))
    by_hand = 2 * layers * (256 + 255) + 2 * 2 * 32 * 4096 * pairs + 2 * 256 * 4096 * 128256
    assert flopmeter.usage(CHAT).flops(llama).total == by_hand == 7_676_180_299_776
    assert flopmeter.usage(CHAT).flops(llama, convention="torch").total == llama.flops(
        1024, 256, cached=768, convention="torch"
    ).total


def test_seconds_of_a_server_give_an_mfu() -> None:
    llama, usage = Model("meta-llama/Llama-3.1-8B"), flopmeter.usage(OLLAMA)
    assert usage.seconds is not None
    measured = usage.flops(llama).utilization("NVIDIA H100 80GB HBM3", usage.seconds)
    assert measured.mfu == pytest.approx(7_676_180_299_776 / (2.75 * 989.5e12), rel=1e-15)


@pytest.mark.parametrize(
    ("place", "response"),
    [
        ("cached", {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 6}}),
        ("cached", {**OLLAMA, "prompt_eval_cached_count": 1025}),
        ("reasoning", {"input_tokens": 5, "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 2}}),
        ("`total_tokens`", {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 7}),
        ("`prompt_tokens`", {"prompt_tokens": -5, "completion_tokens": 1}),
        ("choices", {"choices": [{}, {}], "usage": CHAT}),
        # Releases of Ollama that leave it out where the prompt was cached.
        ("`prompt_eval_count`", {key: value for key, value in OLLAMA.items() if key != "prompt_eval_count"}),
    ],
)
def test_contradictions_are_errors(place: str, response: dict[str, Any]) -> None:
    with pytest.raises(errors.WorkloadError) as caught:
        flopmeter.usage(response)
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("a dict with `a`, `b` was given", {"a": 1, "b": 2}),
        ("a dict with nothing was given", {}),
        ("a str with nothing was given", "prompt_tokens"),
        ("a SimpleNamespace with `a` was given", SimpleNamespace(a=1)),
        ("a NoneType", None),
        ("`completion_tokens`: is missing; a dict with `prompt_tokens`", {"prompt_tokens": 5}),
        ("`prompt_tokens`: is of type float", {"prompt_tokens": 5.0, "completion_tokens": 1}),
        ("`prompt_tokens`: is of type bool", {"prompt_tokens": True, "completion_tokens": 1}),
        ("include_usage", {"object": "chat.completion.chunk", "choices": [], "usage": None}),
        # Counts so far are not those of the response.
        ("others follow", {"object": "chat.completion.chunk", "choices": [{"finish_reason": None}], "usage": CHAT}),
        ("others follow", {"type": "message_start", "message": {"usage": ANTHROPIC}}),
        ("others follow", {"model": "llama3.1:8b", "done": False}),
        ("assembled message", {"type": "message_delta", "usage": {"output_tokens": 15}}),
    ],
)
def test_what_is_no_usage_is_a_type_error_that_says_what_it_is(text: str, response: Any) -> None:
    with pytest.raises(TypeError) as caught:
        flopmeter.usage(response)
    assert text in str(caught.value)


def test_it_cannot_be_changed_and_is_a_dict_when_asked() -> None:
    with pytest.raises(AttributeError):
        WHOLE.prompt = 1  # type: ignore[misc]
    assert WHOLE.to_dict() == {"prompt": 1024, "cached": 768, "generate": 256, "reasoning": 200, "seconds": None}
