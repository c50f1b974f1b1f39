"""`synthmodel.plot` draws the solvers' numbers on the axes that it is given, and `synthmodel plot` writes them."""

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from synthmodel import (
    CrossEntropy,
    Distillation,
    Margin,
    Setting,
    SmoothedMargin,
    SoftTargetMargin,
    WrongClassLSE,
    accuracy_of,
    best_ratio,
    eps0,
    eps1,
    loss_named,
    plot,
    solve,
)
from synthmodel.__main__ import main
from synthmodel.plot.curves import named_thresholds
from synthmodel.plot.planes import hard_of
from synthmodel.plot.style import name_of

SETTING, B = Setting(1, 0.3), 0.1
LOSSES = [Margin(), SmoothedMargin(B), CrossEntropy(B)]


@pytest.fixture
def ax():
    return Figure().subplots()


def drawn(ax):
    """label -> (x, y) of the curves; a label that begins with "_" is a mark."""
    return {line.get_label(): line.get_xydata().T for line in ax.get_lines() if line.get_label()[0] != "_"}


def marks(ax):
    """name -> place of the dotted lines, which stand in the order of their names."""
    places = [line.get_xdata()[0] for line in ax.get_lines() if line.get_label()[0] == "_"]
    return dict(zip([text.get_text() for text in ax.texts], places, strict=True))


def test_thresholds_are_the_solvers_numbers(ax):
    assert plot.thresholds(SETTING, LOSSES, lam=0.2, ax=ax) is ax
    curves = drawn(ax)
    assert list(curves) == ["$w_1$, margin loss; smoothed margin, $b = 0.1$", "$w_2$, margin loss",
                            "$w_2$, smoothed margin, $b = 0.1$", r"$w_1$, cross-entropy, $b = 0.1$, $\delta^*$",
                            r"$w_2$, cross-entropy, $b = 0.1$, $\delta^*$"]
    eps = curves["$w_2$, margin loss"][0]
    assert eps[0] == 0 and eps[-1] == pytest.approx(0.52) and {eps0(SETTING), eps1(SETTING, B), 0.5} <= set(eps)
    for name, weight, place in zip(curves, ("w1", "w2", "w2", "w1", "w2"), (0, 0, 1, 2, 2), strict=True):
        np.testing.assert_array_equal(curves[name][1], getattr(solve(SETTING, LOSSES[place], eps, 0.2), weight))
    assert marks(ax) == {r"$\epsilon_0$": eps0(SETTING), r"$\epsilon_1$": eps1(SETTING, B), r"$\epsilon_{\max}$": 0.5}
    heights = [text.xyann[1] for text in ax.texts]
    assert heights[0] < heights[1]  # eps0 = .4154 and eps1 = .4238 would cover each other
    assert r"$\epsilon_0$ = 0.4154, $\epsilon_1$ = 0.4238, $\epsilon_{\max}$ = 0.5" in ax.get_title()
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.get_lines() if line.get_linewidth() > 2}) == 3


@pytest.mark.parametrize(("loss", "names"), [
    (CrossEntropy(), []), (loss_named("hinge"), [r"$\epsilon_0$"]), (loss_named("hinge", b=0.1), [r"$\epsilon_1$"]),
    (SoftTargetMargin(0.1), ["$w_2 = 0$"]), (WrongClassLSE(1), []), (Distillation((1, 1)), [])])
def test_a_threshold_is_named_where_one_is_claimed(loss, names):
    assert [name for _, name, _ in named_thresholds(SETTING, [loss])] == [*names, r"$\epsilon_{\max}$"]


def test_ratios_and_the_best(ax):
    sizes = [0.1, 0.2, 0.45]
    plot.ratios(SETTING, [Margin(), CrossEntropy()], ax=ax, eps=sizes)
    curves = drawn(ax)
    np.testing.assert_array_equal(curves["cross-entropy"][1], solve(SETTING, CrossEntropy(), sizes, 0.1).ratio)
    assert curves["best joint robust accuracy"][1].tolist() == [best_ratio(SETTING, eps) for eps in sizes]
    plot.ratios(Setting(1, 0.3, noise="laplace", classes=4, design="B"), eps=[0.1], ax=(other := Figure().subplots()))
    assert list(drawn(other)) == ["margin loss"]  # whose accuracy nobody knows


