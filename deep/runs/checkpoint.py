"""What a checkpoint must say before anything of it is loaded: its checksum tells only that nobody damaged the file."""

import json
import math
import zipfile
from typing import IO, Any, NoReturn

import torch
from torch import Tensor

from deep.system.messages import tell

__all__ = ["check_archive", "check_checkpoint", "check_weights"]

LINE = ("epoch", "learning_rate", "train_loss", "train_robust", "images_per_second")  # of metrics, in every version
DRAWN = ("order", "augmentation", "attack")  # generators that every epoch of every version draws from


def refuse(what: str) -> NoReturn:
    raise ValueError(f"the checkpoint has {what}: restore it from a copy, or remove it to go on from the one before.")


def check(holds: bool, what: str) -> None:
    if not holds:
        refuse(what)


def whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def number(value: Any, least: float = -math.inf, most: float = math.inf) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and (
        least <= value <= most)


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def check_archive(file: IO[bytes]) -> None:
    """Raise BadZipFile unless a file is a zip archive whose members agree with their sums; go back to its beginning.

    torch does not look at the sums and would return other weights for most flipped bits of a file. It costs a tenth of
    a second per 100 MB.
    """
    with zipfile.ZipFile(file) as archive:
        # torch sets no attributes; a flipped one can make a member a directory, which torch leaves unread
        damaged = archive.testzip() or any(member.external_attr for member in archive.infolist())
    if damaged:
        raise zipfile.BadZipFile("the sums of the archive are not those of its content")
    file.seek(0)


def check_weights(found: Any, wanted: dict[str, Tensor], what: str) -> None:
    """Raise ValueError unless `found` is a state dict with the names, shapes and types of `wanted`.

    >>> check_weights({"w": torch.zeros(2)}, {"w": torch.zeros(3)}, "weights")
    Traceback (most recent call last):
    ValueError: the checkpoint has weights w of shape [2] and torch.float32 where the network has [3] and ...
    """
    check(isinstance(found, dict), f"no {what}, but {short(found)}")
    for name in [*wanted, *found]:
        check(name in found, f"no {what} {name}")
        check(name in wanted, f"{what} {short(name)}, which the network has not")
        value, own = found[name], wanted[name]
        check(isinstance(value, torch.Tensor), f"{what} {name} that are {short(value)}")
        check((value.shape, value.dtype, value.layout) == (own.shape, own.dtype, own.layout),
              f"{what} {name} of shape {list(value.shape)} and {value.dtype} where the network has {list(own.shape)} "
              f"and {own.dtype}")


def check_checkpoint(state: dict[str, Any], training: Any) -> None:
    """Raise ValueError, in one sentence, unless `training` can go on from `state`; nothing is changed.

    training: a `deep.training.step.Training`, which is built above this room.

    Everything that `Training.load` takes is compared with what the training itself has: names, shapes, types, ranges.
    What the checkpoints of earlier versions lack may be missing where the recipe says what it was.
    """
    recipe, own = training.recipe, training.state()
    # not there, or checked elsewhere
    early = {"best_state", "dropped", "teachers", "average", "data", "classes", "recipe"}
    for name in own.keys() - state.keys() - early:
        refuse(f"no entry {name!r}")
    check(whole(state["epoch"], 0, recipe.epochs), f"epoch {short(state['epoch'])}, but the recipe has {recipe.epochs}")
    check(whole(state["step"], 0, training.batches),
          f"step {short(state['step'])}, but an epoch has {training.batches}")
    check(number(state["seconds"], 0), f"{short(state['seconds'])} seconds")
    check(number(state["best"], -1, 1), f"the best accuracy {short(state['best'])}")
    check_order(state["order"], state["step"], len(training.data.train))
    dropped = state.get("dropped")
    check(dropped is None or (isinstance(dropped, torch.Tensor) and dropped.dtype == torch.bool
                              and dropped.shape == (len(training.data.train),)), "a wrong table of dropped images")
    totals = state["totals"]
    check(isinstance(totals, torch.Tensor) and totals.dtype == torch.float64 and totals.ndim == 1
          and 2 <= len(totals) <= len(training.totals) and bool(totals.isfinite().all()), "sums that are no numbers")
    check_history(state["history"], state["epoch"])
    check_weights(state["model"], own["model"], "weights")
    check_optimiser(state["optimiser"], own["optimiser"], list(training.model.parameters()),
                    begun=state["epoch"] + state["step"] > 0)
    check_generators(state["generators"], training)
    check_best(state.get("best_state"), state, own["model"])
    teachers = state.get("teachers", {"own": None, "digests": []})
    check(isinstance(teachers, dict) and isinstance(teachers.get("digests"), list) and "own" in teachers,
          f"the teachers {short(teachers)}")
    if teachers["own"] is not None:
        check_weights(teachers["own"], own["model"], "weights of its teacher")
    if state.get("average") is not None and training.average:
        check_weights(state["average"], own["average"], "averaged weights")
    check(state.get("average") is not None or not state["recipe"].get("average"), "no averaged weights")


