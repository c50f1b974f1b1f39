"""The atlas on small grids: its rows against the theory, each statement able to fail."""

from functools import partial
from itertools import combinations, pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from figures import atlas
from figures.diagram import matrix
from figures.phase import (
    classes as phase_classes,
)
from figures.phase import (
    decays as phase_decays,
)
from figures.phase import (
    norm,
    smoothing,
)
from figures.phase import (
    sigma as phase_sigma,
)
from figures.phase import (
    temperature as phase_temperature,
)
from figures.phase import (
    theorems as phase_theorems,
)
from figures.style import read_csv, write_csv
from figures.theory import dynamics, flows, ratios
from synthmodel import (
    CrossEntropy,
    Margin,
    Setting,
    WrongClassLSE,
    b_star,
    eps0,
    joint_accuracy,
    r_acc,
    solve,
    threshold,
)
from synthmodel.accuracy.three_classes import crossover
from synthmodel.flows.any_noise import Features
from synthmodel.flows.rare_outliers import limit_flow
from synthmodel.plot import planes
from tests.conftest import assert_draws

SIZES = np.linspace(0, 0.495, 34)


def test_matrix_puts_each_row_in_its_place():
    rows = [{"x": x, "y": y, "z": 10 * x + y} for x in (3, 1) for y in (0.5, 0.1)][:3]
    x, y, z = matrix(rows, "x", "y", "z")
    assert (x.tolist(), y.tolist()) == ([1, 3], [0.1, 0.5])
    np.testing.assert_array_equal(z, [[np.nan, 30.1], [10.5, 30.5]])


def wrong_cells(folder, curve):
    """Rows whose first eps with w2 = 0 is not the one that follows curve(sigma)."""
    sigma, first, last = phase_sigma.dies(folder)
    value = curve(sigma)
    return sum(not ((np.isnan(low) and at <= 0) or low < at <= high)
               for at, low, high in zip(value, last, first, strict=True))


def test_the_margin_loss_dies_at_eps0_within_one_cell(tmp_path):
    noises = np.linspace(0.05, 2, 14)
    phase_sigma.compute(tmp_path, SIZES, noises)
    assert wrong_cells(tmp_path, lambda sigma: eps0(Setting(1.0, sigma))) == 0
    assert wrong_cells(tmp_path, lambda sigma: eps0(Setting(1.0, 1.05 * sigma))) > 0  # 5 % off is seen
    assert wrong_cells(tmp_path, lambda sigma: 0.5 - sigma / 2) > 0
    rows = read_csv(tmp_path / "phase_sigma.csv")
    assert 0.5 < min(row["cross_entropy"] for row in rows) < max(row["cross_entropy"] for row in rows) < 1
    for row in rows[::97]:  # the closed form in the table, by brute force
        brute = solve(Setting(1.0, row["sigma"]), Margin(), row["eps"], phase_sigma.LAM, method="numeric")
        assert row["margin"] == pytest.approx(brute.ratio, abs=1e-9)


@pytest.mark.slow
def test_the_border_of_the_drawn_region_is_eps0(tmp_path, pictures):
    """Whatever the grid."""
    noises = np.linspace(0.05, 2, 5)
    phase_sigma.compute(tmp_path, np.linspace(0, 0.4995, 6), noises)
    phase_sigma.draw(tmp_path)
    (region,) = [drawn for drawn in pictures[0].axes[0].collections if drawn.get_hatch()]
    corners = region.get_paths()[0].vertices
    for sigma in noises:
        assert np.isclose(corners, (max(eps0(Setting(1, sigma)), 0), sigma)).all(axis=1).any()


def test_the_log_sum_exp_tends_to_the_margin_loss(tmp_path):
    cold = np.array([1e-6, 1e-4, 1e-2, 1.0])
    phase_temperature.compute(tmp_path, SIZES, cold)
    rows = read_csv(tmp_path / "phase_temperature.csv")
    apart = [max(abs(row["ratio"] - row["margin"]) for row in rows if row["tau"] == tau) for tau in cold]
    assert apart[0] < 1e-3 < 0.3 < apart[3]
    assert all(one < after for one, after in pairwise(apart))
    for row in rows:  # T1-temp: |w_tau - w*| <= sqrt(2 tau log 2/lam), in w2, where w1 = d/lam
        w1 = phase_temperature.SETTING.d(row["eps"]) / phase_temperature.LAM
        assert w1 * abs(row["ratio"] - row["margin"]) <= np.sqrt(2 * row["tau"] * np.log(2) / phase_temperature.LAM)
        assert row["ratio"] > 0


