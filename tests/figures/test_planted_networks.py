"""Four networks on planted images: verdicts by the rules written before, the picture, and a table that goes on."""

from pathlib import Path

import numpy as np
import pytest

from deep.recipe.recipe import recipe_named, run_name
from figures.networks import planted, planted_networks
from figures.networks.planted_networks import NETWORKS, SETTINGS, SIZES, judged, theory
from figures.style import read_csv, write_csv
from synthmodel import eps0

WAYS = ("ratio", "ratio_adversarial", "ratio_ablated")


def table(value, draws=5, networks=NETWORKS):
    """Rows with `value(network, sigma, eps)` a ratio, the draws around it: +-.001 and +-.002."""
    return [{"network": network, "loss": "cross-entropy", "eps": float(eps), "seed": seed, "sigma": sigma,
             "run": f"{network}-{sigma}-{eps}-{seed}"}
            | dict.fromkeys(WAYS, value(network, sigma, float(eps)) + (seed - 2) / 1000)
            for network in networks for sigma in SETTINGS for eps in SIZES for seed in range(draws)]


def follows(network, sigma, eps):
    """As predicted: the linear network r_CE, the others a little above."""
    return theory(sigma, eps)["r_ce"] + 0.02 * (network != "linear")


def verdicts(rows):
    return {(one["prediction"], one["network"], one["sigma"]): one["verdict"] for one in judged(rows)}


def test_networks_that_do_as_predicted_confirm_every_prediction():
    found = verdicts(table(follows))
    assert set(found.values()) == {"confirmed"}
    assert [sum(number == one for one, _, _ in found) for number in range(1, 6)] == [2, 6, 6, 4, 4]
    assert (4, "preactresnet18", 0.5) not in found and (5, "linear", None) in found


def margin(network, sigma, eps):
    """What the margin loss makes: nothing is shared beyond eps0."""
    return theory(sigma, eps)["r_at"]


def wrong(network, sigma, eps):
    """The same at both noises, and the linear network off at one eps."""
    return 0.9 + 0.001 * sigma if network != "linear" else theory(sigma, eps)["r_ce"] + 0.031 * (eps == 0.2)


def test_each_prediction_can_be_contradicted():
    found = verdicts(table(margin))
    assert {verdict for (number, _, _), verdict in found.items() if number in (1, 2, 3, 4)} == {"contradicted"}
    found = verdicts(table(wrong))
    assert [found[1, "linear", sigma] for sigma in (0.5, 1.0)] == ["contradicted"] * 2
    assert found[5, "cnn", None] == "contradicted" and found[5, "linear", None] == "confirmed"


def test_what_is_not_run_or_too_little_has_no_verdict():
    rows = table(follows, networks=["cnn"])
    gone = [row for row in rows if (row["seed"], row["eps"]) != (3, 0.15)]
    found = {(one["prediction"], one["network"], one["sigma"]): one for one in judged(gone)}
    assert found[2, "cnn", 0.5]["n"] == found[5, "cnn", None]["n"] == 4  # draw 3 lacks a size
    assert found[2, "mlp", 0.5]["verdict"] == found[1, "linear", 1.0]["verdict"] == "not run"
    assert set(verdicts(table(follows, draws=1)).values()) == {"not run"}
    wide = [row | dict.fromkeys(WAYS, row["ratio_ablated"] + 500 * (row["seed"] - 2) / 1000) for row in rows]
    assert verdicts(wide)[4, "cnn", 0.5] == "undecided"


def test_the_values_are_those_of_the_predictions():
    """By hand: sigma = 1 has eps .25, .3, .38 and .44 beyond eps0, the nearest other curve 0 there."""
    found = {(one["prediction"], one["network"], one["sigma"]): one for one in judged(table(lambda *_: 0.7))}
    curve = {eps: theory(1.0, float(eps)) for eps in SIZES}
    assert eps0(SETTINGS[1.0]) < 0.25 and found[2, "mlp", 1.0]["value"] == pytest.approx(0.7)
    off = [abs(0.7 - curve[eps]["r_ce"]) for eps in SIZES]
    assert found[1, "linear", 1.0]["value"] == pytest.approx(max(off))
    nearest = [min(abs(0.7 - curve[eps][name]) for name in ("r_at", "r_acc")) for eps in SIZES]
    assert found[3, "mlp", 1.0]["value"] == pytest.approx(np.mean(nearest) - np.mean(off), abs=1e-3)
    assert found[4, "mlp", 1.0]["value"] == pytest.approx(0.7 - np.mean([curve[eps]["r_ce"] for eps in SIZES[4:]]))
    assert found[5, "mlp", None]["value"] == pytest.approx(0, abs=1e-12)