def check_order(order: Any, step: int, n: int) -> None:
    check(order is not None or step == 0, "no order of the images in the middle of an epoch")
    check(order is None or (isinstance(order, torch.Tensor) and order.dtype == torch.int64 and order.shape == (n,)
                            and torch.equal(order.sort().values, torch.arange(n))),
          f"an order that is no permutation of {n} images")


def check_history(history: Any, epoch: int) -> None:
    check(isinstance(history, list) and len(history) == epoch, f"not one line of metrics for each of {epoch} epochs")
    for place, line in enumerate(history, start=1):
        check(isinstance(line, dict) and line.get("epoch") == place, f"a wrong line of metrics for epoch {place}")
        for name in LINE:
            still = name == "images_per_second" and line.get(name) is None  # the clock stood still
            check(still or number(line.get(name)), f"the {name} {short(line.get(name))} in epoch {place}")
    try:
        json.dumps(history)
    except (TypeError, ValueError, RecursionError):
        refuse("metrics that are no plain numbers and texts")


def check_optimiser(found: Any, own: dict[str, Any], weights: list[torch.nn.Parameter], begun: bool) -> None:
    check(isinstance(found, dict) and isinstance(found.get("state"), dict)
          and isinstance(found.get("param_groups"), list) and len(found["param_groups"]) == len(own["param_groups"]),
          "no state of the optimiser")
    for group, mine in zip(found["param_groups"], own["param_groups"], strict=True):
        check(isinstance(group, dict) and group.get("params") == mine["params"] and number(group.get("lr"), 0),
              "an optimiser of other weights")
        for name in ("momentum", "weight_decay", "dampening", "nesterov"):
            check(group.get(name) == mine[name], f"an optimiser with {name} {short(group.get(name))}, not {mine[name]}")
    for place, values in found["state"].items():
        check(whole(place, 0, len(weights) - 1) and isinstance(values, dict), "an optimiser of other weights")
        buffer, weight = values.get("momentum_buffer"), weights[place]
        check(buffer is None or (isinstance(buffer, torch.Tensor) and buffer.shape == weight.shape
                                 and buffer.dtype == weight.dtype), f"momentum of another shape than weight {place}")
    moving = any(values.get("momentum_buffer") is not None for values in found["state"].values())
    check(moving or not begun or not own["param_groups"][0]["momentum"], "no momentum, though its training has begun")


def check_generators(found: Any, training: Any) -> None:
    check(isinstance(found, dict), f"no random generators, but {short(found)}")
    needed = {*DRAWN, *(["trim"] if training.recipe.trim else [])}
    for name in sorted(needed - found.keys()):
        refuse(f"no random generator {name!r}")
    for name, value in found.items():
        check(name in training.generators, f"a random generator {short(name)}, which this version does not know")
        own = training.generators[name]
        try:
            torch.Generator(own.device).set_state(value)
        except (RuntimeError, TypeError, ValueError):
            refuse(f"no state of the random generator {name!r}")
    for name in sorted(training.generators.keys() - found.keys()):
        tell(f"the checkpoint, of an earlier version, has no random generator {name!r}, so that one begins from the "
             "recipe's seed.")


def check_best(best: Any, state: dict[str, Any], weights: dict[str, Tensor]) -> None:
    if best is None:
        check("best_state" not in state or state["best"] == -1, "no best weights, though it knows their accuracy")
        return
    check(isinstance(best, dict) and whole(best.get("epoch"), 1, state["epoch"]), "a best checkpoint that is none")
    check(isinstance(best.get("metrics"), dict), "a best checkpoint without its metrics")
    check_weights(best.get("model"), weights, "best weights")
