"""What PGD guarantees: the ball and the box to the last bit, and a network left as it was found."""

import math
from fractions import Fraction

import pytest
import torch
from torch import nn

from deep.attacks.pgd import L2, LOSSES, Attack, Linf, frozen, pgd
from deep.networks.classifier import Classifier, PreActResNet18
from deep.recipe.recipe import recipe_named
from deep.training.loop import Training, load_data

EPS = Fraction(8, 255)
LOSS_NAMES = sorted(LOSSES)


@pytest.fixture
def network():
    torch.manual_seed(0)
    model = Classifier(PreActResNet18(4), nn.Linear(32, 10), (0.5,) * 3, (0.25,) * 3, bf16=True, channels_last=True)
    return model.train()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(256, (16, 3, 32, 32), generator=generator, dtype=torch.uint8).float() / 255
    return x, torch.arange(16) % 10


def attack_batch(network, batch, **changes):
    options = {"eps": EPS, "step": EPS / 4, "steps": 5} | changes
    return pgd(network, *batch, Attack(**options), torch.Generator().manual_seed(2))


@pytest.mark.parametrize("eps", [Fraction(8, 255), Fraction(1, 10), Fraction(2, 255), Fraction(0)])
@pytest.mark.parametrize("steps", [0, 3])
def test_inside_ball_and_box_to_the_last_bit(network, batch, eps, steps):
    """In exact arithmetic: float32 values are binary fractions, so Fraction compares them without rounding."""
    x, _ = batch
    z = attack_batch(network, batch, eps=eps, step=eps / 2, steps=steps)
    # double holds every float32 difference here exactly
    assert Fraction((z.double() - x.double()).abs().max().item()) <= eps
    assert z.min() >= 0
    assert z.max() <= 1
    if eps and steps:
        assert (z.double() - x.double()).abs().max().item() > 0.999 * float(eps)


def test_the_ball_is_exact_where_double_differences_round():
    """z - x for x = -1e-20 and z = 1/4 rounds to 1/4 in double, but is larger."""
    x = torch.tensor([-1e-20, 1e-20, -3.0, 0.1])
    ball = Linf(x, Fraction(1, 4), None)
    for value, low, high in zip(x.tolist(), ball.low.tolist(), ball.high.tolist(), strict=True):
        assert Fraction(value) - Fraction(low) <= Fraction(1, 4)
        assert Fraction(high) - Fraction(value) <= Fraction(1, 4)
        assert high - low > 0.4999999


def test_the_naive_ball_is_left_by_rounding(batch):
    """The guarantee is not free: x + eps in float32 leaves the ball for many pixels."""
    x, _ = batch
    naive = (x + torch.tensor(float(EPS))).double() - x.double()
    assert any(Fraction(value) > EPS for value in naive.flatten().tolist())


def test_start_is_uniform_in_the_ball():
    x = torch.full((20_000,), 0.5)
    start = Linf(x, EPS, (0.0, 1.0)).start(torch.Generator().manual_seed(0)) - x
    assert start.mean().abs() < 4 * float(EPS) / (3 * 20_000) ** 0.5
    assert start.std().item() == pytest.approx(float(EPS) / 3 ** 0.5, rel=0.02)


def state_of(model):
    return ([buffer.clone() for buffer in model.buffers()],
            [parameter.grad for parameter in model.parameters()],
            [parameter.requires_grad for parameter in model.parameters()],
            [module.training for module in model.modules()])


def test_the_network_is_left_as_it_was(network, batch):
    network.body[0].weight.requires_grad_(False)  # a mixture of flags and modes must come back as it was
    network.body[2].eval()
    network(batch[0]).sum().backward()
    before = state_of(network)
    gradients = [None if g is None else g.clone() for g in before[1]]
    attack_batch(network, batch)
    after = state_of(network)
    assert all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))  # batch-norm statistics
    assert all(a is b for a, b in zip(before[1], after[1], strict=True))
    assert all(g is None or torch.equal(g, kept) for g, kept in zip(after[1], gradients, strict=True))
    assert (before[2], before[3]) == (after[2], after[3])


