"""The meter of a training loop: what it counts is derived by hand, and the clock is the test's."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import flopmeter
from flopmeter import Device, MfuMeter, Model, errors

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 100,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
H100 = "NVIDIA H100 80GB HBM3"
PEAK = 989.5e12


def by_hand(batch: int, sequence: int) -> int:
    """Model FLOPs of a step: queries and outputs are 64 × 64, keys and values 64 × 32, of the feed-forward layer three
    are 64 × 96, the head is 64 × 100. A pair of positions costs 64 multiply-adds for its score and as many for its value.
    Backward is twice forward."""
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96
    linear = 2 * batch * sequence * (2 * layer + 64 * 100)
    pairs = batch * sequence * (sequence + 1) // 2
    return 3 * (linear + 2 * 2 * 2 * 64 * pairs)


class Clock:
    """Says what it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def step(self, seconds: float, end: Callable[[], Any]) -> Any:
        self.now += seconds
        return end()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def llama() -> Model:
    return Model.from_config(LLAMA)


def metered(llama: Model, clock: Clock, **settings: Any) -> MfuMeter:
    return MfuMeter(llama, H100, clock=clock, **{"batch": 4, "sequence": 32, "window": 2, "skip": 0, **settings})


def test_a_window_is_its_steps_over_their_time(llama: Model, clock: Clock) -> None:
    with metered(llama, clock) as meter:
        assert clock.step(1.0, meter.step) is None
        reading = clock.step(3.0, meter.step)
    assert reading.flops == 2 * by_hand(4, 32) == 2 * 55_345_152
    assert reading.mfu == reading.hfu == pytest.approx(2 * 55_345_152 / (4.0 * PEAK), rel=1e-15)
    assert (reading.steps, reading.tokens, reading.seconds) == (2, 256, 4.0)
    assert reading.tokens_per_second == 64.0
    assert meter.mfu == reading.mfu and meter.tokens_per_second == 64.0
    assert reading.to_dict()["tokens"] == 256


def test_before_there_is_a_window_nothing_is_said_and_never_zero(llama: Model, clock: Clock) -> None:
    meter = metered(llama, clock)
    assert meter.mfu is None and meter.tokens_per_second is None
    assert meter.windowed is None and meter.running is None
    with meter:
        clock.step(1.0, meter.step)
        assert meter.windowed is None
        assert meter.running is not None and meter.running.steps == 1


def test_the_first_steps_are_left_out(llama: Model, clock: Clock) -> None:
    with metered(llama, clock, skip=2, window=1) as meter:
        clock.step(60.0, meter.step)
        clock.step(30.0, meter.step)
        assert meter.running is None
        clock.step(1.0, meter.step)
    assert meter.running is not None
    assert (meter.running.steps, meter.running.seconds) == (1, 1.0)


def test_the_window_moves_and_running_goes_on(llama: Model, clock: Clock) -> None:
    with metered(llama, clock) as meter:
        for seconds in (1.0, 2.0, 3.0, 4.0):
            clock.step(seconds, meter.step)
    assert meter.windowed is not None and meter.running is not None
    assert (meter.windowed.seconds, meter.running.seconds) == (7.0, 10.0)


def test_each_step_is_counted_by_its_own_shape(llama: Model, clock: Clock) -> None:
    with metered(llama, clock, window=5) as meter:
        clock.step(1.0, meter.step)
        clock.step(1.0, lambda: meter.step(batch=2, sequence=64))
        clock.step(1.0, lambda: meter.step(tokens=8 * 32))
        clock.step(1.0, lambda: meter.step(shapes=[(1, 7), (3, 9)]))
        reading = clock.step(1.0, lambda: meter.step(packed=[20, 12]))
    shapes = [(4, 32), (2, 64), (8, 32), (1, 7), (3, 9)]
    # Four rows of two documents cost what documents cost, and no token of one sees the other.
    documents = by_hand(4, 20) + by_hand(4, 12)
    assert reading.flops == sum(by_hand(*shape) for shape in shapes) + documents
    assert reading.tokens == 128 + 128 + 256 + 7 + 27 + 128
    assert reading.steps == 5


