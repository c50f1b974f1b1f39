"""Auto-PGD and CAS of a network with convolutions, restated from the papers' formulas, image by image in float64."""

from fractions import Fraction
from math import ceil, sqrt

import pytest
import torch
from torch import nn

from deep.attacks.apgd import apgd, targeted_dlr
from deep.attacks.pgd import Attack
from deep.data.dataset import Split
from deep.evaluation.accuracy import measure
from deep.evaluation.cas_intervals import cas_values
from deep.networks.classifier import Classifier

CLASSES = 5
EPS = {"linf": Fraction(6, 100), "l2": Fraction(7, 10)}


def network_and_images(n):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1),
                             nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        model = Classifier(body, nn.Linear(32, CLASSES), (0.5, 0.25, 0.5), (0.25, 0.25, 0.125), channels_last=True)
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(n, 3, 8, 8, generator=generator, dtype=torch.float64)
    x[:, :, 0], x[:, :, 1] = 0.0, 1.0  # the box binds
    model = model.double()
    with torch.no_grad():
        model.linear.weight.mul_(6)
        model.train()(x)  # running statistics of these images
        scores = model.eval()(x)
        y = scores.argmax(1)
        y[::4] = scores.argsort(1)[::4, -2]  # a few are wrong to begin with
    return model, x, y


def softmax_loss(z, y, target):
    return z.logsumexp(0) - z[y]


def ratio_loss(z, y, target):
    """(z_t - z_y)/(z_(1) - (z_(3) + z_(4))/2), equation (7) of Croce and Hein 2020."""
    ordered = sorted(z, key=lambda score: score.item(), reverse=True)
    return (z[target] - z[y]) / (ordered[0] - (ordered[2] + ordered[3]) / 2)


class OneImage:
    """Algorithm 1 of Croce and Hein 2020 for a single image, from whole histories."""

    def __init__(self, model, x, y, target, loss, norm):
        self.model, self.x, self.y, self.target, self.loss, self.norm = model, x, y, target, loss, norm
        self.eps = float(EPS[norm])

    def project(self, z):
        d = z - self.x
        if self.norm == "linf":
            d = d.clamp(-self.eps, self.eps)
        elif d.norm() > self.eps * (1 - 2**-20):  # the radius of deep.attacks.pgd.L2, without its last digits
            d = d * self.eps * (1 - 2**-20) / d.norm()
        return (self.x + d).clamp(0, 1)

    def ask(self, z):
        """(f(z), steepest direction, whether z is misclassified)."""
        z = z.clone().requires_grad_()
        scores = self.model(z[None])[0]
        value = self.loss(scores, self.y, self.target)
        (gradient,) = torch.autograd.grad(value, z)
        direction = gradient.sign() if self.norm == "linf" else gradient / gradient.norm()
        return value.item(), direction, int(scores.argmax()) != self.y

    def ascend(self, start, steps):
        """(z_max, f_max, whether any iterate was misclassified)."""
        p = [Fraction(0), Fraction(22, 100)]
        while p[-1] <= 1:
            p.append(p[-1] + max(p[-1] - p[-2] - Fraction(3, 100), Fraction(6, 100)))
        marks = [0, *sorted({ceil(share * steps) for share in p[1:-1]})]
        z, eta = [start], [2 * self.eps]
        first, direction, broken = self.ask(start)
        best, best_direction, values, top, rises = start, direction, [first], [first], []
        for k in range(steps):
            u = self.project(z[k] + eta[k] * direction)
            z.append(u if k == 0 else self.project(z[k] + 0.75 * (u - z[k]) + 0.25 * (z[k] - z[k - 1])))
            value, direction, wrong = self.ask(z[-1])
            rises.append(value > values[k])
            broken |= wrong
            if value > top[-1]:
                best, best_direction = z[-1], direction
            top.append(max(top[-1], value))
            values.append(value)
            eta.append(eta[k])
            if k + 1 in marks:
                last = marks[marks.index(k + 1) - 1]
                few = sum(rises[last:]) < 0.75 * (k + 1 - last)
                unchanged = eta[last] == eta[max(last - 1, 0)]  # at the checkpoint before
                if few or (unchanged and top[k + 1] == top[last]):
                    eta[-1] = eta[k] / 2
                    z[-1], values[-1], direction = best, top[-1], best_direction
        return best, top[-1], broken


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("loss", ["cross-entropy", "targeted"])
def test_auto_pgd(norm, loss):
    model, x, y = network_and_images(8)
    targets = (y + 1 + torch.arange(8) % 4) % CLASSES
    objective = (lambda logits: targeted_dlr(logits, y, targets)) if loss == "targeted" else None
    found = apgd(model, x, y, EPS[norm], norm, steps=20, objective=objective, early_stop=False,
                 generator=torch.Generator().manual_seed(2))
    generator, eps = torch.Generator().manual_seed(2), float(EPS[norm])
    if norm == "linf":
        low, high = (x - eps).clamp(min=0), (x + eps).clamp(max=1)
        starts = low + torch.rand(x.shape, generator=generator, dtype=x.dtype) * (high - low)
    else:
        normal = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        lengths = eps * torch.rand(8, generator=generator, dtype=x.dtype) ** (1 / 192) * (1 - 2**-20)
        starts = (x + (lengths / normal.flatten(1).norm(dim=1)).view(-1, 1, 1, 1) * normal).clamp(0, 1)
    restated = {"cross-entropy": softmax_loss, "targeted": ratio_loss}[loss]
    broken = []
    for i in range(8):
        best, value, wrong = OneImage(model, x[i], int(y[i]), int(targets[i]), restated, norm).ascend(starts[i], 20)
        broken.append(wrong)
        assert found.value[i].item() == pytest.approx(value, rel=1e-8, abs=1e-10), i
        torch.testing.assert_close(found.best[i], best, rtol=0, atol=1e-7)
    assert found.broken.tolist() == broken and sum(broken) > 2


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_cas(norm):
    """PGD-20 of step eps/4 (l2: eps/8), class means of feature W_i, positive cosines over ordered pairs: by loops."""
    model, x, _ = network_and_images(20)
    y = torch.arange(20) % CLASSES
    eps = EPS[norm]
    step = eps / (8 if norm == "l2" else 4)
    outcome = measure(model, Split(x, y), Attack(eps, step, 20, random_start=False, norm=norm), seed=0)
    values = cas_values(outcome, model.linear.weight)
    weight = model.linear.weight.tolist()
    sums = {label: [0.0] * 32 for label in range(CLASSES)}
    for image, label in zip(x, y.tolist(), strict=True):
        one = OneImage(model, image, label, None, softmax_loss, norm)
        z = image
        for _ in range(20):
            z = one.project(z + float(step) * one.ask(z)[1])
        with torch.no_grad():
            features = model.body((z[None] - model.mean) / model.std)[0].tolist()
        for k in range(32):
            sums[label][k] += features[k] * weight[label][k]
    total = 0.0
    for i in range(CLASSES):
        for j in range(CLASSES):
            dot = sum(a * b for a, b in zip(sums[i], sums[j], strict=True))
            length = sqrt(sum(a * a for a in sums[i])) * sqrt(sum(b * b for b in sums[j]))
            total += max(dot / length, 0) if i != j else 0
    assert values["cas"] == pytest.approx(total, rel=1e-6)
    assert total > 1
