"""Recipes: what is accepted, what is refused in one sentence, and names that tell runs apart."""

import json
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from typing import Annotated, get_type_hints

import pytest

from deep.recipe.recipe import HINTS, RECIPES, Recipe, parse_eps, recipe_from_dict, recipe_named, run_name
from deep.recipe.settings import About, AllSettings, about, types_of
from deep.recipe.values import kind_of


def test_the_papers_recipe():
    """Rice et al. 2020 and the paper, as deep/README.md, Conventions, has them."""
    recipe = RECIPES["at"]
    assert (recipe.model, recipe.width, recipe.epochs, recipe.batch) == ("preactresnet18", 64, 200, 128)
    assert (recipe.lr, recipe.momentum, recipe.weight_decay) == (0.1, 0.9, 5e-4)
    assert (recipe.eps, recipe.step, recipe.steps) == (Fraction(8, 255), Fraction(2, 255), 10)
    rates = [recipe.learning_rate(epoch) for epoch in (0, 99, 100, 149, 150, 199)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


@pytest.mark.parametrize("name", RECIPES)
def test_round_trip(name):
    recipe = RECIPES[name]
    assert recipe_from_dict(recipe.as_dict()) == recipe


@pytest.mark.parametrize(("recipe", "run"), [
    (Recipe(), "cifar10-preactresnet18-w64-cross-entropy-linf8of255-e200-s0-8c674a06"),
    (RECIPES["at-cpu"], "cifar10-preactresnet18-w16-cross-entropy-linf8of255-e80-s0-ec6b1dcd"),
    (RECIPES["planted-linear"], "planted-linear-cross-entropy-linf1of5-e16-s0-420c1b5a"),
    (RECIPES["planted-cnn"], "planted-cnn-w8-cross-entropy-linf1of5-e8-s0-76ba244d"),
])
def test_the_names_of_the_first_runs_stay(recipe, run):
    """Finished runs are found, and continued, by these names: a new setting must not change them (since)."""
    assert run_name(recipe) == run
    assert not {"depth", "patch_size", "pretrained", "select_every"} & set(recipe.as_dict())


def test_the_name_of_a_deep_network_says_its_depth():
    recipe = recipe_named("at", ["model=wideresnet", "depth=34", "width=160"])
    assert run_name(recipe).startswith("cifar10-wideresnet-w160-d34-cross-entropy-")
    assert recipe_from_dict(recipe.as_dict()) == recipe


# Fields that are allowed with others alone: each is set, and changed, where it belongs.
TOGETHER = {
    "method": (["method=trades", "beta=6"], ["method=standard"]),
    "beta": (["method=trades", "beta=6"], ["method=trades", "beta=1"]),
    "smoothing": (["smoothing=0.1"], ["smoothing=0.2"]),
    "smoothing_from": (["smoothing=0.1"], ["smoothing=0.1", "smoothing_from=1/2"]),
    "awp_from": (["awp=0.01"], ["awp=0.01", "awp_from=1/2"]),
    "cas_centred": (["cas_weight=1"], ["cas_weight=1", "cas_centred=false"]),
    "teacher": (["teacher=a", "teacher_share=1"], ["teacher=b", "teacher_share=1"]),
    "teacher_share": (["teacher=a", "teacher_share=1"], ["teacher=a", "teacher_share=0.5"]),
    "standard_teacher": (["standard_teacher=a", "standard_share=1"], ["standard_teacher=b", "standard_share=1"]),
    "standard_share": (["standard_teacher=a", "standard_share=1"], ["standard_teacher=a", "standard_share=0.5"]),
    "teacher_from": (["teacher=self", "teacher_share=1", "teacher_from=1/2"],
                     ["teacher=self", "teacher_share=1", "teacher_from=1/4"]),
    "clip": (["clip=2"], ["clip=3"]),
    "trim": (["trim=1/10"], ["trim=1/5"]),
    "trim_kind": (["trim=1/10"], ["trim=1/10", "trim_kind=random"]),
    "trim_from": (["trim=1/10"], ["trim=1/10", "trim_from=1/2"]),
    "average": (["average=swa"], ["average=ema", "average_decay=0.9"]),
    "average_decay": (["average=ema", "average_decay=0.9"], ["average=ema", "average_decay=0.99"]),
    "average_from": (["average=swa"], ["average=swa", "average_from=1/2"]),
    "norm": ([], ["norm=l2"]),
    "schedule": (["schedule=cyclic"], ["schedule=cosine"]),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_fields_of_systems_tell_runs_apart(name):
    first, second = (recipe_named("at", changes) for changes in TOGETHER[name])
    assert run_name(first) != run_name(second)
    assert run_name(first) != run_name(replace(first, seed=1))
    for recipe in (first, second):
        assert recipe_from_dict(recipe.as_dict()) == recipe


@pytest.mark.parametrize("changes", [
    ["beta=6"], ["method=trades"], ["method=trades", "beta=6", "loss=margin"], ["smoothing=0.1", "loss=margin"],
    ["teacher=a"], ["teacher_share=0.5"], ["standard_share=0.5"], ["teacher_from=1/2"],
    ["teacher=self", "teacher_share=0.5"], ["teacher=average", "teacher_share=0.5"],
    ["teacher=a", "teacher_share=0.7", "standard_teacher=b", "standard_share=0.7"],
    ["trim_kind=random"], ["trim_from=1/2"], ["average=ema"], ["average_decay=0.9"], ["average_from=1/2"],
    ["norm=l1"], ["average=median"], ["select_every=6"], ["eval_every=2", "select_every=3"],
    ["trim=1"], ["smoothing=1"], ["clip=0"], ["temperature=0"],
])
def test_a_setting_that_would_do_nothing_is_refused(changes):
    with pytest.raises(ValueError, match=r"was given, but .*: (change|choose)"):
        recipe_named("at", changes)


def test_schedules():
    """Wong et al. 2020: 0 to lr at 2/5 of the epochs, then to 0; cosine: half of lr in the middle."""
    fast, cosine = recipe_named("fast-at"), recipe_named("at", ["schedule=cosine"])
    assert [fast.learning_rate(epoch) for epoch in (0, 6, 12, 21, 30)] == pytest.approx([0, 0.1, 0.2, 0.1, 0])
    assert [cosine.learning_rate(epoch) for epoch in (0, 50, 100, 200)] == pytest.approx(
        [0.1, 0.05 * (1 + 0.5 ** 0.5), 0.05, 0])
    assert fast.step == fast.eps * Fraction(5, 4)


def test_every_field_tells_runs_apart():
    base = RECIPES["at"]
    other = {"mu": 1.0, "sigma": 1.0, "patch": 2, "data": "planted", "model": "cnn", "width": 8, "loss": "margin",
             "attack_mode": "train", "select": "test", "eps": Fraction(4, 255), "step": Fraction(1, 255),
             "drops": (Fraction(1, 3),), "radius": 1.0, "train_size": 5, "momentum": 0.5,
             "select_every": None}
    for field in fields(Recipe):
        if field.name in ("mu", "sigma", "patch", "data", "depth", "patch_size", "pretrained", "resize", *TOGETHER):
            continue  # they come with other data, another network or each other, below
        value = getattr(base, field.name)
        changed = (other[field.name] if field.name in other else
                   not value if isinstance(value, bool) else (value or 0) + 1)
        assert run_name(replace(base, **{field.name: changed})) != run_name(base), field.name
    planted = replace(base, data="planted", mu=1.0, sigma=0.5, patch=4)
    names = {run_name(replace(planted, **change)) for change in ({}, {"mu": 2.0}, {"sigma": 1.0}, {"patch": 2})}
    assert len(names) == 4
    deit = replace(base, model="deit", depth=12, patch_size=4)
    names = {run_name(replace(deit, **change)) for change in ({}, {"depth": 6}, {"patch_size": 8},
                                                              {"pretrained": "deit.pth"}, {"pretrained": "other.pth"})}
    assert len(names) == 5
    folder = replace(base, data="folder")
    assert len({run_name(replace(folder, resize=size)) for size in (None, 32, 64)}) == 3


@pytest.mark.parametrize(("text", "value"), [("8/255", Fraction(8, 255)), ("0.2", Fraction(1, 5)), ("0", 0), ("1", 1)])
def test_eps_is_exact(text, value):
    assert parse_eps(text) == value


@pytest.mark.parametrize(("words", "sentence"), [
    (["eps=8"], "write 8/255 for 8 levels"),
    (["step=2"], "write 2/255 for 2 levels"),
    (["eps=-1/255"], "between 0 and 1"),
    (["eps=nan"], "must be a fraction"),
    (["eps=1/0"], "must be a fraction"),
    (["epsilon=8/255"], "with a key of the recipe, such as eps"),
    (["seed"], "key=value"),
    (["seed=x"], "must be of type int"),
    (["lr=-1"], "lr = -1.0 was given, but it must be at least 0"),
    (["lr=nan"], "lr = nan was given"),
    (["epochs=0"], "epochs = 0 was given, but it must be at least 1"),
    (["flip=yes"], "write true or false"),
    (["loss=hinge"], "the choices are cross-entropy, margin"),
    (["data=planted"], "set all three for planted"),
    (["mu=1"], "set all three for planted"),
    (["model=linear"], "a linear network has no width"),
    (["width=none"], "a preactresnet18 network needs a width: write width=N"),
    (["model=wideresnet"], "a wideresnet network needs a depth: write depth=N"),
    (["depth=28"], "a preactresnet18 network has no depth: write depth=none"),
    (["model=deit", "depth=12"], "a deit network needs a patch_size"),
    (["model=deit", "depth=12", "patch_size=0"], "patch_size = 0 was given, but it must be at least 1"),
    (["model=wideresnet", "depth=28.5"], "must be of type int"),
    (["pretrained=deit.pth"], "that network reads no published weights: leave it out"),
    (["model=vgg"], "the choices are preactresnet18, resnet18, wideresnet, deit, linear, cnn"),
    (["lr=inf"], "lr = inf was given"),
    (["lr=1e39"], "lr = 1e+39 was given"),
    (["momentum=2"], "at most 1"),
    (["eps=1e-400"], "no image resolves"),
])
def test_refusals(words, sentence):
    with pytest.raises(ValueError, match="given") as error:
        recipe_named("at", words)
    assert sentence in str(error.value)


def test_unknown_names():
    with pytest.raises(ValueError, match="choose one of at, at-l2"):
        recipe_named("paper")
    with pytest.raises(ValueError, match="unknown keys"):
        recipe_from_dict({"colour": 1})


@dataclass(frozen=True)
class Joined:
    """A part whose setting joins later, wherever it stands among the others."""

    colour: Annotated[int, About("a setting that joined", "hues", least=1, since=99)] = 7


@dataclass(frozen=True)
class Wider(Recipe, Joined):
    """Its own part comes first in the order of definition, before the data."""


def test_a_setting_that_joins_is_left_out_of_the_name_at_its_default():
    assert next(iter(get_type_hints(Wider))) == "colour"
    assert list(types_of(Wider)) == [*HINTS, "colour"]
    assert json.dumps(Wider().as_dict()) == json.dumps(Recipe().as_dict())
    assert run_name(Wider()) == run_name(Recipe()) != run_name(Wider(colour=8))
    with pytest.raises(ValueError, match=r"^colour = 0 was given, but it must be at least 1 and at most 1000000000:"):
        Wider(colour=0)


def test_every_setting_says_what_it_is_and_what_it_may_be():
    """A number has a range, a text has choices unless it names a file, and what is counted has a unit."""
    for name, note in about(Recipe).items():
        kind, _ = kind_of(HINTS[name])
        assert note.meaning and note.meaning == note.meaning.strip(" .")
        assert (note.least is not None) == (kind in (int, float, Fraction, tuple)), name
        assert (note.choices is not None) == (kind is str and name not in ("teacher", "standard_teacher",
                                                                           "pretrained")), name
        assert note.unit or kind not in (int, Fraction, tuple) or name in ("seed", "data_seed"), name


def test_the_parts_are_disjoint_and_make_up_the_recipe():
    parts = AllSettings.__bases__
    assert all(issubclass(Recipe, part) and is_dataclass(part) for part in parts)
    names = [name for part in parts for name in types_of(part)]
    assert len(names) == len(set(names)) and {*names, "seed"} == set(HINTS)
