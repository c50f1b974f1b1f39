"""Sliders move the curves to the solver's numbers, off screen; without a display one sentence says so."""

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

from synthmodel import CrossEntropy, Margin, Setting, SmoothedMargin, eps0, eps1, solve
from synthmodel.__main__ import main
from synthmodel.plot import explore as module
from synthmodel.plot.explore import RANGES, Explorer, end, opens_no_window, plain

LOSSES = (Margin(), SmoothedMargin(0.1), CrossEntropy())


@pytest.fixture
def off_screen():
    """The Agg backend, and no figure left behind."""
    with matplotlib.rc_context({"backend": "agg"}):
        yield
        pyplot.close("all")


@pytest.mark.slow
def test_each_slider_moves_every_line(off_screen):
    explorer, at = Explorer(LOSSES, sigma=0.6), {"mu": 1.0, "sigma": 0.6, "b": 0.1, "lam": 0.1}
    check(explorer, at)
    for name, value in (("mu", 2.0), ("sigma", 0.3), ("b", 0.4), ("lam", 0.5)):
        explorer.sliders[name].set_val(value)
        at[name] = value
        check(explorer, at)
    explorer.sliders["sigma"].set_val(2.9)
    explorer.sliders["mu"].set_val(0.5)  # w2 = 0 for every eps, and a threshold below 0 is not marked
    assert [text.get_text() for line, text in explorer.marks if line.get_visible()] == ["μ/2"]
    assert explorer.lines[0][1].get_ydata().max() == 0


def check(explorer, at):
    """Every line has the solver's numbers at these values, every mark its threshold."""
    setting, smoothing = Setting(at["mu"], at["sigma"]), at["b"]
    for loss, lines in zip((Margin(), SmoothedMargin(smoothing), CrossEntropy(smoothing)), explorer.lines, strict=True):
        eps = lines[0].get_xdata()
        found = solve(setting, loss, eps, at["lam"])
        for line, weights in zip(lines, (found.w1, found.w2), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), eps)
            np.testing.assert_array_equal(line.get_ydata(), weights)
            assert weights.max() <= explorer.ax.get_ylim()[1]
    ends = {"ε₀": eps0(setting), "ε₁": eps1(setting, smoothing), "μ/2": at["mu"] / 2}
    assert set(ends.values()) <= set(eps) and explorer.ax.get_xlim() == (0, end(eps[-1]))
    shown = {text.get_text(): line.get_xdata()[0] for line, text in explorer.marks if line.get_visible()}
    assert shown == ends
    assert explorer.ax.get_title(loc="left") == ", ".join(f"{word} = {value:.4g}" for word, value in ends.items())
    assert explorer.legend.get_texts()[1].get_text() == f"smoothed margin, b = {smoothing}"


@pytest.mark.slow
def test_what_is_seen_is_what_a_new_picture_shows(off_screen):
    """Where no axis changes, only what moves is drawn; either way the canvas has the pixels of a picture drawn anew."""
    explorer, count = Explorer(), []
    canvas = explorer.figure.canvas
    canvas.mpl_connect("draw_event", count.append)
    for name, value, anew in (("sigma", 0.7, 0), ("mu", 2.0, 1)):
        before = np.array(canvas.buffer_rgba())
        count.clear()
        explorer.sliders[name].set_val(value)
        shown = np.array(canvas.buffer_rgba())
        assert len(count) == anew and (shown != before).any()
        canvas.draw()
        np.testing.assert_array_equal(shown, np.array(canvas.buffer_rgba()))


def test_where_no_window_opens_one_sentence_says_so(off_screen, capsys):
    assert main(["explore", "--sigma", "0.3"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("synthmodel: a window was asked for, but matplotlib's backend agg opens none: ")
    assert said.count("\n") == 1 and not pyplot.get_fignums()


def test_where_one_opens_it_is_waited_for(off_screen, monkeypatch):
    shown = []
    monkeypatch.setattr(module, "opens_no_window", lambda manager: False)
    monkeypatch.setattr(pyplot, "show", lambda block: shown.append((block, len(pyplot.gcf().axes))))
    assert main(["explore", "--loss", "margin,cross-entropy", "--lam", "0.3"]) == 0
    assert shown == [(True, 1 + len(RANGES))]
    assert [text.get_text() for text in pyplot.gcf().axes[0].get_legend().get_texts()] == [
        "margin loss", "smoothed margin, b = 0.1", "cross-entropy, b = 0.1, δ*"]


def test_a_backend_with_a_main_loop_opens_one():
    from matplotlib.backend_bases import FigureManagerBase

    class Window(FigureManagerBase):
        @classmethod
        def start_main_loop(cls):
            """As GUI backends do."""
    assert opens_no_window(None) and opens_no_window(object.__new__(FigureManagerBase))
    assert not opens_no_window(object.__new__(Window))


@pytest.mark.parametrize(("words", "sentence"), [
    (["--mu", "4"], "mu = 4.0 was given, but its slider ends at 3"), (["--sigma", "x"], "sigma = x"),
    (["--loss", "huber"], "the loss 'huber' is unknown")])
def test_bad_words(off_screen, capsys, words, sentence):
    assert main(["explore", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_words_without_formulas():
    assert plain(r"wrong-class log-sum-exp, $\tau = 0.5$") == "wrong-class log-sum-exp, τ = 0.5"
