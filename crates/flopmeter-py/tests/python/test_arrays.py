"""Columns of requests: NumPy, pyarrow, polars, pandas, DuckDB."""

from __future__ import annotations

import threading

import numpy
import pandas
import polars
import pyarrow
import pytest

import flopmeter
from flopmeter import Model, errors, flops_array, utilization_array

PROMPT = [1024, 8192, 1, 0, 77]
GENERATE = [256, 1, 1, 5, 300]
CACHED = [0, 4096, 0, 0, 77]


@pytest.fixture(scope="module")
def llama() -> Model:
    return Model("meta-llama/Llama-3.1-8B")


@pytest.fixture(scope="module")
def expected(llama: Model) -> list[int]:
    rows = zip(PROMPT, GENERATE, CACHED, strict=True)
    return [llama.flops(prompt, generate, cached=cached).total for prompt, generate, cached in rows]


@pytest.mark.parametrize("dtype", ["uint64", "int64", "uint32", "int32", "int16"])
def test_numpy(llama: Model, expected: list[int], dtype: str) -> None:
    columns = [numpy.array(column, dtype=dtype) for column in (PROMPT, GENERATE, CACHED)]
    counted = flops_array(llama, *columns)
    assert counted.dtype == numpy.uint64
    assert counted.tolist() == expected
    strided = [numpy.repeat(column, 2)[::2] for column in columns]
    assert flops_array(llama, *strided).tolist() == expected
    backwards = [column[::-1] for column in columns]
    assert flops_array(llama, *backwards).tolist() == expected[::-1]


def test_columns_of_packed_records(llama: Model, expected: list[int]) -> None:
    """A field after one byte begins where no number of 64 bits may."""
    packed = numpy.dtype([("kind", "u1"), ("prompt", "i8"), ("generate", "u4"), ("cached", "i8")])
    records = numpy.array([(7, *row) for row in zip(PROMPT, GENERATE, CACHED, strict=True)], dtype=packed)
    columns = [records[name] for name in ("prompt", "generate", "cached")]
    assert not columns[0].flags.aligned
    assert flops_array(llama, *columns).tolist() == expected


