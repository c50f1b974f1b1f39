"""Grad-CAM and shared evidence of a run's checkpoints: the numbers and maps of `deep saliency`."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deep.data.dataset import Data, Split, as_float
from deep.evaluation.cas_intervals import sample_sizes
from deep.evaluation.saliency.gradcam import Evidence, evidence, resize_maps, split_by_sharing
from deep.evaluation.saliency.shared_evidence import (
    common_partners,
    overlap,
    profiles,
    scaled,
    shared_fraction,
    summary,
)
from deep.experiments.conditions import refuse_zero_attributions
from deep.experiments.measured import Checkpoint, Measured, alike
from deep.system.progress import bar

__all__ = ["choose_images", "saliency"]

DEFINITION = ("share: sum over features of min(Q_i, Q_j), Q_i the mean over class i of the positive part of feature * "
              "W[i], scaled to a sum of 1; a feature above 0 and the same below 0 are two; j is the partner, the class "
              "with the largest share in the mean over the checkpoints, or of two classes that were chosen the other. "
              "null: the same with random rows of W, each with its own partner, or that of the choice.")


def choose_images(labels: Int[Tensor, "n"], total: int, classes: list[int] | None, images: list[int],
                  limit: int | None) -> tuple[Int[Tensor, "m"], list[int]]:
    """Return (used, shown): the test images that are used, in order, and positions among them of those to be shown.

    labels: of the test images, of `total` classes. classes: those to be shown, None for all; images: which of each,
    counted from 0. limit: about how many images are used, as many of each class; None: all. ValueError for a limit
    or an image that does not exist, and for fewer than two images of each class, which have no interval.
    """
    if limit is not None and not 2 * total <= limit <= len(labels):
        raise ValueError(f"--limit = {limit} was given, but it must be from {2 * total}, two images of each class, to "
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


def saliency(checkpoints: Sequence[Measured], steps: int, adversarial: bool, used: Int[Tensor, "m"], shown: list[int],
             classes: list[int] | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return (report, rows): plain values, and for each image shown its maps, as `picture.draw` takes them.

    steps: of the PGD; adversarial: whether the evidence is that of attacked images. used, shown: as `choose_images`
    returns them. classes: those to be shown, None for the two that share most; of two, each is the other's partner.
    ValueError if the attribution of a class is 0, but of a run's own network.
    """
    data, attack = checkpoints[0].data, checkpoints[0].attack(steps)
    location = used.to(data.test.labels.device)
    split = Split(data.test.images[location], data.test.labels[location])
    found: dict[str, tuple[Evidence, Float[Tensor, "K d"]]] = {}
    for group in alike(checkpoints):
        model = group[0].network()
        with bar(f"explaining {group[0].name}", len(split)) as advance:
            explained = evidence(model, split, attack if adversarial else None, 0, shown, progress=advance)
        weight = model.linear.weight.detach().cpu()
        if not isinstance(group[0], Checkpoint):
            refuse_zero_attributions(explained.features.cpu(), explained.labels.cpu(), weight, data.classes,
                                     str(group[0].origin()["weights_file"]))
        found |= {one.name: (explained, weight) for one in group}
    overlaps = [overlap(profiles(explained.features, explained.labels, weight)) for explained, weight in found.values()]
    partner, pair = common_partners(overlaps), None
    if classes is not None and len(classes) == 2:
        pair = classes[0], classes[1]
        partner[classes] = partner.new_tensor(classes).flip(0)
    rows = picture_rows(data, used, shown, found, partner, classes or most_shared(overlaps))
    described = [checkpoint.describe(attack) for checkpoint in checkpoints]
    by_checkpoint = [{key: about[key] for key in ("checkpoint", "epoch")}
                     | by_class(summary(explained.features, explained.labels, weight, partner, pair), data.classes)
                     for about, (explained, weight) in zip(described, found.values(), strict=True)]
    keys = ("run", "weights_file", "network", "normalisation", "data", "seed")
    report = {key: described[0][key] for key in keys if key in described[0]} | {
        "compared": [data.classes[i] for i in pair or ()],
        "inputs": "adversarial" if adversarial else "clean", "attack": described[0]["attack"] if adversarial else None,
        "n": len(used), **sample_sizes(split.labels, len(data.classes)), "definition": DEFINITION,
        "partner": {data.classes[i]: data.classes[int(j)] for i, j in enumerate(partner)},
        "checkpoints": by_checkpoint, "images": [row["numbers"] for row in rows]}
    return report, rows


def most_shared(overlaps: list[Float[Tensor, "K K"]]) -> list[int]:
    """Return the pair of classes with the largest mean share."""
    mean = torch.stack(overlaps).mean(0).fill_diagonal_(-1.0)
    return [int(number) for number in divmod(int(mean.argmax()), len(mean))]


def explain_images(evidence: Evidence, weight: Float[Tensor, "K d"], partner: Int[Tensor, "K"], shown: list[int],
                   size: tuple[int, ...]) -> list[tuple[Tensor, Tensor, float, int]]:
    """Return for each shown image (its map, the shared part of it, its share, the class of highest score)."""
    positive = evidence.channels.double().clamp(min=0)
    count = positive.shape[1]
    found = profiles(positive, evidence.labels, torch.ones(len(weight), count))[:, :count]
    results = []
    for maps, position in zip(evidence.maps, shown, strict=True):
        own = int(evidence.labels[position])
        fraction = shared_fraction(found[own], found[partner[own]])
        both = torch.cat([maps.sum(0)[None], split_by_sharing(maps[None], fraction)[0]]).relu()
        results.append((*resize_maps(both, size), (scaled(positive[position]) @ fraction).item(),
                        int(evidence.scores[position].argmax())))
    return results


def picture_rows(data: Data, used: Int[Tensor, "m"], shown: list[int],
                 found: dict[str, tuple[Evidence, Float[Tensor, "K d"]]], partner: Int[Tensor, "K"],
                 classes: list[int]) -> list[dict[str, Any]]:
    """Return a row of the picture for each shown image of `classes`: image, maps by checkpoint, numbers."""
    size = data.test.images.shape[2:]
    maps = {name: explain_images(evidence, weight, partner, shown, size) for name, (evidence, weight) in found.items()}
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


def by_class(summary: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return `shared_evidence.summary` with a dictionary for each class, the means, and the matrix."""
    keys = [key for key in summary if key not in ("overlap", "own_partner")]
    lines = {name: {key: summary[key][i] for key in keys} | {"own_partner": names[summary["own_partner"][i]]}
             for i, name in enumerate(names)}
    mean = {key: sum(summary[key]) / len(names) for key in keys if key != "interval"}
    return {"mean": mean, "classes": lines, "overlap": summary["overlap"]}
