"""Auto-PGD against closed forms: linear classifiers, whose robust accuracy is known exactly, and its own schedule."""

import math
from fractions import Fraction

import pytest
import torch
from torch import nn

from deep.attacks.apgd import apgd, checkpoints, dlr, gradient_of, targeted_dlr
from deep.attacks.pgd import LOSSES, Attack, frozen
from deep.data.dataset import Split
from deep.evaluation.battery import attack_rounds, correct, rounds_of
from deep.networks.classifier import Classifier, PreActResNet18
from tests.support.linear import linear_problem, median_eps, radius

EPS = Fraction(8, 255)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("classes", [2, 3, 4, 10])
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_targeted_apgd_is_exact_on_linear_classifiers(classes, norm, scale):
    """Sample by sample, whatever the scale of the logits; only those within rounding of the boundary are let go."""
    model, x, y = linear_problem(classes, scale)
    distance = radius(model, x, y, norm)
    eps = median_eps(distance)
    attack = Attack(eps, eps / 4, 20, norm=norm)
    split = Split(x, y)
    alive = correct(model, x, y)
    assert alive.sum() == 180
    broken = attack_rounds(model, split, rounds_of("apgd-t", attack, classes), alive, seed=0)
    clear = (distance - float(eps)).abs() > 2e-5 * float(eps)
    robust = alive & ~broken
    assert torch.equal(robust[clear], (distance > float(eps))[clear])
    assert clear.sum() >= 198
    assert 60 < int(robust.sum()) < 120


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("objective", ["cross-entropy", "margin"])
def test_two_classes_reach_the_largest_loss(norm, objective):
    """With two classes every loss grows in the margin f_other - f_y, whose maximum gains eps |W_0 - W_1|_*."""
    model, x, y = linear_problem(2)
    eps = Fraction(1, 20)
    result = apgd(model, x, y, eps, norm, steps=30, objective=lambda logits: LOSSES[objective](logits, y),
                  generator=torch.Generator().manual_seed(0), early_stop=False)
    weight = model.linear.weight.detach().double()
    gain = float(eps) * (weight[0] - weight[1]).norm(p=1 if norm == "linf" else 2)
    with torch.no_grad():
        margin = LOSSES["margin"](model(x), y) + gain
        expected = margin if objective == "margin" else nn.functional.softplus(margin)
        torch.testing.assert_close(result.value.double(), expected.double(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(LOSSES[objective](model(result.best), y), result.value)


def network_and_images(classes=10, n=16):
    torch.manual_seed(0)
    model = Classifier(PreActResNet18(4), nn.Linear(32, classes), (0.5,) * 3, (0.25,) * 3, bf16=False)
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8).float() / 255
    return model.train(), x, torch.arange(n) % classes


@pytest.mark.parametrize(("norm", "eps"), [("linf", EPS), ("linf", Fraction(1, 10)), ("linf", Fraction(0)),
                                           ("l2", Fraction(128, 255)), ("l2", Fraction(0))])
def test_every_point_is_in_ball_and_box_to_the_last_bit(norm, eps):
    model, x, y = network_and_images()
    x[:, :, :8], x[:, :, 8:16] = 0.0, 1.0  # the box binds
    result = apgd(model, x, y, eps, norm, steps=12, generator=torch.Generator().manual_seed(0), early_stop=False)
    for z in (result.points, result.best):
        d = z.double() - x.double()
        assert Fraction(d.abs().max().item()) <= eps
        assert d.flatten(1).norm(dim=1).max().item() <= float(eps) or norm == "linf"
        assert z.min() >= 0
        assert z.max() <= 1
        if eps:
            largest = d.abs().max() if norm == "linf" else d.flatten(1).norm(dim=1).max()
            assert largest.item() > 0.9 * float(eps)


def test_the_network_is_left_as_it_was():
    model, x, y = network_and_images(n=4)
    before = [buffer.clone() for buffer in model.buffers()]
    apgd(model, x, y, EPS, steps=2)
    assert all(torch.equal(a, b) for a, b in zip(before, model.buffers(), strict=True))
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules())


