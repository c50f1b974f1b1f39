"""`solve` and `threshold` over the product of losses and settings: a number that is confirmed, or one sentence."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats
from scipy.special import log_softmax, softmax

from synthmodel.model.losses import CrossEntropy, Distillation, Margin, SmoothedMargin, SoftTargetMargin, WrongClassLSE
from synthmodel.model.setting import Setting
from synthmodel.model.solution import NotConverged, Solution
from synthmodel.solvers import cross_entropy
from synthmodel.solvers import solve as solver
from synthmodel.solvers.solve import solve, threshold

LOSSES = [Margin(), SmoothedMargin(0.2), SoftTargetMargin(0.2), SoftTargetMargin(0.2, "monotone"), WrongClassLSE(0.3),
          WrongClassLSE(0.3, 0.2), CrossEntropy(), CrossEntropy(0.2), CrossEntropy(0.2, "exact"),
          Distillation((1, 0.5)), Distillation((1, 0.5), "clean")]
LAWS = ["normal", "laplace", "uniform", stats.gumbel_r()]
SETTINGS = [{"noise": noise, "classes": classes, "design": design, "norm": norm, "rho": rho, **own}
            for noise, classes, design, norm, rho, own in product(
                LAWS, (3, 5), "AB", (math.inf, 2), (0.0, 0.3, -0.2), ({}, {"mu_c": 0.7, "sigma_e": 0.3}))
            if rho == 0 or noise in ("normal", "laplace")]
EPS, LAM = 0.2, 0.5
COUNT, STANDARD_ERRORS = 4000, 5  # samples of a check; a mean strays this far once in two million


def sampled_errors(setting, loss, eps, w, rng):
    """The gradient of the loss at x + delta* in (w1, w2) for samples of class 0, and the loss: (COUNT, 2), (COUNT,)."""
    k, n = setting.classes, setting.active
    pairs = list(combinations(range(k), 2))
    x_e = np.zeros((COUNT, k))
    x_e[:, 0] = setting.mu_e + setting.sigma_e * setting.law.ppf(rng.random(COUNT))
    root = np.linalg.cholesky((1 - setting.rho) * np.eye(n) + setting.rho)
    c = setting.mu_c + setting.sigma_c * setting.law.ppf(rng.random((COUNT, n))) @ root.T
    if setting.design == "A":
        shared, x_c = 1 - np.eye(k), np.concatenate([np.zeros((COUNT, 1)), c], axis=1)
        help_c = np.append(-1, np.ones(n))
    else:
        shared = np.array([[float(i in pair) for pair in pairs] for i in range(k)])
        x_c, help_c = np.concatenate([c, np.zeros((COUNT, len(pairs) - n))], axis=1), 2 * shared[0] - 1
    help_e = np.append(1, -np.ones(n))
    clean = x_e, x_c @ shared.T
    attacked = x_e - eps * help_e, (x_c - eps * help_c) @ shared.T
    f = w[0] * attacked[0] + w[1] * attacked[1]
    if isinstance(loss, WrongClassLSE):
        slope = (1 - loss.b) * softmax(np.where(np.arange(k) == 0, -np.inf, f / loss.tau), axis=1)
        slope += loss.b / n * (np.arange(k) > 0) - (np.arange(k) == 0)
    else:
        label = np.append(1 - loss.b, np.full(n, loss.b / n)) if isinstance(loss, CrossEntropy) else softmax(
            sum(t * x for t, x in zip(loss.teacher, clean if loss.teacher_input == "clean" else attacked, strict=True)),
            axis=1)
        slope = softmax(f, axis=1) - label
    values = (-(np.broadcast_to(label, f.shape) * log_softmax(f, axis=1)).sum(axis=1)
              if not isinstance(loss, WrongClassLSE) else np.zeros(COUNT))
    return np.stack([(slope * attacked[0]).sum(axis=1), (slope * attacked[1]).sum(axis=1)], axis=1), values


def confirm(setting, loss, found):
    """An independent check of a solution, for the losses whose attack it covers."""
    if isinstance(loss, Margin | SmoothedMargin | SoftTargetMargin):
        other = solve(setting, loss, EPS, LAM, "numeric")
        assert [found.w1, found.w2, found.risk] == pytest.approx([other.w1, other.w2, other.risk], abs=1e-9)
        assert (found.method, other.method) == ("closed", "numeric")
        return
    if getattr(loss, "attack", "monotone") == "exact":
        assert setting.classes == 3 and 0 < found.w2 < found.w1 / 0.7 + 1
        return
    w = np.array([found.w1, found.w2])
    slopes, values = sampled_errors(setting, loss, EPS, w, np.random.default_rng(5))
    gap, error = slopes.mean(axis=0) + LAM * w, slopes.std(axis=0) / math.sqrt(COUNT)
    for i in (0, 1):
        assert (gap[i] if w[i] else min(gap[i], 0)) == pytest.approx(0, abs=STANDARD_ERRORS * error[i]), (gap, error)
    if values.any():
        risk = values.mean() + LAM / 2 * w @ w
        assert found.risk == pytest.approx(risk, abs=STANDARD_ERRORS * values.std() / math.sqrt(COUNT))


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_every_combination_is_solved_and_confirmed_or_refused_in_one_sentence(loss):
    solved, refused = [], []
    for words in SETTINGS:
        try:
            setting = Setting(1, 0.5, **words)
            found = solve(setting, loss, EPS, LAM)
        except (ValueError, NotConverged) as refusal:
            message = str(refusal)
            assert ":" in message and message.endswith(".") and len(message.splitlines()) == 1, message
            assert "given" in message, message
            refused.append((words, message))
            continue
        assert isinstance(found, Solution) and 0 <= found.residual <= 1e-10 and found.error <= 1e-6
        assert all(math.isfinite(x) and isinstance(x, float) for x in (found.w1, found.w2, found.risk, found.residual))
        confirm(setting, loss, found)
        solved.append(words)
    # What is refused is what the docstrings say, no more: told here by the setting alone.
    for words, message in refused:
        soft = not isinstance(loss, Margin | SmoothedMargin | SoftTargetMargin)
        cube_only = soft or getattr(loss, "attack", "") == "monotone"
        cross = isinstance(loss, CrossEntropy | Distillation)
        expected = ((words["rho"] != 0 and words["noise"] != "normal")
                    or (cube_only and words["norm"] == 2)
                    or (cross and words["noise"] != "normal" and words["design"] == "B" and words["classes"] > 3)
                    or (cross and words["rho"] < 0 and words["classes"] > 3)
                    or (getattr(loss, "attack", "") == "exact" and cross
                        and (words["classes"] > 3 or words["noise"] != "normal")))
        assert expected, (words, message)
    assert len(solved) + len(refused) == len(SETTINGS) == 128 and len(solved) >= 12


def test_a_gradient_off_by_little_would_be_seen():
    setting, loss = Setting(1, 0.5, classes=5), CrossEntropy(0.2)
    found = solve(setting, loss, EPS, LAM)
    wrong = Solution(1.1 * found.w1, found.w2, found.risk, 0.0, "numeric")
    with pytest.raises(AssertionError):
        confirm(setting, loss, wrong)
    with pytest.raises(AssertionError):  # the attack of another size
        confirm(setting, loss, solve(setting, loss, 0.25, LAM))


def test_three_classes_by_the_other_quadrature():
    """A frozen normal law takes the line's quadrature with quantile nodes instead of the plane's."""
    for loss in (CrossEntropy(), CrossEntropy(0.3), Distillation((1, 0.5)), Distillation((0.3, 2), "clean"),
                 WrongClassLSE(0.2)):
        plane, line = (solve(Setting(1, 0.5, mu_c=0.9, noise=noise), loss, 0.2, 0.1)
                       for noise in ("normal", stats.norm()))
        assert [line.w1, line.w2, line.risk] == pytest.approx([plane.w1, plane.w2, plane.risk], abs=1e-9)


@pytest.mark.slow
def test_without_smoothing_both_attacks_are_one():
    for words in ({}, {"rho": 0.4}, {"mu_c": 0.6, "sigma_e": 0.2}):
        one, other = (solve(Setting(1, 0.5, **words), CrossEntropy(0, attack), 0.2, 0.1)
                      for attack in ("monotone", "exact"))
        assert [one.w1, one.w2, one.risk] == pytest.approx([other.w1, other.w2, other.risk], abs=1e-9)


# (mu_e, mu_c): d_C <= 0 < d_E, and d_E <= 0 < d_C at eps = .2
@pytest.mark.parametrize("loss", [loss for loss in LOSSES if not isinstance(loss, Distillation)], ids=str)
@pytest.mark.parametrize(("mu_e", "mu_c"), [(1, 0.3), (0.3, 1), (0.4, 0.4), (0.3, 0.2)])
def test_a_feature_whose_robust_mean_is_not_positive_is_not_used(loss, mu_e, mu_c):
    found = solve(Setting(mu_e, 0.3, mu_c=mu_c), loss, 0.2, 0.5)
    assert (found.w1 > 0) <= (mu_e > 0.4) and (found.w2 > 0) <= (mu_c > 0.4)
    assert max(found.w1, found.w2) > 0 or mu_e <= 0.4
    assert (found.ratio is None) == (found.w1 == 0)


def test_a_teacher_of_zero_weights_is_full_smoothing_and_w_is_zero():
    for words, where in product(({}, {"classes": 6}, {"classes": 6, "rho": 0.3}, {"noise": "laplace"}),
                                ("adversarial", "clean")):
        found = solve(Setting(**words), Distillation((0, 0), where), 0.2, 0.1)
        assert (found.w1, found.w2) == (0, 0)
        assert found.risk == pytest.approx(math.log(words.get("classes", 3)), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "lam"), [(1e-6, 0.1), (1e-3, 1e-6), (1e4, 0.1), (0.5, 1e-12), (0.5, 1e30)])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_extreme_noise_and_decay_give_small_residuals_or_a_sentence(loss, size, lam):
    for words, eps in product(({}, {"classes": 1000}, {"classes": 1000, "design": "B"}), (0.0, 0.2, 0.5 - 1e-9)):
        try:
            found = solve(Setting(1, size, **words), loss, eps, lam)
        except (ValueError, NotConverged) as refusal:
            assert len(str(refusal).splitlines()) == 1 and "choose" in str(refusal)
            continue
        assert found.residual <= 1e-10 and np.isfinite([found.w1, found.w2, found.risk]).all()
        assert found.w1 >= 0 and found.w2 >= 0


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("method", ["auto", "numeric"])
def test_arrays_broadcast_and_equal_the_numbers(loss, method):
    mu, sigma, eps, lam = [1.0, 0.8], [[0.3], [0.6], [0.9]], [0.1, 0.41], np.array([[0.5]])
    found = solve(Setting(mu, sigma), loss, eps, lam, method)
    for name in ("w1", "w2", "risk", "residual", "ratio"):
        assert getattr(found, name).shape == (3, 2), name
    for i, j in np.ndindex(3, 2):
        one = solve(Setting(mu[j], sigma[i][0]), loss, eps[j], 0.5, method)
        for name in ("w1", "w2", "risk"):
            assert getattr(found, name)[i, j] == pytest.approx(getattr(one, name), rel=1e-12, abs=1e-12)
        assert isinstance(one.w1, float) and isinstance(one.risk, float)


@pytest.mark.slow
def test_a_ratio_of_negative_weights_is_none():
    """Beyond b = 2/3 the exact attack's optimum prefers the wrong classes; w2/w1 > 0 would hide it."""
    found = solve(Setting(), CrossEntropy([0.1, 0.9], "exact"), 0.2, 0.1)
    assert found.w1[1] < 0 and found.w2[1] < 0 and 0 < found.ratio[0] < 1 and math.isnan(found.ratio[1])
    assert solve(Setting(), CrossEntropy(0.9, "exact"), 0.2, 0.1).ratio is None


