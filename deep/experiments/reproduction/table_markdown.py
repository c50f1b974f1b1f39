"""The words of `deep reproduce`: the caption, which says what each number is, and the table as Markdown."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, TypeVar

from deep.experiments.reproduction.comparison import QUANTITIES, WORST_CASE
from deep.experiments.reproduction.paper_tables import (
    COMMON_EPS,
    EPS_TABLES,
    NOTES,
    PAPER_STEPS,
    SYSTEMS,
    TABLES,
    differences,
)
from deep.experiments.reproduction.row_verdicts import verdict_in_words
from deep.recipe.recipe import Recipe

__all__ = ["caption", "deviations", "history_lines", "markdown", "report_lines", "training_in_words"]

SOURCE = ('Wei, Guo, Wang, "Identifying and Understanding Cross-Class Features in Adversarial Training", '
          "arXiv 2506.05032")
HEADINGS = {"robust": "robust %", "worst": "worst case %", "clean": "clean %", "cas": "CAS", "cas_null": "null level",
            "cas_excess": "CAS - null", "robust_common": f"robust % at {COMMON_EPS}",
            "cas_common": f"CAS at {COMMON_EPS}", "cas_clean": "CAS, clean"}
ALIKE_COLUMNS = {"robust_common", "cas_common", "cas_clean"}  # of tables of several eps
LABELS = {"underfit": "underfit", "epoch10": "early"}  # 70/200 and 10/200 of the epochs, rounded; the row says which
K = TypeVar("K")
V = TypeVar("V", bound=Hashable)


def training_in_words(recipe: Recipe, images: int) -> str:
    """Return a training in words; images: their number.

    >>> from deep.recipe.recipe import recipe_named
    >>> training_in_words(recipe_named("at"), 49_000)
    'preactresnet18 of width 64, 49,000 training images, 200 epochs, PGD-10'
    """
    size = f" of width {recipe.width}" if recipe.width else ""
    size += f" and depth {recipe.depth}" if recipe.depth else ""
    attack = "one step from a random start" if recipe.steps == 1 else f"PGD-{recipe.steps}"
    crops = "" if recipe.padding else ", no random crops"
    return (f"{recipe.model}{size}, {images:,} training images, {recipe.epochs} epochs, "
            f"{attack if recipe.method == 'at' else recipe.method}{crops}")


def deviations(recipe: Recipe, system: str) -> str:
    """Return what a recipe does otherwise than the one of the paper's scale, in words; "" for nothing.

    >>> from deep.experiments.reproduction.paper_tables import recipe_of
    >>> deviations(recipe_of("AT", "gpu", 0), "AT")
    'attack_mode=eval (train), epochs=100 (200), val_size=1000 (0), select=val (test), bf16=true (false), ...'
    """
    return ", ".join(f"{field}={own} ({papers})" for field, (own, papers) in differences(recipe, system).items())


def keys_by_value(values: Mapping[K, V]) -> dict[V, list[K]]:
    """Return {value: its keys} of a dictionary, in its order."""
    groups: dict[V, list[K]] = {}
    for key, value in values.items():
        groups.setdefault(value, []).append(key)
    return groups


def seeds_sentence(report: dict[str, Any]) -> str:
    seeds = report["seeds"]
    if len(seeds) == 1:
        return f"n = 1 seed ({seeds[0]}): one seed has no spread."
    return f"n = {len(seeds)} seeds ({', '.join(map(str, seeds))}): mean [min, max] over those that are there."


# What no field of a recipe says.
CODE = ("At any scale two things are not as in the paper's public code: batch norm's running statistics, which that "
        "code moves once more a step, by a pass of clean images in train mode for its log; and the law of random "
        "starts (deep/README.md).")


def difference_sentences(report: dict[str, Any]) -> Iterator[str]:
    """Yield what differs from the paper's public code: by each recipe's fields, and by none of them."""
    for words, systems in keys_by_value(report["differences"]).items():
        yield f"{'; '.join(systems)}: " + (
            f"otherwise than in the public code's recipe (its value in brackets): {words}." if words else
            "the public code's recipe: all training images, float32, the attack in train mode, selected on the test "
            "images.")
    yield CODE


def paper_sentences(report: dict[str, Any]) -> Iterator[str]:
    """Yield where the paper's numbers come from, and with what they may be compared."""
    title, scale = TABLES[report["table"]][0], report["scale"]
    if report["table"] == "fast_at":
        yield (f"Paper: {SOURCE}; the reference file gives none of its numbers for this table, so its columns are "
               "empty. The paper says that one-step training overfits catastrophically, and that CAS falls then.")
    else:
        yield f"Paper: {SOURCE}, table of {title}; what it does not give is left empty."
        others = ("to be set beside the worst case, not beside PGD's" if tuple(report["worst_case"]) == WORST_CASE else
                  "not directly comparable with those measured here")
        yield f"The paper's robust accuracies are probably AutoAttack's (an inference): {others}."
    sets = {SYSTEMS[system].data: None for system, _ in TABLES[report["table"]][1]}
    yield from (NOTES[name][1] for name in sets if name in NOTES)
    if report["eval_steps"] != PAPER_STEPS:
        yield (f"CAS is measured under PGD-{report['eval_steps']}, the paper's under PGD-{PAPER_STEPS}: no difference "
               "is printed.")
    if scale != "paper" or report["changes"]:
        reason = ("" if report["table"] == "fast_at" else
                  ", which are from 200 epochs on the whole data set at full width: no difference is printed")
        yield f"Scale {scale}{' (changed)' if report['changes'] else ''} is not comparable with the paper's{reason}."
    elif report["eval_steps"] == PAPER_STEPS and not all(report["comparable"].values()):
        names = ", ".join(sorted({data["name"] for data in report["data"].values()
                                  if not all(report["comparable"].get(system, True) for system in data["systems"])}))
        yield f"Not measured on the paper's data ({names or 'none was found'}): no difference is printed for it."


