"""Whole trainings of a network with convolutions and batch norm, restated in a few formulas, to the last digits.

Six steps of two epochs in float64: a step that attacks, norms or averages another network than it should is seen in the
weights, and so is one that only does so from the second step on.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import deep.training.state
import deep.training.step
from deep.data.dataset import Data, Split
from deep.networks.classifier import build
from deep.networks.folding import Folded
from deep.networks.registry import NETWORKS, register
from deep.recipe.recipe import recipe_named
from deep.training.loop import Training, train
from deep.training.state import seeds

MEAN, STD = (0.375, 0.5, 0.625), (0.25, 0.125, 0.25)  # exact in float32, in which a network keeps them
EPS, STEP, LR, MOMENTUM, DECAY = 0.1, 0.06, 0.2, 0.9, 0.01
WORDS = ["model=by-hand", "width=none", "epochs=2", "batch=8", "lr=0.2", "drops=1/2", "momentum=0.9",
         "weight_decay=0.01", "eps=1/10", "step=6/100", "steps=2", "padding=0", "flip=false", "train_size=none",
         "eval_every=2", "select_every=none", "eval_steps=1", "bf16=false", "channels_last=false"]


@pytest.fixture(autouse=True)
def network():
    @register("by-hand", needs=())
    def small(recipe, shape, classes):
        layers = OrderedDict(conv1=nn.Conv2d(3, 4, 3, 1, 1, bias=False), bn1=nn.BatchNorm2d(4), relu1=nn.ReLU(),
                             conv2=nn.Conv2d(4, 6, 3, 2, 1, bias=False), bn2=nn.BatchNorm2d(6), relu2=nn.ReLU(),
                             pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten())
        return nn.Sequential(layers), nn.Linear(6, 3)
    yield
    del NETWORKS["by-hand"]


@pytest.fixture
def double(monkeypatch):
    """Networks of trainings are built in float64; so they compute with images of float64."""
    monkeypatch.setattr(deep.training.state, "build", lambda *arguments: build(*arguments).double())


def images(box=(0.0, 1.0), dtype=torch.float64):
    generator = torch.Generator().manual_seed(5)

    def split(n):
        return Split(torch.rand(n, 3, 6, 6, generator=generator, dtype=dtype),
                     torch.randint(3, (n,), generator=generator))
    return Data("by hand", ("a", "b", "c"), split(20), split(6), split(6), MEAN, STD, box, {})


def scores(p, x, training):
    """The network with the parameters and statistics p, by their names; batch statistics are used and noted if asked.

    y = gamma (x - mean)/sqrt(var + 1e-5) + beta; running values move a tenth of the way to the batch's mean and to its
    variance, over n - 1.
    """
    h = (x - torch.tensor(MEAN, dtype=x.dtype).view(3, 1, 1)) / torch.tensor(STD, dtype=x.dtype).view(3, 1, 1)
    for number, stride in (("1", 1), ("2", 2)):
        h = F.conv2d(h, p[f"body.conv{number}.weight"], stride=stride, padding=1)
        name = f"body.bn{number}."
        mean, var = p[name + "running_mean"], p[name + "running_var"]
        if training:
            values = h.transpose(0, 1).flatten(1)
            mean, var = values.mean(1), values.var(1, correction=0)
            for key, value in (("running_mean", mean), ("running_var", values.var(1, correction=1))):
                p[name + key] = 0.9 * p[name + key] + 0.1 * value.detach()
        h = (h - mean.view(-1, 1, 1)) / (var.view(-1, 1, 1) + 1e-5).sqrt()
        h = (h * p[name + "weight"].view(-1, 1, 1) + p[name + "bias"].view(-1, 1, 1)).clamp(min=0)
    return h.mean((2, 3)) @ p["linear.weight"].T + p["linear.bias"]


def cross_entropy(logits, y):
    return -logits.log_softmax(1)[torch.arange(len(y)), y]


def kl(target, logits, temperature=1.0):
    """T^2 KL(p || q)."""
    p, q = (values.div(temperature).softmax(1) for values in (target, logits))
    return temperature**2 * (p * (p / q).log()).sum(1)


def attacked(p, x, start, objective, box=True, training=False, steps=2, step=STEP):
    """Steps of ascent of the sign of the gradient, in the ball and the box."""
    z = start
    for _ in range(steps):
        z = z.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(objective(scores(p, z, training)).sum(), z)
        z = torch.minimum(torch.maximum(z + step * gradient.sign(), x - EPS), x + EPS)
        z = z.clamp(0, 1) if box else z
    return z.detach()


def uniform(x, generator):
    """A uniform point of the part of the ball that lies in the box."""
    low, high = (x - EPS).clamp(min=0), (x + EPS).clamp(max=1)
    return low + torch.rand(x.shape, generator=generator, dtype=x.dtype) * (high - low)


def adversarial(p, x, y, generator, training=False):
    return attacked(p, x, uniform(x, generator), lambda logits: cross_entropy(logits, y), training=training)


def is_weight(name):
    return name.startswith(("body.conv", "linear")) or name.endswith((".weight", ".bias"))


def trained(recipe, data, loss, begin=lambda epoch, p: None, after=lambda epoch, p: None,
            rate=lambda epoch, step: LR * 0.1**epoch):
    """p after two epochs of SGD with momentum on loss(p, x, y, epoch, generator of the attack)."""
    seed = seeds(recipe)
    p = {name: value.double() for name, value in build(recipe, data, seed["init"]).state_dict().items()
         if name not in ("mean", "std") and "num_batches" not in name}
    order, attack = (torch.Generator().manual_seed(seed[name]) for name in ("order", "attack"))
    velocity = {name: 0.0 for name in p if is_weight(name)}
    for epoch in range(2):
        begin(epoch, p)
        for step, index in enumerate(torch.randperm(20, generator=order).split(8)):
            x, y = data.train.images[index], data.train.labels[index]
            for name in velocity:
                p[name] = p[name].detach().requires_grad_()
            gradients = torch.autograd.grad(loss(p, x, y, epoch, attack), [p[name] for name in velocity])
            for name, gradient in zip(velocity, gradients, strict=True):
                velocity[name] = MOMENTUM * velocity[name] + gradient + DECAY * p[name].detach()
                p[name] = p[name].detach() - rate(epoch, step) * velocity[name]
            after(epoch, p)
    return p


def assert_trained(state, p):
    assert {name for name in state if name not in ("mean", "std") and "num_batches" not in name} == set(p)
    for name, value in p.items():
        assert state[name].dtype == torch.float64
        torch.testing.assert_close(state[name], value, rtol=1e-9, atol=1e-11, msg=lambda text, name=name: name + text)


def ours(recipe, data, out):
    return train(recipe, data, out).model_state("last")


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_adversarial_training(double, tmp_path, mode):
    """In the attack's train mode each of its passes moves the running statistics, too."""
    recipe, data = recipe_named("at", [*WORDS, f"attack_mode={mode}"]), images()

    def loss(p, x, y, epoch, generator):
        z = adversarial(p, x, y, generator, mode == "train")
        return cross_entropy(scores(p, z, True), y).mean()
    p = trained(recipe, data, loss)
    assert_trained(ours(recipe, data, tmp_path)["model"], p)


