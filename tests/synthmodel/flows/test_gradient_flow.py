"""The flows D1, D1-any and D2 against descents on raw losses, closed limits, quadrature and sampling."""

import math

import numpy as np
import pytest
from scipy import integrate as quadrature
from scipy import stats

from synthmodel.accuracy.three_classes import b_star, joint_accuracy, r_acc
from synthmodel.claims.checks import flows as checks
from synthmodel.flows import any_noise, gradient_flow
from synthmodel.flows.any_noise import Features
from synthmodel.flows.gradient_flow import cross_entropy_flow, effective_smoothing, margin_flow, psi
from synthmodel.model.losses import CrossEntropy
from synthmodel.model.sampling import sample
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import solve_cross_entropy
from synthmodel.solvers.margin_closed import ratio_closed
from tests.conftest import assert_draws

ROUNDING = 1e-13
LONG = np.concatenate([[0.0], np.geomspace(1e-3, 1e5, 600)])


@pytest.mark.parametrize("x", [1e-3, 0.4, 3.0, 50.0])
def test_psi_is_the_integral(x):
    def integrand(z):
        return 2 * stats.norm.pdf(z) * z / math.sqrt(2) * math.tanh(x * z / math.sqrt(2))
    value = sum(quadrature.quad(integrand, *piece, epsabs=1e-14, epsrel=1e-12)[0]
                for piece in ((0, 1 / (1 + x)), (1 / (1 + x), 3), (3, 12)))
    assert psi(x) == pytest.approx(value, rel=1e-11)


def test_psi_is_the_mean_of_the_softmax():
    """d - psi(w) = E sum q_j c_j, from 400,000 draws (seed 1): within 4 standard errors, of 0.0013 each."""
    c = np.random.default_rng(1).normal(0, 1, (400_000, 2))
    for w in (0.5, 3.0):
        q = 1 / (1 + np.exp(w * (c - c[:, ::-1])))
        values = -(q * c).sum(1)
        error = values.std() / math.sqrt(len(c))
        assert abs(values.mean() - psi(w)) < 4 * error
        assert error < 0.0014


def test_the_numbers_at_k_1():
    path = margin_flow(1.0, LONG)
    seen = (path.accuracy[0], path.accuracy.max(), path.accuracy[-1])
    assert seen == pytest.approx((0.8658, 0.8708, 0.8685), abs=5e-5)
    assert path.drop == pytest.approx(0.0023, abs=5e-5)


def test_the_largest_drop_at_equal_noise():
    """max over k of P(r_acc) - P(r_AT): 0.00241 at k = 1.10; the flow comes within 1e-4 of it."""
    ks = np.linspace(0.57, 4, 344)
    drops = [float(joint_accuracy(r_acc(k), k) - joint_accuracy(ratio_closed(k), k)) for k in ks]
    assert max(drops) == pytest.approx(0.002408, abs=1e-6)
    assert ks[int(np.argmax(drops))] == pytest.approx(1.10, abs=0.011)
    assert margin_flow(1.1, LONG).drop == pytest.approx(max(drops), abs=1e-4)


def descent(x, y, eps, loss, rate, steps):
    """Plain gradient descent from 0 on a sample: worst of 64 vertices for each sample, gradient at that vertex."""
    order = np.array([[0, 1, 2], [1, 0, 2], [2, 0, 1]])[y]  # put the true class first
    x = np.concatenate([np.take_along_axis(part, order, 1) for part in (x[:, :3], x[:, 3:])], 1)
    return checks.raw_flow(x, np.full(len(x), 1 / len(x)), eps, loss, rate * steps, steps)


