"""The network that an eval-mode attack sees: batch norm folded away, weights cast once, only images differentiated."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.nn import functional as F

from deep.networks.convolution import Conv2d
from deep.networks.folded_layers import Affine, AffineReLU, FoldedConv, affine_of
from deep.system.processes import SyncedBatchNorm

if TYPE_CHECKING:
    from deep.networks.classifier import Classifier

__all__ = ["Affine", "AffineReLU", "Folded", "FoldedConv", "affine_of", "folded", "traced"]

FUNCTIONS: dict[Any, str] = {F.relu: "relu", torch.relu: "relu", operator.add: "add", torch.add: "add"}
BATCH_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, SyncedBatchNorm)
# Layers without parameters, taken over as they are.
PLAIN = (nn.Identity, nn.Flatten, nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.MaxPool2d)


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
    taken: set[fx.Node] = set()  # old nodes that the layer before them takes in
    sums: dict[fx.Node, tuple[fx.Node, fx.Node]] = {}  # of each sum that a convolution takes in, that and its term

    def follower(node: fx.Node, kind: str) -> fx.Node | None:
        users = list(node.users)
        return users[0] if len(users) == 1 and kind_of(users[0], body) == kind else None

    def layer_of(node: fx.Node) -> Any:
        return body.get_submodule(str(node.target))

    def add_layer(name: str, layer: nn.Module, inputs: tuple[Any, ...], replaced: tuple[fx.Node | None, ...]) -> None:
        layers[name] = layer
        out = new.call_module(name, tuple(done[node] for node in inputs))
        done.update(dict.fromkeys(filter(None, replaced), out))
        taken.update(filter(None, replaced[1:]))

    def add_conv(node: fx.Node, last: fx.Node, other: tuple[fx.Node, ...] = ()) -> None:
        bn, relu = follower(node, "bn"), follower(last, "relu")
        norm = None if bn is None else layer_of(bn)
        layer = FoldedConv(layer_of(node), norm, bool(relu), dtype, memory_format)
        add_layer(node.name, layer, (node.args[0], *other), (node, bn, last, relu))

    for node in old.nodes:
        kind = kind_of(node, body)
        if node in sums:  # all that is summed is known from here on
            conv, term = sums[node]
            other = next(part for part in node.args if part is not term)
            add_conv(conv, node, (other,))
        elif node in taken:
            continue
        elif kind == "conv":
            last = follower(node, "bn") or node
            total = follower(last, "add")
            if total and total not in sums and is_plain_sum(total):
                sums[total] = node, last
                taken.update({last} - {node})
            else:
                add_conv(node, last)
        elif kind == "bn":
            relu = follower(node, "relu")
            add_layer(node.name, Affine(layer_of(node), bool(relu)), (node.args[0],), (node, relu))
        else:
            done[node] = new.node_copy(node, done.__getitem__)
            if node.op == "call_module":
                layers[node.name], done[node].target = layer_of(node), node.name
    absorb(new, layers)
    return fx.GraphModule(layers, new)


def is_plain_sum(node: fx.Node) -> bool:
    """Tell whether a sum has two different terms, both of the graph, and no factor."""
    return not node.kwargs and len(set(node.args)) == 2 and all(isinstance(term, fx.Node) for term in node.args)


def absorb(graph: fx.Graph, layers: dict[str, nn.Module]) -> None:
    """Leave the factors of relu(a x + b) to the weights by which the convolutions after it take gradients back."""
    for node in graph.nodes:
        affine = layers.get(str(node.target))
        users: list[tuple[fx.Node, Any]] = [(user, layers.get(str(user.target))) for user in node.users]
        if isinstance(affine, Affine) and affine.relu and all(
                isinstance(layer, FoldedConv) and layer.fuses and node not in user.args[1:] for user, layer in users):
            affine.absorbed = True
            for _, conv in users:
                conv.before = affine.source


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


def folded(model: Classifier, dtype: torch.dtype | None = None) -> nn.Module:
    """Return what an attack in eval mode differentiates: `Folded` of the model, the same scores sooner, or the model.

    dtype: as in `Folded`. It is the model itself where its body is none that `Folded` supports.
    """
    return Folded(model, dtype) if Folded.supports(model) else model