@pytest.mark.parametrize(("kind", "place"), [("joint", 0), ("pairwise", 1)])
def test_accuracy_with_its_marks(ax, kind, place):
    plot.accuracy(SETTING, [0.2, 0.45], kind=kind, ratio=[0, 0.5, 1], ax=ax)
    lines = ax.get_lines()
    np.testing.assert_array_equal(lines[0].get_ydata(), accuracy_of(SETTING, [0, 0.5, 1], 0.2)[place])
    stars = [line.get_xdata()[0] for line in lines if line.get_marker() == "*" and len(line.get_xdata())]
    circles = [line.get_xdata()[0] for line in lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert stars == ([best_ratio(SETTING, 0.2), 0] if kind == "joint" else [1, 1])
    assert circles == ([solve(SETTING, Margin(), 0.2, 0.1).ratio, 0] if kind == "joint" else [])


def test_phases(ax):
    plot.phase(SmoothedMargin(0.2), "T3", eps=[0.1, 0.2, 0.43], sigma=[0.3, 0.6], ax=ax)
    np.testing.assert_array_equal(ax.collections[0].get_array().filled(np.nan), [[1, 1, 1], [1, 1, np.nan]])
    for loss, holds in ((Margin(), 1), (CrossEntropy(), 0)):
        (square, *line) = plot.phase(loss, eps=[0.1, 0.4, 0.45], sigma=[0.3, 0.6], ax=Figure().subplots()).collections
        assert (square.get_array() == holds).all() and len(line) == holds
    assert hard_of(CrossEntropy(0.2, "exact")) == CrossEntropy() and hard_of(WrongClassLSE(1, 0.2)) == WrongClassLSE(1)
    assert hard_of(SoftTargetMargin(0.2)) == SoftTargetMargin(0, "monotone") and hard_of(Margin()) is None


def test_new_axes_have_our_style_and_the_user_keeps_theirs(ax):
    from matplotlib import pyplot
    with matplotlib.rc_context({"font.size": 21, "backend": "agg"}):
        before = dict(matplotlib.rcParams)
        made = plot.accuracy(SETTING, 0.2)
        assert dict(matplotlib.rcParams) == before
        assert made.get_figure() is pyplot.gcf() and made.xaxis.label.get_size() == 9
        pyplot.close(made.get_figure())
        assert plot.accuracy(SETTING, 0.2, ax=ax).xaxis.label.get_size() == 10  # as it was when the axes were made


def test_names_of_losses():
    assert [name_of(loss) for loss in (Margin(), CrossEntropy(), loss_named("hinge"), Distillation((1, 1)))] == [
        "margin loss", "cross-entropy", "hinge", "distillation"]
    assert name_of(SoftTargetMargin(0.1)) == "soft-target margin, $b = 0.1$, exact attack"
    assert name_of(WrongClassLSE(0.5, 0.1)) == r"wrong-class log-sum-exp, $\tau = 0.5$, $b = 0.1$"


@pytest.mark.parametrize(("call", "words"), [
    (lambda: plot.thresholds(SETTING, []), "0 losses were given"), (lambda: plot.thresholds(1), "given as the setting"),
    (lambda: plot.thresholds(SETTING, eps=[-1]), "eps = -1"), (lambda: plot.ratios(SETTING, eps=0.5), "eps = 0.5"),
    (lambda: plot.accuracy(SETTING, 0.1, kind="all"), "the accuracy 'all'"),
    (lambda: plot.accuracy(SETTING, 0.5), "eps = 0.5"), (lambda: plot.accuracy(SETTING, [0.1] * 6), "6 attack sizes"),
    (lambda: plot.phase(Margin(), "T9"), "'T9'"),
    (lambda: plot.phase(Margin(), sigma=[1]), "1 noises"), (lambda: plot.phase(Margin(), mu=-1), "mu = -1")])
def test_bad_input_gets_one_sentence(call, words):
    with pytest.raises(ValueError, match=r"^\S.*: [a-z].*\.$") as refusal:
        call()
    assert words in str(refusal.value)


@pytest.mark.slow
def test_the_command_writes_what_it_says(tmp_path, monkeypatch, capsys, pictures):
    monkeypatch.chdir(tmp_path)
    words = ["--mu", "1", "--sigma", "0.3", "--b", "0.1", "--loss", "margin,cross-entropy"]
    for name, magic, few in (("a.png", b"\x89PNG", words), ("a.svg", b"<?xml", []), ("a.pdf", b"%PDF", [])):
        assert main(["plot", "thresholds", *few, "--out", name]) == 0
        assert (tmp_path / name).read_bytes().startswith(magic)
        assert capsys.readouterr().out == f"{name}\n"
    other = Figure().subplots()
    plot.thresholds(SETTING, LOSSES, ax=other)
    for label, data in drawn(other).items():
        np.testing.assert_array_equal(drawn(pictures[0].axes[0])[label], data)


@pytest.mark.parametrize(("words", "titles"), [
    (["ratios", "--loss", "cross-entropy"], ["What each loss uses"]),
    (["accuracy", "--eps", "1/5,0.4"], ["Against one other class", "Against all other classes"]),
    (["phase", "--mu", "2"], ["Theorem 1:"])])
def test_the_other_pictures(tmp_path, monkeypatch, capsys, pictures, words, titles):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", *words]) == 0
    assert capsys.readouterr().out == f"{words[0]}.png\n" and (tmp_path / f"{words[0]}.png").exists()
    found = [axis.get_title(loc="left") + axis.get_title() for axis in pictures[0].axes]
    assert all(title in one for title, one in zip(titles, found, strict=False))


@pytest.mark.parametrize(("words", "sentence"), [
    (["thresholds", "--out", "a.jpg"], "a picture is written as .png, .svg or .pdf"),
    (["thresholds", "--loss", "margin,huber"], "the loss 'huber' is unknown"),
    (["thresholds", "--tau", "1"], "tau = 1 was given for the loss margin"),
    (["accuracy", "--eps", "x"], "eps = "), (["accuracy", "--eps", ".1", "--loss", "margin,hinge"], "2 losses"),
    (["thresholds", "--lam", "0"], "lam = 0"), (["phase", "--mu", "x"], "mu = x")])
def test_bad_words(tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("synthmodel: ") and sentence in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())