def test_label_smoothing(double, tmp_path):
    """1 - b on the true class and b/(K-1) on each other in the loss; the attack raises the plain cross-entropy."""
    recipe, data = recipe_named("at", [*WORDS, "smoothing=0.3"]), images()

    def loss(p, x, y, epoch, generator):
        log_p = scores(p, adversarial(p, x, y, generator), True).log_softmax(1)
        target = torch.full_like(log_p, 0.3 / 2)
        target[torch.arange(len(y)), y] = 0.7
        return -(target * log_p).sum(1).mean()
    assert_trained(ours(recipe, data, tmp_path)["model"], trained(recipe, data, loss))


def test_adversarial_weight_perturbation(double, tmp_path):
    """The gradient at w + gamma |w| g/|g|, layer by layer, moves w itself (Wu et al. 2020); the ascent is no step."""
    recipe, data = recipe_named("at", [*WORDS, "awp=0.2", "awp_from=1/2"]), images()
    layers = ("body.conv1.weight", "body.conv2.weight", "linear.weight")

    def loss(p, x, y, epoch, generator):
        z, q = adversarial(p, x, y, generator), dict(p)
        if epoch == 1:
            value = cross_entropy(scores(dict(p), z, True), y).mean()
            for name, g in zip(layers, torch.autograd.grad(value, [p[name] for name in layers]), strict=True):
                q[name] = p[name] + 0.2 * (p[name].detach()**2).sum().sqrt() * g / (g**2).sum().sqrt()
        value = cross_entropy(scores(q, z, True), y).mean()
        p.update({name: q[name] for name in p if "running" in name})
        return value
    assert_trained(ours(recipe, data, tmp_path)["model"], trained(recipe, data, loss))


