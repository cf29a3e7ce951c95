"""MFU in the logs of a Trainer of Hugging Face transformers.

::

    from flopmeter.integrations.huggingface import MfuCallback

    trainer = Trainer(model=model, args=args, train_dataset=dataset)
    MfuCallback().attach(trainer)
    trainer.train()  # {'loss': 2.31, ..., 'mfu': 0.41, 'tokens_per_second': 44430.0}
"""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback  # type: ignore[import-not-found, unused-ignore] # pyright: ignore

from .. import errors
from .._flopmeter import Device, Model
from .._meter import MfuMeter
from ..errors import refusal
from . import all_trained, dtype_of, recomputed

__all__ = ["MfuCallback"]


class MfuCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Logs ``mfu`` and ``tokens_per_second`` of the last ``window`` steps, ``hfu`` where layers are computed again.

    The device is the one that is found, the model that of the module's configuration, unless they are given; the dtype that
    of autocast, else of the weights. Layers that transformers checkpoints are counted as computed again; of those that
    somebody else does, ``recompute`` tells. Further settings are those of `MfuMeter`.

    Without ``sequence`` the shapes of the inputs are read as the module is called, padding included, and the other
    processes are taken to have as many rows as this one. With it each step is of
    ``per_device_train_batch_size`` × ``gradient_accumulation_steps`` × processes rows of so many tokens.

    A step during which the Trainer evaluates or saves is not counted. A module of which some is frozen is refused: give
    ``freeze``, the number of its lowest layers that are, or the ``model`` with its adapter.

    Given as one of the Trainer's ``callbacks``, it comes after those that report to trackers, which then do not see its
    values; `attach` puts it before them.
    """

    def __init__(
        self,
        device: Device | str | None = None,
        *,
        model: Model | str | None = None,
        sequence: int | None = None,
        dtype: str | None = None,
        **settings: Any,
    ) -> None:
        self.meter: MfuMeter | None = None
        self._device = device
        self._model = model
        self._sequence = sequence
        self._dtype = dtype
        self._settings = settings
        self._replicas = 1
        self._shapes: list[tuple[int, int]] = []
        self._hook: Any = None

    def attach(self, trainer: Any) -> MfuCallback:
        """Puts it before all other callbacks of a Trainer, so that each of them sees what it adds to the logs."""
        trainer.callback_handler.callbacks.insert(0, self)
        return self

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        settings = dict(self._settings)
        if self._model is None and "freeze" not in settings:
            all_trained(model)
        settings.setdefault("recompute", recomputed(model))
        autocast = "bf16" if args.bf16 else "fp16" if args.fp16 else None
        shards = _shards(args, model)
        self._replicas = args.world_size // (shards["tp_size"] * shards["cp_size"] * shards["sp_size"])
        self.meter = MfuMeter(
            self._model or model,
            self._device or Device.detect(),
            devices=args.world_size * max(1, args.n_gpu),
            sequence=self._sequence,
            dtype=self._dtype or dtype_of(model, autocast),
            **settings,
        )
        if self._sequence is None:
            if shards["cp_size"] * shards["sp_size"] > 1:
                fact = "is not seen by a process that has a part of each row"
                raise refusal(errors.ParallelismError, "sequence", fact, "give `sequence`")
            self._shapes.clear()
            self._hook = model.register_forward_pre_hook(self._called, with_kwargs=True)
        self.meter.restart()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.meter is None:
            return
        if self._sequence is not None:
            rows = (state.train_batch_size or args.train_batch_size) * args.gradient_accumulation_steps
            self.meter.step(batch=rows * self._replicas)
        elif self._shapes:
            self.meter.step(shapes=[(rows * self._replicas, length) for rows, length in self._shapes])
        else:
            # The module was called in a way that tells no shape.
            self.meter.interrupted()
        self._shapes.clear()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._interrupted()

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Any, **kwargs: Any) -> None:
        self._interrupted()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._interrupted()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if self.meter is None or not logs:
            return
        if "loss" in logs:
            values = _named(self.meter.windowed, "")
        elif "train_runtime" in logs:
            values = _named(self.meter.running, "train_")
        else:
            return
        logs.update(values)
        # What the Trainer keeps of it was copied before.
        if state.log_history and state.log_history[-1].get("step") == state.global_step:
            state.log_history[-1].update(values)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _interrupted(self) -> None:
        if self.meter is not None:
            self.meter.interrupted()

    def _called(self, module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Notes the shape of what a module in training is called with."""
        if not module.training:
            return
        given = named.get("input_ids", positional[0] if positional else None)
        given = named.get("inputs_embeds") if given is None else given
        shape: Any = getattr(given, "shape", ())
        if len(shape) >= 2:
            self._shapes.append((int(shape[0]), int(shape[1])))


def _shards(args: Any, model: Any) -> dict[str, int]:
    """Among how many processes a row is shared, and how."""
    plan = getattr(args, "parallelism_config", None)
    sizes = {name: getattr(plan, name, None) or 1 for name in ("tp_size", "cp_size", "sp_size")}
    return {**sizes, "tp_size": getattr(model, "_tp_size", None) or sizes["tp_size"]}


def _named(reading: Any, prefix: str) -> dict[str, float]:
    """What is logged of a reading; nothing of none."""
    if reading is None:
        return {}
    values = {"mfu": reading.mfu, "tokens_per_second": reading.tokens_per_second}
    if reading.hfu is not None and reading.hfu != reading.mfu:
        values["hfu"] = reading.hfu
    return {prefix + name: value for name, value in values.items()}
