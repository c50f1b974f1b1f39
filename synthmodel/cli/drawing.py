"""`synthmodel plot` and `synthmodel explore`: their words, the picture that is written, the window that is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synthmodel.model.losses import LOSSES, loss_named
from synthmodel.system.terminal import OneSentenceParser

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from synthmodel.model.losses import Loss

__all__ = ["add_plot", "explore", "losses_of", "plot", "write"]


def add_plot(commands: Any, model: OneSentenceParser, lossy: OneSentenceParser) -> None:
    """Add `plot`, its pictures and `explore` to the commands; model, lossy: the options of a setting and of a loss."""
    text = "a picture of the theory at a setting of yours"
    pictures = commands.add_parser("plot", help=text, description=text[0].upper() + text[1:]).add_subparsers(
        dest="picture", required=True, metavar="PICTURE")
    decay = OneSentenceParser(add_help=False)
    decay.add_argument("--lam", default="0.1", help="weight decay of w1 and w2 (default: 0.1)")

    def picture(name: str, text: str, *parents: OneSentenceParser) -> OneSentenceParser:
        made: OneSentenceParser = pictures.add_parser(
            name, parents=[*parents, lossy, decay], help=text, description=f"{text[0].upper()}{text[1:]}. --loss takes "
            "several, with commas; --b adds the smoothed margin to the margin loss and smooths the others.")
        made.add_argument("--out", default=f"{name}.png", metavar="FILE", help="picture to write, .png, .svg or .pdf "
                          f"(default: {name}.png)")
        return made
    picture("thresholds", "the optimal weights against the attack size, and where they die", model)
    picture("ratios", "w2/w1 of each loss against the attack size, and the best ratio", model)
    picture("accuracy", "robust accuracy against w2/w1, of pairs and of all classes", model).add_argument(
        "--eps", required=True, metavar="EPS,EPS,...", help="attack sizes, one or several")
    picture("phase", "where Theorems 1 to 3 hold for a loss, over attack size and noise (three classes, equal noises)"
            ).add_argument("--mu", default="1", help="mean of an active feature (default: 1)")
    text = "the threshold curves in a window, with sliders for mu, sigma, b and lam"
    window = commands.add_parser("explore", help=text, description=text[0].upper() + text[1:], parents=[lossy, decay])
    for name, first in (("mu", 1), ("sigma", 0.5)):
        window.add_argument(f"--{name}", default=str(first), help=f"where its slider begins (default: {first})")


def losses_of(options: Namespace) -> list[Loss]:
    """The losses named in --loss, each with those of the parameters that it has; margin with --b: smoothed, too."""
    teacher = None if options.teacher is None else tuple(options.teacher.split(","))
    given = {"b": options.b, "tau": options.tau, "attack": options.attack, "teacher": teacher,
             "teacher_input": options.teacher_input}
    given = {key: value for key, value in given.items() if value is not None}
    found, used = [], set()
    names = options.loss.split(",")
    if "margin" in names and "b" in given:
        names.insert(names.index("margin") + 1, "smoothed-margin")
    for name in dict.fromkeys(names):
        own = {key: value for key, value in given.items() if key in LOSSES.get(name, (None, ()))[1]}
        used |= set(own)
        found.append(loss_named(name, **own))
    for key in set(given) - used:
        loss_named(names[-1], **{key: given[key]})  # says that it has none
    return found


def picture_of(options: Namespace) -> Figure:
    """The figure that the options ask for, to be called in `styled`."""
    from synthmodel.cli.commands import setting_of
    from synthmodel.model.setting import checked
    from synthmodel.plot import accuracy, ratios, thresholds
    from synthmodel.plot.style import new_figure
    losses, lam = losses_of(options), checked("lam", options.lam, above=0, single=True)
    if options.picture == "phase":
        return phases(losses, checked("mu", options.mu, above=0, single=True), lam)
    setting = setting_of(options)
    if options.picture == "accuracy":
        sizes = options.eps.split(",")
        if len(losses) > 1:
            raise ValueError(f"{len(losses)} losses were given, but the picture of accuracy marks the ratio of one: "
                             "choose one.")
        figure, ((left, right),) = new_figure(1, 2, 9.6, 3.6, sharex=True)
        accuracy(setting, sizes, kind="pairwise", ax=left)
        accuracy(setting, sizes, loss=losses[0], lam=lam, ax=right)
        left.get_legend().remove()
        return figure
    figure, ((ax,),) = new_figure(1, 1, 7.8, 3.9)
    {"thresholds": thresholds, "ratios": ratios}[options.picture](setting, losses, lam=lam, ax=ax)
    return figure


def phases(losses: Sequence[Loss], mu: float, lam: float) -> Figure:
    """A row of squares for each loss, one for each statement."""
    import numpy as np

    from synthmodel.plot.planes import hard_of, table_of_squares, truths
    from synthmodel.plot.style import name_of, new_figure
    sizes, noises = mu / 2 * np.linspace(0.02, 0.98, 16), mu * np.linspace(0.1, 2, 16)
    figure, axes = new_figure(len(losses), 6, 8.6, 1.8 + 0.75 * len(losses), sharex=True, sharey=True)
    found = {name_of(loss): truths(loss, hard_of(loss), sizes, noises, mu=mu, lam=lam) for loss in losses}
    table_of_squares(figure, axes, found, sizes, noises, mu / 2, rf"$\mu = {mu:g}$, $\lambda = {lam:g}$")
    return figure


def write(options: Namespace) -> None:
    """Write the picture of `plot`."""
    from synthmodel.plot.style import save, styled
    with styled():
        save(picture_of(options), options.out)


def plot(options: Namespace) -> int:
    """Write the picture and print its name; 0."""
    write(options)
    print(options.out)
    return 0


def explore(options: Namespace) -> int:
    """Open the window and wait until it is closed; 0."""
    from synthmodel.model.setting import checked
    from synthmodel.plot.explore import RANGES
    from synthmodel.plot.explore import explore as opened
    options.b = options.b or "0.1"  # no default of the parser, which would be that of every command's --b
    values = {}
    for name, (_, least, most, _) in RANGES.items():
        values[name] = checked(name, getattr(options, name), least=least, single=True)
        if values[name] > most:
            raise ValueError(f"{name} = {values[name]} was given, but its slider ends at {most:g}: choose less.")
    opened(losses_of(options), **values)
    return 0
