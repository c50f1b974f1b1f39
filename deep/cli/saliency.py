"""`deep saliency`: where a network's evidence lies and how much of it two classes share, best beside last."""

import json
from pathlib import Path

from deep.cli.common import add_run_options, opened
from deep.system.device import positive

__all__ = ["add", "run"]

DEFINITION = ("share: sum over features of min(Q_i, Q_j), Q_i the mean over class i of the positive part of feature * "
              "W[i], scaled to a sum of 1; a feature above 0 and the same below 0 are two; j is the partner, the class "
              "with the largest share in the mean over the checkpoints. null: the same with random rows of W, each "
              "with its own partner.")


def add(commands):
    saliency = commands.add_parser("saliency", help="Grad-CAM and the share of evidence that classes share",
                                   description="Draw Grad-CAM of best and last beside each other (PNG), and write the "
                                               "share of each class's evidence that another class has too (JSON).")
    saliency.add_argument("--classes", help="names or numbers, with commas (default: the two that share most)")
    saliency.add_argument("--images", help="which test images of each class, counted from 0: 0,1,2")
    saliency.add_argument("--per-class", type=int, help="or the first so many (default: 3)")
    saliency.add_argument("--inputs", choices=("adversarial", "clean"), default="adversarial",
                          help="what shares and maps are taken of (default: adversarial, as CAS)")
    saliency.add_argument("--limit", type=int, help="use about so many test images, as many of each class")
    saliency.add_argument("--out", help="the picture, FILE.png (default: RUN/saliency.png); the numbers: FILE.json")
    add_run_options(saliency)


def run(options):
    from deep.data.dataset import Split
    from deep.evaluation.accuracy import evaluation_attack
    from deep.evaluation.gradcam_picture import draw
    from deep.evaluation.shared_evidence import common_partners, overlap, profiles, summary
    from deep.experiments.checkpoint_evaluation import heading
    from deep.runs.fingerprint import apart
    from deep.runs.folder import write_atomically
    folder, recipe, data, device, names = opened(options)
    out = picture_path(options.out, folder, apart(data))
    classes = class_numbers(options.classes, data.classes)
    used, shown = chosen(data.test.labels.cpu(), len(data.classes), classes, wanted(options), options.limit)
    place = used.to(device)
    split = Split(data.test.images[place], data.test.labels[place])
    attack = evaluation_attack(recipe, data.box, options.attack_steps)
    inputs = attack if options.inputs == "adversarial" else None
    found = {name: evidence_of(folder, data, device, name, split, inputs, shown) for name in names}
    overlaps = [overlap(profiles(evidence.features, evidence.labels, weight)) for evidence, weight in found.values()]
    partner = common_partners(overlaps)
    rows = pictured(data, used, shown, found, partner, classes or most_shared(overlaps))
    top = {name: heading(folder, recipe, data, attack, name) for name in names}
    checkpoints = [{key: top[name][key] for key in ("checkpoint", "epoch")}
                   | by_class(summary(evidence.features, evidence.labels, weight, partner), data.classes)
                   for name, (evidence, weight) in found.items()]
    report = {key: top[names[0]][key] for key in ("run", "data", "seed")} | {
        "inputs": options.inputs, "attack": top[names[0]]["attack"] if inputs else None, "n": len(used),
        "definition": DEFINITION, "partner": {data.classes[i]: data.classes[int(j)] for i, j in enumerate(partner)},
        "checkpoints": checkpoints, "images": [row["numbers"] for row in rows]}
    draw(report, rows, out)
    text = json.dumps(report, indent=1) + "\n"
    write_atomically(out.with_suffix(".json"), lambda file: file.write(text.encode()))
    if options.json:
        print(json.dumps(report))
    else:
        print_report(report, out)


def picture_path(out, folder, apart):
    path = Path(out) if out else folder.path / f"saliency{apart}.png"
    if path.suffix.lower() != ".png":
        raise ValueError(f"--out = {out} was given, but the picture is a PNG: write a name that ends in .png.")
    if not path.parent.is_dir():
        raise ValueError(f"--out = {out} was given, but there is no folder {path.parent}: make it first.")
    return path


def class_numbers(text, names):
    """The classes named in `text`, in its order; None for none given."""
    from deep.data.formats.image_folder import one_form
    if text is None:
        return None
    numbers, text = [], one_form(text)
    for word in text.split(","):
        number = names.index(word) if word in names else int(word) if word.isdecimal() else -1
        if not 0 <= number < len(names) or number in numbers:
            listed = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
            raise ValueError(f"--classes = {text} was given, but {word!r} is no class, or is named twice: choose among "
                             f"{listed}, or their numbers from 0.")
        numbers.append(number)
    return numbers


def wanted(options):
    """Which images of each class, counted from 0."""
    positive("--per-class", options.per_class, most=100)
    if options.images is None:
        return list(range(options.per_class or 3))
    words = options.images.split(",")
    if options.per_class is not None or not all(word.isdecimal() for word in words) or len({*words}) < len(words):
        raise ValueError(f"--images = {options.images} was given, but it is a list such as 0,1,2 of different images, "
                         "in place of --per-class: give one of the two.")
    return [int(word) for word in words]


