"""Figure 4: networks trained on planted images against the theory (THEORY.md, P-linear; claims T1, S1, T1-CE).

A linear network and a small CNN, trained adversarially at five eps with cross-entropy and with the margin loss.
Measured on clean test images: the reliance ratio shared/exclusive, CAS (the paper's definition, rows of W centred)
and margin-CAS. The curves are the theory's for its two-weight classifier: r_CE at lam of the linear networks, r_AT,
and 6 r^2/(4 + 2 r^2) and r^2/(1 + r^2) of them. In the tables the reliance ratio stands in two more ways, which are the
same for a linear network: at x + delta* of the training's eps, and from what the margin loses when the patches of a
kind show no class (`deep.data.planted`).

`python -m figures.networks.planted OUT.csv RUNS linear=10 cnn=3` trains so many draws of the data, ten by default. Each
network's row is written as its training ends, draw by draw. The same command goes on: what has a row in OUT.csv is not
trained again, and what has a run folder in RUNS is continued.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from concurrent.futures import as_completed
from multiprocessing import active_children
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.scripts import command_line
from figures.style import BLACK, BLUE, GREY, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import CrossEntropy, Setting, eps0, eps_max, solve
from synthmodel.solvers.margin_closed import ratio_closed
from synthmodel.system.workers import workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float

    from deep.data.dataset import Data
    from deep.recipe.recipe import Recipe
    from deep.runs.folder import RunFolder
    from figures.style import Row

__all__ = ["compute", "draw", "draws_of", "finding", "jobs", "theory_at", "write_rows"]

Job = tuple[str, list[str]]  # (network, overrides of its planted recipe)

SETTING = Setting(1.0, 0.5)
SIZES = ("0", "0.15", "0.3", "0.38", "0.44")
NETWORKS, DRAWS = ("cnn", "linear"), 3  # draws of the images and of the initial weights, one a seed
ALL = (*NETWORKS, "mlp", "preactresnet18")  # that have a planted recipe
LOSSES = ("cross-entropy", "margin")
SHIFT = 0.004  # of the marks in the picture
MORE = "planted-draws.csv"  # more draws, of `python -m figures.networks.planted`
WAYS = {"ratio": "at the images", "ratio_adversarial": "at x + delta*", "ratio_ablated": "by ablating patches"}


def jobs(draws: int | None = None, networks: Sequence[str] = NETWORKS, setting: Setting = SETTING,
         sizes: Sequence[str] | None = None, losses: Sequence[str] = LOSSES) -> list[Job]:
    """(network, overrides) of every run, the long ones first so that two workers end together.

    draws: of each network's images; None: DRAWS. ValueError for fewer than one. sizes: of the attack; None: SIZES.
    """
    draws = DRAWS if draws is None else draws
    if draws < 1:
        raise ValueError(f"draws = {draws} was given, but it must be 1 or more: choose such a number.")
    listed = []
    for network in networks:
        for loss in losses:
            for eps in SIZES if sizes is None else sizes:
                for seed in range(draws):
                    words = [f"loss={loss}", f"eps={eps}", f"seed={seed}", f"mu={setting.mu}", f"sigma={setting.sigma}"]
                    # one full step is exact for a linear network, three half steps reach any corner for the others
                    words.append(f"step={eps if network == 'linear' else float(eps) / 2}")
                    if network != "linear" and loss == "margin":
                        words += ["weight_decay=0", "radius=2"]
                    listed.append((network, words))
    return listed


def trained(recipe: Recipe, data: Data, runs: Path, pause: float = 1.0) -> RunFolder:
    """The run of a recipe, trained or continued; while another process trains it, wait and take what it has made."""
    from deep.runs.folder import InUse
    from deep.training.loop import train
    while True:
        try:
            return train(recipe, data, runs)
        except InUse:
            time.sleep(pause)


def measured(network: str, words: list[str], runs: Path) -> Row:
    """Train one recipe (or continue it) and measure it; runs in a worker process, on one thread."""
    import torch

    from deep.data.planted import ablation, reliance
    from deep.recipe.recipe import recipe_named
    from deep.runs.network import load_network
    from deep.training.loop import load_data
    torch.set_num_threads(1)
    recipe = recipe_named(f"planted-{network}", words)
    data = load_data(recipe)
    run = trained(recipe, data, runs)
    assert recipe.patch is not None  # as in every planted recipe
    model = load_network(run, data, "last")
    ways = {"": reliance(model, data.test, recipe.patch),
            "_adversarial": reliance(model, data.test, recipe.patch, float(recipe.eps)),
            "_ablated": ablation(model, data.test, recipe.patch)}
    weights = {f"{name}{way}": value for way, (exclusive, shared) in ways.items()
               for name, value in (("exclusive", exclusive), ("shared", shared), ("ratio", shared / exclusive))}
    line = run.metrics()[-1]
    return {"network": network, "loss": recipe.loss, "eps": float(recipe.eps), "seed": recipe.seed,
            "sigma": recipe.sigma, **weights,
            "cas_clean_gauge_fixed": line["cas_clean_gauge_fixed"], "margin_cas": line["margin_cas"],
            "cas_adversarial": line["cas"], "robust": line["robust"], "n_test": line["n_test"],
            "n_train": len(data.train), "weight_decay": recipe.weight_decay, "patch": recipe.patch,
            "run": run.path.name,
            "commit": json.loads((run.path / "environment.json").read_text())["sessions"][-1]["commit"]}


def trained_rows(listed: Sequence[Job], runs: Path,
                 advance: Callable[[Row], None] = lambda row: None) -> list[Row]:
    """A row for each network of a list as `jobs` makes it, trained (or continued) in `runs` by a worker a core.

    advance is called with each row as its training ends.
    """
    rows = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with workers(cores) as pool:
        futures = [pool.submit(measured, network, words, runs) for network, words in listed]
        try:
            for future in as_completed(futures):
                rows.append(future.result())
                advance(rows[-1])
        except BaseException:  # an interrupted report must not wait for the networks at hand
            for worker in active_children():
                worker.kill()  # which no run folder minds
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sorted(rows, key=place)


def place(row: Row) -> tuple[Any, ...]:
    """Where a row stands in a table."""
    return (row["network"], row["loss"], *(float(row[key]) for key in ("sigma", "eps", "seed")))


def write_rows(path: str | Path, listed: Sequence[Job], runs: Path) -> None:
    """Write a row for each network of a list into a table, as it ends, draw by draw; a row that it has stays as it is.

    ValueError for a file that is no such table.
    """
    from deep.recipe.recipe import recipe_named, run_name
    rows: list[Row] = []
    if Path(path).exists():
        with open(path, newline="") as file:
            rows = [{"sigma": SETTING.sigma} | row for row in csv.DictReader(file)]  # once there was one noise
        if not all({"run", "network", "loss", "eps", "seed"} <= row.keys() for row in rows):
            raise ValueError(f"{path} was given, but it is another table: name one that this command wrote, or a new "
                             "file.")
    recipes = [recipe_named(f"planted-{network}", words) for network, words in listed]
    written = {row["run"] for row in rows}
    missing = [(recipe.seed, job) for recipe, job in zip(recipes, listed, strict=True)
               if run_name(recipe) not in written]

    def write(row: Row) -> None:
        rows.append(row)
        write_csv(path, sorted(rows, key=place))
    trained_rows([job for _, job in sorted(missing, key=lambda one: one[0])], runs, write)


def compute(folder: Path, advance: Callable[[], None] = lambda: None,
            listed: Sequence[Job] | None = None, setting: Setting = SETTING) -> None:
    """planted.csv (one row a network) and planted-theory.csv (the curves); run folders in `folder`/runs.

    listed: the networks, as `jobs` lists them for this setting; None: those of `jobs()`.
    """
    rows = trained_rows(jobs() if listed is None else listed, folder / "runs", lambda row: advance())
    write_csv(folder / "planted.csv", rows)
    linear = next(row for row in rows if row["network"] == "linear")
    lam = 2 * linear["weight_decay"] / linear["patch"] ** 2  # T1-W, m = patch^2 pixels a feature
    curves = []
    largest, end = max(row["eps"] for row in rows), float(eps_max(setting))
    for eps in np.linspace(0, 0.47 if largest < 0.47 < end else (largest + end) / 2, 95):
        for loss, ratio in (("cross-entropy", solve(setting, CrossEntropy(), eps, lam).ratio),
                            ("margin", ratio_closed(setting.k(eps)))):
            curves.append({"loss": loss, "eps": eps, "ratio": ratio, "margin_cas": ratio**2 / (1 + ratio**2),
                           "cas_clean_gauge_fixed": 6 * ratio**2 / (4 + 2 * ratio**2)})
    write_csv(folder / "planted-theory.csv", curves)


def finding(folder: Path, setting: Setting = SETTING) -> str:
    """How far the linear networks lie from the theory, and what the CNN relies on; what more draws say of both."""
    rows, curves = read_csv(folder / "planted.csv"), read_csv(folder / "planted-theory.csv")
    errors = errors_of(rows, curves)
    away = max(abs(error.mean()) for error in errors.values())
    said = (f"T1, S1, T1-CE: the linear network's w2/w1, its mean over {len(next(iter(errors.values())))} seeds, lies "
            f"within {away:.3f} of the theory at all {len(errors)} points.")
    if any(row["eps"] > eps0(setting) for row in rows):
        said += f" Beyond eps0 the small CNN's is {beyond_threshold(rows, 'ratio', setting)}."
    if not (folder / MORE).exists():
        return said
    rows = read_csv(folder / MORE)
    errors = errors_of(rows, curves)
    said += " " + above_theory({point: error for point, error in errors.items() if theory_at(curves, *point) > 0})
    if any(row["network"] == "cnn" for row in rows):
        draws = len({row["seed"] for row in rows if row["network"] == "cnn"})
        said += f" In {draws} draws the small CNN's, beyond eps0, is " + "; ".join(
            f"{name} {beyond_threshold(rows, key, setting)}" for key, name in WAYS.items()) + "."
    return said


def theory_at(curves: Sequence[Row], loss: str, eps: float) -> float:
    """The theory's ratio, read off planted-theory.csv."""
    curve = [row for row in curves if row["loss"] == loss]
    return float(np.interp(eps, [row["eps"] for row in curve], [row["ratio"] for row in curve]))


