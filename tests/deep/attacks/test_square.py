"""The Square attack against its rules written out image by image, and behind inputs that have no gradient."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from deep.attacks.pgd import Attack
from deep.attacks.square import bump, share, side, square
from deep.data.dataset import Split
from deep.evaluation.battery import battery, correct, rounds_of, worst_case
from deep.evaluation.gradient_masking import square_flag
from tests.support.linear import linear_problem, median_eps, radius

EPS = {"linf": 0.06, "l2": 0.8}


def network(height=12, width=12):
    """Two channels, three classes, float64: a small convolution, whose scores are far from linear."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
                              nn.Linear(6 * (height // 2) * (width // 2), 3)).double()
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(5, 2, height, width, generator=generator, dtype=torch.float64)
    x[:, :, :2] = x[:, :, :2].round()  # the box binds
    with torch.no_grad():
        return model.train(), x, model(x).argmax(1)


@pytest.mark.parametrize("queries", [10_000, 5000, 1000, 77])
def test_the_share_is_halved_as_in_autoattack(queries):
    expected = []
    for query in range(queries):
        at = int(query / queries * 10_000 + 1e-9)
        for power, (first, last) in enumerate(((0, 10), (11, 50), (51, 200), (201, 500), (501, 1000), (1001, 2000),
                                               (2001, 4000), (4001, 6000), (6001, 8000), (8001, 10_000))):
            if first <= at <= last:
                expected.append(0.8 / 2 ** power)
    assert [share(query, queries) for query in range(queries)] == expected


def test_sides():
    assert [side(p, 32, 32, "linf") for p in (0.8, 0.4, 0.8 / 512, 1e-6)] == [29, 20, 1, 1]
    assert [side(p, 32, 32, "l2") for p in (0.8, 0.4, 0.8 / 512, 1e-6)] == [29, 21, 3, 3]
    assert side(0.8, 8, 12, "linf") == 8  # 9 rows are not there
    assert [side(0.8, height, height, "l2") for height in (4, 5, 2)] == [3, 5, 1]


def eta(s):
    """The paper's eta: in each half rectangles about its centre, the k-th of 2 k - 1 rows and columns, as 1/k^2."""
    shape = np.zeros((s, s))
    for top, bottom, sign in ((0, s // 2, 1), (s // 2, s, -1)):
        half = np.zeros((bottom - top, s))
        for k in range(1, max((bottom - top) // 2, s // 2) + 2):
            for row in range(bottom - top):
                for column in range(s):
                    if abs(row - (bottom - top) // 2) < k and abs(column - s // 2) < k:
                        half[row, column] += 1 / k ** 2
        shape[top:bottom] = sign * half / np.sqrt((half ** 2).sum())
    return shape / np.sqrt((shape ** 2).sum())


@pytest.mark.parametrize("s", [2, 3, 5, 8, 11])
def test_bumps(s):
    np.testing.assert_allclose(bump(s).numpy(), eta(s), rtol=1e-12, atol=1e-12)


class Restated:
    """The rules for one image at a time with numpy, given what is drawn for all of them."""

    def __init__(self, model, x, y, eps, norm, queries, seed):
        self.model, self.y, self.eps, self.queries = model.eval(), y.tolist(), eps, queries
        self.x, self.torch_x, self.generator = x.numpy(), x, torch.Generator().manual_seed(seed)
        self.points = {"linf": self.linf, "l2": self.l2}[norm]()

    def draw(self, top, *shape):
        return torch.randint(top, shape, generator=self.generator).numpy()

    def signs(self, *shape):
        return 2.0 * self.draw(2, *self.x.shape[:2], *shape) - 1

    def corner(self, s):
        return [self.draw(size - s + 1, len(self.x), 1)[:, 0] for size in self.x.shape[2:]]

    def margin(self, z, label):
        """f_y - max_{j != y} f_j, which AutoAttack lowers."""
        with torch.no_grad():
            scores = self.model(torch.from_numpy(z)[None])[0].tolist()
        return scores[label] - max(score for j, score in enumerate(scores) if j != label)

    def searched(self, z, proposals):
        lowest = [self.margin(*one) for one in zip(z, self.y, strict=True)]
        for query in range(self.queries):
            new = proposals(query, z)
            for i, label in enumerate(self.y):
                found = self.margin(new[i], label)
                if lowest[i] > 0 and (found < lowest[i] or found <= 0):
                    z[i], lowest[i] = new[i], found
        return z

    def linf(self):
        n, c, h, w = self.x.shape
        z = np.clip(self.x + self.eps * self.signs(1, w), 0, 1)

        def proposals(query, z):
            s = max(round((share(query, self.queries) * h * w) ** 0.5), 1)
            (rows, columns), sign = self.corner(s), self.signs(1, 1)
            new = z.copy()
            for i in range(n):
                for channel in range(c):
                    new[i, channel, rows[i]:rows[i] + s, columns[i]:columns[i] + s] += 2 * self.eps * sign[i, channel]
            return np.clip(np.clip(new, self.x - self.eps, self.x + self.eps), 0, 1)
        return self.searched(z, proposals)

    def to_the_sphere(self, d):
        lengths = np.sqrt((d ** 2).sum((1, 2, 3), keepdims=True))
        return np.clip(self.x + self.eps * (1 - 2 ** -20) * d / lengths, 0, 1)  # the radius of deep.attacks.pgd.L2

    def l2(self):
        n, c, h, w = self.x.shape
        tile, d = h // 5, np.zeros_like(self.x)
        coins, sign = self.draw(2, n, 1, 5, 5), self.signs(5, 5)
        margin = (h - 5 * tile) // 2
        for i, channel, row, column in np.ndindex(n, c, 5, 5):
            top, left = margin + row * tile, margin + column * tile
            shape = eta(tile) if coins[i, 0, row, column] else eta(tile).T
            d[i, channel, top:top + tile, left:left + tile] = shape * sign[i, channel, row, column]

        def proposals(query, z):
            s = max(round((share(query, self.queries) * h * w) ** 0.5), 3)
            s += s % 2 == 0
            corners = np.array([self.corner(s), self.corner(s)])
            coins, sign, d = self.draw(2, n, 1), self.signs(1, 1), z - self.x
            for i in range(n):
                (top, left), (other_top, other_left) = corners[:, :, i]
                first = np.s_[top:top + s, left:left + s]
                second = np.s_[other_top:other_top + s, other_left:other_left + s]
                either = np.zeros((h, w), bool)
                either[first] = either[second] = True
                unused = max(self.eps ** 2 - (d[i] ** 2).sum(), 0)
                length = np.sqrt((d[i][:, either] ** 2).sum() + unused / c)
                for channel in range(c):
                    old = d[i, channel][first].copy()
                    new = old / max(np.sqrt((old ** 2).sum()), 1e-12) + sign[i, channel, 0, 0] * (
                        eta(s) if coins[i, 0] else eta(s).T)
                    d[i, channel][second] = 0
                    d[i, channel][first] = new / np.sqrt((new ** 2).sum()) * length
            return self.to_the_sphere(d)
        return self.searched(self.to_the_sphere(d), proposals)


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.02), ("linf", 0.06), ("l2", 0.3), ("l2", 0.8)])
def test_the_points_are_those_of_the_rules_written_out(norm, eps):
    model, x, y = network(17, 17)  # sides of which five tiles cover all but a margin
    z = square(model, x, y, eps, torch.Generator().manual_seed(2), norm, queries=60)
    restated = Restated(model, x, y, eps, norm, 60, 2)
    np.testing.assert_allclose(z.numpy(), restated.points, rtol=0, atol=1e-12 if norm == "linf" else 1e-7)
    assert [int(model(one[None]).argmax()) for one in z] == [int(model(torch.from_numpy(one)[None]).argmax())
                                                            for one in restated.points]


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(("height", "width"), [(12, 12), (5, 9), (3, 2)])
def test_points_are_in_ball_and_box_and_the_network_is_left_as_it_was(norm, height, width):
    model, x, y = network(12, 12)
    resized = nn.Sequential(nn.Upsample((12, 12)), model).train()
    x = x[:, :, :height, :width].clone()
    eps = Fraction(EPS[norm]).limit_denominator(100)
    points = [square(resized, x, y, eps, torch.Generator().manual_seed(seed), norm, queries=20) for seed in (0, 0, 1)]
    assert torch.equal(points[0], points[1]) and not torch.equal(points[0], points[2])
    for z in points:
        d = z - x
        assert max(map(abs, map(Fraction, d.flatten().tolist()))) <= eps
        assert norm == "linf" or d.flatten(1).norm(dim=1).max() <= float(eps)
        assert z.min() >= 0 and z.max() <= 1 and d.abs().max() > 0
    assert all(module.training for module in resized.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in resized.parameters())


def test_an_image_is_left_alone_once_it_is_misclassified():
    model, x, y = network()
    y[:2] = (y[:2] + 1) % 3  # two are wrong to begin with, whatever a small start does
    asked = []
    model[0].register_forward_pre_hook(lambda layer, inputs: asked.append(len(inputs[0])))
    square(model, x, y, 1e-6, torch.Generator().manual_seed(0), queries=7)
    assert asked == [5] + [3] * 7
    asked.clear()
    square(model, x[:2], y[:2], 1e-6, torch.Generator().manual_seed(0), queries=7)
    square(model, x[:0], y[:0], 1e-6, torch.Generator().manual_seed(0), queries=7)
    assert asked == [2, 0]


@pytest.mark.slow
def test_behind_rounded_inputs_square_finds_what_no_gradient_does():
    """A linear network on pixels of 64 levels, whose gradient is 0: attacks by gradients break what a start breaks."""
    linear, x, y = linear_problem(10)
    x = (64 * x).round() / 64
    y = torch.where(torch.arange(200) % 10 == 0, y, linear(x).argmax(1))
    model = nn.Sequential(Rounded(), linear)
    eps = median_eps(radius(linear, x, y, "linf"))
    attack = Attack(eps, eps / 4, 20)
    split = Split(x[:60], y[:60])
    known = {"clean": correct(model, split.images, split.labels)}
    attacks = {name: rounds_of(name, attack, 10) for name in ("pgd20", "apgd-ce20", "apgd-t20", "square150")}
    trials = battery(model, split, attacks, known)
    assert sum(int(trial.broken.sum()) for trial in trials[:3]) < 10 < 25 < trials[3].broken.sum()  # 4 and 34 of 54
    flag = square_flag(known, trials)
    assert flag["flag"] and flag["broken_by_square_alone"]["correct"] == trials[3].broken.sum()
    assert worst_case(known, trials).sum() == trials[3].attacked.sum() - trials[3].broken.sum()
    # the same network with honest gradients: Square is given what they left, and finds next to nothing
    trials = battery(linear, split, attacks, known)
    assert trials[3].broken.sum() <= 1 and not square_flag(known, trials)["flag"]
    assert square_flag(known, trials[:3]) is None
    separate = battery(linear, split, {name: attacks[name] for name in ("apgd-t20", "square150")}, known, separate=True)
    assert square_flag(known, separate)["broken_by_square_alone"]["correct"] <= 1 < separate[1].broken.sum()


class Rounded(nn.Module):
    def forward(self, x):
        return (64 * x).round() / 64


def test_names_and_refusals(monkeypatch):
    asked = []
    monkeypatch.setattr("deep.evaluation.battery.square", lambda model, x, y, *rest: asked.append(rest) or x)
    attack = Attack(Fraction(1, 8), Fraction(1, 64), 20, norm="l2", box=None)
    generator = torch.Generator()
    for name in ("square", "square1000"):
        (points,) = rounds_of(name, attack, 10)
        points(None, torch.zeros(1), None, generator)
    assert asked == [(Fraction(1, 8), generator, "l2", None, queries) for queries in (5000, 1000)]
    for name in ("square0", "square-1", "squares"):
        with pytest.raises(ValueError, match=r"was given, but known are pgdN.*square1000"):
            rounds_of(name, replace(attack, norm="linf"), 10)
    model, x, y = network()
    for words in ({"norm": "l1"}, {"queries": 0}, {"x": x[0]}):
        with pytest.raises(ValueError, match="queries at least 1, and x a batch of images"):
            square(**({"model": model, "x": x, "y": y, "eps": 0.1, "generator": generator} | words))
