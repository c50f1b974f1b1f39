"""The finite-sample experiment: exact pieces against brute force, sampling and autograd; the committed results."""

import hashlib
import itertools
import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

import synthmodel.flows.finite_sample as module
from figures.theory import finite_sample as figure
from synthmodel.claims.checks.samples import check_d3
from synthmodel.flows import linear_training as linear
from synthmodel.flows.finite_sample import experiment, parts, summary, transplanted, without_noise
from synthmodel.flows.linear_training import (
    descend,
    distilled,
    draw,
    gradient,
    one_hot,
    orthant,
    robust_accuracy,
    sample_accuracy,
    scores,
    worst_case,
)
from tests.conftest import assert_draws

COMMITTED = json.loads(figure.DATA.read_text())
ROOT = Path(module.__file__).parents[2]


def random_weights(noise_dims, seed, size=1.0):
    """Weights that classify, with errors everywhere: the theory's two weights and a normal rest."""
    rng = np.random.default_rng(seed)
    signal = np.hstack([np.eye(3), 0.5 * (1 - np.eye(3)), np.zeros((3, noise_dims))])
    return size * (signal + 0.15 * rng.standard_normal((3, 6 + noise_dims)))


def cross_entropy(weights, x):
    """Hard-label loss (3, n) of inputs (3, n, D) by class."""
    values = scores(weights, x)
    own = np.take_along_axis(values, np.arange(3)[:, None, None].repeat(x.shape[1], 1), -1)[..., 0]
    return np.logaddexp.reduce(values, -1) - own


@pytest.mark.parametrize("h", [-2.0, 0.0, 0.7])
@pytest.mark.parametrize("k", [-1.3, 0.0, 2.5])
@pytest.mark.parametrize("rho", [-0.95, 0.0, 0.3, 0.99])
def test_orthant_by_scipy(h, k, rho):
    exact = multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([h, k])
    assert float(orthant(h, k, rho)) == pytest.approx(float(exact), abs=1e-7)  # scipy's own accuracy is 1e-8


@pytest.mark.parametrize("seed", range(4))
def test_population_accuracy_by_sampling(seed):
    """200,000 draws a class in 16 coordinates, each margin against its own worst box vertex, in standard errors."""
    weights, n = random_weights(10, seed), 200_000
    sampled = float(sample_accuracy(weights, draw(n, 10, np.random.default_rng(seed))))
    exact = float(robust_accuracy(weights))
    error = math.sqrt(exact * (1 - exact) / (3 * n))
    assert abs(sampled - exact) < 4 * error
    assert error < 7e-4
    wrong = float(robust_accuracy(weights * np.r_[np.ones(6), 1.03 * np.ones(10)]))
    assert abs(sampled - wrong) > 4 * error  # three per cent more weight on the noise are seen


def test_sample_accuracy_by_brute_force():
    """An input counts as right iff no vertex of the box turns it wrong."""
    weights, x = random_weights(3, 0), draw(40, 3, np.random.default_rng(0))
    right = np.ones((3, 40), bool)
    for vertex in itertools.product((-linear.EPS, linear.EPS), repeat=9):
        right &= scores(weights, x + np.array(vertex)).argmax(-1) == np.arange(3)[:, None]
    assert 0.1 < right.mean() < 0.95
    assert float(sample_accuracy(weights, x)) == right.mean()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [0.1, 1.0, 8.0])
def test_the_attack_is_the_worst_vertex(seed, size):
    """All 2^10 vertices of a box in ten coordinates; some weights are zero or equal, where signs are undecided."""
    weights, x = random_weights(4, seed, size), draw(15, 4, np.random.default_rng(seed))
    weights[:, 7] = 0
    weights[1, 8] = weights[0, 8]
    weights[:, 9] = weights[0, 9]
    best = np.full((3, 15), -np.inf)
    for vertex in itertools.product((-0.3, 0.3), repeat=10):
        best = np.maximum(best, cross_entropy(weights, x + np.array(vertex)))
    delta = worst_case(weights, x, 0.3)
    assert np.abs(delta).max() <= 0.3
    assert cross_entropy(weights, x + delta) == pytest.approx(best, rel=1e-12)


