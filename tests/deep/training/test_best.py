"""Which checkpoint is the best: the first of the highest scores on the split that selects, in every place that asks."""

import json
from pathlib import Path

import pytest

from deep.recipe.recipe import recipe_named
from deep.training.loop import load_data, train
from figures.networks import trimming

DATA = Path(__file__).parents[3] / "figures" / "data" / "trimming.json"
WORDS = ["epochs=4", "train_size=500", "val_size=30", "batch=250", "eval_every=1"]


@pytest.mark.parametrize("stops", [(), (2,)])
@pytest.mark.parametrize(("scores", "epoch"), [((0.2, 0.5, 0.5, 0.5), 2), ((0.5, 0.2, 0.5, 0.4), 1),
                                               ((0.0, 0.0, 0.0, 0.0), 1), ((0.1, 0.2, 0.5, 0.5), 3)])
def test_of_equal_scores_the_first_is_the_best(tmp_path, monkeypatch, scores, epoch, stops):
    """Interrupted or not: what the best score was is part of a checkpoint."""
    monkeypatch.setattr("deep.training.epoch.training_line", lambda model, data, recipe, epoch, world, progress:
                        {"val_robust": scores[epoch - 1], "robust": 1 - epoch / 10})
    recipe = recipe_named("planted-linear", WORDS)
    data = load_data(recipe)
    for stop in (*stops, None):
        run = train(recipe, data, tmp_path, stop_after=stop)
    assert run.model_state("best")["epoch"] == epoch


def runs_of(folder, lines, **recipe):
    """Three run folders whose metrics are these, and whose recipes say this."""
    committed = json.loads(DATA.read_text())["runs"]
    for number, run in enumerate(committed):
        place = folder / str(number)
        place.mkdir()
        (place / "recipe.json").write_text(json.dumps(run["recipe"] | recipe))
        (place / "environment.json").write_text(json.dumps(run["environment"]))
        (place / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for name, cas in zip(("best", "last"), run["cas"], strict=True):
            (place / f"cas-{name}.json").write_text(json.dumps(cas))
    return [str(folder / str(number)) for number in range(len(committed))]


@pytest.mark.parametrize(("select", "epoch", "robust"), [("val", "4", "0.5000"), ("test", "2", "0.9000")])
def test_the_best_of_the_trimming_figure_is_chosen_as_the_run_chose_it(tmp_path, monkeypatch, capsys, select, epoch,
                                                                       robust):
    """The highest on test images is epoch 2; on validation images 4, then 6 as high; 8 was attacked on those alone.

    With select=test there need be no validation images.
    """
    measures = dict.fromkeys(("clean", "cas", "cas_null", "cas_excess", "margin_cas"), 0.25)
    scores = {2: (0.3, 0.9), 4: (0.6, 0.5), 6: (0.6, 0.4), 8: (0.7, None), 10: (0.1, 0.2)}  # epoch: (val, test)
    lines = [{"epoch": number} | ({"val_robust": val} if select == "val" else {})
             | ({"robust": test} | measures if test is not None else {}) for number, (val, test) in scores.items()]
    monkeypatch.setattr(trimming, "draw", lambda result, path: None)
    trimming.main([str(tmp_path / "out.json"), "abc", *map(str, runs_of(tmp_path, lines, select=select))])
    printed = [line.split(" ") for line in capsys.readouterr().out.splitlines()]
    assert [(words[-8:-6], words[-5]) for words in printed if "best" in words] == [
        (["these", epoch], robust)] * 3
    assert [words[-7] for words in printed if "last" in words] == ["10"] * 3
