"""Tables of published figures, as rows, files and frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from ._flopmeter import Audit, _audit_arrow, _audit_file, _audit_rows

__all__ = ["audit"]


def audit(table: str | PathLike[str] | Iterable[Mapping[str, Any]] | Any) -> Audit:
    """Recomputes a table of published figures by every convention, and says which one gives them, or that none does.

    ``table`` is the path of a CSV file, rows as dicts, or a frame or table of pandas, polars, pyarrow, DuckDB or whatever
    speaks Arrow's C interface. Its columns are those of the command's ``audit``: ``model``, or a shape by ``layers`` and
    ``hidden``; ``seq_len``; ``throughput`` and its ``unit``; ``devices``, ``device`` and ``dtype``, or ``peak``; the claimed
    ``tflops``, ``mfu`` or ``hfu``. None and NaN are what is not known.

    A figure is believed to the digits that it is printed with: give it as text where it ends in zeros.

    >>> import flopmeter
    >>> claimed = {"model": "llama2:7b", "seq_len": 4096, "devices": 1, "peak": 312e12}
    >>> flopmeter.audit([{**claimed, "throughput": 3100, "unit": "tokens/s", "mfu": "42.6 %"}])
    <flopmeter.Audit of 1 rows: 1 reproduce, 0 within rounding, 0 differ, 0 unknown>
    """
    if isinstance(table, (str, PathLike)):
        return _audit_file(table)
    if hasattr(table, "to_dicts"):
        # polars, one of whose types, that of nulls alone, not every reader of Arrow takes.
        table = table.to_dicts()
    elif hasattr(table, "columns") and hasattr(table, "to_dict"):
        # pandas, which speaks Arrow by pyarrow alone.
        table = table.to_dict("records")
    elif hasattr(table, "__arrow_c_stream__"):
        return _audit_arrow(table)
    elif not isinstance(table, Iterable):
        raise TypeError(f"`table`: is of type {type(table).__name__}; give a path, rows as dicts or a frame")
    rows = list(table)
    header: dict[str, None] = {}
    for row in rows:
        if not isinstance(row, Mapping):
            raise TypeError(f"`table`: has a row of type {type(row).__name__}; give a path, rows as dicts or a frame")
        header.update(dict.fromkeys(row))
    return _audit_rows([str(name) for name in header], [[_text(row.get(name)) for name in header] for row in rows])


def _text(value: Any) -> str:
    """A cell as it would be printed; one that is not known is empty."""
    if value is None or type(value).__name__ == "NAType" or value != value:
        return ""
    # A column of integers in which one is missing has become one of floats.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