def test_tau_star_is_where_the_ratio_is_the_best(tmp_path):
    phase_temperature.compute(tmp_path, SIZES, np.geomspace(1e-2, 1e2, 3))
    best = read_csv(tmp_path / "phase_temperature-best.csv")
    assert len(best) > 20
    for row in best:
        assert row["ratio"] == pytest.approx(row["r_acc"], abs=1e-6)
        warmer = solve(phase_temperature.SETTING, WrongClassLSE(1.05 * row["tau_star"]), row["eps"],
                       phase_temperature.LAM).ratio
        assert abs(warmer - row["r_acc"]) > 1e-4 * row["r_acc"]  # 5 % of temperature are seen
    assert all(one["tau_star"] > after["tau_star"] for one, after in pairwise(best))
    assert best[-1]["tau_star"] < 1e-3


def test_the_ridge_of_smoothing_is_b_star(tmp_path):
    strengths, smoothings = np.linspace(0.2, 2.4, 23), np.linspace(0, 0.999, 101)
    smoothing.compute(tmp_path, strengths, smoothings)
    k, b, gain = smoothing.ridge(tmp_path)
    cell = smoothings[1]
    assert k.min() == pytest.approx(0.6)  # the first above k0 = .5642
    off = b - np.array([b_star(one) for one in k])
    assert np.abs(off).max() <= cell
    assert np.abs(off + 2.5 * cell).max() > cell  # a ridge off by more is seen
    below, above = smoothing.always(tmp_path)
    assert below < crossover() < above
    rows = read_csv(tmp_path / "phase_smoothing.csv")
    for row in rows:
        if row["k"] < 0.56:
            assert row["gain"] < 0 if row["ratio"] > 0 else row["gain"] == 0
    assert gain.max() == pytest.approx(100 * max(
        joint_accuracy(r_acc(one), one) - joint_accuracy(max(1 - 1 / (one * np.sqrt(np.pi)), 0), one) for one in k),
        abs=1e-3)


def test_p_2_alone_does_not_depend_on_eps(tmp_path):
    norm.compute(tmp_path, np.linspace(0, 1, 9), np.linspace(0, 0.99, 12))
    _, inverses, ratio = matrix(read_csv(tmp_path / "phase_norm.csv"), "part", "inverse_p", "ratio")
    start = 1 - norm.SIGMA / np.sqrt(np.pi)
    np.testing.assert_allclose(ratio[:, 0], start, atol=1e-12)
    for inverse, values in zip(inverses, ratio, strict=True):
        if inverse == 0.5:
            np.testing.assert_allclose(values, start, atol=1e-9)
        else:
            assert ((values[1:] > start + 1e-3) if inverse > 0.5 else (values[1:] < start - 1e-3)).all()
        assert (values == 0).any() == (inverse == 0)  # sharp extinction at p = inf alone


def test_many_classes(tmp_path):
    phase_classes.compute(tmp_path, np.array([3, 5, 8, 12, 20, 28, 29, 40]))
    a, b = (phase_classes.columns(tmp_path, design) for design in "AB")
    assert a["threshold"][0] == b["threshold"][0] == pytest.approx(2 * eps0(Setting(1, 0.5)))
    assert (np.diff(a["threshold"]) < 0).all()
    assert (np.diff(b["threshold"]) > 0).all()
    assert (a["threshold"] > 0).tolist() == [True] * 6 + [False] * 2
    learned = a["r_acc"] > 0
    assert learned.tolist() == (a["r_at"] > 0).tolist()
    assert (a["r_at"] < a["r_acc"])[learned].all()
    assert (b["r_at"][2:] > 4 * b["r_acc"][2:]).all()  # over-uses, with decay on (w1, w2)
    assert (b["r_at_matrix"] < b["r_acc"]).all()  # under-uses, with decay on W
    for data in (a, b):
        assert (data["joint_r_acc"] >= data["joint_r_at"]).all()
        assert (data["joint_r_acc"] >= data["joint_r_at_matrix"]).all()