def euler(monkeypatch):
    """`raw_flow` with plain steps w <- w - rate gradient, in place of Runge-Kutta."""
    def plain(x, weights, eps, loss, end, steps):
        parts = np.stack([checks.attacked_scores(x, *unit, eps) for unit in ((1, 0), (0, 1))], -1)
        path = [np.zeros(2)]
        for _ in range(steps):
            value, _ = loss(parts @ np.maximum(path[-1], 1e-9))
            worst = parts[value.argmax(0), np.arange(len(x))]
            path.append(path[-1] - end / steps * np.einsum("n,nj,njw->w", weights, loss(worst @ path[-1])[1], worst))
        return np.array(path)
    monkeypatch.setattr(checks, "raw_flow", plain)


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "flow"), [(checks.smoothed_log_sum_exp(0.0), lambda t: margin_flow(1.0, t)),
                                            (checks.smoothed_log_sum_exp(0.5), lambda t: margin_flow(1.0, t, b=0.5)),
                                            (checks.cross_entropy, lambda t: cross_entropy_flow(1.0, t))])
def test_gradient_descent_on_a_sample(monkeypatch, loss, flow):
    """3 times 3,000 draws of the data law, seeds 0 to 2: within 4 standard errors, which are at most t/sqrt(9000)."""
    euler(monkeypatch)
    setting, ends = Setting(2.0, 1.0), []
    for seed in range(3):
        x, y = sample(setting, 3000, np.random.default_rng(seed))
        ends.append(descent(x, y, 0.5, loss, 0.05, 60)[-1])
    path = flow(np.array([0.0, 3.0]))
    assert np.std(ends, axis=0).max() < 0.08
    assert np.mean(ends, axis=0) == pytest.approx([path.w1[-1], path.w2[-1]], abs=4 * 3 / math.sqrt(9000))


def test_descent_tends_to_the_flow(monkeypatch):
    """On the quadrature instead of a sample, halving the step halves the distance to the flow."""
    euler(monkeypatch)
    x, weights = checks.product_samples(1.0, 0.5, 2, 16, 16)
    path = margin_flow(1.0, np.array([0.0, 0.5]))  # units tau/sigma^2 = 4
    goal = np.array([path.w1[-1], path.w2[-1]]) / 0.5
    errors = [np.abs(checks.raw_flow(x, weights, 0.25, checks.smoothed_log_sum_exp(0.0), 2.0, steps)[-1] - goal).max()
              for steps in (20, 40)]
    assert errors[1] < 0.01
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("k", [0.7, 1.0, 2.0])
def test_smoothing_removes_the_overfitting_from_b_star_on(k):
    star = b_star(k)
    for b, overfits in ((star - 0.02, True), (star + 0.02, False)):
        path = margin_flow(k, LONG, b)
        assert (path.drop > 1e-9) == overfits
        assert (path.ratio[-1] < r_acc(k)) == overfits


def test_beyond_eps0_it_only_rises():
    for k in (0.1, 0.56):
        assert (np.diff(margin_flow(k, LONG).accuracy) > 0).all()


def test_a_teacher_is_label_smoothing_in_the_end():
    k, b = 1.0, 0.6
    for teacher in (0.0, 0.3, 2.0, math.inf):
        late = margin_flow(k, np.array([0.0, 1e5]), b, teacher).ratio[-1]
        assert late == pytest.approx(ratio_closed(k, effective_smoothing(b, teacher)), abs=1e-4)
    strengths = np.linspace(0, 10, 50)
    assert (np.diff([effective_smoothing(b, s) for s in strengths]) < 0).all()
    assert margin_flow(k, [0.0, 1.0], b, 0.0).w2[-1] == margin_flow(k, [0.0, 1.0], b).w2[-1]


def test_full_smoothing_is_a_line():
    path = margin_flow(0.8, [0.0, 1.0, 2.0], b=1)
    assert path.w2 == pytest.approx(path.w1, abs=1e-9)


def test_cross_entropy_goes_to_newtons_minimiser():
    for k in (0.3, 1.0, 2.0):
        path = cross_entropy_flow(k, np.array([0.0, 1e5]))
        best = solve_cross_entropy(Setting(k, 1.0), CrossEntropy(), 0.0, 1e-9)
        assert [path.w1[-1], path.w2[-1]] == pytest.approx([best.w1, best.w2], rel=2e-6)


