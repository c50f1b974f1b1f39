"""Functions of Gaussian means on balls: they enclose their values, by means of 20 digits over the three scores."""

import mpmath
import pytest
from flint import arb
from mpmath import exp, sqrt

from synthmodel.certificates import gaussian_means as gaussian
from synthmodel.certificates.checker import precision
from synthmodel.certificates.proofs import ce_monotone as monotone
from synthmodel.certificates.proofs import ce_smoothing as smoothing
from synthmodel.certificates.proofs import n4_end as end
from tests.support.precise import best_ratio, check, hold, k_of, moments_at, mpf, place, sides


@pytest.fixture(autouse=True)
def sixty_digits():
    with mpmath.workdps(60), precision():
        yield


INDICES = ((1, 0), (2, 0), (3, 0), (4, 0), (0, 2), (1, 2), (2, 2), (0, 4))
Q_INDICES = ((0, 0), (1, 0), (2, 0), (0, 2))


def all_of(M, Q):
    return [*(M(*index) for index in INDICES), *(Q(*index) for index in Q_INDICES)]


def exact_means(alpha, s, z):
    """P = -M_10, A = M_20, Q = (M_02 - M_20)/2."""
    m = moments_at(alpha, s, z)
    return -m[1, 0], m[2, 0], (m[0, 2] - m[2, 0]) / 2


def exact_moments(alpha, s, z):
    m = moments_at(alpha, s, z)
    return all_of(lambda i, j: m[i, j], lambda i, j: (m[i, j + 2] - m[i + 2, j]) / 2)


def g_at(k, tau, x):
    """g = x - w1 Q/(k P)."""
    w1, *at = sides(k, tau, x)
    P, _, Q = exact_means(*at)
    return x - w1 * Q / (k * P)


def on_ray(u, tau):
    """(g, ray) on r = r_acc: ray = k P (1+r)/(tau sqrt(1+r^2)) - A - Q r^2/(1+r^2)."""
    k, r = k_of(u), best_ratio(u)
    P, A, Q = exact_means(*sides(k, tau, 1 / r - 1)[1:])
    return (g_at(k, tau, 1 / r - 1),
            k * P * (1 + r) / (tau * sqrt(1 + r**2)) - A - Q * r**2 / (1 + r**2))


def n_and_multiplier(k, tau, x):
    """(N P^2 Q, L), N = (Q'/Q - a')(b - a'') - (Q''/Q - a'')(c - a') (proofs.ce_monotone)."""
    w1, alpha, s, z = sides(k, tau, x)
    m, step = moments_at(alpha, s, z), mpmath.mpf("1e-6")
    P, A, Q = exact_means(alpha, s, z)
    ends = [exact_means(alpha, s * exp(2 * t), z * exp(2 * t)) for t in (step, -step)]  # '' = d/dt at s e^2t, z e^2t
    P_2, A_2, Q_2 = ((high - low) / (2 * step) for high, low in zip(*ends, strict=True))
    A_1, Q_1 = alpha * m[3, 0], alpha * (m[1, 2] - m[3, 0]) / 2
    share = w1 / (k * P)
    N = (Q_1 / Q - A_1 * share) * (P_2 / P - 2 - A_2 * share) - (Q_2 / Q - A_2 * share) * (
        1 - alpha * A / P - A_1 * share)
    return N * P**2 * Q, k * P / w1 - A


def on_the_surface(k, tau):
    """(N P^2 Q, L) where g = 0."""
    x = mpmath.findroot(lambda x: g_at(k, tau, x), (0.14, 0.15), tol=1e-17)
    return n_and_multiplier(k, tau, x)


def beside_the_surface(k, tau):
    """(N, L) on a cell whose point is off the surface by nearly as much as is allowed, a fifth of its change in x."""
    (_, _, x), _, (x_k, x_tau) = monotone.tangent_point(arb(k.mid()), arb(tau.mid()), 0.15)
    off = 0.19 * (abs(x_k) * float(k.rad()) + abs(x_tau) * float(tau.rad()))
    return monotone.cell(k, tau, float(x) + off)[:2]


def forms(k, v, x, least=0.125):
    """The forms of proofs.ce_smoothing from its text, derivatives in w1, w2 and along the ray by differences."""
    w1, w2, step = *(k * w for w in place(k, v, x)[:2]), mpmath.mpf("1e-6")

    def at(w1, w2):
        return exact_means(k * (w1 + w2), w1**2 + w2**2 / 2, w2**2 / 2)

    def slope(d1, d2):
        high, low = at(w1 + d1 * step, w2 + d2 * step), at(w1 - d1 * step, w2 - d2 * step)
        return [(a - b) / (2 * step) for a, b in zip(high, low, strict=True)]
    S, alpha, (_, A_1, Q_1), (_, A_2, Q_2) = w1 + w2, k * (w1 + w2), slope(1, 0), slope(0, 1)
    A_t, Q_t = w1 * A_1 + w2 * A_2, w1 * Q_1 + w2 * Q_2
    m = moments_at(alpha, w1**2 + w2**2 / 2, w2**2 / 2)
    P, A, Q = -m[1, 0], m[2, 0], (m[0, 2] - m[2, 0]) / 2
    A_alpha, Q_alpha = m[3, 0], (m[1, 2] - m[3, 0]) / 2
    return (Q - x * (A + least), x * P - w1 * Q / k, P - (w1**2 * (A + least) + w2**2 * (A + Q + least)) / alpha,
            (1 + x) * Q + w2 * x * (Q_2 - x * A_2), Q + w2 * x * (x * A_1 - Q_1), (x * A_t - Q_t) / alpha,
            x * A_alpha - Q_alpha, P - alpha * A - w1 * S * A_alpha, P - alpha * A - w2 * S * (A_alpha + Q_alpha))


