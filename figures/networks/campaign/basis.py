"""Trained networks in other bases of their last features: the same scores, and any CAS (THEORY.md, CAS-basis).

`python -m figures.networks.campaign.basis OUT.json --runs DIR --data DIR` takes the ends of the campaign's plain
trainings (arm a1), attacks their test images (PGD-10), and writes CAS (W row-centred), sharing, margin-CAS, and what
the change of basis does to scores and predictions, of each network in each basis of BASES.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.system.files import commit, write_text
from figures.scripts import command_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

    from deep.evaluation.outcome import Outcome

__all__ = ["in_bases", "main"]

ARM, STEPS = "a1", 10
BASES = {  # tau and the signs of means, as in CAS-basis
    "as it was trained": None,
    "nothing shared": (0.0, False),
    "all shared, no mean negative": (1.0, False),
    "all shared, means of either sign": (1.0, True),
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


def measured(runs: Path, folder: str | None) -> dict[str, Any]:
    """The ends of all seeds of ARM in each basis: {"networks": one of `in_bases` a seed}, with what they are."""
    import torch

    from deep.evaluation.accuracy import evaluation_attack, outcome_of
    from deep.experiments.campaign.plan import committed, read_results
    from deep.runs.folder import RunFolder
    from deep.runs.network import load_network
    from deep.training.loop import load_data
    results, networks = read_results(committed()[1])[ARM], []
    for seed, result in sorted(results.items()):
        run = RunFolder(runs / result["run"])
        recipe = run.recipe()
        data = load_data(recipe, folder)
        model = load_network(run, data, "last")
        outcome = outcome_of(model, data.test, evaluation_attack(recipe, data.box, STEPS),
                             torch.bfloat16 if recipe.bf16 else None)
        networks.append({"seed": seed, "run": result["run"], "robust": outcome.robust.double().mean().item(),
                         "bases": in_bases(outcome, model.linear.weight)})
    return {"arm": ARM, "steps": STEPS, "data": data.name, "n_test": len(data.test), "commit": commit(),
            "networks": networks}


def main(arguments: Sequence[str] | None = None) -> None:
    words = command_line(__name__)
    words.add_argument("out", metavar="OUT.json", type=Path, help="the file to write")
    words.add_argument("--runs", required=True, type=Path, help="the folder of the campaign's runs")
    words.add_argument("--data", help="the folder of the images")
    options = words.parse_args(arguments)
    write_text(options.out, json.dumps(measured(options.runs, options.data), indent=1) + "\n")


if __name__ == "__main__":
    main()