@pytest.mark.parametrize("classes", [3, 4, 7])
@pytest.mark.parametrize("design", ["A", "B"])
def test_the_decay_of_the_whole_matrix(design, classes):
    """|W|_F^2 = (K-1)(w1^2 + s w2^2), rows centred, s = 1 in design A and K - 2 in B: what divides w2 in the table."""
    exclusive = np.eye(classes)
    shared = 1 - exclusive if design == "A" else np.array(
        [[float(i in pair) for pair in combinations(range(classes), 2)] for i in range(classes)])
    sizes = [np.sum((part - part.mean(axis=0))**2) for part in (exclusive, shared)]
    assert sizes[0] == pytest.approx(classes - 1)
    assert sizes[1] / sizes[0] == pytest.approx(Setting(classes=classes, design=design).sharing)


@pytest.fixture(scope="module")
def theorems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theorems")
    phase_theorems.compute(folder, np.array([0.05, 0.2, 0.4, 0.47]), np.array([0.3, 0.6, 1.2]))
    return folder


@pytest.mark.slow
def test_where_the_theorems_hold(theorems):
    share = phase_theorems.shares(theorems)
    for name, (loss, hard) in phase_theorems.LOSSES.items():
        sharp = "margin" in name
        assert (share[name, "T1"] > 0) == sharp
        assert share[name, "T2-pair"] == 1
        assert share[name, "T2-joint"] == 0
        if hard is None:
            assert np.isnan(share[name, "T3"])
        else:
            assert share[name, "T3"] == (name in ("smoothed margin", "smoothed log-sum-exp"))
        if sharp:
            for row in read_csv(theorems / "phase_theorems.csv"):
                if row["loss"] == name and not np.isnan(row["T1"]):
                    assert row["T1"] == (row["eps"] >= threshold(Setting(1.0, row["sigma"]), loss))
    assert share["margin", "N2"] > share["cross-entropy", "N2"]
    for row in read_csv(theorems / "phase_theorems.csv"):
        if row["loss"] == "margin":  # N2: it under-uses wherever anything is to be used
            assert row["N2"] == (row["eps"] < eps0(Setting(1.0, row["sigma"])))


@pytest.mark.slow
def test_the_rows_attack_as_they_say(theorems):
    """T3-target: under the exact attack alone w1 dies at mu (1-b)/(2-b); the exact attack alone can raise r (T3-CE)."""
    early = (1 - phase_theorems.B) / (2 - phase_theorems.B)
    for row in read_csv(theorems / "phase_theorems.csv"):
        if "soft-target" in row["loss"]:
            assert np.isnan(row["T1"]) == ("exact" in row["loss"] and row["eps"] >= early)
    for name, raised in (("smoothed cross-entropy, delta*", 0), ("smoothed cross-entropy, exact", 1),
                         ("distillation, of itself", 1)):
        found = phase_theorems.truths(*phase_theorems.LOSSES[name], np.array([0.3]), np.array([0.2]))
        assert found["T3-ratio"].item() == raised


@pytest.mark.slow
def test_where_the_penalty_turns_the_sentences(tmp_path, monkeypatch):
    """At its own quotient each loss has the best ratio; above r_acc = 1/2 strong decay turns it before 2."""
    phase_decays.compute(tmp_path, np.array([0.8, 1.0]), (0.1, 10.0))
    rows = read_csv(tmp_path / "phase_decays.csv")
    for row in rows:
        setting, best = Setting(row["k"], 1.0), r_acc(row["k"])
        margin = solve(setting, Margin(), 0.0, lam_e=1.0, lam_c=row["margin"])
        soft = solve(setting, CrossEntropy(), 0.0, lam_e=row["decay"], lam_c=row["decay"] * row["cross_entropy"])
        assert (margin.ratio, soft.ratio) == pytest.approx((best, best), rel=1e-5)
        assert row["margin"] < 1 < row["cross_entropy"]
        assert (row["cross_entropy"] < 2) == (row["k"] == 1.0)  # r_acc = .44 and .64
    assert "both sentences hold on this grid, up to k = 1;" in phase_decays.finding(tmp_path)
    assert "from k = 1.00 on at lam_e/sigma^2 = 10" in phase_decays.finding(tmp_path)
    phase_decays.draw(tmp_path)
    assert (tmp_path / "phase_decays.png").stat().st_size > 10_000
    monkeypatch.setattr(phase_decays, "r_acc", lambda k: 0.9 * r_acc(k))  # another best ratio, another picture
    assert phase_decays.turns(1.0, 0.1) > 1.1 * rows[2]["cross_entropy"]


