"""The gallery, figures/README.md: each committed picture with its sentence, its data, and the command that makes it.

A sentence is its script's `finding`, made from the committed data; `python -m figures.readme` writes the page.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from figures import atlas
from figures.networks import feature_network, planted, planted_networks, real_run, trimming
from figures.networks.campaign import arms, cas, common, fit, partial
from figures.phase import theorems
from figures.theory import accuracy, dynamics, finite_sample, learning_curve, ratios, weights

__all__ = ["CAMPAIGN", "DATA", "PICTURES", "Picture", "gallery", "linked"]

DATA = Path(__file__).parent / "data"
THEORY = "../synthmodel/THEORY.md"  # as the page sees it


@dataclass(frozen=True)
class Picture:
    """A committed picture. data: the files in figures/data that it shows; finding: its sentence, from that folder."""

    name: str
    title: str
    script: ModuleType
    data: tuple[str, ...]
    command: str
    finding: Callable[[Path], str]


PICTURES: tuple[Picture, ...] = (
    Picture("weights", "The optimal weights", weights, ("weights.csv",), "synthmodel report", weights.finding),
    Picture("accuracy", "Robust accuracy against the ratio", accuracy, ("accuracy.csv",), "synthmodel report",
            accuracy.finding),
    Picture("ratios", "What each loss uses, and what would be best", ratios, ("ratios.csv",), "synthmodel atlas",
            ratios.finding),
    Picture("phase_theorems", "Which theorem holds for which loss", theorems, ("phase_theorems.csv",),
            "synthmodel atlas", theorems.finding),
    Picture("dynamics", "Learned, then forgotten", dynamics, ("dynamics.csv",), "synthmodel atlas", dynamics.finding),
    Picture("finite_sample", "A finite sample", finite_sample, ("finite_sample.json",),
            "python -m figures.theory.finite_sample", finite_sample.finding),
    Picture("learning_curve", "Examples until w2 is used, or dropped", learning_curve, ("learning_curve.csv",),
            "python -m figures.theory.learning_curve", learning_curve.finding),
    Picture("feature_network", "A two-layer network beside the Bayes error", feature_network,
            ("feature_network.json",), "python -m figures.networks.feature_network", feature_network.finding),
    Picture("planted", "Networks on planted images", planted,
            ("planted.csv", "planted-theory.csv", "planted-draws.csv", "comparison.csv", "predictions.csv"),
            "synthmodel report", planted.finding),
    Picture("cifar10", "CIFAR-10, 1,000 images", real_run, ("cifar10.json",),
            "python -m figures.networks.real_run cifar10", lambda folder: real_run.finding(folder / "cifar10.json")),
    Picture("cifar10-crops", "CIFAR-10, 2,000 images with crops", real_run, ("cifar10-crops.json",),
            "python -m figures.networks.real_run cifar10-crops",
            lambda folder: real_run.finding(folder / "cifar10-crops.json")),
    Picture("trimming", "Dropping a tenth of each batch", trimming, ("trimming.json",),
            "python -m figures.networks.trimming trimming.json COMMIT RUN ...",
            lambda folder: trimming.finding(folder / "trimming.json")))

# Those of the campaign are shown from its first results on: the files of DATA/campaign.
CAMPAIGN = tuple(
    Picture(name, title, script, ("campaign",), f"python -m {script.__name__}", script.finding)
    for name, title, script in (
        ("campaign_cas", "CAS over epochs, adversarial beside standard training", cas),
        ("campaign_arms", "Robust accuracy against sharing, arm by arm", arms),
        ("campaign_fit", "Robust accuracy against the fit, arm by arm", fit),
        ("campaign_partial", "Robust accuracy against CAS, given the training loss", partial)))
if common.exists():
    PICTURES += tuple(picture for picture in CAMPAIGN if (DATA / f"{picture.name}.png").exists())

# Shown once it is trained and drawn.
PLANTED = Picture("planted_networks", "Four networks on planted images", planted_networks,
                  ("planted_networks.csv", "planted_networks-theory.csv"),
                  "python -m figures.networks.planted_networks", planted_networks.finding)
if (DATA / "planted_networks.png").exists():
    PICTURES += (PLANTED,)


def linked(sentence: str) -> str:
    """A sentence that begins with its claims' IDs, each a link to its section of THEORY.md; others as they are.

    >>> linked("T1, T2-joint': so it is.")
    "[T1](../synthmodel/THEORY.md#claim-t1), [T2-joint'](../synthmodel/THEORY.md#claim-t2-joint-prime): so it is."
    """
    from synthmodel.claims.registry import CLAIMS
    from synthmodel.claims.theory import anchor
    known = {claim.id for claim in CLAIMS}
    head, colon, rest = sentence.partition(": ")
    ids = head.split(", ")
    if not known.issuperset(ids):
        return sentence
    return ", ".join(f"[{name}]({THEORY}#{anchor(name)})" for name in ids) + colon + rest


def path_of(script: ModuleType) -> str:
    """The script's file, from the folder of figures."""
    return "/".join(script.__name__.split(".")[1:]) + ".py"


def section(picture: Picture) -> str:
    """One picture's part of the page."""
    data = ", ".join(f"[{name}](data/{name})" for name in picture.data)
    return (f"### {picture.title}\n\n![{picture.title}](data/{picture.name}.png)\n\n{linked(picture.finding(DATA))}\n\n"
            f"Data: {data}; script: [{path_of(picture.script)}]({path_of(picture.script)}); `{picture.command}`.")


def others() -> str:
    """The atlas's pictures that are not committed: title, and the script, whose docstring says what is drawn."""
    shown = {picture.script for picture in PICTURES}
    return "\n".join(f"- {title}: [{path_of(script)}]({path_of(script)})" for title, script, _ in atlas.PICTURES
                     if script not in shown)


def gallery() -> str:
    """All of the page that is generated."""
    return "\n\n".join([*map(section, PICTURES), "### Only in the atlas\n\n`synthmodel atlas --out DIR` draws these "
                        f"too, and says what they show:\n\n{others()}"])