def test_one_vertex_for_each_class_is_not_the_worst():
    """delta* of A1, -eps sign of W_i - mean of the others, is the worst for two weights but not for general ones."""
    def symmetric(weights):
        return -0.2 * np.sign(linear.differences(weights).mean(-2))[:, None]
    x = draw(50, 100, np.random.default_rng(0))
    general, two = random_weights(100, 0), np.hstack([np.eye(3), 0.5 * (1 - np.eye(3)), np.zeros((3, 100))])
    gain = cross_entropy(general, x + worst_case(general, x, 0.2)) - cross_entropy(general, x + symmetric(general))
    assert gain.min() >= 0
    assert gain.mean() > 0.1
    assert cross_entropy(two, x + worst_case(two, x, 0.2)) == pytest.approx(cross_entropy(two, x + symmetric(two)))


def test_no_pgd_finds_more():
    """106 coordinates: 50 sign steps from ten random starts never exceed the exact attack, and come near it."""
    weights, x = random_weights(100, 1), draw(10, 100, np.random.default_rng(1))
    exact = cross_entropy(weights, x + worst_case(weights, x, 0.2))
    found, rng = np.full(exact.shape, -np.inf), np.random.default_rng(2)
    for _ in range(10):
        delta = rng.uniform(-0.2, 0.2, x.shape)
        for _ in range(50):
            values = scores(weights, x + delta)
            p = np.exp(values - values.max(-1, keepdims=True))
            p /= p.sum(-1, keepdims=True)
            delta = np.clip(delta + 0.05 * np.sign((p - np.eye(3)[:, None]) @ weights), -0.2, 0.2)
        found = np.maximum(found, cross_entropy(weights, x + delta))
    assert (found <= exact + 1e-12).all()
    assert np.mean(exact - found) < 0.01


@pytest.mark.parametrize("b", [0.0, 0.3])
def test_the_gradient_by_autograd(b):
    weights, x = random_weights(5, 0), draw(7, 5, np.random.default_rng(0))
    variable = torch.tensor(weights, requires_grad=True)
    labels = torch.arange(3).repeat_interleave(7)
    logits = torch.tensor(x).flatten(0, 1) @ variable.T
    loss = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=1.5 * b)  # torch's beta is K b/(K-1)
    loss.backward()
    found = gradient(weights, x, one_hot(b)(x))
    assert found == pytest.approx(variable.grad.numpy(), abs=1e-14)
    assert np.abs(found - gradient(weights, x, one_hot(b + 0.01)(x))).max() > 1e-4


def test_descent_is_torch_sgd():
    """Five steps of torch's SGD with momentum on the loss at the attacked inputs."""
    x = draw(6, 4, np.random.default_rng(0))[None]
    variable = torch.zeros(3, 10, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([variable], lr=0.1, momentum=0.9)
    labels = torch.arange(3).repeat_interleave(6)
    for _ in range(5):
        attacked = torch.tensor(x + worst_case(variable.detach().numpy()[None], x, linear.EPS)).flatten(0, 2)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(attacked @ variable.T, labels).backward()
        optimiser.step()
    history = descend(x, one_hot(0.0), [2, 5])
    assert history.shape == (2, 1, 3, 10)
    assert history[-1, 0] == pytest.approx(variable.detach().numpy(), abs=1e-14)


def test_seeds_in_one_batch_do_not_mix():
    x = np.stack([draw(5, 4, np.random.default_rng(seed)) for seed in (0, 1)])
    both = descend(x, one_hot(0.1), [10])
    alone = [descend(x[[seed]], one_hot(0.1), [10])[:, 0] for seed in (0, 1)]
    assert both == pytest.approx(np.stack(alone, 1), abs=1e-13)


def test_distillation_on_the_attacked_inputs_ends_at_the_teacher():
    """N5 with lam = 0: at W = T the gradient vanishes on adversarial inputs, not with targets from clean ones."""
    teacher, x = random_weights(4, 0)[None], draw(20, 4, np.random.default_rng(0))[None]
    attacked = x + worst_case(teacher, x, 0.2)
    assert np.abs(gradient(teacher, attacked, distilled(teacher)(attacked))).max() < 1e-16
    assert np.abs(gradient(teacher, attacked, distilled(teacher, clean=x)(attacked))).max() > 0.01


def test_parts_of_known_weights():
    rng, centred = np.random.default_rng(0), np.eye(3) - 1 / 3
    rest = rng.standard_normal((3, 20))
    rest -= rest.mean(0)
    weights = np.hstack([2.0 * centred, -0.7 * centred, rest])
    noise = np.linalg.norm(rest) / math.sqrt(2)
    expected = (2.0, 0.7, noise, 0.7 / math.sqrt(4 + 0.49 + noise ** 2))
    assert [float(value) for value in parts(weights)] == pytest.approx(expected, rel=1e-12)
    assert [float(value) for value in parts(weights + rng.standard_normal(26))] == pytest.approx(expected, rel=1e-12)
    skew = np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]])  # orthogonal to I - J/3: it counts as rest
    more = weights + np.hstack([0.1 * skew, np.zeros((3, 23))])
    assert float(parts(more)[0]) == pytest.approx(2.0, rel=1e-12)
    assert float(parts(more)[2]) == pytest.approx(math.hypot(noise, 0.1 * math.sqrt(3)), rel=1e-12)