def test_train_mode_moves_the_statistics_as_the_papers_code_does(network, batch):
    before = [buffer.clone() for buffer in network.buffers()]
    attack_batch(network, batch, mode="train")
    assert any(not torch.equal(a, b) for a, b in zip(before, network.buffers(), strict=True))


def test_modes_come_back_when_the_attack_raises(network, batch):
    before = state_of(network)
    with pytest.raises(IndexError):
        pgd(network, batch[0], batch[1] + 100, Attack(EPS, EPS, 1, random_start=False))
    after = state_of(network)
    assert (before[2], before[3]) == (after[2], after[3])
    with pytest.raises(ZeroDivisionError), frozen(network):
        raise ZeroDivisionError
    assert state_of(network)[3] == before[3]


def test_a_random_start_needs_a_generator(network, batch):
    with pytest.raises(ValueError, match="without a generator"):
        pgd(network, *batch, Attack(EPS, EPS, 1))


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("steps", [1, 7])
def test_on_a_linear_model_pgd_reaches_the_closed_form_optimum(loss, steps):
    """Two classes, so that the worst case is exact: the margin f_0 - f_1 falls by eps |W_0 - W_1|_1."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(50, 1, 2, 3, generator=generator)
    linear = nn.Linear(6, 2, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(2, 6, generator=generator))
    model = Classifier(nn.Flatten(), linear, (0.0,), (1.0,))
    y = torch.arange(50) % 2
    eps = Fraction(3, 10)
    z = pgd(model, x, y, Attack(eps, eps if steps == 1 else eps / 3, steps, False, None, loss))
    margin = [model(point)[torch.arange(50), y] - model(point)[torch.arange(50), 1 - y] for point in (x, z)]
    expected = float(eps) * (linear.weight[0] - linear.weight[1]).abs().sum()
    torch.testing.assert_close(margin[0] - margin[1], expected.expand(50), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_step_has_the_size_it_is_given(steps):
    """Inside the ball every pixel of a linear model moves by step each time, in the direction of its weight."""
    linear = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, -2.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    x = torch.full((1, 4), 0.5, dtype=torch.float64)
    z = pgd(linear.double(), x, torch.tensor([0]), Attack(Fraction(1, 4), Fraction(1, 16), steps, False))
    assert (z - x)[0].tolist() == [-steps / 16, steps / 16, -steps / 16, 0.0]


@pytest.mark.slow
def test_more_steps_are_a_stronger_attack(cifar):
    recipe = recipe_named("at-cpu", ["width=4", "train_size=64", "val_size=64", "bf16=false"])
    data = load_data(recipe, cifar)
    model = Training(recipe, data, "cpu").model
    x, y = data.val.images.float() / 255, data.val.labels
    losses = []
    for steps in (0, 1, 10):
        z = pgd(model, x, y, Attack(EPS, EPS / 4, steps, random_start=False))
        with frozen(model), torch.no_grad():
            losses.append(LOSSES["cross-entropy"](model(z), y).mean().item())
    assert losses[0] < losses[1] < losses[2]


def test_losses_by_hand():
    logits = torch.tensor([[1.0, 3.0, 2.0], [0.0, 0.0, 5.0]])
    labels = torch.tensor([1, 0])
    assert LOSSES["margin"](logits, labels).tolist() == [-1.0, 5.0]
    expected = [math.log(math.e + math.e**3 + math.e**2) - 3, math.log(2 + math.e**5)]
    assert LOSSES["cross-entropy"](logits, labels).tolist() == pytest.approx(expected, abs=1e-6)


def in_l2(batch, eps):
    """Images about the middle of the box, so that the box does not bind, and the l2 ball about them."""
    x = 0.4 + 0.2 * batch[0]
    return x, L2(x, eps, (0.0, 1.0))


def distances(z, x):
    return (z.double() - x.double()).flatten(1).norm(dim=1)


@pytest.mark.parametrize("eps", [Fraction(128, 255), Fraction(1, 100), Fraction(0)])
def test_l2_stays_in_ball_and_box(network, batch, eps):
    x, _ = batch
    z = attack_batch(network, batch, eps=eps, step=eps / 4, norm="l2")
    assert distances(z, x).max().item() <= float(eps)
    assert (z.min().item(), z.max().item()) >= (0.0, 0.0)
    assert z.max() <= 1
    inner, ball = in_l2(batch, eps)
    far = ball.project(inner + 1.0)
    assert distances(far, inner).max().item() <= float(eps)
    assert distances(far, inner).min().item() >= float(eps) - 2e-5


def test_an_l2_step_is_the_steepest_one(batch):
    """On a linear function, one step of size eps from x reaches its maximum eps |gradient|."""
    inner, ball = in_l2(batch, Fraction(1, 2))
    gradient = torch.randn(inner.shape, generator=torch.Generator().manual_seed(0)) * 1e-25
    z = ball.project(inner + 0.5 * ball.direction(gradient))
    gain = ((z - inner).double() * gradient.double()).flatten(1).sum(1)
    best = 0.5 * gradient.double().flatten(1).norm(dim=1)
    torch.testing.assert_close(gain, best, rtol=1e-4, atol=0)
    assert torch.equal(ball.direction(torch.zeros_like(inner)), torch.zeros_like(inner))


def test_l2_start_is_uniform_in_the_ball():
    """In the plane: the radius's square is uniform, and no direction is preferred."""
    x = torch.full((20_000, 2), 0.5)
    d = (L2(x, Fraction(1, 4), None).start(torch.Generator().manual_seed(0)) - x) / 0.25
    squared = (d ** 2).sum(1)
    assert squared.mean().item() == pytest.approx(0.5, abs=0.01)
    assert squared.var().item() == pytest.approx(1 / 12, rel=0.03)
    assert d.mean(0).abs().max() < 0.02