def errors_of(rows: Sequence[Row], curves: Sequence[Row]) -> dict[tuple[str, float], Float[np.ndarray, " draws"]]:
    """{(loss, eps): the linear networks' ratios less the theory's, one a draw}."""
    return {(loss, eps): np.array([row["ratio"] for row in rows
                                   if (row["network"], row["loss"], row["eps"]) == ("linear", loss, eps)])
            - theory_at(curves, loss, eps) for loss in LOSSES for eps in sorted({row["eps"] for row in rows})}


def beyond_threshold(rows: Sequence[Row], key: str, setting: Setting) -> str:
    """In words: the mean of the CNNs' values of a column beyond eps0, with either loss."""
    margin, entropy = (np.mean([row[key] for row in rows if (row["network"], row["loss"]) == ("cnn", loss)
                                and row["eps"] > eps0(setting)]) for loss in ("margin", "cross-entropy"))
    return f"{margin:.2f} with the margin loss and {entropy:.2f} with cross-entropy"


def above_theory(errors: dict[tuple[str, float], Float[np.ndarray, " draws"]]) -> str:
    """A sentence: how many linear networks lie above the theory, and at how many points their mean does.

    errors: as `errors_of`, of two draws or more, where the theory is not 0 (no ratio lies far below that). The interval
    of the mean is Student's t.
    """
    from scipy import stats
    above = [error for error in errors.values() if error.mean() > 0]
    clearly = [error for error in above
               if error.mean() > stats.t.ppf(0.975, len(error) - 1) * error.std(ddof=1) / np.sqrt(len(error))]
    networks = np.concatenate(list(errors.values()))
    return (f"Of {len(networks)} linear networks where the theory is not 0, {len(networks) // len(errors)} draws a "
            f"point and the same at each eps, {int((networks > 0).sum())} lie above it; their mean does at "
            f"{len(above)} of {len(errors)} points, at {len(clearly)} by more than its 95 % interval.")


