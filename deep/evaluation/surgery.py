"""Last-layer surgery: what the features of a network are worth under another last layer than its own."""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from deep.attacks.pgd import Attack
from deep.data.dataset import Split
from deep.evaluation.accuracy import outcome_of
from deep.evaluation.cas_intervals import cas_values
from deep.networks.classifier import Classifier

__all__ = ["last_layer_surgery", "refitted", "with_last_layer"]

Layer = tuple[Float[Tensor, "K d"], Float[Tensor, " K"]]


def refitted(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], classes: int) -> Layer:
    """Fit (W, b) anew by multinomial logistic regression: the minimiser of mean cross-entropy + |W|^2/(2 n).

    features: (n, d); labels: (n,) in 0..classes-1. L-BFGS in float64, to a gradient below 1e-7. Raises ValueError for
    no samples.

    >>> weight, bias = refitted(torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1]), 2)
    >>> w = weight[0, 0].item()  # the gradient in w = W[0] = -W[1]: -1/(1 + exp(2 w)) + w/2 = 0
    >>> abs(w / 2 - 1 / (1 + torch.tensor(2 * w).exp().item())) < 1e-6, weight.sum().abs().item() < 1e-6
    (True, True)
    """
    if len(labels) == 0:
        raise ValueError("no samples were given to fit a last layer to: pass at least one.")
    features = features.double()
    weight = torch.zeros(classes, features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=1000, tolerance_grad=1e-7, tolerance_change=1e-12,
                                  line_search_fn="strong_wolfe")

    def loss() -> float:
        optimiser.zero_grad()
        value = F.cross_entropy(F.linear(features, weight, bias), labels) + (weight**2).sum() / (2 * len(labels))
        value.backward()
        return value.item()
    optimiser.step(loss)
    return weight.detach(), bias.detach()


def with_last_layer(model: Classifier, layer: Layer) -> Classifier:
    """Return a copy of a network with another last layer."""
    changed, (weight, bias) = copy.deepcopy(model), layer
    changed.linear = nn.Linear(weight.shape[1], len(weight)).to(model.linear.weight)
    with torch.no_grad():
        changed.linear.weight.copy_(weight)
        changed.linear.bias.copy_(bias)
    return changed


def last_layer_surgery(early: Classifier, late: Classifier, unused: Split, test: Split, attack: Attack,
                       dtype: torch.dtype | None = None) -> dict[str, dict[str, float]]:
    """Swap the last layers of two checkpoints of a training, and fit each anew on images that it has not seen.

    unused: images neither trained on nor tested on; a layer is fitted to what the body makes of them, attacked under
    its own layer. Each new network is attacked anew, on `test`. dtype: in which attacks take their gradients, as in
    `outcome_of`. Returns {"early body, late layer", "late body, early
    layer", "early body, refitted layer", "late body, refitted layer": {"clean", "robust": accuracies, "cas",
    "sharing": on adversarial inputs}}, without the last two where `unused` lacks a class. If features were forgotten,
    the late body stays behind the early one under a refitted layer; if the layer alone overfits, it does not.
    """
    def own(model: Classifier) -> Layer:
        weight, bias = model.linear.weight.detach(), model.linear.bias
        return weight, weight.new_zeros(len(weight)) if bias is None else bias.detach()

    networks = {"early body, late layer": with_last_layer(early, own(late)),
                "late body, early layer": with_last_layer(late, own(early))}
    classes = len(late.linear.weight)
    if len(unused.labels.unique()) == classes:
        for name, model in (("early", early), ("late", late)):
            seen = outcome_of(model, unused, attack, dtype)
            networks[f"{name} body, refitted layer"] = with_last_layer(
                model, refitted(seen.features, seen.labels, classes))
    found = {}
    for name, model in networks.items():
        outcome = outcome_of(model, test, attack, dtype)
        values = cas_values(outcome, model.linear.weight.detach().cpu())
        found[name] = {"clean": outcome.clean.double().mean().item(), "robust": outcome.robust.double().mean().item(),
                       "cas": values["cas"], "sharing": values["sharing"]}
    return found