@pytest.mark.parametrize("rows", [1, 1023, 1024, 1025, 5000])
def test_rows_are_counted_in_their_places(llama: Model, rows: int) -> None:
    """However many are read at a time."""
    prompt = numpy.arange(1, rows + 1)
    counted = flops_array(llama, prompt, 1).tolist()
    some = sorted({0, 1, 1022, 1023, 1024, 1025, rows - 1} & set(range(rows)))
    assert [counted[row] for row in some] == [llama.flops(row + 1, 1).total for row in some]
    prompt[rows - 1] = -9
    with pytest.raises(errors.WorkloadError, match=f"`prompt`, row {rows - 1}: is -9"):
        flops_array(llama, prompt, 1)
    chunked = pyarrow.chunked_array([prompt[: rows // 2], prompt[rows // 2 :]])
    with pytest.raises(errors.WorkloadError, match=f"`prompt`, row {rows - 1}: is -9"):
        flops_array(llama, chunked, 1)


def test_numbers_of_another_byte_order_are_refused(llama: Model) -> None:
    with pytest.raises(TypeError, match="`prompt`: is of dtype >i8"):
        flops_array(llama, numpy.array(PROMPT, dtype=">i8"), 1)


def test_the_readmes_request_is_exact(llama: Model) -> None:
    assert flops_array(llama, numpy.array([1024]), 256).tolist() == [18_551_238_819_840]


def test_pyarrow_with_nulls(llama: Model, expected: list[int]) -> None:
    prompt = pyarrow.array([*PROMPT, None, 5])
    generate = pyarrow.array([*GENERATE, 5, None])
    cached = pyarrow.array([*CACHED, 0, 0])
    counted = flops_array(llama, prompt, generate, cached)
    assert isinstance(counted, pyarrow.UInt64Array)
    assert counted.to_pylist() == [*expected, None, None]


def test_nulls_alone_are_nulls(llama: Model) -> None:
    """A column of which nothing is known has no type."""
    assert flops_array(llama, pyarrow.nulls(2), 1).to_pylist() == [None, None]
    assert flops_array(llama, polars.Series([None, None]), 1).to_list() == [None, None]
    assert utilization_array(llama, pyarrow.array([8, 9]), 1, pyarrow.nulls(2), "NVIDIA L4").to_pylist() == [None, None]


def test_chunks_stay_chunked(llama: Model, expected: list[int]) -> None:
    prompt = pyarrow.chunked_array([PROMPT[:2], PROMPT[2:]])
    counted = flops_array(llama, prompt, pyarrow.array(GENERATE), pyarrow.array(CACHED))
    assert isinstance(counted, pyarrow.ChunkedArray)
    assert counted.to_pylist() == expected


def test_polars(llama: Model, expected: list[int]) -> None:
    frame = polars.DataFrame({"prompt": [*PROMPT, None], "generate": [*GENERATE, 1], "cached": [*CACHED, 0]})
    counted = flops_array(llama, frame["prompt"], frame["generate"], frame["cached"])
    assert isinstance(counted, polars.Series)
    assert counted.to_list() == [*expected, None]


def test_pandas(llama: Model, expected: list[int]) -> None:
    frame = pandas.DataFrame({"prompt": PROMPT, "generate": GENERATE, "cached": CACHED}, index=list("abcde"))
    counted = flops_array(llama, frame.prompt, frame.generate, frame.cached)
    assert isinstance(counted, pandas.Series)
    assert counted.to_dict() == dict(zip("abcde", expected, strict=True))
    holes = pandas.Series([1024, None], dtype="Int64")
    counted = flops_array(llama, holes, 256)
    assert counted[0] == 18_551_238_819_840
    assert pandas.isna(counted[1])


def test_duckdb(llama: Model) -> None:
    duckdb = pytest.importorskip("duckdb")
    prompt = duckdb.sql("select * from (values (1024), (null)) t(prompt)")
    counted = flops_array(llama, prompt, 256)
    assert counted.fetchall() == [(18_551_238_819_840,), (None,)]


def test_many_models_by_codes(llama: Model) -> None:
    qwen = Model("qwen3:8b")
    codes = numpy.array([0, 1, 1, 0])
    counted = flops_array([llama, qwen], numpy.full(4, 512), 16, codes=codes)
    one, two = llama.flops(512, 16).total, qwen.flops(512, 16).total
    assert counted.tolist() == [one, two, two, one]
    assert flops_array([llama.id, "qwen3:8b"], numpy.full(4, 512), 16, codes=codes).tolist() == [one, two, two, one]
    assert flops_array("qwen3:8b", numpy.array([512]), 16).tolist() == [two]


def test_many_models_by_a_dictionary_of_names() -> None:
    names = pyarrow.array(["qwen3:8b", None, "llama3.1:8b", "qwen3:8b"]).dictionary_encode()
    counted = flops_array(names, pyarrow.array([512] * 4), 16)
    one, two = Model("qwen3:8b").flops(512, 16).total, Model("llama3.1:8b").flops(512, 16).total
    assert counted.to_pylist() == [one, None, two, one]
    with pytest.raises(errors.ModelError):
        flops_array(pyarrow.array(["nobody-knows-this"]).dictionary_encode(), pyarrow.array([1]), 1)


def test_names_in_numpy_give_an_array_of_numpys() -> None:
    names = ["llama3.1:8b", "qwen3:0.6b", "llama3.1:8b"]
    counted = flops_array(numpy.array(names), numpy.array([8, 9, 10]), 2)
    assert isinstance(counted, numpy.ndarray)
    assert counted.tolist() == [Model(name).flops(prompt, 2).total for name, prompt in zip(names, (8, 9, 10), strict=True)]


@pytest.mark.parametrize("convention", ["model", "torch", "2pt"])
@pytest.mark.parametrize("name", ["meta-llama/Llama-3.1-8B", "deepseek-ai/DeepSeek-V3", "google/gemma-3-27b-it"])
def test_each_row_is_what_a_request_is(name: str, convention: str) -> None:
    model, random = Model(name), numpy.random.default_rng(7)
    prompt, generate = random.integers(0, 5000, 50), random.integers(1, 3000, 50)
    counted = flops_array(model, prompt, generate, prompt // 3, convention=convention)
    for row in range(50):
        length, cached = int(prompt[row]), int(prompt[row]) // 3
        flops = model.flops(length, int(generate[row]), cached=cached, convention=convention)
        assert counted[row] == flops.total


def test_dtypes_of_the_result(llama: Model) -> None:
    long = 2**40
    exact = llama.flops(long).total
    assert exact > 2**64
    with pytest.raises(errors.CountOverflowError, match="row 1"):
        flops_array(llama, numpy.array([1, long]), 1)
    assert flops_array(llama, numpy.array([long]), 1, dtype="exact").tolist() == [exact]
    decimals = flops_array(llama, pyarrow.array([long, None]), 1, dtype="exact")
    assert [None if it is None else int(it) for it in decimals.to_pylist()] == [exact, None]
    assert flops_array(llama, numpy.array([long]), 1, dtype="float64")[0] == float(exact)


def test_utilization(llama: Model) -> None:
    seconds = numpy.array([2.1, 4.2])
    ratios = utilization_array(llama, numpy.array([1024, 1024]), 256, seconds, "NVIDIA H100 80GB HBM3")
    one = llama.flops(1024, 256).utilization("NVIDIA H100 80GB HBM3", 2.1).mfu
    assert one is not None
    assert ratios.tolist() == [one, pytest.approx(one / 2)]
    halved = utilization_array(llama, pyarrow.array([1024, None]), 256, 2.1, "NVIDIA H100 80GB HBM3", devices=2)
    assert halved.to_pylist() == [pytest.approx(one / 2), None]


@pytest.mark.parametrize(
    ("kind", "text", "columns"),
    [
        (errors.WorkloadError, "`generate`: has 2 rows, and the columns before it have 3", ([1, 2, 3], [1, 2])),
        (errors.WorkloadError, "`prompt`, row 1: is -5", ([1, -5], [1, 1])),
        (TypeError, "`prompt`: is a column of Float64", ([1.0, 2.0], [1, 1])),
        (TypeError, "`prompt`: is a column of Float64", ([float("nan")], [1])),
        (TypeError, "`prompt`: is of dtype", (["a"], [1])),
        (TypeError, "`prompt`: is of dtype bool", ([True], [1])),
        (errors.WorkloadError, "`prompt`: has 2 dimensions", ([[1], [2]], [1, 2])),
    ],
)
def test_bad_columns(llama: Model, kind, text: str, columns) -> None:  # type: ignore[no-untyped-def]
    prompt, generate = (numpy.array(column) for column in columns)
    with pytest.raises(kind, match=text.replace("(", r"\(")):
        flops_array(llama, prompt, generate)


def test_more_cached_than_prompted_names_the_row(llama: Model) -> None:
    with pytest.raises(errors.WorkloadError, match="row 2"):
        flops_array(llama, numpy.array([5, 5, 5]), 1, numpy.array([0, 5, 6]))


def test_a_code_of_no_model_and_a_mask(llama: Model) -> None:
    with pytest.raises(errors.WorkloadError, match="row 1"):
        flops_array([llama], numpy.array([1, 1]), 1, codes=numpy.array([0, 1]))
    masked = numpy.ma.masked_array([1, 2], [False, True])
    with pytest.raises(TypeError, match="masked"):
        flops_array(llama, masked, 1)


def test_measured_times_have_to_be_times(llama: Model) -> None:
    for seconds in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(errors.MeasurementError, match="row 0"):
            utilization_array(llama, numpy.array([5]), 1, numpy.array([seconds]), "NVIDIA L4")


def test_threads(llama: Model) -> None:
    prompt = numpy.arange(1, 20_001)
    whole = flops_array(llama, prompt, 10)
    found: list[bool] = []
    work = lambda: found.append(bool((flops_array(llama, prompt, 10) == whole).all()))  # noqa: E731
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


def test_no_rows(llama: Model) -> None:
    assert flops_array(llama, numpy.array([], dtype=numpy.int64), 1).tolist() == []
    assert flops_array(llama, pyarrow.array([], pyarrow.int64()), 1).to_pylist() == []
    assert flopmeter.flops_array is flops_array