def test_an_objective_takes_the_place_of_the_loss(network, batch):
    x, y = batch
    attack = Attack(EPS, EPS / 4, 3, loss="margin")
    other = pgd(network, x, y, attack, torch.Generator().manual_seed(2),
                lambda logits: LOSSES["cross-entropy"](logits, y))
    assert torch.equal(other, attack_batch(network, batch, steps=3))
    assert not torch.equal(other, attack_batch(network, batch, steps=3, loss="margin"))


def test_a_near_start_is_normal_about_the_image(batch):
    x = 0.4 + 0.2 * batch[0]
    start = pgd(nn.Identity(), x, batch[1], Attack(EPS, EPS, 0, near=0.001), torch.Generator().manual_seed(0)) - x
    assert start.std().item() == pytest.approx(0.001, rel=0.02)



@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_start_of_trades_is_cut_only_after_its_first_step(norm):
    """As in its public code, where z = x + .001 randn is asked for its gradient even outside the box."""
    seen = []

    class Recorder(nn.Module):
        def forward(self, z):
            seen.append(z.detach().clone())
            return z.flatten(1)[:, :2]

    x = torch.tensor([[0.0, 1.0, 0.5]] * 40, dtype=torch.float64).view(40, 1, 1, 3)
    eps = Fraction(1, 2000)  # half the deviation, so that the ball would cut as well
    attack = Attack(eps, eps / 4, 2, norm=norm, near=0.001)
    z = pgd(Recorder(), x, torch.zeros(40, dtype=torch.long), attack, torch.Generator().manual_seed(0))
    start = x + 0.001 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(seen[0], start)
    assert (start[..., 0] < 0).sum() > 10 and (start[..., 1] > 1).sum() > 10  # half of each
    length = torch.inf if norm == "linf" else 2
    for later in (seen[1], z):
        assert later.min() == 0 and later.max() == 1
        assert (later - x).flatten(1).norm(p=length, dim=1).max() <= float(eps)
    # without a step nothing outside is handed over
    untouched = pgd(Recorder(), x, torch.zeros(40, dtype=torch.long), Attack(eps, eps, 0, norm=norm, near=0.001),
                    torch.Generator().manual_seed(0))
    assert untouched.min() == 0 and (untouched - x).flatten(1).norm(p=length, dim=1).max() <= float(eps)