def slopes_of(k, tau, x, M, Q):
    """The balls of residual, ray and signs over a box."""
    at = (k, tau, x)
    (residual,), (ray,), (signs,) = (monotone.along(function, at, ((1, 0.5, 0.25),), M, Q)
                                     for function in (monotone.residual, end.ray, monotone.signs))
    return residual[0], residual[1], ray[1], signs[0][0], signs[1][0], signs[1][1]


def exact_slopes(k, tau, x):
    def at(k, tau, x):
        """(g, ray, L)."""
        w1, *rest = sides(k, tau, x)
        (P, A, Q), r = exact_means(*rest), 1 / (1 + x)
        return (x - w1 * Q / (k * P), k * P * (1 + r) / (tau * sqrt(1 + r**2)) - A - Q * r**2 / (1 + r**2),
                k * P / w1 - A)
    step = mpmath.mpf("1e-6")
    high, low = (at(k + t, tau + t / 2, x + t / 4) for t in (step, -step))
    g, ray, L = ((a - b) / (2 * step) for a, b in zip(high, low, strict=True))
    return at(k, tau, x)[0], g, ray, *n_and_multiplier(k, tau, x), L


MEANS = {  # name: (function, truth, domain, part of the radius, widths)
    "moments": (lambda *at: all_of(*gaussian.moments(*at)), exact_moments, ((0.3, 3), (0.05, 0.5), (0.02, 0.1)), 0.5,
                (0, 1e-5, 0.1)),
    "near_zero": (lambda *at: all_of(*smoothing.near_zero(*at)), exact_moments, ((0.3, 3), (1e-5, 3e-5), (1e-6, 3e-5)),
                  0.01, (0, 0.1)),
    "slopes": (lambda *at: slopes_of(*at, *gaussian.moments(*monotone.sides(*at)[1:])), exact_slopes,
               ((0.5, 2), (0.2, 0.6), (0.1, 0.3)), 0.02, (1e-5,)),
    "on_ray": (end.on_ray, on_ray, ((0.9, 1.9), (0.4, 1.5)), 0.5, (1e-5, 0.01)),
    "cell": (beside_the_surface, on_the_surface, ((0.2, 0.4), (0.6, 1.2)), 0.5, (1e-5,)),
    "bounds": (lambda *at: [value for value, _ in smoothing.bounds(at, 0.125).values()], forms,
               ((0.5, 2.5), (0.2, 1.5), (0.1, 0.4)), 0.5, (1e-5,)),
    "bounds near 0": (lambda *at: [value for value, _ in smoothing.bounds(at, 0.125).values()], forms,
                      ((0.5, 1), (0.003, 0.006), (0.1, 0.4)), 0.01, (1e-3,)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MEANS)
def test_a_function_of_gaussian_means_encloses_its_values(name):
    function, truth, domain, part, widths = MEANS[name]
    check(function, truth, domain, part, widths, slack=1e-11 if "bounds" in name or name == "slopes" else 1e-15,
          alone=name == "moments", inside=0)


@pytest.mark.parametrize("axis", [0, 1])
def test_near_zero_reaches_to_its_largest_variance(axis):
    """One variance is anywhere up to TINY, the other 0: the values at both ends lie in the balls."""
    wide, ends = arb(0).union(arb(smoothing.TINY)), (mpmath.mpf(0), mpmath.mpf(smoothing.TINY))
    found = all_of(*smoothing.near_zero(arb(1), *((wide, arb(0)) if axis == 0 else (arb(0), wide))))
    for end_ in ends:
        assert hold(found, exact_moments(mpmath.mpf(1), *((end_, 0) if axis == 0 else (0, end_))), 1e-15)


def test_mean_value_forms_differentiate_on_the_whole_box(monkeypatch):
    """on_ray takes its slopes on a box that holds k and x at both ends of u, and little more."""
    seen, exact = [], end.along
    monkeypatch.setattr(end, "along", lambda function, box, *rest: seen.append(box) or exact(function, box, *rest))
    u = arb("1.7", "0.01")
    end.on_ray(u, arb("0.5"))
    k, _, x = seen[1]
    for at in (mpf(u) - mpf(u.rad()), mpf(u) + mpf(u.rad())):
        truth = [k_of(at), 1 / best_ratio(at) - 1]
        assert hold([k, x], truth)
        assert not hold([arb(k.mid(), k.rad() / 2)], truth[:1]) and not hold([arb(x.mid(), x.rad() / 2)], truth[1:])


@pytest.mark.parametrize(("k", "tau", "width"), [(2, 0.8, 0.05), (1, 0.6, 0.1)])
def test_a_cell_whose_newton_step_leaves_it_says_nothing(k, tau, width):
    """Its balls would be finite, but that a root lies in them is not certain; it is on half the width."""
    assert monotone.cell(arb(k, k * width), arb(tau, tau * width), 0.15) is None
    assert monotone.cell(arb(k, k * width / 2), arb(tau, tau * width / 2), 0.15) is not None
