"""Signs that an attack's failure is the gradient's fault, not the network's strength (Athalye et al. 2018)."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Bool
from scipy.stats import binomtest
from torch import Tensor

from deep.attacks.apgd import gradient_of
from deep.attacks.pgd import BALLS, LOSSES, Attack, frozen
from deep.data.dataset import Split, as_float
from deep.evaluation.accuracy import Outcome, accuracy
from deep.evaluation.battery import Trial, correct, worst_case
from deep.networks.classifier import Classifier

__all__ = ["MOST_GAP", "MOST_SQUARE", "MOST_ZERO", "NOISE_DRAWS", "cheap_attacks", "gap_flag", "masking_flags",
           "sign_test", "square_flag"]

MOST_ZERO = 0.01  # share of images with a gradient of exactly zero; an honest network has none
# PGD-20 minus worst case: the standard recipe has about 4 points (published for CIFAR-10 and a ResNet-18: 52.8 % by
# PGD-20, 48.7 % by AutoAttack); a loss that masks gradients has more.
MOST_GAP = 0.06
MOST_SQUARE = 0.02  # share of images that only a search without gradients breaks
SURE = 0.05  # level of the one-sided sign test, so that one image more or less is no alarm
NOISE_DRAWS = 5


def cheap_attacks(model: Classifier, split: Split, attack: Attack, seed: int = 0,
                  batch: int = 256) -> tuple[Bool[Tensor, "n"], ...]:
    """Return of each image of `split`: zero gradient; correct after FGSM; correct after every noise.

    The gradient is that of attack.loss at the image itself; FGSM one step of size eps along it (its steepest
    direction in l2); noise NOISE_DRAWS uniform points of the ball. Costs about as much as four steps of PGD.
    """
    generator = torch.Generator(split.images.device).manual_seed(seed)
    parts = []
    for begin in range(0, len(split), batch):
        x, y = as_float(split.images[begin:begin + batch]), split.labels[begin:begin + batch]
        ball = BALLS[attack.norm](x, attack.eps, attack.box)
        with frozen(model):
            _, _, gradient = gradient_of(model, x, partial(LOSSES[attack.loss], labels=y))
        fgsm = correct(model, ball.project(x + float(attack.eps) * ball.direction(gradient)), y)
        noise = torch.stack([correct(model, ball.start(generator), y) for _ in range(NOISE_DRAWS)]).all(0)
        parts.append([(gradient == 0).flatten(1).all(1), fgsm, noise])
    return tuple(torch.cat(column).cpu() for column in zip(*parts, strict=True))


def sign_test(first: Bool[Tensor, "n"], second: Bool[Tensor, "n"]) -> dict[str, Any]:
    """Return whether `first` is correct on fewer samples than `second`, both (n,) bool, by the sign test on the pairs.

    Of b samples that only `first` has wrong and c that only `second` has, p is the chance of b or more among b + c
    tosses of a coin; the flag is p < 0.05.

    >>> sign_test(torch.arange(20) > 7, torch.arange(20) > 1)
    {'flag': True, 'only_first_wrong': 6, 'only_second_wrong': 0, 'p': 0.015625}
    """
    only_first, only_second = int((~first & second).sum()), int((first & ~second).sum())
    pairs = only_first + only_second
    p = float(binomtest(only_first, pairs, alternative="greater").pvalue) if pairs else 1.0
    return {"flag": p < SURE, "only_first_wrong": only_first, "only_second_wrong": only_second, "p": p}


def masking_flags(model: Classifier, split: Split, attack: Attack, outcome: Outcome, seed: int = 0,
                  batch: int = 256) -> dict[str, dict[str, Any]]:
    """Return four flags, each {"flag": bool, ... its numbers}, of PGD `attack` whose result on `split` is `outcome`.

    zero_gradients: more than MOST_ZERO of the images that are correct when clean have a gradient of exactly zero.
    fgsm_stronger, noise_stronger: on these images FGSM, or uniform noise in the ball, leaves fewer correct than
    PGD (`sign_test`). robust_above_clean: over all images, fewer are correct when clean than under PGD.
    """
    zero, fgsm, noise = cheap_attacks(model, split, attack, seed, batch)
    clean, robust = outcome.clean, outcome.robust
    share = float(zero[clean].double().mean()) if clean.any() else 0.0
    pgd = accuracy(clean & robust)
    return {
        "zero_gradients": {"flag": share > MOST_ZERO, "share": share, "count": int(zero[clean].sum()),
                           "n": int(clean.sum()), "threshold": MOST_ZERO},
        "fgsm_stronger": sign_test(clean & fgsm, clean & robust) | {"fgsm": accuracy(clean & fgsm), "pgd": pgd},
        "noise_stronger": sign_test(clean & noise, clean & robust) | {"noise": accuracy(clean & noise), "pgd": pgd},
        "robust_above_clean": sign_test(clean, robust) | {"clean": accuracy(clean), "robust": accuracy(robust)}}


def gap_flag(pgd: Bool[Tensor, "n"], worst: Bool[Tensor, "n"]) -> dict[str, Any]:
    """Return the share of samples that PGD left and the worst case broke: much of it, and PGD overrates.

    Soft labels, distillation and large logits hide gradients from cross-entropy; the worst case has to include an
    attack on logit differences (apgd-t, apgd-dlr, autoattack) for this flag to see it. The flag is raised where the
    lower end of the share's Wilson interval lies above MOST_GAP. It says that PGD's number must not be quoted alone,
    not why: untargeted cross-entropy also has a gap of its own, larger where many classes lie near.

    >>> values = gap_flag(torch.arange(100) < 50, torch.arange(100) < 30)
    >>> values["flag"], values["gap"]["value"]
    (True, 0.2)
    """
    gap = accuracy(pgd & ~worst)
    return {"flag": gap["interval"][0] > MOST_GAP, "gap": gap, "threshold": MOST_GAP}


def square_flag(known: dict[str, Bool[Tensor, "n"]], trials: list[Trial]) -> dict[str, Any] | None:
    """Return the share of samples that withstood all before Square and that it broke; None without a Square.

    known, trials: as in `battery.battery`. Square asks for no gradient, and where gradients are honest it finds
    hardly anything that they do not. The flag is raised where the lower end of the share's Wilson interval lies above
    MOST_SQUARE: the attacks before it then overrate the network.
    """
    number = next((number for number, trial in enumerate(trials) if trial.name.startswith("square")), None)
    if number is None:
        return None
    alone = accuracy(worst_case(known, trials[:number]) & trials[number].broken)
    return {"flag": alone["interval"][0] > MOST_SQUARE, "broken_by_square_alone": alone, "threshold": MOST_SQUARE}
