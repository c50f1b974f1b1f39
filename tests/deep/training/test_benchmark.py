"""The benchmark: both steps have the same mathematics, and its counts are those made by hand."""

import copy
import inspect
import json
import os
import platform
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.autograd import DeviceType

from deep.__main__ import main
from deep.attacks.pgd import Linf
from deep.data.dataset import Split
from deep.networks import fused_convolution
from deep.networks.classifier import Classifier, DeiT, PreActResNet18
from deep.networks.folding import Folded
from deep.recipe.recipe import recipe_named
from deep.system.speed import group_of, kernel_table, peak
from deep.training.benchmark import bench, evaluation_share, forward_flops, random_data, textbook_step
from deep.training.loop import Training

PEAKS = {torch.bfloat16: 1e12, torch.float32: 2e11}  # operations a second, in place of the machine's
WORDS = ["width=4", "batch=16", "steps=3"]
PLAIN = ["padding=0", "flip=false", "bf16=false", "lr=1", "momentum=0", "weight_decay=0"]


@pytest.fixture
def training():
    """One batch in float64, with lr = 1 and no decay: a step is minus the gradient. The statistics have moved."""
    data = random_data(16)
    data = replace(data, train=Split(data.train.images.double() / 255, data.train.labels))
    training = Training(recipe_named("at", WORDS + PLAIN), data, "cpu")
    training.model.double().train()
    with torch.no_grad():
        for batch in torch.rand(3, 8, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1)):
            training.model(batch)
    training.folded = training.attacked = Folded(training.model)  # the first was made before float64
    return training


def recorded(model):
    """The list of the batches that `model` is going to see in training mode."""
    seen = []
    model.register_forward_pre_hook(lambda network, inputs: seen.extend(inputs) if network.training else None)
    return seen


def test_our_step_and_the_textbooks_are_the_same_mathematics(training):
    model, before = copy.deepcopy(training.model), copy.deepcopy(training.model.state_dict())
    train, attack, generators = training.data.train, training.attack, copy.deepcopy(
        {name: generator.get_state() for name, generator in training.generators.items()})
    order = torch.randperm(16, generator=torch.Generator().set_state(generators["order"]))
    x, y = train.images[order], train.labels[order]
    start = Linf(x, attack.eps, attack.box).start(torch.Generator().set_state(generators["attack"]))
    ours, textbook = recorded(training.model), recorded(model)

    training.train_batch()
    loss, correct = textbook_step(model, torch.optim.SGD(model.parameters(), lr=1.0), x, y, attack, start=start,
                                  mode="eval")

    assert (start - x).abs().max() > 0.03 and (ours[0] - start).abs().max() > 0.01
    torch.testing.assert_close(ours[0], textbook[0], rtol=0, atol=1e-12)  # the adversarial images
    assert training.totals.tolist() == pytest.approx([16 * loss, correct, 0, 1], rel=1e-9)
    for name, value in training.model.state_dict().items():
        step = value.double() - before[name].double()  # minus the weight gradient; for statistics, their change
        theirs = model.state_dict()[name].double() - before[name].double()
        assert step.norm() > 0 or name in ("mean", "std")
        assert (step - theirs).norm() <= 1e-9 * step.norm(), name


def test_the_textbook_step_is_sgd_on_the_exact_attack_of_a_linear_network():
    """w -> w - lr (p - y) z, z = x + eps sign((p - y) w): for two pixels, three classes and one large step."""
    weight = torch.tensor([[1.0, -2.0], [0.5, 0.25], [-1.0, 3.0]])
    linear = nn.Linear(2, 3, bias=False)
    linear.weight.data.copy_(weight)
    model = Classifier(nn.Flatten(), linear, (0.0,), (1.0,))
    x, y = torch.tensor([[0.4, 0.6], [0.95, 0.5]]).view(2, 1, 1, 2), torch.tensor([0, 2])
    attack = replace(Training(recipe_named("at", WORDS), random_data(4), "cpu").attack, step=1, steps=1, eps=0.1)
    loss, correct = textbook_step(model, torch.optim.SGD(model.parameters(), lr=0.5), x, y, attack, start=x)
    flat, target = x.flatten(1), torch.nn.functional.one_hot(y, 3)
    z = (flat + 0.1 * torch.sign((torch.softmax(flat @ weight.T, 1) - target) @ weight)).clamp(0, 1)
    p = torch.softmax(z @ weight.T, 1)
    torch.testing.assert_close(linear.weight.detach(), weight - 0.5 * (p - target).T @ z / 2)
    assert loss == pytest.approx(-p[range(2), y].log().mean().item(), rel=1e-6)
    assert correct == (p.argmax(1) == y).sum()


