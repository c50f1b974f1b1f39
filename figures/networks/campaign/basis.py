"""Trained networks in other bases of their last features: the same scores, and any CAS (THEORY.md, CAS-basis).

`python -m figures.networks.campaign.basis OUT.json --runs DIR --data DIR` takes the ends of the campaign's plain
trainings (arm a1), attacks their test images (PGD-10), and writes CAS (W row-centred), sharing, margin-CAS, and what
the change of basis does to scores and predictions, of each network in each basis of BASES; and how like these networks
those of the arms that branch off them are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.system.files import commit, write_text
from figures.scripts import command_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float
    from torch import Tensor

    from deep.data.dataset import Data
    from deep.evaluation.outcome import Outcome
    from deep.networks.classifier import Classifier
    from deep.recipe.recipe import Recipe

__all__ = ["in_bases", "main"]

ARM, STEPS = "a1", 10
BASES = {  # tau and the signs of means, as in CAS-basis
    "as it was trained": None,
    "tau = 0: each class has a feature of its own": (0.0, False),
    "tau = 1, no class mean negative": (1.0, False),
    "tau = 1, class means of either sign": (1.0, True),
}


def in_bases(outcome: Outcome, weight: Float[Tensor, "K d"]) -> list[dict[str, Any]]:
    """CAS and its companions of one network in each of BASES, from its features; weight: W, (K, d).

    change: the largest change of a score by the change of basis, as a part of the largest score; moved: the images,
    adversarial or clean, whose highest score (without biases) is another class's.
    """
    import torch

    from deep.evaluation.cas import class_means, gauge_fixed
    from deep.evaluation.cas_intervals import cas_values
    from deep.evaluation.outcome import Outcome
    from deep.evaluation.surgery import change_of_basis
    rows, features = gauge_fixed(weight.detach().double()), outcome.features.double()
    seen = torch.cat([features, outcome.clean_features.double()])
    means, scores = class_means(features, outcome.labels, len(rows)), seen @ rows.T
    found = []
    for name, basis in BASES.items():
        change = change_of_basis(means, rows, *basis) if basis else torch.eye(rows.shape[1], dtype=torch.float64)
        there, new_rows = seen @ change.T, rows @ change.inverse()
        adversarial, clean = there.split(len(features))
        values = cas_values(Outcome(outcome.labels, outcome.clean, outcome.robust, clean, adversarial), new_rows)
        new_scores = there @ new_rows.T
        found.append({"basis": name, **{key: values[key] for key in ("cas", "sharing", "margin_cas")},
                      "change": ((new_scores - scores).abs().max() / scores.abs().max()).item(),
                      "moved": int((new_scores.argmax(1) != scores.argmax(1)).sum())})
    return found


def network_of(result: Mapping[str, Any], runs: Path, folder: str | None) -> tuple[Classifier, Recipe, Data]:
    """The end of the run of a result, its recipe and its images."""
    from deep.runs.folder import RunFolder
    from deep.runs.network import load_network
    from deep.training.loop import load_data
    run = RunFolder(runs / result["run"])
    recipe = run.recipe()
    data = load_data(recipe, folder)
    return load_network(run, data, "last"), recipe, data


def clean_scores(model: Classifier, data: Data) -> Float[Tensor, "n K"]:
    """The scores of the clean test images, of mean 0 for each."""
    import torch

    from deep.attacks.pgd import frozen
    from deep.data.dataset import as_float
    with frozen(model), torch.no_grad():
        scores = torch.cat([model(as_float(images)) for images in data.test.images.split(250)]).double()
    return scores - scores.mean(1, keepdim=True)


def alike(one: Float[Tensor, "n K"], other: Float[Tensor, "n K"]) -> dict[str, float]:
    """{"same": of how many images, as a share, the highest score is the same class's; "correlation": of all scores}.

    >>> import torch
    >>> alike(torch.eye(2), torch.tensor([[3.0, 1.0], [3.0, 1.0]]))["same"]
    0.5
    """
    import torch
    return {"same": (one.argmax(1) == other.argmax(1)).double().mean().item(),
            "correlation": torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1].item()}


def measured(runs: Path, folder: str | None) -> dict[str, Any]:
    """The ends of all seeds of ARM in each basis, and how like them those of the arms that branch off it are.

    "networks": one of `in_bases` a seed. "alike": for each such arm, seed by seed, `alike` on clean test images;
    "seeds": of two seeds of ARM, each with the next.
    """
    import torch

    from deep.evaluation.accuracy import evaluation_attack, outcome_of
    from deep.experiments.campaign.plan import committed, read_results
    results, networks, scores = read_results(committed()[1]), [], {}
    for seed, result in sorted(results[ARM].items()):
        model, recipe, data = network_of(result, runs, folder)
        outcome = outcome_of(model, data.test, evaluation_attack(recipe, data.box, STEPS),
                             torch.bfloat16 if recipe.bf16 else None)
        networks.append({"seed": seed, "run": result["run"], "robust": outcome.robust.double().mean().item(),
                         "bases": in_bases(outcome, model.linear.weight)})
        scores[seed] = clean_scores(model, data)
    found = {arm: [alike(scores[seed], clean_scores(*network_of(result, runs, folder)[::2]))
                   for seed, result in sorted(of_arm.items())]
             for arm, of_arm in results.items() if all(result["trunk"] for result in of_arm.values())}
    following = [alike(scores[seed], scores[(seed + 1) % len(scores)]) for seed in scores]
    return {"arm": ARM, "steps": STEPS, "data": data.name, "n_test": len(data.test), "commit": commit(),
            "networks": networks, "alike": found | {"seeds": following}}


def main(arguments: Sequence[str] | None = None) -> None:
    words = command_line(__name__)
    words.add_argument("out", metavar="OUT.json", type=Path, help="the file to write")
    words.add_argument("--runs", required=True, type=Path, help="the folder of the campaign's runs")
    words.add_argument("--data", help="the folder of the images")
    options = words.parse_args(arguments)
    try:
        write_text(options.out, json.dumps(measured(options.runs, options.data), indent=1) + "\n")
    except ValueError as error:
        words.error(str(error).rstrip("."))


if __name__ == "__main__":
    main()
