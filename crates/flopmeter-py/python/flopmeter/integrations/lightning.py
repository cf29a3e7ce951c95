"""MFU in the logs of a Trainer of Lightning.

::

    from flopmeter.integrations.lightning import MfuCallback

    trainer = lightning.Trainer(callbacks=[MfuCallback("meta-llama/Llama-3.1-8B")])
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .. import errors
from .._flopmeter import Device, Model
from .._meter import MfuMeter
from ..errors import refusal
from . import all_trained, dtype_of, recomputed

if TYPE_CHECKING:
    Callback: Any = object
else:
    # One of them is installed, or both; the one that is in use is imported already.
    _NAMES = ("lightning.pytorch", "pytorch_lightning")
    _LOADED = [name for name in _NAMES if name in sys.modules]
    try:
        Callback = import_module(_LOADED[0] if _LOADED else _NAMES[0]).Callback
    except ModuleNotFoundError:
        Callback = import_module(_NAMES[1]).Callback

__all__ = ["MfuCallback"]

# What a precision of Lightning is called here: none is that of the weights.
_PRECISIONS = {"bf16": "bf16", "16": "fp16", "32": None, "64": "fp64"}


class MfuCallback(Callback):  # type: ignore[misc, unused-ignore]
    """Logs ``mfu`` and ``tokens_per_second`` of the last ``window`` batches, ``hfu`` where layers are computed again.

    ``model`` is a `Model`, its name, or a configuration or module of transformers; without it the one that the
    LightningModule has under ``model``. ``shape`` gives rows and tokens of a batch; without it they are those of its
    ``input_ids``, padding included. Other processes that load data are taken to have as many rows as this one.

    Each batch is a step of the meter, whether or not the optimizer steps after it: let ``window`` be a multiple of
    ``accumulate_grad_batches``. Further settings are those of `MfuMeter`.
    """

    def __init__(
        self,
        model: Model | str | Any | None = None,
        device: Device | str | None = None,
        *,
        shape: Callable[[Any], tuple[int, int]] | None = None,
        dtype: str | None = None,
        **settings: Any,
    ) -> None:
        self.meter: MfuMeter | None = None
        self._model = model
        self._device = device
        self._shape = shape or _shape_of
        self._dtype = dtype
        self._settings = settings
        self._replicas = 1

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if self._model is None and "freeze" not in self._settings:
            all_trained(pl_module)
        # Those that load different rows; the others share a row among them.
        sampler = getattr(trainer.strategy, "distributed_sampler_kwargs", None) or {}
        self._replicas = sampler.get("num_replicas") or trainer.world_size
        precision = str(trainer.precision).partition("-")[0]
        if self._dtype is None and precision not in _PRECISIONS:
            fact = f"is {trainer.precision}, of which it is not known which products run in what"
            raise refusal(errors.DtypeError, "precision", fact, "give `dtype`")
        self.meter = MfuMeter(
            self._model or pl_module.model,
            self._device or Device.detect(),
            devices=trainer.world_size,
            dtype=self._dtype or dtype_of(pl_module, _PRECISIONS[precision]),
            **{"recompute": recomputed(pl_module), **self._settings},
        )
        self.meter.restart()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.meter is None:
            return
        rows, length = self._shape(batch)
        reading = self.meter.step(batch=rows * self._replicas, sequence=length)
        if reading is None:
            return
        values = {"mfu": reading.mfu, "tokens_per_second": reading.tokens_per_second}
        if reading.hfu is not None and reading.hfu != reading.mfu:
            values["hfu"] = reading.hfu
        pl_module.log_dict(values, on_step=True, on_epoch=False, batch_size=rows)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._interrupted()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._interrupted()

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Any) -> None:
        self._interrupted()

    def _interrupted(self) -> None:
        if self.meter is not None:
            self.meter.interrupted()


def _shape_of(batch: Any) -> tuple[int, int]:
    """Rows and tokens of a batch that has them under the usual name."""
    try:
        rows, length = batch["input_ids"].shape
    except (TypeError, KeyError, IndexError, AttributeError, ValueError):
        raise TypeError(
            f"`batch`: a {type(batch).__name__} without `input_ids` of rows and tokens; give `shape`, which reads them"
        ) from None
    return int(rows), int(length)