@pytest.mark.parametrize("k", [0.2, 1.0, 3.0])
def test_cross_entropy_starts_with_slope_minus_a_ninth(k):
    t = np.array([0.0, 1e-4, 2e-4])
    ratio = cross_entropy_flow(k, t).ratio
    slope = (4 * ratio[1] - 3 - ratio[2]) / (2 * t[1])
    assert slope == pytest.approx(-1 / 9, abs=1e-4)


@pytest.mark.slow
def test_cross_entropy_overfits_by_less_than_2e_8():
    """The ratio turns from k = 2.35 or so, and passes below and above r_acc: the accuracy drops, but by 1e-8."""
    drops = {k: cross_entropy_flow(k, LONG).drop for k in (1.0, 2.0, 2.3, 2.4, 2.5, 3.0)}
    assert max(drops.values()) < 2e-8
    assert drops[2.4] > 1e-8  # not 0: more than rounding
    assert max(drops[k] for k in (1.0, 2.0, 2.3)) < 1e-12


def test_any_noise_contains_the_normal_model():
    features = Features(d_e=1.2, d_c=1.2)
    for y in (0.01, 0.5, 0.999, 1.001, 5.0, 200.0):
        assert features.psi(y) == pytest.approx(float(psi(y)), abs=1e-9)
    ratios = np.array([0.0, 0.3, 1.0, 4.0])
    assert features.accuracy(ratios) == pytest.approx(joint_accuracy(ratios, 1.2), abs=1e-12)
    ours, theirs = features.flow(LONG, 0.2), margin_flow(1.2, LONG, 0.2)
    assert ours.ratio == pytest.approx(theirs.ratio, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["laplace", "uniform", "student-t:5", stats.gumbel_l()])
@pytest.mark.parametrize("classes", [3, 5])
def test_any_noise_against_a_sample(noise, classes):
    """psi, E M and P(r) from 200,000 draws (seed 2), within 4.5 standard errors."""
    rng = np.random.default_rng(2)
    features = Features(d_e=0.7, d_c=0.9, s_e=0.8, s_c=1.1, noise_e="logistic", noise_c=noise, classes=classes)
    n = 200_000
    c = 0.9 + 1.1 * any_noise.law(noise).ppf(rng.random((n, classes - 1)))
    e = 0.7 + 0.8 * any_noise.law("logistic").ppf(rng.random(n))

    def agree(values, expected):
        assert abs(values.mean() - expected) < 4.5 * values.std() / math.sqrt(n)
    agree(c.min(1), features.mean_least)
    for y in (0.2, 2.0):
        q = np.exp(-y * (c - c.min(1, keepdims=True)))
        agree(0.9 - (q * c).sum(1) / q.sum(1), features.psi(y))
    for r in (0.3, 1.0):
        agree((e + r * c.min(1) > 0).astype(float), float(features.accuracy(r)))


def test_rare_and_very_bad_evidence_makes_the_drop_large():
    """K = 10, Weibull noise of shape .2 to the left: 8 points are lost from best to end; with normal noise none."""
    drops = {}
    for name, noise in (("normal", "normal"), ("tail", stats.weibull_max(0.2))):
        features = Features(d_e=0.5, d_c=0.7, noise_c=noise, classes=10)
        ratios = np.linspace(features.end_ratio(), 1.4, 2001)
        drops[name] = float(features.accuracy(ratios).max() - features.accuracy(ratios[0]))
    assert drops["tail"] > 0.08
    assert drops["normal"] < 1e-9


