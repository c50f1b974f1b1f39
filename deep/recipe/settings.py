"""The parts of a recipe: small tables of settings, each with its meaning, its unit and its range beside it.

A `Recipe` is all of these parts at once, and flat: a setting has one name, `eps`, on the command line, in a sweep's
TOML, in recipe.json and in the code. A function that needs one part alone names that part as the type of its argument.
Defaults are those of Rice et al. 2020 and of the paper (deep/README.md, Conventions).
"""

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, get_type_hints

from deep.networks.registry import NETWORKS

__all__ = ["About", "AllSettings", "ArithmeticSettings", "AttackSettings", "AverageSettings", "DataSettings",
           "EvaluationSettings", "ImageSettings", "LabelSettings", "NetworkSettings", "OptimiserSettings",
           "RobustLossSettings", "about", "types_of"]


@dataclass(frozen=True)
class About:
    """What is written beside a setting: its meaning and unit, and what is allowed.

    least, most: the range of a number, ends included, and of each number of a list. choices: the values there are.
    since: 0 for the settings of the first runs. A later one has a higher number than all before it: recipe.json and
    the run's name leave it out at its default, so that the runs before it keep their names.
    """

    meaning: str
    unit: str = ""
    least: float | None = None
    most: float = 10**9
    choices: Collection[Any] | None = None
    since: int = 0


@cache
def annotations(part: type) -> dict[str, Any]:
    """Return the annotations of a part and of those that it is made of, by name, each with its `About`."""
    return get_type_hints(part, include_extras=True)


def about(part: type) -> dict[str, About]:
    """Return what stands beside each setting of a part, by name, those of the first runs first.

    >>> list(about(NetworkSettings)), about(AttackSettings)["eps"].unit
    (['model', 'width', 'depth', 'patch_size', 'pretrained'], 'share of the pixel range')
    """
    notes = {name: next(note for note in hint.__metadata__ if isinstance(note, About))
             for name, hint in annotations(part).items()}
    return dict(sorted(notes.items(), key=lambda item: item[1].since))  # stable: in a round, in the order of the parts


def types_of(part: type) -> dict[str, Any]:
    """Return the type of each setting of a part, by name, in the same order, which is that of recipe.json.

    >>> types_of(AverageSettings)["average_decay"]
    float | None
    """
    return {name: annotations(part)[name].__origin__ for name in about(part)}


@dataclass(frozen=True)
class DataSettings:
    """Which images there are; planted ones are generated, and mu, sigma and patch are theirs alone."""

    data: Annotated[str, About("data set; folder: any train/<class>/*.png (deep/data/layouts.py); planted: generated",
                               choices=("cifar10", "cifar100", "tiny-imagenet", "folder", "planted"))] = "cifar10"
    mu: Annotated[float | None, About("mean of a planted feature", "pixel value", least=1e-9)] = None
    sigma: Annotated[float | None, About("deviation of a planted feature", "pixel value", least=1e-9)] = None
    patch: Annotated[int | None, About("side of the patch that carries a feature", "pixels", least=1, most=64)] = None


@dataclass(frozen=True)
class NetworkSettings:
    """The network. Each size is None for a network that has none, such as "linear"."""

    model: Annotated[str, About("name in the registry (deep/networks/registry.py)", choices=NETWORKS)] = (
        "preactresnet18")
    width: Annotated[int | None, About("channels of the first stage (16 k for a wideresnet-n-k), or of a transformer's "
                                       "tokens", "channels", least=1, most=4096)] = 64
    depth: Annotated[int | None, About("layers of a wideresnet (6 b + 4) or of a deit", "layers", least=1, most=1000,
                                       since=1)] = None
    patch_size: Annotated[int | None, About("side of a deit's patches", "pixels", least=1, most=1024, since=1)] = None
    pretrained: Annotated[str | None, About("file with the state dict of a published deit, from which the training "
                                            "starts", since=1)] = None