class Recorder(nn.Module):
    """Scores (0, f(x)) of a scalar x, so that the margin objective of class 0 is f; keeps where it was asked."""

    def __init__(self, f):
        super().__init__()
        self.f, self.seen = f, []

    def forward(self, x):
        self.seen.append(x.detach()[:, 0].clone())
        return torch.stack([torch.zeros(len(x), dtype=x.dtype), self.f(x[:, 0])], 1)


def trajectory(f, starts, eps, steps):
    model = Recorder(f)
    x = torch.tensor(starts, dtype=torch.float64)[:, None]
    result = apgd(model, x, torch.zeros(len(starts), dtype=torch.long), eps, box=None, steps=steps,
                  objective=lambda logits: logits[:, 1], early_stop=False)
    return torch.stack(model.seen), result


def test_momentum_by_hand():
    """f = -|x - 0.1| - 9 from 0, eps = 1, eta = 2 until the first checkpoint, 5 of 20; u is cut at -1 and 1.

    z_1 = 1 (the first step has no momentum); u = -1, z_2 = 1 + 0.75 (-2) + 0.25 (1) = -0.25; then u = 1 and
    z_3 = -0.25 + 0.75 (1.25) + 0.25 (-1.25) = 0.375; u = -1 and z_4 = 0.375 + 0.75 (-1.375) + 0.25 (0.625) = -0.5.
    """
    seen, _ = trajectory(lambda x: -(x - 0.1).abs() - 9, [0.0], Fraction(1), 20)
    assert checkpoints(20)[0] == 5
    assert seen[:5, 0].tolist() == [0.0, 1.0, -0.25, 0.375, -0.5]


def test_halving_by_hand():
    """As above with 4 steps, each of them a checkpoint: eta = 2, 1, 1/2, 1/4, always on from 0 until it is beaten."""
    seen, result = trajectory(lambda x: -(x - 0.1).abs() - 9, [0.0], Fraction(1), 4)
    assert checkpoints(4) == [1, 2, 3, 4]
    assert seen[:, 0].tolist() == [0.0, 1.0, 0.75, 0.375, 0.1875]
    assert result.best[0, 0].item() == 0.1875


def test_both_conditions_by_hand():
    """Values and slopes by a script, at checkpoints 5, 9, 12, 14, 16, 18, 20.

    To 5: four of five steps rise, enough for condition 1, but the highest value, the first, is not passed: halved by
    condition 2. To 9: three of four rise, just enough, and after a halving condition 2 is silent. To 12: all rise,
    to the highest value and not above it: condition 2 again. From then on each step is a new highest value.
    """
    values = [0, -10, -9, -8, -7, -6, -10, -9, -8, -7, -6, -5, 0, *range(1, 9)]
    calls = iter(enumerate(values))

    def scripted(x):
        k, value = next(calls)
        return value - 99 + (-1) ** k * (x - x.detach())

    seen, result = trajectory(scripted, [0.0], Fraction(1), 20)
    x, before, path = 0.0, 0.0, [0.0]
    for k, eta in enumerate([2.0] * 5 + [1.0] * 7 + [0.5] * 8):
        if k in (5, 12):
            x = 0.0  # back to the first point, and to its slope
        u = min(max(x + eta * (1 if k in (5, 12) else (-1) ** k), -1), 1)
        new = u if k == 0 else min(max(x + 0.75 * (u - x) + 0.25 * (x - before), -1), 1)
        x, before = new, x
        path.append(x)
    assert seen[:, 0].tolist() == pytest.approx(path, abs=1e-12)
    assert (result.best.item(), result.value.item()) == (path[-1], 8 - 99)