def test_operations_are_counted_as_by_hand():
    # PreActResNet-18, width 64, at 32x32: multiplications of the first layer, of the four stages and the shortcuts.
    stage = 64 * 64 * 9 * 32 * 32
    first, shortcuts = 3 * 64 * 9 * 32 * 32, 3 * 64 * 128 * 16 * 16
    hand = first + 4 * stage + 3 * (stage // 2 + 3 * stage) + shortcuts + 512 * 10
    assert hand == 555_422_720  # the 0.56 GMAC of the literature
    model = Classifier(PreActResNet18(64), nn.Linear(512, 10), (0.5,) * 3, (0.25,) * 3)
    assert forward_flops(model, (3, 32, 32)) == 2 * hand
    assert model.training and not model.linear._forward_hooks
    # A transformer of one layer and 16 + 1 tokens: patches, query-key-value, projection, 4 d and back, scores.
    tokens, d = 17, 12
    model = Classifier(DeiT((3, 32, 32), d, 1, 1, 8), nn.Linear(d, 10), (0.5,) * 3, (0.25,) * 3)
    assert forward_flops(model, (3, 32, 32)) == 2 * (16 * 3 * 64 * d + tokens * d * (3 + 1 + 8) * d + d * 10)


@pytest.mark.slow
def test_the_command_prints_both_and_their_ratio(capsys, monkeypatch):
    monkeypatch.setattr("deep.training.benchmark.peak", lambda dtype, device: PEAKS[dtype])  # has a test of its own
    words = ["bench", "--width", "4", "--batch", "8", "--attack-steps", "1", "--repeats", "2", "--threads", "1",
             "--set", "eval_steps=1"]  # its share of a training has a test of its own
    assert main([*words, "--profile", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["batch"], result["attack_steps"], result["threads"], result["repeats"]) == (8, 1, 1, 2)
    ratio = result["ratio"]
    assert 0 < ratio["min"] <= ratio["median"] <= ratio["max"]
    own, other = (8 / result[f"{name}images_per_second"] for name in ("", "textbook_"))
    assert ratio["min"] <= other / own * 1.5 and other / own / 1.5 <= ratio["max"]
    assert (own, other) == pytest.approx((result["seconds"]["median"], result["textbook_seconds"]["median"]))
    used = result["utilisation"]["ours"]
    assert used == pytest.approx(8 * result["flops_per_image"] / own / result["peak_flops"]["bfloat16"])
    assert used == pytest.approx(8 * result["flops_per_image"] / own / 1e12)
    assert result["utilisation"]["textbook"] == pytest.approx(8 * result["flops_per_image"] / other / 2e11)
    busy = sum(row["seconds"] for row in result["profile"]["ours"] if row["group"].startswith(("conv", "matrix")))
    assert result["products_utilisation"] == pytest.approx(
        8 * result["flops_per_image"] / busy / result["peak_flops"]["bfloat16"])
    assert 0 < result["evaluation_share"] < 10
    for rows in result["profile"].values():
        assert sum(row["share"] for row in rows) == pytest.approx(1)
        assert all(row["share"] > 0 for row in rows if "convolution" in row["group"])
    assert main([*words, "--repeats", "1", "--set", "bf16=false"]) == 0
    assert "ratio" in capsys.readouterr().out


@pytest.fixture
def clock(monkeypatch):
    """A clock for the benchmark that clock(seconds) alone moves."""
    now = [0.0]
    monkeypatch.setattr("deep.system.speed.time", SimpleNamespace(perf_counter=lambda: now[0]))
    return lambda length: now.__setitem__(0, now[0] + length)


@pytest.mark.parametrize(("own", "ratio"), [(0.1, 3), (0.2, 1.5)])
def test_the_ratio_of_steps_of_known_length(clock, monkeypatch, own, ratio):
    """On a clock that our step moves by `own` seconds and the textbook's by .3."""
    monkeypatch.setattr("deep.training.benchmark.peak", lambda dtype, device: PEAKS[dtype])
    monkeypatch.setattr("deep.training.benchmark.evaluation_share", lambda training, per_image: 0.1)  # tested by itself
    monkeypatch.setattr("deep.training.benchmark.textbook_step", lambda *_: clock(0.3))
    monkeypatch.setattr(Training, "train_batch", lambda _: clock(own))
    result = bench(recipe_named("at", WORDS), repeats=3)
    assert result["ratio"] == {name: pytest.approx(ratio) for name in ("median", "min", "max")}
    assert result["images_per_second"] == pytest.approx(16 / own)
    # of 3 attack steps of 2 F and a training step of 3 F, F operations forward
    work = 16 * (3 * 2 + 3) * forward_flops(Training(recipe_named("at", WORDS), random_data(16), "cpu").model,
                                            (3, 32, 32))
    assert result["utilisation"] == {"ours": pytest.approx(work / own / PEAKS[torch.bfloat16]),
                                     "textbook": pytest.approx(work / 0.3 / PEAKS[torch.float32])}


def test_what_is_measured_is_told_as_it_begins(clock, monkeypatch, capsys):
    """In lines where there is no terminal, beside the JSON."""
    monkeypatch.setattr("deep.training.benchmark.peak", lambda dtype, device: PEAKS[dtype])
    monkeypatch.setattr("deep.training.benchmark.evaluation_share", lambda training, per_image: 0.1)
    monkeypatch.setattr("deep.training.benchmark.textbook_step", lambda *_: clock(0.3))
    monkeypatch.setattr("deep.training.benchmark.kernel_table",
                        lambda step, device: [("convolution, forward", 1.0, 1.0)])
    monkeypatch.setattr(Training, "train_batch", lambda _: clock(0.1))
    words = ["bench", "--arch", "cnn", "--width", "4", "--batch", "16"]
    assert main([*words, "--repeats", "2", "--profile", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines() == ["1/5  first steps", "2/5  pair 1 of 2", "3/5  pair 2 of 2", "4/5  evaluation",
                                     "5/5  profile"]
    assert json.loads(said.out)["ratio"]["median"] == pytest.approx(3)
    assert main([*words, "--repeats", "1"]) == 0
    said = capsys.readouterr()
    assert "\n  ratio              3.00 (from 3.00 to 3.00 in 1 pairs)\n" in said.out
    assert said.err.splitlines()[-1] == "3/3  evaluation"


FAULTS = """
import resource, torch
from deep.system.device import keep_freed_memory
{}
for _ in range(11):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_the_share_of_evaluation_by_hand(clock, monkeypatch):
    """Fake evaluations of known length: .05 s for the 16 validation images, .1 s for the 16 test images."""
    monkeypatch.setattr("deep.training.benchmark.training_line", lambda model, data, recipe, epoch: clock(
        0.05 * ("val" in recipe.splits_due(epoch)) + 0.1 * ("test" in recipe.splits_due(epoch))))
    for words, test, val in (([], 40, 200), (["eval_every=10", "select_every=3"], 20, 20 + 66 - 6),
                             (["select_every=none"], 40, 40), (["select=test"], 200, 40)):
        recipe = recipe_named("at", ["width=2", *words])
        training = Training(recipe, random_data(16), "cpu")
        expected = (test * 0.1 * 10_000 / 16 + val * 0.05 * 1000 / 16) / (200 * 49_000 * 0.001)
        assert evaluation_share(training, 0.001) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_kept():
    """The eleventh tensor of 64 MiB takes the place of the one before it, with no page faulted in."""
    counts = []
    for call in ("", "keep_freed_memory()"):
        done = subprocess.run([sys.executable, "-c", FAULTS.format(call)], capture_output=True, text=True, check=True,
                              timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"})
        counts.append(int(done.stdout))
    assert counts[0] > 20 > counts[1]  # 32 even with huge pages


def test_the_kernels_of_a_function():
    a = torch.randn(100, 100)
    table = kernel_table(lambda: torch.relu(a @ a), torch.device("cpu"))
    assert {name for name, value, _ in table if value} == {"matrix products", "ReLU", "other"}


def test_the_table_of_kernels_of_known_length(monkeypatch):
    """Microseconds of each operation, as torch's profiler would have seen them; those of a GPU are counted once."""
    lengths = {"aten::mkldnn_convolution": 5, "aten::_convolution": 1, "aten::convolution_backward": 20, "aten::mm": 40,
               "aten::addmm": 4, "aten::relu_": 2, "aten::add_": 3, "aten::copy_": 0, "Optimizer.step": 24}
    events = [SimpleNamespace(key=key, self_cpu_time_total=length, device_type=DeviceType.CPU)
              for key, length in lengths.items()]
    events.append(SimpleNamespace(key="kernel", self_cpu_time_total=1000, device_type=DeviceType.CUDA))
    record = SimpleNamespace(key_averages=lambda: events)
    called = []
    monkeypatch.setattr("deep.system.speed.profile", lambda activities: nullcontext(record))
    table = kernel_table(lambda: called.append(1), torch.device("cpu"))
    assert called == [1]
    expected = {"matrix products": 44, "other": 25, "convolution, backward": 20, "convolution, forward": 5,
                "sums and products": 3, "ReLU": 2, "batch norm": 0, "copies and casts": 0}
    assert [name for name, _, _ in table[:6]] == list(expected)[:6]  # the largest first
    for name, value, share in table:
        assert (1e6 * value, 99 * share) == pytest.approx((expected.pop(name),) * 2)
    assert not expected


@pytest.mark.parametrize(("group", "names"), {
    "convolution, forward": ["aten::mkldnn_convolution", "aten::cudnn_convolution", "aten::_slow_conv2d_forward",
                             "mkldnn::_convolution_pointwise", "mkldnn::_convolution_pointwise_"],
    "convolution, backward": ["aten::convolution_backward"],
    "matrix products": ["aten::mm", "aten::addmm", "aten::bmm"],
    "batch norm": ["aten::native_batch_norm", "aten::cudnn_batch_norm_backward"],
    "ReLU": ["aten::relu", "aten::threshold_backward"], "sums and products": ["aten::add_", "aten::mul"],
    "copies and casts": ["aten::copy_", "mkldnn::_reorder_convolution_weight"],
    # the callers of these, whose own time is none of theirs
    "other": ["aten::conv2d", "aten::convolution", "aten::_convolution", "Optimizer.step#SGD.step",
              "autograd::engine::evaluate_function: AddmmBackward0"]}.items())
def test_each_operation_is_in_its_group(group, names):
    assert {name: group_of(name) for name in names} == dict.fromkeys(names, group)


def test_each_operation_of_the_fused_layer_is_counted():
    """Those that deep/networks/fused_convolution.py calls by their names."""
    called = re.findall(r"torch\.ops\.(\w+)\.(\w*conv\w*)", inspect.getsource(fused_convolution))
    assert {name for _, name in called} == {"_convolution_pointwise", "_reorder_convolution_weight",
                                            "convolution_backward"}
    assert "other" not in {group_of("::".join(names)) for names in called}


def test_the_peak_is_that_of_the_fastest_product(monkeypatch):
    """2 n^3 operations with n = 2048, in the least of four times."""
    lengths = iter((0.4, 0.2, 0.1, 0.3))
    monkeypatch.setattr("deep.system.speed.seconds", lambda function, device: next(lengths))
    assert peak(torch.float32, torch.device("cpu")) == pytest.approx(2 * 2048**3 / 0.1)
    assert next(lengths, None) is None


@pytest.mark.parametrize(("words", "sentence"), [
    (["--attack-steps", "0"], "--attack-steps = 0 was given"),
    (["--repeats", "0"], "--repeats = 0 was given"),
    (["--batch", "-1"], "--batch = -1 was given"),
    (["--width", "0"], "width = 0 was given"),
    (["--arch", "vgg"], "model = vgg was given"),
    (["--set", "colour=red"], "an override is key=value"),
    (["--set", "loss=margin"], "that the textbook step does not train"),
    (["--device", "cuda:99"], "cannot be used here"),
])
def test_refusals(words, sentence, capsys):
    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and len(error.strip().splitlines()) == 1
