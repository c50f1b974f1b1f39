"""Made-up results of a campaign, in the form of its result files, in a world whose truth is known."""

import json
import zlib

import numpy as np

from deep.experiments.campaign.plan import tasks


def measures(accuracy, loss, cas, sharing, number):
    return {"accuracy": accuracy, "robust_loss": loss, "cas": cas, "cas_null": 3.5 + 0.01 * number,
            "sharing": sharing, "sharing_null": cas - sharing, "margin_rho": 0.4 + 0.1 * accuracy}


def made_up(plan, arms=None, gains=None, sharings=None, coupling=0.0, seeds=None):
    """{arm: {seed: result}} of the plan's arms, or of these alone.

    At the end an arm has robust accuracy 12 % plus its gain in points, and sharing 2 plus its own in `sharings`, up to
    noise from seed to seed. Along a training all follows the robust loss on training images; beside it accuracy and
    sharing have shocks, common to both in the share `coupling`.
    """
    found = {}
    for task in tasks(plan, arms):
        if seeds is not None and task.seed not in seeds:
            continue
        draw = np.random.default_rng([zlib.crc32(task.arm.encode()), task.seed]).normal
        gain = ((gains or {}).get(task.arm, 0.0) + 0.2 * draw()) / 100
        sharing = 2 + (sharings or {}).get(task.arm, 0.0) + 0.1 * draw()
        recipe, lines = task.recipe, []
        begin = recipe.epochs // 4 if task.trunk else 0
        epochs = range(begin + recipe.keep_every, recipe.epochs + 1, recipe.keep_every)
        for epoch in epochs:
            left = 1 - epoch / recipe.epochs
            loss = 0.5 + 1.6 * left + 0.02 * draw()
            shock, own = draw(size=2)
            seen = coupling * shock + (1 - coupling) * own
            shares = sharing + 3 * (loss - 0.5) + 0.3 * shock
            right = 0.12 + gain + 0.08 * (loss - 0.5) + 0.01 * seen
            clean = 0.42 - 0.2 * left
            line = {"epoch": epoch}
            for number, (name, accuracy, wide) in enumerate((
                    ("train", 0.9 - 0.6 * left, 1.5), ("test", right, 1.0), ("clean_train", 1 - 0.6 * left, 1.2),
                    ("clean_test", clean, 0.9), ("common", right, 0.8))):
                if name != "common" or recipe.eps != task.base.eps:
                    line[name] = measures(accuracy, loss, wide * (shares + 2), wide * shares, number)
            lines.append(line)
        end = {"epoch": recipe.epochs, "clean": 0.42, "robust": 0.12 + gain, "robust_apgd_t": 0.11 + gain}
        found.setdefault(task.arm, {})[task.seed] = {
            "arm": task.arm, "name": task.name, "seed": task.seed, "run": f"{task.arm}-run-{task.seed}",
            "commit": "0000000", "data": "CIFAR-10 (subset)", "recipe": recipe.as_dict(), "n_test": 1017,
            "n_train": 1000, "n_held_out": 7585, "n_sample": 2000, "checkpoints": lines, "end": end}
    return found


def write_results(folder, results):
    """The results as files in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for arm, seeds in results.items():
        for seed, result in seeds.items():
            (folder / f"{arm}-{seed}.json").write_text(json.dumps(result))
    return folder
