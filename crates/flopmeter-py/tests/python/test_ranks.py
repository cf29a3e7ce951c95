"""Ranks of a model that is cut, by hand on the small llama.

::

    a layer   q, o 2·64·64 + k, v 2·64·32 = 12,288 · gate, up, down 3·64·96 = 18,432 · norms 2·64 = 128 parameters
    a token   2·2·(12,288 + 18,432) = 122,880 FLOPs in two layers; a pair 512; a head 2·64·100 = 12,800
    10 tokens and 3 that are generated have 55 pairs, then 11 and 12
"""

from __future__ import annotations

from typing import Any

import pytest

import flopmeter
from flopmeter import Model, errors

from test_errors import LLAMA

H100 = "NVIDIA H100 80GB HBM3"


@pytest.fixture(scope="module")
def llama() -> Model:
    return Model.from_config(LLAMA)


def layer(tokens: int, pairs: int) -> int:
    """Half of one of two layers, of two sequences of six."""
    return 2 * (tokens * 30_720 + pairs * 128)


def test_each_kind_of_rank_says_what_it_does(llama: Model) -> None:
    flops = llama.flops(10, 3, batch=6, tp=2, pp=2, dp=3)
    plan, ranks = flops.parallelism, flops.ranks
    assert plan is not None and plan.devices == 12 and plan.replicated == [] and plan.bubble is None
    first, last = ranks
    assert [(rank.name, rank.count) for rank in ranks] == [("stage 1 of 2, layer 0", 6), ("stage 2 of 2, layer 1", 6)]
    # The vocabulary of 100 is padded to 128: half of it are 64 rows.
    assert (first.prefill, first.decode) == (layer(10, 55), layer(2, 23))
    assert last.flops == layer(12, 78) + 2 * 3 * 8192
    # 28 rows of 64 more than the whole has, for each of 18 samples.
    assert plan.flops == flops.total + 18 * 2 * 28 * 64 == 6 * (first.flops + last.flops)
    assert first.parameters == 6144 + 9216 + 128 + 4096
    assert first.bytes.weights == 2 * first.parameters
    # 20 tokens of 128 bytes; a ring of two sends them once. 2 tokens of 2 sequences follow in decode.
    assert [(it.collective, it.of, it.ranks, it.bytes) for it in first.sent] == [
        ("all-reduce", "embedding", 2, 2560 + 512),
        ("all-reduce", "attention", 2, 2560 + 512),
        ("all-reduce", "feed-forward layers", 2, 2560 + 512),
        ("point-to-point", "hidden states to the next stage", 2, 2560 + 512),
    ]
    assert first.fits is None and first.sent[0].seconds is None


def test_a_device_says_what_fits_and_how_long_links_take(llama: Model) -> None:
    cut = llama.flops(10, 3, batch=2, tp=2).utilization(H100, 1.0)
    (rank,) = cut.ranks
    assert cut.to_dict()["device"]["count"] == 2
    assert cut.fits is True and rank.fits is True
    # The data sheet's NVLink: 900 GB/s both ways together.
    assert rank.sent[0].seconds == pytest.approx(rank.sent[0].bytes / 450e9, rel=1e-12)
    assert cut.parallelism is not None and cut.parallelism.largest_batch is not None
    with pytest.raises(errors.ParallelismError, match="is 4, and the plan takes 2"):
        llama.flops(10, 3, batch=2, tp=2).utilization(H100, 1.0, devices=4)