def test_surgery_touches_one_block():
    final, early = random_weights(5, 0, 3.0), random_weights(5, 1)
    cleaned, mixed = without_noise(final), transplanted(final, early)
    assert (cleaned[:, :6] == final[:, :6]).all()
    assert not cleaned[:, 6:].any()
    assert (mixed[:, 6:] == final[:, 6:]).all()
    assert np.linalg.norm(mixed[:, :6]) == pytest.approx(np.linalg.norm(final[:, :6]), rel=1e-14)
    assert mixed[:, :6] / early[:, :6] == pytest.approx(np.full((3, 6), mixed[0, 0] / early[0, 0]), rel=1e-12)
    assert float(robust_accuracy(cleaned)) == pytest.approx(float(robust_accuracy(final[:, :6])), abs=1e-14)


def test_the_early_stop_does_not_see_the_population(monkeypatch):
    options = {"seeds": [0, 1], "steps": [1, 3, 10, 30, 60], "smoothings": [0.2]}
    stops = [run["stopped"] for run in experiment(**options)["runs"].values()]
    monkeypatch.setattr(module, "robust_accuracy", lambda weights: np.zeros(weights.shape[:-2]))
    monkeypatch.setattr(module, "best_ratio", lambda: 0.0)
    assert [run["stopped"] for run in experiment(**options)["runs"].values()] == stops


@pytest.mark.parametrize(("call", "message"), [
    (lambda: robust_accuracy(np.zeros((3, 8))), "take at least one step"),
    (lambda: robust_accuracy(np.hstack([np.eye(3), np.zeros((3, 5))])), "a multiple of another"),
    (lambda: worst_case(np.eye(3), np.zeros((3, 1, 3)), -0.1), "eps = -0.1"),
    (lambda: one_hot(1.0), "b = 1.0"),
    (lambda: descend(np.zeros((1, 3, 1, 7)), one_hot(0), []), "increasing integers"),
    (lambda: descend(np.zeros((1, 3, 1, 7)), one_hot(0), [5, 2]), "increasing integers")])
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "experiment", lambda progress: experiment([0], [1, 20], [0.3], progress))
    module.main([str(tmp_path / "out.json")])
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["settings_tried"] == 4
    made = result["provenance"]
    assert made["sources"] == ["synthmodel/flows/linear_training.py", "synthmodel/flows/finite_sample.py"]
    content = b"".join((ROOT / name).read_bytes() for name in made["sources"])
    assert made["source_sha256"] == hashlib.sha256(content).hexdigest()
    assert "seeds: robust accuracy rises, then falls" in capsys.readouterr().out
    for words in ([], ["out"], ["a.json", "b.json"]):
        with pytest.raises(SystemExit, match="2"):
            module.main(words)
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and ("OUT.json" in said or words[1:])


def source_then(name):
    """The bytes of a source as they were in the commit of the committed numbers; None in a clone without it."""
    shown = subprocess.run(["git", "-C", ROOT, "show", f"{COMMITTED['provenance']['commit']}:{name}"],
                           capture_output=True, timeout=60)
    return shown.stdout if shown.returncode == 0 else None


SOURCES = COMMITTED["provenance"].get("sources", ["synthmodel/linear_training.py", "synthmodel/finite_sample.py"])


@pytest.mark.skipif(source_then(SOURCES[0]) is None, reason="a clone without the history of the committed numbers")
def test_the_committed_numbers_were_made_by_the_sources_of_their_commit():
    """The recorded hash is that of the two modules, where they lay then."""
    content = b"".join(source_then(name) for name in SOURCES)
    assert COMMITTED["provenance"]["source_sha256"] == hashlib.sha256(content).hexdigest()