def test_what_is_computed_again_is_hfu_alone(llama: Model, clock: Clock) -> None:
    with metered(llama, clock, window=1, recompute="full") as meter:
        reading = clock.step(1.0, meter.step)
    # Both layers run forward once more, the head does not.
    again = by_hand(4, 32) // 3 - 2 * 4 * 32 * 64 * 100
    assert reading.flops == by_hand(4, 32)
    assert reading.hfu == pytest.approx((by_hand(4, 32) + again) / PEAK, rel=1e-15)


def test_many_devices_share_the_work(llama: Model, clock: Clock) -> None:
    with metered(llama, clock, window=1, devices=8) as meter:
        reading = clock.step(0.5, meter.step)
    assert reading.mfu == pytest.approx(by_hand(4, 32) / (0.5 * 8 * PEAK), rel=1e-15)
    assert (reading.tokens_per_second, reading.tokens_per_second_per_device) == (256.0, 32.0)


def test_flops_per_token_of_ones_own(clock: Clock) -> None:
    with MfuMeter(None, H100, flops_per_token=10**9, window=1, skip=0, clock=clock) as meter:
        reading = clock.step(2.0, lambda: meter.step(tokens=1000))
    assert reading.mfu == pytest.approx(1e12 / (2.0 * PEAK), rel=1e-15)
    assert reading.hfu is None and reading.flops == 10**12


def test_the_peak_is_that_of_the_products(clock: Clock) -> None:
    floats = Model.from_config({**LLAMA, "torch_dtype": "float32"})
    with metered(floats, clock, window=1) as meter:
        reading = clock.step(1.0, meter.step)
    assert reading.mfu == pytest.approx(by_hand(4, 32) / Device(H100).peak("fp32"), rel=1e-15)
    with metered(floats, clock, window=1, dtype="torch.bfloat16") as meter:
        reading = clock.step(1.0, meter.step)
    assert reading.mfu == pytest.approx(by_hand(4, 32) / PEAK, rel=1e-15)


def test_a_pause_is_no_part_of_a_step(llama: Model, clock: Clock) -> None:
    with metered(llama, clock) as meter:
        clock.step(1.0, meter.step)
        clock.now += 0.25
        with meter.paused():
            clock.now += 600.0
        reading = clock.step(0.75, meter.step)
    assert reading.seconds == 2.0


def test_a_step_inside_a_pause_makes_the_next_one_unknown(llama: Model, clock: Clock) -> None:
    with metered(llama, clock, window=1) as meter:
        with meter.paused():
            clock.step(60.0, meter.step)
            clock.now += 60.0
        # From the end of that step to now are 61 seconds, of which nobody knows how many it took.
        clock.step(1.0, meter.step)
        assert meter.running is not None and meter.running.steps == 1
        assert clock.step(2.0, meter.step).seconds == 2.0


def test_a_restart_forgets_the_window_and_never_spans_the_gap(llama: Model, clock: Clock) -> None:
    meter = metered(llama, clock, window=2, skip=1)
    with meter:
        for _ in range(4):
            clock.step(1.0, meter.step)
        assert meter.windowed is not None
    clock.now += 3600.0
    with meter:
        assert meter.windowed is None
        for _ in range(2):
            clock.step(1.0, meter.step)
        assert meter.windowed is None
        assert clock.step(1.0, meter.step).seconds == 2.0
    assert meter.running is not None
    assert (meter.running.steps, meter.running.seconds) == (3 + 2, 5.0)


def test_an_interruption_costs_the_step_under_way(llama: Model, clock: Clock) -> None:
    with metered(llama, clock) as meter:
        clock.step(1.0, meter.step)
        meter.interrupted()
        clock.step(600.0, meter.step)
        assert clock.step(1.0, meter.step).seconds == 2.0