@pytest.mark.parametrize(("call", "named"), [
    (lambda: margin_flow(0.0, [0, 1]), "k = 0.0"), (lambda: margin_flow(1.0, [1, 0]), "times"),
    (lambda: margin_flow(1.0, [0, math.nan]), "times"), (lambda: margin_flow(1.0, [-1, 0]), "times"),
    (lambda: margin_flow(1.0, [0, 1], b=1.1), "b = 1.1"), (lambda: psi(-1.0), "x = -1"),
    (lambda: margin_flow(1.0, [0, 1], 0.1, -1.0), "teacher = -1"),
    (lambda: cross_entropy_flow(math.nan, [0, 1]), "k = nan"),
    (lambda: effective_smoothing(-0.1, 0), "b = -0.1"), (lambda: Features(1, 1, classes=2.5), "classes"),
    (lambda: Features(1, 1, noise_c="cauchy"), "noise"), (lambda: Features(1, -1), "d_c"),
    (lambda: Features(1, 1).psi(-1), "y = -1")])
def test_bad_input_is_refused(call, named):
    with pytest.raises(ValueError, match=named):
        call()


@pytest.mark.slow
def test_planted_errors_are_caught(monkeypatch):
    """Tests of the checks: one per cent, a wrong sign, a lost factor."""
    with monkeypatch.context() as patch:
        patch.setattr(gradient_flow, "psi", lambda x: 1.01 * psi(x))
        assert not checks.check_d1().holds
    gradient = gradient_flow.cross_entropy_gradient
    with monkeypatch.context() as patch:
        patch.setattr(gradient_flow, "cross_entropy_gradient", lambda *given: gradient(*given) * np.array([1, 1.01]))
        assert not checks.check_d2().holds
    with monkeypatch.context() as patch:
        patch.setattr(gradient_flow, "cross_entropy_gradient",
                      lambda w, *given: gradient(w, *given) - np.array([0, 1e-3 * w[1]]))
        assert not checks.check_d2().holds
    own = Features.psi
    with monkeypatch.context() as patch:
        patch.setattr(Features, "psi", lambda self, y: 1.01 * own(self, y))
        assert not checks.check_d1_any().holds


@pytest.mark.slow
def test_the_figure(tmp_path, pictures):
    """Its data against the claims: who overfits, who forgets, what helps."""
    from figures.style import read_csv
    from figures.theory import dynamics as figure
    figure.compute(tmp_path)
    figure.draw(tmp_path)
    assert (tmp_path / "dynamics.png").stat().st_size > 10_000
    assert "<svg" in (tmp_path / "dynamics.svg").read_text()[:500]
    curves = {}
    for row in read_csv(tmp_path / "dynamics.csv"):
        curves.setdefault((row["panel"], row["case"]), []).append(row)
    (ratio, weight, limit), (accuracy, regimes, finite) = np.reshape(pictures[0].axes, (2, 3))
    for axis, panel, value in ((ratio, "log-sum-exp", "ratio"), (accuracy, "log-sum-exp", "accuracy"),
                               (weight, "regimes", "w2"), (regimes, "regimes", "accuracy"),
                               (limit, "limit", "accuracy"), (finite, "finite", "accuracy")):
        cases = {"log-sum-exp": (f"b = {case}" for case in figure.SMOOTHED), "regimes": figure.REGIMES}
        parts = [curves[panel, case][1:] for case in cases.get(panel, figure.REMEDIES)]  # t > 0
        assert_draws(axis, *(([row["t"] for row in part], [row[value] for row in part]) for part in parts))
    drop = {key: max(row["accuracy"] for row in rows) - rows[-1]["accuracy"] for key, rows in curves.items()}
    assert drop["log-sum-exp", "b = 0"] > drop["log-sum-exp", "b = b*/2"] > 1e-4 > drop["log-sum-exp", "b = b*"]
    assert drop["regimes", "b"] > 0.1
    assert curves["regimes", "b"][-1]["w2"] == 0 < curves["regimes", "c"][-1]["w2"]
    for panel in ("limit", "finite"):
        end = {case: curves[panel, case][-1]["accuracy"] for case in figure.REMEDIES}
        assert end["bounded loss"] > max(row["accuracy"] for row in curves[panel, "none"])
        assert end["label smoothing"] <= end["none"] < end["early teacher"]
