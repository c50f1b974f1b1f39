"""Sharing beside robust accuracy at a given fit: worlds in which they go together, do not, or are too noisy to tell."""

import itertools

import numpy as np
import pytest

from deep.experiments.campaign import correlations
from deep.experiments.campaign.correlations import correlated, partial_correlation, permutation_p
from deep.experiments.campaign.plan import committed, plan_of
from tests.support.campaign import made_up

PLAN = plan_of(committed()[0])


def test_partial_correlation_against_the_textbooks_formula():
    x, y, z = np.random.default_rng(1).normal(size=(3, 40))
    r = np.corrcoef([x, y, z])
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert partial_correlation(x, y, z) == pytest.approx(expected, abs=1e-12)


def test_what_nothing_is_left_of_has_no_correlation():
    z = np.arange(6.0)
    with pytest.raises(ValueError, match="nothing is left to correlate"):
        partial_correlation(2 * z + 1, z**2, z)


@pytest.mark.parametrize(("coupling", "verdict"), [(-0.5, "confirmed"), (0.0, "undecided"), (1.0, "contradicted")])
def test_a_verdict_in_each_world(coupling, verdict):
    row, = correlated(PLAN, made_up(PLAN, ["a1", "a3"], coupling=coupling))
    assert row.verdict == verdict and row.seeds == (0, 1, 2, 3, 4)
    assert row.pooled["n"] == 5 * (12 + 9) and row.pooled["plain"] > 0.6  # of the fit, which both follow
    assert (row.pooled["partial"] > 0.3) == (coupling > 0.1)


def test_what_is_correlated_along_a_run():
    """The mean over seeds of the textbook's formula, for test accuracy and sharing given the training loss."""
    results, expected = made_up(PLAN, ["a1"], coupling=0.5), []
    for run in results["a1"].values():
        r = np.corrcoef([[line[split][name] for line in run["checkpoints"]] for split, name in (
            ("test", "accuracy"), ("test", "sharing"), ("train", "robust_loss"))])
        expected.append((r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2)))
    assert correlated(PLAN, results)[0].value == pytest.approx(np.mean(expected), abs=1e-9)


def test_a_course_that_all_seeds_share_contradicts_nothing(monkeypatch):
    """Accuracy and sharing agree beyond the fit, but in every seed alike: another seed's sharing would do as well."""
    results = made_up(PLAN, ["a1"], coupling=1.0)
    for name in ("accuracy", "sharing"):
        for lines in zip(*(result["checkpoints"] for result in results["a1"].values()), strict=True):
            for line in lines[1:]:
                line["test"][name] = lines[0]["test"][name]
    row, = correlated(PLAN, results)
    assert row.value > 0.8 and row.permuted > 0.05 and row.verdict == "undecided"
    monkeypatch.setattr(correlations, "permutation_p", lambda table: 0.0)
    assert correlated(PLAN, results)[0].verdict == "contradicted"


def test_permutations_against_their_definition():
    for n in (2, 4):
        table = np.random.default_rng(n).normal(size=(n, n))
        means = [np.mean([table[s, p[s]] for s in range(n)]) for p in itertools.permutations(range(n))]
        assert permutation_p(table) == pytest.approx(np.mean([mean >= means[0] - 1e-12 for mean in means]))
    assert permutation_p(np.eye(9)) == pytest.approx(1e-4)  # of 10,000 drawn ones the identity alone


def test_too_little_is_not_judged():
    results = made_up(PLAN, ["a1"], seeds=[0])
    assert correlated(PLAN, results)[0].verdict == "not run"
    results = made_up(PLAN, ["a1"])
    for result in results["a1"].values():
        del result["checkpoints"][4:]
    row, = correlated(PLAN, results)
    assert (row.verdict, row.pooled["n"]) == ("not run", 20)
    results = made_up(PLAN, ["a1"])
    del results["a1"][0]["checkpoints"][-1]
    with pytest.raises(ValueError, match="measured at different epochs"):
        correlated(PLAN, results)
    results = made_up(PLAN, ["a1"])
    results["a1"][0]["checkpoints"][-1]["epoch"] = 59  # as many, and others
    with pytest.raises(ValueError, match="measured at different epochs"):
        correlated(PLAN, results)
    del results["a1"][1]["checkpoints"][3]["test"]["sharing"]
    with pytest.raises(ValueError, match="the result of a1-run-1 lacks what the correlation 'proxy' needs"):
        correlated(PLAN, results)
