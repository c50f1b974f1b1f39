"""Every variant of CAS from one attack, and basic bootstrap intervals of all of them at once."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from deep.evaluation.cas import (
    checked_shapes,
    class_correlation,
    class_profile,
    cosines,
    gauge_fixed,
    margin_similarity,
    pairs_of,
    positive_sum,
    random_rows,
    unit,
)
from deep.evaluation.margins import margin_estimates
from deep.evaluation.nulls import both_margin_nulls, permuted, random_permutations, sharing, sharing_above
from deep.evaluation.outcome import Outcome

__all__ = ["FEWEST", "RESAMPLES", "by_class", "cas_from_means", "cas_interval", "cas_intervals", "cas_report",
           "cas_values", "resampled_means", "sample_sizes"]

FEWEST = 10  # images of a class of which an interval, and a correlation of margins, are worth a number
ROWS, PERMUTATIONS = 10, 2  # of the null levels in each resample; more would only slow it down
SHARING = ("sharing", "sharing_clean")  # each above its own null
RESAMPLES = 200
CHUNK = 2 ** 18  # numbers of one resampled array that are worked on at a time: 2 MiB, a cache's worth
ByClass = list[Float[Tensor, "n d"]]  # of each class, its images


def samples_by_class(outcome: Outcome, weight: Float[Tensor, "K d"]) -> tuple[list[ByClass], Float[Tensor, "K d"]]:
    """Return ([adversarial, clean, unit attributions], weight), checked, float64.

    Each of the three is a list of (n_i, d), one a class: their means are all that any CAS needs.
    """
    weight = weight.detach().to(outcome.features.device)
    features, labels, weight = checked_shapes(outcome.features, outcome.labels, weight)
    clean, _, _ = checked_shapes(outcome.clean_features, outcome.labels, weight)
    adversarial = by_class(features, labels, len(weight))
    attributions = [unit(part * row) for part, row in zip(adversarial, weight, strict=True)]
    return [adversarial, by_class(clean, labels, len(weight)), attributions], weight


def by_class(values: Float[Tensor, "n d"], labels: Int[Tensor, "n"], classes: int) -> ByClass:
    """Return the rows of each class, in their order."""
    return [values[labels == label] for label in range(classes)]


def cas_from_means(means: list[Float[Tensor, "*batch K d"]], weight: Float[Tensor, "K d"],
                   pairs: dict[str, Bool[Tensor, "K K"]], rows: Float[Tensor, "draws K d"],
                   order: Int[Tensor, "draws K d"]) -> dict[str, Tensor]:
    """Compute every variant from class means: name -> value (...), null levels by draw: "cas_null" is (..., draws).

    means: those of adversarial features, clean features and unit attributions, each (..., K, d); weight: (K, d);
    pairs: masks as `pairs_of` makes them; rows: random rows (draws, K, d); order: permutations of the features
    (draws, K, d). Names as in `cas_values`.
    """
    adversarial, clean, instance = means
    centred, everything = gauge_fixed(weight), pairs["cas"]
    correlation = cosines(adversarial * weight)
    null = cosines(adversarial[..., None, :, :] * rows)
    values = {}
    for name, mask in pairs.items():
        values[name] = positive_sum(correlation, mask)
        values[f"{name}_null"] = positive_sum(null, mask)
        values[f"{name}_excess"] = values[name] - values[f"{name}_null"].mean(-1)
    values["cas_gauge_fixed"] = positive_sum(cosines(adversarial * centred), everything)
    values["cas_per_instance"] = positive_sum(instance @ instance.mT, everything)
    values["cas_clean"] = positive_sum(cosines(clean * weight), everything)
    values["cas_clean_gauge_fixed"] = positive_sum(cosines(clean * centred), everything)
    values["sharing"], values["sharing_null"] = sharing(adversarial, weight, order)
    moved = permuted(clean, weight, order)
    values["sharing_clean"], values["sharing_clean_null"] = sharing_above(clean, weight, moved)
    values["margin_cas"] = margin_similarity(clean, weight)
    values["margin_cas_null"] = margin_similarity(clean[..., None, :, :], rows)
    values["margin_cas_separation_null"] = margin_similarity(*moved)
    return values


def cas_values(outcome: Outcome, weight: Float[Tensor, "K d"], draws: int = 50,
               superclasses: Sequence[str] = ()) -> dict[str, float]:
    """Compute every CAS that deep/README.md, Conventions, lists, from one outcome and W; keys as in metrics.jsonl.

    `cas` is the paper's, on adversarial inputs; `cas_null` its level for random rows over `draws` (and `cas_null_sd`
    its deviation from draw to draw), `cas_excess` the difference. With superclasses, one a class, also `cas_within`
    and `cas_between`, which sum to `cas`, each with its null level and excess. `sharing` is CAS of row-centred W above
    `sharing_null`, the same with the features of each class permuted (deep/evaluation/nulls.py), `sharing_clean` that
    on clean inputs; margin-CAS has both nulls. Errors as `class_correlation`.

    >>> from deep.evaluation.outcome import Outcome
    >>> own = torch.eye(3)
    >>> features, right = torch.cat([own, 1 - own], 1), torch.ones(3).bool()
    >>> values = cas_values(Outcome(torch.arange(3), right, right, features, features), features)
    >>> round(values["cas"], 12), round(values["margin_cas"], 12)  # the model of THEORY.md, CAS, r = 1
    (2.0, 0.5)
    """
    samples, weight = samples_by_class(outcome, weight)
    found = cas_from_means(means_of(samples), weight, pairs_of(len(weight), superclasses), random_rows(weight, draws),
                      random_permutations(len(weight), weight.shape[1], draws))
    result = {}
    for name, value in found.items():
        result[name] = value.mean().item()
        if name.endswith("_null"):
            result[f"{name}_sd"] = value.std().item()
    return result


def means_of(samples: list[ByClass]) -> list[Float[Tensor, "K d"]]:
    return [torch.stack([part.mean(0) for part in parts]) for parts in samples]


def resampled_means(samples: list[ByClass], count: int,
                    generator: torch.Generator) -> list[Float[Tensor, "count K d"]]:
    """Return for each of `samples` its class means in `count` bootstrap resamples.

    The images of each class are drawn with replacement from that class: a matrix of shares (count, n_i), the same
    for all of samples, times the class's rows.
    """
    columns = []
    for parts in zip(*samples, strict=True):
        n = len(parts[0])
        shares = torch.zeros(count, n, dtype=torch.float64)
        shares.scatter_add_(1, torch.randint(n, (count, n), generator=generator), torch.full_like(shares, 1 / n))
        columns.append([shares.to(part.device) @ part for part in parts])
    return [torch.stack(column, 1) for column in zip(*columns, strict=True)]


def cas_intervals(outcomes: Sequence[Outcome], weight: Float[Tensor, "K d"], resamples: int = RESAMPLES, seed: int = 0,
                  draws: int = 50, superclasses: Sequence[str] = (), level: float = 0.95,
                  progress: Callable[[int], None] | None = None) -> dict[str, list[float]]:
    """Compute basic bootstrap intervals of every variant and of the excess over the null level: name -> [low, high].

    outcomes: one `Outcome` per attack seed, of the same images; the values are those of the first. Each attack takes
    part in equally many resamples, of the images within each class, so that no class can be empty.

    With t the value, t* a resample's and q the quantiles of t* - t (t of the same attack on all images, averaged over
    attacks), the interval is [t - q_(1 - a), t - q_a], a = (1 - level)/2 (Davison and Hinkley, Bootstrap Methods,
    1997, (5.6)). Noise in the class means biases a value, and biases a resample by as much again: percentiles of t*
    then lie beside the truth by twice the bias, this interval about it
    (tests/deep/evaluation/test_cas_intervals.py simulates both).
    Where few images a class make the bias large, it may lie beside t: that is t's bias. It may pass the end of the
    range, so CAS is cut at 0.
    The null level, a mean over `draws` (as in `cas_values`), is followed through the resamples with ten rows and two
    permutations, the same in all; the Monte Carlo error of that mean, its deviation over sqrt(draws), is added to it
    and to the excess. progress(n) is called after n resamples.

    >>> from deep.evaluation.outcome import Outcome
    >>> own = torch.eye(3)
    >>> features, right = torch.cat([own, 1 - own], 1), torch.ones(3).bool()
    >>> one = Outcome(torch.arange(3), right, right, features, features)
    >>> [round(bound, 12) for bound in cas_intervals([one], features)["cas"]]  # one image a class: nothing varies
    [2.0, 2.0]
    """
    if not outcomes or resamples < len(outcomes) or draws < 2 or not 0 < level < 1:
        raise ValueError(f"{len(outcomes)} attacks, resamples = {resamples}, draws = {draws} and level = {level} were "
                         "given: take an attack or more, a resample or more of each, two draws and 0 < level < 1.")
    generator = torch.Generator().manual_seed(seed)
    centres, drawn = [], []
    for number, outcome in enumerate(outcomes):
        if not torch.equal(outcome.labels, outcomes[0].labels):
            raise ValueError("outcomes of different images were given: attack the same images with each seed.")
        samples, weight = samples_by_class(outcome, weight)
        pairs, rows = pairs_of(len(weight), superclasses), random_rows(weight, draws)
        order = random_permutations(len(weight), weight.shape[1], draws)
        means = means_of(samples)
        if number == 0:
            found = cas_from_means(means, weight, pairs, rows, order)
        centres.append(null_levels_averaged(cas_from_means(means, weight, pairs, rows[:ROWS], order[:PERMUTATIONS])))
        left = len(range(number, resamples, len(outcomes)))
        while left:
            count = min(left, max(1, CHUNK // weight.numel()))
            resample = resampled_means(samples, count, generator)
            values = cas_from_means(resample, weight, pairs, rows[:ROWS], order[:PERMUTATIONS])
            drawn.append(null_levels_averaged(values))
            left -= count
            if progress:
                progress(count)
    tails = torch.tensor([(1 + level) / 2, (1 - level) / 2], dtype=torch.float64)
    noise = torch.randn(resamples, generator=generator, dtype=torch.float64)
    intervals = {}
    for name, value in null_levels_averaged(found).items():
        errors = torch.cat([part[name] for part in drawn]) - torch.stack([centre[name] for centre in centres]).mean()
        above = name.removesuffix("_excess") if name.endswith("_excess") else name if name in SHARING else None
        null = found.get(name if name.endswith("_null") else f"{above}_null")
        if null is not None:  # the value is, or contains, a mean over draws
            errors = errors + null.std() / draws ** 0.5 * noise.to(errors.device)
        bounds = (value - errors.quantile(tails.to(errors.device))).cpu()
        intervals[name] = (bounds if above or "margin" in name else bounds.clamp(min=0)).tolist()
    return intervals


def null_levels_averaged(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the variants without the null levels' spread over rows."""
    return {name: value.mean(-1) if name.endswith("_null") else value for name, value in found.items()}