@pytest.mark.slow
def test_the_picture_shows_every_network_and_the_three_curves(tmp_path, pictures):
    rows = table(follows)
    write_csv(tmp_path / "planted_networks.csv", rows)
    planted_networks.compute(tmp_path)
    planted_networks.draw(tmp_path)
    (figure,) = pictures
    assert [axis.get_title(loc="left") for axis in figure.axes] == [r"Noise $\sigma=0.5$", r"Noise $\sigma=1$"]
    for axis, sigma in zip(figure.axes, SETTINGS, strict=True):
        lines = {line.get_label(): line for line in axis.get_lines()}
        for key, label in (("r_ce", "$r_{CE}$, cross-entropy"), ("r_acc", "$r_{acc}$, best accuracy"),
                           ("r_at", "$r_{AT}$, margin loss")):
            x, y = lines[label].get_data()
            assert y[30] == pytest.approx(theory(sigma, 0.3)[key]) and x[30] == 0.3 and len(x) == 48
        for bars, network in zip(axis.containers, NETWORKS, strict=True):
            points, _, (ranges,) = bars.lines
            np.testing.assert_allclose(points.get_ydata(), [follows(network, sigma, float(eps)) for eps in SIZES])
            assert np.abs(points.get_xdata() - [float(eps) for eps in SIZES]).max() < 0.01
            assert np.diff(ranges.get_segments()[0][:, 1]) == pytest.approx(0.004)
    said = planted_networks.finding(tmp_path)
    assert said.startswith("T1-CE, S1, T2-joint': four networks") and "n = 5 draws" in said
    assert "(2) sharing is kept beyond eps0: confirmed 6 of 6. (3)" in said
    assert "0 of 22 verdicts are others at the images" in said
    write_csv(tmp_path / "planted_networks.csv", table(margin, draws=3))
    said = planted_networks.finding(tmp_path)
    assert "(1) the linear networks follow r_CE: confirmed 0 of 2; contradicted linear at sigma = 0.5 (0.79); " in said
    assert "contradicted MLP at sigma = 0.5 (-0.00 [-0.00, 0.00]); " in said and "3 draws" in said
    write_csv(tmp_path / "planted_networks.csv", table(follows, networks=["linear", "cnn"]))
    assert "(2) sharing is kept beyond eps0: confirmed 2 of 6; 4 not run. (3)" in planted_networks.finding(tmp_path)


def test_the_command_trains_the_grid(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(planted_networks, "write_rows", lambda *arguments: asked.append(arguments))
    planted_networks.main([str(tmp_path / "a.csv"), "runs"])
    ((out, listed, runs),) = asked
    recipes = {run_name(recipe_named(f"planted-{network}", words)) for network, words in listed}
    assert len(recipes) == len(listed) == 4 * 8 * 2 * 5 and (out, runs) == (str(tmp_path / "a.csv"), Path("runs"))
    planted_networks.main([str(tmp_path / "a.csv"), "runs", "mlp=2"])
    assert len(asked[1][1]) == 8 * 2 * 2 and asked[1][1][0][0] == "mlp"
    assert {word for _, words in asked[1][1] for word in words if "sigma" in word} == {"sigma=0.5", "sigma=1.0"}
    for words, sentence in ((["a.csv"], "add RUNS"), (["a.csv", "runs", "vgg=1"], "must be cnn, linear")):
        with pytest.raises(SystemExit, match="2"):
            planted_networks.main(words)
        assert sentence in capsys.readouterr().err


def test_a_table_goes_on_draw_by_draw(tmp_path, monkeypatch):
    """Rows that are there are kept to the letter, and not trained again; a table that breaks off has what has ended."""
    trained, out = [], tmp_path / "a.csv"

    def train(listed, runs, advance):
        for network, words in listed:
            recipe = recipe_named(f"planted-{network}", words)
            if len(trained) == 3:
                raise InterruptedError
            trained.append(recipe.seed)
            advance({"network": network, "loss": recipe.loss, "eps": float(recipe.eps), "seed": recipe.seed,
                     "sigma": recipe.sigma, "run": run_name(recipe)})
    monkeypatch.setattr(planted, "trained_rows", train)
    listed = planted.jobs(2, ["mlp"], SETTINGS[1.0], ["0", "0.3"], ["margin"])
    with pytest.raises(InterruptedError):
        planted.write_rows(out, listed, tmp_path)
    assert trained == [0, 0, 1]
    (tmp_path / "b.csv").write_text(out.read_text().replace("0.0,0,", "0.0e0,0,"))
    trained.clear()
    planted.write_rows(tmp_path / "b.csv", listed, tmp_path)
    assert trained == [1] and len(read_csv(tmp_path / "b.csv")) == 4 and "0.0e0," in (tmp_path / "b.csv").read_text()
    trained.clear()
    planted.write_rows(tmp_path / "b.csv", listed, tmp_path)
    assert trained == []


def test_another_table_is_refused(tmp_path):
    write_csv(tmp_path / "a.csv", [{"x": 1}])
    with pytest.raises(ValueError, match="it is another table"):
        planted.write_rows(tmp_path / "a.csv", planted.jobs(1, ["linear"]), tmp_path)
    assert (tmp_path / "a.csv").read_text() == "x\n1\n"


def test_what_the_pages_say_of_the_committed_table():
    """figures/predictions.md, "What came out", and deep/README.md."""
    found = {(one["prediction"], one["network"], one["sigma"]): one for one in judged(read_csv(planted_networks.DATA))}
    told = {key: one["verdict"] for key, one in found.items()}
    unsure = {"preactresnet18"}
    assert {key[1:] for key in told if key[0] == 1 and told[key] == "confirmed"} == {("linear", 0.5), ("linear", 1.0)}
    for number in (2, 3):
        assert all(told[key] == ("undecided" if key[1] in unsure else "confirmed") for key in told if key[0] == number)
    assert {told[key] for key in told if key[0] == 4 and key[2] == 1.0} == {"confirmed"}
    assert {told[key] for key in told if key[0] == 4 and key[2] == 0.5} == {"undecided"}
    assert [told[5, network, None] for network in NETWORKS] == ["confirmed", "contradicted", "undecided", "undecided"]
    means = [f"{found[2, 'preactresnet18', sigma]['value']:.2f}".lstrip("0") for sigma in (0.5, 1.0)]
    page = " ".join((planted_networks.DATA.parents[1] / "predictions.md").read_text().split())
    assert f"undecided for the PreActResNet-18, whose means are {means[0]} and {means[1]}" in page
