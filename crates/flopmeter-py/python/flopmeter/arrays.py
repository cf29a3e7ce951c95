"""Columns of requests, counted row by row: NumPy's arrays, and whatever speaks Arrow's C interface.

>>> import numpy, flopmeter
>>> llama = flopmeter.Model("meta-llama/Llama-3.1-8B")
>>> flopmeter.flops_array(llama, numpy.array([1024, 8192]), numpy.array([256, 1]))
array([ 18551238819840, 131944593489920], dtype=uint64)

Each row is exact. A null is a null in the result, never a zero; a row that cannot be counted is an error that names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._flopmeter import Device, Model, _flops_array, _utilization_array

__all__ = ["flops_array", "utilization_array"]


def flops_array(
    model: Model | str | Sequence[Model | str] | Any,
    prompt: Any,
    generate: Any,
    cached: Any = 0,
    *,
    codes: Any = None,
    convention: str = "model",
    dtype: str = "uint64",
) -> Any:
    """FLOPs of requests, one a row.

    ``prompt``, ``generate`` and ``cached`` are columns, or a number for all rows. ``model`` is a model or its name for
    all of them; several, which ``codes`` number from 0; or a column of Arrow's that names a model in each row, best
    dictionary-encoded. ``dtype`` is that of the result: ``"uint64"``, with an error where a count does not fit;
    ``"float64"``, rounded; ``"exact"``, decimals in Arrow and Python's integers in NumPy.

    The result is of the library that the columns are of.
    """
    given = (model, codes, prompt, generate, cached)
    models, codes = _models(model, codes)
    out = _flops_array(
        models, _plain(codes), _plain(prompt), _plain(generate), _plain(_or_zero(cached)), convention, dtype
    )
    return _as_given(out, given)


def utilization_array(
    model: Model | str | Sequence[Model | str] | Any,
    prompt: Any,
    generate: Any,
    seconds: Any,
    device: Device | str,
    *,
    cached: Any = 0,
    devices: int = 1,
    codes: Any = None,
    convention: str = "model",
) -> Any:
    """MFU of requests, one a row, each of which ran alone on some devices for ``seconds``; columns as in `flops_array`."""
    given = (model, codes, prompt, generate, cached, seconds)
    models, codes = _models(model, codes)
    lengths = (_plain(prompt), _plain(generate), _plain(_or_zero(cached)))
    prompt, generate, cached = lengths
    seconds, codes = _plain(seconds), _plain(codes)
    out = _utilization_array(
        models, codes, prompt, generate, cached, seconds, device, devices, convention
    )
    return _as_given(out, given)


def _or_zero(cached: Any) -> Any:
    return 0 if cached is None else cached


def _models(model: Any, codes: Any) -> tuple[list[Model], Any]:
    """The models, and the column that numbers them."""
    if isinstance(model, str):
        model = Model(model)
    if isinstance(model, Model):
        if codes is not None:
            raise TypeError("`codes`: number several models, and one is given")
        return [model], None
    if _is_arrow(model) or _library(model) in ("pandas", "numpy"):
        if codes is not None:
            raise TypeError("`codes`: are those of the column `model` itself")
        return _named(model)
    if codes is None:
        raise TypeError("`codes`: are missing; they say which of the models each row is of")
    return [Model(each) if isinstance(each, str) else each for each in model], codes


def _named(column: Any) -> tuple[list[Model], Any]:
    """Models by their names in a column."""
    try:
        import pyarrow
    except ImportError as error:
        hint = "`model`: a column of names is read with pyarrow; give a list of models and `codes`"
        raise ImportError(hint) from error
    names = _arrow(column, pyarrow)
    if not pyarrow.types.is_dictionary(names.type):
        names = names.dictionary_encode()
    values = names.dictionary.to_pylist()
    used = set(names.indices.unique().to_pylist()) - {None}
    # A dictionary may have names that no row has; nobody has to know them.
    known = {code: at for at, code in enumerate(sorted(used))}
    models = [Model(values[code]) for code in known]
    codes = names.indices
    if list(known) != list(range(len(known))):
        codes = pyarrow.array([None if code is None else known[code] for code in codes.to_pylist()])
    codes = codes.cast(pyarrow.uint64())
    # NumPy's are given back as NumPy's, which has no place for a null.
    return models, codes.to_numpy() if _library(column) == "numpy" and codes.null_count == 0 else codes


def _arrow(column: Any, pyarrow: Any) -> Any:
    """A column as one array of pyarrow's."""
    if _library(column) == "pandas":
        return pyarrow.Array.from_pandas(column)
    if _library(column) == "numpy":
        return pyarrow.array(column)
    array = pyarrow.chunked_array(column) if hasattr(column, "__arrow_c_stream__") else column
    array = pyarrow.array(array) if not hasattr(array, "combine_chunks") else array
    return array.combine_chunks() if isinstance(array, pyarrow.ChunkedArray) else array


def _is_arrow(value: Any) -> bool:
    return hasattr(value, "__arrow_c_array__") or hasattr(value, "__arrow_c_stream__")


def _library(value: Any) -> str:
    """The library that a column is of."""
    return type(value).__module__.partition(".")[0].lstrip("_")


def _plain(column: Any) -> Any:
    """A column that the native module reads."""
    if _library(column) == "pandas":
        # Nulls of pandas are in its own arrays; Arrow has a place for them.
        if getattr(column, "hasnans", False) or not hasattr(column.dtype, "char"):
            import pyarrow

            return pyarrow.Array.from_pandas(column)
        return column.to_numpy()
    if _library(column) == "polars" and str(getattr(column, "dtype", None)) == "Null":
        # Nulls alone, for which polars hands over a buffer that Arrow has no place for.
        return column.cast(int)
    if _library(column) == "duckdb":
        import pyarrow

        return pyarrow.table(column).column(0)
    if _library(column) == "numpy" and hasattr(column, "mask"):
        raise TypeError("a masked array: give an array of Arrow, which has a place for nulls")
    return column


def _as_given(out: Any, given: tuple[Any, ...]) -> Any:
    """A result in the library of the first column that is of one."""
    columns = [column for column in given if _library(column) in _MAKERS or _is_arrow(column)]
    if not columns:
        return out
    first = columns[0]
    maker = _MAKERS.get(_library(first))
    return out if maker is None else maker(out, first)


def _pyarrow(out: Any, first: Any) -> Any:
    import pyarrow

    array = pyarrow.array(out)
    return pyarrow.chunked_array([array]) if isinstance(first, pyarrow.ChunkedArray) else array


def _polars(out: Any, first: Any) -> Any:
    import polars

    return polars.Series("flops" if first.name is None else first.name, out)


def _pandas(out: Any, first: Any) -> Any:
    import pandas

    if _is_arrow(out):
        import pyarrow

        return pyarrow.array(out).to_pandas(types_mapper=pandas.ArrowDtype).set_axis(first.index)
    return pandas.Series(out, index=first.index, name=first.name)


def _duckdb(out: Any, first: Any) -> Any:
    import duckdb
    import pyarrow

    return duckdb.from_arrow(pyarrow.table({"flops": pyarrow.array(out)}))


_MAKERS = {"pyarrow": _pyarrow, "polars": _polars, "pandas": _pandas, "duckdb": _duckdb}
