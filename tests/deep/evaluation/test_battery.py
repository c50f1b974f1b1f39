"""The battery of attacks, its worst case, AutoAttack's adapter, the flags of masked gradients, and their command."""

import json
import math
import shutil
import signal
import sys
from dataclasses import replace
from fractions import Fraction
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

import deep.evaluation.battery
import deep.experiments.checkpoint_evaluation
import deep.training.loop
from deep.__main__ import main
from deep.attacks.autoattack import autoattack
from deep.attacks.pgd import Attack, pgd
from deep.data.dataset import Split, balanced
from deep.evaluation.accuracy import evaluation_attack, measure
from deep.evaluation.battery import attack_rounds, battery, correct, rounds_of, rows, target_class, worst_case
from deep.evaluation.gradient_masking import gap_flag, masking_flags, sign_test
from deep.networks.classifier import Classifier
from deep.recipe.recipe import recipe_named
from deep.runs.network import load_network
from deep.training.loop import load_data, train
from tests.support.linear import linear_problem, median_eps, radius

pytestmark = pytest.mark.slow

EPS = Fraction(8, 255)
ALL = ("pgd20", "pgd50x3", "apgd-ce", "apgd-dlr", "apgd-t")


def problem(norm, scale=1.0, classes=10):
    """A linear network, its images, an attack that breaks about half of them, and each image's exact robustness."""
    model, x, y = linear_problem(classes, scale)
    distance = radius(model, x, y, norm)
    eps = median_eps(distance)
    attack = Attack(eps, eps / 4, 20, norm=norm)
    return model, Split(x, y), attack, distance > float(eps)


def run_battery(model, split, attack, names, **options):
    outcome = measure(model, split, attack, seed=0)
    known = {"clean": outcome.clean, "robust": outcome.robust}
    trials = battery(model, split, {name: rounds_of(name, attack, len(model.linear.weight)) for name in names},
                     known, **options)
    return outcome, known, trials


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_worst_case_is_the_exact_robust_accuracy(norm):
    model, split, attack, robust = problem(norm)
    outcome, known, trials = run_battery(model, split, attack, ALL, batch=64)
    worst = worst_case(known, trials)
    assert int((worst != robust).sum()) <= 1  # the median itself lies on the boundary
    table = rows(known, trials)
    cumulative = [row["worst_case"]["correct"] for row in table]
    assert cumulative == sorted(cumulative, reverse=True)
    assert [row["attacked"] for row in table] == [int((outcome.clean & outcome.robust).sum()), *cumulative[:-1]]
    assert all(row["broken"] == row["attacked"] - row["worst_case"]["correct"] for row in table)
    assert all(row["accuracy"] is None for row in table)
    assert {row["worst_case"]["n"] for row in table} == {200}


def test_separate_attacks_have_accuracies_of_their_own():
    model, split, attack, robust = problem("linf")
    _, known, trials = run_battery(model, split, attack, ALL, separate=True)
    table = rows(known, trials)
    assert {row["attacked"] for row in table} == {180}
    own = {row["attack"]: row["accuracy"]["correct"] for row in table}
    assert all(own[row["attack"]] == 180 - row["broken"] for row in table)
    assert abs(own["apgd-t"] - int(robust.sum())) <= 1
    assert min(own.values()) >= int(worst_case(known, trials).sum())
    assert own["apgd-t"] <= own["pgd20"]
    together = run_battery(model, split, attack, ALL)[2]
    assert torch.equal(worst_case(known, trials), worst_case(known, together))


def test_each_round_attacks_the_survivors_only_and_batches_do_not_matter():
    model = nn.Linear(1, 2)
    split = Split(torch.arange(7.0)[:, None], torch.zeros(7, dtype=torch.long))
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0], [-1.0]]))  # class 0 iff x > -0.5
        model.bias.copy_(torch.tensor([0.5, 0.0]))
    asked, done = [], []

    def breaks(values):
        def points(model, x, y, generator):
            asked.append(x[:, 0].tolist())
            return torch.where(torch.isin(x, torch.tensor(values)), -9.0, x)
        return points

    alive = torch.tensor([True, True, True, True, True, False, True])
    broken = attack_rounds(model, split, [breaks([1.0, 5.0]), breaks([3.0]), breaks([1.0])], alive, 0, 4, done.append)
    assert asked == [[0, 1, 2, 3], [4, 6], [0, 2, 3, 4], [6], [0, 2, 4, 6]]
    assert broken.tolist() == [False, True, False, True, False, False, False]
    assert sum(done) == 3 * 6