@dataclass(frozen=True)
class AttackSettings:
    """The loss, and the attack that raises it; for method=standard eps, step and steps are the evaluation's only."""

    loss: Annotated[str, About("trained on and attacked; margin: max_{j != y} f_j - f_y",
                               choices=("cross-entropy", "margin"))] = "cross-entropy"
    eps: Annotated[Fraction, About("radius of the attack's ball", "share of the pixel range", least=0, most=1)] = (
        Fraction(8, 255))
    step: Annotated[Fraction, About("size of a step of PGD", "share of the pixel range", least=0, most=1)] = (
        Fraction(2, 255))
    steps: Annotated[int, About("number of steps of PGD", "steps", least=0)] = 10
    random_start: Annotated[bool, About("start at a random point of the ball, not at the image")] = True
    attack_mode: Annotated[str, About("mode of batch norm under attack; eval leaves its statistics alone, train is the "
                                      "paper's public code", choices=("eval", "train"))] = "eval"
    norm: Annotated[str, About("norm of the ball", choices=("linf", "l2"), since=2)] = "linf"
    method: Annotated[str, About("at: train on adversarial images; trades (Zhang et al. 2019): on clean ones, plus "
                                 "beta times the divergence of the scores on adversarial ones; standard: on clean ones",
                                 choices=("at", "trades", "standard"), since=2)] = "at"
    beta: Annotated[float | None, About("weight of the divergence in trades", least=0, since=2)] = None
    awp: Annotated[float, About("gamma: how far the weights are moved against the loss while its gradient is taken "
                                "(adversarial weight perturbation, Wu et al. 2020)", "share of a layer's norm", least=0,
                                most=1, since=5)] = 0.0
    awp_from: Annotated[Fraction, About("when that begins", "share of the epochs", least=0, most=1, since=5)] = (
        Fraction(0))


@dataclass(frozen=True)
class LabelSettings:
    """Smoothed labels and teachers (Chen et al. 2021); what the teachers' shares leave is the labels' weight."""

    smoothing: Annotated[float, About("b: 1 - b on the true class, b/(K-1) on each other (THEORY.md, section 0)",
                                      "probability", least=0, most=0.999, since=2)] = 0.0
    smoothing_from: Annotated[Fraction, About("when smoothing begins", "share of the epochs", least=0, most=1,
                                              since=4)] = Fraction(0)
    teacher: Annotated[str | None, About("a run folder: its best checkpoint teaches (RUN:last: its last); self: this "
                                         "network when teacher_from had passed; average: its running average",
                                         since=2)] = None
    standard_teacher: Annotated[str | None, About("a run folder of standard training, beside a robust one",
                                                  since=2)] = None
    teacher_share: Annotated[float, About("weight of the teacher's divergence", "share of the loss", least=0, most=1,
                                          since=2)] = 0.0
    standard_share: Annotated[float, About("weight of the standard teacher's divergence", "share of the loss", least=0,
                                           most=1, since=2)] = 0.0
    temperature: Annotated[float, About("T of both divergences, by which scores are divided", least=1e-3, since=2)] = (
        2.0)
    teacher_from: Annotated[Fraction, About("when this network becomes its own teacher", "share of the epochs", least=0,
                                            most=1, since=2)] = Fraction(0)


@dataclass(frozen=True)
class RobustLossSettings:
    """Clipped losses and dropped samples (THEORY.md, D4-remedies)."""

    clip: Annotated[float | None, About("B: a sample's loss counts for B at most", "nats, or margin", least=1e-9,
                                        since=2)] = None
    trim: Annotated[Fraction, About("samples that are dropped", "share of a batch", least=0, most=0.99, since=2)] = (
        Fraction(0))
    floor: Annotated[float | None, About("a sample's loss below it counts 0, in a mean over the whole batch (Yu et al. "
                                         "2022)", "nats, or margin", least=1e-9, since=4)] = None
    trim_kind: Annotated[str, About("which samples are dropped: of largest or smallest loss, or random ones, in each "
                                    "batch; fixed: random images, for good; fixed-largest: those of largest loss at "
                                    "trim_from, for good",
                                    choices=("largest", "random", "smallest", "fixed", "fixed-largest"), since=2)] = (
        "largest")
    trim_from: Annotated[Fraction, About("when clipping, the floor, dropping and the CAS penalty begin",
                                         "share of the epochs", least=0, most=1, since=2)] = Fraction(0)
    cas_weight: Annotated[float, About("of CAS of a batch, added to the loss: above 0 it pushes CAS down", "nats",
                                       least=-10, most=10, since=4)] = 0.0
    cas_centred: Annotated[bool, About("that CAS with the rows of W centred", since=4)] = True


@dataclass(frozen=True)
class AverageSettings:
    """A running average of the weights; once begun, it is the network that is evaluated and selected."""

    average: Annotated[str | None, About("ema: exponential, over steps; swa: mean over epochs",
                                         choices=(None, "ema", "swa"), since=2)] = None
    average_decay: Annotated[float | None, About("weight of the average so far in ema", "a step", least=0, most=1,
                                                 since=2)] = None
    average_from: Annotated[Fraction, About("when averaging begins", "share of the epochs", least=0, most=1,
                                            since=2)] = Fraction(0)


