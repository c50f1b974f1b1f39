"""Planted images and the linear classifier: the torch side of the model, with no closed form in it."""

import math

import pytest
import torch

from deep.attacks.pgd import Attack, pgd
from deep.data.dataset import Split
from deep.data.planted import (
    ablation,
    planted_images,
    reliance,
    sample_features,
    sign_patterns,
    worst_perturbation,
)
from deep.recipe.recipe import recipe_named
from deep.runs.network import load_network
from deep.training.loop import load_data, train
from synthmodel import CrossEntropy, Setting, joint_accuracy, solve
from synthmodel.solvers.margin_closed import ratio_closed


def test_the_data_law():
    x, y = sample_features(60_000, 1.0, 0.5, torch.Generator().manual_seed(0))
    for i in range(3):
        rows = x[y == i]
        assert len(rows) == 20_000
        for column in range(6):
            active = column == i or (column >= 3 and column - 3 != i)
            mean, std = rows[:, column].mean().item(), rows[:, column].std().item()
            assert mean == pytest.approx(1.0 if active else 0.0, abs=4 * 0.5 / 20_000 ** 0.5)
            assert std == pytest.approx(0.5 if active else 0.0, rel=0.03)
        active = [i] + [3 + j for j in range(3) if j != i]
        correlation = torch.corrcoef(rows[:, active].T) - torch.eye(3)
        assert correlation.abs().max() < 4 / 20_000 ** 0.5


def test_a_pixel_attack_shifts_a_feature_by_exactly_eps():
    """pixel = value times sign, so moving each pixel by eps along the pattern moves the value by eps."""
    data = planted_images(1.0, 0.5, patch=4, train_size=30, val_size=3, seed=0)
    patterns = sign_patterns(4)
    assert data.train.images.shape == (30, 1, 8, 12)
    values = torch.einsum("nhw,fhw->nf", data.train.images[:, 0], patterns) / 16
    shifted = torch.einsum("nhw,fhw->nf", data.train.images[:, 0] + 0.2 * patterns.sum(0), patterns) / 16
    torch.testing.assert_close(shifted - values, torch.full((30, 6), 0.2), rtol=0, atol=1e-6)
    assert (patterns.abs().sum(0) == 1).all()  # patches do not overlap and fill the image


def test_reliance_of_the_theorys_own_network():
    """A linear network with weights w1 and w2 has reliances w1 and w2."""
    recipe = recipe_named("planted-linear", ["train_size=300", "val_size=30"])
    data = load_data(recipe)
    from deep.networks.classifier import build
    model = build(recipe, data, 0)
    own = torch.eye(3)
    features = torch.cat([2.0 * own, 0.7 * (1 - own)], 1)
    with torch.no_grad():
        model.linear.weight.copy_(features @ sign_patterns(4).flatten(1) / 16)
    assert reliance(model, data.test, 4) == pytest.approx((2.0, 0.7), abs=1e-5)


class Scores(torch.nn.Module):
    """f_i = s_i^power/power of the theory's scores s_i = w1 E_i + w2 (the sum of both C_j), read off the pixels."""

    def __init__(self, w1, w2, power, patch):
        super().__init__()
        self.w1, self.w2, self.power, self.patch = w1, w2, power, patch

    def forward(self, images):
        values = torch.einsum("nhw,fhw->nf", images[:, 0], sign_patterns(self.patch).to(images)) / self.patch**2
        own, shared = values[:, :3], values[:, 3:]
        return (self.w1 * own + self.w2 * (shared.sum(1, keepdim=True) - shared)) ** self.power / self.power


def exact_split(n, patch):
    """n images in float64, and their features (n, 6)."""
    x, y = sample_features(n, 1.0, 0.5, torch.Generator().manual_seed(3))
    x = x.double()
    return Split(torch.einsum("nf,fhw->nhw", x, sign_patterns(patch).double())[:, None], y), x


def test_three_readings_of_a_linear_network_are_its_weights():
    """By the gradient at the images, at x + delta*, and by ablation: w1 and w2 to rounding, in any sample."""
    split, _ = exact_split(30, 2)
    model = Scores(2.0, 0.7, 1, 2)
    for found in (reliance(model, split, 2), reliance(model, split, 2, 0.3), ablation(model, split, 2)):
        assert found == pytest.approx((2.0, 0.7), rel=1e-12)
    assert ablation(Scores(2.0, 0.0, 1, 2), split, 2) == pytest.approx((2.0, 0.0), abs=1e-12)


def test_the_worst_perturbation_costs_each_margin_2_eps_n():
    """THEORY.md, A1: N = w1 + w2; every pixel moves by eps."""
    split, _ = exact_split(6, 2)
    shift = worst_perturbation(split.labels, 2, 0.3).double()
    assert (shift.abs() - 0.3).abs().max() < 1e-7
    model, rows = Scores(2.0, 0.7, 1, 2), torch.arange(6)
    before, after = model(split.images), model(split.images + shift)
    for other in (1, 2):
        j = (split.labels + other) % 3
        fall = (before - after)[rows, split.labels] - (before - after)[rows, j]
        torch.testing.assert_close(fall, torch.full((6,), 2 * 0.3 * 2.7).double(), rtol=1e-6, atol=0)