def test_rounds_are_given_the_network_that_is_attacked_and_the_other_one_judges():
    model, folded, seen = nn.Linear(1, 2), nn.Linear(1, 2), []
    with torch.no_grad():
        for network, slope in ((model, -1.0), (folded, 1.0)):  # class 0 iff x < 0, and iff x > 0
            network.weight.copy_(torch.tensor([[slope], [0.0]]))
            network.bias.zero_()
    split = Split(torch.tensor([[-1.0], [-2.0]]), torch.zeros(2, dtype=torch.long))

    def points(network, x, y, generator):
        seen.append(network)
        return x + 1.5

    assert attack_rounds(model, split, [points], torch.ones(2) > 0, 0, attacked=folded).tolist() == [True, False]
    assert seen == [folded]


def test_what_a_name_means(monkeypatch):
    calls = []
    monkeypatch.setattr("deep.evaluation.battery.pgd", lambda model, x, y, attack, generator, any_iterate:
                        calls.append(attack) or x)
    monkeypatch.setattr("deep.evaluation.battery.apgd", lambda model, x, y, eps, norm, box, steps, objective, generator:
                        calls.append((eps, norm, box, steps, objective(torch.tensor([[3.0, 2.0, 0.0, -2.0]])).item()))
                        or SimpleNamespace(points=x))
    attack = Attack(Fraction(1, 8), Fraction(1, 64), 20, False, (0.0, 1.0), norm="l2")
    model, x, y = nn.Linear(1, 4), torch.zeros(1, 1), torch.tensor([0])
    with torch.no_grad():
        model.bias.copy_(torch.tensor([9.0, 1.0, 3.0, 2.0]))

    def run(name):
        calls.clear()
        for points in rounds_of(name, attack, 4):
            points(model, x, y, torch.Generator())
        return list(calls)

    assert run("pgd7") == [replace(attack, steps=7)]
    assert run("pgd50x3") == [replace(attack, steps=50, random_start=True)] * 3
    common = (Fraction(1, 8), "l2", (0.0, 1.0))
    (ce,) = run("apgd-ce")
    assert ce[:4] == (*common, 100)
    assert ce[4] == pytest.approx(torch.logsumexp(torch.tensor([0.0, -1.0, -3.0, -5.0]), 0).item(), rel=1e-5)
    assert run("apgd-dlr30") == [(*common, 30, pytest.approx(-1 / 3))]
    # wrong classes in the order of their scores at x: 2, 3, 1; the denominator is 3 - (0 - 2)/2 = 4
    assert run("apgd-t") == [(*common, 100, pytest.approx(value)) for value in (-3 / 4, -5 / 4, -1 / 4)]
    assert [len(rounds_of("apgd-t", attack, classes)) for classes in (2, 3, 10, 100)] == [1, 2, 9, 9]


@pytest.mark.parametrize("name", ["pgd6", "pgd6x2"])
def test_an_image_is_broken_by_any_iterate_of_pgd(name):
    """From x the loss rises to the right in steps of 1/8; class 1 has a window, which the last iterate has left."""
    class Window(nn.Module):
        def forward(self, z):
            moved = z[:, 0, 0, 0] - 0.5
            inside = ((moved > 0.2) & (moved < 0.3)).to(z.dtype)
            return torch.stack([0.5 - inside - 0.001 * moved, 0 * moved], 1)

    images = torch.tensor([0.5, 0.5 + 0.25, 0.5 - 0.6]).view(3, 1, 1, 1)  # passes it, begins in it, never reaches it
    labels = torch.zeros(3, dtype=torch.long)
    attack = Attack(Fraction(1, 2), Fraction(1, 8), 6, random_start=False, box=None)
    generator = torch.Generator().manual_seed(3)
    assert correct(Window(), pgd(Window(), images, labels, attack), labels).tolist() == [True, True, True]
    z = pgd(Window(), images, labels, attack, any_iterate=True)
    assert z.flatten().tolist() == pytest.approx([0.75, 0.75, -0.1 + 0.5])  # at 0.25 exactly, and the last one
    alive = torch.ones(3, dtype=torch.bool)
    broken = attack_rounds(Window(), Split(images, labels), rounds_of(name, attack, 2), alive, 0)
    assert broken.tolist() == [True, True, False] if name == "pgd6" else not broken[2]
    with pytest.raises(ValueError, match="may lie outside of the ball: leave one of the two out"):
        pgd(Window(), images, labels, replace(attack, near=0.001, random_start=True), generator, any_iterate=True)


