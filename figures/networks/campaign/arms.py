"""Each arm of the campaign beside the trunk, paired by seed: robust accuracy against sharing, with intervals.

`python -m figures.networks.campaign.arms` draws figures/data/campaign_arms.png and .svg from the committed results,
figures/data/campaign, and nothing else.
"""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from deep.experiments.campaign.predictions import decided, paired, quantity_of
from figures.networks.campaign.common import DATA, TRUNK, far_out, mean_of, results, rounded
from figures.scripts import command_line
from figures.style import BLACK, BLUE, GREEN, GREY, RED, new_figure, save, styled

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from figures.style import Row

__all__ = ["again_rows", "arm_rows", "comparable", "compared", "draw", "finding", "look", "name_points"]

LARGEST = "a3"
FEW = 3  # seeds: fewer have no interval in the picture
LINEAR = 4  # the sharing up to which the scale stays linear where an arm lies far out
COLUMNS = {"robust": ("APGD-T", "robust_apgd_t", 1), "pgd": ("PGD-20", "robust", 1), "clean": ("clean", "clean", 1),
           "sharing": ("sharing", "sharing_test", 1), "cas": ("CAS", "cas_test", 1),
           "loss": ("loss on training images", "train_robust_loss", 2)}  # of a difference: title, quantity, digits
SAME = ("data", "model", "norm", "eps", "train_size", "padding")  # an arm of others is not beside the trunk
PLACES = tuple((side * x, y, "left" if side > 0 else "right") for x, y in ((5, 4), (5, -11), (12, 14), (12, -22))
               for side in (1, -1))  # of a name beside its point, in points of type
# settings of an arm, its colour and marker, and what the legend calls it
GROUPS = ((("trim",), BLUE, "o", "images dropped"), (("floor", "clip"), RED, "s", "losses floored or clipped"),
          (("cas_weight",), GREEN, "^", "CAS in the loss"), (("method", "eps", "seed"), BLACK, "D", "others"))


def comparable(plan: Any, runs: Any) -> dict[str, dict[str, Any]]:
    """{arm: its recipe} of the arms beside the trunk: of its images, network and ball, no standard training."""
    recipes: dict[str, dict[str, Any]] = {arm: run["recipe"] for arm, seeds in runs.items() for run in seeds.values()}
    base = recipes.get(TRUNK, {})
    return {arm["id"]: recipe for arm in plan["arm"] if arm["id"] != TRUNK and base
            and (recipe := recipes.get(arm["id"])) and recipe.get("method") != "standard"
            and all(recipe.get(key) == base.get(key) for key in SAME)}


def compared(plan: Any, runs: Any) -> dict[str, dict[str, Any]]:
    """{arm: its differences to the trunk, seed by seed, with "name", "recipe" and the number of seeds, "n"}.

    Those of COLUMNS: (mean, interval); points: (sharing, robust) of each seed. Of the `comparable` arms with two seeds
    or more.
    """
    found: dict[str, dict[str, Any]] = {}
    level, beside_it = plan["campaign"]["level"], comparable(plan, runs)
    for arm in plan["arm"]:
        recipe = beside_it.get(arm["id"])
        if recipe is None:
            continue
        values = {name: list(paired({"arm": arm["id"], "minus": TRUNK, "quantity": quantity}, runs).values())
                  for name, (_, quantity, _) in COLUMNS.items()}
        if len(values["robust"]) > 1:
            found[arm["id"]] = {"name": arm["name"], "recipe": recipe, "n": len(values["robust"]),
                                "points": list(zip(values["sharing"], values["robust"], strict=True))} | {
                name: decided({"within": 1.0}, part, 0.0, level)[:2] for name, part in values.items()}
    return found


def arm_rows(source: Path = DATA) -> list[Row]:
    """Each arm's differences to the trunk at the end, with their intervals, for a table."""
    rows: list[Row] = []
    for arm, one in compared(*results(source, TRUNK)).items():
        rows.append({"arm": arm, "what changes": one["name"], "n": one["n"]} | {
            title: rounded(one[name][0], one[name][1], digits, "+") for name, (title, _, digits) in COLUMNS.items()})
    return rows


def again_rows(source: Path = DATA) -> list[Row]:
    """What training once more changes, of the same recipes, seeds and images, where all seeds of an arm were run again.

    Means over seeds at the end, and of the difference seed by seed, with their intervals.
    """
    plan, runs = results(source, TRUNK)
    level = plan["campaign"]["level"]
    rows: list[Row] = []
    for arm, seeds in runs.items():
        pairs = [(run, run["again"][0]) for run in seeds.values() if "again" in run]
        if len(pairs) < max(2, len(seeds)):
            continue
        for title, quantity, digits in COLUMNS.values():
            first, again = np.array([[quantity_of(run, quantity) for run in pair] for pair in pairs]).T
            rows.append({"arm": arm, "n": len(pairs), "measure": title, "first": mean_of(first, level, digits),
                         "again": mean_of(again, level, digits),
                         "again - first": mean_of(again - first, level, digits, "+")})
    return rows


