"""A network from a file of somebody else's weights: which weight is which, and how its images are normalised."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deep.data.dataset import Data
from deep.networks.classifier import Classifier, build, own_names
from deep.networks.public_names import of_another_function, public_name
from deep.networks.registry import built_in
from deep.recipe.recipe import Recipe
from deep.runs.weights_file import read_weights

__all__ = ["Normalisation", "outside_network"]

Weights = dict[str, Tensor]
PREFIX = re.compile(r"(module|_orig_mod|model|net|network|backbone|1)\.")  # of what wraps a network, name by name
STATISTICS = (("mean", "std"), ("mu", "sigma"), ("new_mean", "new_std"))  # buffers of a leading normalisation
COUNT = "num_batches_tracked"  # of batch norm; nothing depends on it, and older files lack it
LISTED = 5  # names in a sentence, of each kind


@dataclass(frozen=True)
class Normalisation:
    """How the images of a network are normalised, (x - mean)/std, channel by channel, and who says so.

    mean, std: one number for each channel, or one for all. source: in words.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str


NONE = Normalisation((0.0,), (1.0,), "the network's own code")


def outside_network(path: str | Path, recipe: Recipe, data: Data, given: Normalisation | None, *,
                    key: str | None = None, by_position: bool = False) -> tuple[Classifier, Normalisation]:
    """Return (network, its normalisation): the network of a recipe with the weights in a file, in eval mode, float32.

    data: its images' shape and number of classes are the network's; its mean and deviation are not looked at. given:
    the normalisation, None where it is in the file, or `NONE` where the network's own code does it; a network that
    has a mean and a deviation among its weights normalises by these, once. key: as `read_weights` takes it.

    Names may be the network's own (its module's, or `Classifier`'s), or those of public code
    (deep/networks/public_names.py), each with a prefix such as `module.`; by_position: or any, in the network's order,
    of equal shapes. ValueError lists the names that do not match.
    """
    state = read_weights(path, key)
    model = build(replace(recipe, pretrained=None, bf16=False), data, 0)
    wanted = {name: value for name, value in model.state_dict().items() if name not in ("mean", "std")}
    match = matched(state, wanted, {} if built_in(recipe.model) else own_names(recipe, data), recipe)
    other = of_another_function(list(match.read))
    # safetensors sorts its names, so that there the order is not the network's
    in_order = None if other or Path(path).suffix == ".safetensors" else match.in_order
    if match.problems and by_position and in_order:
        match = replace(match, weights=in_order, problems="")
    if match.problems:
        hint = f"its weights {other}: register that network, and name its module by --import" if other else (
            "order and shapes agree, so that --by-position takes them, if it is the same function"
            if in_order else "choose the --model, --width and --depth of the network that was trained")
        raise ValueError(f"{path} was given, but it does not fit the network {recipe.model} ({match.problems}): "
                         f"{hint}.")
    used = chosen(path, match.statistics, match.inside, given, recipe.model)
    for buffer, values in ((model.mean, used.mean), (model.std, used.std)):
        if len(values) not in (1, buffer.numel()):
            raise ValueError(f"a mean and std of {len(values)} channels were given ({numbers(values)}), but the images "
                             f"have {buffer.numel()}: give one number for each channel, or one for all.")
        buffer.copy_(torch.tensor(values).view(1, -1, 1, 1).expand_as(buffer))
    model.load_state_dict({name: value for name, value in match.weights.items() if not name.endswith(COUNT)},
                          strict=False)
    return model.eval(), used


@dataclass(frozen=True)
class Match:
    """How weights fit: under our names, or what is wrong in words; and the network's own statistics, if any.

    read: the weights under their own names, without prefix. in_order: under our names by position, where order and
    shapes agree, else None. inside: the network's own layers hold the statistics.
    """

    read: Weights
    weights: Weights
    problems: str
    wrong: int
    statistics: tuple[Tensor, Tensor] | None
    inside: bool
    in_order: Weights | None


def matched(state: Weights, wanted: Weights, own: dict[str, str], recipe: Recipe) -> Match:
    """Return the first reading of the names that fits, or the one that fits best."""
    matches = []
    for statistics, read in readings(state):
        public = {name: public_name(recipe.model, recipe.depth, name) for name in read}
        for names in ({name: own.get(name, name) for name in read}, public):
            weights = {here: read[name] for name, here in names.items() if here is not None}
            problems = differences(weights, wanted, {here: name for name, here in own.items()})
            inside = statistics is None and leading_statistics(read) is not None
            matches.append(Match(read, weights, words_of(problems), sum(map(len, problems.values())), statistics,
                                 inside, by_order(read, wanted, own)))
            if not matches[-1].wrong:
                return matches[-1]
    return min(matches, key=lambda match: match.wrong)