@dataclass(frozen=True)
class OptimiserSettings:
    """SGD, and how its learning rate goes.

    radius: a margin loss of a deep network is unbounded below under weight decay, since its scale grows faster than
    the decay; on a sphere it is not.
    """

    epochs: Annotated[int, About("passes over the training images", "epochs", least=1)] = 200
    batch: Annotated[int, About("images of a step, of all processes together", "images", least=1)] = 128
    lr: Annotated[float, About("learning rate, before the schedule", least=0, most=1e6)] = 0.1
    drops: Annotated[tuple[Fraction, ...], About("when schedule=steps divides lr by 10", "shares of the epochs",
                                                 least=0, most=1)] = (Fraction(1, 2), Fraction(3, 4))
    momentum: Annotated[float, About("of SGD", least=0, most=1)] = 0.9
    weight_decay: Annotated[float, About("of SGD: the gradient's term weight_decay times the weight", least=0,
                                         most=1e6)] = 5e-4
    radius: Annotated[float | None, About("Frobenius norm to which every weight tensor is scaled after each step",
                                          least=1e-9)] = None
    schedule: Annotated[str, About("steps: drops; cyclic: 0 to lr, reached at 2/5, to 0; cosine: lr to 0",
                                   choices=("steps", "cyclic", "cosine"), since=2)] = "steps"
    gradient_norm: Annotated[float | None, About("norm to which a larger gradient is shortened", least=1e-9,
                                                 since=2)] = None


@dataclass(frozen=True)
class ImageSettings:
    """How images are cut, augmented and split."""

    padding: Annotated[int, About("reflected border of which random crops are cut", "pixels", least=0, most=1000)] = 4
    flip: Annotated[bool, About("show mirror images, each with probability 1/2")] = True
    train_size: Annotated[int | None, About("images trained on; none: all but the validation split", "images",
                                            least=1)] = None
    val_size: Annotated[int, About("held-out images; 0 only with select=test", "images", least=0)] = 1000
    data_seed: Annotated[int, About("which training images are trained on and held out, of a data set in files",
                                    least=0, most=2**63, since=4)] = 0
    resize: Annotated[int | None, About("side to which images of folder and tiny-imagenet are cut and scaled", "pixels",
                                        least=2, most=4096, since=1)] = None


@dataclass(frozen=True)
class EvaluationSettings:
    """When a training measures itself, and which checkpoints it keeps; the last epoch is always evaluated."""

    select: Annotated[str, About("split whose robust accuracy names the best checkpoint; the paper took test",
                                 choices=("val", "test"))] = "val"
    eval_every: Annotated[int, About("from one evaluation of all splits to the next", "epochs", least=1)] = 1
    eval_steps: Annotated[int, About("steps of the PGD that measures, of size eps/4 (l2: eps/8)", "steps", least=1)] = (
        20)
    probe_steps: Annotated[int | None, About("steps of the PGD by which each epoch looks for catastrophic overfitting "
                                             "(deep/training/overfitting_probe.py)", "steps", least=1, since=2)] = None
    keep_every: Annotated[int | None, About("from one kept checkpoint to the next", "epochs", least=1, since=2)] = None
    select_every: Annotated[int | None, About("from one attack on the split that selects to the next, between the "
                                              "evaluations", "epochs", least=1, since=3)] = None


@dataclass(frozen=True)
class ArithmeticSettings:
    """Fast arithmetic; losses and perturbations stay float32."""

    bf16: Annotated[bool, About("the network's body in bfloat16")] = True
    channels_last: Annotated[bool, About("channels innermost in memory")] = True
    compile: Annotated[bool, About("fused by torch.compile, and replayed as one CUDA graph on a GPU", since=2)] = False


# `dataclass` lists the settings of the last base first, so that the data come first.
@dataclass(frozen=True)
class AllSettings(ArithmeticSettings, EvaluationSettings, ImageSettings, OptimiserSettings, AverageSettings,
                  RobustLossSettings, LabelSettings, AttackSettings, NetworkSettings, DataSettings):
    """All parts together, and the seed: what a `Recipe` is made of."""

    seed: Annotated[int, About("feeds separate generators for the initial weights, the order, the augmentation, the "
                               "attack and the layers that draw (Dropout)", least=0, most=2**63)] = 0
