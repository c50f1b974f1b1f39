"""Figure 5: adversarial training on real CIFAR-10 images: robust accuracy and CAS against the epoch.

`python -m figures.networks.real_run NAME RUN [RUN ...]` collects finished runs (after `deep evaluate` and `deep cas` of
each) into figures/data/NAME.json and draws NAME.png and NAME.svg from it; without runs it only draws.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deep.system.files import write_text
from figures.scripts import command_line
from figures.style import BLACK, BLUE, GREEN, GREY, RED, new_figure, save, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from deep.recipe.recipe import Recipe
    from figures.style import Row

    Run = dict[str, Any]

__all__ = ["CAUTION", "DATA", "collect", "draw", "finding", "summary"]

ANIMALS = {"bird", "cat", "deer", "dog", "frog", "horse"}
DATA = Path(__file__).parents[1] / "data" / "cifar10.json"
# 1/2 is the most of both null levels in THEORY.md, CAS-separation
CAUTION = "A margin-CAS of up to 0.50 needs nothing shared (CAS-separation)."


def command(recipe: Recipe) -> str:
    """The shortest `deep train` line that trains this recipe."""
    from deep.recipe.recipe import RECIPES
    from deep.recipe.values import to_word

    def changes(base: Recipe) -> list[str]:
        return [f"{name}={to_word(getattr(recipe, name))}" for name, value in recipe.as_dict().items()
                if value != base.as_dict()[name]]
    name = min(RECIPES, key=lambda name: len(changes(RECIPES[name])))
    return " ".join(["deep train", name, *changes(RECIPES[name])])


def collect(paths: Sequence[str | Path], out: Path) -> None:
    """Write to the JSON file `out` recipe, command, environment, metrics, evaluations and C matrices of the runs."""
    from deep.runs.folder import RunFolder
    runs = []
    for path in paths:
        run = RunFolder(path)
        recipe = run.recipe()
        extra = {f"{kind}_{which}": json.loads((run.path / f"{kind}-{which}.json").read_text())
                 for kind in ("evaluate", "cas") for which in ("best", "last")}
        for values in extra.values():
            values["run"] = run.path.name
        runs.append({"command": command(recipe), "recipe": recipe.as_dict(), "metrics": run.metrics(), **extra,
                     "environment": json.loads((run.path / "environment.json").read_text())})
    if any({**run["recipe"], "seed": 0} != {**runs[0]["recipe"], "seed": 0} for run in runs):
        raise ValueError("the runs differ in more than their seed: collect runs of one recipe.")
    runs.sort(key=lambda run: run["recipe"]["seed"])
    write_text(out, json.dumps(runs, indent=1) + "\n")


def evaluated(run: Run, key: str) -> tuple[list[int], list[float]]:
    """(epochs, values) of a metric at the evaluated epochs."""
    lines = [line for line in run["metrics"] if "robust" in line]
    return [line["epoch"] for line in lines], [line[key] for line in lines]


def among(values: dict[str, Any], chosen: bool) -> float:
    """The part of CAS within the animals (chosen: True) or within the other classes (False)."""
    rows = np.array([name in ANIMALS for name in values["classes"]]) == chosen
    block = np.array(values["correlation"])[np.ix_(rows, rows)]
    return float((block - np.diag(np.diag(block))).clip(0).sum())


def summary(source: Path = DATA) -> list[Row]:
    """Rows (quantity, best, last, change) as mean and range over the seeds, for deep/README.md and the report."""
    runs = json.loads(source.read_text())
    rows = []
    for name, kind, pick in (("robust accuracy, %", "evaluate", lambda v: 100 * v["robust"]["value"]),
                             ("clean accuracy, %", "evaluate", lambda v: 100 * v["clean"]["value"]),
                             ("CAS (paper)", "cas", lambda v: v["cas"]), ("null level of CAS", "cas",
                                                                          lambda v: v["cas_null"]),
                             ("CAS above its null level", "cas", lambda v: v["cas_excess"]),
                             ("CAS among the six animals", "cas", lambda v: among(v, True)),
                             ("CAS among the four vehicles", "cas", lambda v: among(v, False)),
                             ("CAS, rows of W centred", "cas", lambda v: v["cas_gauge_fixed"]),
                             ("margin-CAS", "cas", lambda v: v["margin_cas"])):
        best, last = (np.array([pick(run[f"{kind}_{which}"]) for run in runs]) for which in ("best", "last"))
        rows.append({"quantity": name, **{key: f"{v.mean():.2f} [{v.min():.2f}, {v.max():.2f}]" for key, v in
                                          (("best", best), ("last", last), ("last - best", last - best))}})
    return rows


def finding(source: Path = DATA) -> str:
    runs = json.loads(source.read_text())
    change = {row["quantity"]: row["last - best"] for row in summary(source)}
    recipe, n = runs[0]["recipe"], runs[0]["evaluate_best"]["n_test"]
    return (f"PreActResNet-18 of width {recipe['width']}, {recipe['train_size']:,} training images of CIFAR-10, "
            f"{recipe['epochs']} epochs, {len(runs)} seeds, n = {n:,}. From the best checkpoint to the last, mean and "
            f"range over the seeds: robust accuracy {change['robust accuracy, %']} points, CAS {change['CAS (paper)']}"
            f", margin-CAS {change['margin-CAS']}. {CAUTION}")


def curve(axis: Axes, runs: Sequence[Run], key: str, color: str, style: str, label: str, scale: float = 1.0) -> None:
    columns = [evaluated(run, key) for run in runs]
    values = scale * np.array([column[1] for column in columns])
    axis.plot(columns[0][0], values.mean(0), color=color, linestyle=style, label=label)
    axis.fill_between(columns[0][0], values.min(0), values.max(0), color=color, alpha=0.18, linewidth=0)


@styled()
def draw(folder: Path, source: Path = DATA) -> None:
    """NAME.png and NAME.svg for source NAME.json: means over seeds in their range; matrices of the first seed."""
    runs = json.loads(source.read_text())
    first = runs[0]
    figure, axes = new_figure(2, 2, 8.6, 7.0, width_ratios=[1.15, 1])
    top, bottom = axes[0, 0], axes[1, 0]
    curve(top, runs, "train_robust", GREY, ":", "training images", 100)
    curve(top, runs, "robust", BLUE, "-", f"test images (n = {first['evaluate_best']['n_test']})", 100)
    top.set(ylabel="robust accuracy, %", ylim=(0, None))
    curve(bottom, runs, "cas", RED, "-", "CAS (paper)")
    curve(bottom, runs, "cas_null", GREY, ":", "its null level, random rows of W")
    curve(bottom, runs, "cas_excess", GREEN, "--", "the excess over it")
    bottom.axhline(0, color=BLACK, linewidth=0.6)
    bottom.set(ylabel="CAS", xlabel="epoch")
    for axis, key in ((top, "robust"), (bottom, "cas")):
        for run in runs:
            epochs, values = evaluated(run, key)
            scale = 100 if key == "robust" else 1
            # the best epoch need not be one whose test images were attacked in training
            value = run["evaluate_best"]["robust"]["value"] if key == "robust" else run["cas_best"]["cas"]
            axis.plot(run["evaluate_best"]["epoch"], scale * value, "*", color=BLACK, markersize=7, zorder=4,
                      label="best checkpoint of each seed" if run is first else None)
            axis.plot(epochs[-1], scale * values[-1], "s", color=BLACK, markersize=4, zorder=4,
                      label="last" if run is first else None)
        for drop in first["recipe"]["drops"]:
            numerator, denominator = map(int, drop.split("/"))
            axis.axvline(first["recipe"]["epochs"] * numerator / denominator, color=GREY, linewidth=0.7, linestyle=":")
    handles, labels = bottom.get_legend_handles_labels()  # the marks are explained above
    for axis, legend in ((top, {}), (bottom, {"handles": handles[:3], "labels": labels[:3]})):
        axis.legend(**legend, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, columnspacing=1, handlelength=1.6,
                    borderaxespad=0.1, fontsize=7.5)  # above the axes, as curves go everywhere
    top.set_title(f"{len(runs)} seeds, mean and range; dotted: learning-rate drops", pad=34)
    matrices = [np.array(first[f"cas_{which}"]["correlation"]) for which in ("best", "last")]
    names = first["cas_best"]["classes"]
    for matrix in matrices:
        np.fill_diagonal(matrix, np.nan)
    highest = max(np.nanmax(matrix) for matrix in matrices)
    for axis, matrix, which in zip(axes[:, 1], matrices, ("best", "last"), strict=True):
        image = axis.imshow(matrix.clip(0), cmap="viridis", vmin=0, vmax=highest)
        axis.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=7.5)
        axis.set_yticks(range(len(names)), names, fontsize=7.5)
        values = first[f"cas_{which}"]
        axis.set_title(f"{which} (epoch {values['epoch']}, seed {first['recipe']['seed']}): CAS {values['cas']:.1f}")
    figure.colorbar(image, ax=list(axes[:, 1]), label="max(C[i, j], 0), diagonal left out", shrink=0.6)
    save(figure, folder, source.stem)


def main(arguments: Sequence[str] | None = None) -> None:
    """Collect the runs, where some are given, and draw."""
    words = command_line(__name__)
    words.add_argument("name", metavar="NAME", nargs="?", default=DATA.stem, help=f"(default: {DATA.stem})")
    words.add_argument("runs", metavar="RUN", nargs="*", help="a finished run folder; all of one recipe")
    options = words.parse_args(arguments)
    source = DATA.with_name(f"{options.name}.json")
    if options.runs:
        collect(options.runs, source)
    elif not source.exists():
        words.error(f"{source} is missing, and no run was given to make it of")
    draw(DATA.parent, source)


if __name__ == "__main__":
    main()