@pytest.mark.slow
def test_parameters_of_losses_broadcast():
    b = np.array([0.0, 0.3])
    for make in (SmoothedMargin, SoftTargetMargin, CrossEntropy, lambda b: CrossEntropy(b, "exact"),
                 lambda b: WrongClassLSE(0.2, b), lambda b: WrongClassLSE(0.2 + b),
                 lambda b: Distillation((1 + b, 0.5)), lambda b: Distillation((1, b), "clean")):
        together = solve(Setting(), make(b), 0.1, 0.5)
        for i in (0, 1):
            alone = solve(Setting(), make(float(b[i])), 0.1, 0.5)
            assert [together.w1[i], together.w2[i]] == pytest.approx([alone.w1, alone.w2], rel=1e-12)
        assert together.w1[0] != together.w1[1] or together.w2[0] != together.w2[1]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_threshold_is_where_w2_dies_or_is_refused(loss):
    for words in ({}, {"mu_c": 0.8}, {"classes": 4}, {"classes": 4, "design": "B"}, {"noise": "laplace"}, {"norm": 2}):
        setting = Setting(1, 0.4, **words)
        try:
            edge = threshold(setting, loss)
        except ValueError as refusal:
            assert isinstance(loss, Distillation) or "norm" in words or loss == CrossEntropy(0.2, "exact"), refusal
            continue
        below, above = (solve(setting, loss, edge + step, 1.0).w2 for step in (-1e-3, 1e-6))
        assert below > 1e-5 and above == 0, words
    assert np.shape(threshold(Setting([1, 2], 0.4), Margin())) == (2,)


