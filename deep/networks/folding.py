"""The network that an eval-mode attack sees: batch norm folded away, weights cast once, only images differentiated."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.nn import functional as F

from deep.networks.convolution import Conv2d, conv2d
from deep.system.processes import SyncedBatchNorm

if TYPE_CHECKING:
    from deep.networks.classifier import Classifier

__all__ = ["Affine", "AffineReLU", "Folded", "FoldedConv", "affine_of", "traced"]

FUNCTIONS: dict[Any, str] = {F.relu: "relu", torch.relu: "relu", operator.add: "add", torch.add: "add"}
BATCH_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, SyncedBatchNorm)
# Layers without parameters, taken over as they are.
PLAIN = (nn.Identity, nn.Flatten, nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.MaxPool2d)


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

    The layers it is made from are kept in a tuple, so that they are no submodules; `refresh` reads them.
    """

    weight: Float[Tensor, "d c k k"]
    bias: Float[Tensor, "d"] | None

    def __init__(self, conv: nn.Conv2d, bn: nn.Module | None, relu: bool, dtype: torch.dtype,
                 memory_format: torch.memory_format) -> None:
        super().__init__()
        self.source, self.relu = (conv, bn), relu
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

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        out = conv2d(x, self.weight, self.bias, *self.geometry)
        return out.relu_() if self.relu else out


class AffineReLU(torch.autograd.Function):
    """relu(a x + b), channel by channel; its gradient is a 1[out > 0] g, so that only the output is kept."""

    @staticmethod
    def forward(context: Any, x: Float[Tensor, "n c h w"], a: Float[Tensor, "c"], b: Float[Tensor, "c"],
                zero: Float[Tensor, "c"]) -> Float[Tensor, "n c h w"]:
        # torch's batch norm, with mean 0, variance 0 and eps 1, is its kernel for a x + b on any layout and precision
        out = F.batch_norm(x, zero, zero, a, b, eps=1.0).relu_()
        context.save_for_backward(out, a)
        return out

    @staticmethod
    def backward(context: Any, gradient: Float[Tensor, "n c h w"]) -> tuple[Tensor | None, ...]:
        out, a = context.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradient, out, 0)
        return gradient.mul_(a.to(gradient.dtype).view(-1, 1, 1)), None, None, None


class Affine(nn.Module):
    """A batch norm that no convolution can take in, as a x + b in the parameters' precision; then ReLU, if any."""

    a: Float[Tensor, "c"]
    b: Float[Tensor, "c"]
    zero: Float[Tensor, "c"]

    def __init__(self, bn: Any, relu: bool) -> None:
        super().__init__()
        self.source, self.relu = (bn,), relu
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
            return AffineReLU.apply(x, self.a, self.b, self.zero)
        out = F.batch_norm(x, self.zero, self.zero, self.a, self.b, eps=1.0)
        return F.relu(out) if self.relu else out


def kind_of(node: fx.Node, body: nn.Module) -> str | None:
    """Return what a node of the graph does, "conv", "bn", "relu", "add" or "plain"; None for anything else."""
    if node.op == "call_function":
        return FUNCTIONS.get(node.target)
    if node.op != "call_module":
        return "plain" if node.op in ("placeholder", "output") else None
    layer = body.get_submodule(str(node.target))
    if layer._forward_hooks or layer._forward_pre_hooks or len(node.args) != 1 or node.kwargs:
        return None
    if type(layer) in (nn.Conv2d, Conv2d) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
        return "conv"
    if type(layer) in BATCH_NORMS and layer.running_mean is not None:
        return "bn"
    return "relu" if type(layer) is nn.ReLU else "plain" if type(layer) in PLAIN else None


class Tracer(fx.Tracer):
    """Ends at the layers that are folded, those of this package included."""

    def is_leaf_module(self, layer: nn.Module, name: str) -> bool:
        """Tell whether the graph goes no deeper here."""
        return type(layer) in (Conv2d, SyncedBatchNorm) or super().is_leaf_module(layer, name)


def traced(body: nn.Module) -> fx.Graph | None:
    """Return the graph of a body made of convolutions, batch norms, ReLUs, sums and pooling alone, else None."""
    try:
        graph = Tracer().trace(body)
    except Exception:  # whatever the code of an outside network raises when it meets no tensor
        return None
    return graph if all(kind_of(node, body) for node in graph.nodes) else None


