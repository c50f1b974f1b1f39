"""How long a function takes, what its time goes to, and how fast the machine is at most."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

__all__ = ["PRODUCTS", "group_of", "kernel_table", "peak", "seconds"]

# The operations of torch in each group, without their namespaces and the underscores around their names. Those of
# deep/networks/fused_convolution.py take gradients back to the images, too: some of the way back counts as forward.
GROUPS = {"convolution, forward": ("mkldnn_convolution", "cudnn_convolution", "convolution_overrideable",
                                   "slow_conv2d_forward", "convolution_pointwise"),
          "convolution, backward": ("convolution_backward", "slow_conv2d_backward"),
          "matrix products": ("mm", "addmm", "bmm"),
          "batch norm": ("native_batch_norm", "native_batch_norm_backward", "cudnn_batch_norm",
                         "cudnn_batch_norm_backward"),
          "ReLU": ("relu", "clamp_min", "threshold_backward"), "sums and products": ("add", "sub", "mul", "div"),
          "copies and casts": ("copy", "index", "fill", "cat", "reorder_convolution_weight")}

PRODUCTS = ("convolution, forward", "convolution, backward", "matrix products")


def synchronise(device: torch.device) -> None:
    """Wait for what a GPU was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(function: Callable[[], Any], device: torch.device, repeats: int = 1) -> float:
    """Return the seconds of each of `repeats` calls in a row, on average; raise ValueError if the clock stood still."""
    synchronise(device)
    begin = time.perf_counter()
    for _ in range(repeats):
        function()
    synchronise(device)
    passed = time.perf_counter() - begin
    if passed <= 0:
        raise ValueError("the clock stood still during a measurement, so there is no speed: mend this machine's clock.")
    return passed / repeats


def peak(dtype: torch.dtype, device: torch.device, tries: int = 4) -> float:
    """Return the operations a second of one large matrix product, the best of `tries`: the machine's ceiling."""
    n = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    a @ b
    return 2 * n**3 / min(seconds(lambda: a @ b, device) for _ in range(tries))


def group_of(operation: str) -> str:
    """Return the group of an operation, by the name that torch's profiler gives it.

    >>> group_of("aten::mm"), group_of("mkldnn::_convolution_pointwise"), group_of("aten::_convolution")
    ('matrix products', 'convolution, forward', 'other')
    """
    name = operation.rpartition("::")[2].strip("_")
    return next((group for group, names in GROUPS.items() if name in names), "other")


def kernel_table(function: Callable[[], Any], device: torch.device) -> list[tuple[str, float, float]]:
    """Return rows (group, seconds, share) of the time of one call in each group of kernels, the largest first."""
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with profile(activities=kinds) as record:
        seconds(function, device)
    table = dict.fromkeys(GROUPS, 0.0) | {"other": 0.0}
    for event in record.key_averages():
        if event.device_type == DeviceType.CPU:  # an operation, that of its kernels on a GPU included
            spent = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
            table[group_of(event.key)] += spent / 1e6
    total = sum(table.values())
    return [(name, value, value / total) for name, value in sorted(table.items(), key=lambda row: -row[1])]