def readings(state: Weights) -> Iterator[tuple[tuple[Tensor, Tensor] | None, Weights]]:
    """Yield (None, weights) with fewer and fewer prefixes, and after each its statistics and the rest, if it has any.

    >>> w = torch.ones(2, 2)
    >>> state = {"module.0.mean": w[0], "module.0.std": w[0], "module.1.fc.weight": w}
    >>> [(found is not None, list(names)) for found, names in readings(state)][-1]
    (True, ['fc.weight'])
    """
    for names in stripped(state):
        yield None, names
        found = leading_statistics(names)
        if found:
            rest = {name: value for name, value in names.items() if name not in found}
            for shorter in stripped(rest):
                yield (names[found[0]], names[found[1]]), shorter


def stripped(state: Weights) -> Iterator[Weights]:
    """Yield the weights under names without the prefixes that all of them share, one prefix after the other."""
    yield state
    while state and len({name.partition(".")[0] for name in state}) == 1 and PREFIX.match(next(iter(state))):
        state = {name.partition(".")[2]: value for name, value in state.items()}
        yield state


def leading_statistics(state: Weights) -> tuple[str, str] | None:
    """Return the names of the mean and deviation by which a network normalises its images, or None."""
    for mean, std in STATISTICS:
        for name in sorted(state, key=len):
            first, _, last = name.rpartition(".")
            other = f"{first}.{std}" if first else std
            if last == mean and "." not in first and other in state and state[name].is_floating_point():
                return name, other
    return None


def differences(weights: Weights, wanted: Weights, own: dict[str, str]) -> dict[str, list[str]]:
    """Return which names are missing, unknown or of another shape; the counts of batch norm are not looked at.

    own: {our name: the network's own}, by which what is missing is called.
    """
    counted = [{name for name in names if not name.endswith(COUNT)} for names in (wanted, weights)]
    return {"missing": [own.get(name, name) for name in wanted if name in counted[0] - counted[1]],
            "unknown": [name for name in weights if name in counted[1] - counted[0]],
            "of another shape": [f"{name} {list(weights[name].shape)}, not {list(wanted[name].shape)}"
                                 for name in weights if name in wanted and weights[name].shape != wanted[name].shape]}


def words_of(problems: dict[str, list[str]]) -> str:
    """List a few names of each kind.

    >>> words_of({"missing": ["a"], "unknown": list("bcdefgh"), "of another shape": []})
    'missing: a; unknown: b, c, d, e, f and 2 more'
    """
    return "; ".join(f"{kind}: {', '.join(names[:LISTED])}" + (f" and {len(names) - LISTED} more" if len(names) > LISTED
                                                               else "") for kind, names in problems.items() if names)


def by_order(read: Weights, wanted: Weights, own: dict[str, str]) -> Weights | None:
    """Return the weights under the network's names, one after the other, if kinds and shapes agree, else None."""
    order = [own[name] for name in own] or list(wanted)
    there, here = ([name for name in names if not name.endswith(COUNT)] for names in (read, order))
    fits = len(there) == len(here) and all(
        read[name].shape == wanted[place].shape and name.rpartition(".")[2] == place.rpartition(".")[2]
        for name, place in zip(there, here, strict=True))
    return {place: read[name] for name, place in zip(there, here, strict=True)} if fits else None


def chosen(path: Any, statistics: tuple[Tensor, Tensor] | None, inside: bool, given: Normalisation | None,
           model: str) -> Normalisation:
    """Return the normalisation: that of the file, the network's own, or the one that was given; ValueError for two."""
    if statistics is not None or inside:
        found = NONE
        if statistics is not None:
            mean, std = (tuple(part.flatten().tolist()) for part in statistics)
            found = Normalisation(mean, std, "the weights")
        if given not in (None, NONE):
            raise ValueError(f"{path} has a mean and a deviation of its own among its weights"
                             + (f" ({numbers(found.mean)}; {numbers(found.std)})" if statistics else "")
                             + ", but --mean and --std were given too: leave them out, or images are normalised twice.")
        return found
    if given is None:
        raise ValueError(f"{path} does not say how its network's images were normalised, which decides every number: "
                         "give --mean and --std of its training (0 and 1: pixels as they are), or --normalised-inside "
                         "if the network's own code does it.")
    if given == NONE and built_in(model):
        raise ValueError(f"--normalised-inside was given for model = {model}, but that network here does not "
                         f"normalise, and {path} has no mean and deviation: give them by --mean and --std.")
    return given


def numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
