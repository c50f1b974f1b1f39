"""Convolutions of small images as matrix products: what a CPU's convolution kernels do badly in bfloat16."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Conv2d", "WindowProduct", "conv2d", "overruns", "windows"]

# Output positions an image up to which the product is faster. oneDNN gives its matrix unit one row of the image at a
# time: 4 of 16 rows of a tile for 4x4 images. Measured with AMX; 8x8 images are a draw.
FEW = 16

# Input channels from which oneDNN's weight gradient of a strided 1x1 convolution is sound in channels_last. With fewer
# than a vector register holds (16 float32 with AVX-512, 8 with AVX2) it writes outside its memory: seen in oneDNN 3.12
# from 64x64 images in float32 and from 96x96 in bfloat16 with AVX-512, at every size in float32 with AVX2.
ENOUGH = 16


def windows(x: Float[Tensor, "n c h w"], size: int, stride: int, padding: int) -> Float[Tensor, "positions entries"]:
    """Return the (n h w, size^2 c) matrix of the windows of x under each output position, row by row."""
    n, c = x.shape[:2]
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    rows, columns = ((side - size) // stride + 1 for side in padded.shape[1:3])
    image, row, pixel, _ = padded.contiguous().stride()
    # a window's row of pixels and channels is contiguous in channels_last
    strides = (image, stride * row, stride * pixel, row, 1)
    return padded.contiguous().as_strided((n, rows, columns, size, size * c), strides).reshape(-1, size * size * c)


class WindowProduct(torch.autograd.Function):
    """The convolution of x (n, c, h, w) with a square weight (d, c, k, k), as windows(x) W^T; bias (d,) or None."""

    @staticmethod
    def forward(context: Any, x: Float[Tensor, "n c h w"], weight: Float[Tensor, "d c k k"],
                bias: Float[Tensor, "d"] | None, stride: int, padding: int) -> Float[Tensor, "n d h w"]:
        context.save_for_backward(x, weight)
        context.geometry = stride, padding
        size = weight.shape[2]
        matrix = weight.permute(0, 2, 3, 1).reshape(len(weight), -1).t()
        columns = windows(x, size, stride, padding)
        rows = (x.shape[2] + 2 * padding - size) // stride + 1
        shape = len(x), len(weight), rows, len(columns) // (len(x) * rows)
        # not a view of the product: what follows may write into it
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        flat = out.permute(0, 2, 3, 1).view(-1, len(weight))
        torch.mm(columns, matrix, out=flat) if bias is None else torch.addmm(bias, columns, matrix, out=flat)
        return out

    @staticmethod
    def backward(context: Any, gradient: Float[Tensor, "n d h w"]) -> tuple[Tensor | None, ...]:
        x, weight = context.saved_tensors
        stride, padding = context.geometry
        d, c, size, _ = weight.shape
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        to_x = to_weight = to_bias = None
        if context.needs_input_grad[0] and stride == 1:
            # the convolution of the gradient with the weight turned round
            turned = weight.flip(2, 3).permute(1, 2, 3, 0).reshape(c, -1).t()
            to_x = (windows(gradient, size, 1, size - 1 - padding) @ turned).view(len(x), *x.shape[2:], c)
            to_x = to_x.permute(0, 3, 1, 2)
        elif context.needs_input_grad[0]:
            to_x = torch.ops.aten.convolution_backward(gradient, x, weight, None, [stride] * 2, [padding] * 2, [1, 1],
                                                       False, [0, 0], 1, [True, False, False])[0]
        flat = gradient.permute(0, 2, 3, 1).reshape(-1, d)
        if context.needs_input_grad[1]:
            to_weight = (flat.t() @ windows(x, size, stride, padding)).view(d, size, size, c).permute(0, 3, 1, 2)
        if context.needs_input_grad[2]:
            to_bias = flat.sum(0)
        return to_x, to_weight, to_bias, None, None


def overruns(layer: nn.Module) -> bool:
    """Tell whether the layer is one of torch's whose weight gradient overruns its memory on a CPU in channels_last.

    >>> overruns(nn.Conv2d(8, 16, 1, stride=2)), overruns(Conv2d(8, 16, 1, stride=2)), overruns(nn.Conv2d(8, 16, 3, 2))
    (True, False, False)
    """
    return (isinstance(layer, nn.Conv2d) and not isinstance(layer, Conv2d) and layer.kernel_size == (1, 1)
            and max(layer.stride) > 1 and layer.in_channels < ENOUGH)


def conv2d(x: Float[Tensor, "n c h w"], weight: Float[Tensor, "d c_in k k"], bias: Float[Tensor, "d"] | None = None,
           stride: tuple[int, ...] = (1, 1), padding: tuple[int, ...] = (0, 0), dilation: tuple[int, ...] = (1, 1),
           groups: int = 1) -> Float[Tensor, "n d h w"]:
    """Compute torch's `conv2d`; on a CPU, in bfloat16, for small square images, as a product of matrices.

    On a CPU a strided 1x1 convolution of few channels is that of every stride-th pixel, which torch computes soundly.

    >>> _ = torch.manual_seed(0)
    >>> x, weight = torch.randn(2, 3, 4, 4).bfloat16(), torch.randn(5, 3, 3, 3).bfloat16()
    >>> torch.allclose(conv2d(x, weight, padding=(1, 1)), F.conv2d(x, weight, padding=1), rtol=0.02, atol=0.02)
    True
    """
    size = weight.shape[2]
    outputs = ((x.shape[2] + 2 * padding[0] - size) // stride[0] + 1) ** 2
    small = (x.dtype == torch.bfloat16 and x.device.type == "cpu" and outputs <= FEW and x.shape[2] == x.shape[3]
             and len(x) and weight.shape[3] == size > padding[0] and stride[0] == stride[1] and padding[0] == padding[1]
             and tuple(dilation) == (1, 1) and groups == 1)
    if small:
        return WindowProduct.apply(x, weight, bias, stride[0], padding[0])
    if x.device.type == "cpu" and weight.shape[2:] == (1, 1) and tuple(padding) == (0, 0) and x.shape[1] < ENOUGH:
        x, stride = x[:, :, ::stride[0], ::stride[1]], (1, 1)
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups)


class Conv2d(nn.Conv2d):
    """torch's layer, by the `conv2d` above; what autocast does for that of torch, it does itself."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        weight, bias = self.weight, self.bias
        if self.padding_mode != "zeros" or isinstance(self.padding, str):
            return super().forward(x)
        if torch.is_autocast_enabled(x.device.type):
            kind = torch.get_autocast_dtype(x.device.type)
            x, weight, bias = x.to(kind), weight.to(kind), None if bias is None else bias.to(kind)
        return conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)