def finding(folder: Path) -> str:
    plan, runs = results(folder / "campaign", TRUNK)
    found = compared(plan, runs)
    if not found:
        return "No arm has two seeds beside the trunk yet."
    x, y = (np.array([one[name][0] for one in found.values()]) for name in ("sharing", "robust"))
    in_order = sorted(found, key=lambda arm: found[arm]["robust"][0])
    said = ", ".join(f"{arm} ({found[arm]['name']}): {found[arm]['robust'][0]:+.1f} points, clean "
                     f"{found[arm]['clean'][0]:+.1f}, sharing {found[arm]['sharing'][0]:+.1f}"
                     for arm in reversed(in_order))
    correlation = (f" Over {len(found)} arms the two differences have correlation {np.corrcoef(x, y)[0, 1]:.2f}."
                   if len(found) > 2 else "")
    free = np.array(["cas_weight" not in one["recipe"] for one in found.values()])
    if 2 < free.sum() < len(found):  # where CAS is in the loss, sharing lies far from all else
        correlation += (f" Over the {free.sum()} without CAS in their loss it is "
                        f"{np.corrcoef(x[free], y[free])[0, 1]:.2f}.")
    return f"Against the trunk, APGD-T, {said}.{correlation}"


def look(recipe: dict[str, Any]) -> tuple[str, str, str]:
    """(colour, marker, group) of an arm."""
    return next((color, marker, name) for keys, color, marker, name in GROUPS if any(key in recipe for key in keys))


def name_points(axis: Axes, points: dict[str, tuple[float, float]]) -> None:
    """Write each name beside its point, inside the axes, in the first of PLACES where it covers the fewest others."""
    axis.autoscale_view()  # the limits are those of the picture
    scale = axis.figure.dpi / 72  # pixels a point of type
    here = {name: axis.transData.transform(point) / scale for name, point in points.items()}
    left, right = (axis.transAxes.transform((side, 0))[0] / scale for side in (0, 1))
    taken = np.array(list(here.values()))
    for name, point in points.items():
        width = 4.6 * len(name)
        tried: list[Any] = []
        for x, y, alignment in PLACES:
            middle = here[name] + (x + width / 2 * (1 if alignment == "left" else -1), y + 3)
            covered = (np.abs(taken - middle) < (width / 2 + 4, 8)).all(1).sum()
            inside = left < middle[0] - width / 2 and middle[0] + width / 2 < right
            covered += 0 if inside else 10
            tried.append((covered, len(tried), (x, y), alignment, middle))
        _, _, place, alignment, middle = min(tried, key=lambda one: one[:2])
        axis.annotate(name, point, place, textcoords="offset points", ha=alignment, fontsize=8)
        taken = np.vstack([taken, middle + np.outer(np.linspace(-0.5, 0.5, 5), (width, 0))])


@styled()
def draw(folder: Path, source: Path = DATA) -> None:
    """Write campaign_arms.png and .svg: means and t intervals of the differences to the trunk, which is the origin."""
    plan, runs = results(source, TRUNK)
    found = compared(plan, runs)
    figure, ((axis, legend),) = new_figure(1, 2, 9.2, 5.4, width_ratios=[1.6, 1])
    axis.axhline(0, color=GREY, linewidth=0.7)
    axis.axvline(0, color=GREY, linewidth=0.7)
    axis.plot([0], [0], "*", color=BLACK, markersize=10)
    for one in found.values():
        (x, across), (y, up) = one["sharing"], one["robust"]
        color, marker, group = look(one["recipe"])
        if one["n"] < FEW:  # too few for an interval that says anything
            axis.plot([x], [y], marker, color=color, markersize=5, fillstyle="none", label=group)
            continue
        axis.plot(*zip(*one["points"], strict=True), marker, color=color, alpha=0.35, markersize=3)
        axis.errorbar([x], [y], [[y - up[0]], [up[1] - y]], [[x - across[0]], [across[1] - x]], fmt=marker, color=color,
                      linewidth=0.8, markersize=5, label=group)
    scale = far_out(axis, [one["sharing"][0] for one in found.values()], LINEAR)
    if LARGEST in found:  # as robust as a3 with the trunk's sharing, or less
        limit = found[LARGEST]["robust"][0] - 1
        low, high = axis.get_xlim()[0], axis.get_ylim()[1]
        axis.fill_between([low, 0], limit, max(high, limit + 1), color=GREY, alpha=0.15, linewidth=0,
                          label="where an arm may refute that\nsharing is necessary")
        axis.set_xlim(left=low)
        axis.set_ylim(top=max(high, limit + 1))
    name_points(axis, {TRUNK: (0, 0)} | {arm: (one["sharing"][0], one["robust"][0]) for arm, one in found.items()})
    axis.set(xlabel=f"sharing on adversarial test inputs, minus the trunk's{scale}",
             ylabel="robust accuracy (APGD-T), minus the trunk's, points")
    handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))  # one a group
    if handles:
        legend.legend(handles.values(), handles.keys(), loc="lower left")
    names = [(TRUNK, next(arm["name"] for arm in plan["arm"] if arm["id"] == TRUNK), "")]
    names += [(arm, one["name"], f", n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{one['n']}") for arm, one in found.items()]
    legend.axis("off")
    legend.text(0, 1, "\n".join(fill(f"{arm}: {name}{n}", 60, subsequent_indent="    ") for arm, name, n in names),
                va="top", fontsize=7.5, linespacing=1.5, transform=legend.transAxes)
    axis.set_title("More sharing, more robust? Differences to the trunk: means, 95 % intervals, seeds (small)")
    save(figure, folder, "campaign_arms")


if __name__ == "__main__":
    command_line(__name__).parse_args()
    draw(DATA.parent)
