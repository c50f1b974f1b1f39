"""The losses: their coefficients against their definitions, and parameters that they refuse."""

import numpy as np
import pytest

from synthmodel.model.losses import (
    CrossEntropy,
    Distillation,
    Margin,
    SmoothedMargin,
    SoftTargetMargin,
    WrongClassLSE,
    loss_named,
)

DEFINITIONS = {  # of the true score f_0 and the wrong ones, from the docstrings
    Margin(): lambda own, wrong: wrong.max(-1) - own,
    SmoothedMargin(0.3): lambda own, wrong: 0.7 * wrong.max(-1) + 0.3 * wrong.mean(-1) - own,
    SoftTargetMargin(0.3): lambda own, wrong: -(own - wrong.max(-1)) + 0.3 * (own - wrong.mean(-1)),
}


def from_coefficients(coefficients, own, wrong):
    """-A f_i + max_j (B f_j + D sum of the other wrong scores)."""
    a, b, d = coefficients
    return -a * own + (b * wrong + d * (wrong.sum(-1, keepdims=True) - wrong)).max(-1)


@pytest.mark.parametrize("n", [2, 3, 9])
@pytest.mark.parametrize("loss", DEFINITIONS, ids=lambda loss: type(loss).__name__)
def test_coefficients_give_the_loss(loss, n):
    scores = np.random.default_rng(0).normal(size=(500, n + 1))
    own, wrong = scores[:, 0], scores[:, 1:]
    expected = DEFINITIONS[loss](own, wrong)
    assert from_coefficients(loss.coefficients(n), own, wrong) == pytest.approx(expected, abs=1e-12)
    a, b, d = loss.coefficients(n)
    assert b + (n - 1) * d == pytest.approx(a)  # a common shift of the scores costs nothing
    if loss != Margin():
        assert abs(from_coefficients((a, b * 1.01, d), own, wrong) - expected).max() > 1e-3


@pytest.mark.parametrize(("make", "sentence"), [
    (lambda: SmoothedMargin(1), "b = 1 was given"), (lambda: SmoothedMargin(-0.1), "b = -0.1"),
    (lambda: SoftTargetMargin(0.1, "star"), "attack = 'star' was given, but it must be exact or monotone: choose one"),
    (lambda: WrongClassLSE(0), "tau = 0"), (lambda: WrongClassLSE(0.1, 1), "b = 1"),
    (lambda: CrossEntropy(float("nan")), "b = nan"), (lambda: CrossEntropy(0.1, None), "attack = None"),
    *[(lambda t=t: Distillation(t), "must be two weights") for t in (5, None, "12", (1,), (1, 2, 3), np.ones(2))],
    (lambda: Distillation((1, -1)), "a teacher's weight = -1"), (lambda: Distillation((1, "x")), "weight = x"),
    (lambda: Distillation((1, 1), "dirty"), "teacher_input = 'dirty'"),
    (lambda: loss_named("ramp"), "the loss 'ramp' is unknown: choose margin, "),
    (lambda: loss_named("margin", tau=0.1), "tau = 0.1 was given for the loss margin, which has no tau"),
    (lambda: loss_named("margin", b=0.1), "which has no smoothing"),
    (lambda: loss_named("margin", b=2), "b = 2"), (lambda: loss_named("margin", attack="exact"), "has no attack"),
    (lambda: loss_named("wrong-class-lse"), "no tau was given for wrong-class-lse"),
    (lambda: loss_named("soft-target-margin"), "no b was given"), (lambda: loss_named("distillation"), "no teacher"),
    (lambda: loss_named("cross-entropy", teacher=(1, 1)), "has no teacher"),
])
def test_what_a_loss_does_not_have_is_refused_in_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=r"given|unknown") as refusal:
        make()
    assert sentence in str(refusal.value) and len(str(refusal.value).splitlines()) == 1


def test_losses_by_name():
    assert loss_named("margin", b=0) == loss_named("margin", b=None, tau=None) == Margin()
    assert loss_named("soft-target-margin", b="0.1", attack="monotone") == SoftTargetMargin(0.1, "monotone")
    assert loss_named("wrong-class-lse", tau="0.1") == WrongClassLSE(0.1, 0.0)
    assert loss_named("cross-entropy", b=0.1) == CrossEntropy(0.1, "monotone")
    assert loss_named("distillation", teacher=("1", "0.5"), teacher_input="clean") == Distillation((1, 0.5), "clean")
    assert SmoothedMargin([0.1, 0.2]).b.tolist() == [0.1, 0.2]