def test_any_iterate_ends_when_all_are_found_and_changes_nothing_else():
    model, split, attack, _ = problem("l2")
    attack = replace(attack, eps=attack.eps * 4)  # most are broken
    runs = [pgd(model, split.images, split.labels, attack, torch.Generator().manual_seed(1), any_iterate=any_iterate)
            for any_iterate in (False, True)]
    held = [correct(model, z, split.labels) for z in runs]
    assert not (held[1] & ~held[0]).any()  # never weaker
    assert torch.equal(runs[0][held[1]], runs[1][held[1]])  # where none was found it is the last iterate
    asked = []
    model.linear.register_forward_pre_hook(lambda layer, inputs: asked.append(len(inputs[0])))
    pgd(model, split.images[:1], 1 - split.labels[:1].clamp(max=1), replace(attack, random_start=False),
        any_iterate=True)
    assert asked == [1]  # it was misclassified to begin with


def test_targets_are_ranked_without_the_true_class():
    model = nn.Linear(1, 4)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor([1.0, 4.0, 3.0, 2.0]))
    x, y = torch.zeros(2, 1), torch.tensor([1, 3])
    assert [target_class(model, x, y, rank).tolist() for rank in range(3)] == [[2, 1], [3, 2], [0, 0]]


@pytest.mark.parametrize("name", ["pgd", "pgd0", "pgd20x0", "apgd", "apgd-t0", "PGD20", "", "pgd20 ", "fab"])
def test_unknown_attacks(name):
    with pytest.raises(ValueError, match="was given, but known are pgdN"):
        rounds_of(name, Attack(Fraction(1, 8), Fraction(1, 8), 1), 10)


# What masks gradients, and the flags.

class Scaled(nn.Module):
    """The linear network with its layer and features, so that `measure` can be asked; forward may lie."""

    def __init__(self, network, change):
        super().__init__()
        self.network, self.change, self.linear = network, change, network.linear

    def features(self, x):
        return self.network.features(self.change(x))

    def forward(self, x):
        return self.linear(self.features(x))


def flags(model, split, attack):
    outcome = measure(model, split, attack, seed=0)
    return outcome, masking_flags(model, split, attack, outcome)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("classes", [3, 10])
def test_no_flag_on_a_healthy_network(norm, classes):
    model, split, attack, robust = problem(norm, 3.0, classes)
    outcome, raised = flags(model, split, attack)
    assert [flag for flag, values in raised.items() if values["flag"]] == []
    assert raised["zero_gradients"]["count"] == 0
    assert raised["zero_gradients"]["n"] == 180
    assert not gap_flag(outcome.clean & outcome.robust, robust)["flag"]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_large_logits_mask_cross_entropy_and_the_battery_breaks_through(norm):
    """Logits times 1e6 change no decision and no exact robustness; cross-entropy's gradient is exactly zero."""
    model, split, attack, robust = problem(norm, scale=1e6)
    outcome, known, trials = run_battery(model, split, attack, ["pgd20", "apgd-ce", "apgd-t"], separate=True)
    raised = masking_flags(model, split, attack, outcome)
    assert raised["zero_gradients"]["flag"]
    assert raised["zero_gradients"]["share"] > 0.95
    pgd_held = outcome.clean & outcome.robust
    assert pgd_held.sum() > 1.5 * robust.sum()
    worst = worst_case(known, trials)
    assert int((worst != robust).sum()) <= 1
    gap = gap_flag(pgd_held, worst)
    assert gap["flag"]
    assert gap["gap"]["correct"] == pytest.approx(int((pgd_held & ~robust).sum()), abs=1)
    own = {row["attack"]: row["accuracy"]["correct"] for row in rows(known, trials)}
    assert own["apgd-t"] < 0.7 * own["apgd-ce"]


def test_quantised_inputs_have_no_gradient_at_all():
    model, split, attack, _ = problem("linf")
    _, raised = flags(Scaled(model, lambda x: (32 * x).round() / 32), split, attack)
    assert raised["zero_gradients"] == {"flag": True, "share": 1.0, "count": raised["zero_gradients"]["n"],
                                        "n": raised["zero_gradients"]["n"], "threshold": 0.01}