def caption(report: dict[str, Any]) -> Iterator[str]:
    """Yield sentences: the table, scale and changes, the trainings, data, n, seeds, measurements, the paper."""
    changed = f", changed by --set {' --set '.join(report['changes'])}" if report["changes"] else ""
    yield f"Table {report['table']}: {TABLES[report['table']][0]}. Scale {report['scale']}{changed}."
    for words, systems in keys_by_value(report["trainings"]).items():
        yield f"Scale {report['scale']}, {'; '.join(systems)}: {words}."
    yield from difference_sentences(report)
    for data in report["data"].values():
        yield (f"Data: {data['name']}, n = {data['n']['train']:,} training, {data['n']['val']:,} validation and "
               f"{data['n']['test']:,} test images ({'; '.join(data['systems'])}).")
    if not report["data"]:
        yield "Data: none was found, n = 0 images."
    yield seeds_sentence(report)
    yield (f"Measured on all test images, in float32: robust accuracy and CAS under PGD-{report['eval_steps']} of step "
           "eps/4 (l2: eps/8); null level: CAS of random last layers."
           + (f" Worst case: images that withstand each of {', '.join(report['worst_case'])}."
              + ("" if tuple(report["worst_case"]) == WORST_CASE else " These are not the attacks of AutoAttack.")
              if report["worst_case"] else ""))
    if report["table"] in EPS_TABLES:
        yield (f"Each network is attacked with the eps that it was trained with; beside that, all with {COMMON_EPS}. "
               "CAS is measured on clean images, too.")
    if report["table"] != "fast_at":
        yield ("Verdict: the change since the row before, a mean over seeds with its 95 % t interval, in sign and size "
               "beside the paper's; a sign needs p < .05, corrected by Holm over the table.")
    yield ("Best: of the epochs that were evaluated, the one with the highest robust accuracy on " + (
        "the test images, as the paper's." if report["select"] == "test" else
        "held-out training images (PGD of half the steps); the paper chose it on the test images."))
    yield from paper_sentences(report)


