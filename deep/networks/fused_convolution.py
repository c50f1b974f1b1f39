"""A convolution, a sum and ReLU as one operation of oneDNN's, with packed weights; differentiated in x alone.

On a CPU the products of a narrow network take less than half of the time: passes over its maps take the rest.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deep.networks.convolution import ENOUGH

__all__ = ["FusedConv", "fusable", "output_shape", "packed"]

# (stride, padding, dilation, groups), as F.conv2d takes them
Geometry = tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]


def fusable(conv: nn.Conv2d, dtype: torch.dtype) -> bool:
    """Tell whether `FusedConv` computes a layer in `dtype` on this machine: one of oneDNN's, not grouped or dilated.

    >>> fusable(nn.Conv2d(16, 16, 3), torch.float64), fusable(nn.Conv2d(16, 16, 3, groups=2), torch.float32)
    (False, False)
    """
    if conv.weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    computes = dtype == torch.float32 or (dtype == torch.bfloat16
                                          and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))
    overruns = conv.kernel_size == (1, 1) and max(conv.stride) > 1 and conv.in_channels < ENOUGH
    reaches = not isinstance(conv.padding, str) and all(
        padding < size for padding, size in zip(conv.padding, conv.kernel_size, strict=True))
    return computes and not overruns and reaches and conv.groups == 1 and conv.dilation == (1, 1)


def output_shape(x: Float[Tensor, "n c h w"], weight: Float[Tensor, "d c k1 k2"],
                 geometry: Geometry) -> tuple[int, ...]:
    """Return (n, d, rows, columns) of an undilated convolution of x.

    >>> output_shape(torch.zeros(2, 3, 9, 8), torch.zeros(5, 3, 3, 3), ((2, 2), (1, 1), (1, 1), 1))
    (2, 5, 5, 4)
    """
    stride, padding, *_ = geometry
    sides = zip(x.shape[2:], weight.shape[2:], stride, padding, strict=True)
    return len(x), len(weight), *((side + 2 * border - k) // step + 1 for side, k, step, border in sides)


def turned(geometry: Geometry, size: torch.Size) -> tuple[list[int], list[int], list[int], int]:
    """Return padding, stride, dilation and groups of the convolution that takes a gradient back through stride 1."""
    return [k - 1 - padding for k, padding in zip(size, geometry[1], strict=True)], [1, 1], [1, 1], 1


def packed(weight: Float[Tensor, "d c rows columns"], factors: Float[Tensor, "c"] | None, geometry: Geometry,
           x: Float[Tensor, "n c h w"]) -> tuple[Tensor, Tensor]:
    """Return the weight as `FusedConv` takes it, laid out for inputs like x, and the one that takes gradients back.

    That of stride 1 is the weight turned round, laid out as well. factors: by which it multiplies the gradient of each
    channel of x.
    """
    stride, padding, dilation, groups = geometry
    back = weight if factors is None else (weight * factors.view(1, -1, 1, 1)).to(weight.dtype)
    forth = torch.ops.mkldnn._reorder_convolution_weight(weight, padding, stride, dilation, groups, x.shape)
    if max(stride) > 1:
        return forth, back
    back = back.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
    return forth, torch.ops.mkldnn._reorder_convolution_weight(back, *turned(geometry, back.shape[2:]),
                                                               output_shape(x, weight, geometry))


class FusedConv(torch.autograd.Function):
    """conv(x) + bias, plus another map if there is one, then ReLU if any; weights: those of `packed`."""

    @staticmethod
    def forward(context: Any, x: Float[Tensor, "n c h w"], weights: tuple[Tensor, Tensor],
                bias: Float[Tensor, "d"] | None, geometry: Geometry, relu: bool,
                *other: Float[Tensor, "n d rows columns"]) -> Float[Tensor, "n d rows columns"]:
        stride, padding, dilation, groups = geometry
        shape = padding, stride, dilation, groups
        if other:
            out = torch.ops.mkldnn._convolution_pointwise.binary(
                x, other[0], weights[0], bias, *shape, "add", 1.0, "relu" if relu else None, [], None)
        else:
            out = torch.ops.mkldnn._convolution_pointwise(x, weights[0], bias, *shape, "relu" if relu else "none", [],
                                                          "")
        context.geometry, context.relu, context.others, context.back = geometry, relu, len(other), weights[1]
        # a strided convolution's gradient asks for x, of which it needs the shape alone
        context.save_for_backward(x if max(stride) > 1 else None, out if relu else None)
        return out

    @staticmethod
    def backward(context: Any, gradient: Float[Tensor, "n d rows columns"]) -> tuple[Tensor | None, ...]:
        x, out = context.saved_tensors
        stride, padding, dilation, groups = context.geometry
        if context.relu:
            gradient = torch.ops.aten.threshold_backward(gradient, out, 0)
        if max(stride) > 1:
            to_x = torch.ops.aten.convolution_backward(gradient, x, context.back, None, stride, padding, dilation,
                                                       False, [0, 0], groups, [True, False, False])[0]
        else:
            shape = turned(context.geometry, context.back.shape[2:])
            to_x = torch.ops.mkldnn._convolution_pointwise(gradient, context.back, None, *shape, "none", [], "")
        return to_x, None, None, None, None, *[gradient] * context.others
