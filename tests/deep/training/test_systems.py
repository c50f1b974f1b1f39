"""The systems of training: losses, teachers, dropping, averages, schedules, branches, and how exactly they resume."""

import math
import os
import signal
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch

from deep.attacks.pgd import Attack
from deep.data.dataset import Split
from deep.recipe.recipe import recipe_named, run_name
from deep.runs.folder import RunFolder
from deep.system.progress import epoch_note
from deep.training.branches import common_epochs
from deep.training.loop import Interrupted, Training, load_data, train
from deep.training.losses import batch_loss, divergence, label_loss, samples_kept
from deep.training.overfitting_probe import judged, probe

SHORT = ["epochs=4", "train_size=400", "val_size=60", "batch=100", "eval_every=1"]
ONE = ["epochs=4", "train_size=60", "val_size=9", "batch=60", "momentum=0", "eps=0.1", "step=0.1", "lr=0.05",
       "weight_decay=0.3"]
TINY = ["model=wideresnet", "depth=10", "width=4", "steps=1", "epochs=2", "batch=32", "train_size=64", "val_size=16",
        "eval_every=2", "eval_steps=1"]


def run_of(folder, *overrides, base=SHORT, **options):
    recipe = recipe_named("planted-linear", [*base, *overrides])
    return train(recipe, load_data(recipe), folder, **options)


def assert_equal(first, second):
    """The same values to the last bit, all the way down; clocks are left out."""
    assert type(first) is type(second)
    if isinstance(first, dict):
        keys = [{key for key in value if "second" not in str(key)} for value in (first, second)]
        assert keys[0] == keys[1]
        for key in keys[0]:
            assert_equal(first[key], second[key])
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_equal(one, other)
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    else:
        assert first == second


def assert_same_run(first, second):
    assert_equal(first.resume()[0] | {"recipe": None}, second.resume()[0] | {"recipe": None})
    assert_equal(first.metrics(), second.metrics())
    assert_equal(first.model_state("best"), second.model_state("best"))


# One step of a linear network f(x) = W x by hand, in float64.

class ByHand:
    """x, one-hot y and W of a planted training, with the exact attack z = x + eps sign((p - y) W)."""

    def __init__(self, *overrides, kind=ONE):
        self.recipe = recipe_named("planted-linear", [*kind, *overrides])
        self.training = Training(self.recipe, load_data(self.recipe), "cpu")
        self.x = self.training.data.train.images.double().flatten(1)
        self.labels = self.training.data.train.labels
        self.y = torch.zeros(len(self.x), 3, dtype=torch.float64)
        self.y[range(len(self.x)), self.labels] = 1

    @property
    def weight(self):
        return self.training.model.linear.weight.detach().double().clone()

    def p(self, x, weight, temperature=1.0):
        scores = (x @ weight.T / temperature).exp()
        return scores / scores.sum(1, keepdim=True)

    def attacked(self, weight):
        return self.x + 0.1 * torch.sign((self.p(self.x, weight) - self.y) @ weight)

    def updated(self, weight, slopes, z):
        """W - lr (gradient + decay W); slopes: derivatives of each sample's loss in its scores."""
        return weight - 0.05 * (slopes.T @ z / len(z) + 0.3 * weight)

    def taught(self, weight, z, teachers, temperature):
        """Slopes of (1 - sum s) CE + sum s T^2 KL(q || p), whose derivative in the scores is T (p - q)."""
        slopes = (1 - sum(share for share, _ in teachers)) * (self.p(z, weight) - self.y)
        for share, teacher in teachers:
            slopes += share * temperature * (self.p(z, weight, temperature) - self.p(z, teacher, temperature))
        return slopes

    def step(self):
        self.training.train_batch()
        self.training.step = 0  # one batch is an epoch
        return self.weight


def close(actual, expected, atol=1e-7):
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize("b", [0.0, 0.1, 0.6])
def test_smoothed_labels_are_one_minus_b_and_b_over_k_minus_one(classes, b):
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(20, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (20,), generator=generator)
    log_p = logits - logits.exp().sum(1, keepdim=True).log()
    true = log_p[range(20), labels]
    close(label_loss("cross-entropy", logits, labels, b),
          -(1 - b) * true - b / (classes - 1) * (log_p.sum(1) - true), 1e-12)