def test_the_committed_numbers_hang_together():
    assert COMMITTED["seeds"] == list(range(30))
    assert COMMITTED["settings_tried"] == len(COMMITTED["runs"]) == 8
    assert (COMMITTED["per_class"], COMMITTED["noise_dims"], COMMITTED["steps"][-1]) == (30, 100, 3000)
    assert summary(COMMITTED) == COMMITTED["summary"]
    hard = np.array(COMMITTED["runs"]["hard"]["accuracy"])
    assert hard.shape == (30, len(COMMITTED["steps"]))
    assert COMMITTED["summary"]["rows"]["hard"]["end"]["mean"] == pytest.approx(hard[:, -1].mean(), abs=1e-4)
    assert COMMITTED["surgery"]["final"] == pytest.approx(hard[:, -1].tolist(), abs=1e-12)
    stop = [COMMITTED["steps"].index(step) for step in COMMITTED["runs"]["hard"]["stopped"]]
    assert COMMITTED["surgery"]["early"] == pytest.approx(hard[np.arange(30), stop].tolist(), abs=1e-12)
    assert min(row[-1] for row in COMMITTED["train"]) == 1.0  # the training inputs are memorised, attack and all


def test_the_committed_numbers_are_made_by_this_code():
    """The first 120 steps of two seeds again, hard labels and b = .3; the file holds four decimals."""
    steps = [step for step in COMMITTED["steps"] if step <= 120]
    x = np.stack([draw(30, 100, np.random.default_rng(seed)) for seed in (0, 7)])
    for name, b in (("hard", 0.0), ("smoothed 0.3", 0.3)):
        history = descend(x, one_hot(b), steps)
        for key, values in (("accuracy", robust_accuracy(history)), ("share", parts(history)[3])):
            committed = np.array(COMMITTED["runs"][name][key])[[0, 7], :len(steps)]
            np.testing.assert_allclose(values.T, committed, rtol=0, atol=1e-4)


def test_what_the_committed_run_says_of_d3():
    said, rows = COMMITTED["summary"]["holds_in_seeds"], COMMITTED["summary"]["rows"]
    for statement, seeds in said.items():
        if "smoothed" not in statement and "clean" not in statement and "lowers" not in statement:
            assert seeds == (0 if "stronger" in statement else 30), statement
    for b in module.SMOOTHINGS:
        assert said[f"smoothed {b}: stronger forgetting than hard labels"] == 30
        assert 20 <= said[f"smoothed {b}: smaller fall than hard labels"] < 30  # on average, not in every seed
        assert rows[f"smoothed {b}"]["fall"]["mean"] < 0.6 * rows["hard"]["fall"]["mean"]
    assert rows["hard"]["highest"]["mean"] == pytest.approx(0.925, abs=0.01)
    assert rows["hard"]["end"]["mean"] == pytest.approx(0.865, abs=0.01)
    assert COMMITTED["best_ratio"] < rows["hard"]["ratio_end"]["mean"]  # forgetting goes towards the best ratio


@pytest.mark.slow
def test_the_check_holds_and_can_fail(monkeypatch):
    evidence = check_d3()
    assert evidence.holds
    assert evidence.margin > 0.001
    monkeypatch.setattr(module, "without_noise", lambda weights: weights)
    assert not check_d3().holds
    monkeypatch.undo()
    monkeypatch.setattr(module, "distilled", lambda teacher, clean=None: one_hot(0.0))  # the teacher is ignored
    assert not check_d3().holds


@pytest.mark.slow
def test_the_figure(tmp_path, pictures):
    figure.draw(tmp_path)
    assert (tmp_path / "finite_sample.png").stat().st_size > 10_000
    shares, accuracies, surgery = pictures[0].axes
    for axis, key in ((shares, "share"), (accuracies, "accuracy")):
        means = [np.mean(COMMITTED["runs"][name][key], axis=0) for name in figure.CURVES]
        peaks = [([COMMITTED["steps"][mean.argmax()]], [mean.max()]) for mean in means]
        curves = [(COMMITTED["steps"], mean) for mean in means]
        assert_draws(axis, *(pair for both in zip(curves, peaks, strict=True) for pair in both))
    for at, name in enumerate(figure.SURGERY):
        values = np.array(COMMITTED["surgery"][name])
        line, ticks, mean = surgery.get_lines()[3 * at:3 * at + 3]
        assert line.get_xdata() == pytest.approx([values.min(), values.max()])
        assert ticks.get_xdata() == pytest.approx(values) and set(ticks.get_ydata()) == {at}
        assert mean.get_xdata() == pytest.approx([values.mean()])
