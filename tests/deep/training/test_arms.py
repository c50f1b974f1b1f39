"""The arms of the campaign: images dropped for good, floors, smoothing that begins late, and CAS as a penalty."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from deep.attacks.pgd import pgd
from deep.data.dataset import Split
from deep.evaluation.cas import cas, class_correlation, gauge_fixed
from deep.experiments.campaign.plan import committed, plan_of, tasks
from deep.recipe.recipe import recipe_named
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.training.branches import common_epochs
from deep.training.first_batch import check_shared
from deep.training.loop import load_data, train
from deep.training.losses import batch_cas, batch_loss, samples_kept
from deep.training.step import Training

pytestmark = pytest.mark.slow

SMALL = ["train_size=60", "val_size=6", "batch=20", "epochs=4", "eval_every=4", "keep_every=1", "lr=0.05"]


def recipe_of(*words):
    return recipe_named("planted-linear", [*SMALL, *words])


def weights(recipe, data, out, **options):
    return RunFolder(train(recipe, data, out, **options).path).model_state("last")["model"]


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_floor_and_smallest_by_hand():
    losses = torch.tensor([3.0, 0.5, 2.0, 1.0], requires_grad=True)
    loss = batch_loss(losses, floor=1.5)
    loss.backward()
    assert loss.item() == 5 / 4 and losses.grad.tolist() == [0.25, 0, 0.25, 0]
    assert sorted(samples_kept(losses, 0.5, "smallest").tolist()) == [0, 2]
    assert batch_loss(losses, trim=0.25, kind="smallest").item() == 2.0
    assert batch_loss(losses, clip=2.5, floor=1.5).item() == 4.5 / 4


def dropped(recipe, data):
    """The images that a training of the recipe has dropped when its second half begins."""
    training = Training(recipe, data, "cpu")
    training.epoch = recipe.epochs // 2
    training.begin_epoch()
    return training, training.dropped


@pytest.mark.parametrize("kind", ["fixed", "fixed-largest"])
def test_a_dropped_image_does_not_matter_any_more(kind, tmp_path):
    """Other pixels and labels of the dropped images, from the moment on when they are: the same weights, to the bit."""
    recipe = recipe_of("trim=2/5", f"trim_kind={kind}", "trim_from=0")
    data = load_data(recipe)
    _, gone = dropped(recipe, data)
    assert int(gone.sum()) == 24
    plain = weights(recipe, data, tmp_path / "plain")

    def changed(which):
        images, labels = data.train.images.clone(), data.train.labels.clone()
        images[which] += 0.01
        return replace(data, train=Split(images, labels))
    if kind == "fixed":  # chosen without a look at the images
        assert equal(weights(recipe, changed(gone), tmp_path / "gone"), plain)
    one = (~gone).nonzero()[0]
    assert not equal(weights(recipe, changed(one), tmp_path / "one"), plain)


def test_fixed_depends_on_the_seed_alone():
    recipe = recipe_of("trim=2/5", "trim_kind=fixed")
    first, again = (dropped(recipe, load_data(recipe))[1] for _ in range(2))
    other = dropped(replace(recipe, seed=1), load_data(recipe))[1]
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_hardest_are_those_of_largest_loss():
    recipe = recipe_of("trim=1/5", "trim_kind=fixed-largest", "random_start=false")
    data = load_data(recipe)
    training, gone = dropped(recipe, data)
    x, y = data.train.images, data.train.labels
    training.model.eval()
    z = pgd(training.model, x, y, training.attack, torch.Generator().manual_seed(0))
    with torch.no_grad():
        losses = torch.nn.functional.cross_entropy(training.model(z), y, reduction="none")
    assert losses[gone].min() >= losses[~gone].max() and int(gone.sum()) == 12


@pytest.mark.parametrize("words", [["trim=2/5", "trim_kind=fixed-largest"], ["trim=2/5", "trim_kind=fixed"],
                                   ["cas_weight=0.1"], ["floor=1.0"]])
def test_stopped_and_continued_is_the_same(words, tmp_path):
    recipe = recipe_of(*words, "trim_from=1/2")
    data = load_data(recipe)
    whole = weights(recipe, data, tmp_path / "whole")
    train(recipe, data, tmp_path / "parts", stop_after=3)
    assert equal(weights(recipe, data, tmp_path / "parts"), whole)


def test_smoothing_may_begin_late(tmp_path):
    """Until then the training is the plain one; from then on it is not, and smoothing from 0 is smoothing."""
    plain, late = recipe_of(), recipe_of("smoothing=0.2", "smoothing_from=1/2")
    data = load_data(plain)
    assert common_epochs(plain, late) == 2
    for recipe in (plain, late):
        train(recipe, data, tmp_path)
    runs = {path.name: RunFolder(path) for path in tmp_path.iterdir()}
    states = [[run.model_state(f"checkpoints/epoch-000{epoch}")["model"] for run in runs.values()] for epoch in (2, 3)]
    assert equal(*states[0]) and not equal(*states[1])
    assert recipe_of("smoothing=0.2", "smoothing_from=0") == recipe_of("smoothing=0.2")


def test_cas_of_a_batch_is_cas():
    generator = torch.Generator().manual_seed(0)
    features, weight = (torch.randn(size, generator=generator) for size in ((30, 8), (5, 8)))
    labels = torch.arange(30) % 5
    for centred, rows in ((True, gauge_fixed(weight)), (False, weight)):
        expected = cas(class_correlation(features, labels, rows))
        assert batch_cas(features, labels, weight, centred).item() == pytest.approx(expected, abs=1e-5)
    few = labels < 3  # two classes have no image here
    means = torch.stack([features[labels == label].mean(0) for label in range(3)])
    cosines = torch.nn.functional.cosine_similarity((means * weight[:3])[:, None], (means * weight[:3])[None], dim=2)
    expected = cosines.clamp(min=0).sum() - 3
    assert batch_cas(features[few], labels[few], weight, False).item() == pytest.approx(expected.item(), abs=1e-5)


def test_the_penalty_moves_cas_in_its_direction(tmp_path):
    values = []
    for word in (0.0, 2.0, -2.0):
        recipe = recipe_of("eps=0", "step=0", *[f"cas_weight={word}"] * bool(word))
        data = load_data(recipe)
        weight = weights(recipe, data, tmp_path)["linear.weight"]
        values.append(cas(class_correlation(data.train.images.flatten(1), data.train.labels, gauge_fixed(weight))))
    assert values[1] < values[0] - 0.05 and values[2] > values[0] + 0.05


def test_every_arm_of_the_plan_is_a_recipe_that_branches_where_it_says():
    found = {task.arm: task for task in tasks(plan_of(committed()[0])) if task.seed == 2}
    for name, task in found.items():
        shared = common_epochs(task.trunk or task.base, task.recipe)
        assert shared == (15 if task.trunk else 60 if name == "a1" else 0), name
    recipes = {name: task.recipe for name, task in found.items()}
    assert recipes["a5"].floor == 1.5 and recipes["a4"].trim == Fraction(2, 5)
    assert (recipes["b7"].train_size, recipes["b7"].padding, recipes["b7"].epochs) == (2000, 4, 80)  # overridden
    assert found["b6-12-largest"].trunk == recipes["b6-12"] and found["a3"].trunk == recipes["a1"] == found["b8"].base
    assert found["b8"].stopped_at == "a3" and {recipe.data_seed for recipe in recipes.values()} == {2}


def test_a_running_average_is_loaded_once_it_has_begun(tmp_path):
    recipe = recipe_of("average=ema", "average_decay=0.5", "average_from=1/2")
    data = load_data(recipe)
    run = train(recipe, data, tmp_path)
    for which, begun in (("checkpoints/epoch-0002", False), ("last", True)):
        state = run.model_state(which)
        plain, averaged = (load_network(run, data, which, averaged=word).state_dict() for word in (False, True))
        assert equal(plain, state["model"])
        assert equal(averaged, {name: state["average"][f"module.{name}"] for name in plain}) == begun
        assert equal(averaged, plain) != begun


@pytest.mark.parametrize(("words", "sentence"), [
    (["smoothing_from=1/2"], "goes with a smoothing"), (["cas_centred=false"], "goes with a cas_weight"),
    (["cas_weight=0.1", "method=standard"], "is for method=at"),
    (["trim=1/2", "trim_kind=fixed", "compile=true"], "does not go with"),
    (["awp_from=1/2"], "goes with an awp"), (["awp=0.1", "method=standard"], "is for method=at and"),
    (["awp=0.1", "compile=true"], "does not go with awp"), (["awp=2"], "at most 1"),
    (["floor=0"], "at least 1e-09"), (["trim_from=1/2"], "goes with trim, clip, floor or cas_weight")])
def test_what_would_do_nothing_is_refused(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        recipe_of(*words)


def test_the_penalty_needs_the_whole_batch():
    for word, sentence in (("cas_weight=0.1", "but CAS"), ("awp=0.1", "but the weights")):
        with pytest.raises(ValueError, match=f"was given with 2 processes, {sentence}"):
            check_shared(recipe_of(word), 60, 2)
