"""MFU of a loop while it runs.

>>> import flopmeter
>>> times = iter([0.0, 9.0, 10.0, 11.0, 12.0, 13.0])
>>> meter = flopmeter.MfuMeter(
...     flopmeter.Model("Qwen/Qwen3-0.6B"), "NVIDIA H100 80GB HBM3", sequence=2048, window=2, skip=1, clock=lambda: next(times)
... )
>>> with meter:
...     for _ in range(5):
...         reading = meter.step(batch=8)  # at the end of each step
>>> f"{reading.mfu:.1%} over {reading.steps} steps, {reading.tokens_per_second:,.0f} tokens/s"
'7.1% over 2 steps, 16,384 tokens/s'
>>> meter.running.steps
4
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from operator import index
from types import TracebackType
from typing import Any

from . import errors
from ._flopmeter import Device, Model
from ._flopmeter import mfu as ratio
from .errors import refusal

__all__ = ["MfuMeter", "Reading"]


@dataclass(frozen=True)
class Reading:
    """What some steps were. Ratios are fractions; ``hfu`` is None where only model FLOPs are known."""

    mfu: float
    hfu: float | None
    tokens_per_second: float
    tokens_per_second_per_device: float
    steps: int
    tokens: int
    flops: int
    seconds: float

    def to_dict(self) -> dict[str, int | float | None]:
        """The same as a dict."""
        return asdict(self)


@dataclass(frozen=True)
class _Counted:
    """A step, or several: model FLOPs, executed FLOPs, tokens, seconds, steps."""

    flops: int = 0
    executed: int | None = 0
    tokens: int = 0
    seconds: float = 0.0
    steps: int = 0

    def __add__(self, other: _Counted) -> _Counted:
        known = self.executed is not None and other.executed is not None
        return _Counted(
            self.flops + other.flops,
            (self.executed or 0) + (other.executed or 0) if known else None,
            self.tokens + other.tokens,
            self.seconds + other.seconds,
            self.steps + other.steps,
        )


# What tells the shape of a step.
_TOLD = [{"batch", "sequence"}, {"tokens", "sequence"}, {"batch", "packed"}, {"shapes"}]


class MfuMeter:
    """Running and windowed MFU of a training loop.

    ``model`` is a `Model`, the name of one, or a module or a configuration of transformers; ``device`` a `Device` or its
    name, ``devices`` how many of them work on a step. Tokens and rows are those of all of them together.

    What a step costs follows from its shape: from ``batch`` and ``sequence`` and whatever else `Model.train_step` takes
    (``settings``: ``recompute``, ``freeze``, ...), given here for all steps or to `step` for one. Rows of other lengths are
    counted by their own FLOPs. Without a model, ``flops_per_token`` is a number of your own.

    The first ``skip`` steps after a start are left out: they compile, warm up and fill caches. `windowed` covers the last
    ``window`` steps, `running` all that were counted. Both are None, never 0, before there is anything to say.

    The meter reads a clock and does not synchronise a device. A loop that launches work ahead is still measured right over
    a window, as it cannot run ahead forever; single steps of it cannot. Synchronise yourself before `paused` and `restart`
    where a step or two matter.

    ``dtype`` is that of the products, whose peak the FLOPs are held against: by default the model's.
    """

    def __init__(
        self,
        model: Model | str | Any | None,
        device: Device | str,
        *,
        devices: int = 1,
        batch: int | None = None,
        sequence: int | None = None,
        flops_per_token: int | None = None,
        window: int = 20,
        skip: int = 3,
        convention: str = "model",
        dtype: str | None = None,
        clock: Callable[[], float] = time.perf_counter,
        **settings: Any,
    ) -> None:
        if (model is None) == (flops_per_token is None):
            raise TypeError("give either `model` or `flops_per_token`")
        shape = {name: value for name, value in (("batch", batch), ("sequence", sequence)) if value is not None}
        if flops_per_token is not None and (settings or shape):
            name = next(iter({**shape, **settings}))
            raise TypeError(f"`{name}`: is a setting of a model's step, and `flops_per_token` has none")
        if window < 1:
            raise refusal(errors.WorkloadError, "window", f"is {window}, and at least 1 step is counted")
        self._model = None if model is None else model_of(model)
        self._device = Device(device) if isinstance(device, str) else device
        self._devices = devices
        self._shape = (batch, sequence)
        self._flops_per_token = None if flops_per_token is None else _whole("flops_per_token", flops_per_token)
        self._settings = {**settings, "convention": convention}
        self._skip = _whole("skip", skip)
        self._clock = clock
        self._lock = threading.Lock()
        self._count = lru_cache(maxsize=1024)(self._counted)
        # Whatever is wrong with the settings, the device or the dtype is said now, not in the middle of a run.
        if sequence is not None:
            self._count(1 if batch is None else batch, sequence, None)
        self._dtype = self._own_dtype() if dtype is None else dtype
        ratio(1, self._device, 1.0, devices=devices, dtype=self._dtype)
        self._window: deque[_Counted] = deque(maxlen=window)
        self._all = _Counted()
        self._left = skip
        self._last: float | None = None

    def __enter__(self) -> MfuMeter:
        """Starts, or starts again."""
        self.restart()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stops. What comes before the next start is not measured."""
        self.interrupted()

    def step(
        self,
        tokens: int | None = None,
        *,
        batch: int | None = None,
        sequence: int | None = None,
        packed: Sequence[int] | None = None,
        shapes: Iterable[tuple[int, int]] | None = None,
    ) -> Reading | None:
        """A step has ended. What `windowed` is now.

        Its shape: ``batch`` rows of ``sequence`` tokens, or so many ``tokens`` in rows of ``sequence``; ``batch`` rows of
        ``packed`` documents; or the ``shapes`` of its micro-batches, rows and tokens of each. What is not given is as in all
        steps. Without a start the first call is one, and its step is not counted.
        """
        counted = self._of(tokens, batch, sequence, packed, shapes)
        with self._lock:
            now, last = self._clock(), self._last
            self._last = now
            if last is None or now < last:
                # Nobody knows how long it took.
                return self._read_window()
            if self._left > 0:
                self._left -= 1
                return self._read_window()
            counted = replace(counted, seconds=now - last)
            self._window.append(counted)
            self._all += counted
            return self._read_window()

    def restart(self) -> None:
        """Steps begin now: forgets the window, and leaves the first steps out again. `running` goes on."""
        with self._lock:
            self._window.clear()
            self._left = self._skip
            self._last = self._clock()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves out the time that something else takes between two steps: an evaluation, a checkpoint.

        >>> import flopmeter
        >>> times = iter([0.0, 1.0, 1.5, 60.0, 60.5])
        >>> meter = flopmeter.MfuMeter(
        ...     None, "NVIDIA H100 80GB HBM3", flops_per_token=10**9, window=2, skip=0, clock=lambda: next(times)
        ... )
        >>> with meter:
        ...     first = meter.step(tokens=1000)
        ...     with meter.paused():
        ...         pass
        ...     second = meter.step(tokens=1000)
        >>> second.seconds
        2.0
        """
        with self._lock:
            before, last = self._clock(), self._last
        try:
            yield
        finally:
            with self._lock:
                gap = self._clock() - before
                # A step that ended meanwhile took part of it: how long the next one takes is not known.
                self._last = last + gap if last is not None and self._last == last and gap >= 0 else None

    def interrupted(self) -> None:
        """Something else takes time now: the step under way is not counted."""
        with self._lock:
            self._last = None

    @property
    def windowed(self) -> Reading | None:
        """The last ``window`` steps; None before there are so many."""
        with self._lock:
            return self._read_window()

    @property
    def running(self) -> Reading | None:
        """All steps that were counted, those before a restart too; None before there is one."""
        with self._lock:
            return self._read(self._all)

    @property
    def mfu(self) -> float | None:
        """MFU of the window, a fraction."""
        reading = self.windowed
        return None if reading is None else reading.mfu

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens a second of the window, of all devices."""
        reading = self.windowed
        return None if reading is None else reading.tokens_per_second

    def __repr__(self) -> str:
        subject = f"{self._flops_per_token} FLOPs a token" if self._model is None else self._model.id
        return f"<flopmeter.MfuMeter {subject} on {self._devices} × {self._device.id}: {self.running}>"

    def _read_window(self) -> Reading | None:
        if len(self._window) < (self._window.maxlen or 1):
            return None
        return self._read(sum(self._window, start=_Counted()))

    def _read(self, total: _Counted) -> Reading | None:
        if total.steps == 0 or total.seconds <= 0:
            return None
        of = partial(ratio, device=self._device, seconds=total.seconds, devices=self._devices, dtype=self._dtype)
        a_second = total.tokens / total.seconds
        return Reading(
            mfu=of(total.flops),
            hfu=None if total.executed is None else of(total.executed),
            tokens_per_second=a_second,
            tokens_per_second_per_device=a_second / self._devices,
            steps=total.steps,
            tokens=total.tokens,
            flops=total.flops,
            seconds=total.seconds,
        )

    def _of(
        self,
        tokens: int | None,
        batch: int | None,
        sequence: int | None,
        packed: Sequence[int] | None,
        shapes: Iterable[tuple[int, int]] | None,
    ) -> _Counted:
        """What a step of this shape costs."""
        given = {"tokens": tokens, "batch": batch, "sequence": sequence, "packed": packed, "shapes": shapes}
        names = {name for name, value in given.items() if value is not None}
        if all(not names <= allowed for allowed in _TOLD):
            raise TypeError(f"{', '.join(f'`{name}`' for name in sorted(names))}: do not tell a step together")
        if self._flops_per_token is not None:
            if tokens is None:
                raise TypeError("`tokens`: is what `flops_per_token` is counted for")
            tokens = _whole("tokens", tokens)
            return _Counted(self._flops_per_token * tokens, None, tokens, steps=1)
        if shapes is not None:
            parts = [self._count(_whole("batch", rows), _whole("sequence", length), None) for rows, length in shapes]
            return replace(sum(parts, start=_Counted()), steps=1)
        rows = self._shape[0] if batch is None else _whole("batch", batch)
        length = self._shape[1] if sequence is None else _whole("sequence", sequence)
        if packed is not None:
            return self._count(1 if rows is None else rows, None, tuple(packed))
        if length is None:
            raise TypeError("`sequence`: is not known, and what a token costs depends on how long its row is")
        if tokens is not None:
            rows, rest = divmod(_whole("tokens", tokens), max(length, 1))
            if rest or rows < 1:
                fact = f"is {tokens}, which is no whole number of rows of {length} tokens"
                raise refusal(errors.WorkloadError, "tokens", fact, "give `batch` and `sequence`, or `packed`")
        return self._count(1 if rows is None else rows, length, None)

    def _counted(self, batch: int, sequence: int | None, packed: tuple[int, ...] | None) -> _Counted:
        assert self._model is not None
        lengths = None if packed is None else list(packed)
        step = self._model.train_step(sequence, batch, packed=lengths, **self._settings)
        return _Counted(step.total, step.executed, step.tokens, steps=1)

    def _own_dtype(self) -> str:
        if self._model is None:
            return "bf16"
        step = self._model.train_step(1, convention=self._settings["convention"])
        told: str = step.utilization(self._device, 1.0, devices=self._devices).to_dict()["device"]["dtype"]
        return told


def model_of(model: Any) -> Model:
    """A model: by its name, of a configuration, or of a module that has one and is of a class that tells its head."""
    if isinstance(model, Model):
        return model
    if isinstance(model, str):
        return Model(model)
    if not hasattr(model, "config"):
        return Model.from_config(model)
    # FSDP puts a class of its own before a module's.
    return Model.from_config({**model.config.to_dict(), "architectures": [type(model).__name__.removeprefix("FSDP")]})


def _whole(place: str, value: int) -> int:
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"`{place}`: is of type {type(value).__name__}; give a whole number") from None
    if number < 0:
        raise refusal(errors.WorkloadError, place, f"is {number}, and at least 0 is counted")
    return number