def test_fast_adversarial_training(double, tmp_path):
    """One step of 1.25 eps from a uniform start (Wong et al. 2020), the rate up to 2/5 of the training and down."""
    words = [word for word in WORDS if not word.startswith(("steps", "step", "drops"))]
    recipe, data = recipe_named("fast-at", [*words, "step=1/8", "probe_steps=none"]), images()
    assert (recipe.steps, float(recipe.step), recipe.schedule) == (1, 1.25 * EPS, "cyclic")

    def loss(p, x, y, epoch, generator):
        z = attacked(p, x, uniform(x, generator), lambda logits: cross_entropy(logits, y), steps=1, step=1.25 * EPS)
        return cross_entropy(scores(p, z, True), y).mean()

    def rate(epoch, step):
        t = (epoch + (step + 0.5) / 3) / 2  # at the middle of a step, three of which are an epoch
        return LR * (t / 0.4 if t < 0.4 else (1 - t) / 0.6)
    assert_trained(ours(recipe, data, tmp_path)["model"], trained(recipe, data, loss, rate=rate))


def test_a_pass_for_the_log_moves_running_statistics_alone(double, tmp_path):
    """Public code's pass of clean images in train mode after each step: the same weights, other statistics.

    So the conventions and the captions of the paper's tables say of `attack_mode=train`.
    """
    recipe, data = recipe_named("at", [*WORDS, "attack_mode=train"]), images()
    seen = []

    def loss(p, x, y, epoch, generator):
        if seen:
            scores(p, seen[-1], True)
        seen.append(x)
        return cross_entropy(scores(p, adversarial(p, x, y, generator, True), True), y).mean()
    theirs = trained(recipe, data, loss)
    scores(theirs, seen[-1], True)
    state = ours(recipe, data, tmp_path)["model"]
    for name, value in theirs.items():
        distance = (state[name] - value).norm() / value.norm()
        assert distance < 1e-9 if is_weight(name) else distance > 1e-3, name


@pytest.mark.parametrize("box", [True, False])
@pytest.mark.parametrize("folds", [True, False])
def test_trades(double, tmp_path, monkeypatch, folds, box):
    """The attack sees batch norm in eval mode, the loss in train mode, on clean images as on attacked ones.

    Its start is cut at neither ball nor box: a tenth of the pixels is black, another white.
    """
    supports = Folded.supports
    monkeypatch.setattr(Folded, "supports", staticmethod(lambda model: supports(model) and folds))
    recipe, data = recipe_named("trades", [*WORDS, "beta=3"]), images(box=(0.0, 1.0) if box else None)
    data.train.images.mul_(1.25).sub_(0.125).clamp_(0, 1)

    def loss(p, x, y, epoch, generator):
        start = x + 0.001 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        with torch.no_grad():
            target = scores(p, x, False)
        z = attacked(p, x, start, lambda logits: kl(target, logits), box=box)
        robust, clean = scores(p, z, True), scores(p, x, True)
        return (cross_entropy(clean, y) + 3 * kl(clean, robust)).mean()
    assert_trained(ours(recipe, data, tmp_path)["model"], trained(recipe, data, loss))


