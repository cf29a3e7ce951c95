"""The device that is found, by libraries that are made up: none of them is needed to try this."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from flopmeter import Device, _detect, errors

GIB = 1 << 30
H100 = ("NVIDIA H100 80GB HBM3", 80 * GIB, False)
ENVIRONMENT = ["CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"]


@pytest.fixture(autouse=True)
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing is loaded, loadable or installed."""
    for name in ("torch", "jax"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_detect, "load", lambda name: None)
    monkeypatch.setattr(_detect, "find_spec", lambda name: None)
    monkeypatch.setattr(_detect, "output", lambda *command: "")


def backend(name: str, memory: int = 0, available: bool = True) -> Any:
    def asked(index: int) -> int:
        assert index == 1
        return index

    return SimpleNamespace(
        is_available=lambda: available,
        current_device=lambda: 1,
        get_device_name=lambda index: name if asked(index) else "",
        get_device_properties=lambda index: SimpleNamespace(total_memory=memory),
    )


class Nvml:
    """NVML with some cards: name, bytes, whether they are cut into instances."""

    def __init__(self, *cards: tuple[str, int, bool], starts: int = 0) -> None:
        self.cards, self.starts, self.calls = cards, starts, list[str]()

    def nvmlInit_v2(self) -> int:
        return self.starts

    def nvmlShutdown(self) -> int:
        self.calls.append("shutdown")
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self.cards)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        handle._obj.value = index.value + 1
        return 0

    def nvmlDeviceGetName(self, handle: Any, name: Any, length: Any) -> int:
        name.value = self.cards[handle.value - 1][0].encode()
        return 0

    def nvmlDeviceGetMigMode(self, handle: Any, mode: Any, pending: Any) -> int:
        mode._obj.value = int(self.cards[handle.value - 1][2])
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:
        memory._obj[0] = self.cards[handle.value - 1][1]
        return 0


class Rsmi:
    """ROCm's library with some cards."""

    def __init__(self, *cards: tuple[str, int]) -> None:
        self.cards = cards

    def rsmi_init(self, flags: Any) -> int:
        return 0

    def rsmi_shut_down(self) -> int:
        return 0

    def rsmi_num_monitor_devices(self, count: Any) -> int:
        count._obj.value = len(self.cards)
        return 0

    def rsmi_dev_name_get(self, index: Any, name: Any, length: Any) -> int:
        name.value = self.cards[index.value][0].encode()
        return 0

    def rsmi_dev_memory_total_get(self, index: Any, kind: Any, total: Any) -> int:
        total._obj.value = self.cards[index.value][1]
        return 0


def loads(monkeypatch: pytest.MonkeyPatch, **libraries: Any) -> None:
    """Libraries, by what their file's name contains."""
    found: Callable[[str], Any] = lambda name: next((it for part, it in libraries.items() if part in name), None)
    monkeypatch.setattr(_detect, "load", found)


def test_nothing_found_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(errors.DeviceError) as caught:
        Device.detect()
    assert caught.value.place == "device"
    assert caught.value.hints == ('name it: `Device("NVIDIA H100 80GB HBM3")`',)


def test_a_loaded_torch_is_asked_for_the_device_that_it_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=backend("AMD Instinct MI300X")))
    loads(monkeypatch, nvidia=Nvml(H100))
    assert Device.detect().id == "amd-instinct-mi300x-192gb"


def test_xpu_is_torch_too_and_memory_tells_a_package_from_a_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "Intel(R) Data Center GPU Max 1550"
    torch = SimpleNamespace(cuda=backend("", available=False), xpu=backend(name, 64 * GIB))
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert Device.detect().id == "intel-max-1550-stack-64gb"


def test_a_torch_without_a_device_leaves_it_to_the_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=backend("", available=False)))
    loads(monkeypatch, nvidia=Nvml(H100))
    assert Device.detect().id == "nvidia-h100-sxm-80gb"


def test_a_forked_process_cannot_ask_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise RuntimeError("Cannot re-initialize CUDA in forked subprocess")

    cuda = backend("")
    cuda.current_device = refused
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    loads(monkeypatch, nvidia=Nvml(H100))
    assert Device.detect().id == "nvidia-h100-sxm-80gb"