class Reversed(torch.autograd.Function):
    """The identity, whose gradient has the wrong sign wherever `wrong` says so."""

    @staticmethod
    def forward(context, x, wrong):
        context.save_for_backward(wrong)
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        (wrong,) = context.saved_tensors
        return torch.where(wrong, -gradient, gradient), None


def test_a_gradient_that_points_away_is_seen_by_noise_and_by_the_clean_accuracy():
    model, split, attack, _ = problem("linf", classes=2)
    attack = replace(attack, eps=attack.eps * 2, step=attack.step * 2)
    lying = Scaled(model, lambda x: Reversed.apply(x, torch.ones_like(x, dtype=torch.bool)))
    _, raised = flags(lying, split, attack)
    assert raised["robust_above_clean"]["flag"]
    assert raised["robust_above_clean"]["robust"]["value"] > raised["robust_above_clean"]["clean"]["value"]
    assert raised["noise_stronger"]["flag"]
    assert raised["noise_stronger"]["noise"]["correct"] < raised["noise_stronger"]["pgd"]["correct"]
    assert not raised["zero_gradients"]["flag"]


def test_fgsm_stronger_than_pgd():
    """The gradient is honest at the images themselves alone: FGSM asks there, PGD after its first step elsewhere."""
    model, split, attack, _ = problem("linf")
    _, honest = flags(model, split, attack)

    def elsewhere(x):
        at_image = (x[:, None] == split.images[None]).flatten(2).all(2).any(1)
        return ~at_image.view(-1, 1, 1, 1).expand_as(x)

    _, raised = flags(Scaled(model, lambda x: Reversed.apply(x, elsewhere(x))), split, attack)
    assert raised["fgsm_stronger"]["flag"]
    assert raised["fgsm_stronger"]["fgsm"]["correct"] == honest["fgsm_stronger"]["fgsm"]["correct"]
    assert raised["fgsm_stronger"]["pgd"]["correct"] > 170
    assert not raised["zero_gradients"]["flag"]


def test_the_sign_test_by_hand():
    held = torch.ones(30, dtype=torch.bool)
    five, four = (torch.arange(30) >= n for n in (5, 4))
    assert sign_test(five, held) == {"flag": True, "only_first_wrong": 5, "only_second_wrong": 0, "p": 1 / 32}
    assert sign_test(four, held)["flag"] is False
    assert sign_test(held, five) == {"flag": False, "only_first_wrong": 0, "only_second_wrong": 5, "p": 1.0}
    assert sign_test(held, held)["p"] == 1.0


def test_the_gap_is_counted_on_the_samples_that_pgd_left():
    held = torch.arange(100) < 60
    # the Wilson interval of 12 in 100 begins at 0.070, that of 10 in 100 at 0.055
    assert gap_flag(held, (torch.arange(100) < 48) | ~held)["gap"]["correct"] == 12
    assert [gap_flag(held, torch.arange(100) < n)["flag"] for n in (60, 50, 48)] == [False, False, True]


def test_scores_that_are_not_finite_are_refused():
    model, split, _, _ = problem("linf")
    with torch.no_grad():
        model.linear.bias[0] = torch.nan
    with pytest.raises(ValueError, match="not finite numbers, so it has no accuracy"):
        correct(model, split.images, split.labels)


# AutoAttack, played by a module that records how it is called.

@pytest.fixture
def played(monkeypatch):
    record = SimpleNamespace(calls=[], shift=None)

    class AutoAttack:
        def __init__(self, model, norm="Linf", eps=0.3, seed=None, verbose=True, attacks_to_run=(), version="standard",
                     is_tf_model=False, device="cuda", log_path=None):
            self.model = model
            self.apgd_targeted, self.fab = SimpleNamespace(n_target_classes=9), SimpleNamespace(n_target_classes=9)
            record.calls.append({"norm": norm, "eps": eps, "version": version, "device": device, "seed": seed})

        def run_standard_evaluation(self, x, y, bs=250):
            assert math.ceil(len(x) / bs) > 0  # the package divides so, and fails where there is no image
            print("a warning of AutoAttack")
            record.calls[-1] |= {"bs": bs, "training": self.model.training, "n": len(x),
                                 "targets": (self.apgd_targeted.n_target_classes, self.fab.n_target_classes),
                                 "frozen": not any(p.requires_grad for p in self.model.parameters())}
            return record.shift(x)

    module = ModuleType("autoattack")
    module.AutoAttack = AutoAttack
    monkeypatch.setitem(sys.modules, "autoattack", module)
    return record