def chosen(labels, total, classes, images, limit):
    """(used, shown): the test images that are used, in order, and the positions among them of those to be shown."""
    import torch
    if limit is not None and not total <= limit <= len(labels):
        raise ValueError(f"--limit = {limit} was given, but it must be from {total}, one image of each class, to "
                         f"{len(labels)}, all: choose such a number.")
    groups = [torch.nonzero(labels == label)[:limit and limit // total, 0] for label in range(total)]
    used = torch.cat(groups).sort().values
    indices = []
    for label in range(total) if classes is None else classes:
        if max(images) >= len(groups[label]):
            raise ValueError(f"image {max(images)} of class {label} was asked for, but {len(groups[label])} of its "
                             "test images are used, counted from 0: choose an earlier one, or a larger --limit.")
        indices += [groups[label][image] for image in images]
    return used, torch.searchsorted(used, torch.stack(indices)).tolist()


def evidence_of(folder, data, device, name, split, attack, shown):
    from deep.evaluation.gradcam import evidence
    from deep.runs.network import load_network
    from deep.system.progress import bar
    model = load_network(folder, data, name, device)
    with bar(f"explaining {name}", len(split)) as advance:
        return evidence(model, split, attack, 0, shown, progress=advance), model.linear.weight.detach().cpu()


def most_shared(overlaps):
    """The pair of classes with the largest mean share."""
    import torch
    mean = torch.stack(overlaps).mean(0).fill_diagonal_(-1.0)
    return [int(number) for number in divmod(int(mean.argmax()), len(mean))]


def explained(evidence, weight, partner, shown, size):
    """For each shown image (total map, shared part, its share, the class with the highest score)."""
    import torch

    from deep.evaluation.gradcam import enlarged, parts
    from deep.evaluation.shared_evidence import profiles, scaled, shared_fraction
    positive = evidence.channels.double().clamp(min=0)
    count = positive.shape[1]
    found = profiles(positive, evidence.labels, torch.ones(len(weight), count))[:, :count]
    results = []
    for maps, position in zip(evidence.maps, shown, strict=True):
        own = int(evidence.labels[position])
        fraction = shared_fraction(found[own], found[partner[own]])
        both = torch.cat([maps.sum(0)[None], parts(maps[None], fraction)[0]]).relu()
        results.append((*enlarged(both, size), (scaled(positive[position]) @ fraction).item(),
                        int(evidence.scores[position].argmax())))
    return results


def pictured(data, used, shown, found, partner, classes):
    """A row of the picture for each shown image of `classes`: image, maps by checkpoint, numbers."""
    from deep.data.dataset import as_float
    size = data.test.images.shape[2:]
    maps = {name: explained(evidence, weight, partner, shown, size) for name, (evidence, weight) in found.items()}
    rows = []
    for number, position in enumerate(shown):
        index = int(used[position])
        own = int(data.test.labels[index])
        if own not in classes:
            continue
        values = {name: maps[name][number] for name in found}
        numbers = {"class": data.classes[own], "partner": data.classes[int(partner[own])], "test_index": index}
        for name, (_, _, share, guess) in values.items():
            numbers[name] = {"share": share, "predicted": data.classes[guess]}
        rows.append({"image": as_float(data.test.images[index]).cpu(), "numbers": numbers,
                     "maps": {name: (total, shared) for name, (total, shared, _, _) in values.items()}})
    return sorted(rows, key=lambda row: classes.index(data.classes.index(row["numbers"]["class"])))


def by_class(summary, names):
    """The lists of `deep.evaluation.shared_evidence.summary` as one dictionary a class, their means, and the matrix."""
    keys = [key for key in summary if key not in ("overlap", "own_partner")]
    lines = {name: {key: summary[key][i] for key in keys} | {"own_partner": names[summary["own_partner"][i]]}
             for i, name in enumerate(names)}
    mean = {key: sum(summary[key]) / len(names) for key in keys if key != "interval"}
    return {"mean": mean, "classes": lines, "overlap": summary["overlap"]}


def print_report(report, out):
    print(f"{report['data']}, {report['inputs']} inputs" + (f", {report['attack']}" if report["attack"] else "")
          + f", n = {report['n']}")
    width = max(map(len, report["partner"]))
    for checkpoint in report["checkpoints"]:
        mean = checkpoint["mean"]
        print(f"{checkpoint['checkpoint']} (epoch {checkpoint['epoch']}): share with the partner class, mean over "
              f"classes {mean['share']:.3f}, null level {mean['null']:.3f}")
        for name, line in checkpoint["classes"].items():
            low, high = line["interval"]
            print(f"  {name:>{width}} with {report['partner'][name]:{width}} {line['share']:.3f} (95 % interval "
                  f"{low:.3f} to {high:.3f}), null level {line['null']:.3f} ± {line['null_sd']:.3f}")
    print(f"{out}\n{out.with_suffix('.json')}")