def cas_interval(outcomes: Sequence[Outcome], weight: Float[Tensor, "K d"], resamples: int = RESAMPLES,
                 seed: int = 0) -> list[float]:
    """Return the interval of the paper's CAS alone; see `cas_intervals`."""
    return cas_intervals(outcomes, weight, resamples, seed)["cas"]


def sample_sizes(labels: Int[Tensor, "n"], classes: int) -> dict[str, Any]:
    """Return the images of the smallest class, and whether they are too few for an interval.

    >>> sample_sizes(torch.tensor([0, 0, 1]), 2)
    {'fewest_images': 1, 'intervals_too_narrow': True}
    """
    fewest = int(labels.bincount(minlength=classes).min())
    return {"fewest_images": fewest, "intervals_too_narrow": fewest < FEWEST}


def cas_report(outcomes: Sequence[Outcome], weight: Float[Tensor, "K d"], classes: Sequence[str],
               superclasses: Sequence[str] = (), margins: Float[Tensor, "n K-1"] | None = None,
               progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Return every CAS of `cas_values` with its interval, the profile by class, and r and k from margins; plain values.

    outcomes: one an attack seed; the values are those of the first. classes: a name for each of the K rows of W.
    margins: of the first, as `wrong_class_margins`; None, or fewer than ten images of a class: no estimate and no null.
    progress(n): called after n of RESAMPLES.
    """
    first = outcomes[0]
    values = cas_values(first, weight, superclasses=superclasses)
    intervals = cas_intervals(outcomes, weight, superclasses=superclasses, progress=progress)
    correlation = class_correlation(first.features, first.labels, weight)
    share, partner, cosine = (column.tolist() for column in class_profile(correlation))
    profile = [{"class": classes[i], "share": share[i], "partner": classes[partner[i]], "cosine": cosine[i]}
               for i in range(len(share))]
    estimates, nulls, sizes = None, None, sample_sizes(first.labels, len(weight))
    if margins is not None and not sizes["intervals_too_narrow"]:
        estimates = margin_estimates(margins, first.labels)
        nulls = both_margin_nulls(first.features, first.labels, weight)
    return {"classes": list(classes)} | sizes | values | {
        "cas_interval": intervals["cas"], "intervals": intervals, "margins": estimates, "margin_nulls": nulls,
        "profile": profile, "correlation": correlation.tolist()}