@pytest.mark.parametrize(("norm", "name"), [("linf", "Linf"), ("l2", "L2")])
def test_how_autoattack_is_called_and_what_it_returns_is_put_back_into_ball_and_box(played, norm, name, capsys):
    model, x, y = linear_problem(5)
    model.train()
    x[0] = 0.99  # the box binds
    eps = Fraction(1, 10)
    played.shift = lambda x: x + 7.0
    z = autoattack(model, x, y, eps, norm)
    assert played.calls == [{"norm": name, "eps": 0.1, "version": "standard", "device": torch.device("cpu"), "seed": 0,
                             "bs": 200, "n": 200, "training": False, "frozen": True, "targets": (4, 4)}]
    assert type(played.calls[0]["eps"]) is float
    d = z.double() - x.double()
    assert Fraction(d.abs().max().item()) <= eps
    assert d.flatten(1).norm(dim=1).max() <= 0.1 or norm == "linf"
    assert d.flatten(1).norm(p=torch.inf if norm == "linf" else 2, dim=1)[1:].min() > 0.0999
    assert z.max() <= 1
    assert model.training
    assert capsys.readouterr().out == ""  # standard output is the JSON's
    played.shift = lambda x: x
    assert torch.equal(autoattack(model, x, y, eps, norm), x)


def test_a_cheating_autoattack_counts_for_nothing(played):
    """Images of another class from far outside of the ball: after projection they break what the ball allows only."""
    model, split, attack, robust = problem("linf")
    other = torch.stack([split.images[split.labels != label][0] for label in split.labels])
    alive = correct(model, split.images, split.labels)
    played.shift = lambda x: other[:len(x)]
    broken = attack_rounds(model, split, rounds_of("autoattack", attack, 10), alive, 0)
    assert not (broken & robust).any()
    played.shift = lambda x: torch.full_like(x, torch.nan)
    with pytest.raises(ValueError, match="not finite numbers"):
        attack_rounds(model, split, rounds_of("autoattack", attack, 10), alive, 0)
    played.shift = lambda x: x[:, :, :2]
    with pytest.raises(ValueError, match="returned points of shape"):
        attack_rounds(model, split, rounds_of("autoattack", attack, 10), alive, 0)


def test_where_no_image_is_left_nothing_is_asked(played):
    """The first attack breaks every image: those after it have nothing to do, and all results are there."""
    model, split, attack, _ = problem("linf")
    empty = split.images[:0]
    assert autoattack(model, empty, split.labels[:0], attack.eps).shape == (0, 1, 4, 6)
    assert played.calls == []
    asked = []

    def all_wrong(model, x, y, generator):
        asked.append(len(x))
        return split.images[(split.labels[None] != y[:, None]).double().argmax(1)]

    clean = correct(model, split.images, split.labels)
    some = clean & (torch.arange(200) < 7)
    model.linear.register_forward_pre_hook(lambda layer, inputs: asked.append(-len(inputs[0])))
    trials = battery(model, split, {"all": [all_wrong] * 2, "autoattack": rounds_of("autoattack", attack, 10)},
                     {"clean": some})
    assert [int(trial.broken.sum()) for trial in trials] == [int(some.sum()), 0]
    assert asked == [int(some.sum()), -int(some.sum())] and played.calls == []
    assert [row["worst_case"]["correct"] for row in rows({"clean": some}, trials)] == [0, 0]


def test_three_classes_are_a_sentence_before_anything_is_asked(played):
    model, x, y = linear_problem(3)
    for n in (0, 5):
        with pytest.raises(ValueError, match="3 classes were given, but AutoAttack's targeted loss needs at least 4"):
            autoattack(model, x[:n], y[:n], EPS)
    assert played.calls == []


@pytest.mark.parametrize(("box", "classes", "sentence"), [
    (None, 10, "keeps pixels in"), ((0.0, 255.0), 10, "keeps pixels in"), ((0.0, 1.0), 3, "needs at least 4"),
    ((0.0, 1.0), 10, "pip install git")])
def test_where_autoattack_cannot_be_used(box, classes, sentence, monkeypatch):
    monkeypatch.setitem(sys.modules, "autoattack", None)  # as if it were not installed
    with pytest.raises(ValueError, match=sentence):
        rounds_of("autoattack", Attack(Fraction(1, 8), Fraction(1, 32), 20, box=box), classes)


