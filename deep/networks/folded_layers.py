"""The layers of a folded network: convolutions with batch norm in their weights, and a x + b where there is none."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from deep.networks.convolution import conv2d
from deep.networks.fused_convolution import FusedConv, fusable, output_shape, packed

__all__ = ["Affine", "AffineReLU", "FoldedConv", "affine_of"]


def affine_of(bn: Any) -> tuple[Float[Tensor, "c"], Float[Tensor, "c"]]:
    """Return (a, b) in float64: batch norm in eval mode is a x + b, a = gamma/sqrt(var + eps), b = beta - a mean.

    >>> bn = nn.BatchNorm2d(1, eps=0.0)
    >>> bn.running_mean.fill_(3.0), bn.running_var.fill_(4.0), affine_of(bn)
    (tensor([3.]), tensor([4.]), (tensor([0.5000], dtype=torch.float64), tensor([-1.5000], dtype=torch.float64)))
    """
    with torch.no_grad():
        a = (bn.running_var.double() + bn.eps).rsqrt()
        a = a if bn.weight is None else a * bn.weight.double()
        b = -a * bn.running_mean.double()
        return a, b if bn.bias is None else b + bn.bias.double()


class FoldedConv(nn.Module):
    """A convolution with the batch norm after it in its weights, W' = a W, bias' = a bias + b; then ReLU, if any.

    A second input is added before ReLU. The layers it is made from are kept in a tuple, so that they are no submodules;
    `refresh` reads them. fuses: whether it is one operation of oneDNN's (`FusedConv`). before: the batch norm before
    it, in a tuple, whose factors go into the gradient here (`Affine.absorbed`), or None.
    """

    weight: Float[Tensor, "d c k k"]
    bias: Float[Tensor, "d"] | None

    def __init__(self, conv: nn.Conv2d, bn: nn.Module | None, relu: bool, dtype: torch.dtype,
                 memory_format: torch.memory_format) -> None:
        super().__init__()
        self.source, self.relu, self.fuses = (conv, bn), relu, fusable(conv, dtype)
        self.before: tuple[Any] | None = None
        self.factors: Tensor | None = None  # of the gradient, channel by channel
        self.packed: tuple[Tensor, Tensor] | None = None
        self.geometry: tuple[Any, ...] = (conv.stride, conv.padding, conv.dilation, conv.groups)
        weight = torch.empty_like(conv.weight, dtype=dtype, memory_format=memory_format, requires_grad=False)
        biased = bn is not None or conv.bias is not None
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", weight.new_empty(len(weight)) if biased else None, persistent=False)

    def refresh(self) -> None:
        """Read the layers anew."""
        conv, bn = self.source
        factors: tuple[Any, Any] = (1.0, 0.0) if bn is None else affine_of(bn)
        a, b = factors
        self.weight.copy_(conv.weight if bn is None else conv.weight * a.to(conv.weight.dtype).view(-1, 1, 1, 1))
        if self.bias is not None:
            self.bias.copy_(b if conv.bias is None else a * conv.bias.double() + b)
        self.packed, self.factors = None, None if self.before is None else affine_of(*self.before)[0]

    def forward(self, x: Float[Tensor, "n c h w"], *other: Float[Tensor, "n d rows columns"]
                ) -> Float[Tensor, "n d rows columns"]:
        if self.fuses and len(x) and not torch.compiler.is_compiling():
            if self.packed is None:
                self.packed = packed(self.weight, self.factors, self.geometry, x)
            shape = output_shape(x, self.weight, self.geometry)
            if all(term.shape == shape and term.dtype == x.dtype for term in other):
                return FusedConv.apply(x, self.packed, self.bias, self.geometry, self.relu, *other)
            out = FusedConv.apply(x, self.packed, self.bias, self.geometry, False)
        else:
            out = conv2d(x, self.weight, self.bias, *self.geometry)
        out = sum(other, out)
        return out.relu_() if self.relu else out


class AffineReLU(torch.autograd.Function):
    """relu(a x + b), channel by channel; its gradient is a 1[out > 0] g, so that only the output is kept.

    absorbed: a is in g already.
    """

    @staticmethod
    def forward(context: Any, x: Float[Tensor, "n c h w"], a: Float[Tensor, "c"], b: Float[Tensor, "c"],
                zero: Float[Tensor, "c"], absorbed: bool) -> Float[Tensor, "n c h w"]:
        # torch's batch norm, with mean 0, variance 0 and eps 1, is its kernel for a x + b on any layout and precision
        out = F.batch_norm(x, zero, zero, a, b, eps=1.0).relu_()
        context.save_for_backward(out, a)
        context.absorbed = absorbed
        return out

    @staticmethod
    def backward(context: Any, gradient: Float[Tensor, "n c h w"]) -> tuple[Tensor | None, ...]:
        out, a = context.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradient, out, 0)
        if not context.absorbed:
            gradient.mul_(a.to(gradient.dtype).view(-1, 1, 1))
        return gradient, None, None, None, None


class Affine(nn.Module):
    """A batch norm that no convolution can take in, as a x + b in the parameters' precision; then ReLU, if any.

    absorbed: whether the convolutions after it multiply the gradient by a, with their weights.
    """

    a: Float[Tensor, "c"]
    b: Float[Tensor, "c"]
    zero: Float[Tensor, "c"]

    def __init__(self, bn: Any, relu: bool) -> None:
        super().__init__()
        self.source, self.relu, self.absorbed = (bn,), relu, False
        for name, value in (("a", 1.0), ("b", 0.0), ("zero", 0.0)):
            self.register_buffer(name, torch.full_like(bn.running_mean, value), persistent=False)

    def refresh(self) -> None:
        """Read the layer anew."""
        a, b = affine_of(*self.source)
        self.a.copy_(a)
        self.b.copy_(b)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        # torch.compile fuses both itself, and traces the gradient of the function below as 0
        if self.relu and not torch.compiler.is_compiling():
            return AffineReLU.apply(x, self.a, self.b, self.zero, self.absorbed)
        out = F.batch_norm(x, self.zero, self.zero, self.a, self.b, eps=1.0)
        return F.relu(out) if self.relu else out
