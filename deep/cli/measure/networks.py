"""What the measuring commands share: their options, the networks that they open, and what is said of a result."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.cli.common import add_attack_steps, add_machine_options, is_json_with, place
from deep.system.device import positive, use_device

if TYPE_CHECKING:  # torch is imported when a command runs
    from deep.experiments.measured import Checkpoint, Measured
    from deep.recipe.recipe import Recipe
    from deep.runs.outside import Normalisation

__all__ = ["add_run_options", "called", "deferred_write_errors", "heading", "open_checkpoints", "open_networks",
           "refuse_of_weights", "result_path"]

PLAIN_IMAGES = ("val_size=0", "select=test", "padding=0")  # a network that is only measured: all images as they are
# options that say of weights what a run says itself, and the names of their values
OF_WEIGHTS = {name: name.replace("-", "_") for name in (
    "model", "width", "depth", "patch-size", "mean", "std", "normalised-inside", "key", "by-position", "classes-from")}
OF_WEIGHTS["set"] = "overrides"


def add_run_options(command: argparse.ArgumentParser, checkpoints: tuple[str, ...] = ("best", "last", "both"),
                    **sources: str) -> None:
    """Add what is measured, a run or a file of weights, and how. sources: {option in place of both: its help}."""
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("run", nargs="?", help="a run folder")
    source.add_argument("--weights", metavar="FILE", help="anybody's weights: a state dict of torch, or .safetensors")
    for name, text in sources.items():
        source.add_argument(f"--{name}", metavar="FILE", help=text)
    command.add_argument("--checkpoint", choices=checkpoints, default="both", help="of a run (default: both)")
    add_attack_steps(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    add_machine_options(command)
    outside = command.add_argument_group("with --weights", "What a recipe says of a run; files that `deep export` "
                                         "wrote need none of it.")
    outside.add_argument("--model", metavar="NAME", help="the network: preactresnet18, resnet18, wideresnet, deit, or "
                                                         "one that --import registers")
    for name, text in (("width", "channels of its first stage (default: 64)"), ("depth", "its layers"),
                       ("patch-size", "side of its patches")):
        outside.add_argument(f"--{name}", type=int, metavar="N", help=text)
    outside.add_argument("--mean", help="of its training images, by which it normalises: 0.49,0.48,0.45, or one number")
    outside.add_argument("--std", help="their deviation, likewise")
    outside.add_argument("--normalised-inside", action="store_true", help="its own code normalises: pixels go in as "
                                                                          "they are")
    outside.add_argument("--key", metavar="NAME", help="which state dict of the file, where it holds several: ema, say")
    outside.add_argument("--by-position", action="store_true",
                         help="take weights of other names in their order, where shapes agree")
    outside.add_argument("--classes-from", choices=("data",), help="let the images name the classes, whatever the file "
                                                                   "that was exported says")
    outside.add_argument("--set", action="append", default=[], metavar="key=value", dest="overrides",
                         help="of the images and the attack, e.g. data=cifar100, eps=4/255, norm=l2; may be repeated")


def result_path(options: argparse.Namespace, *keys: str) -> Path | None:
    """Return where --out puts the result of --weights or --features, or None; ValueError with a run, which has one.

    keys: those by which an earlier result is known, which is replaced; ValueError if anything else is there.
    """
    if options.out is None:
        return None
    if options.run is not None:
        raise ValueError(f"--out = {options.out} was given with a run, whose results are written into its folder: "
                         "leave it out.")
    return place(options.out, is_json_with(*keys))


@contextmanager
def deferred_write_errors() -> Iterator[Callable[..., None]]:
    """Yield write(function, *arguments), whose OSError, of a read-only folder, say, is raised at the block's end.

    What was computed is printed in the block, whether or not it could be written.
    """
    failures = []

    def write(function: Callable[..., Any], *arguments: Any) -> None:
        try:
            function(*arguments)
        except OSError as error:
            failures.append(error)

    yield write
    if failures:
        raise failures[-1]


def open_checkpoints(options: argparse.Namespace) -> "list[Checkpoint]":
    """Return the checkpoints of a run that are asked for, with the images on which they are evaluated.

    A folder that is none is refused before torch is loaded.
    """
    from deep.recipe.recipe import read_recipe
    positive("--attack-steps", options.attack_steps)
    read_recipe(Path(options.run))
    from deep.experiments.measured import Checkpoint
    from deep.runs.fingerprint import data_for_evaluation
    from deep.runs.folder import RunFolder
    from deep.runs.results import checkpoint_names
    from deep.training.loop import load_data
    run = RunFolder(options.run)
    recipe = run.recipe()
    device = use_device(options.device, options.threads)
    data = data_for_evaluation(run, load_data(recipe, options.data)).to(device)
    names = {"both": ["best", "last"], "all": None}.get(options.checkpoint, [options.checkpoint])
    return [Checkpoint(recipe, data, device, name, run) for name in names or checkpoint_names(run)]


def refuse_of_weights(options: argparse.Namespace, where: str) -> None:
    """Raise ValueError for an option that says something of weights, if there are none. where: it was given."""
    said = [f"--{name}" for name, value in OF_WEIGHTS.items() if getattr(options, value)]
    if said:
        raise ValueError(f"{said[0]} was given {where}: leave it out, or pass --weights FILE in its place.")


def open_networks(options: argparse.Namespace) -> "list[Measured]":
    """Return what is measured: the checkpoints of a run, or the one network of --weights."""
    if options.weights is None:
        refuse_of_weights(options, "with a run, whose recipe and checkpoint say it")
        return [*open_checkpoints(options)]
    positive("--attack-steps", options.attack_steps)
    file = Path(options.weights)
    if not file.is_file():
        raise ValueError(f"--weights = {file} was given, but there is no such file: pass a file of weights.")
    from deep.experiments.outside_network import OutsideNetwork
    from deep.runs.export import exported_words
    from deep.runs.outside import outside_network
    from deep.training.loop import load_data
    exported = exported_words(file)
    recipe, given = described_network(options, exported and exported[0])
    device = use_device(options.device, options.threads)
    data = load_data(recipe, options.data)
    classes = exported[1] if exported and options.classes_from is None else None
    if classes is not None and classes != list(data.classes):
        raise ValueError(f"{file} was trained on the classes {', '.join(classes)}, but {data.name} has "
                         f"{', '.join(data.classes)}: pass images of its classes, or --classes-from data if these are "
                         "the same under other names.")
    model, normalisation = outside_network(file, recipe, data, given, key=options.key, by_position=options.by_position)
    return [OutsideNetwork(recipe, data.to(device), device, "network", file, model.to(device), normalisation)]


def described_network(options: argparse.Namespace, exported: list[str] | None) -> "tuple[Recipe, Normalisation | None]":
    """Return (recipe of its network, images and attack; its normalisation or None) from the options of --weights.

    exported: the words of the recipe beside a file that was exported. Without them, and without data=, an image folder
    is known by its look.
    """
    from deep.experiments.reproduction.data_sets import data_locations, layout_at
    from deep.recipe.recipe import recipe_named
    from deep.runs.outside import NONE, Normalisation
    if options.model is None and exported is None:
        raise ValueError(f"--weights = {options.weights} was given without --model, but weights do not say what "
                         "network they are of: name it, as in --model preactresnet18 --width 64.")
    if exported is None:
        exported = [f"data={layout_at('cifar10', data_locations([options.data] if options.data else [])['cifar10'])}"]
    sizes = {"model": options.model, "width": options.width, "depth": options.depth, "patch_size": options.patch_size}
    words = [f"{name}={value}" for name, value in sizes.items() if value is not None]
    recipe = recipe_named("at", [*PLAIN_IMAGES, *exported, *words, *options.overrides])
    if (options.mean is None) != (options.std is None) or (options.normalised_inside and options.mean is not None):
        raise ValueError("--mean and --std are given together, or --normalised-inside in place of both: give one of "
                         "the two.")
    if options.normalised_inside:
        return recipe, NONE
    if options.mean is None:
        return recipe, None
    return recipe, Normalisation(channel_values("--mean", options.mean), channel_values("--std", options.std, 1e-6),
                                 "--mean and --std")


def channel_values(name: str, text: str, least: float = -1e6) -> tuple[float, ...]:
    """Return the numbers of `text`, one a channel or one for all; ValueError for others than finite ones above `least`.

    >>> channel_values("--mean", "0.5,0.25")
    (0.5, 0.25)
    """
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(least <= value <= 1e6 for value in values):
        raise ValueError(f"{name} = {text} was given, but it is one number for each channel, of pixels in [0, 1], or "
                         "one for all: write 0.4914,0.4822,0.4465, say.")
    return values


def called(result: dict[str, Any], group: "list[Measured]") -> dict[str, Any]:
    """Return a result as it is printed, once for all checkpoints of a group: "best and last"."""
    return result | {"checkpoint": " and ".join(one.name for one in group)} if len(group) > 1 else result


def heading(result: dict[str, Any]) -> str:
    """Return the first line about a result: whose it is, the images, the attack, their number."""
    whose = (f"{result['checkpoint']} (epoch {result['epoch']})" if result["run"] else
             f"{result['weights_file']} ({result['network']}, normalised by {result['normalisation']['source']})")
    return f"{whose}, {result['data']}, {result['attack']}, n = {result['n']}"