def mean_and_range(value: dict[str, Any] | None, digits: int = 2) -> str:
    """Write mean [min, max], or one seed's value, said to be so.

    >>> mean_and_range({"mean": 2.0, "min": 1.0, "max": 3.0, "values": [1.0, 3.0]})
    '2.00 [1.00, 3.00]'
    >>> mean_and_range({"mean": 2.0, "min": 2.0, "max": 2.0, "values": [2.0]})
    '2.00 (one seed)'
    """
    if value is None:
        return ""
    if len(value["values"]) == 1:
        return f"{value['mean']:.{digits}f} (one seed)"
    return f"{value['mean']:.{digits}f} [{value['min']:.{digits}f}, {value['max']:.{digits}f}]"


def paper_number(value: float | None) -> str:
    """Return a number of the paper, with the digits that it has there.

    >>> paper_number(9.0), paper_number(1548.0), paper_number(None)
    ('9.0', '1548', '')
    """
    return "" if value is None else f"{value:.1f}" if value < 100 else f"{value:g}"


def cells(row: dict[str, Any], report: dict[str, Any]) -> dict[str, str]:
    """Return the cells of one row, by column; a reason stands in the first column of numbers."""
    total = len(row["seeds"]) + len(row["missing"])
    line = {"system": row["system"], "stage": LABELS.get(row["stage"], row["stage"]),
            "epoch": ", ".join(map(str, row["epochs"])), "seeds": f"{len(row['seeds'])} of {total}"}
    for name in QUANTITIES:
        if (name != "worst" or report["worst_case"]) and (name not in ALIKE_COLUMNS or report["table"] in EPS_TABLES):
            line[HEADINGS[name]] = mean_and_range(row[name])
    if row["missing"]:
        reasons = "; ".join(f"{reason} (seed {', '.join(seeds)})"
                            for reason, seeds in keys_by_value(row["missing"]).items())
        line["robust %"] = f"{line['robust %']} {reasons}".strip()
    line["paper: robust %"] = paper_number(row["paper"]["robust"])
    line["paper: CAS"] = paper_number(row["paper"]["cas"])
    if line["paper: CAS"] and row["paper_note"]:
        line["paper: CAS"] += f" ({row['paper_note']})"
    line["paper: epoch"] = "" if row["paper"]["epoch"] is None else f"{row['paper']['epoch']:g}"
    for name, heading in (("cas", "CAS - paper's"), ("worst", "worst case - paper's")):
        if any(name in other["difference"] for other in report["rows"]):
            line[heading] = f"{row['difference'][name]:+.2f}" if name in row["difference"] else ""
    if report["table"] != "fast_at":  # of which the paper gives no number
        line["verdict"] = verdict_in_words(row["verdicts"])
    return line


def markdown(lines: list[dict[str, str]]) -> list[str]:
    """Write lines, {column: cell}, as a Markdown table whose columns are as wide as their widest cell."""
    columns = list(lines[0])
    widths = [max(len(column), *(len(line[column]) for line in lines)) for column in columns]
    table = [columns, ["-" * width for width in widths], *([line[column] for column in columns] for line in lines)]
    return ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in table]


def history_lines(history: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the epochs of one run that trains on one step, {column: cell}: those in which it was evaluated."""
    return [{"epoch": str(line["epoch"]), "probe: training attack %": f"{100 * line['probe_training_attack']:.1f}",
             "probe: PGD %": f"{100 * line['probe_pgd']:.1f}",
             "catastrophic": "yes" if line["catastrophic"] else "no",
             "robust % (in training)": f"{100 * line['robust']:.2f}", "CAS (in training)": f"{line['cas']:.2f}"}
            for line in history if "robust" in line]


def report_lines(report: dict[str, Any]) -> list[str]:
    """Return the lines that `deep reproduce` prints."""
    lines = [*report["caption"], "", *markdown([cells(row, report) for row in report["rows"]])]
    for one in report["histories"]:
        lines += ["", f"{one['system']}, seed {one['seed']}: by epoch, from metrics.jsonl; first catastrophic epoch: "
                  f"{one['collapse'] or 'none'}"]
        lines += markdown(history_lines(one["epochs"])) if history_lines(one["epochs"]) else []
    lines += ["", f"What the paper says, in these runs (scale {report['scale']}):"]
    return lines + [f"- {one['expected']}: {one['verdict']}" for one in report["directions"]]