def algorithm_1(f, slope, start, eps, steps):
    """The points of the paper's Algorithm 1 in one dimension, from whole histories and the words of section 3.1."""
    def cut(z):
        return min(max(z, start - eps), start + eps)

    x, values, eta, top = [start], [f(start)], [2 * eps], [f(start)]
    argtop, last_mark, visited = start, 0, [start]
    risen = []
    for k in range(steps):
        u = cut(x[-1] + eta[-1] * (1 if slope(x[-1]) > 0 else -1))
        new = u if k == 0 else cut(x[-1] + 0.75 * (u - x[-1]) + 0.25 * (x[-1] - x[-2]))
        visited.append(new)
        risen.append(f(new) > values[-1])
        if f(new) > top[-1]:
            argtop = new
        top.append(max(top[-1], f(new)))
        x.append(new)
        values.append(f(new))
        eta.append(eta[-1])
        if k + 1 in checkpoints(steps):
            few = sum(risen[last_mark:k + 1]) < 0.75 * (k + 1 - last_mark)
            stale = eta[last_mark] == eta[max(last_mark - 1, 0)] and top[k + 1] == top[last_mark]
            if few or stale:
                eta[-1] /= 2
                x[-1], values[-1] = argtop, top[-1]
            last_mark = k + 1
    return visited


@pytest.mark.parametrize("frequency", [1.5, 6.0, 25.0])
def test_the_path_is_that_of_algorithm_1(frequency):
    """On a wavy line, for 12 starts at once: each sample has a step size, a best point and a memory of its own."""
    starts = [0.3 * i - 1.7 for i in range(12)]
    seen, _ = trajectory(lambda x: (frequency * x).sin() + 0.3 * x - 9, starts, Fraction(1), 60)
    for column, start in zip(seen.T, starts, strict=True):
        expected = algorithm_1(lambda z: math.sin(frequency * z) + 0.3 * z - 9,
                               lambda z: frequency * math.cos(frequency * z) + 0.3, start, 1.0, 60)
        assert column.tolist() == pytest.approx(expected, abs=1e-9)


def test_step_sizes_are_halved_until_the_optimum_is_met():
    """A kink inside the ball: a fixed step 2 eps never comes near, halving does, for each sample by itself."""
    starts = [0.0, 0.5, -0.5, 1.05]
    _, result = trajectory(lambda x: -(x - 0.1).abs() - 9, starts, Fraction(1), 100)
    assert (result.best[:, 0] - 0.1).abs().max() < 0.01
    assert not result.broken.any()
    _, single = trajectory(lambda x: -(x - 0.1).abs() - 9, starts[1:2], Fraction(1), 100)
    assert single.best[0].item() == result.best[1].item()


def test_a_rising_objective_keeps_its_step():
    """Condition 1 and 2 fail while f rises at each step: f = x from 0 is at the ball's edge after one step."""
    seen, result = trajectory(lambda x: x - 9, [0.0], Fraction(1), 50)
    assert seen[1:, 0].tolist() == [1.0] * 50
    assert result.value[0].item() == -8.0


def test_checkpoints_by_their_recursion():
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1000) == [220, 410, 570, 700, 800, 870, 930, 990]
    for steps in (1, 2, 7, 50):
        marks = checkpoints(steps)
        assert marks == sorted(set(marks))
        assert marks[0] >= 1
        assert marks[-1] <= steps


def test_success_is_kept_though_the_loss_goes_on_elsewhere():
    """The objective grows to the right; class 1 is reached on an interval and at 1.95; the first point counts."""
    class Window(nn.Module):
        def forward(self, x):
            inside = ((x[:, 0] > 0.9) & (x[:, 0] < 1.1) | (x[:, 0] == 1.95)).double()
            return torch.stack([0.5 - inside, 0 * x[:, 0], -5 + 0.001 * x[:, 0]], 1)

    x = torch.tensor([[0.0], [0.95], [3.0]], dtype=torch.float64)
    result = apgd(Window(), x, torch.zeros(3, dtype=torch.long), Fraction(1), box=None, steps=10,
                  objective=lambda logits: logits[:, 2], early_stop=False)
    assert result.broken.tolist() == [True, True, False]  # from 0 to 1 = inside; at 0.95 before any step
    assert result.points[:2, 0].tolist() == [1.0, 0.95]
    assert result.best[:, 0].tolist() == [1.0, 1.95, 4.0]
    assert result.points[2].item() == 4.0


