"""bfloat16 against float32: the paired differences, and that both arithmetics are what was trained."""

import json
import math

import pytest

from figures.networks.bf16 import main, paired
from tests.support.layouts import cifar10_files, write_tree


def test_paired_differences_by_hand():
    result = paired([0.30, 0.34, 0.29], [0.31, 0.32, 0.27])
    assert result["differences"] == pytest.approx([-0.01, 0.02, 0.02])
    assert result["mean"] == pytest.approx(0.01)
    assert result["deviation"] == pytest.approx(math.sqrt(3e-4))
    half = 4.302652729911275 * math.sqrt(3e-4 / 3)  # Student's t with 2 degrees of freedom at 97.5 %: a table's value
    assert result["interval"] == pytest.approx([0.01 - half, 0.01 + half])
    with pytest.raises(ValueError, match="a spread needs at least 2"):
        paired([0.3], [0.2])


@pytest.mark.slow
def test_a_small_comparison(tmp_path, capsys):
    write_tree(tmp_path, cifar10_files())
    out = tmp_path / "bf16.json"
    words = ["width=2", "train_size=30", "val_size=10", "epochs=1", "batch=20", "steps=1", "eval_steps=1"]
    arguments = [str(out), *words, "--seeds", "2", "--runs", str(tmp_path / "runs"), "--data", str(tmp_path)]
    main(arguments)
    result = json.loads(out.read_text())
    recipes = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/recipe.json")]
    pairs = sorted((recipe["bf16"], recipe["seed"]) for recipe in recipes)
    assert pairs == [(False, 0), (False, 1), (True, 0), (True, 1)]
    robust = result["robust"]
    assert robust["difference"]["differences"] == pytest.approx(
        [a - b for a, b in zip(robust["bfloat16"], robust["float32"], strict=True)])
    assert (result["n_test"], result["seeds"], result["recipe"]["width"]) == (20, [0, 1], 2)
    assert "bfloat16 - float32" in capsys.readouterr().out
    before = out.read_text()
    main(arguments)  # the runs are finished: they are read, and nothing is trained again
    assert out.read_text() == before
