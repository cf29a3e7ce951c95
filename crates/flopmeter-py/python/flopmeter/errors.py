"""Why flopmeter gives no number: a class for each kind, all of them `flopmeter.Error`, which is a `ValueError`.

Each has ``place``, ``fact``, ``hints`` and ``candidates``, so that no program has to read the text.

>>> import flopmeter
>>> try:
...     flopmeter.Device("NVIDIA H100")
... except flopmeter.errors.AmbiguousError as error:
...     print(error.place, "|", error.fact)
`NVIDIA H100` | several devices have this name
"""

from __future__ import annotations

from ._flopmeter import (
    AccessError,
    AdapterError,
    AmbiguousError,
    ArchitectureError,
    ConfigError,
    ConfigSyntaxError,
    ConventionError,
    CountOverflowError,
    DeviceError,
    DtypeError,
    Error,
    MeasurementError,
    ModelError,
    NetworkError,
    ParallelismError,
    PeakError,
    PlaceError,
    QuantizationError,
    SpeculationError,
    TableError,
    WeightsError,
    WorkloadError,
)

__all__ = [
    "AccessError",
    "AdapterError",
    "AmbiguousError",
    "ArchitectureError",
    "ConfigError",
    "ConfigSyntaxError",
    "ConventionError",
    "CountOverflowError",
    "DeviceError",
    "DtypeError",
    "Error",
    "MeasurementError",
    "ModelError",
    "NetworkError",
    "ParallelismError",
    "PeakError",
    "PlaceError",
    "QuantizationError",
    "SpeculationError",
    "TableError",
    "WeightsError",
    "WorkloadError",
]


def refusal(kind: type[Error], place: str, fact: str, *hints: str) -> Error:
    """An error of the core's form, found on this side of it."""
    error = kind("; ".join([f"{place}: {fact}", *hints]))
    error.place, error.fact, error.hints, error.candidates = place, fact, tuple(hints), ()
    return error