def test_a_loaded_jax_knows_its_kind_of_device(monkeypatch: pytest.MonkeyPatch) -> None:
    device = SimpleNamespace(platform="tpu", device_kind="TPU v5 lite")
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(local_devices=lambda: [device]))
    assert Device.detect().id == "google-tpu-v5e"


def test_a_jax_on_a_cpu_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    device = SimpleNamespace(platform="cpu", device_kind="cpu")
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(local_devices=lambda: [device]))
    with pytest.raises(errors.DeviceError):
        Device.detect()


def test_what_is_installed_is_imported_last(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []

    def imports(name: str) -> Any:
        imported.append(name)
        return SimpleNamespace(cuda=backend("NVIDIA A100-SXM4-80GB"))

    monkeypatch.setattr(_detect, "find_spec", lambda name: name)
    monkeypatch.setattr(_detect, "import_module", imports)
    nvml = Nvml(H100)
    loads(monkeypatch, nvidia=nvml)
    assert Device.detect().id == "nvidia-h100-sxm-80gb"
    assert imported == [] and nvml.calls == ["shutdown"]
    loads(monkeypatch)
    assert Device.detect().id == "nvidia-a100-sxm-80gb"
    assert imported == ["torch"]


def test_a_driver_that_does_not_start_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    loads(monkeypatch, nvidia=Nvml(H100, starts=9))
    with pytest.raises(errors.DeviceError):
        Device.detect()


@pytest.mark.parametrize(("memory", "found"), [(10 * GIB, "10gb"), (12 * GIB, "12gb")])
def test_memory_tells_cards_of_one_name_apart(monkeypatch: pytest.MonkeyPatch, memory: int, found: str) -> None:
    loads(monkeypatch, nvidia=Nvml(("NVIDIA GeForce RTX 3080", memory, False)))
    assert Device.detect().id == f"nvidia-geforce-rtx-3080-{found}"


def test_what_stays_ambiguous_is_an_error_with_its_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    # SXM and PCIe have as much.
    loads(monkeypatch, nvidia=Nvml(("NVIDIA H100", 80 * GIB, False)))
    with pytest.raises(errors.AmbiguousError) as caught:
        Device.detect()
    assert len(caught.value.candidates) > 1


def test_a_share_of_a_card_is_never_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    loads(monkeypatch, nvidia=Nvml((H100[0], H100[1], True)))
    with pytest.raises(errors.DeviceError):
        Device.detect()


A100 = ("NVIDIA A100-SXM4-80GB", 80 * GIB, False)


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"CUDA_VISIBLE_DEVICES": "1"}, None),
        ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, "nvidia-h100-sxm-80gb"),
        ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "1,0"}, "nvidia-a100-sxm-80gb"),
        ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "7"}, None),
        ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "GPU-8932f937"}, None),
        ({"CUDA_VISIBLE_DEVICES": ""}, None),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, None),
    ],
)
def test_of_cards_that_differ_the_environment_has_to_tell(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], found: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    loads(monkeypatch, nvidia=Nvml(H100, A100))
    if found is not None:
        assert Device.detect().id == found
        return
    with pytest.raises(errors.DeviceError):
        Device.detect()


def test_cards_that_are_alike_need_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8932f937")
    loads(monkeypatch, nvidia=Nvml(H100, H100))
    assert Device.detect().id == "nvidia-h100-sxm-80gb"


def test_rocm_is_asked_where_there_is_no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    loads(monkeypatch, rocm_smi=Rsmi(("AMD Radeon Graphics", 192 * GIB)))
    assert Device.detect().id == "amd-instinct-mi300x-192gb"


@pytest.mark.parametrize(("cores", "found"), [(30, "apple-m3-max-30core"), (40, "apple-m3-max-40core"), (31, None)])
def test_a_mac_is_told_by_its_chip_and_its_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, found: str | None
) -> None:
    said = {"sysctl": "Apple M3 Max", "ioreg": f'  |   "gpu-core-count" = {cores}\n'}
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(_detect, "output", lambda *command: said[command[0]])
    if found is not None:
        assert Device.detect().id == found
        return
    with pytest.raises(errors.AmbiguousError):
        Device.detect()


def test_a_library_that_is_not_there_is_none_and_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert _detect.load("libflopmeter-has-no-such-library.so.1") is None
    assert _detect.output("flopmeter-has-no-such-command") == ""
