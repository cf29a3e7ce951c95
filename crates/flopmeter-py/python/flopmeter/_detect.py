"""The device that this process would run on.

Whoever is loaded is asked first, as it knows which of several devices the process takes; then the drivers' libraries, which
answer in milliseconds; and what is installed but not loaded, which takes seconds to import, last of all. What is found is a
name, and what tells apart the devices that share it. Nothing found is an error, never a default.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from . import errors
from ._flopmeter import Device
from .errors import refusal

__all__ = ["detect"]


@dataclass(frozen=True)
class Found:
    """What a library says of a device."""

    name: str
    memory_bytes: int | None = None
    cores: int | None = None


def detect() -> Device:
    """The first device that any way of asking tells of."""
    for way in WAYS:
        if (found := way()) is not None:
            return _device(found)
    fact = "neither PyTorch nor JAX, nor a driver's library, tells of one"
    raise refusal(errors.DeviceError, "device", fact, 'name it: `Device("NVIDIA H100 80GB HBM3")`')


def _device(found: Found) -> Device:
    """The device of that name; of several, the one that has as much memory or as many cores."""
    try:
        return Device(found.name)
    except errors.AmbiguousError as error:
        ids = [candidate.split()[0] for candidate in error.candidates]
        fitting = [device for device in map(Device, ids) if _fits(device, found)]
        if len(fitting) != 1:
            raise
        return fitting[0]


def _fits(device: Device, found: Found) -> bool:
    if found.cores is not None:
        return device.id.endswith(f"-{found.cores}core")
    if found.memory_bytes is None or device.memory_bytes is None:
        return False
    # A driver keeps a little for itself, and a data sheet's gigabytes may be either.
    return 0.93 < found.memory_bytes / device.memory_bytes < 1.08


def _torch(torch: Any) -> Found | None:
    """CUDA and ROCm alike, then XPU."""
    for backend in ("cuda", "xpu"):
        kind = getattr(torch, backend, None)
        # A process forked from one that uses a device cannot use it, and so not ask for it.
        with suppress(RuntimeError):
            if kind is not None and kind.is_available():
                index = kind.current_device()
                return Found(kind.get_device_name(index), kind.get_device_properties(index).total_memory)
    return None


def _jax(jax: Any) -> Found | None:
    with suppress(RuntimeError):
        device = jax.local_devices()[0]
        return None if device.platform == "cpu" else Found(device.device_kind)
    return None


def _loaded_torch() -> Found | None:
    return _torch(sys.modules["torch"]) if _is_loaded("torch", "cuda") else None


def _loaded_jax() -> Found | None:
    return _jax(sys.modules["jax"]) if _is_loaded("jax", "local_devices") else None


def _installed_torch() -> Found | None:
    return None if find_spec("torch") is None else _torch(import_module("torch"))


def _installed_jax() -> Found | None:
    return None if find_spec("jax") is None else _jax(import_module("jax"))


def _is_loaded(name: str, attribute: str) -> bool:
    """Whether it is loaded, and not just about to be."""
    return hasattr(sys.modules.get(name), attribute)


def _nvidia() -> Found | None:
    """NVML, which knows neither what a process of MIG sees nor, of cards that differ, in which order CUDA takes them."""
    library = load("libnvidia-ml.so.1" if os.name == "posix" else "nvml.dll")
    if library is None or library.nvmlInit_v2() != 0:
        return None
    try:
        count = ctypes.c_uint()
        if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return None
        cards = [_nvml_card(library, index) for index in range(count.value)]
    finally:
        library.nvmlShutdown()
    return _visible(cards, "CUDA_VISIBLE_DEVICES", ordered=os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID")


def _nvml_card(library: Any, index: int) -> Found | None:
    """A card; None if it does not answer, or is cut into instances, whose shares only CUDA tells."""
    handle, name = ctypes.c_void_p(), ctypes.create_string_buffer(96)
    mode, pending, memory = ctypes.c_uint(), ctypes.c_uint(), (ctypes.c_ulonglong * 3)()
    if library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) != 0:
        return None
    if library.nvmlDeviceGetName(handle, name, ctypes.c_uint(len(name))) != 0:
        return None
    # An error is a card without MIG.
    if library.nvmlDeviceGetMigMode(handle, ctypes.byref(mode), ctypes.byref(pending)) == 0 and mode.value != 0:
        return None
    known = library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0
    return Found(name.value.decode(errors="replace"), memory[0] if known else None)


def _amd() -> Found | None:
    """ROCm's system management library."""
    library = load("librocm_smi64.so.1") or load("librocm_smi64.so")
    if library is None or library.rsmi_init(ctypes.c_uint64(0)) != 0:
        return None
    try:
        count = ctypes.c_uint32()
        if library.rsmi_num_monitor_devices(ctypes.byref(count)) != 0:
            return None
        cards = [_rsmi_card(library, index) for index in range(count.value)]
    finally:
        library.rsmi_shut_down()
    return _visible(cards, "HIP_VISIBLE_DEVICES", ordered="ROCR_VISIBLE_DEVICES" not in os.environ)


def _rsmi_card(library: Any, index: int) -> Found | None:
    name, memory, at = ctypes.create_string_buffer(256), ctypes.c_uint64(), ctypes.c_uint32(index)
    if library.rsmi_dev_name_get(at, name, ctypes.c_size_t(len(name))) != 0:
        return None
    known = library.rsmi_dev_memory_total_get(at, ctypes.c_int(0), ctypes.byref(memory)) == 0
    return Found(name.value.decode(errors="replace"), memory.value if known else None)


def _visible(cards: list[Found | None], variable: str, ordered: bool) -> Found | None:
    """The card that a process takes first: any if they are alike, else the one that its environment numbers."""
    chosen = os.environ.get(variable)
    if chosen is not None and chosen.strip() in ("", "-1"):
        return None
    if cards and all(card == cards[0] for card in cards):
        return cards[0]
    first = (chosen or "0").split(",")[0].strip()
    if not ordered or not first.isdecimal() or int(first) >= len(cards):
        return None
    return cards[int(first)]


def _apple() -> Found | None:
    """The chip of a Mac, and how many cores its GPU has."""
    if sys.platform != "darwin":
        return None
    chip = output("sysctl", "-n", "machdep.cpu.brand_string")
    if not chip.startswith("Apple "):
        return None
    cores = re.search(r'"gpu-core-count"\s*=\s*(\d+)', output("ioreg", "-rd1", "-c", "AGXAccelerator"))
    return Found(chip, cores=int(cores[1]) if cores else None)


def load(name: str) -> Any:
    """A driver's library; None where there is none."""
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


def output(*command: str) -> str:
    """What a command of the system prints; nothing if it cannot run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


# Ways to find one, in the order in which they are tried.
WAYS: list[Callable[[], Found | None]] = [
    _loaded_torch,
    _loaded_jax,
    _nvidia,
    _amd,
    _apple,
    _installed_torch,
    _installed_jax,
]