def test_ranks_of_a_step_say_what_they_hold_and_send(llama: Model) -> None:
    row, head = 3 * (10 * 122_880 + 55 * 512 + 10 * 12_800), 3 * 10 * 12_800
    step = llama.train_step(10, 4, accumulate=2, dp=2, pp=2, zero=1, flash=True)
    plan, (first, last) = step.parallelism, step.ranks
    assert plan is not None and (plan.devices, plan.bubble, plan.flops) == (4, 0.5, step.total)
    assert (first.flops, last.flops) == (4 * (row - head) // 2, 4 * ((row - head) // 2 + head))
    # A layer and the table; 12 bytes of states over two replicas. What a token keeps is written out in the core's tests.
    parameters = 30_848 + 6400
    memory = first.memory
    assert (memory.weights, memory.gradients, memory.optimizer) == (2 * parameters, 2 * parameters, 6 * parameters)
    assert memory.activations == 2 * 2 * 10 * (256 + 256 + 256 + 16 + 128 + 384 + 192)
    assert memory.total == 10 * parameters + memory.activations
    assert [(it.collective, it.of, it.bytes) for it in first.sent] == [
        ("point-to-point", "hidden states to the next stage", 5120),
        ("reduce-scatter", "gradients", parameters),
        ("all-gather", "weights", parameters),
    ]
    measured = step.utilization(H100, 1.0)
    assert measured.to_dict()["device"]["count"] == 4
    assert [rank.fits for rank in measured.ranks] == [True, True]


def test_stages_are_given_by_hand(llama: Model) -> None:
    both = llama.flops(10, 3, stages=[2, 0])
    assert [rank.name for rank in both.ranks] == ["stage 1 of 2, layers 0–1", "stage 2 of 2, no layers"]
    assert sum(rank.flops for rank in both.ranks) == both.total


def test_what_is_not_cut_has_no_ranks(llama: Model) -> None:
    flops, step = llama.flops(10, 3), llama.train_step(10)
    assert flops.parallelism is None and flops.ranks == [] == step.ranks and step.parallelism is None
    assert flops.utilization(H100, 1.0).ranks == [] == step.utilization(H100, 1.0).ranks


def test_ranks_are_shown(llama: Model) -> None:
    flops, step = llama.flops(10, 3, tp=2), llama.train_step(10, tp=2)
    ranks: list[Any] = [*flops.ranks, *step.ranks]
    for rank, whole in zip(ranks, (flops, step), strict=True):
        assert rank._repr_html_().count("<table>") == 2 and rank.name in str(rank)
        assert rank.to_dict() == whole.to_dict()["ranks"][0]
        assert repr(rank).startswith(f"{type(rank).__name__}(name='{rank.name}', count=2")
        assert repr(rank.sent[0]).startswith("Transfer(collective='all-")
    assert flops.parallelism is not None and flops.parallelism.to_dict() == flops.to_dict()["parallelism"]
    assert repr(flops.parallelism) == "Parallelism(devices=2, tp=2, pp=1, dp=1, cp=1, ep=1)"
    assert "the vocabulary is padded" in str(flops)


def test_what_cannot_be_cut_is_told(llama: Model) -> None:
    with pytest.raises(errors.ParallelismError, match="heads"):
        llama.flops(10, 3, tp=3)
    with pytest.raises(errors.ParallelismError):
        llama.flops(10, 3, pp=3)
    with pytest.raises(errors.WorkloadError, match="`tp`: is -2"):
        llama.flops(10, 3, tp=-2)
    with pytest.raises(TypeError, match="did you mean 'tp'"):
        llama.flops(10, 3, ttp=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'zero'"):
        llama.flops(10, 3, zero=2)  # type: ignore[call-arg]


def test_shares_of_every_plan_add_up() -> None:
    """Of a model with experts: what ranks compute is the whole, and what several have the same of."""
    mixtral = Model("mistralai/Mixtral-8x7B-v0.1")
    for sizes in ({"ep": 8, "dp": 8}, {"tp": 4, "pp": 2}, {"tp": 2, "ep": 2, "etp": 1}, {"cp": 2}):
        flops = mixtral.flops(1024, 1, batch=8, **sizes)  # type: ignore[arg-type]
        assert flops.parallelism is not None
        assert sum(rank.count * rank.flops for rank in flops.ranks) == flops.parallelism.flops >= flops.total
        assert sum(rank.count for rank in flops.ranks) == flops.parallelism.devices
