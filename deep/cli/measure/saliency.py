"""`deep saliency`: where a network's evidence lies and how much of it two classes share, best beside last."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.cli.common import Commands, is_json_with, is_png, place, refuse_to_replace
from deep.cli.measure.networks import add_run_options, called, open_networks
from deep.cli.printing import say
from deep.system.device import positive

if TYPE_CHECKING:
    from deep.experiments.measured import Measured

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    saliency = commands.add_parser("saliency", help="Grad-CAM and the share of evidence that classes share",
                                   description="Draw Grad-CAM of best and last beside each other (PNG), and write the "
                                               "share of each class's evidence that another class has too (JSON).")
    saliency.add_argument("--classes", help="names or numbers, with commas; two are compared with each other (default: "
                                            "the two that share most)")
    saliency.add_argument("--images", help="which test images of each class, counted from 0: 0,1,2")
    saliency.add_argument("--per-class", type=int, help="or the first so many (default: 3)")
    saliency.add_argument("--inputs", choices=("adversarial", "clean"), default="adversarial",
                          help="what shares and maps are taken of (default: adversarial, as CAS)")
    saliency.add_argument("--limit", type=int, help="use about so many test images, as many of each class")
    saliency.add_argument("--out", help="the picture, FILE.png (default: RUN/saliency.png, saliency-sampleN.png with "
                                        "--limit N, and none with --weights); the numbers: FILE.json")
    add_run_options(saliency)


def run(options: argparse.Namespace) -> None:
    chosen = picture_path(options.out)
    checkpoints = open_networks(options)
    from deep.evaluation.saliency.picture import draw
    from deep.experiments.conditions import narrow_intervals, refuse_single_images
    from deep.experiments.measured import Checkpoint, alike
    from deep.experiments.saliency import choose_images, saliency
    from deep.runs.fingerprint import file_suffix
    from deep.system.files import write_text
    first = checkpoints[0]
    data = first.data
    refuse_single_images(data.test.labels, data.classes, "the split of test images")
    classes = class_numbers(options.classes, data.classes)
    used, shown = choose_images(data.test.labels.cpu(), len(data.classes), classes, image_numbers(options),
                                options.limit)
    # a part of the images never replaces the picture of all
    sample = "" if len(used) == len(data.test) else f"-sample{options.limit}"
    out = chosen or (first.run.path / f"saliency{file_suffix(data)}{sample}.png" if isinstance(first, Checkpoint)
                     else None)
    report, rows = saliency(checkpoints, options.attack_steps, options.inputs == "adversarial", used, shown, classes)
    if out:
        # the numbers first: by them the same command, after an interruption, knows the picture for its own
        write_text(out.with_suffix(".json"), json.dumps(report, indent=1) + "\n")
        draw(report, rows, out)
    if options.json:
        print(json.dumps(report))
    else:
        print_report(report, alike(checkpoints), out, narrow_intervals(data.test.labels.cpu()[used], data.classes))


def picture_path(out: str | None) -> Path | None:
    """Return where --out puts the picture, or None; ValueError unless it is a PNG in a folder that exists.

    Of what is there, a picture and the numbers beside it are replaced only if both are of this command: the numbers
    tell whose the picture is.
    """
    if not out:
        return None
    if Path(out).suffix.lower() != ".png":
        raise ValueError(f"--out = {out} was given, but the picture is a PNG: write a name that ends in .png.")
    numbers, own = Path(out).with_suffix(".json"), is_json_with("partner", "definition", "checkpoints")
    path = place(out, lambda picture: is_png(picture) and own(numbers))
    refuse_to_replace(out, numbers, own)
    return path


def class_numbers(text: str | None, names: tuple[str, ...]) -> list[int] | None:
    """Return the classes named in `text`, in its order; None for none given."""
    from deep.data.formats.image_folder import normalised_name
    if text is None:
        return None
    numbers: list[int] = []
    text = normalised_name(text)
    for word in text.split(","):
        number = names.index(word) if word in names else int(word) if word.isdecimal() else -1
        if not 0 <= number < len(names) or number in numbers:
            listed = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
            raise ValueError(f"--classes = {text} was given, but {word!r} is no class, or is named twice: choose among "
                             f"{listed}, or their numbers from 0.")
        numbers.append(number)
    return numbers


def image_numbers(options: argparse.Namespace) -> list[int]:
    """Return which images of each class are shown, counted from 0."""
    positive("--per-class", options.per_class, most=100)
    if options.images is None:
        return list(range(options.per_class or 3))
    words = options.images.split(",")
    if options.per_class is not None or not all(word.isdecimal() for word in words) or len({*words}) < len(words):
        raise ValueError(f"--images = {options.images} was given, but it is a list such as 0,1,2 of different images, "
                         "in place of --per-class: give one of the two.")
    return [int(word) for word in words]


def print_report(report: dict[str, Any], groups: "list[list[Measured]]", out: Path | None, note: str | None) -> None:
    pair = report["compared"]
    say(f"{report['data']}, {report['inputs']} inputs" + (f", {report['attack']}" if report["attack"] else "")
        + f", n = {report['n']}")
    width = max(map(len, report["partner"]))
    found = {one["checkpoint"]: one for one in report["checkpoints"]}
    for group in groups:
        checkpoint = called(found[group[0].name], group)
        mean, lines = checkpoint["mean"], checkpoint["classes"]
        epoch = "" if checkpoint["epoch"] is None else f" (epoch {checkpoint['epoch']})"
        shared = (f"{pair[0]} and {pair[1]} share {lines[pair[0]]['share']:.3f}, null level "
                  f"{lines[pair[0]]['null']:.3f}" if pair else
                  f"share with the partner class, mean over classes {mean['share']:.3f}, null level {mean['null']:.3f}")
        say(f"{checkpoint['checkpoint']}{epoch}: {shared}")
        for name, line in ((name, lines[name]) for name in pair or lines):
            low, high = line["interval"]
            say(f"  {name:>{width}} with {report['partner'][name]:{width}} {line['share']:.3f} (95 % interval "
                f"{low:.3f} to {high:.3f}), null level {line['null']:.3f} ± {line['null_sd']:.3f}")
    if note:
        say(note)
    print(f"{out}\n{out.with_suffix('.json')}" if out else "no picture was drawn: name one by --out FILE.png")
