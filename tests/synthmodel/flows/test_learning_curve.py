"""The chance that N examples teach the margin loss to use w2: ends, samples, the derivation."""

import math

import numpy as np
import pytest
import sympy as sp
from scipy.special import ndtr

from synthmodel.accuracy.three_classes import K0
from synthmodel.flows.learning_curve import chance_used, chance_used_normal
from synthmodel.symbolic import derive
from synthmodel.symbolic.general.any_law import Phi
from synthmodel.symbolic.symbols import s


def test_the_chance_is_exact_for_one_example_and_near_normal_for_many():
    k = np.array([-3.0, 0.0, K0, 1.0, 4.0])
    assert chance_used(k, 1) == pytest.approx(ndtr(k)**2, rel=1e-13)
    assert chance_used(k, 10**6) == pytest.approx(chance_used_normal(k, 10**6), abs=1e-4)
    assert chance_used(0.5, 10**9) == 0 and chance_used(0.6, 10**9) == 1
    assert chance_used(K0, 10**8) == pytest.approx(0.5, abs=1e-5)


def test_the_chance_by_the_models_own_law():
    rng = np.random.default_rng(11)
    for mu, sigma, eps, size in ((1.0, 0.5, 0.3, 4), (1.0, 0.8, 0.3, 25)):
        least = (mu + sigma * rng.standard_normal((40_000, size, 2))).min(2).mean(1) - 2 * eps
        chance = chance_used((mu - 2 * eps) / sigma, size)
        assert abs(np.mean(least > 0) - chance) < 4.5 * math.sqrt(chance * (1 - chance) / 40_000)


@pytest.mark.slow
def test_the_moments_meet_the_derivation():
    found = derive("N1-sample").results
    z = np.random.default_rng(12).standard_normal((400_000, 2)).min(1)
    for at in (-0.7, 0.4):
        moment = float(found["moments"].subs(s, at).replace(Phi, lambda x: sp.Float(float(ndtr(float(x))))))
        assert abs(np.exp(at * z).mean() - moment) < 4.5 * np.exp(at * z).std() / math.sqrt(len(z))
    assert abs(z.var() - float(found["variance"])) < 0.01
