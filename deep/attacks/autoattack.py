"""AutoAttack (Croce and Hein 2020, arXiv 2003.01690) where a user has its package; it is imported only on use."""

import importlib
import sys
from contextlib import redirect_stdout
from fractions import Fraction
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from deep.attacks.pgd import BALLS, Box, frozen

__all__ = ["autoattack", "available"]

NORMS = {"linf": "Linf", "l2": "L2"}
TARGETS = 9  # target classes of the standard version's two targeted attacks, where there are as many


def available(box: Box, classes: int) -> Any:
    """Return AutoAttack's class, for pixels in `box` and K = `classes`; raise ValueError where it cannot be used."""
    if box is None or tuple(box) != (0.0, 1.0):
        raise ValueError(f"pixels in the range {box} were given, but AutoAttack keeps pixels in [0, 1]: leave "
                         "autoattack out for this data.")
    if classes < 4:
        raise ValueError(f"{classes} classes were given, but AutoAttack's targeted loss needs at least 4: use apgd-t, "
                         "which is defined for fewer.")
    try:
        return importlib.import_module("autoattack").AutoAttack
    except (ImportError, AttributeError) as error:
        raise ValueError("AutoAttack was asked for, but its package autoattack cannot be imported: install it with "
                         "`pip install git+https://github.com/fra31/auto-attack`, or leave autoattack out.") from error


def autoattack(model: nn.Module, x: Float[Tensor, "n c h w"], y: Int[Tensor, "n"], eps: Fraction | float,
               norm: str = "linf", box: Box = (0.0, 1.0), seed: int = 0) -> Float[Tensor, "n c h w"]:
    """Return the points that AutoAttack's standard version returns for (x, y), put back into the ball and the box.

    Its four attacks are APGD-CE, targeted APGD, targeted FAB and Square. x: in [0, 1]; eps:
    radius; norm: "linf" or "l2". What it returns may lie outside of the ball by rounding, or by a fault of its own:
    a point counts only after projection, so judge success on the points returned here. With K < 10 classes its
    targeted attacks take K - 1 targets; its loss needs K >= 4. The network is in eval mode and frozen. What it
    prints goes to standard error. Of no image at all, n = 0, nothing is asked. Raises ValueError without the package,
    for another box than [0, 1], for K < 4, and for a result of another shape.
    """
    with frozen(model), redirect_stdout(sys.stderr):
        with torch.no_grad():
            classes = model(x.new_zeros(1, *x.shape[1:])).shape[1]
        package = available(box, classes)
        if len(x) == 0:
            return x.clone()
        attack = package(model, norm=NORMS[norm], eps=float(eps), version="standard", seed=seed, device=x.device,
                         verbose=False)
        for part in (attack.apgd_targeted, attack.fab):
            part.n_target_classes = min(TARGETS, classes - 1)
        z = attack.run_standard_evaluation(x, y, bs=len(x))
    if z.shape != x.shape:
        raise ValueError(f"AutoAttack returned points of shape {tuple(z.shape)} for images of shape {tuple(x.shape)}: "
                         "install another version of it.")
    return BALLS[norm](x, eps, box).project(z.detach().to(x))
