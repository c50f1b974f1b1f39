"""The noise laws against exact order statistics and adaptive integrals, and what is no law."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from synthmodel.model import noise
from synthmodel.model.noise import law, quantile_rule, settled
from synthmodel.model.solution import NotConverged

NAMED = ["normal", "laplace", "logistic", "uniform", "student-t:5", "student-t:2.5"]
FROZEN = [stats.gumbel_r(), stats.gumbel_l(2, 3), stats.expon(), stats.lognorm(0.5), stats.triang(0.3),
          stats.laplace_asymmetric(2), stats.gamma(a=2), stats.arcsine()]
EXACT = 1e-11  # what `settled` accepts


def harmonic(n):
    return sum(1 / i for i in range(1, n + 1))


@pytest.mark.parametrize("name", [*NAMED, *FROZEN], ids=lambda f: f if isinstance(f, str) else f.dist.name)
def test_a_law_is_standardised_and_its_functions_belong_together(name):
    known = law(name)
    z, weights, below, above = quantile_rule(known, 641)
    assert weights.sum() == pytest.approx(1, abs=1e-13)
    assert weights @ z == pytest.approx(0, abs=1e-7)
    assert weights @ z**2 == pytest.approx(1, abs=1e-6)
    points = known.ppf(np.array([0.003, 0.2, 0.45, 0.7, 0.98]))
    assert known.cdf(points) == pytest.approx([0.003, 0.2, 0.45, 0.7, 0.98], abs=1e-12)
    assert known.sf(points) == pytest.approx(1 - known.cdf(points), abs=1e-14)
    assert known.isf(known.sf(points)) == pytest.approx(points, abs=1e-11)
    assert (known.cdf(points + 1e-6) - known.cdf(points - 1e-6)) / 2e-6 == pytest.approx(known.pdf(points), rel=1e-4)
    assert below + above == pytest.approx(np.ones(len(z)))


# e_2..e_5 (THEORY.md, G-K); sqrt(3) (n-1)/(n+1); harmonic numbers for the logistic and the exponential law.
@pytest.mark.parametrize(("name", "n", "largest"), [
    ("normal", 2, 1 / math.sqrt(math.pi)), ("normal", 3, 1.5 / math.sqrt(math.pi)),
    ("normal", 4, 6 / math.pi**1.5 * math.atan(math.sqrt(2))),
    ("normal", 5, 5 / (4 * math.sqrt(math.pi)) + 15 / (2 * math.pi**1.5) * math.asin(1 / 3)),
    ("normal", 999, 3.241148466656351),  # scipy's adaptive integral of the density of the largest
    *[("uniform", n, math.sqrt(3) * (n - 1) / (n + 1)) for n in (1, 2, 9, 999)],
    *[("logistic", n, harmonic(n - 1) * math.sqrt(3) / math.pi) for n in (2, 3, 50)],
    ("laplace", 2, 0.75 / math.sqrt(2)), ("student-t:3", 1, 0.0),
])
def test_mean_extremes_are_exact(name, n, largest):
    assert law(name).mean_largest(n) == pytest.approx(largest, abs=10 * EXACT)
    assert law(name).mean_least(n) == pytest.approx(largest, abs=10 * EXACT)  # symmetric laws


@pytest.mark.parametrize("n", [2, 5, 30])
def test_an_asymmetric_law_has_two_mean_extremes(n):
    exponential = law(stats.expon(3, 7))
    assert exponential.mean_largest(n) == pytest.approx(harmonic(n) - 1, abs=10 * EXACT)
    assert exponential.mean_least(n) == pytest.approx(1 - 1 / n, abs=10 * EXACT)


def half_gini(frozen, kinks):
    """int F (1 - F)/sd, adaptively on pieces that end at the kinks."""
    edges = sorted({frozen.ppf(1e-16), *kinks, *(frozen.ppf(u) for u in (1e-6, 0.5)), frozen.isf(1e-6),
                    frozen.isf(1e-18)})
    return sum(quad(lambda x: frozen.cdf(x) * frozen.sf(x), *ends, epsabs=1e-14, epsrel=1e-12, limit=200)[0]
               for ends in pairwise(edges)) / frozen.std()


KINKED = [(stats.triang(0.3), [0.3]), (stats.laplace_asymmetric(2), [0.0])]


@pytest.mark.parametrize(("frozen", "kinks"), KINKED, ids=["triangular", "asymmetric Laplace"])
def test_a_kink_off_the_median_costs_nodes_not_digits(frozen, kinks, monkeypatch):
    exact = half_gini(frozen, kinks)
    assert law(frozen).mean_least(2) == pytest.approx(exact, abs=5 * EXACT)
    monkeypatch.setattr(noise, "settled", lambda mean, what: mean(81))  # one fixed rule is not enough
    assert abs(law(frozen).mean_least(2) - exact) > 1e-7


def test_a_mean_that_does_not_settle_raises():
    with pytest.raises(NotConverged, match="still changes by"):
        settled(lambda order: 1 / order, "a slow mean")
    assert settled(lambda order: np.array([1.0, 2.0]), "a constant").tolist() == [1, 2]


@pytest.mark.parametrize("bad", ["cauchy", "student-t", "student-t:2", "student-t:inf", "student-t:x", "", 5, None, [1],
                                 stats.norm, stats.poisson(3), stats.cauchy(), stats.norm([0, 1]), stats.t(1.5)])
def test_no_law_is_refused_in_one_sentence(bad):
    with pytest.raises(ValueError, match=r"noise .* was given, but .*: choose") as refusal:
        law(bad)
    assert len(str(refusal.value).splitlines()) == 1
