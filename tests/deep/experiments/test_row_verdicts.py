"""The verdict of each row of the paper's tables, on invented measurements."""

import pytest
from scipy import stats

from deep.experiments.reproduction.comparison import rows
from deep.experiments.reproduction.paper_tables import TABLES
from deep.experiments.reproduction.row_verdicts import verdict_in_words


def made(table, measured, beside=False, worst=False):
    """The rows of a table; measured: {system: [{stage: (epoch, CAS, robust accuracy)} of each seed]}."""
    results = {}
    for system, seeds in measured.items():
        for seed, stages in enumerate(seeds):
            found = {stage: {"epoch": epoch, "cas": cas, "robust": robust}
                     | ({"worst": robust, "worst_attack": "apgd-ce, apgd-t; linf eps 8/255"} if worst else {})
                     for stage, (epoch, cas, robust) in stages.items()}
            results[system, seed] = {"stages": found, "missing": None if stages else "failed: disk"}
    return rows(table, results, {system: beside for system, _ in TABLES[table][1]})


def at(best=20.0, last=10.0, early=15.0, noise=0.0, epoch=5):
    """A seed of the table of stages; robust accuracy is CAS + 20."""
    values = {"underfit": (3, early), "best": (epoch, best + noise), "last": (9, last)}
    return {stage: (epoch, cas, cas + 20) for stage, (epoch, cas) in values.items()}


def words(found):
    return [{one["quantity"]: one["verdict"] for one in row["verdicts"]} for row in found]


def test_the_sign_of_a_change_is_judged_at_any_scale_and_its_size_is_not():
    found = made("stages", {"AT": [at(noise=noise) for noise in (-0.5, 0.0, 0.4, 0.1)]})
    first, best, last = words(found)
    assert set(first.values()) == {"not comparable: a level, not measured as the paper's"}
    assert best == last == dict.fromkeys(("cas", "robust"), "same sign, size not comparable")
    fall = found[2]["verdicts"][0]
    values = [-(20 + noise - 10) for noise in (-0.5, 0.0, 0.4, 0.1)]
    assert (fall["since"], fall["paper"]) == ("best", pytest.approx(9.0 - 25.6))
    assert fall["value"] == pytest.approx(-10.0)
    assert fall["interval"] == pytest.approx(stats.t.interval(0.95, 3, -10.0, stats.sem(values)))
    low, high = (f"{end:.2f}" for end in fall["interval"])
    assert verdict_in_words(found[2]["verdicts"][:1]) == (
        f"CAS since best: -10.00 [{low}, {high}], paper -16.6: same sign, size not comparable")


def test_a_change_can_be_the_opposite_or_undecided():
    found = words(made("stages", {"AT": [at(best=10.0, last=14.0, noise=noise) for noise in (-0.2, 0.0, 0.2)]}))
    assert found[1]["cas"] == found[2]["cas"] == "opposite sign"
    found = words(made("stages", {"AT": [at(noise=noise) for noise in (-20.0, 0.0, 20.0)]}))
    assert found[2]["cas"] == "undecided"
    assert words(made("stages", {"AT": [at()]}))[2]["cas"] == "undecided (one seed)"


def test_holm_counts_the_rows_of_the_table():
    """One change alone has p = .03; of two such ones neither decides anything."""
    noise = (-2.0, 0.0, 2.0, 0.5, -0.5)
    mean = stats.t.isf(0.03, 4) * stats.sem(noise)

    def seed(n):
        return {"best": (5, 10.0 + mean + n, 50.0), "last": (9, 10.0, 50.0 + n)}
    alone = words(made("across", {"AT, l2 128/255": [seed(n) for n in noise]}))
    assert [row["cas"] for row in alone][-3:] == ["same sign, size not comparable", "not run", "not run"]
    both = words(made("across", {name: [seed(n) for n in noise] for name in ("AT, l2 128/255", "AT, DeiT-Ti")}))
    assert [row["cas"] for row in both][-3::2] == ["undecided"] * 2


def test_a_level_and_a_size_are_judged_where_they_are_measured_as_the_papers():
    """Robust accuracy by the attacks of AutoAttack alone."""
    seeds = [at(best=25.6 + noise, last=9.0 - noise, early=18.2 - 2 * noise) for noise in (-0.5, 0.4, 0.2)]
    found = made("stages", {"AT": seeds}, beside=True, worst=True)
    assert words(found)[0] == {"cas": "size as the paper's", "worst": "0.90 of the paper's size"}
    assert words(found)[2]["cas"] == "same sign, size as the paper's"
    assert words(found)[2]["worst"] == "same sign, 3.14 of the paper's size"  # 16.63 points of 5.3
    pgd = made("stages", {"AT": seeds}, beside=True)
    assert words(pgd)[0]["robust"] == "not comparable: a level, not measured as the paper's"
    assert words(pgd)[2]["robust"] == "same sign, size not comparable"


def test_what_the_paper_measured_otherwise_or_not_at_all_is_not_comparable():
    seed = {"best": (5, 600.0, 20.0), "last": (9, 400.0, 10.0)}
    found = made("across", {name: [seed, seed] for name, _ in TABLES["across"][1]}, beside=True)
    assert words(found)[:4] == [{"cas": "not comparable: CIFAR-10's normalisation"}] * 2 + [
        {"cas": "not comparable: a 2x2 map"}] * 2
    fast = made("fast_at", {name: [seed] for name, _ in TABLES["fast_at"][1]})
    assert words(fast) == [{}] * 4 and verdict_in_words(fast[0]["verdicts"]) == "not comparable: no number of the paper"


def test_the_row_of_a_fall_is_a_change_by_itself():
    measured = {name: [{"best": (5, 10.0 + fall + n, 40.0), "last": (9, 10.0, 39.0)} for n in (-0.1, 0.0, 0.1)]
                for (name, _), fall in zip(TABLES["delta_cas"][1], (4.1, 2.0, -3.0, 16.6), strict=True)}
    found = made("delta_cas", measured, beside=True)
    assert [row["verdicts"][0]["verdict"] for row in found if row["stage"] == "best - last"] == [
        "same sign, size as the paper's", "same sign, 0.22 of the paper's size", "opposite sign",
        "same sign, size as the paper's"]
    assert [len(row["verdicts"]) for row in found] == [0, 0, 1] * 3 + [2, 2, 1]  # AT stands in another table, too
    assert found[2]["verdicts"][0]["since"] is None


def test_a_best_checkpoint_before_the_early_stage_is_left_out():
    """One that is the last too counts: nothing has changed."""
    seeds = [at(epoch=2), at(epoch=4), at(best=21.0, last=21.0, epoch=9)]
    best, last = (row["verdicts"][0] for row in made("stages", {"AT": seeds})[1:])
    assert best["value"] == pytest.approx((5.0 + 6.0) / 2) and last["value"] == pytest.approx((-10 - 10 + 0) / 3)
    assert words(made("stages", {"AT": [{}, {}]})) == [{"cas": "not run", "robust": "not run"}] * 3