def test_a_flipped_theorem_is_seen(monkeypatch):
    """With the smoothed loss in the place of the hard one, Theorem 3 must fail."""
    soft, hard = phase_theorems.LOSSES["smoothed margin"]
    sizes, noises = np.array([0.1, 0.2]), np.array([0.3, 0.6])
    assert np.all(phase_theorems.truths(soft, hard, sizes, noises)["T3"] == 1)
    assert np.all(phase_theorems.truths(hard, soft, sizes, noises)["T3"] == 0)
    monkeypatch.setattr(planes, "slope_sign", lambda r, k: -np.ones(np.broadcast(r, k).shape))
    assert np.all(phase_theorems.truths(hard, soft, sizes, noises)["N2"] == 0)


@pytest.mark.slow
def test_the_index_names_every_picture_and_its_numbers(tmp_path, monkeypatch, capsys):
    fast = [one for one in atlas.PICTURES if one[1] not in (phase_theorems, dynamics, flows)]  # drawn in other tests
    assert atlas.atlas(tmp_path / "new" / "folder", fast) == 0
    folder = tmp_path / "new" / "folder"
    text, out = (folder / "atlas.md").read_text(), capsys.readouterr().out
    for _, script, finding in fast:
        room, name = script.__name__.split(".")[1:]
        name = {"phase": "phase_", "theory": ""}[room] + name
        assert f"]({name}.png)" in text
        assert {f"{name}.png", f"{name}.svg", f"{name}.csv"} <= {path.name for path in folder.iterdir()}
        said = finding(folder)
        assert said in text
        assert said in out
    # the sentences are made of the tables: another table, another sentence
    before = ratios.finding(folder)
    table = folder / "ratios.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join(rows[:40]) + "\n")
    assert ratios.finding(folder) != before
    assert {ratios, dynamics, flows} <= {script for _, script, _ in atlas.PICTURES}
    assert all(finding is script.finding for _, script, finding in atlas.PICTURES)


@pytest.mark.slow
def test_the_theorems_are_drawn(theorems, pictures):
    phase_theorems.draw(theorems)
    assert (theorems / "phase_theorems.png").stat().st_size > 20_000
    rows = read_csv(theorems / "phase_theorems.csv")
    names = list(dict.fromkeys(row["loss"] for row in rows))
    axes = np.reshape(pictures[0].axes, (len(names), len(phase_theorems.STATEMENTS)))
    for name, line in zip(names, axes, strict=True):
        for key, axis in zip(phase_theorems.STATEMENTS, line, strict=True):
            cells = sorted((row["sigma"], row["eps"], row[key]) for row in rows if row["loss"] == name)
            drawn = np.ma.filled(axis.collections[0].get_array().astype(float), np.nan).ravel()
            truths = np.array([truth for _, _, truth in cells])
            if key == "T1":  # w2 = 0 in a cell; the theorem holds at a noise if that is so at some size
                noises = np.array([sigma for sigma, _, _ in cells])
                holds = {sigma: np.nanmax(truths[noises == sigma]) for sigma in noises}
                truths = np.where(np.isnan(truths), np.nan, [holds[sigma] for sigma in noises])
                assert set(holds.values()) == {float("margin" in name)}
            np.testing.assert_array_equal(drawn, truths)
    said = phase_theorems.finding(theorems)
    assert "T3: soft labels raise w2 everywhere for smoothed margin, smoothed log-sum-exp; nowhere for" in said


@pytest.fixture(scope="module")
def flow_table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flows")
    flows.compute(folder, times=np.concatenate([[0], np.geomspace(0.03, 200, 30)]),
                  long=np.concatenate([[0], np.geomspace(0.01, 1e4, 80)]), strengths=np.array([0.5, 0.9, 1.1, 2.0]),
                  chances=(0.05, 0.01))
    return folder


@pytest.mark.slow
def test_light_tails_lose_little_and_a_heavy_one_points(flow_table):
    data = flows.columns(flow_table)
    for name, law in flows.LAWS.items():
        for classes in flows.CLASSES:
            _, ratio = data[f"ratio, K = {classes}", name]
            assert ratio[0] == 1 and (np.diff(ratio) < 0).all()
            features = Features(flows.K, flows.K, noise_c=law, classes=classes)
            assert 0 < ratio[-1] - features.end_ratio() < 0.15  # D1-any: it falls to (E M)_+/d_E
            _, accuracy = data[f"accuracy, K = {classes}", name]
            np.testing.assert_allclose(accuracy, features.accuracy(ratio), atol=1e-12)
            k, points = data[f"points lost, K = {classes}", name]
            assert (points >= 0).all()
            assert points[0] > 1 if name in flows.HEAVY else points.max() < 0.4
            if (name, classes) == ("normal", 3):  # P(r_acc) - P(r_AT), or 0 where r_AT = 0
                best = [joint_accuracy(r_acc(x), x) - joint_accuracy(1 - 1 / (x * np.sqrt(np.pi)), x) for x in k[1:]]
                np.testing.assert_allclose(points[1:], 100 * np.array(best), atol=2e-3)