def test_what_there_is_no_threshold_for_is_refused():
    for loss, sentence in ((CrossEntropy(2 / 3), "learns nothing"), (CrossEntropy([0.1, 0.8]), "b = 0.8"),
                           (Distillation((1, 1)), "depends on lam"), (CrossEntropy(0.1, "exact"), "depends on lam")):
        with pytest.raises(ValueError, match=sentence):
            threshold(Setting(), loss)


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: solve(Setting(), Margin(), 0.2, 0.1, "guess"), "the method 'guess' is unknown"),
    (lambda: solve(Setting(), CrossEntropy(), 0.2, 0.1, "closed"), "which has none"),
    *((lambda loss=loss, method=method: solve(Setting(), loss, 0.2, 0.1, method), f"{loss!r} was given as the loss")
      for loss in ("margin", Margin) for method in ("auto", "numeric", "closed")),
    (lambda: solve(Setting(), Margin(), 0.2, True), "lam = True was given"),
    (lambda: solve(Setting(sigma=np.ones(3)), Margin(), [0.1, 0.2], 0.1),
     "arrays of the shapes sigma_e (3,), sigma_c (3,), eps (2,) were given, but they must broadcast"),
    (lambda: solve(Setting(), SmoothedMargin(np.full(2, 0.1)), 0.2, [0.1, 0.2, 0.3]), "b (2,), lam_e (3,), lam_c (3,)"),
    (lambda: solve(Setting(), Margin(), [], 0.1), "at least one number"),
    (lambda: solve(Setting(), CrossEntropy(0.7), 0.2, 0.1), "choose b <= 2/3"),
    (lambda: solve(Setting(classes=5), CrossEntropy(0.9), 0.2, 0.1), "choose b <= 4/5"),
    (lambda: solve(Setting(), Distillation((1e6, 1)), 0.2, 0.1), "half-line"),
    (lambda: solve(Setting(norm=3), SoftTargetMargin(0.1, "monotone"), 0.2, 0.1, "numeric"), "choose norm inf"),
])
def test_bad_calls_get_one_sentence(call, sentence):
    with pytest.raises((ValueError, NotConverged)) as refusal:
        call()
    assert sentence in str(refusal.value) and len(str(refusal.value).splitlines()) == 1


def test_one_bad_problem_in_an_array_is_named_in_one_sentence(monkeypatch):
    monkeypatch.setattr(cross_entropy, "EXPONENT", 12.0)
    sigma = np.linspace(0.1, 1, 200).reshape(10, 20)
    with pytest.raises(NotConverged, match="sigma_e = ") as refusal:
        solve(Setting(1, sigma), CrossEntropy(), 0.2, 0.1)
    assert len(str(refusal.value).splitlines()) == 1


def test_the_margin_losses_use_two_numerical_methods(monkeypatch):
    """The plain model by brute force over vertices, everything else in polar coordinates."""
    plain = solve(Setting(), Margin(), 0.2, 1, "numeric")
    monkeypatch.setattr(Setting, "plain", False)
    polar = solve(Setting(), Margin(), 0.2, 1, "numeric")
    assert plain.iterations != polar.iterations and plain.w2 == pytest.approx(polar.w2, abs=1e-12)
    assert solver.METHODS == ("auto", "closed", "numeric")
