"""Fields of recipes: each is of its type and in its range, whether it comes from JSON, TOML, a word or Python."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from deep.__main__ import main
from deep.experiments.sweep import read_sweep
from deep.recipe.recipe import HINTS, RECIPES, Recipe, recipe_from_dict, recipe_named, run_name
from deep.recipe.values import from_plain, from_word
from deep.runs.folder import RunFolder

# As they were before types were checked: a run's folder is found by its name.
NAMES = {
    "at": "cifar10-preactresnet18-w64-cross-entropy-linf8of255-e200-s0-e7005da6",
    "at-l2": "cifar10-preactresnet18-w64-cross-entropy-l2128of255-e200-s0-9d90d059",
    "trades": "cifar10-preactresnet18-w64-trades-linf8of255-e200-s0-57b6f476",
    "standard": "cifar10-preactresnet18-w64-standard-linf8of255-e200-s0-94fb4723",
    "fast-at": "cifar10-preactresnet18-w64-cross-entropy-linf8of255-e30-s0-101c027d",
    "at-deit": "cifar10-deit-w192-d12-cross-entropy-linf8of255-e200-s0-e6275245",
    "at-cpu": "cifar10-preactresnet18-w16-cross-entropy-linf8of255-e80-s0-ec6b1dcd",
    "planted-linear": "planted-linear-cross-entropy-linf1of5-e16-s0-420c1b5a",
    "planted-cnn": "planted-cnn-w8-cross-entropy-linf1of5-e8-s0-76ba244d",
}
OLD_RUNS = {
    "bf16.json": ["cifar10-preactresnet18-w16-cross-entropy-linf8of255-e30-s0-43b3bd9b"],
    "cifar10-crops.json": ["cifar10-preactresnet18-w16-cross-entropy-linf8of255-e80-s0-ec6b1dcd",
                           "cifar10-preactresnet18-w16-cross-entropy-linf8of255-e80-s1-579ca24f",
                           "cifar10-preactresnet18-w16-cross-entropy-linf8of255-e80-s2-ec54cdd6"],
    "cifar10.json": ["cifar10-preactresnet18-w16-cross-entropy-linf8of255-e90-s0-5216b7cf",
                     "cifar10-preactresnet18-w16-cross-entropy-linf8of255-e90-s1-a9d6b2c3",
                     "cifar10-preactresnet18-w16-cross-entropy-linf8of255-e90-s2-9e1ff630"],
    "trimming.json": ["folder-preactresnet18-w64-cross-entropy-linf8of255-e36-s0-27dbc5d1",
                      "folder-preactresnet18-w64-drop-largest-linf8of255-e36-s0-de58fd89",
                      "folder-preactresnet18-w64-drop-random-linf8of255-e36-s0-7a39e2bf"],
}


def recipes_in(values):
    """Every recipe in the values of a JSON file."""
    if isinstance(values, dict) and {"attack_mode", "momentum"} <= values.keys():
        yield values
    for value in values.values() if isinstance(values, dict) else values if isinstance(values, list) else ():
        yield from recipes_in(value)


@pytest.mark.parametrize("name", NAMES)
def test_the_names_of_the_recipes_stay(name):
    assert run_name(RECIPES[name]) == NAMES[name]


@pytest.mark.parametrize("file", OLD_RUNS)
def test_the_names_of_the_committed_runs_stay(file):
    values = json.loads((Path(__file__).parents[3] / "figures" / "data" / file).read_text())
    assert [run_name(recipe_from_dict(recipe)) for recipe in recipes_in(values)] == OLD_RUNS[file]


def test_a_whole_number_stays_one_in_the_name():
    """lr=1 written from Python is 1 in recipe.json, from a word it is 1.0: two names, as ever."""
    whole, word = replace(RECIPES["at"], lr=1), recipe_named("at", ["lr=1"])
    assert whole == word
    assert run_name(recipe_from_dict(whole.as_dict())) == run_name(whole) != run_name(word)


WRONG = [
    ({"lr": float("inf")}, "lr = inf was given, but it must be at least 0 and at most 1000000.0"),
    ({"eps": float("inf")}, "eps = inf was given, but it must be a fraction"),
    ({"mu": float("nan")}, "mu = nan was given, but it must be at least"),
    ({"epochs": 2.5}, "epochs = 2.5 was given, but it must be of type int: write a whole number."),
    ({"epochs": True}, "epochs = true was given, but it must be of type int"),
    ({"epochs": float("inf")}, "epochs = inf was given, but it must be of type int"),
    ({"flip": "no"}, "flip = 'no' was given, but it must be of type bool: write true or false."),
    ({"bf16": "false"}, "bf16 = 'false' was given, but it must be of type bool"),
    ({"bf16": 1}, "bf16 = 1 was given, but it must be of type bool"),
    ({"drops": ["2"]}, "drops = 2 was given, but it is a fraction"),
    ({"drops": "12"}, "drops = 12 was given, but it is a fraction"),
    ({"drops": {}}, "drops = {} was given, but it must be of type tuple: write a list of fractions"),
    ({"drops": [["1/2"]]}, "drops = [['1/2']] was given, but it must be of type tuple"),
    ({"drops": None}, "drops = none was given, but it must be of type tuple"),
    ({"momentum": None}, "momentum = none was given, but it must be of type float: write a number."),
    ({"momentum": "0.9"}, "momentum = '0.9' was given, but it must be of type float"),
    ({"teacher": 5, "teacher_share": 1}, "teacher = 5 was given, but it must be of type str or none"),
    ({"teacher": "", "teacher_share": 0}, "teacher = '' was given, but it must be of type str or none: write a text"),
    ({"model": ["cnn"]}, "model = ['cnn'] was given, but it must be of type str"),
    ({"eps": [8, 255]}, "eps = [8, 255] was given, but it must be of type Fraction: write a fraction"),
    ({"eps": True}, "eps = true was given, but it must be of type Fraction"),
    ({"eps": "1e-999999999"}, "no image resolves so fine a number"),
    ({"radius": {"of": 1}}, "radius = {'of': 1} was given, but it must be of type float or none"),
    ({"trim": "3/2"}, "trim = 3/2 was given, but it is a fraction"),
]


@pytest.mark.parametrize(("change", "sentence"), WRONG)
def test_a_recipe_of_the_wrong_type_or_range_is_refused(change, sentence):
    with pytest.raises(ValueError, match=r"was given, but .*: (write|choose)") as error:
        recipe_from_dict(Recipe().as_dict() | change)
    assert sentence in str(error.value)


@pytest.mark.parametrize("name", HINTS)
@pytest.mark.parametrize("value", [{}, [[]], 10**400, "a\0", object(), 2 + 1j])
def test_no_field_takes_what_is_of_no_type(name, value):
    """Whatever the field: no other error than ValueError, and nothing is taken that a text field does not mean."""
    if isinstance(value, str) and name in ("teacher", "standard_teacher", "pretrained"):
        value = {}
    with pytest.raises(ValueError, match="was given, but"):
        recipe_from_dict(Recipe().as_dict() | {name: value})
    with pytest.raises(ValueError, match="was given, but"):
        replace(RECIPES["at"], **{name: value})


@pytest.mark.parametrize("change", [{"epochs": 2.5}, {"flip": "no"}, {"drops": (2,)}, {"drops": [Fraction(1, 2)]},
                                    {"momentum": None}, {"teacher": 5}, {"eps": 0.1}, {"trim": 0.1}])
def test_python_is_checked_by_the_same_rule(change):
    with pytest.raises(ValueError, match=r"(was given, but it must be of type|must be at least 0 and at most 1)"):
        replace(RECIPES["at"], **change)


@pytest.mark.parametrize(("name", "value", "word"), [
    ("flip", False, "false"), ("epochs", 3, "3"), ("lr", 0.5, "0.5"), ("radius", None, "none"),
    ("eps", "8/255", "8/255"), ("eps", 0.2, "0.2"), ("drops", ["1/2", "3/4"], "1/2,3/4"),
    ("drops", [], ""), ("loss", "margin", "margin"),
])
def test_json_and_words_agree(name, value, word):
    assert from_plain(name, value, HINTS[name]) == from_word(name, word, HINTS[name])


@pytest.mark.parametrize(("line", "sentence"), [
    ("teacher = 5", "teacher = 5 was given, but it must be of type str or none"),
    ("epochs = 2.5", "epochs = 2.5 was given, but it must be of type int"),
    ('flip = "no"', "flip = no was given, but it must be of type bool"),
    ("momentum = true", "momentum = true was given, but it must be of type float"),
    ("lr = 1e400", "lr = inf was given, but it must be at least"),
    ("drops = [2]", "drops = 2 was given"),
    ("drops = [true]", "drops = [True] was given, but it must be of type tuple"),
    ("a = " + "[" * 20_000, "is not a readable TOML file (it is nested too deeply)"),
])
def test_toml_is_checked_by_the_same_rule(tmp_path, line, sentence):
    path = tmp_path / "sweep.toml"
    path.write_text(f'recipe = "at"\n[set]\n{line}\n')
    with pytest.raises(ValueError, match=r"sweep\.toml") as error:
        read_sweep(path)
    assert sentence in str(error.value)


@pytest.mark.parametrize(("content", "reason"), [
    (b'{"epochs": 2.5}', "epochs = 2.5 was given, but it must be of type int"),
    (b'{"lr": 1e400}', "lr = inf was given"),
    (b'{"epochs": 2, "epochs": 3}', "the key 'epochs' comes twice"),
    (b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "it is nested too deeply"),  # Python 3.13 reads 5000
    (b'{"data": ' + b"[" * 90 + b"]" * 90 + b"}", "data = [[[[[[[...]]]]]]] was given, but it must be of type str"),
    (b"[" * 100_000, "it is nested too deeply"),
    (b"\xff{}", "codec can't decode"),
    (b"5", "a int was given, but a recipe is a table of its fields"),
])
def test_a_damaged_recipe_says_what_is_wrong(tmp_path, content, reason, capsys):
    (tmp_path / "recipe.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a run folder: its recipe\.json is damaged"):
        RunFolder(tmp_path).recipe()
    assert main(["evaluate", str(tmp_path)]) == 2
    assert reason in capsys.readouterr().err


def test_other_files_of_a_run_that_are_nested_too_deeply(tmp_path):
    """Whatever is read of a run folder is read by the same reader."""
    deep = "[" * 100_000
    for name in ("metrics.jsonl", "environment.json", "failed.json", "cas.jsonl"):
        (tmp_path / name).write_text(deep)
    from deep.experiments.sweep import failure_reason
    from deep.runs.results import read_results
    run = RunFolder(tmp_path)
    with pytest.raises(ValueError, match="nested too deeply"):
        run.metrics()
    with pytest.raises(ValueError, match="is not the JSON that was written there"):
        run.write_environment(None, "cpu", 0)
    assert failure_reason(run) == f"{tmp_path / 'failed.json'} cannot be read"
    with pytest.raises(ValueError, match="is damaged: remove it"):
        read_results(tmp_path / "cas.jsonl")