@pytest.mark.slow
def test_the_softmax_flow_undershoots_its_ratio_and_no_weight_overshoots(flow_table):
    data = flows.columns(flow_table)
    swings = {case: flows.swing(data["ratio/limit", case][1]) for case in flows.RATE_LOOKS}
    assert swings["k = 1"][0] < 1e-6 < 0.29 < swings["k = 2.5"][0] < 0.31 < 0.5 < swings["k = 4"][0] < 0.6
    assert 0.15 < swings["k = 2.5"][1] < 0.2
    for case in flows.RATE_LOOKS:
        _, weight = data["w2/limit", case]
        assert (np.diff(weight) > -1e-9).all() and weight.max() < 1 + 1e-9
    assert data["w2/limit", "k = 1"][1][-1] == pytest.approx(1, abs=1e-6)
    assert flows.swing(np.array([1.2, 0.9, 1.1])) == pytest.approx((10, 10))


@pytest.mark.slow
def test_rarer_outliers_come_nearer_to_the_l1_limit(flow_table):
    data = flows.columns(flow_table)
    _, limit = data["w2 with outliers", "limit"]
    assert limit[-1] == 0 < limit.max()
    gaps = [np.abs(data["w2 with outliers", f"p = {p}"][1] - limit).max() for p in (0.05, 0.01)]
    assert gaps[0] > 3 * gaps[1] > 0


@pytest.mark.slow
def test_the_sentences_of_the_flows_are_made_of_their_tables(flow_table, tmp_path, monkeypatch, pictures):
    said = flows.finding(flow_table)
    rows = read_csv(flow_table / "flows.csv")
    changed = {"points lost, K = 3": 3.0, "ratio/limit": 0.99, "w2/limit": 1.1, "w2 with outliers": 0.5}
    for panel, factor in changed.items():
        write_csv(tmp_path / "flows.csv", [row | {"value": row["value"] * (factor if row["panel"] == panel else 1)}
                                           for row in rows])
        assert flows.finding(tmp_path) != said
    monkeypatch.setattr(dynamics, "OUTLIERS", SimpleNamespace(flow=partial(limit_flow, 1.0, 0.3)))  # quick
    dynamics.compute(tmp_path)
    dynamics.draw(tmp_path)
    assert all(axis.get_legend() for axis in pictures[0].axes)  # none borrows its neighbour's
    said = dynamics.finding(tmp_path)
    assert "costs 10.2 points in case (b), 0.0 in (a)" in said and "bounded loss 1.000" in said
    rows = read_csv(tmp_path / "dynamics.csv")
    write_csv(tmp_path / "dynamics.csv", [row | {"accuracy": row["accuracy"] - 0.1 * (row["t"] > 100)} for row in rows])
    assert dynamics.finding(tmp_path) != said


@pytest.mark.slow
def test_the_flows_are_drawn(tmp_path, monkeypatch, flow_table, pictures):
    (tmp_path / "flows.csv").write_text((flow_table / "flows.csv").read_text())
    chances = (0.05, 0.01)
    monkeypatch.setattr(flows, "CHANCE_LOOKS", {name: look for name, look in flows.CHANCE_LOOKS.items()
                                                if name in ("limit", *(f"p = {p}" for p in chances))})
    flows.draw(tmp_path)
    assert (tmp_path / "flows.png").stat().st_size > 20_000
    data, (*grid, last) = flows.columns(flow_table), np.reshape(pictures[0].axes, (3, 3))
    panels = {axis: (f"{panel}, K = {classes}", flows.LOOKS) for axes, classes in zip(grid, flows.CLASSES, strict=True)
              for axis, panel in zip(axes, ("ratio", "accuracy", "points lost"), strict=True)}
    panels |= zip(last, (("ratio/limit", flows.RATE_LOOKS), ("w2/limit", flows.RATE_LOOKS),
                         ("w2 with outliers", flows.CHANCE_LOOKS)), strict=True)
    for axis, (panel, cases) in panels.items():
        assert_draws(axis, *((x[x > 0], value[x > 0]) for x, value in (data[panel, case] for case in cases)))
    assert "<svg" in (tmp_path / "flows.svg").read_text()[:500]