def test_a_clock_that_goes_back_is_not_believed(llama: Model, clock: Clock) -> None:
    with metered(llama, clock, window=1) as meter:
        clock.step(-5.0, meter.step)
        assert meter.running is None
        assert clock.step(1.0, meter.step).seconds == 1.0


def test_a_clock_that_stands_still_gives_no_ratio(llama: Model, clock: Clock) -> None:
    with metered(llama, clock, window=1) as meter:
        assert clock.step(0.0, meter.step) is None
        assert meter.running is None


def test_without_a_start_the_first_call_is_one(llama: Model, clock: Clock) -> None:
    meter = metered(llama, clock, window=1)
    assert clock.step(5.0, meter.step) is None
    assert clock.step(1.0, meter.step).seconds == 1.0


def test_threads_lose_no_step(llama: Model) -> None:
    ticks = itertools.count()
    meter = MfuMeter(llama, H100, batch=1, sequence=8, window=1, skip=0, clock=lambda: float(next(ticks)))
    with meter:
        threads = [threading.Thread(target=lambda: [meter.step() for _ in range(250)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert meter.running is not None
    # Each step takes one tick.
    assert (meter.running.steps, meter.running.seconds) == (2000, 2000.0)
    assert meter.running.flops == 2000 * by_hand(1, 8)


def test_a_model_may_be_a_name_or_whatever_has_a_configuration(clock: Clock) -> None:
    assert "Qwen/Qwen3-0.6B" in repr(MfuMeter("Qwen/Qwen3-0.6B", H100))
    module = SimpleNamespace(config=SimpleNamespace(to_dict=lambda: LLAMA))
    with MfuMeter(module, H100, sequence=32, window=1, skip=0, clock=clock) as meter:
        assert clock.step(1.0, lambda: meter.step(batch=4)).flops == by_hand(4, 32)


def test_tokens_that_are_no_whole_rows_are_an_error(llama: Model, clock: Clock) -> None:
    with pytest.raises(errors.WorkloadError) as caught:
        metered(llama, clock).step(tokens=33)
    assert caught.value.place == "tokens"
    assert caught.value.fact == "is 33, which is no whole number of rows of 32 tokens"
    assert caught.value.hints == ("give `batch` and `sequence`, or `packed`",)


@pytest.mark.parametrize(
    ("kind", "text", "call"),
    [
        (TypeError, "either `model` or", lambda: MfuMeter(None, H100)),
        (TypeError, "either `model` or", lambda: MfuMeter("qwen3:0.6b", H100, flops_per_token=1)),
        (TypeError, "`sequence`: is a setting", lambda: MfuMeter(None, H100, flops_per_token=1, sequence=8)),
        (errors.WorkloadError, "window: is 0", lambda: MfuMeter(None, H100, flops_per_token=1, window=0)),
        (errors.WorkloadError, "skip: is -1", lambda: MfuMeter(None, H100, flops_per_token=1, skip=-1)),
        (errors.DeviceError, "H1000", lambda: MfuMeter(None, "NVIDIA H1000", flops_per_token=1)),
        (errors.DtypeError, "b16", lambda: MfuMeter(None, H100, flops_per_token=1, dtype="b16")),
        (errors.PeakError, "fp4", lambda: MfuMeter(None, H100, flops_per_token=1, dtype="fp4")),
        (errors.MeasurementError, "devices", lambda: MfuMeter(None, H100, flops_per_token=1, devices=0)),
        (TypeError, "`tokens`", lambda: MfuMeter(None, H100, flops_per_token=1).step()),
        (errors.ConventionError, "palms", lambda: MfuMeter(Model.from_config(LLAMA), H100, convention="palms")),
        (TypeError, "`sequence`: is not known", lambda: MfuMeter(Model.from_config(LLAMA), H100).step(tokens=8)),
        (TypeError, "`sequence`: is not known", lambda: MfuMeter(Model.from_config(LLAMA), H100).step(batch=8)),
        (TypeError, "float", lambda: MfuMeter(Model.from_config(LLAMA), H100).step(batch=8.0, sequence=8)),  # type: ignore
        (TypeError, "`tokens`: is of type float", lambda: MfuMeter(None, H100, flops_per_token=1).step(tokens=8.0)),  # type: ignore
        (TypeError, "together", lambda: MfuMeter(Model.from_config(LLAMA), H100).step(tokens=8, batch=1)),
        (TypeError, "together", lambda: MfuMeter(Model.from_config(LLAMA), H100).step(packed=[8], sequence=8)),
        (errors.WorkloadError, "0", lambda: MfuMeter(Model.from_config(LLAMA), H100).step(batch=0, sequence=8)),
        (errors.WorkloadError, "tokens", lambda: MfuMeter(Model.from_config(LLAMA), H100, sequence=8).step(tokens=-8)),
    ],
)
def test_bad_input_is_refused(kind: type[Exception], text: str, call: Callable[[], Any]) -> None:
    with pytest.raises(kind, match=text):
        call()


def tiny(torch: Any, **settings: Any) -> Any:
    """The same model as a module of transformers."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: its Trainer is not tried")
    config = transformers.AutoConfig.for_model(**{**LLAMA, "torch_dtype": None}, **settings)
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)


TERA = 10**12


class TestTrainer:
    """The callback in a Trainer of transformers."""

    @pytest.fixture
    def torch(self) -> Any:
        pytest.importorskip("accelerate", reason="accelerate is not installed: the Trainer of transformers is not tried")
        return pytest.importorskip("torch", reason="PyTorch is not installed: the Trainer of transformers is not tried")

    def trained(self, torch: Any, path: Any, rows: list[int], callback: Any, attach: bool = True, **settings: Any) -> Any:
        import transformers

        arguments: dict[str, Any] = {"per_device_train_batch_size": 2, "max_steps": 4, "logging_steps": 1, "use_cpu": True}
        arguments = {**arguments, "output_dir": str(path), "report_to": [], "disable_tqdm": True, "save_strategy": "no", **settings}
        data = [{"input_ids": torch.arange(row) % 100, "labels": torch.arange(row) % 100} for row in rows]
        collate = lambda items: {key: torch.stack([item[key] for item in items]) for key in items[0]}
        trainer = transformers.Trainer(
            model=tiny(torch),
            args=transformers.TrainingArguments(**arguments),
            train_dataset=data,
            eval_dataset=data[:2],
            data_collator=collate,
            callbacks=None if attach else [callback],
        )
        # In the order given, so that it is known which rows a step has.
        trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(data)
        if attach:
            callback.attach(trainer)
        trainer.train()
        return trainer

    def callback(self, **settings: Any) -> Any:
        from flopmeter.integrations.huggingface import MfuCallback

        ticks = itertools.count()
        device = Device.custom({"fp32": 1e12})
        return MfuCallback(device, clock=lambda: float(next(ticks)), **{"skip": 0, "window": 1, **settings})

    def test_shapes_are_those_that_the_module_was_called_with(self, torch: Any, tmp_path: Any) -> None:
        callback = self.callback()
        trainer = self.trained(torch, tmp_path, [8, 8, 16, 16, 24, 24, 32, 32], callback)
        logged = [entry["mfu"] for entry in trainer.state.log_history if "mfu" in entry]
        assert logged == pytest.approx([by_hand(2, length) / TERA for length in (8, 16, 24, 32)], rel=1e-12)
        rates = [entry["tokens_per_second"] for entry in trainer.state.log_history if "mfu" in entry]
        assert rates == [16.0, 32.0, 48.0, 64.0]
        assert callback.meter.running.flops == sum(by_hand(2, length) for length in (8, 16, 24, 32))
        summary = trainer.state.log_history[-1]
        assert summary["train_mfu"] == pytest.approx(callback.meter.running.mfu)
        assert not trainer.model._forward_pre_hooks

    def test_micro_batches_are_one_step(self, torch: Any, tmp_path: Any) -> None:
        callback = self.callback()
        rows = [8, 8, 16, 16, 24, 24, 32, 32]
        self.trained(torch, tmp_path, rows, callback, max_steps=2, gradient_accumulation_steps=2)
        reading = callback.meter.windowed
        assert (reading.steps, reading.flops) == (1, by_hand(2, 24) + by_hand(2, 32))

    def test_rows_that_are_given_are_those_of_all_processes(self, torch: Any, tmp_path: Any) -> None:
        callback = self.callback(sequence=16)
        self.trained(torch, tmp_path, [16] * 16, callback, max_steps=2, gradient_accumulation_steps=2)
        assert callback.meter.windowed.flops == by_hand(2 * 2, 16)

    def test_checkpointed_layers_are_hfu(self, torch: Any, tmp_path: Any) -> None:
        callback = self.callback()
        trainer = self.trained(torch, tmp_path, [16] * 8, callback, gradient_checkpointing=True)
        again = by_hand(2, 16) // 3 - 2 * 2 * 16 * 64 * 100
        logged = [entry["hfu"] for entry in trainer.state.log_history if "hfu" in entry]
        assert logged == pytest.approx([(by_hand(2, 16) + again) / TERA] * 4, rel=1e-12)

    def test_a_step_with_an_evaluation_is_not_counted(self, torch: Any, tmp_path: Any) -> None:
        callback = self.callback()
        self.trained(torch, tmp_path, [16] * 8, callback, eval_strategy="steps", eval_steps=2)
        # Evaluated after the second and the fourth step; the third has no beginning.
        assert (callback.meter.running.steps, callback.meter.running.flops) == (3, 3 * by_hand(2, 16))

    def test_every_other_callback_sees_it_once_it_is_attached(self, torch: Any, tmp_path: Any) -> None:
        callback = self.callback()
        seen: list[dict[str, float]] = []
        import transformers

        class Reporter(transformers.TrainerCallback):  # type: ignore[misc, unused-ignore]
            def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
                seen.append(dict(logs))

        reporter = Reporter()
        attach = callback.attach
        callback.attach = lambda trainer: (trainer.add_callback(reporter), attach(trainer))
        self.trained(torch, tmp_path, [16] * 8, callback)
        assert all("mfu" in logs for logs in seen if "loss" in logs) and len(seen) == 5

    def test_frozen_parameters_are_refused(self, torch: Any, tmp_path: Any) -> None:
        callback = self.callback()
        module = tiny(torch)
        module.model.layers[0].requires_grad_(False)
        arguments = SimpleNamespace(world_size=1, n_gpu=0, bf16=False, fp16=False)
        with pytest.raises(errors.WorkloadError, match="9 parameters, such as `model.layers.0") as caught:
            callback.on_train_begin(arguments, None, None, model=module)
        assert len(caught.value.hints) == 2
        # Said how many, it is counted.
        self.callback(freeze=1).on_train_begin(arguments, None, None, model=module)

    def test_rows_that_processes_share_have_to_be_given(self, torch: Any) -> None:
        plan = SimpleNamespace(tp_size=2, cp_size=4, sp_size=1)
        arguments = SimpleNamespace(
            world_size=16, n_gpu=1, bf16=True, fp16=False, parallelism_config=plan,
            train_batch_size=2, gradient_accumulation_steps=3,
        )  # fmt: skip
        from flopmeter.integrations.huggingface import MfuCallback

        with pytest.raises(errors.ParallelismError, match="sequence"):
            MfuCallback(H100).on_train_begin(arguments, None, None, model=tiny(torch))
        ticks = itertools.count()
        callback = MfuCallback(H100, sequence=16, skip=0, window=1, clock=lambda: float(next(ticks)))
        callback.on_train_begin(arguments, None, None, model=tiny(torch))
        callback.on_step_end(arguments, SimpleNamespace(train_batch_size=None), None)
        assert callback.meter is not None and callback.meter.windowed is not None
        # Sixteen processes are two replicas of eight: 2 rows, 3 times, twice.
        assert callback.meter.windowed.flops == by_hand(2 * 3 * 2, 16)
        assert callback.meter.windowed.mfu == pytest.approx(by_hand(12, 16) / (16 * PEAK), rel=1e-12)


class TestLightning:
    """The callback in a Trainer of Lightning."""

    @pytest.fixture
    def torch(self) -> Any:
        pytest.importorskip("lightning", reason="Lightning is not installed: its Trainer is not tried")
        return pytest.importorskip("torch", reason="PyTorch is not installed: the Trainer of Lightning is not tried")

    def fitted(self, torch: Any, path: Any, callback: Any, **settings: Any) -> Any:
        import lightning

        class Module(lightning.LightningModule):  # type: ignore[misc, unused-ignore]
            def __init__(self) -> None:
                super().__init__()
                self.model = tiny(torch)

            def training_step(self, batch: Any, index: int) -> Any:
                return self.model(input_ids=batch["input_ids"], labels=batch["input_ids"]).loss

            def validation_step(self, batch: Any, index: int) -> None: ...

            def configure_optimizers(self) -> Any:
                return torch.optim.SGD(self.parameters(), lr=0.1)

        data = [{"input_ids": torch.arange(16) % 100} for _ in range(8)]
        loader = torch.utils.data.DataLoader(data, batch_size=2)
        quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False, "logger": False}
        trainer = lightning.Trainer(
            accelerator="cpu", max_epochs=1, default_root_dir=path, callbacks=[callback], **{**quiet, **settings}
        )
        trainer.fit(Module(), loader, loader if "val_check_interval" in settings else None)
        return trainer

    def callback(self, model: Any = None, **settings: Any) -> Any:
        from flopmeter.integrations.lightning import MfuCallback

        ticks = itertools.count()
        clock = lambda: float(next(ticks))
        return MfuCallback(model, Device.custom({"fp32": 1e12}), clock=clock, skip=0, window=2, **settings)

    def test_batches_are_counted_by_their_shape(self, torch: Any, tmp_path: Any) -> None:
        callback = self.callback()
        trainer = self.fitted(torch, tmp_path, callback)
        assert (callback.meter.running.steps, callback.meter.running.flops) == (4, 4 * by_hand(2, 16))
        assert float(trainer.callback_metrics["mfu"]) == pytest.approx(by_hand(2, 16) / TERA, rel=1e-6)
        assert float(trainer.callback_metrics["tokens_per_second"]) == 32.0

    def test_a_batch_after_a_validation_is_not_counted(self, torch: Any, tmp_path: Any) -> None:
        callback = self.callback()
        self.fitted(torch, tmp_path, callback, val_check_interval=2, num_sanity_val_steps=0)
        assert callback.meter.running.steps == 3

    def test_a_shape_of_ones_own(self, torch: Any, tmp_path: Any) -> None:
        callback = self.callback(Model.from_config({**LLAMA, "torch_dtype": "float32"}), shape=lambda batch: (2, 8))
        self.fitted(torch, tmp_path, callback)
        assert callback.meter.running.flops == 4 * by_hand(2, 8)

    def test_a_precision_that_does_not_tell_is_refused(self, torch: Any) -> None:
        trainer = SimpleNamespace(precision="transformer-engine", world_size=1, strategy=None)
        with pytest.raises(errors.DtypeError, match="transformer-engine"):
            self.callback().on_train_start(trainer, SimpleNamespace(named_parameters=lambda: []))

    def test_a_batch_without_tokens_is_a_type_error(self, torch: Any) -> None:
        from flopmeter.integrations.lightning import _shape_of

        with pytest.raises(TypeError, match="a list without `input_ids`"):
            _shape_of([1, 2])