def test_early_stop_asks_no_more_once_all_are_broken():
    model = Recorder(lambda x: x - 0.5)
    x = torch.zeros(2, 1, dtype=torch.float64)
    result = apgd(model, x, torch.zeros(2, dtype=torch.long), Fraction(1), box=None, steps=100)
    assert result.broken.all()
    assert len(model.seen) == 2


def test_losses_by_hand():
    logits = torch.tensor([[4.0, 3.0, 1.0, 0.0, -2.0], [0.0, 5.0, 4.0, 3.0, 1.0]], dtype=torch.float64)
    labels = torch.tensor([0, 2])
    assert dlr(logits, labels).tolist() == pytest.approx([-1 / 3, 1 / 2])
    assert targeted_dlr(logits, labels, torch.tensor([3, 1])).tolist() == pytest.approx([-4 / 3.5, 1 / 3])
    assert dlr(logits[:, :2], torch.tensor([0, 0])).tolist() == [-1.0, 5.0]
    assert targeted_dlr(logits[:, :3], labels, torch.tensor([2, 1])).tolist() == [-3.0, 1.0]
    equal = torch.zeros(1, 5, requires_grad=True)  # no scale at all: finite all the same
    (gradient,) = torch.autograd.grad(targeted_dlr(equal, torch.tensor([0]), torch.tensor([1])).sum(), equal)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
def test_dlr_is_positive_exactly_on_mistakes_and_blind_to_scale(classes):
    logits = torch.randn(500, classes, generator=torch.Generator().manual_seed(classes), dtype=torch.float64)
    labels = torch.arange(500) % classes
    assert torch.equal(dlr(logits, labels) > 0, logits.argmax(1) != labels)
    best = torch.stack([targeted_dlr(logits, labels, (labels + other) % classes) for other in range(1, classes)])
    assert torch.equal(best.amax(0) > 0, logits.argmax(1) != labels)
    if classes >= 4:
        targets = (labels + 1) % classes
        torch.testing.assert_close(targeted_dlr(1e6 * logits + 3, labels, targets),
                                   targeted_dlr(logits, labels, targets), rtol=1e-6, atol=1e-9)


def test_gradients_against_differences():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    z = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    labels, targets = torch.tensor([0, 1, 2, 3]), torch.tensor([4, 3, 0, 2])
    direction = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    for objective in (lambda f: dlr(f, labels), lambda f: targeted_dlr(f, labels, targets)):
        _, _, gradient = gradient_of(lambda p: p @ weight.T, z, objective)
        slope = (objective((z + 1e-6 * direction) @ weight.T) - objective((z - 1e-6 * direction) @ weight.T)) / 2e-6
        torch.testing.assert_close((gradient * direction).sum(1), slope, rtol=1e-6, atol=1e-8)


def test_a_start_is_seeded():
    model, x, y = network_and_images(n=4)
    first, again, other = (apgd(model, x, y, EPS, steps=1, early_stop=False,
                                generator=torch.Generator().manual_seed(seed)).best for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with frozen(model), torch.no_grad():
        assert torch.equal(apgd(model, x, y, Fraction(0), steps=1).best, x)


@pytest.mark.parametrize(("norm", "steps"), [("l1", 5), ("linf", 0)])
def test_refusals(norm, steps):
    model, x, y = network_and_images(n=1)
    with pytest.raises(ValueError, match="norm is one of linf, l2 and steps at least 1"):
        apgd(model, x, y, EPS, norm, steps=steps)
