"""How many examples it takes until the margin loss uses w2, or drops it (claim N1-sample).

`python -m figures.theory.learning_curve` writes figures/data/learning_curve.csv and draws learning_curve.png and .svg
beside it. The lines are exact, the dashes the normal approximation, the marks samples of the two-weight empirical risk.
"""

from pathlib import Path

import numpy as np

from figures.scripts import command_line
from figures.style import BLACK, BLUE, GREEN, GREY, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel.flows.learning_curve import chance_used, chance_used_normal
from synthmodel.model.setting import Setting
from synthmodel.solvers.margin_closed import eps0

__all__ = ["compute", "draw", "finding"]

SETTING = Setting(1, 0.5)
SIZES = {0.2: BLUE, 0.32: GREEN, round(eps0(SETTING), 3): BLACK, 0.4: RED, 0.45: GREY}
MARKS = "osD^v"
EXAMPLES = sorted({round(count) for count in np.geomspace(1, 1000, 40)})
SAMPLED, SAMPLES = (1, 3, 10, 30, 100, 300), 4000


def compute(folder: Path) -> None:
    """learning_curve.csv: the chance of w2 > 0 by eps and number of examples, exactly, nearly, and in samples."""
    rng, rows = np.random.default_rng(0), []
    for eps in SIZES:
        for count in EXAMPLES:
            rows.append({"eps": eps, "examples": count, "exact": chance_used(SETTING.k(eps), count),
                         "normal": chance_used_normal(SETTING.k(eps), count), "sampled": None})
        for count in SAMPLED:
            features = SETTING.mu + SETTING.sigma * rng.standard_normal((SAMPLES, count, 2))
            used = features.min(axis=2).mean(axis=1) > 2 * eps
            rows.append({"eps": eps, "examples": count, "exact": chance_used(SETTING.k(eps), count),
                         "normal": chance_used_normal(SETTING.k(eps), count), "sampled": float(used.mean())})
    write_csv(folder / "learning_curve.csv", rows)


def finding(folder: Path) -> str:
    rows = read_csv(folder / "learning_curve.csv")

    def needed(eps: float, reached: bool) -> int:
        return int(min(row["examples"] for row in rows if row["eps"] == eps
                       and (row["exact"] > 0.99 if reached else row["exact"] < 0.01)))

    drawn = [row for row in rows if not np.isnan(row["sampled"])]
    worst = max(abs(row["sampled"] - row["exact"]) for row in drawn)
    low, below, _, above, high = SIZES  # the middle one is so near eps0 that no number of EXAMPLES decides
    one = {row["eps"]: row["exact"] for row in rows if row["examples"] == 1}
    return (f"N1-sample: with one example the margin loss uses w2 with a chance of {one[low]:.2f} (eps = {low}) to "
            f"{one[high]:.2f} (eps = {high}). 99 % sure it takes {needed(low, True)} examples at eps = {low} and "
            f"{needed(below, True)} at {below}; that it does not, {needed(high, False)} at {high} and "
            f"{needed(above, False)} at {above}. Samples differ by at most {worst:.3f}.")


@styled()
def draw(folder: Path) -> None:
    """learning_curve.png and .svg, from learning_curve.csv."""
    rows = read_csv(folder / "learning_curve.csv")
    figure, ((axis,),) = new_figure(1, 1, 6.4, 3.6)
    for (eps, color), mark in zip(SIZES.items(), MARKS, strict=False):
        line = [row for row in rows if row["eps"] == eps and np.isnan(row["sampled"])]
        marks = [row for row in rows if row["eps"] == eps and not np.isnan(row["sampled"])]
        counts = [row["examples"] for row in line]
        axis.plot(counts, [row["exact"] for row in line], color=color)
        axis.plot(counts, [row["normal"] for row in line], color=color, linestyle=":", linewidth=1)
        axis.plot([row["examples"] for row in marks], [row["sampled"] for row in marks], mark, color=color,
                  markersize=4)
        axis.plot([], [], mark, color=color, linestyle="-", markersize=4, label=rf"$\epsilon$ = {eps:g}")
    axis.plot([], [], color=BLACK, label="exactly")
    axis.plot([], [], color=BLACK, linestyle=":", linewidth=1, label="normal approximation")
    axis.plot([], [], "o", color=BLACK, markersize=4, label=f"share of {SAMPLES:,} samples\n(any mark)")
    axis.set(xscale="log", xlabel="training examples $N$", ylabel=r"$\Pr(w_2 > 0)$", ylim=(-0.02, 1.02),
             title="The chance that the margin loss, trained on $N$ examples, uses the cross-class feature\n"
                   rf"($\mu = {SETTING.mu:g}$, $\sigma = {SETTING.sigma:g}$: on the population, iff "
                   rf"$\epsilon < \epsilon_0 = {eps0(SETTING):.3f}$)")
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, folder, "learning_curve")


if __name__ == "__main__":
    command_line(__name__).parse_args()
    FOLDER = Path(__file__).parents[1] / "data"
    compute(FOLDER)
    draw(FOLDER)