# A trained network, and the command.

@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    recipe = recipe_named("planted-cnn", ["epochs=2", "eval_every=2", "train_size=2000", "val_size=60", "width=4"])
    return train(recipe, load_data(recipe), tmp_path_factory.mktemp("runs"))


def test_on_a_trained_network_no_attack_is_stronger_than_the_worst_case(trained):
    data = load_data(trained.recipe())
    split = Split(data.test.images[:600], data.test.labels[:600])
    model = load_network(trained, data, "last")
    attack = evaluation_attack(trained.recipe(), data.box, steps=20)
    outcome, known, trials = run_battery(model, split, attack, ["pgd20", "apgd-ce30", "apgd-t30"], separate=True)
    own = {row["attack"]: row["accuracy"]["correct"] for row in rows(known, trials)}
    assert 60 < own["pgd20"] < outcome.clean.sum()
    assert own["apgd-ce30"] <= own["pgd20"]
    assert worst_case(known, trials).sum() <= min(own.values())
    assert not any(values["flag"] for values in masking_flags(model, split, attack, outcome).values())


def command(capsys, *words):
    assert main(["evaluate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command(trained, capsys):
    path = str(trained.path)
    words = [path, "--checkpoint", "last", "--limit", "150"]
    (plain,) = command(capsys, *words)
    assert plain["n_test"] == plain["clean"]["n"] == plain["robust"]["n"] == 150
    assert list(plain["sanity"]) == ["zero_gradients", "fgsm_stronger", "noise_stronger", "robust_above_clean"]
    assert "attacks" not in plain
    data = load_data(trained.recipe())
    sample = balanced(data.test.labels, 150)
    outcome = measure(load_network(trained, data, "last"), Split(data.test.images[sample], data.test.labels[sample]),
                      evaluation_attack(trained.recipe(), data.box, steps=20), seed=0)
    assert plain["clean"]["correct"] == outcome.clean.sum()
    assert plain["robust"]["correct"] == outcome.robust.sum()
    (full,) = command(capsys, *words, "--attacks", "pgd10x2,apgd-ce20,apgd-t20", "--separate")
    assert {key: full[key] for key in plain if key != "sanity"} == {key: plain[key] for key in plain if key != "sanity"}
    assert [row["attack"] for row in full["attacks"]] == ["pgd10x2", "apgd-ce20", "apgd-t20"]
    assert full["worst_case"] == full["attacks"][-1]["worst_case"]
    assert full["worst_case"]["correct"] <= min(row["accuracy"]["correct"] for row in full["attacks"])
    assert full["sanity"]["gap"]["gap"]["correct"] == (outcome.clean & outcome.robust).sum() \
        - full["worst_case"]["correct"]
    assert json.loads((trained.path / "battery-last-sample150.json").read_text()) == full
    assert json.loads((trained.path / "evaluate-last-sample150.json").read_text()) == plain
    assert not (trained.path / "evaluate-last.json").exists()


def test_the_battery_at_an_eps_of_its_own_is_named_apart(trained, capsys):
    """The results under the recipe's eps stay; every attack is in the ball of --eps, that of PGD too."""
    words = [str(trained.path), "--checkpoint", "last", "--limit", "60", "--attack-steps", "2", "--attacks", "apgd-ce3"]
    (own,) = command(capsys, *words)
    kept = (trained.path / "battery-last-sample60.json").read_bytes()
    (small,) = command(capsys, *words, "--eps", "1/1000")
    assert (own["eps"], small["eps"]) == ("1/5", "1/1000")
    assert small["attack"].startswith("PGD-2 linf eps 1/1000 step 1/4000")
    assert own["worst_case"]["correct"] < small["worst_case"]["correct"] <= small["clean"]["correct"]
    assert json.loads((trained.path / "battery-last-eps1of1000-sample60.json").read_text()) == small
    command(capsys, *words[:-2], "--eps", "1/1000")
    assert (trained.path / "evaluate-last-eps1of1000-sample60.json").exists()
    (again,) = command(capsys, *words, "--eps", "0.2")  # the recipe's own, in other words
    assert again == own and (trained.path / "battery-last-sample60.json").read_bytes() == kept


def test_a_sample_of_a_set_sorted_by_class_is_balanced_and_says_so(trained, capsys, monkeypatch):
    """Clean and robust accuracy of all images lie in the interval of the sample's; the first images are one class."""
    data = load_data(trained.recipe())
    order = data.test.labels.argsort(stable=True)
    by_class = replace(data, test=Split(data.test.images[order], data.test.labels[order]))
    monkeypatch.setattr("deep.training.loop.load_data", lambda recipe, folder: by_class)
    words = [str(trained.path), "--checkpoint", "last", "--attack-steps", "1"]
    (part,), (whole,) = command(capsys, *words, "--limit", "300"), command(capsys, *words, "--limit", "999999")
    assert by_class.test.labels[balanced(by_class.test.labels, 300)].bincount().tolist() == [100] * 3
    for kind in ("clean", "robust"):
        low, high = part[kind]["interval"]
        assert part[kind]["n"] == part["n_test"] == 300
        assert low < whole[kind]["value"] < high
    assert part["sample"] == f"a fixed sample of the {len(order)} test images, balanced by class"
    assert (whole["sample"], whole["n_test"]) == (None, len(order))
    (path,) = trained.path.glob("evaluate-last-on-????????.json")  # of images in another order than the run's own
    assert json.loads(path.read_text()) == whole
    assert main(["evaluate", *words, "--limit", "30"]) == 0
    assert f"n = 30, a fixed sample of the {len(order)} test images, balanced by class" in capsys.readouterr().out


def test_square_in_the_command(trained, capsys):
    (found,) = command(capsys, str(trained.path), "--checkpoint", "last", "--limit", "50", "--attacks", "square30")
    (row,) = found["attacks"]
    held = found["worst_case"]["correct"]
    assert row["attacked"] - row["broken"] == held and row["attack"] == "square30"
    flag = found["sanity"]["square_stronger"]
    assert flag["broken_by_square_alone"]["correct"] == row["broken"] <= 2 and not flag["flag"]
    assert "gap" not in found["sanity"]  # Square is no attack on differences of logits


class Attacks:
    """Counts the attacks of batteries, and stops the process in the middle of the one called `stop_at`, from 1 on."""

    def __init__(self, monkeypatch):
        self.count, self.plain, self.stop_at, self.original = 0, 0, None, deep.evaluation.battery.attack_rounds
        monkeypatch.setattr(deep.evaluation.battery, "attack_rounds", self.attack)
        measured = deep.experiments.checkpoint_evaluation.attack_test_images

        def attack_test_images(*arguments):
            self.plain += 1
            return measured(*arguments)
        monkeypatch.setattr(deep.experiments.checkpoint_evaluation, "attack_test_images", attack_test_images)

    def attack(self, *arguments, **options):
        self.count += 1
        if self.count == self.stop_at:
            signal.raise_signal(signal.SIGINT)
        return self.original(*arguments, **options)

    def stopped(self, words, stop_at):
        self.count, self.plain, self.stop_at = 0, 0, stop_at
        assert main(words) == 130
        self.count, self.plain, self.stop_at = 0, 0, None


BATTERY = ["--checkpoint", "last", "--limit", "40", "--attacks", "pgd2,apgd-ce3,apgd-t2"]


def test_an_interrupted_battery_goes_on_after_its_last_attack(trained, tmp_path, monkeypatch, capsys):
    run, attacks = shutil.copytree(trained.path, tmp_path / "run"), Attacks(monkeypatch)
    whole = command(capsys, str(run), *BATTERY)
    assert (attacks.plain, attacks.count) == (1, 3)
    before = {path.name for path in run.iterdir()}
    for stop_at in (1, 2, 3):
        attacks.stopped(["evaluate", str(run), *BATTERY], stop_at)
        assert "the same command goes on after the last attack that has ended." in capsys.readouterr().err
        assert command(capsys, str(run), *BATTERY) == whole
        assert (attacks.plain, attacks.count) == (0, 4 - stop_at)
    assert {path.name for path in run.iterdir()} == before  # nothing is unfinished
    attacks.count = 0
    assert command(capsys, str(run), *BATTERY) == whole
    assert attacks.count == 3  # what is finished is measured anew


def test_a_battery_of_two_checkpoints_goes_on_in_the_second(trained, tmp_path, monkeypatch, capsys):
    """The attacks on the first, which is finished, have ended, too."""
    run, attacks = shutil.copytree(trained.path, tmp_path / "run"), Attacks(monkeypatch)
    state = torch.load(run / "last.pt", weights_only=True)
    state["model"]["linear.weight"][0, 0] += 1e-3  # the best is another
    torch.save(state, run / "last.pt")
    words = [str(run), "--limit", "40", "--attacks", "pgd2,apgd-ce3"]
    whole = command(capsys, *words)
    before = {path.name for path in run.iterdir()}
    attacks.stopped(["evaluate", *words], 4)
    assert command(capsys, *words) == whole
    assert (attacks.plain, attacks.count) == (0, 1)
    assert {path.name for path in run.iterdir()} == before


@pytest.mark.parametrize(("change", "new"), [
    (["--separate"], 3), (["--attack-steps", "3"], 3), (["--limit", "41"], 3), ("weights", 3), ("labels", 3),
    (["--attacks", "pgd2,apgd-t2"], 1), (["--attacks", "apgd-ce3,pgd2"], 2), (["--attacks", "pgd2,apgd-ce4"], 1)])
def test_another_battery_takes_nothing_up(trained, tmp_path, monkeypatch, capsys, change, new):
    """But the first attacks, where they are the same: the battery of these was interrupted in its third."""
    run, attacks = shutil.copytree(trained.path, tmp_path / "run"), Attacks(monkeypatch)
    words = list(BATTERY)
    attacks.stopped(["evaluate", str(run), *words], 3)
    if change == "weights":
        state = torch.load(run / "last.pt")
        state["model"]["linear.weight"][0, 0] += 1e-3
        torch.save(state, run / "last.pt")
    elif change == "labels":
        load = deep.training.loop.load_data

        def relabelled(*arguments):
            data = load(*arguments)
            return replace(data, test=Split(data.test.images, data.test.labels.flip(0)))
        monkeypatch.setattr(deep.training.loop, "load_data", relabelled)
    else:
        words += change
    command(capsys, str(run), *words)
    assert attacks.count == new


def test_a_damaged_unfinished_battery_is_measured_again(trained, tmp_path, monkeypatch, capsys):
    run, attacks = shutil.copytree(trained.path, tmp_path / "run"), Attacks(monkeypatch)
    attacks.stopped(["evaluate", str(run), *BATTERY], 3)
    (path,) = run.glob("*-unfinished.json")
    path.write_text(path.read_text()[:-20])
    command(capsys, str(run), *BATTERY)
    assert (attacks.plain, attacks.count) == (1, 3)


def test_what_is_printed(trained, capsys):
    words = ["evaluate", str(trained.path), "--checkpoint", "last", "--limit", "40", "--attacks", "apgd-t5"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "n = 40" in out
    assert "worst case with apgd-t5" in out
    assert "attacked" in out
    assert "sanity: no flag of zero_gradients, fgsm_stronger, noise_stronger, robust_above_clean, gap" in out


@pytest.mark.parametrize(("words", "sentence"), [
    (["--attacks", "pgd20,fgsm"], "the attack 'fgsm' was given, but known are"),
    (["--attacks", ""], "the attack '' was given"),
    (["--attacks", "autoattack"], "keeps pixels in [0, 1]"),
    (["--limit", "0"], "--limit = 0 was given"),
    (["--separate"], "--separate was given without --attacks"),
    (["--eps", "8"], "--eps = 8 was given, but it is a fraction of the pixel range"),
    (["--eps", "0"], "--eps = 0 was given, but no attack moves an image then"),
])
def test_refusals(words, sentence, trained, capsys):
    assert main(["evaluate", str(trained.path), *words]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert len(err.strip().splitlines()) == 1


def test_the_recipes_norm_and_its_step_reach_the_evaluation():
    recipe = SimpleNamespace(eps=Fraction(128, 255), eval_steps=20, random_start=True, loss="cross-entropy", norm="l2")
    attack = evaluation_attack(recipe, (0.0, 1.0))
    assert (attack.norm, attack.step, attack.steps) == ("l2", Fraction(16, 255), 20)
    recipe.norm = "linf"
    assert evaluation_attack(recipe, None).step == Fraction(32, 255)


def test_classifier_scores_are_those_of_measure():
    """`measure` asks features and the last layer, the battery the network: they must agree."""
    model, split, attack, _ = problem("linf")
    outcome = measure(model, split, attack, seed=0)
    assert torch.equal(outcome.clean, correct(model, split.images, split.labels))
    z = pgd(model, split.images, split.labels, attack, torch.Generator().manual_seed(0))
    assert torch.equal(outcome.robust, correct(model, z, split.labels))
    assert isinstance(model, Classifier)