@styled()
def draw(folder: Path, setting: Setting = SETTING) -> None:
    """planted.png and planted.svg from the two CSVs."""
    rows, curves = read_csv(folder / "planted.csv"), read_csv(folder / "planted-theory.csv")
    figure, axes = new_figure(3, 2, 7.4, 7.2, sharex=True, sharey="row")
    measures = {"ratio": "reliance ratio $w_2/w_1$", "cas_clean_gauge_fixed": "CAS (clean, centred $W$)",
                "margin_cas": "margin-CAS"}
    titles = {"cross-entropy": "Cross-entropy: no threshold predicted",
              "margin": r"Margin loss: nothing shared from $\epsilon_0$ on"}
    for column, loss in enumerate(LOSSES):
        theory = [row for row in curves if row["loss"] == loss]
        for line, (key, label) in enumerate(measures.items()):
            axis = axes[line, column]
            axis.plot([row["eps"] for row in theory], [row[key] for row in theory], color=BLACK,
                      label="theory, two weights")
            for network, color, marker, shift in (("linear", BLUE, "o", -SHIFT), ("cnn", RED, "^", SHIFT)):
                part = [row for row in rows if row["network"] == network and row["loss"] == loss]
                sizes = sorted({row["eps"] for row in part})
                values = [np.array([row[key] for row in part if row["eps"] == eps]) for eps in sizes]
                mean = np.array([value.mean() for value in values])
                spread = np.array([[value.mean() - value.min(), value.max() - value.mean()] for value in values]).T
                axis.errorbar(np.array(sizes) + shift, mean, spread,
                              fmt=marker, color=color, capsize=3, linewidth=1.2,
                              label={"linear": "linear network", "cnn": "small CNN"}[network])
            if loss == "margin":  # no threshold is claimed for cross-entropy
                axis.axvline(eps0(setting), color=GREY, linewidth=0.8, linestyle=":")
            axis.set(xlim=(-0.02, theory[-1]["eps"]))
            axis.set_ylim(bottom=-0.05)
            if column == 0:
                axis.set_ylabel(label)
            if line == 0:
                axis.set_title(titles[loss], pad=14)
                if loss == "margin":
                    axis.text(eps0(setting), 1.0, r"$\epsilon_0$", transform=axis.get_xaxis_transform(), ha="center",
                              va="bottom", color=GREY)
        axes[-1, column].set_xlabel(r"attack size $\epsilon$")
    axes[0, 0].legend(loc="lower left")
    figure.supxlabel(f"mean and range of {len({row['seed'] for row in rows})} seeds, drawn {SHIFT} left (linear) or "
                     r"right (CNN) of their $\epsilon$, so that both are seen", fontsize=8)
    save(figure, folder, "planted")


def draws_of(word: str) -> tuple[str, int]:
    """(network, draws) of a word NETWORK=DRAWS."""
    network, _, draws = word.partition("=")
    if network not in ALL or not draws.isdecimal() or int(draws) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} was given, but it must be {', '.join(ALL[:-1])} or {ALL[-1]} with "
                                         "a number of draws, such as linear=10")
    return network, int(draws)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write OUT.csv: a row for each network, trained in the folder RUNS."""
    words = command_line(__name__)
    words.add_argument("out", metavar="OUT.csv", help="the table to write, or to go on with")
    words.add_argument("runs", metavar="RUNS", type=Path, help="the folder of the run folders")
    words.add_argument("asked", metavar="NETWORK=DRAWS", nargs="*", type=draws_of, help="(default: cnn=10 linear=10)")
    options = words.parse_args(arguments)
    try:
        write_rows(options.out, [job for network, draws in options.asked or [(name, 10) for name in NETWORKS]
                                 for job in jobs(draws, [network])], options.runs)
    except ValueError as error:
        words.error(str(error).rstrip("."))


if __name__ == "__main__":
    main()