def test_readings_of_scores_that_are_squared():
    """f_i = s_i^2/2: the slopes are w1 s_i and w2 s_i, and delta* takes eps (w1 + 2 w2) of s_i; ablation by loops."""
    w1, w2, eps = 2.0, 0.7, 0.3
    split, x = exact_split(12, 2)
    model = Scores(w1, w2, 2, 2)
    rows = range(12)
    s = sum((w1 * x[n, split.labels[n]] + w2 * x[n, 3:].sum()).item() for n in rows) / 12  # C_i = 0
    for size in (0.0, eps):
        slope = s - size * (w1 + 2 * w2)
        assert reliance(model, split, 2, size) == pytest.approx((w1 * slope, w2 * slope), rel=1e-7)

    def margin(values, i):
        scores = [w1 * values[k] + w2 * sum(values[3 + m] for m in range(3) if m != k) for k in range(3)]
        return sum((scores[i] ** 2 - scores[j] ** 2) / 2 for j in range(3) if j != i) / 2
    means, found = x.mean(0).tolist(), []
    for part in (range(3), range(3, 6)):
        fall = active = count = 0
        for n in rows:
            values, i = x[n].tolist(), int(split.labels[n])
            gone = [means[k] if k in part else values[k] for k in range(6)]
            fall += (margin(values, i) - margin(gone, i)) / 12
            mine = [values[k] for k in part if k == i or (k >= 3 and k - 3 != i)]
            active, count = active + sum(mine), count + len(mine)
        found.append(fall / (active / count))
    assert ablation(model, split, 2) == pytest.approx(found, rel=1e-9)


def trained(tmp_path, *overrides):
    recipe = recipe_named("planted-linear", overrides)
    data = load_data(recipe)
    run = train(recipe, data, tmp_path)
    return recipe, data, load_network(run, data, "last")


@pytest.mark.slow
def test_sgd_on_the_margin_loss_finds_the_theorys_weights(tmp_path):
    """T1-W: the general 3 x 6 classifier, attacked by PGD in its six coordinates and trained by SGD."""
    mu, sigma, eps, lam, n = 1.0, 0.5, 0.2, 0.5, 30_000
    recipe, _data, model = trained(
        tmp_path, "loss=margin", "patch=1", f"train_size={n}", "batch=1000", "epochs=12", "lr=0.2", "momentum=0",
        f"weight_decay={lam / 2}", "eps=0.2", "step=0.2", "eval_every=12")
    assert model.linear.weight.shape == (3, 6)
    weight = model.linear.weight.detach() * sign_patterns(1).flatten(1).sum(1)
    eye, ones = torch.eye(3), torch.full((3, 3), 1 / 3)
    w1, w2 = (mu - 2 * eps) / lam, (mu - sigma / math.sqrt(math.pi) - 2 * eps) / lam  # 1.2, 0.6358
    expected = torch.cat([w1 * (eye - ones), -w2 * (eye - ones)], 1)
    # A weight is a mean over n/3 samples of a class over lam, plus what SGD leaves at its last learning rate.
    monte_carlo = sigma / math.sqrt(n / 3) / lam
    assert (weight - expected).abs().max() < 5 * monte_carlo  # 0.05, where dropping the cross-class gap moves w2 by .56
    assert recipe.eps == recipe.step  # one full step is the exact worst case of a linear network


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "eps"), [("margin", 0.2), ("margin", 0.42), ("cross-entropy", 0.3)])
def test_a_linear_network_on_images_matches_the_theory(tmp_path, loss, eps):
    """Theory at the network's own effective lam = 2 weight_decay/patch^2; four seeds, their mean and spread."""
    setting, ratios, accuracies = Setting(1, 0.5), [], []
    for seed in range(4):
        recipe, data, model = trained(tmp_path, f"loss={loss}", f"eps={eps}", f"step={eps}", f"seed={seed}",
                                      "epochs=16", "eval_every=16")
        exclusive, shared = reliance(model, data.test, recipe.patch)
        ratios.append(shared / exclusive)
        accuracies.append(exact_accuracy(model, data.test, eps))
    lam = 2 * recipe.weight_decay / recipe.patch ** 2
    predicted = ratio_closed(setting.k(eps)) if loss == "margin" else solve(setting, CrossEntropy(), eps, lam).ratio
    ratios, accuracies = torch.tensor(ratios), torch.tensor(accuracies)
    assert abs(ratios.mean().item() - predicted) < max(4 * ratios.std().item() / 2, 0.01)
    assert ratios.std() < 0.05
    if predicted == 0:
        return  # weights that are 0 in theory are small but not 0 here, and the exact attack charges for each
    expected = float(joint_accuracy(predicted, setting.k(eps)))
    assert accuracies.mean().item() == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 24_000))


def exact_accuracy(model, split, eps):
    """Share of images whose margins all survive the exact worst case, eps |W_y - W_j|_1."""
    weight = model.linear.weight.detach()
    x = split.images.flatten(1)
    right = torch.ones(len(split), dtype=torch.bool)
    for shift in (1, 2):
        difference = weight[split.labels] - weight[(split.labels + shift) % 3]
        right &= (difference * x).sum(1) > eps * difference.abs().sum(1)
    return right.float().mean().item()


@pytest.mark.slow
def test_pgd_finds_the_exact_worst_case_of_images(tmp_path):
    recipe, data, model = trained(tmp_path, "epochs=8", "eval_every=8")
    z = pgd(model, data.test.images, data.test.labels, Attack(recipe.eps, recipe.eps, 1, False, None, "cross-entropy"))
    found = (model(z).argmax(1) == data.test.labels).float().mean().item()
    assert found == pytest.approx(exact_accuracy(model, data.test, float(recipe.eps)), abs=0.002)
