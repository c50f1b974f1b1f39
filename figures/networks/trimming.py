"""What dropping a tenth of each batch does: robust accuracy and CAS over epochs, run beside run.

`python -m figures.networks.trimming OUT.json COMMIT RUN RUN ...` collects finished runs (after `deep cas` of each) that
share their first epochs, trained by the code of COMMIT, and draws OUT.png and OUT.svg. The numbers of the pictures
are those of the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.system.files import write_text
from figures.networks.real_run import CAUTION
from figures.scripts import command_line
from figures.style import BLACK, BLUE, RED, new_figure, save, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    Result = dict[str, Any]

__all__ = ["collect", "draw", "finding"]

# key, title, scale
PANELS = (("robust", "Robust accuracy, PGD-20, %", 100), ("cas_excess", "CAS above its null level", 1),
          ("margin_cas", "margin-CAS", 1))
LABELS = {("largest", False): "nothing dropped", ("largest", True): "largest 10 % dropped",
          ("random", True): "random 10 % dropped"}
STYLES = ("-", "--", ":")
MARKERS = "os^"


def collect(commit: str, runs: Sequence[str | Path]) -> Result:
    """Recipe, environment, metrics and the class correlations of the best and last checkpoint of each run."""
    result: Result = {"commit": commit, "runs": []}
    for run in map(Path, runs):
        def read(name: str, run: Path = run) -> Any:
            return json.loads((run / name).read_text())
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        result["runs"].append({"recipe": read("recipe.json"), "environment": read("environment.json"), "metrics": lines,
                               "cas": [{key: value for key, value in read(f"cas-{name}.json").items() if key != "run"}
                                       for name in ("best", "last")]})
    return result


def label_of(recipe: dict[str, Any]) -> str:
    return LABELS[recipe.get("trim_kind", "largest"), "trim" in recipe]


def finding(source: Path) -> str:
    result = json.loads(source.read_text())
    ends = [f"{label_of(run['recipe'])}: {100 * run['metrics'][-1]['robust']:.1f} %, "
            f"{run['metrics'][-1]['cas_excess']:.1f}, {run['metrics'][-1]['margin_cas']:.3f}" for run in result["runs"]]
    return (f"All of CIFAR-10 as JPEG, {result['runs'][0]['recipe']['epochs']} epochs, one seed. Robust accuracy, CAS "
            f"above its null level and margin-CAS at the end: {'; '.join(ends)}. {CAUTION}")


@styled()
def draw(result: Result, path: Path) -> None:
    figure, axes = new_figure(1, len(PANELS), 9, 3)
    for run, style, marker, color in zip(result["runs"], STYLES, MARKERS, (BLACK, RED, BLUE), strict=False):
        recipe, lines = run["recipe"], [line for line in run["metrics"] if "robust" in line]
        label = label_of(recipe)
        for axis, (key, title, scale) in zip(axes[0], PANELS, strict=True):
            axis.plot([line["epoch"] for line in lines], [scale * line[key] for line in lines], style, color=color,
                      marker=marker, markersize=3.5, label=label)
            axis.set(title=title, xlabel="epoch")
    recipe = result["runs"][0]["recipe"]
    axes[0, 0].legend(loc="lower right")
    for axis in axes[0]:  # the learning rate's drops; at the first one the runs part
        for drop in (1 / 2, 3 / 4):
            axis.axvline(drop * recipe["epochs"], color="#cccccc", linewidth=0.8, zorder=0)
    environment = result["runs"][0]["environment"]
    figure.suptitle(f"{environment['data']}, {recipe['model']} of width {recipe['width']}, seed {recipe['seed']}, "
                    f"n = {environment['n']['test']:,}; grey lines: learning-rate drops, the runs part at the first",
                    x=0.01, ha="left", fontsize=9)
    save(figure, path.parent, path.stem)


def main(arguments: Sequence[str] | None = None) -> None:
    words = command_line(__name__)
    words.add_argument("out", metavar="OUT.json", type=Path, help="the file to write, beside the pictures")
    words.add_argument("commit", metavar="COMMIT", help="of the code that trained the runs")
    words.add_argument("runs", metavar="RUN", nargs="+", help="a finished run folder")
    options = words.parse_args(arguments)
    result = collect(options.commit, options.runs)
    write_text(options.out, json.dumps(result, indent=1) + "\n")
    draw(result, options.out.with_suffix(".png"))
    for run in result["runs"]:
        lines = [line for line in run["metrics"] if "robust" in line]
        # of the epochs whose test images were attacked, on the split on which the run selects
        score = "robust" if run["recipe"].get("select") == "test" else "val_robust"
        best = max((line for line in lines if score in line), key=lambda line: line[score])
        for name, line in (("best of these", best), ("last", lines[-1])):
            print(run["recipe"].get("trim", "0"), run["recipe"].get("trim_kind", "largest"), name, line["epoch"],
                  *(f"{line[key]:.4f}" for key in ("clean", "robust", "cas", "cas_null", "cas_excess", "margin_cas")))


if __name__ == "__main__":
    main()