@pytest.mark.parametrize(("classes", "b"), [(3, 2 / 3), (3, 0.7), (10, 0.9), (10, 0.95), (3, -0.1), (3, math.nan)])
def test_smoothing_that_favours_no_class_is_refused(classes, b):
    with pytest.raises(ValueError, match=r"must be below \(K-1\)/K"):
        label_loss("cross-entropy", torch.zeros(2, classes), torch.zeros(2, dtype=torch.long), b)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_divergence_is_t_squared_kl_of_the_teacher_from_the_student(temperature):
    generator = torch.Generator().manual_seed(2)
    student, teacher = 4 * torch.randn(2, 15, 5, generator=generator, dtype=torch.float64)
    p = (teacher / temperature).exp()
    q = (student / temperature).exp()
    p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    close(divergence(student, teacher, temperature), temperature**2 * (p * (p / q).log()).sum(1), 1e-12)


@pytest.mark.parametrize(("n", "trim", "dropped"), [(10, 0.1, 1), (128, Fraction(1, 10), 13), (7, 0.5, 4),
                                                    (5, 0.05, 0)])
def test_the_largest_losses_are_dropped(n, trim, dropped):
    losses = torch.rand(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    largest = set(sorted(range(n), key=lambda i: -losses[i])[:dropped])
    assert sorted(samples_kept(losses, trim, "largest").tolist()) == sorted(set(range(n)) - largest)
    kept = sorted(losses.tolist())[:n - dropped]
    assert batch_loss(losses, None, trim).item() == pytest.approx(sum(kept) / len(kept), rel=1e-12)


def test_random_dropping_drops_as_many_drawn_from_the_generator():
    losses = torch.arange(100.0)
    shared = torch.Generator().manual_seed(5)
    first, again, next_one = (samples_kept(losses, 0.13, "random", generator).tolist()
                              for generator in (torch.Generator().manual_seed(5), shared, shared))
    assert first == again != next_one
    assert len(set(first)) == len(set(next_one)) == 87
    # every sample is dropped with probability .13, whatever its loss: 400 draws, five standard deviations
    counts = torch.zeros(100)
    for _ in range(400):
        counts[samples_kept(losses, 0.13, "random", shared)] += 1
    assert (counts / 400 - 0.87).abs().max() < 5 * math.sqrt(0.13 * 0.87 / 400)


def test_a_clipped_sample_has_no_gradient():
    losses = torch.tensor([0.5, 3.0, 2.5, 1.0], requires_grad=True)
    value = batch_loss(losses, clip=2.0)
    value.backward()
    assert value.item() == (0.5 + 2 + 2 + 1) / 4
    assert losses.grad.tolist() == [0.25, 0, 0, 0.25]


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_step_that_drops_the_largest_losses(epoch):
    hand = ByHand("trim=0.2", "trim_from=1/2")
    hand.training.epoch = epoch
    weight = hand.weight
    z = hand.attacked(weight)
    p = hand.p(z, weight)
    losses = -(p * hand.y).sum(1).log()
    kept = losses.argsort()[:48] if epoch == 2 else torch.arange(60)
    close(hand.step(), hand.updated(weight, (p - hand.y)[kept], z[kept]))
    # what is logged is the mean over all samples, and their accuracy
    assert hand.training.totals[0].item() == pytest.approx(losses.sum().item(), rel=1e-6)
    assert hand.training.totals[1].item() == (p.argmax(1) == hand.labels).sum()


def test_a_step_with_clipped_losses():
    hand = ByHand("clip=1.5")
    weight = hand.weight
    z = hand.attacked(weight)
    p = hand.p(z, weight)
    below = (-(p * hand.y).sum(1).log() < 1.5)[:, None]
    assert 5 < below.sum() < 55
    close(hand.step(), hand.updated(weight, (p - hand.y) * below, z))


def test_a_step_of_trades(monkeypatch):
    hand = ByHand("method=trades", "beta=2.5")
    z = hand.x + 0.3 * torch.randn(hand.x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # the batch comes in the order of a permutation
    monkeypatch.setattr(hand.training, "adversarial", lambda x, y: z[hand.training.order].float().view_as(x))
    weight = hand.weight.requires_grad_()
    p, q = hand.p(hand.x, weight), hand.p(z, weight)
    loss = (-(hand.y * p.log()).sum(1) + 2.5 * (p * (p / q).log()).sum(1)).mean()
    loss.backward()
    expected = (weight - 0.05 * (weight.grad + 0.3 * weight)).detach()
    close(hand.step(), expected)


def test_the_attack_of_trades_increases_the_divergence():
    hand = ByHand("method=trades", "beta=2.5", "random_start=true")
    x, y = hand.x.float().view_as(hand.training.data.train.images), hand.labels
    generator = torch.Generator()
    generator.set_state(hand.training.generators["attack"].get_state())
    start = 0.001 * torch.randn(x.shape, generator=generator).double().flatten(1)
    weight = hand.weight
    uphill = torch.sign((hand.p(hand.x + start, weight) - hand.p(hand.x, weight)) @ weight)  # of KL(p(x) || p(z)) in z
    expected = (start + 0.1 * uphill).clamp(-0.1, 0.1)
    actual = hand.training.adversarial(x, y).double().flatten(1) - hand.x
    assert ((actual - expected).abs() < 1e-5).double().mean() > 0.99  # a sign may turn where the slope is nearly 0


def test_a_step_of_standard_training():
    hand = ByHand("method=standard")
    weight = hand.weight
    close(hand.step(), hand.updated(weight, hand.p(hand.x, weight) - hand.y, hand.x))


@pytest.fixture(scope="module")
def robust(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("robust"), "epochs=2", "seed=3")


@pytest.fixture(scope="module")
def standard(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("standard"), "epochs=2", "seed=4", "method=standard")


def weight_of(run, which="best"):
    return run.model_state(which)["model"]["linear.weight"].double()


@pytest.mark.parametrize("which", ["best", "last"])
def test_a_step_of_distillation(robust, which):
    hand = ByHand(f"teacher={robust.path}" + (":last" if which == "last" else ""), "teacher_share=0.7", "temperature=3")
    weight = hand.weight
    z = hand.attacked(weight)
    close(hand.step(), hand.updated(weight, hand.taught(weight, z, [(0.7, weight_of(robust, which))], 3), z))


def test_a_step_with_a_robust_and_a_standard_teacher(robust, standard):
    hand = ByHand(f"teacher={robust.path}", "teacher_share=0.3", f"standard_teacher={standard.path}",
                  "standard_share=0.1")
    weight = hand.weight
    z = hand.attacked(weight)
    teachers = [(0.3, weight_of(robust)), (0.1, weight_of(standard))]
    close(hand.step(), hand.updated(weight, hand.taught(weight, z, teachers, 2), z))


def test_a_network_is_its_own_teacher_from_teacher_from_on():
    hand = ByHand("teacher=self", "teacher_share=0.6", "teacher_from=1/2")
    weight, own = hand.weight, []
    for epoch in range(4):
        hand.training.epoch = epoch
        hand.training.begin_epoch()
        if epoch == 2:
            own = [(0.6, weight)]  # and it stays: epoch 3 has the same teacher
        z = hand.attacked(weight)
        expected = hand.updated(weight, hand.taught(weight, z, own, 2), z)
        weight = hand.step()
        close(weight, expected)


def test_the_running_average_teaches_once_it_has_begun():
    hand = ByHand("teacher=average", "teacher_share=0.6", "average=ema", "average_decay=0.8")
    weight, average = hand.weight, None
    for epoch in range(4):
        hand.training.epoch = epoch
        hand.training.begin_epoch()
        z = hand.attacked(weight)
        expected = hand.updated(weight, hand.taught(weight, z, [(0.6, average)] if epoch else [], 2), z)
        weight = hand.step()
        close(weight, expected)
        average = weight if average is None else 0.8 * average + 0.2 * weight
        close(hand.training.average.module.linear.weight.double(), average)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_averages_of_weights(tmp_path, kind):
    seen = []
    decay = ["average_decay=0.7"] if kind == "ema" else []
    run = run_of(tmp_path, f"average={kind}", *decay, "average_from=1/2", progress=lambda training: seen.append(
        (training.epoch, training.step, training.model.linear.weight.detach().double().clone())))
    if kind == "ema":  # 0.7 average + 0.3 W after each of the last eight steps, beginning with W itself
        steps = [weight for epoch, step, weight in seen if epoch >= 2 and step]
        assert len(steps) == 8
        average = steps[0]
        for weight in steps[1:]:
            average = 0.7 * average + 0.3 * weight
    else:
        ends = [weight for epoch, step, weight in seen if not step]
        assert len(ends) == 4
        average = (ends[2] + ends[3]) / 2
    close(run.resume()[0]["average"]["module.linear.weight"].double(), average)
    assert [line["evaluated"] for line in run.metrics()] == ["network", "network", "average", "average"]


def test_the_average_is_what_the_best_checkpoint_holds(tmp_path):
    run = run_of(tmp_path, "average=swa", "eval_every=4")
    state = run.resume()[0]
    assert torch.equal(run.model_state("best")["model"]["linear.weight"], state["average"]["module.linear.weight"])
    assert not torch.equal(state["model"]["linear.weight"], state["average"]["module.linear.weight"])


MUCH = ["average=ema", "average_decay=0.9", "average_from=1/4", "teacher=self", "teacher_share=0.5",
        "teacher_from=1/4", "trim=0.1", "trim_kind=random", "trim_from=1/4"]
AVERAGE = ["average=ema", "average_decay=0.9", "average_from=1/4", "teacher=average", "teacher_share=0.5"]
SYSTEMS = {"own": MUCH, "average": AVERAGE, "swa": ["average=swa", "schedule=cyclic", "gradient_norm=0.1"],
           "trades": ["method=trades", "beta=6", "random_start=true", "clip=1.0"]}


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_an_interrupted_run_is_continued_to_the_last_bit(tmp_path, system):
    whole = run_of(tmp_path / "whole", *SYSTEMS[system])
    run_of(tmp_path / "stopped", *SYSTEMS[system], stop_after=2)
    assert_same_run(run_of(tmp_path / "stopped", *SYSTEMS[system]), whole)
    for epoch, step in ((1, 2), (2, 3)):
        def interrupt(training, at=(epoch, step)):
            if (training.epoch, training.step) == at:
                os.kill(os.getpid(), signal.SIGTERM)

        folder = tmp_path / f"{epoch}-{step}"
        with pytest.raises(Interrupted, match="signal 15 stopped the training"):
            run_of(folder, *SYSTEMS[system], progress=interrupt)
        state = RunFolder(folder / whole.path.name).resume()[0]
        assert (state["epoch"], state["step"]) == (epoch, step)
        assert_same_run(run_of(folder, *SYSTEMS[system]), whole)


@pytest.mark.slow
@pytest.mark.parametrize("system", [
    ["trim=0.1", "trim_from=1/3"], ["trim=0.1", "trim_kind=random", "trim_from=1/2"], ["clip=0.5", "trim_from=3/4"],
    ["teacher=self", "teacher_share=0.4", "teacher_from=1/2"], ["average=swa", "average_from=1/2"]])
def test_a_branch_is_the_run_from_scratch(tmp_path, system):
    trunk = run_of(tmp_path / "trunk", "keep_every=1")
    branch = run_of(tmp_path / "branch", *system, branch_of=trunk.path)
    assert '"epoch": 3' in (branch.path / "branch.json").read_text() if "trim_from=3/4" in system else \
        '"epoch": 2' in (branch.path / "branch.json").read_text()
    assert_same_run(branch, run_of(tmp_path / "scratch", *system))


@pytest.mark.slow
def test_a_branch_of_an_interrupted_trunk_has_its_best_checkpoint(tmp_path, monkeypatch):
    """The best epoch lies before the interruption, and no later one is better."""
    scores = {1: 0.9, 2: 0.5, 3: 0.4, 4: 0.3}
    monkeypatch.setattr("deep.training.epoch.training_line", lambda model, data, recipe, epoch, world, progress:
                        {"val_robust": scores[epoch], "robust": 0.0})
    run_of(tmp_path / "trunk", "keep_every=2", stop_after=1)
    trunk = run_of(tmp_path / "trunk", "keep_every=2")
    system = ["trim=0.1", "trim_from=1/2"]
    branch = run_of(tmp_path / "branch", *system, branch_of=trunk.path)
    assert branch.model_state("best")["epoch"] == 1
    assert_same_run(branch, run_of(tmp_path / "scratch", *system))


@pytest.mark.slow
def test_a_branch_is_refused_where_the_first_epochs_differ(tmp_path):
    trunk = run_of(tmp_path / "trunk", "keep_every=2")
    late = ["trim=0.1", "trim_from=1/2"]
    with pytest.raises(ValueError, match="keeps no checkpoint among the 0 epochs"):
        run_of(tmp_path, *late, "lr=0.01", branch_of=trunk.path)
    with pytest.raises(ValueError, match="keeps no checkpoint among the 1 epochs"):
        run_of(tmp_path, "trim=0.1", "trim_from=1/4", branch_of=trunk.path)
    bare = run_of(tmp_path / "bare")
    with pytest.raises(ValueError, match="keeps no checkpoint among the 2 epochs"):
        run_of(tmp_path / "other", *late, branch_of=bare.path)


@pytest.mark.parametrize(("first", "second", "epochs"), [
    ([], [], 200), ([], ["keep_every=10"], 200), ([], ["lr=0.05"], 0), ([], ["seed=1"], 0), ([], ["smoothing=0.1"], 0),
    ([], ["trim=0.1", "trim_from=3/4"], 150), ([], ["clip=2", "trim_from=1/3"], 67), ([], ["trim=0.1"], 0),
    (["trim=0.1", "trim_from=1/2"], ["trim=0.2", "trim_from=3/4"], 100),
    (["trim=0.1", "trim_from=1/2"], ["trim=0.1", "trim_kind=random", "trim_from=1/2"], 100),
    ([], ["teacher=self", "teacher_share=0.5", "teacher_from=1/4"], 50), ([], ["teacher=/a", "teacher_share=0.5"], 0),
    ([], ["average=swa", "average_from=1/2", "trim=0.1", "trim_from=1/4"], 50),
    (["average=swa", "average_from=1/2"], ["average=ema", "average_decay=0.9", "average_from=3/5"], 100),
    ([], ["trim=0.1", "trim_from=1/2", "lr=0.05"], 0)])
def test_how_many_epochs_two_recipes_share(first, second, epochs):
    first, second = recipe_named("at", first), recipe_named("at", second)
    assert common_epochs(first, second) == common_epochs(second, first) == epochs


class Masked(torch.nn.Module):
    """Class 0 by ((x - x0)/eps - 1/2)^2 - 0.1 about x0 = 0.75: right at x0 and x0 + eps, wrong half-way between.

    So one step of size eps finds nothing and small steps do. Images below one half are always of class 1.
    """

    def __init__(self, eps):
        super().__init__()
        self.eps = eps

    def forward(self, x):
        value = x.flatten(1)[:, 0]
        score = ((value - 0.75) / self.eps - 0.5) ** 2 - 0.1
        return torch.stack([torch.where(value > 0.5, score, -1.0), torch.zeros_like(value)], 1)


@pytest.mark.parametrize(("fragile", "expected"), [(100, True), (51, True), (50, False), (0, False)])
def test_a_network_that_resists_one_step_alone_is_catastrophic(fragile, expected):
    images = torch.tensor([0.75] * fragile + [0.25] * (100 - fragile)).view(-1, 1, 1, 1)
    labels = torch.tensor([0] * fragile + [1] * (100 - fragile))
    attack = Attack(Fraction(1, 10), Fraction(1, 10), 1, random_start=False)
    values = probe(Masked(0.1), SimpleNamespace(train=Split(images, labels)), attack, 10, seed=0)
    assert values == {"probe_training_attack": 1.0, "probe_pgd": 1 - fragile / 100, "catastrophic": expected}


class AsRight(torch.nn.Module):
    """Right on as many images of class 0 as `held` says for the attack at hand: scores by place, no gradient."""

    def __init__(self, held, classes):
        super().__init__()
        self.held, self.classes = iter(held), classes

    def forward(self, x):
        scores = torch.zeros(len(x), self.classes) + 0 * x.flatten(1)[:, :1]
        if not x.requires_grad:
            scores[next(self.held):, 1] = 1.0
        return scores


@pytest.mark.parametrize(("classes", "own", "pgd", "expected"), [
    (10, 9, 0, False),  # 1.8 % and 0 %: below chance, the network resists nothing
    (10, 60, 0, True), (10, 51, 0, False),  # 11.7 % and 10 %: the margin
    (10, 400, 10, True), (10, 400, 199, True), (10, 400, 200, False),
    (100, 60, 5, True), (100, 30, 0, False), (3, 170, 20, False), (3, 172, 20, True)])  # chance is 170.67 of 512
def test_catastrophic_overfitting_has_a_margin(classes, own, pgd, expected):
    split = Split(torch.full((600, 1, 1, 1), 0.5), torch.zeros(600, dtype=torch.long))
    attack = Attack(Fraction(1, 10), Fraction(1, 10), 1, random_start=False)
    values = probe(AsRight((own, pgd), classes), SimpleNamespace(train=split), attack, 2, seed=0)
    assert values == {"probe_training_attack": own / 512, "probe_pgd": pgd / 512, "catastrophic": expected}
    (line,) = judged([values | {"catastrophic": not expected, "epoch": 3}], classes)  # of a run by another rule
    assert line == values | {"epoch": 3}
    shown = epoch_note([values | {"epoch": 3, "images_per_second": 1.0, "train_loss": 1.0, "train_robust": 0.5}])
    assert f"probe: own attack {100 * own / 512:.1f} %, PGD {100 * pgd / 512:.1f} %" in shown
    assert ("catastrophic overfitting" in shown) is expected


@pytest.mark.slow
def test_a_healthy_network_is_not_catastrophic(tmp_path):
    """One full step is nearly the exact attack on a linear network of three classes: ten small ones find no more."""
    for line in run_of(tmp_path, "probe_steps=10").metrics():
        assert line["probe_training_attack"] == pytest.approx(line["probe_pgd"], abs=0.02)
        assert line["probe_pgd"] > 0.5
        assert line["catastrophic"] is False


@pytest.mark.slow
def test_the_probe_changes_nothing_in_training(tmp_path, cifar):
    runs = []
    for words in ([], ["probe_steps=2"]):
        recipe = recipe_named("at-cpu", [*TINY, *words])
        data = load_data(recipe, cifar)
        data = replace(data, test=Split(data.test.images[:100], data.test.labels[:100]))
        runs.append(train(recipe, data, tmp_path).resume()[0])
    for key in ("model", "optimiser", "generators", "best", "totals"):
        assert_equal(runs[0][key], runs[1][key])
    assert all("probe_pgd" in line for line in runs[1]["history"])


def test_the_recipe_of_fast_adversarial_training():
    fast = recipe_named("fast-at")
    assert (fast.eps, fast.step, fast.steps, fast.random_start) == (Fraction(8, 255), Fraction(10, 255), 1, True)
    assert (fast.epochs, fast.lr, fast.schedule, fast.probe_steps) == (30, 0.2, "cyclic", 10)
    assert fast.step == Fraction(5, 4) * fast.eps


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["cyclic", "cosine", "steps"])
def test_the_learning_rates_of_the_steps(tmp_path, schedule):
    rates = []
    run_of(tmp_path, f"schedule={schedule}", "lr=0.04", progress=lambda training: rates.append(
        training.optimiser.param_groups[0]["lr"]) if training.step else None)
    times = [(i + 0.5) / 16 for i in range(16)]  # four epochs of four steps, each at its middle
    expected = {"cyclic": [0.1 * t if t < 0.4 else 0.04 * (1 - t) / 0.6 for t in times],
                "cosine": [0.04 * math.cos(math.pi * t / 2) ** 2 for t in times],
                "steps": [0.04] * 8 + [0.004] * 4 + [0.0004] * 4}[schedule]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_a_large_gradient_is_shortened():
    moves = {}
    for bound in ("none", "0.01", "1000"):
        hand = ByHand("weight_decay=0", f"gradient_norm={bound}")
        moves[bound] = -hand.weight + hand.step()
    length = moves["none"].norm()
    assert length > 0.05 * 0.02  # the bound binds
    close(moves["0.01"], moves["none"] * (0.05 * 0.01 / length), 1e-7)
    assert torch.equal(moves["1000"], moves["none"])


def test_a_teacher_that_was_trained_again_is_refused(tmp_path):
    teacher = run_of(tmp_path / "teacher", "epochs=1")
    words = [f"teacher={teacher.path}", "teacher_share=0.5"]
    run_of(tmp_path, *words, stop_after=1)
    state = teacher.model_state("best")
    state["model"]["linear.weight"][0, 0] += 1e-3
    torch.save(state, teacher.path / "best.pt")
    with pytest.raises(ValueError, match="the teacher's weights are not those that this run began with"):
        run_of(tmp_path, *words)


def test_a_teacher_of_other_classes_is_refused(tmp_path, robust):
    recipe = recipe_named("planted-linear", [*SHORT, f"teacher={robust.path}", "teacher_share=0.5"])
    data = load_data(recipe)
    with pytest.raises(ValueError, match="knows 3 classes, but there are 4"):
        train(recipe, replace(data, classes=("a", "b", "c", "d")), tmp_path)


def test_a_teacher_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a run folder"):
        run_of(tmp_path, f"teacher={tmp_path / 'nowhere'}", "teacher_share=0.5")


def test_a_step_of_l2_training():
    hand = ByHand("norm=l2")
    assert hand.training.attack.norm == "l2"
    weight = hand.weight
    slope = (hand.p(hand.x, weight) - hand.y) @ weight
    z = hand.x + 0.1 * slope / slope.norm(dim=1, keepdim=True)
    close(hand.step(), hand.updated(weight, hand.p(z, weight) - hand.y, z), 1e-6)


def test_l2_training_of_a_network_on_real_images(cifar, monkeypatch):
    recipe = recipe_named("at-cpu", [*TINY, "norm=l2", "eps=128/255", "step=32/255", "padding=0", "flip=false"])
    training = Training(recipe, load_data(recipe, cifar), "cpu")
    x, y = training.batch()
    length = (training.adversarial(x, y) - x).double().flatten(1).norm(dim=1)
    assert (length <= 128 / 255).all()
    assert length.max() > 0.1
    before = training.model.linear.weight.detach().clone()
    training.train_batch()
    training.check_finite()
    assert not torch.equal(training.model.linear.weight, before)


@pytest.mark.slow
@pytest.mark.parametrize("average", [["average=ema", "average_decay=0.5"], ["average=swa"]])
def test_averages_hold_the_statistics_of_batch_norm(tmp_path, cifar, average):
    """Two steps an epoch, two epochs: running means averaged as the weights are."""
    recipe = recipe_named("at-cpu", [*TINY, *average])
    data = load_data(recipe, cifar)
    data = replace(data, test=Split(data.test.images[:100], data.test.labels[:100]))
    seen = []
    run = train(recipe, data, tmp_path / run_name(recipe), progress=lambda training: seen.append(
        (training.step, {key: value.double().clone() for key, value in training.model.state_dict().items()})))
    steps, ends = [state for step, state in seen if step], [state for step, state in seen if not step]
    final = run.resume()[0]["average"]
    for key in [key for key in steps[0] if key.endswith(("running_mean", "running_var", "linear.weight"))]:
        if average[0] == "average=swa":
            expected = (ends[0][key] + ends[1][key]) / 2
        else:
            expected = steps[0][key] / 8 + steps[1][key] / 8 + steps[2][key] / 4 + steps[3][key] / 2
        close(final["module." + key].double(), expected, 1e-6)