def fold(body: nn.Module, dtype: torch.dtype, memory_format: torch.memory_format) -> fx.GraphModule:
    """Return the body as a graph of `FoldedConv`, `Affine`, sums and pooling."""
    old, new = traced(body), fx.Graph()
    assert old is not None  # as `supports` says
    layers: dict[str, nn.Module] = {}
    done: dict[fx.Node, fx.Node] = {}  # the new node of each old one

    def follower(node: fx.Node, kind: str) -> fx.Node | None:
        users = list(node.users)
        return users[0] if len(users) == 1 and kind_of(users[0], body) == kind else None

    def layer_of(node: fx.Node) -> Any:
        return body.get_submodule(str(node.target))

    for node in old.nodes:
        if node in done:  # taken in by the layer before it
            continue
        kind = kind_of(node, body)
        if kind not in ("conv", "bn"):
            done[node] = new.node_copy(node, done.__getitem__)
            if node.op == "call_module":
                layers[node.name], done[node].target = layer_of(node), node.name
            continue
        bn = follower(node, "bn") if kind == "conv" else node
        relu = follower(bn or node, "relu")
        norm = None if bn is None else layer_of(bn)
        layers[node.name] = (FoldedConv(layer_of(node), norm, bool(relu), dtype, memory_format) if kind == "conv"
                             else Affine(norm, bool(relu)))
        out = new.call_module(node.name, (done[node.args[0]],))
        done |= dict.fromkeys(filter(None, (node, bn, relu)), out)
    return fx.GraphModule(layers, new)


class Folded(nn.Module):
    """The scores of a `networks.classifier.Classifier` in eval mode, differentiable with respect to the images alone.

    model: the classifier, whose parameters and running statistics are read at every `refresh()`, and only then:
    call it after each change of them. Batch norm is folded into the convolution before it where nothing else reads
    that one's output; elsewhere it is an affine map, fused with the ReLU after it. The body computes in bfloat16
    where model.bf16, else in the parameters' precision, in channels_last where model is; the linear layer as in
    the model. Its tensors keep their addresses (CUDA graphs); build another one when the model moves or changes
    its precision. dtype: of the body, in place of the model's. It is no submodule of the model nor the model of it, and
    has no parameters and no state.
    Raises ValueError for a body that it cannot read (`supports`), and in training mode.

    >>> from deep.networks.classifier import Classifier, PreActResNet18
    >>> _ = torch.manual_seed(0)
    >>> model = Classifier(PreActResNet18(4), nn.Linear(32, 10), (0.5,) * 3, (0.25,) * 3)
    >>> x, folded = torch.rand(2, 3, 32, 32), Folded(model)
    >>> torch.allclose(folded(x), model.eval()(x), atol=1e-5), list(folded.parameters()), list(folded.state_dict())
    (True, [], [])
    """

    mean: Float[Tensor, "1 c 1 1"]
    std: Float[Tensor, "1 c 1 1"]
    weight: Float[Tensor, "K d"]
    bias: Float[Tensor, "K"] | None

    def __init__(self, model: Classifier, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        if not self.supports(model):
            raise ValueError(f"the body {type(model.body).__name__} was given, but only convolutions, batch norm, "
                             "ReLU, sums and pooling are folded: attack the network itself.")
        self.source = (model,)
        self.dtype = dtype or (torch.bfloat16 if model.bf16 else model.linear.weight.dtype)
        self.body = fold(model.body, self.dtype, model.memory_format)
        for name, value in (("mean", model.mean), ("std", model.std), ("weight", model.linear.weight),
                            ("bias", model.linear.bias)):
            self.register_buffer(name, None if value is None else value.detach().clone(), persistent=False)
        self.eval()
        self.refresh()

    @staticmethod
    def supports(model: Classifier) -> bool:
        """Tell whether the body is made of nothing but Conv2d, BatchNorm2d, ReLU, sums and pooling."""
        return traced(model.body) is not None

    @torch.no_grad()
    def refresh(self) -> Folded:
        """Read the model's parameters and running statistics anew, and return itself."""
        (model,) = self.source
        self.weight.copy_(model.linear.weight)
        if self.bias is not None:
            self.bias.copy_(model.linear.bias)
        for layer in self.body.children():
            if isinstance(layer, (FoldedConv, Affine)):
                layer.refresh()
        return self

    def train(self, mode: bool = True) -> Folded:
        """Refuse training mode."""
        if mode:
            raise ValueError("a folded network was asked for in training mode, but it has no batch statistics: attack "
                             "the network itself with mode=\"train\".")
        return super().train(False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n K"]:
        (model,) = self.source
        x = ((x - self.mean) / self.std).to(self.dtype).contiguous(memory_format=model.memory_format)
        return F.linear(self.body(x).to(self.weight.dtype), self.weight, self.bias)
