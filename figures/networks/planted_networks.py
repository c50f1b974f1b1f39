"""Four networks on planted images over the three ratios of the theory (claims T1-CE, S1, T2-joint'), at two noises.

A linear network, an MLP, a CNN and a narrow PreActResNet-18, trained adversarially with cross-entropy. Their reliance
ratio by ablating patches (`deep.data.planted`) lies over r_CE at the linear networks' decay, r_AT and r_acc. What was
expected, and by which rules it is judged, stands in figures/predictions.md.

`python -m figures.networks.planted_networks OUT.csv RUNS NETWORK=DRAWS ...` trains so many draws, five of each network
by default, about 1.7 hours of one core. Each row is written as its training ends, draw by draw, and the same command
goes on. `python -m figures.networks.planted_networks` draws figures/data/planted_networks.png and .svg from
planted_networks.csv and planted_networks-theory.csv beside them, and prints what they show.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deep.experiments.campaign.predictions import decided, holm_pairs, verdict
from figures.networks.planted import draws_of, jobs, write_rows
from figures.scripts import command_line
from figures.style import BLACK, BLUE, GREEN, GREY, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import Setting, eps0
from synthmodel import r_acc as best_ratio
from synthmodel.solvers.cross_entropy import cross_entropy_ratio
from synthmodel.solvers.margin_closed import ratio_closed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    from figures.style import Row

    Ratios = Float[np.ndarray, "draws sizes"]

__all__ = ["compute", "draw", "finding", "judged"]

DATA = Path(__file__).parents[1] / "data" / "planted_networks.csv"
SETTINGS = {sigma: Setting(1.0, sigma) for sigma in (0.5, 1.0)}
SIZES = ("0", "0.08", "0.15", "0.2", "0.25", "0.3", "0.38", "0.44")
LAM = 0.1  # of the linear networks: 2 weight_decay/patch^2 (T1-W)
NETWORKS = {  # name: (label, colour, mark, its fill)
    "linear": ("linear", BLUE, "o", BLUE), "mlp": ("MLP", RED, "s", "white"), "cnn": ("CNN", GREEN, "^", GREEN),
    "preactresnet18": ("PreActResNet-18, width 4", GREY, "D", "white")}
RATIO = "ratio_ablated"
AGREES = 0.03  # as in the report
LEVEL, KEPT, SHIFT = 0.95, 0.5, 0.0045  # of verdicts; of a ratio that is kept; between the marks of one eps


@cache
def theory(sigma: float, eps: float) -> dict[str, float]:
    """r_CE, r_AT and r_acc at a noise and an eps."""
    k = SETTINGS[sigma].k(eps)
    return {"r_ce": float(cross_entropy_ratio(SETTINGS[sigma], eps, LAM)), "r_at": float(ratio_closed(k)),
            "r_acc": float(best_ratio(k))}


def compute(folder: Path) -> None:
    """planted_networks-theory.csv: sigma, eps, r_ce, r_at, r_acc."""
    write_csv(folder / f"{DATA.stem}-theory.csv", [
        {"sigma": sigma, "eps": percent / 100} | theory(sigma, percent / 100)
        for sigma, percent in product(SETTINGS, range(48))])


def ratios(rows: Sequence[Row], network: str, sigma: float, key: str = RATIO) -> tuple[list[int], Ratios]:
    """(draws, their ratios at SIZES) of a network at a noise; a draw that lacks a size is left out."""
    found = {(int(row["seed"]), row["eps"]): row[key] for row in rows
             if (row["network"], row["sigma"]) == (network, sigma)}
    draws = [draw for draw in sorted({draw for draw, _ in found})
             if all((draw, float(eps)) in found for eps in SIZES)]
    return draws, np.array([[found[draw, float(eps)] for eps in SIZES] for draw in draws]).reshape(-1, len(SIZES))


def judged(rows: Sequence[Row], key: str = RATIO) -> list[dict[str, Any]]:
    """Every prediction of figures/predictions.md with its verdict.

    [{"prediction": its number, "network", "sigma", "value", "interval", "n", "verdict"}]; value: the mean over draws of
    what the prediction says is 0 or more (.5 for 2), of the first the largest distance of a mean over draws from r_CE.
    """
    found: list[dict[str, Any]] = []
    sizes = np.array([*map(float, SIZES)])

    def enter(number: int, network: str, sigma: float | None, values: Float[np.ndarray, " draws"], bound: float = 0.0
              ) -> None:
        mean, interval, *ps = (decided({"at_least": 0.0}, list(values - bound), 0.0, LEVEL) if len(values) > 1
                               else (np.nan, (np.nan, np.nan), np.nan, np.nan))
        found.append({"prediction": number, "network": network, "sigma": sigma, "value": mean + bound,
                      "interval": tuple(end + bound for end in interval), "n": len(values), "ps": ps})

    for sigma, network in product(SETTINGS, NETWORKS):
        draws, r = ratios(rows, network, sigma, key)
        r_ce, r_at, r_acc = np.array([[*theory(sigma, eps).values()] for eps in sizes]).T
        if network == "linear":
            off = np.abs(r.mean(0) - r_ce).max() if draws else np.nan
            found.append({"prediction": 1, "network": network, "sigma": sigma, "value": off, "interval": None,
                          "n": len(draws), "verdict": "not run" if len(draws) < 2 else
                          "confirmed" if off <= AGREES else "contradicted"})
            continue
        beyond = sizes > eps0(SETTINGS[sigma])
        enter(2, network, sigma, r[:, beyond].mean(1), KEPT)
        enter(3, network, sigma, (np.minimum(np.abs(r - r_at), np.abs(r - r_acc)) - np.abs(r - r_ce)).mean(1))
        if network != "preactresnet18":
            enter(4, network, sigma, (r - r_ce)[:, beyond].mean(1))
    for network in NETWORKS:
        low, high = ({draw: r.mean() for draw, r in zip(*ratios(rows, network, sigma, key), strict=True)}
                     for sigma in SETTINGS)
        enter(5, network, None, np.array([low[draw] - high[draw] for draw in low if draw in high]))
    tested = [one for one in found if "ps" in one]
    for one, ps in zip(tested, holm_pairs([one.pop("ps") for one in tested]), strict=True):
        one["verdict"] = verdict(one["n"], *ps, 1 - LEVEL)
    return sorted(found, key=lambda one: one["prediction"])


def named(one: dict[str, Any]) -> str:
    """The network and noise of a verdict, and what was measured."""
    where = NETWORKS[one["network"]][0].partition(",")[0]
    where += "" if one["sigma"] is None else f" at sigma = {one['sigma']:g}"
    interval = "" if one["interval"] is None else f" [{one['interval'][0]:.2f}, {one['interval'][1]:.2f}]"
    return f"{where} ({one['value']:.2f}{interval})"


def finding(folder: Path) -> str:
    """What became of the predictions, and how far the networks lie from r_CE."""
    rows = read_csv(folder / DATA.name)
    said, found = [], judged(rows)
    words = {1: "the linear networks follow r_CE", 2: "sharing is kept beyond eps0", 3: "r is nearest to r_CE",
             4: "r lies above r_CE beyond eps0", 5: "more noise, less sharing"}
    for number, claim in words.items():
        outcomes = [one for one in found if one["prediction"] == number]
        confirmed = sum(one["verdict"] == "confirmed" for one in outcomes)
        rest = [f"{one['verdict']} {named(one)}" for one in outcomes if one["verdict"] not in ("confirmed", "not run")]
        if missing := sum(one["verdict"] == "not run" for one in outcomes):
            rest.append(f"{missing} not run")
        said.append("; ".join([f"{claim}: confirmed {confirmed} of {len(outcomes)}", *rest]))
    others = [judged(rows, key) for key in ("ratio", "ratio_adversarial")]
    changed = [sum(one["verdict"] != other["verdict"] for one, other in zip(found, way, strict=True)) for way in others]
    draws = max(one["n"] for one in found)
    return (f"T1-CE, S1, T2-joint': four networks trained with cross-entropy, n = {draws} draws of the data, r by "
            f"ablating patches. Predictions: {'. '.join(f'({number}) {one}' for number, one in enumerate(said, 1))}. "
            f"With derivatives in place of ablation {changed[0]} of {len(found)} verdicts are others at the images, "
            f"{changed[1]} at x + delta*.")


@styled()
def draw(folder: Path) -> None:
    """planted_networks.png and .svg from the two tables: means and ranges over draws, one panel a noise."""
    rows, curves = read_csv(folder / DATA.name), read_csv(folder / f"{DATA.stem}-theory.csv")
    figure, (axes,) = new_figure(1, len(SETTINGS), 9.2, 4.4, sharey=True)
    for axis, (sigma, setting) in zip(axes, SETTINGS.items(), strict=True):
        part = [row for row in curves if row["sigma"] == sigma]
        for key, style, label in (("r_ce", "-", "$r_{CE}$, cross-entropy"), ("r_acc", "--", "$r_{acc}$, best accuracy"),
                                  ("r_at", ":", "$r_{AT}$, margin loss")):
            axis.plot([row["eps"] for row in part], [row[key] for row in part], style, color=BLACK, linewidth=1.3,
                      label=label)
        for place, (network, (label, color, mark, fill)) in enumerate(NETWORKS.items()):
            at = {eps: np.array([row[RATIO] for row in rows if (row["network"], row["sigma"], row["eps"])
                                 == (network, sigma, eps)]) for eps in map(float, SIZES)}
            at = {eps: values for eps, values in at.items() if len(values)}
            if not at:
                continue
            mean = np.array([values.mean() for values in at.values()])
            spread = np.array([[values.mean() - values.min(), values.max() - values.mean()]
                               for values in at.values()]).T
            axis.errorbar(np.array([*at]) + (place - 1.5) * SHIFT, mean, spread, fmt=mark, color=color, capsize=2,
                          markerfacecolor=fill, markersize=5, linewidth=1, label=label)
        axis.axvline(eps0(setting), color=GREY, linewidth=0.7, linestyle=(0, (1, 3)))
        axis.text(eps0(setting), 1.0, r"$\epsilon_0$", transform=axis.get_xaxis_transform(), ha="center", va="bottom",
                  color=GREY)
        axis.set(xlim=(-0.02, 0.47), xlabel=r"attack size $\epsilon$")
        axis.set_ylim(bottom=-0.05)
        axis.set_title(rf"Noise $\sigma={sigma:g}$", pad=14)
    axes[0].set_ylabel("reliance ratio $w_2/w_1$, by ablating patches")
    axes[-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    draws = len({row["seed"] for row in rows})
    figure.supxlabel(rf"mean and range of {draws} draws of images and weights, side by side at each $\epsilon$",
                     fontsize=8)
    save(figure, folder, DATA.stem)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train into a table, or draw the committed one."""
    words = command_line(__name__)
    words.add_argument("out", metavar="OUT.csv", nargs="?", help="the table to write, or to go on with; none: draw")
    words.add_argument("runs", metavar="RUNS", nargs="?", type=Path, help="the folder of the run folders")
    words.add_argument("asked", metavar="NETWORK=DRAWS", nargs="*", type=draws_of,
                       help=f"(default: {' '.join(f'{name}=5' for name in NETWORKS)})")
    options = words.parse_args(arguments)
    if options.out is not None and options.runs is None:
        words.error(f"{options.out} was given without a folder for the run folders: add RUNS")
    try:
        if options.out is not None:
            asked = options.asked or [(name, 5) for name in NETWORKS]
            listed = [job for network, draws in asked for setting in SETTINGS.values()
                      for job in jobs(draws, [network], setting, SIZES, ["cross-entropy"])]
            write_rows(options.out, listed, options.runs)
            return
    except ValueError as error:
        words.error(str(error).rstrip("."))
    if not DATA.exists():
        words.error(f"{DATA} is missing: train with OUT.csv RUNS first")
    compute(DATA.parent)
    draw(DATA.parent)
    print(finding(DATA.parent))


if __name__ == "__main__":
    main()