SELF = ["teacher=self", "teacher_from=1/2", "teacher_share=0.4", "temperature=2"]


def test_a_network_as_its_own_teacher(double, tmp_path):
    """The teacher is the network as it was after the first epoch, in eval mode, on the student's attacked images."""
    recipe, data, teacher = recipe_named("at", [*WORDS, *SELF]), images(), {}

    def begin(epoch, p):
        if epoch == 1:
            teacher.update({name: value.detach().clone() for name, value in p.items()})

    def loss(p, x, y, epoch, generator):
        z = adversarial(p, x, y, generator)
        logits = scores(p, z, True)
        labels = cross_entropy(logits, y)
        return ((0.6 * labels + 0.4 * kl(scores(teacher, z, False), logits, 2.0)) if teacher else labels).mean()
    p = trained(recipe, data, loss, begin)
    state = ours(recipe, data, tmp_path)
    assert_trained(state["model"], p)
    assert_trained(state["teachers"]["own"], teacher)  # its statistics have not moved either


def test_the_teacher_computes_in_float32_where_the_student_does_not(monkeypatch):
    recipe, data = recipe_named("at", [*WORDS, *SELF, "bf16=true"]), images(dtype=torch.float32)
    training = Training(recipe, data, "cpu")
    training.train_batch()
    training.epoch = 1
    training.begin_epoch()
    state = {name: value.double() for name, value in training.model.state_dict().items()}
    targets, divergence = [], deep.training.step.divergence
    monkeypatch.setattr(deep.training.step, "divergence", lambda logits, target, temperature: targets.append(
        (logits.detach().double(), target.double())) or divergence(logits, target, temperature))
    x, y = data.train.images[:8], data.train.labels[:8]
    with torch.no_grad():
        training.model.eval()
        training.losses(x, y, x, training.model(x))
    ((student, target),) = targets
    exact = scores(state, x.double(), False)
    assert (target - exact).norm() < 1e-5 * exact.norm()
    assert (student - exact).norm() > 1e-4 * exact.norm()  # bfloat16 is seen


def test_exponential_average(double, tmp_path):
    """From half of the epochs on, weights and statistics: first the network itself, then a seventh of the way to it."""
    words = ["average=ema", f"average_decay={6 / 7}", "average_from=1/2"]
    recipe, data, mean = recipe_named("at", [*WORDS, *words]), images(), {}

    def loss(p, x, y, epoch, generator):
        return cross_entropy(scores(p, adversarial(p, x, y, generator), True), y).mean()

    def after(epoch, p):
        if epoch == 1:
            for name, value in p.items():
                mean[name] = value.detach() / 7 + 6 * mean[name] / 7 if name in mean else value.detach().clone()
    p = trained(recipe, data, loss, after=after)
    state = ours(recipe, data, tmp_path)
    assert_trained(state["model"], p)
    average = {name.removeprefix("module."): value for name, value in state["average"].items()
               if name.startswith("module.")}
    assert_trained(average, mean)
    assert_trained(state["best_state"]["model"], mean)  # the average is what is evaluated and selected


@pytest.mark.parametrize(("trim", "dropped"), [("1/4", {8: 2, 4: 1}), ("1/8", {8: 1, 4: 0})])
def test_dropping_the_largest_losses(double, tmp_path, trim, dropped):
    """From half of the epochs on; the last batch of 20 images has four."""
    recipe, data = recipe_named("at", [*WORDS, f"trim={trim}", "trim_from=1/2"]), images()

    def loss(p, x, y, epoch, generator):
        losses = cross_entropy(scores(p, adversarial(p, x, y, generator), True), y)
        return losses.sort().values[:len(y) - dropped[len(y)] * epoch].mean()
    assert_trained(ours(recipe, data, tmp_path)["model"], trained(recipe, data, loss))
