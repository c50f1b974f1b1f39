"""Another basis of the same classifier: scores as they were, CAS as the derivation of CAS-basis says."""

import pytest
import torch

from deep.evaluation.cas import cas, class_correlation, margin_cas
from deep.evaluation.surgery import change_of_basis
from synthmodel.symbolic import derive
from synthmodel.symbolic.cas import K


def network(classes, d, seed=0, own=1.0):
    """Class means, a row-centred W, and features of thirty images; own: how far means lie along their rows."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(classes, d, generator=generator, dtype=torch.float64)
    means = torch.rand(classes, d, generator=generator, dtype=torch.float64)
    rows -= rows.mean(0)
    means += (own - (means * rows).sum(1, keepdim=True)) * rows / (rows**2).sum(1, keepdim=True)
    return means, rows, torch.rand(30, d, generator=generator, dtype=torch.float64)


def rebased(means, rows, features, *basis):
    change = change_of_basis(means, rows, *basis)
    new = rows @ change.inverse()
    worst = (features @ change.T @ new.T - features @ rows.T).abs().max() / (features @ rows.T).abs().max()
    assert worst < 1e-9
    return means @ change.T, new


def value(means, rows):
    return cas(class_correlation(means, range(len(rows)), rows))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("classes", "d"), [(3, 9), (4, 20), (10, 128)])
def test_cas_is_what_the_derivation_says(classes, d, signed):
    formula = derive("CAS-basis").results["signed" if signed else "non_negative"]
    tau = next(iter(formula.free_symbols - {K}))
    for share in (0.0, 0.3, 0.8, 1.0):
        means, rows = rebased(*network(classes, d), share, signed)
        assert abs(value(means, rows) - float(formula.subs({K: classes, tau: share}))) < 1e-8
        assert (means.min() > -1e-9) == (not signed or share == 0)
        if share == 0:
            assert abs(margin_cas(means, range(classes), rows)) < 1e-9


@pytest.mark.parametrize(("signed", "top"), [(False, 80), (True, 90)])
def test_own_scores_below_the_mean_score_leave_the_ends(signed, top):
    """As on adversarial inputs: CAS is 0 at share 0 and within a hundredth of its largest value at 1."""
    signs = torch.tensor([1.0, -1.0] * 5, dtype=torch.float64)
    scores = signs[:, None] * (torch.eye(10, dtype=torch.float64) - 0.1)  # no score of a mean is larger than its own
    plain = torch.eye(10, 64, dtype=torch.float64), scores.T @ torch.eye(10, 64, dtype=torch.float64), torch.rand(
        30, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for found in (network(10, 64, own=torch.linspace(-1, 1, 10)[:, None]), plain):
        assert abs(value(*rebased(*found, 0.0, signed))) < 1e-8
        assert 0.99 * top < value(*rebased(*found, 1.0, signed)) < top


def test_the_means_reach_what_no_means_that_are_not_negative_exceed():
    means, rows, features = network(10, 64)
    assert value(*rebased(means, rows, features, 1.0, True)) > 80 + 9  # of either sign
    assert value(*rebased(means, rows, features, 1.0)) <= 80 + 1e-8


@pytest.mark.parametrize(("means", "rows", "share", "said"), [
    (torch.ones(3, 8), torch.eye(8)[:3], 0.5, r"class means \(3, 8\) .* d >= 3 K"),
    (torch.ones(2, 9), torch.eye(9)[:2], 0.5, "K >= 3"),
    (torch.eye(9)[:3], torch.eye(9)[:3], 1.5, "share = 1.5 was given"),
    (torch.full((3, 9), torch.nan), torch.eye(9)[:3], 0.5, "NaN"),
    (torch.ones(3, 9), torch.eye(9)[:3], 0.5, "means of rank 1, .* must be 3, 2 and 2"),
    (torch.eye(9)[:3], torch.ones(3, 9), 0.5, "centred weight of rank 0"),
    (torch.eye(9)[:3], torch.tensor([[0.0, 1, -1], [1, -1, 0], [-1, 0, 1]]) @ torch.eye(9)[:3], 0.5,
     "scores 0 above the mean")])
def test_what_has_no_other_basis_is_refused(means, rows, share, said):
    with pytest.raises(ValueError, match=said):
        change_of_basis(means, rows, share)
